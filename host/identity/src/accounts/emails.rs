//! The email addresses of a user.

use gate::{Permit, Refusal, Target, TargetFacts};
use model::audit::Detail;
use model::audit::detail::{Promotion, RequestedMail};
use model::email::comparable;
use model::mail::{Mail, MailField, MailKind};
use model::{
    Action, CredentialKind, EmailAddress, LinkPurpose, PasswordState, Timestamp, UserId, UserName,
};
use storage::links::NewLink;
use storage::users::{EmailRow, UserRow};
use storage::{Conflict, SecretHash, StorageError, UnitOfWork};

use super::notices::{self, Mailbox, device, enqueue, remote_address};
use super::standing_primary::note_promotion;
use super::{AccountError, MAX_EMAILS, is_there, person};
use crate::limits::{self, TooMany};
use crate::own::of_account;
use crate::request::{RequestContext, Stop, UseCase};
use crate::{Account, AccountView, opaque};

/// How long a link is valid.
const LINK_MS: i64 = 24 * 3600 * 1000;
/// The same in words for people.
pub const LINK_LIFETIME: &str = "24 hours";

macro_rules! targets {
    ($($(#[$doc:meta])* $name:ident = $action:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            pub account: Account,
            pub address: String,
        }

        impl Target for $name {
            fn facts(&self) -> TargetFacts<'_> {
                TargetFacts::of(Action::$action)
            }
        }
    )*};
}

targets! {
    /// Add an address to a user; the first one becomes the primary one.
    AddEmail = EmailAdd;
    /// Mark an address as known to be the user's.
    VerifyEmail = EmailVerify;
    /// Make a verified address the primary one.
    PromoteEmail = EmailPromote;
    /// Remove an address that is not the primary one.
    RemoveEmail = EmailRemove;
    /// Mail a link to an address that is not verified yet.
    SendVerification = EmailVerify;
}

/// Make the address of a mailed link a verified address of its user.
struct ConfirmEmail {
    user: UserId,
    link: SecretHash,
    address: String,
}

impl Target for ConfirmEmail {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::EmailVerify)
    }
}

/// Show the address that a mailed link would verify.
#[derive(Clone, Debug)]
pub struct ReadEmailLink {
    pub link: String,
}

impl Target for ReadEmailLink {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::EmailVerify)
    }
}

/// The address that a mailed link would verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnverifiedEmail {
    pub user: UserName,
    pub address: String,
}

of_account! {
    AddEmail: account,
    PromoteEmail: account,
    RemoveEmail: account,
    SendVerification: account,
}

crate::areas::area! {
    /// Email addresses of accounts.
    Emails
}

impl Emails<'_> {
    /// Adds an unverified address, on the command line. Over the network, a link is mailed to the
    /// address, which is added once the link is opened. Until then, the answer and the work are the
    /// same whether or not another account has the address, and no one can keep an address from its
    /// owner by claiming it.
    pub async fn add(self, permit: Permit<AddEmail>) -> Result<(), AccountError> {
        let AddEmail { account, address } = permit.target();
        let user = account.id();
        let address = EmailAddress::parse(address)?;
        let address = address.as_str();
        let Some((remote_address, _)) = permit.actor().place() else {
            return self.add_unverified(&permit, address).await;
        };
        let row = self
            .storage()
            .user(user)
            .await?
            .filter(|row| is_there(row) && account.is_own(&permit))
            .ok_or(AccountError::UnknownUser)?;
        let own = self.storage().emails(user).await?;
        if own
            .iter()
            .any(|email| email.address.eq_ignore_ascii_case(address))
        {
            return Err(AccountError::EmailTaken);
        }
        if own.len() >= MAX_EMAILS {
            return Err(AccountError::TooManyEmails);
        }
        let limits = &self.config().limits;
        let mut counters = vec![limits.verifications_of(&row.name)];
        if let Ok(from) = remote_address.parse() {
            counters.push(limits.added_emails_from(from));
            counters.extend(limits.verifications_of_address(address, from));
        }
        self.count_mails(&counters).await?;
        let is_taken = self
            .storage()
            .email(address)
            .await?
            .is_some_and(|email| email.verified_at.is_some());
        let mut unit = permit.begin(self.storage()).await?;
        let recipient = (!is_taken).then_some(address);
        self.mail_verification_link(&mut unit, user, &row.name, address, recipient, permit.at())
            .await?;
        unit.commit(&permit.event(verification_to(address)).about(user))
            .await?;
        Ok(())
    }

    async fn add_unverified(
        self,
        permit: &Permit<AddEmail>,
        address: &str,
    ) -> Result<(), AccountError> {
        let user = permit.target().account.id();
        let mut unit = permit.begin(self.storage()).await?;
        unit.hold_user(user)
            .await?
            .ok_or(AccountError::UnknownUser)?;
        if unit.emails(user).await?.len() >= MAX_EMAILS {
            return Err(AccountError::TooManyEmails);
        }
        unit.add_email(user, address, permit.at()).await?;
        let address = address.to_owned();
        unit.commit(&permit.event(Detail::EmailAdded { address }).about(user))
            .await?;
        Ok(())
    }

    /// Mails a link that verifies an address of the user, to that address.
    pub async fn send_verification(
        self,
        permit: Permit<SendVerification>,
    ) -> Result<(), AccountError> {
        let SendVerification { account, address } = permit.target();
        let user = account.id();
        let row = self
            .storage()
            .user(user)
            .await?
            .filter(|row| is_there(row) && account.is_own(&permit))
            .ok_or(AccountError::UnknownUser)?;
        let known = self.one_of(user, address).await?;
        if known.verified_at.is_some() {
            return Ok(());
        }
        let limits = &self.config().limits;
        self.count_mails(&[limits.verifications_of(&row.name)])
            .await?;
        let mut unit = permit.begin(self.storage()).await?;
        self.mail_verification(&mut unit, user, &row.name, &known.address, permit.at())
            .await?;
        let requested = verification_to(&known.address);
        unit.commit(&permit.event(requested).about(user)).await?;
        Ok(())
    }

    async fn count_mails(self, counters: &[limits::Counter]) -> Result<(), AccountError> {
        let too_many = |TooMany {
                            retry_after_seconds,
                        }| AccountError::Limited {
            retry_after_seconds,
        };
        limits::take(self.storage(), counters, self.now())
            .await?
            .map(drop)
            .map_err(too_many)
    }

    /// Mails a link that makes an address the user's own, to that address.
    pub(crate) async fn mail_verification(
        self,
        unit: &mut UnitOfWork,
        user: UserId,
        name: &UserName,
        address: &str,
        at: Timestamp,
    ) -> Result<(), StorageError> {
        self.mail_verification_link(unit, user, name, address, Some(address), at)
            .await
    }

    async fn mail_verification_link(
        self,
        unit: &mut UnitOfWork,
        user: UserId,
        name: &UserName,
        address: &str,
        recipient: Option<&str>,
        at: Timestamp,
    ) -> Result<(), StorageError> {
        let (secret, stored) = opaque::generate();
        let words = [
            (MailField::UserName, name.as_written().to_owned()),
            (MailField::Address, address.to_owned()),
            self.identity.link("/email/confirm", secret.expose()),
            (MailField::LinkLifetime, LINK_LIFETIME.to_owned()),
        ];
        let link = NewLink {
            secret: &stored,
            purpose: LinkPurpose::EmailVerify,
            user: Some(user),
            data: address,
            created_at: at,
            expires_at: at.plus_ms(LINK_MS),
        };
        unit.create_link(&link).await?;
        enqueue(
            unit,
            &Mail::new(MailKind::EmailVerify, words),
            Some(user),
            recipient,
            at,
        )
        .await
    }

    /// The address that a link would verify, for the page that asks for a confirmation.
    /// Changes nothing.
    pub async fn waiting_for(
        self,
        permit: Permit<ReadEmailLink>,
    ) -> Result<Option<UnverifiedEmail>, StorageError> {
        let pending = self.pending(&permit.target().link).await?;
        Ok(pending.map(|(_, user, address)| UnverifiedEmail {
            user: user.name,
            address,
        }))
    }

    async fn pending(
        self,
        link: &str,
    ) -> Result<Option<(SecretHash, UserRow, String)>, StorageError> {
        let Some(stored) = opaque::hash(link) else {
            return Ok(None);
        };
        let Some(row) = self
            .storage()
            .link(&stored, LinkPurpose::EmailVerify, self.now())
            .await?
        else {
            return Ok(None);
        };
        let Some(user) = row.user else {
            return Ok(None);
        };
        let user = self.storage().user(user).await?.filter(is_there);
        // A link from before domains had one form holds an address in another form.
        Ok(user.map(|user| (stored, user, comparable(row.data.expose()).into_owned())))
    }

    /// Verifies the address of a link, which is then used up. Returns the address; none if the link
    /// is not valid or another account has the address by now.
    pub async fn confirm(
        self,
        context: RequestContext<'_>,
        link: &str,
    ) -> Result<Option<String>, Refusal> {
        let case = self
            .identity
            .use_case(context, Action::EmailVerify, CredentialKind::None);
        case.answer(self.confirm_by_link(&case, link).await).await
    }

    async fn confirm_by_link(self, case: &UseCase<'_>, link: &str) -> Result<Option<String>, Stop> {
        let Some((link, user, address)) = self.pending(link).await? else {
            return Ok(None);
        };
        let caller = person(&user, PasswordState::Unchecked);
        let target = ConfirmEmail {
            user: user.id,
            link,
            address,
        };
        let permit = case.decide(&caller, target).await?;
        match self.own_confirmed_address(&permit).await {
            Ok(true) => Ok(Some(permit.into_target().address)),
            Ok(false) => Ok(None),
            Err(error) if error.conflict() == Some(Conflict::EmailTaken) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn own_confirmed_address(
        self,
        permit: &Permit<ConfirmEmail>,
    ) -> Result<bool, StorageError> {
        let ConfirmEmail {
            user,
            ref link,
            ref address,
        } = *permit.target();
        let at = permit.at();
        let mut unit = permit.begin(self.storage()).await?;
        let Some(row) = unit.hold_user(user).await?.filter(is_there) else {
            return Ok(false);
        };
        // After the user is held: otherwise links confirmed at the same time could exceed the
        // limit.
        let emails = unit.emails(user).await?;
        let own = emails
            .iter()
            .find(|email| email.address.eq_ignore_ascii_case(address));
        if own.is_none() && emails.len() >= MAX_EMAILS {
            return Ok(false);
        }
        if unit
            .take_link(link, LinkPurpose::EmailVerify, self.now())
            .await?
            .is_none()
        {
            return Ok(false);
        }
        let is_new = own.is_none();
        let mailbox = Mailbox {
            user,
            name: row.name,
            emails,
        };
        if is_new {
            // The link proves who owns the address; an unverified claim gives way.
            if let Some(claimant) = unit.release_unverified_email(address).await? {
                let removed = Detail::EmailRemoved {
                    address: address.to_owned(),
                    because: Some("another account verified the address".to_owned()),
                };
                unit.also(&permit.event(removed).about(claimant));
            }
            unit.add_email(user, address, at).await?;
            let mail = Mail::new(
                MailKind::EmailAdded,
                change_words(permit, &mailbox, address),
            );
            mailbox.tell(&mut unit, &mail, at).await?;
            let address = address.to_owned();
            unit.also(&permit.event(Detail::EmailAdded { address }).about(user));
        }
        // False if it was the user's own address and was removed meanwhile.
        if !unit.verify_email(user, address, at).await? {
            return Ok(false);
        }
        let address = address.to_owned();
        unit.commit(&permit.event(Detail::EmailVerified { address }).about(user))
            .await?;
        Ok(true)
    }

    /// The addresses of an account, the primary one first.
    pub async fn of(self, view: AccountView) -> Result<Vec<EmailRow>, StorageError> {
        self.storage().emails(view.user()).await
    }

    /// Marks an address as verified, on the command line: an operator knows its owner. Over the
    /// network, the mailed link is the proof. Returns whether this changed anything.
    pub async fn verify(self, permit: Permit<VerifyEmail>) -> Result<bool, AccountError> {
        if permit.actor().is_remote() {
            return Err(AccountError::VerifiedByLink);
        }
        let VerifyEmail { account, address } = permit.target();
        let user = account.id();
        let known = self.one_of(user, address).await?;
        if known.verified_at.is_some() {
            return Ok(false);
        }
        let mut unit = permit.begin(self.storage()).await?;
        if !unit.verify_email(user, &known.address, permit.at()).await? {
            return Err(AccountError::UnknownEmail);
        }
        let address = known.address;
        unit.commit(&permit.event(Detail::EmailVerified { address }).about(user))
            .await?;
        Ok(true)
    }

    /// Makes an address the primary one. Returns whether this changed anything. Only a verified
    /// one: policies ask for a verified primary address. Links that were mailed to the old one, for
    /// a new password or to confirm a browser, become invalid.
    pub async fn promote(self, permit: Permit<PromoteEmail>) -> Result<bool, AccountError> {
        let PromoteEmail { account, address } = permit.target();
        let user = account.id();
        let known = self.one_of(user, address).await?;
        if known.primary {
            return Ok(false);
        }
        if known.verified_at.is_none() {
            return Err(AccountError::EmailNotVerified);
        }
        let mut unit = permit.begin(self.storage()).await?;
        // The user is held, so no other promotion changes the primary address until the commit.
        let row = unit
            .hold_user(user)
            .await?
            .filter(|_| account.is_own(&permit))
            .ok_or(AccountError::UnknownUser)?;
        let mailbox = Mailbox {
            user,
            name: row.name.clone(),
            emails: unit.emails(user).await?,
        };
        note_promotion(&mut unit, &permit, &row, &mailbox).await?;
        if !unit.promote_email(user, &known.address).await? {
            return Err(AccountError::UnknownEmail);
        }
        for purpose in [LinkPurpose::PasswordReset, LinkPurpose::DeviceConfirm] {
            unit.drop_links(user, Some(purpose)).await?;
        }
        if let Some(old) = mailbox.primary() {
            let [name, address_word, from, device, at] =
                change_words(&permit, &mailbox, &known.address);
            let words = [
                name,
                address_word,
                (MailField::OtherAddress, old.to_owned()),
                from,
                device,
                at,
            ];
            let mail = Mail::new(MailKind::PrimaryEmailChanged, words);
            for recipient in [old, &known.address] {
                enqueue(&mut unit, &mail, Some(user), Some(recipient), permit.at()).await?;
            }
        }
        let promoted = Detail::EmailPromoted {
            address: known.address,
            how: Promotion::Chosen {
                before: mailbox.primary().map(str::to_owned),
            },
        };
        unit.commit(&permit.event(promoted).about(user)).await?;
        Ok(true)
    }

    /// Removes an address. Mails it if it was verified, and mails the primary one.
    pub async fn remove(self, permit: Permit<RemoveEmail>) -> Result<(), AccountError> {
        let RemoveEmail { account, address } = permit.target();
        let user = account.id();
        let known = self.one_of(user, address).await?;
        let row = self
            .storage()
            .user(user)
            .await?
            .filter(|_| account.is_own(&permit))
            .ok_or(AccountError::UnknownUser)?;
        let mailbox = self.identity.mailbox(&row).await?;
        let mut unit = permit.begin(self.storage()).await?;
        // The write itself keeps the primary address, even if it became primary just now.
        if known.primary || !unit.remove_email(user, &known.address).await? {
            return Err(AccountError::PrimaryEmail);
        }
        // Several may have been mailed before it was verified: none may add it again.
        unit.drop_links(user, Some(LinkPurpose::EmailVerify))
            .await?;
        let mail = Mail::new(
            MailKind::EmailRemoved,
            change_words(&permit, &mailbox, &known.address),
        );
        mailbox.tell(&mut unit, &mail, permit.at()).await?;
        if known.verified_at.is_some() {
            enqueue(
                &mut unit,
                &mail,
                Some(user),
                Some(&known.address),
                permit.at(),
            )
            .await?;
        }
        let removed = Detail::EmailRemoved {
            address: known.address,
            because: None,
        };
        unit.commit(&permit.event(removed).about(user)).await?;
        Ok(())
    }

    async fn one_of(self, user: UserId, address: &str) -> Result<EmailRow, AccountError> {
        // Whatever form it is stored or typed in.
        let named = comparable(address);
        let known = self
            .storage()
            .emails(user)
            .await?
            .into_iter()
            .find(|email| comparable(&email.address).eq_ignore_ascii_case(&named));
        known.ok_or(AccountError::UnknownEmail)
    }
}

fn verification_to(address: &str) -> Detail {
    let what = RequestedMail::To {
        mail: MailKind::EmailVerify.into(),
        address: address.to_owned(),
    };
    Detail::MailRequested { what }
}

/// The fields that mails about a changed address share.
fn change_words<T>(
    permit: &Permit<T>,
    mailbox: &Mailbox,
    address: &str,
) -> [(MailField, String); 5] {
    let actor = permit.actor();
    [
        mailbox.user_name(),
        (MailField::Address, address.to_owned()),
        remote_address(actor),
        device(actor),
        notices::at(permit.at()),
    ]
}
