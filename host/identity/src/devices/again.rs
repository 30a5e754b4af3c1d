//! Mails the link about an unknown browser again, on request of the browser that waits for it.

use gate::{Attempt, Refusal, Target, TargetFacts};
use model::limit::DEVICE_MAILS_PER_ACCOUNT;
use model::{Action, Assurance, Caller, CeremonyKind, CredentialKind, DeviceKind, Principal};
use storage::ceremonies::NewCeremony;
use storage::users::UserRow;
use storage::{Secret, StorageError};

use super::Devices;
use super::{Device, LINK_LIFETIME_MS, MayAsk};
use crate::opaque;
use crate::refusals::Failure;
use crate::request::{Concerning, RequestContext, Stop, UseCase};

/// The result of asking for another mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailAgain {
    Sent,
    /// One was sent a moment ago, so none is sent now.
    SentBefore,
    /// The browser has been confirmed by now.
    Confirmed,
    /// The browser does not wait for a mail: it is too late, another browser, or made up.
    NotWaiting,
}

/// Mail the link about a browser again.
struct AskAgain {
    user: UserRow,
    device: Device,
}

/// The mail proves the same as a link that verifies an address.
impl Target for AskAgain {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::EmailVerify)
    }
}

impl Devices<'_> {
    /// Remembers that this browser may ask for the mail again: password and code were right in it.
    /// Returns what its page sends. As many may wait as mails may be sent in an hour.
    pub(crate) async fn wait_for_confirmation(
        self,
        attempt: &Attempt,
        user: &UserRow,
    ) -> Result<Secret<String>, StorageError> {
        let (secret, hash) = opaque::generate();
        let (created_at, expires_at) = (attempt.at, attempt.at.plus_ms(LINK_LIFETIME_MS));
        let ceremony = NewCeremony {
            secret: &hash,
            kind: CeremonyKind::DeviceMail,
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

    /// Mails the link about the browser again. `asked` comes from the page, `cookie` identifies the
    /// browser; either alone is useless.
    pub async fn mail_about_browser_again(
        self,
        context: RequestContext<'_>,
        asked: &str,
        cookie: Option<&str>,
    ) -> Result<MailAgain, Refusal> {
        let case = self
            .identity
            .use_case(context, Action::EmailVerify, CredentialKind::Session);
        case.answer(self.mail_again(&case, asked, cookie).await)
            .await
    }

    async fn mail_again(
        self,
        case: &UseCase<'_>,
        asked: &str,
        cookie: Option<&str>,
    ) -> Result<MailAgain, Stop> {
        let Some((user, device)) = self.waiting_browser(asked, cookie).await? else {
            return Ok(MailAgain::NotWaiting);
        };
        if device.is_confirmed() {
            return Ok(MailAgain::Confirmed);
        }
        let caller = Caller {
            credential: CredentialKind::Session,
            principal: Principal::User(user.facts()),
            token: None,
            session: None,
            assurance: Assurance::NONE,
        };
        let permit = case.decide(&caller, AskAgain { user, device }).await?;
        let AskAgain { user, device } = permit.into_target();
        let counted = match self
            .may_ask(case.attempt, &user, &device)
            .await
            .of(user.id)?
        {
            MayAsk::Yes(counted) => counted,
            MayAsk::MailedBefore => return Ok(MailAgain::SentBefore),
            MayAsk::TooMany(too_many) => {
                return Err(Failure::no_mail(too_many, user.id).into());
            }
        };
        self.mail_or_give_back(case.attempt, &user, &device, None, counted)
            .await
            .of(user.id)?;
        Ok(MailAgain::Sent)
    }

    /// The user and browser that wait under this secret; none if there are none.
    async fn waiting_browser(
        self,
        asked: &str,
        cookie: Option<&str>,
    ) -> Result<Option<(UserRow, Device)>, StorageError> {
        let Some(hash) = opaque::hash(asked) else {
            return Ok(None);
        };
        // A new password ends the wait by deleting the row.
        let Some(user) = self
            .storage()
            .ceremony(&hash, CeremonyKind::DeviceMail, self.now())
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
