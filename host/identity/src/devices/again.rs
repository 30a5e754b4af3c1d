//! The mail about an unknown browser, once more: asked for by the browser that waits for it.

use gate::{Attempt, Gate, Refusal, Target, TargetFacts};
use model::limit::DEVICE_MAILS_PER_ACCOUNT;
use model::{Action, Assurance, Caller, CredentialKind, DeviceKind, Principal};
use storage::ceremonies::NewCeremony;
use storage::users::UserRow;
use storage::{Secret, StorageError};

use super::{Device, LINK_LIFETIME_MS, MayAsk};
use crate::refusals::Failure;
use crate::{Identity, opaque};

/// The kind of the ceremony in storage.
const KIND: &str = "device-mail";

/// What came of asking for another mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailAgain {
    Sent,
    /// One was sent a moment ago, and none now.
    SentBefore,
    /// The browser was confirmed by now.
    Confirmed,
    /// The browser does not wait for a mail: too long ago, another browser, or made up.
    NotWaiting,
}

/// Mail the link about a browser again.
#[derive(Clone, Copy, Debug)]
struct AskAgain;

/// What the mail proves is what a link that verifies an address proves.
impl Target for AskAgain {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::EmailVerify)
    }
}

impl Identity {
    /// Remembers that this browser may ask for the mail again: its user's password and a code
    /// were right in it. What its page is to send. As many may wait as are mailed about in an hour.
    pub(crate) async fn wait_for_confirmation(
        &self,
        attempt: &Attempt,
        user: &UserRow,
    ) -> Result<Secret<String>, StorageError> {
        let (secret, hash) = opaque::generate();
        let (created_at, expires_at) = (attempt.at, attempt.at.plus_ms(LINK_LIFETIME_MS));
        let ceremony = NewCeremony {
            secret: &hash,
            kind: KIND,
            user: Some(user.id),
            session: None,
            state: "",
            created_at,
            expires_at,
        };
        self.storage()
            .open_ceremony_of_few(&ceremony, DEVICE_MAILS_PER_ACCOUNT.in_window(3600))
            .await?;
        Ok(secret)
    }

    /// Mails the link about the browser again. `asked` is what the page sends, `cookie` what the
    /// browser is known by; either alone is of no use.
    pub async fn mail_about_browser_again(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        asked: &str,
        cookie: Option<&str>,
    ) -> Result<MailAgain, Refusal> {
        let action = Action::EmailVerify;
        let unavailable =
            |error: &StorageError| Failure::unavailable(CredentialKind::Session, error);
        let (user, device) = match self.waiting_browser(asked, cookie).await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(MailAgain::NotWaiting),
            Err(error) => {
                return Err(self
                    .refuse(gate, attempt, action, unavailable(&error))
                    .await);
            }
        };
        if device.is_confirmed() {
            return Ok(MailAgain::Confirmed);
        }
        let (principal, assurance) = (Principal::User(user.facts()), Assurance::NONE);
        let caller = Caller {
            credential: CredentialKind::Session,
            principal,
            token: None,
            session: None,
            assurance,
        };
        let _permit = gate.decide(attempt, &caller, AskAgain).await?;
        let counted = match self.may_ask(attempt, &user, &device).await {
            Ok(MayAsk::Yes(counted)) => counted,
            Ok(MayAsk::MailedBefore) => return Ok(MailAgain::SentBefore),
            Ok(MayAsk::TooMany(too_many)) => {
                return Err(self
                    .refuse(gate, attempt, action, Failure::no_mail(too_many, user.id))
                    .await);
            }
            Err(error) => {
                return Err(self
                    .refuse(gate, attempt, action, unavailable(&error).of(user.id))
                    .await);
            }
        };
        match self
            .ask_to_confirm(attempt, &user, &device, None, true)
            .await
        {
            Ok(()) => Ok(MailAgain::Sent),
            Err(error) => {
                // No mail, so none counts.
                if let Err(error) = counted.give_back(self.storage()).await {
                    tracing::warn!(%error, "a mail that was not sent stays counted");
                }
                Err(self
                    .refuse(gate, attempt, action, unavailable(&error).of(user.id))
                    .await)
            }
        }
    }

    /// Whose browser waits under this secret, and which; none where none does.
    async fn waiting_browser(
        &self,
        asked: &str,
        cookie: Option<&str>,
    ) -> Result<Option<(UserRow, Device)>, StorageError> {
        let Some(hash) = opaque::hash(asked) else {
            return Ok(None);
        };
        // A new password ends what waits: its row is gone with it.
        let Some(user) = self
            .storage()
            .ceremony(&hash, KIND, self.now())
            .await?
            .and_then(|row| row.user)
        else {
            return Ok(None);
        };
        let user = self.storage().user(user).await?;
        let may_log_in = |user: &UserRow| {
            user.disabled_at.is_none()
                && user.deleted_at.is_none()
                && user.password_disabled.is_none()
        };
        let Some(user) = user.filter(may_log_in) else {
            return Ok(None);
        };
        let device = self.device_of(user.id, DeviceKind::Browser, cookie).await?;
        let was_seen = device.seen.is_some();
        Ok(was_seen.then_some((user, device)))
    }
}
