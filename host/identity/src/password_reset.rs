//! A new password by a mailed link.
//!
//! A request for a link reveals nothing about accounts: the same statements run, and the same mail
//! is written; without a recipient it is never sent. The link goes to the primary address as it is
//! stored, never to the typed one, and only if that is verified.

use gate::{Permit, Refusal, Target, TargetFacts};
use model::audit::Detail;
use model::email::comparable;
use model::mail::{Mail, MailField, MailKind};
use model::text::is_plain_line;
use model::{
    Action, Caller, CredentialKind, EmailAddress, LinkPurpose, Timestamp, UserId, UserName,
};
use storage::links::NewLink;
use storage::users::UserRow;
use storage::{Secret, SecretHash, StorageError, UnitOfWork};

use crate::accounts::is_secured;
use crate::accounts::notices::{Mailbox, at, device, enqueue, remote_address};
use crate::accounts::{is_there, person, standing_primary};
use crate::limits;
use crate::opaque;
use crate::password_change::PasswordProblem;
use crate::password_change::Passwords;
use crate::request::{Concerning, RequestContext, Stop, UseCase};

/// How long a link is valid.
const LINK_MS: i64 = 6 * 3600 * 1000;
pub const LINK_LIFETIME: &str = "6 hours";

/// What a user who forgot the password typed.
enum Asked {
    Name(UserName),
    Address(String),
    /// Neither; it matches no account.
    Nonsense,
}

impl Asked {
    fn read(text: &str) -> Self {
        let text = text.trim();
        if let Ok(name) = UserName::parse(text) {
            return Self::Name(name);
        }
        // Not only what would be accepted today: some addresses are older than the rules.
        let address = comparable(text);
        let is_address = address.len() <= EmailAddress::MAX_LENGTH
            && address.contains('@')
            && is_plain_line(&address);
        if is_address {
            Self::Address(address.into_owned())
        } else {
            Self::Nonsense
        }
    }
}

/// Request a link to set a new password. The account is no fact of the decision: the answer must
/// not reveal whether it exists.
struct RequestReset;

impl Target for RequestReset {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::PasswordReset)
    }
}

/// Open the empty form that requests a link.
#[derive(Clone, Copy, Debug)]
pub struct OpenResetRequest;

impl Target for OpenResetRequest {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::PasswordReset)
    }
}

/// Find the user whose password a link would set.
#[derive(Clone, Debug)]
pub struct ReadResetLink {
    pub link: String,
}

impl Target for ReadResetLink {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::PasswordReset)
    }
}

/// Set a new password by a link.
struct ResetPassword {
    user: UserId,
    link: SecretHash,
    password_hash: Secret<String>,
}

impl Target for ResetPassword {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::PasswordReset)
    }
}

impl Passwords<'_> {
    /// Requests a link to set a new password, by user name or email address. The answer, its time,
    /// the work and the statements are the same whether there is an account or not; only a verified
    /// primary address gets the link.
    ///
    /// A caller who asks too often is refused. A request for an account that is asked for too
    /// often, by anyone, is not: a stranger must not block its owner's only way back. The account
    /// gets no more mails, except for one if no mailed link is valid.
    pub async fn request_reset(
        self,
        context: RequestContext<'_>,
        name_or_email: &str,
    ) -> Result<(), Refusal> {
        let case = self
            .identity
            .use_case(context, Action::PasswordReset, CredentialKind::None);
        self.identity
            .answer_evenly(async {
                case.answer(self.ask_for_link(&case, name_or_email).await)
                    .await
            })
            .await
    }

    async fn ask_for_link(self, case: &UseCase<'_>, name_or_email: &str) -> Result<(), Stop> {
        let asked = Asked::read(name_or_email);
        let limits = &self.config().limits;
        let _counted = case
            .take(&[limits.resets_from(case.attempt.remote_address)])
            .await?;
        let permit = case.decide(&Caller::anonymous(), RequestReset).await?;
        Ok(self.mail_reset_link(&permit, &asked).await?)
    }

    /// Whether the requested account got fewer mails than it may.
    async fn is_rarely_asked_for(self, asked: &Asked) -> Result<bool, StorageError> {
        let limits = &self.config().limits;
        let counter = match asked {
            Asked::Name(name) => limits.resets_of(name),
            Asked::Address(address) => limits.resets_of_address(address),
            // No mail is sent; the same statements run anyway.
            Asked::Nonsense => limits.resets_of_address(""),
        };
        Ok(limits::take(self.storage(), &[counter], self.now())
            .await?
            .is_ok())
    }

    async fn mail_reset_link(
        self,
        permit: &Permit<RequestReset>,
        asked: &Asked,
    ) -> Result<(), StorageError> {
        let is_rarely_asked_for = self.is_rarely_asked_for(asked).await?;
        let user = match asked {
            Asked::Name(name) => self.storage().user_by_name(name).await?,
            Asked::Address(address) => self.storage().user_by_email(address).await?,
            Asked::Nonsense => None,
        };
        let user = user.filter(is_there);
        // A fresh id matches no user, but the query takes as long.
        let emails = self
            .storage()
            .emails(user.as_ref().map_or_else(UserId::new, |user| user.id))
            .await?;
        let address = user.as_ref().and_then(|user| {
            let mailbox = Mailbox {
                user: user.id,
                name: user.name.clone(),
                emails: emails.clone(),
            };
            standing_primary::reset_address(user, &mailbox, self.now())
        });
        let name = user.as_ref().map_or("-", |user| user.name.as_written());

        let (id, now) = (user.as_ref().map(|user| user.id), permit.at());
        let (secret, stored) = opaque::generate();
        let words = [
            (MailField::UserName, name.to_owned()),
            self.identity.link("/password/reset", secret.expose()),
            (MailField::LinkLifetime, LINK_LIFETIME.to_owned()),
            remote_address(permit.actor()),
        ];
        let mut unit = permit.begin(self.storage()).await?;
        let live = unit
            .live_links(
                id.unwrap_or_else(UserId::new),
                LinkPurpose::PasswordReset,
                now,
            )
            .await?;
        // If addresses change at this moment, no link is sent: it must not go to a removed address.
        let are_the_same = unit.emails(id.unwrap_or_else(UserId::new)).await? == emails;
        let recipient = address
            .as_deref()
            .filter(|_| are_the_same && (is_rarely_asked_for || live == 0));
        let puts_back = recipient
            .filter(|_| user.as_ref().is_some_and(is_secured))
            .unwrap_or_default();
        // A link that is mailed to no one has no user, and no one knows its secret.
        unit.create_link(&new_link(
            &stored,
            id.filter(|_| recipient.is_some()),
            puts_back,
            now,
        ))
        .await?;
        enqueue(
            &mut unit,
            &Mail::new(MailKind::PasswordResetLink, words),
            id,
            recipient,
            now,
        )
        .await?;
        let requested = Detail::PasswordResetRequested {
            mailed: recipient.is_some(),
            known: id.is_some(),
            often: !is_rarely_asked_for,
        };
        unit.commit(&permit.event(requested).about(id)).await?;
        Ok(())
    }

    /// The user whose password a link would set, for the page with the form. Changes nothing.
    pub async fn waiting_for(
        self,
        permit: Permit<ReadResetLink>,
    ) -> Result<Option<UserName>, StorageError> {
        self.still_waiting_for(&permit.target().link).await
    }

    /// The same for the submitted form, which is decided together with the new password.
    pub async fn still_waiting_for(self, link: &str) -> Result<Option<UserName>, StorageError> {
        Ok(self.pending_reset(link).await?.map(|(_, user)| user.name))
    }

    async fn pending_reset(
        self,
        link: &str,
    ) -> Result<Option<(SecretHash, UserRow)>, StorageError> {
        let Some(stored) = opaque::hash(link) else {
            return Ok(None);
        };
        let Some(user) = self
            .storage()
            .link(&stored, LinkPurpose::PasswordReset, self.now())
            .await?
            .and_then(|row| row.user)
        else {
            return Ok(None);
        };
        Ok(self
            .storage()
            .user(user)
            .await?
            .filter(is_there)
            .map(|user| (stored, user)))
    }

    /// Sets a new password by a link, which enables the password. Ends every session and every
    /// login that waits for its second step.
    ///
    /// The browser then becomes known, as after a link that confirms one: both prove that the mail
    /// arrived. Otherwise a stranger who fails on purpose could lock out an owner without a known
    /// browser, however often they set a new password. Returns the browser's secret. It is new, so
    /// copies of the old one are useless.
    pub async fn reset(
        self,
        context: RequestContext<'_>,
        link: &str,
        new: Secret<String>,
    ) -> Result<Secret<String>, PasswordProblem> {
        let case = self
            .identity
            .use_case(context, Action::PasswordReset, CredentialKind::None);
        case.answer(self.reset_by_link(&case, link, new).await)
            .await
    }

    async fn reset_by_link(
        self,
        case: &UseCase<'_>,
        link: &str,
        new: Secret<String>,
    ) -> Result<Secret<String>, Stop<PasswordProblem>> {
        let (stored, user) = self
            .pending_reset(link)
            .await?
            .ok_or(PasswordProblem::UnknownLink)?;
        // A link that was refused stays valid, and each try costs a hash.
        let counter = self.config().limits.passwords_of_link(&stored);
        let counted = case.take(&[counter]).await.of(user.id)?;
        let mailbox = self.identity.mailbox(&user).await?;
        let addresses = mailbox.addresses();
        let asker = self.identity.inner.passwords.known(&user.name);
        let hashed = self.hash_new_password(asker, &new, &user.name, &addresses);
        let hashed = hashed.await.map_err(PasswordProblem::from);
        if let Err(PasswordProblem::Busy(_)) = hashed {
            counted.give_back(self.storage()).await?;
        }
        let password_hash = Secret::new(hashed?);
        let state = self.password_state(case, &new, Some(user.id)).await?;
        let target = ResetPassword {
            user: user.id,
            link: stored,
            password_hash,
        };
        let permit = case.decide(&person(&user, state), target).await?;

        let (target, now) = (permit.target(), permit.at());
        let mut unit = permit.begin(self.storage()).await?;
        // The user first, as everywhere, to avoid deadlocks.
        unit.hold_user(target.user)
            .await?
            .filter(is_there)
            .ok_or(PasswordProblem::UnknownLink)?;
        let link = unit
            .take_link(&target.link, LinkPurpose::PasswordReset, self.now())
            .await?
            .ok_or(PasswordProblem::UnknownLink)?;
        // The link's address, if mails now go elsewhere: the owner who secured the account gets it
        // back with the previous address.
        let mailed_to = comparable(link.data.expose());
        let mailed_to = Some(&*mailed_to).filter(|address| !address.is_empty());
        let put_back = match mailed_to.filter(|address| {
            !mailbox
                .primary()
                .is_some_and(|primary| primary.eq_ignore_ascii_case(address))
        }) {
            Some(address) => standing_primary::put_back(&mut unit, &permit, &mailbox, address)
                .await?
                .then_some(address),
            None => None,
        };
        unit.set_password_hash(target.user, target.password_hash.expose(), now)
            .await?;
        let ended = self
            .end_what_was_begun(&mut unit, target.user, None, None)
            .await?;
        let (known_by, browser) = opaque::generate();
        unit.see_device(
            target.user,
            &browser,
            now,
            &case.attempt.remote_address.to_string(),
            &case.attempt.user_agent,
            true,
        )
        .await?;
        let words = [
            mailbox.user_name(),
            remote_address(permit.actor()),
            device(permit.actor()),
            at(now),
        ];
        if let Some(recipient) = put_back.or(mailbox.primary()) {
            enqueue(
                &mut unit,
                &Mail::new(MailKind::PasswordReset, words),
                Some(target.user),
                Some(recipient),
                now,
            )
            .await?;
        }
        let reset = Detail::PasswordReset {
            ended_sessions: ended,
        };
        unit.commit(&permit.event(reset).about(target.user)).await?;
        Ok(known_by)
    }

    /// A link for a new password, as a full URL for a mail, created in the unit of the change that
    /// the mail reports. Valid for [`LINK_LIFETIME`]. If `address` is not empty, using the link
    /// also makes it the primary address again.
    pub(crate) async fn link_to_reset(
        self,
        unit: &mut UnitOfWork,
        user: UserId,
        at: Timestamp,
        address: &str,
    ) -> Result<Secret<String>, StorageError> {
        let (secret, stored) = opaque::generate();
        unit.create_link(&new_link(&stored, Some(user), address, at))
            .await?;
        Ok(Secret::new(
            self.identity.link("/password/reset", secret.expose()).1,
        ))
    }
}

/// A link for a first password, valid until this time.
pub(crate) fn new_link_until(
    secret: &SecretHash,
    user: UserId,
    at: Timestamp,
    lifetime_ms: i64,
) -> NewLink<'_> {
    NewLink {
        expires_at: at.plus_ms(lifetime_ms),
        ..new_link(secret, Some(user), "", at)
    }
}

fn new_link<'a>(
    secret: &'a SecretHash,
    user: Option<UserId>,
    address: &'a str,
    at: Timestamp,
) -> NewLink<'a> {
    NewLink {
        secret,
        purpose: LinkPurpose::PasswordReset,
        user,
        data: address,
        created_at: at,
        expires_at: at.plus_ms(LINK_MS),
    }
}
