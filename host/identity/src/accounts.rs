//! Users, their passwords and their TOTP app. Addresses and standing have modules of their own.

pub(crate) mod conversion;
pub mod emails;
pub(crate) mod notices;
pub mod standing;
pub(crate) mod standing_primary;

use gate::{ChangeFacts, Permit, Target, TargetFacts};
use model::audit::{AuditEvent, Detail};
use model::mail::{Mail, MailField, MailKind};
use model::{
    Action, Assurance, Caller, CredentialKind, EmailAddress, Factor, InvalidEmailAddress,
    PasswordDisabled, PasswordState, Principal, UserId, UserName,
};
use storage::users::{NewUser, UserRow};
use storage::{Conflict, Secret, StorageError, UnitOfWork};

use crate::factors::APP;
use crate::passwords::{Busy, NotHashed, UnsuitablePassword};
use crate::totp::{EnrolledTotp, InvalidSecret};
use crate::{Account, totp};

/// Maximum number of email addresses of one user.
pub const MAX_EMAILS: usize = model::limit::EMAILS.length();

/// Create a user without a password.
#[derive(Clone, Debug)]
pub struct CreateUser {
    pub name: UserName,
    /// The primary email address.
    pub email: Option<String>,
    /// Whether the address is known to be the user's.
    pub email_verified: bool,
    pub staff: bool,
}

/// Set a user's password, whatever the old one was.
#[derive(Clone, Debug)]
pub struct SetPassword {
    pub account: Account,
    pub password: Secret<String>,
}

/// Enroll TOTP for a user who has none.
#[derive(Clone, Debug)]
pub struct EnrollTotp {
    pub account: Account,
    /// The base32 secret that [`Accounts::propose_totp`] created and that the person's app holds;
    /// none to create one now.
    pub secret: Option<Secret<String>>,
    /// A code of that secret, as proof that the app holds it. It cannot be used again.
    pub code: Option<String>,
}

/// Remove a user's TOTP.
#[derive(Clone, Debug)]
pub struct RemoveTotp {
    pub account: Account,
}

/// Why an account was not changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    #[error("the user does not exist")]
    UnknownUser,
    #[error("the user name is taken; choose another one")]
    UserNameTaken,
    #[error("the email address is taken; choose another one")]
    EmailTaken,
    #[error(transparent)]
    InvalidEmail(#[from] InvalidEmailAddress),
    #[error("the user does not have the email address")]
    UnknownEmail,
    #[error("the email address is not verified; verify it first")]
    EmailNotVerified,
    #[error("an address is verified by the link that was mailed to it; ask for another link")]
    VerifiedByLink,
    #[error("the primary email address cannot be removed; promote another one first")]
    PrimaryEmail,
    #[error("the user is disabled already; enable the user first")]
    UserDisabled,
    #[error("the user is not disabled")]
    UserNotDisabled,
    #[error("a user has at most {MAX_EMAILS} email addresses; remove one first")]
    TooManyEmails,
    #[error("too many mails were asked for; try again in {}", model::time::wait_in_words(*.retry_after_seconds))]
    Limited { retry_after_seconds: u64 },
    #[error("the user is the only owner of {}; give each another owner first", .0.join(", "))]
    SoleOwner(Vec<String>),
    #[error(
        "a reason has 1 to {} characters, none of them a control character or one that cannot be seen",
        standing::MAX_REASON
    )]
    InvalidReason,
    #[error(transparent)]
    Password(#[from] UnsuitablePassword),
    #[error("TOTP is enrolled already; remove it first")]
    TotpEnrolled,
    #[error("TOTP is not enrolled")]
    TotpNotEnrolled,
    #[error(transparent)]
    TotpSecret(#[from] InvalidSecret),
    #[error("the TOTP code is wrong; check the device's clock and try the next code")]
    WrongTotpCode,
    #[error(transparent)]
    Busy(#[from] Busy),
    #[error(transparent)]
    Storage(StorageError),
}

impl From<StorageError> for AccountError {
    fn from(error: StorageError) -> Self {
        match error.conflict() {
            Some(Conflict::UserNameTaken) => Self::UserNameTaken,
            Some(Conflict::EmailTaken) => Self::EmailTaken,
            Some(Conflict::ReferenceGone) => Self::UnknownUser,
            _ => Self::Storage(error),
        }
    }
}

impl From<NotHashed> for AccountError {
    fn from(problem: NotHashed) -> Self {
        match problem {
            NotHashed::Unsuitable(unsuitable) => Self::Password(unsuitable),
            NotHashed::Busy(busy) => Self::Busy(busy),
        }
    }
}

impl Target for CreateUser {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::AccountCreate)
    }
}

impl Target for SetPassword {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::PasswordChange)
    }
}

impl Target for EnrollTotp {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts {
            change: ChangeFacts::Factor(Factor::Totp),
            ..TargetFacts::of(Action::FactorEnroll)
        }
    }
}

impl Target for RemoveTotp {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts {
            change: ChangeFacts::Factor(Factor::Totp),
            ..TargetFacts::of(Action::FactorRemove)
        }
    }
}

crate::areas::area! {
    /// Accounts: created, secured, disabled, deleted, and what operators do to them.
    Accounts
}

impl Accounts<'_> {
    /// Creates a user.
    pub async fn create(self, permit: Permit<CreateUser>) -> Result<UserId, AccountError> {
        let mut unit = permit.begin(self.storage()).await?;
        let (id, event) = self.create_in(&mut unit, &permit, permit.target()).await?;
        unit.commit(&event).await?;
        Ok(id)
    }

    /// Creates a user within a unit; the caller commits it with the returned event.
    pub(crate) async fn create_in<T>(
        self,
        unit: &mut UnitOfWork,
        permit: &Permit<T>,
        target: &CreateUser,
    ) -> Result<(UserId, AuditEvent), AccountError> {
        let email = target
            .email
            .as_deref()
            .map(EmailAddress::parse)
            .transpose()?;
        let (id, at) = (UserId::new(), permit.at());
        unit.create_user(&NewUser {
            id,
            name: &target.name,
            created_at: at,
            staff: target.staff,
        })
        .await?;
        if let Some(email) = email.as_ref().map(EmailAddress::as_str) {
            unit.add_email(id, email, at).await?;
            let address = email.to_owned();
            unit.also(&permit.event(Detail::EmailAdded { address }).about(id));
            if target.email_verified {
                unit.verify_email(id, email, at).await?;
                let address = email.to_owned();
                unit.also(&permit.event(Detail::EmailVerified { address }).about(id));
            }
        }
        if target.staff {
            let granted = Detail::StaffGranted { because: None };
            unit.also(&permit.event(granted).about(id));
        }
        let created = Detail::AccountCreated {
            name: target.name.as_written().to_owned(),
            staff: target.staff,
        };
        Ok((id, permit.event(created).about(id)))
    }

    /// Sets a user's password, and ends what the old one started.
    pub async fn set_password(self, permit: Permit<SetPassword>) -> Result<(), AccountError> {
        let target = permit.target();
        let user = self
            .storage()
            .user(target.account.id())
            .await?
            .ok_or(AccountError::UnknownUser)?;
        let mailbox = self.identity.mailbox(&user).await?;
        let asker = self.identity.inner.passwords.known(&user.name);
        let hash = self
            .identity
            .passwords()
            .hash_new_password(asker, &target.password, &user.name, &mailbox.addresses())
            .await?;
        let mut unit = permit.begin(self.storage()).await?;
        unit.hold_user(user.id)
            .await?
            .ok_or(AccountError::UnknownUser)?;
        unit.set_password_hash(user.id, &hash, permit.at()).await?;
        let ended = self
            .identity
            .passwords()
            .end_what_was_begun(&mut unit, user.id, None, None)
            .await?;
        // A first password needs no mail: its user knows of it.
        if user.password_hash.is_some() {
            let words = [
                mailbox.user_name(),
                notices::remote_address(permit.actor()),
                notices::device(permit.actor()),
                notices::at(permit.at()),
            ];
            mailbox
                .tell(
                    &mut unit,
                    &Mail::new(MailKind::PasswordChanged, words),
                    permit.at(),
                )
                .await?;
        }
        let set = Detail::PasswordSet {
            ended_sessions: Some(ended),
        };
        unit.commit(&permit.event(set).about(user.id)).await?;
        Ok(())
    }

    /// A fresh TOTP secret for a user, enrolled nowhere yet.
    pub fn propose_totp(self, name: &UserName) -> Result<EnrolledTotp, InvalidSecret> {
        totp::describe(&totp::generate_secret(), &self.config().totp_issuer, name)
    }

    /// Enrolls TOTP. If a code is given, it must be right; it is used up.
    pub async fn enroll_totp(
        self,
        permit: Permit<EnrollTotp>,
    ) -> Result<EnrolledTotp, AccountError> {
        let target = permit.target();
        let user = self
            .storage()
            .user(target.account.id())
            .await?
            .ok_or(AccountError::UnknownUser)?;
        // Replacing an enrolled app would be an unnoticed removal of a factor.
        if user.totp_secret.is_some() {
            return Err(AccountError::TotpEnrolled);
        }
        let secret = target.secret.clone().unwrap_or_else(totp::generate_secret);
        let enrolled = totp::describe(&secret, &self.config().totp_issuer, &user.name)?;
        let step = match &target.code {
            Some(code) => Some(
                totp::matched_step(&secret, code, self.now())?
                    .ok_or(AccountError::WrongTotpCode)?,
            ),
            None => None,
        };
        let mut unit = permit.begin(self.storage()).await?;
        let is_enrolled = self
            .identity
            .factors()
            .enroll_app(&mut unit, &permit, &user, &secret, step)
            .await?;
        if !is_enrolled {
            return Err(AccountError::TotpEnrolled);
        }
        let detail = Detail::TotpEnrolled {
            code_checked: step.is_some(),
        };
        unit.commit(&permit.event(detail).about(user.id)).await?;
        Ok(enrolled)
    }

    /// Removes TOTP.
    pub async fn remove_totp(self, permit: Permit<RemoveTotp>) -> Result<(), AccountError> {
        let user = self
            .storage()
            .user(permit.target().account.id())
            .await?
            .ok_or(AccountError::UnknownUser)?;
        if user.totp_secret.is_none() {
            return Err(AccountError::TotpNotEnrolled);
        }
        let mut unit = permit.begin(self.storage()).await?;
        unit.remove_totp(user.id, false).await?;
        self.tell_of_app(&mut unit, &permit, &user, MailKind::FactorRemoved)
            .await?;
        unit.commit(&permit.event(Detail::TotpRemoved).about(user.id))
            .await?;
        Ok(())
    }
}

impl Accounts<'_> {
    /// Mails the user that a one-time password app was added or removed.
    pub(crate) async fn tell_of_app<T>(
        self,
        unit: &mut UnitOfWork,
        permit: &Permit<T>,
        user: &UserRow,
        kind: MailKind,
    ) -> Result<(), StorageError> {
        let mailbox = self.identity.mailbox(user).await?;
        let (actor, at) = (permit.actor(), permit.at());
        let words = [
            mailbox.user_name(),
            (MailField::Factor, APP.to_owned()),
            (MailField::Name, self.config().totp_issuer.clone()),
            notices::remote_address(actor),
            notices::device(actor),
            notices::at(at),
        ];
        mailbox.tell(unit, &Mail::new(kind, words), at).await
    }
}

/// The caller of a request that a mailed link proved to come from this user, and of no other.
pub(crate) fn person(user: &UserRow, password_state: PasswordState) -> Caller {
    let assurance = Assurance {
        password_state,
        ..Assurance::NONE
    };
    Caller {
        credential: CredentialKind::Session,
        principal: Principal::User(user.facts()),
        token: None,
        session: None,
        assurance,
    }
}

/// Whether the account waits for a new password, which its owner sets by a mailed link. Until then,
/// nothing else lets anyone in.
pub(crate) fn is_secured(user: &UserRow) -> bool {
    user.password_disabled == Some(PasswordDisabled::Secured)
}

/// Whether the user can be let in: neither disabled nor deleted.
pub(crate) fn is_there(user: &UserRow) -> bool {
    user.disabled_at.is_none() && user.deleted_at.is_none()
}
