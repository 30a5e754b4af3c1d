//! A new password by a mailed link.
//!
//! Whoever asks for a link learns nothing about accounts: the same statements run, and the
//! same mail is written, to nobody where there is nobody to write to. The link goes to the
//! primary address as it is stored, never to what was typed, and only once that is verified.

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

/// How long a link counts.
const LINK_MS: i64 = 6 * 3600 * 1000;
pub const LINK_LIFETIME: &str = "6 hours";

/// What somebody typed who forgot the password.
enum Asked {
    Name(UserName),
    Address(String),
    /// Neither; nobody has it.
    Nonsense,
}

impl Asked {
    fn read(text: &str) -> Self {
        let text = text.trim();
        if let Ok(name) = UserName::parse(text) {
            return Self::Name(name);
        }
        // Not only what would be accepted today: somebody may have an address from before.
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

/// Ask for a link to set a new password. Which account it is for is no fact of the decision:
/// who asks must not learn whether there is one.
struct RequestReset;

impl Target for RequestReset {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::PasswordReset)
    }
}

/// Open the empty form that asks for a link.
#[derive(Clone, Copy, Debug)]
pub struct OpenResetRequest;

impl Target for OpenResetRequest {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::PasswordReset)
    }
}

/// Look whose password a link would set.
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
    /// Asks for a link to set a new password, by user name or email address. The answer, its
    /// time, the work and the statements are the same whether there is an account or not; only
    /// a verified primary address gets the link.
    ///
    /// Whoever asks too often is told so. An account that is asked for too often, by whomever,
    /// is not: a stranger must not keep its owner from the one way back. It gets no more mails,
    /// but for one while no link that was mailed counts.
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

    /// Whether the account that is asked for got fewer mails than it may.
    async fn is_rarely_asked_for(self, asked: &Asked) -> Result<bool, StorageError> {
        let limits = &self.config().limits;
        let counter = match asked {
            Asked::Name(name) => limits.resets_of(name),
            Asked::Address(address) => limits.resets_of_address(address),
            // Nobody gets a mail; the same statements all the same.
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
        // Nobody has a new id, but asking takes as long.
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
        // Whoever changes addresses in this moment asks again: none goes to one that just ceased.
        let are_the_same = unit.emails(id.unwrap_or_else(UserId::new)).await? == emails;
        let recipient = address
            .as_deref()
            .filter(|_| are_the_same && (is_rarely_asked_for || live == 0));
        let puts_back = recipient
            .filter(|_| user.as_ref().is_some_and(is_secured))
            .unwrap_or_default();
        // One that is mailed to nobody is known to nobody, and nobody's.
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

    /// Whose password a link would set, for the page with the form. Changes nothing.
    pub async fn waiting_for(
        self,
        permit: Permit<ReadResetLink>,
    ) -> Result<Option<UserName>, StorageError> {
        self.still_waiting_for(&permit.target().link).await
    }

    /// The same for the form that was sent, which is decided with the new password.
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

    /// Sets a new password by a link, which enables the password. Ends every session, and
    /// with them every login that waits for its second step.
    ///
    /// The browser is known to be the user's from then on, as after a link that confirms one:
    /// both prove that the mail arrived. Or a stranger who fails on purpose would keep an owner
    /// out who has no known browser, however often they set a new password. What it is known by
    /// comes back; it is new, since what others may have copied from it is good for nothing more.
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
        // A link that was refused counts on, and each try costs a hash.
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
        // The user first, as everywhere, so that nobody waits in a circle.
        unit.hold_user(target.user)
            .await?
            .filter(is_there)
            .ok_or(PasswordProblem::UnknownLink)?;
        let link = unit
            .take_link(&target.link, LinkPurpose::PasswordReset, self.now())
            .await?
            .ok_or(PasswordProblem::UnknownLink)?;
        // Where the link went, if that is not where mails go now: whoever secured the account
        // has it back with the address from before.
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

    /// A link for a new password, as a whole address for a mail, made in the unit of the
    /// change that the mail tells of. It counts for [`LINK_LIFETIME`]. Mailed to `address`, it
    /// also makes that the primary one again; not so if that is empty.
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

/// A link for a first password, valid for so long.
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
