//! Registering, and the first user of an empty registry.
//!
//! A stranger cannot see whether a name or an address is taken: the checks, the hashing, the
//! statements and the answer are the same. Only the mail differs, and that goes to the owner of the
//! address. Until its link is opened, there is no account, no row that reserves the name, and no
//! claim on the address.
//!
//! The link proves who owns the address, and the password, typed again, proves that the same person
//! chose it. Otherwise an attacker could register with another person's address; that person opens
//! the link in good faith, and both can log in to the account.
//!
//! The policies decide who may register. A registry that has no staff yet is no exception: users
//! who register then become ordinary users, and the operator's link for the first member of staff
//! stays valid.

use gate::{Attempt, Permit, Refusal, Target, TargetFacts};
use model::audit::detail::Registration;
use model::audit::{AuditEvent, Detail};
use model::email::comparable;
use model::mail::{Mail, MailField, MailKind};
use model::{
    Action, Assurance, Caller, CredentialKind, EmailAddress, LinkPurpose, PasswordState, UserId,
    UserName,
};
use serde_json::json;
use storage::links::NewLink;
use storage::users::NewUser;
use storage::{Conflict, Secret, SecretHash, StorageError};

use crate::accounts::notices::{enqueue, remote_address};
use crate::limits;
use crate::opaque;
use crate::passwords::{Busy, MAX_BYTES, Match, NotHashed, UnsuitablePassword, check_suitable};
use crate::refusals::Failure;
use crate::request::{RequestContext, Stop, UseCase, ends_with};

/// How long the links are valid.
const LINK_MS: i64 = 24 * 3600 * 1000;
/// The same in words for people.
pub const LINK_LIFETIME: &str = "24 hours";

/// The input of somebody who registers.
#[derive(Clone, Debug)]
pub struct RegisterForm {
    pub user_name: String,
    pub email: String,
    pub password: Secret<String>,
}

/// What is wrong with one field of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// `user-name`, `email` or `password`.
    pub field: &'static str,
    /// For people, without a full stop.
    pub message: String,
}

/// A registration that waits for its link to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingRegistration {
    pub user_name: UserName,
    pub email: String,
    /// Whether another user has or had the name. Not a secret here: the mail to this address would
    /// have said that the name was taken.
    pub name_taken: bool,
}

/// Why nothing was registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterProblem {
    #[error("the form is not filled in correctly")]
    Invalid(Vec<FieldError>),
    #[error("the link no longer works")]
    UnknownLink,
    #[error(transparent)]
    Refused(Refusal),
    #[error(transparent)]
    Busy(#[from] Busy),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<Refusal> for RegisterProblem {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<NotHashed> for RegisterProblem {
    fn from(problem: NotHashed) -> Self {
        match problem {
            NotHashed::Busy(busy) => Self::Busy(busy),
            NotHashed::Unsuitable(unsuitable) => Self::Invalid(vec![FieldError {
                field: "password",
                message: unsuitable.to_string(),
            }]),
        }
    }
}

ends_with!(RegisterProblem);

/// Why a registration was not confirmed.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmProblem {
    #[error("the link no longer works; register again")]
    UnknownLink,
    #[error("the password is not the one that was chosen when registering")]
    WrongPassword,
    #[error("the user name is taken; register again with another one")]
    NameTaken,
    #[error("the email address belongs to an account already")]
    EmailTaken,
    #[error(transparent)]
    Refused(Refusal),
    #[error(transparent)]
    Busy(#[from] Busy),
    #[error(transparent)]
    Storage(StorageError),
}

impl From<StorageError> for ConfirmProblem {
    fn from(error: StorageError) -> Self {
        match error.conflict() {
            Some(Conflict::UserNameTaken) => Self::NameTaken,
            Some(Conflict::EmailTaken) => Self::EmailTaken,
            _ => Self::Storage(error),
        }
    }
}

impl From<Refusal> for ConfirmProblem {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

ends_with!(ConfirmProblem);

/// Open the empty form of a registration.
#[derive(Clone, Copy, Debug)]
pub struct OpenRegistration;

impl Target for OpenRegistration {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::AccountCreate)
    }
}

/// Show the registration behind a link, before it is confirmed or discarded.
#[derive(Clone, Debug)]
pub struct ReadRegistration {
    pub link: String,
}

impl Target for ReadRegistration {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::AccountCreate)
    }
}

/// Check whether a link would create the first user.
#[derive(Clone, Debug)]
pub struct ReadFirstUserLink {
    pub link: String,
}

impl Target for ReadFirstUserLink {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::AccountCreate)
    }
}

/// Create an account, either now or once a link is opened.
struct Register {
    user_name: UserName,
    email: String,
    password_hash: Secret<String>,
    password_state: PasswordState,
}

/// Discard a registration.
struct Discard {
    link: SecretHash,
    user_name: UserName,
    email: String,
}

impl Target for Discard {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::AccountCreate)
    }
}

impl Target for Register {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::AccountCreate)
    }
}

impl Register {
    /// The data of the link's row.
    fn to_data(&self) -> Secret<String> {
        let data = json!({
            "user-name": self.user_name.as_written(),
            "email": self.email,
            "password-hash": self.password_hash.expose(),
            "password-state": self.password_state.as_str(),
        });
        Secret::new(data.to_string())
    }

    fn from_data(data: &Secret<String>) -> Option<Self> {
        let data: serde_json::Value = serde_json::from_str(data.expose()).ok()?;
        let text = |field: &str| data[field].as_str();
        Some(Self {
            user_name: UserName::parse(text("user-name")?).ok()?,
            // It may have been stored before domains had one form.
            email: comparable(text("email")?).into_owned(),
            password_hash: Secret::new(text("password-hash")?.to_owned()),
            password_state: PasswordState::from_word(text("password-state")?)?,
        })
    }

    /// An anonymous caller who has typed this password.
    fn caller(&self) -> Caller {
        Caller {
            assurance: Assurance {
                password_state: self.password_state,
                ..Assurance::NONE
            },
            ..Caller::anonymous()
        }
    }
}

crate::areas::area! {
    /// Registrations, and the first user of an empty registry.
    Registrations
}

impl Registrations<'_> {
    /// Every wrong field, reported together. The strength of the password is estimated here only if
    /// another field is wrong; otherwise, hashing does it in its turn.
    async fn check_form(
        self,
        attempt: &Attempt,
        form: &RegisterForm,
    ) -> Result<(UserName, String), RegisterProblem> {
        let mut errors = Vec::new();
        let mut wrong = |field, message: String| errors.push(FieldError { field, message });
        let user_name = UserName::parse(form.user_name.trim())
            .map_err(|_| wrong("user-name", NAME_RULE.to_owned()))
            .ok();
        let email = EmailAddress::parse(form.email.trim())
            .map_err(|error| wrong("email", error.to_string()))
            .ok();
        // An invalid name is not compared with the password.
        let compared = user_name
            .clone()
            .unwrap_or_else(|| UserName::parse("x").expect("a user name"));
        // An invalid address may be as long as the form.
        let email_known = email.as_ref().map_or("", EmailAddress::as_str);
        let suitable = match check_suitable(&form.password, &compared) {
            Ok(()) if user_name.is_some() && email.is_some() => Ok(()),
            Ok(()) => {
                self.look_at_strength(attempt, &form.password, &compared, email_known)
                    .await?
            }
            Err(unsuitable) => Err(unsuitable),
        };
        if let Err(unsuitable) = suitable {
            wrong("password", unsuitable.to_string());
        }
        match (user_name, email) {
            (Some(user_name), Some(email)) if errors.is_empty() => {
                Ok((user_name, email.as_str().to_owned()))
            }
            _ => Err(RegisterProblem::Invalid(errors)),
        }
    }

    /// The estimate takes time, and an invalid form is not counted as a registration. So it has its
    /// own counter; a client over the limit learns about the password later.
    async fn look_at_strength(
        self,
        attempt: &Attempt,
        password: &Secret<String>,
        name: &UserName,
        email: &str,
    ) -> Result<Result<(), UnsuitablePassword>, RegisterProblem> {
        let counter = self
            .config()
            .limits
            .wrong_forms_from(attempt.remote_address);
        if limits::take(self.storage(), &[counter], self.now())
            .await?
            .is_err()
        {
            return Ok(Ok(()));
        }
        let hashing = &self.identity.inner.passwords;
        let asker = hashing.stranger(attempt.remote_address);
        match self
            .identity
            .passwords()
            .check_new_password(asker, password, name, &[email])
            .await
        {
            Ok(()) => Ok(Ok(())),
            Err(NotHashed::Unsuitable(unsuitable)) => Ok(Err(unsuitable)),
            Err(NotHashed::Busy(busy)) => Err(busy.into()),
        }
    }

    /// Begins a registration. The answer, its time, the work and the statements are the same
    /// whether or not the name and the address are free; the mail informs the owner of the address.
    pub async fn register(
        self,
        context: RequestContext<'_>,
        form: RegisterForm,
    ) -> Result<(), RegisterProblem> {
        let case = self.registration_case(context);
        self.identity
            .answer_evenly(async { case.answer(self.begin(&case, form).await).await })
            .await
    }

    fn registration_case<'a>(&'a self, context: RequestContext<'a>) -> UseCase<'a> {
        self.identity
            .use_case(context, Action::AccountCreate, CredentialKind::None)
    }

    async fn begin(
        self,
        case: &UseCase<'_>,
        form: RegisterForm,
    ) -> Result<(), Stop<RegisterProblem>> {
        let from = case.attempt.remote_address;
        let (user_name, email) = self.check_form(case.attempt, &form).await?;
        let limits = &self.config().limits;
        // Also per address, taken or not, so that strangers cannot flood anyone with mails.
        let [of_address_from, of_address] = limits.registrations_of_address(&email, from);
        let counters = [limits.registrations_from(from), of_address_from, of_address];
        let counted = case.take(&counters).await?;
        let prepared = self
            .prepare_registration(case, user_name, email, &form.password)
            .await;
        let is_given_back = match &prepared {
            Err(Stop::Ended(RegisterProblem::Busy(_))) => true,
            // An invalid form, counted like those that are refused before hashing.
            Err(Stop::Ended(RegisterProblem::Invalid(_))) => {
                let wrong = [limits.wrong_forms_from(from)];
                let taken = limits::take(self.storage(), &wrong, self.now()).await?;
                taken.is_ok()
            }
            _ => false,
        };
        if is_given_back {
            counted.give_back(self.storage()).await?;
        }
        let target = prepared?;
        let caller = target.caller();
        let permit = case.decide(&caller, target).await?;
        Ok(self.mail_registration(permit).await?)
    }

    /// The work on a new password, the same for every name and address.
    async fn prepare_registration(
        self,
        case: &UseCase<'_>,
        user_name: UserName,
        email: String,
        password: &Secret<String>,
    ) -> Result<Register, Stop<RegisterProblem>> {
        let hashing = &self.identity.inner.passwords;
        let asker = hashing.stranger(case.attempt.remote_address);
        let hashed = self
            .identity
            .passwords()
            .hash_new_password(asker, password, &user_name, &[&email])
            .await
            .map_err(RegisterProblem::from)?;
        let password_hash = Secret::new(hashed);
        let password_state = self
            .identity
            .passwords()
            .password_state(case, password, None)
            .await?;
        Ok(Register {
            user_name,
            email,
            password_hash,
            password_state,
        })
    }

    /// Mails the owner of the address: a link if there is no account with it, or else a notice;
    /// also a notice if the name is taken. In all cases, a link, a mail and an event are written;
    /// no one knows the secret of a notice's link.
    async fn mail_registration(self, permit: Permit<Register>) -> Result<(), StorageError> {
        let target = permit.target();
        let known = self
            .storage()
            .email(&target.email)
            .await?
            .filter(|email| email.verified_at.is_some());
        let owner = self
            .storage()
            .user(known.as_ref().map_or_else(UserId::new, |email| email.user))
            .await?;
        let is_name_taken = self.storage().is_name_taken(&target.user_name).await?;
        let (secret, stored) = opaque::generate();
        let link = self.identity.link("/register/confirm", secret.expose());
        let from = remote_address(permit.actor());
        let name = (
            MailField::UserName,
            target.user_name.as_written().to_owned(),
        );
        let (mail, recipient) = match (&owner, &known) {
            (Some(owner), Some(known)) => {
                let words = [
                    (MailField::UserName, owner.name.as_written().to_owned()),
                    from,
                ];
                (
                    Mail::new(MailKind::RegistrationExisting, words),
                    known.address.as_str(),
                )
            }
            // The link would only fail later. Names are public.
            _ if is_name_taken => (
                Mail::new(MailKind::RegistrationNameTaken, [name, from]),
                target.email.as_str(),
            ),
            _ => {
                let words = [
                    name,
                    link,
                    (MailField::LinkLifetime, LINK_LIFETIME.to_owned()),
                    from,
                ];
                (
                    Mail::new(MailKind::RegistrationConfirm, words),
                    target.email.as_str(),
                )
            }
        };
        let data = target.to_data();
        let mut unit = permit.begin(self.storage()).await?;
        unit.create_link(&NewLink {
            secret: &stored,
            purpose: LinkPurpose::Registration,
            user: None,
            data: data.expose(),
            created_at: permit.at(),
            expires_at: permit.at().plus_ms(LINK_MS),
        })
        .await?;
        let owner = owner.map(|owner| owner.id);
        enqueue(&mut unit, &mail, owner, Some(recipient), permit.at()).await?;
        let who = Registration::Stranger {
            name: target.user_name.as_written().to_owned(),
            address: target.email.clone(),
            mail: mail.kind.into(),
        };
        let requested = Detail::RegistrationRequested { who };
        unit.commit(&permit.event(requested).about(owner)).await?;
        Ok(())
    }

    /// The registration behind a link, for the page that asks for a confirmation. Changes nothing.
    pub async fn waiting_for(
        self,
        permit: Permit<ReadRegistration>,
    ) -> Result<Option<PendingRegistration>, StorageError> {
        self.still_waiting_for(&permit.target().link).await
    }

    /// The same for the form that is shown again after it was sent and decided.
    pub async fn still_waiting_for(
        self,
        link: &str,
    ) -> Result<Option<PendingRegistration>, StorageError> {
        let Some((_, registration)) = self.pending_registration(link).await? else {
            return Ok(None);
        };
        let Register {
            user_name, email, ..
        } = registration;
        let name_taken = self.storage().is_name_taken(&user_name).await?;
        Ok(Some(PendingRegistration {
            user_name,
            email,
            name_taken,
        }))
    }

    async fn pending_registration(
        self,
        link: &str,
    ) -> Result<Option<(SecretHash, Register)>, StorageError> {
        let Some(stored) = opaque::hash(link) else {
            return Ok(None);
        };
        let row = self
            .storage()
            .link(&stored, LinkPurpose::Registration, self.now())
            .await?;
        Ok(row
            .and_then(|row| Register::from_data(&row.data))
            .map(|register| (stored, register)))
    }

    /// Creates the user of a confirmed registration, with a verified address and the password,
    /// which is asked for again: the link must be opened by the person who registered.
    pub async fn confirm(
        self,
        context: RequestContext<'_>,
        link: &str,
        password: Secret<String>,
    ) -> Result<UserName, ConfirmProblem> {
        let case = self.registration_case(context);
        case.answer(self.confirm_by_link(&case, link, password).await)
            .await
    }

    async fn confirm_by_link(
        self,
        case: &UseCase<'_>,
        link: &str,
        password: Secret<String>,
    ) -> Result<UserName, Stop<ConfirmProblem>> {
        let (stored, target) = self
            .pending_registration(link)
            .await?
            .ok_or(ConfirmProblem::UnknownLink)?;
        self.prove_registrant(case, &stored, &target, password)
            .await?;
        let caller = target.caller();
        let permit = case.decide(&caller, target).await?;
        let (target, at, id) = (permit.target(), permit.at(), UserId::new());
        let mut unit = permit.begin(self.storage()).await?;
        unit.take_link(&stored, LinkPurpose::Registration, self.now())
            .await?
            .ok_or(ConfirmProblem::UnknownLink)?;
        // The link proves who owns the address; an unverified claim gives way.
        if let Some(claimant) = unit.release_unverified_email(&target.email).await? {
            let removed = Detail::EmailRemoved {
                address: target.email.clone(),
                because: Some("another account verified the address".to_owned()),
            };
            unit.also(&permit.event(removed).about(claimant));
        }
        unit.create_user(&NewUser {
            id,
            name: &target.user_name,
            created_at: at,
            staff: false,
        })
        .await?;
        unit.add_email(id, &target.email, at).await?;
        unit.verify_email(id, &target.email, at).await?;
        unit.set_password_hash(id, target.password_hash.expose(), at)
            .await?;
        let address = target.email.clone();
        for detail in [
            Detail::EmailAdded {
                address: address.clone(),
            },
            Detail::EmailVerified { address },
            Detail::PasswordSet {
                ended_sessions: None,
            },
        ] {
            unit.also(&permit.event(detail).about(id));
        }
        let created = Detail::AccountCreated {
            name: target.user_name.as_written().to_owned(),
            staff: false,
        };
        unit.commit(&permit.event(created).about(id)).await?;
        Ok(target.user_name.clone())
    }

    /// Whether this is the password that was chosen with the registration; the attempt is counted.
    async fn prove_registrant(
        self,
        case: &UseCase<'_>,
        link: &SecretHash,
        registration: &Register,
        password: Secret<String>,
    ) -> Result<(), Stop<ConfirmProblem>> {
        let limits = &self.config().limits;
        let counters = [
            limits.password_from(case.attempt.remote_address),
            limits.passwords_of_link(link),
        ];
        let hashing = &self.identity.inner.passwords;
        let asker = hashing.stranger(case.attempt.remote_address);
        // A place in the queue first: a request without one is not counted as a try.
        let queued = hashing.queue(asker).map_err(ConfirmProblem::from)?;
        let counted = case.take(&counters).await?;
        // A text longer than any password is not hashed.
        let is_right = password.expose().len() <= MAX_BYTES
            && queued
                .turn()
                .await
                .map_err(ConfirmProblem::from)?
                .verify(password, Some(registration.password_hash.clone()))
                .await
                != Match::No;
        if !is_right {
            let failure = Failure::password("wrong-password-of-registration", None);
            return Err(Stop::recorded(failure, ConfirmProblem::WrongPassword));
        }
        counted.give_back(self.storage()).await?;
        Ok(())
    }

    /// Discards a registration, for the owner of an address who did not register. Its link becomes
    /// invalid.
    pub async fn discard(
        self,
        context: RequestContext<'_>,
        link: &str,
    ) -> Result<(), ConfirmProblem> {
        let case = self.registration_case(context);
        case.answer(self.discard_by_link(&case, link).await).await
    }

    async fn discard_by_link(
        self,
        case: &UseCase<'_>,
        link: &str,
    ) -> Result<(), Stop<ConfirmProblem>> {
        let (link, registration) = self
            .pending_registration(link)
            .await?
            .ok_or(ConfirmProblem::UnknownLink)?;
        let target = Discard {
            link,
            user_name: registration.user_name,
            email: registration.email,
        };
        let permit = case.decide(&Caller::anonymous(), target).await?;
        let target = permit.target();
        let mut unit = permit.begin(self.storage()).await?;
        unit.take_link(&target.link, LinkPurpose::Registration, self.now())
            .await?
            .ok_or(ConfirmProblem::UnknownLink)?;
        let discarded = Detail::RegistrationDiscarded {
            name: target.user_name.as_written().to_owned(),
            address: target.email.clone(),
        };
        unit.commit(&permit.event(discarded)).await?;
        Ok(())
    }

    /// The secret of a link that creates the first user, if no user is or was staff. Each call
    /// creates a new one, and the previous ones become invalid.
    pub async fn first_user_link(self) -> Result<Option<Secret<String>>, StorageError> {
        if self.storage().had_staff().await? {
            return Ok(None);
        }
        let (secret, stored) = opaque::generate();
        let at = self.now();
        let mut unit = self.storage().begin().await?;
        unit.drop_links_for(LinkPurpose::FirstUser).await?;
        unit.create_link(&NewLink {
            secret: &stored,
            purpose: LinkPurpose::FirstUser,
            user: None,
            data: "",
            created_at: at,
            expires_at: at.plus_ms(LINK_MS),
        })
        .await?;
        let who = Registration::FirstUser;
        let requested = Detail::RegistrationRequested { who };
        unit.commit(&AuditEvent::of_server(at, requested)).await?;
        Ok(Some(secret))
    }

    /// Whether a link would create the first user. Changes nothing.
    pub async fn is_first_user_link(
        self,
        permit: Permit<ReadFirstUserLink>,
    ) -> Result<bool, StorageError> {
        self.is_for_first_user(&permit.target().link).await
    }

    async fn is_for_first_user(self, link: &str) -> Result<bool, StorageError> {
        let Some(stored) = opaque::hash(link) else {
            return Ok(false);
        };
        Ok(self
            .storage()
            .link(&stored, LinkPurpose::FirstUser, self.now())
            .await?
            .is_some()
            && !self.storage().had_staff().await?)
    }

    /// Creates the first user, who is staff. The link came from the server's own output, so the
    /// address still has to be verified.
    pub async fn create_first_user(
        self,
        context: RequestContext<'_>,
        link: &str,
        form: RegisterForm,
    ) -> Result<UserName, RegisterProblem> {
        let case = self.registration_case(context);
        case.answer(self.create_first(&case, link, form).await)
            .await
    }

    async fn create_first(
        self,
        case: &UseCase<'_>,
        link: &str,
        form: RegisterForm,
    ) -> Result<UserName, Stop<RegisterProblem>> {
        let stored = opaque::hash(link).ok_or(RegisterProblem::UnknownLink)?;
        // Before any costly work.
        if !self.is_for_first_user(link).await? {
            return Err(RegisterProblem::UnknownLink.into());
        }
        let (user_name, email) = self.check_form(case.attempt, &form).await?;
        let target = self
            .prepare_registration(case, user_name, email, &form.password)
            .await?;
        let caller = target.caller();
        let permit = case.decide(&caller, target).await?;
        let (target, at, id) = (permit.target(), permit.at(), UserId::new());
        let mut unit = permit.begin(self.storage()).await?;
        unit.take_link(&stored, LinkPurpose::FirstUser, self.now())
            .await?
            .ok_or(RegisterProblem::UnknownLink)?;
        let first = NewUser {
            id,
            name: &target.user_name,
            created_at: at,
            staff: true,
        };
        if !unit.create_first_user(&first).await.map_err(taken)? {
            return Err(RegisterProblem::UnknownLink.into());
        }
        unit.drop_links_for(LinkPurpose::FirstUser).await?;
        // An unverified claim on the address gives way.
        if let Some(claimant) = unit.release_unverified_email(&target.email).await? {
            let removed = Detail::EmailRemoved {
                address: target.email.clone(),
                because: Some("the first member of staff has it".to_owned()),
            };
            unit.also(&permit.event(removed).about(claimant));
        }
        unit.add_email(id, &target.email, at).await.map_err(taken)?;
        unit.set_password_hash(id, target.password_hash.expose(), at)
            .await?;
        self.identity
            .emails()
            .mail_verification(&mut unit, id, &target.user_name, &target.email, at)
            .await?;
        for detail in [
            Detail::EmailAdded {
                address: target.email.clone(),
            },
            Detail::PasswordSet {
                ended_sessions: None,
            },
            Detail::StaffGranted {
                because: Some("the first user".to_owned()),
            },
        ] {
            unit.also(&permit.event(detail).about(id));
        }
        let created = Detail::AccountCreated {
            name: target.user_name.as_written().to_owned(),
            staff: true,
        };
        unit.commit(&permit.event(created).about(id)).await?;
        Ok(target.user_name.clone())
    }
}

/// The name or address was registered by a stranger before. It is safe to reveal that to the holder
/// of this link.
fn taken(error: StorageError) -> RegisterProblem {
    let (field, message) = match error.conflict() {
        Some(Conflict::UserNameTaken) => {
            ("user-name", "the user name is taken; choose another one")
        }
        Some(Conflict::EmailTaken) => (
            "email",
            "the email address belongs to another account; take another one",
        ),
        _ => return error.into(),
    };
    RegisterProblem::Invalid(vec![FieldError {
        field,
        message: message.to_owned(),
    }])
}

/// The rule of [`UserName::parse`], in words for people who do not read patterns.
const NAME_RULE: &str = "a user name has 1 to 50 letters from a to z, digits, full stops, hyphens and underscores. \
    The first and the last one are a letter or a digit";
