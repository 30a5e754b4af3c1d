//! Browsers that a user has logged in from, command lines from which a user sent password and code
//! in a call, and the confirmation of new ones by mail.
//!
//! Somebody who knows a password and reads a code over a shoulder, or gets both through a copy of
//! the login page, does not have the device. So a login with a code from an unknown browser, and a
//! call with password and code from an unknown command line, wait until the owner opens the link in
//! a mail. A security key or passkey is bound to this registry's address and does not need this.

mod again;

pub use again::MailAgain;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use gate::{Attempt, Permit, Refusal, Target, TargetFacts};
use model::audit::{Actor, AuditEvent, Detail};
use model::mail::{Mail, MailField, MailKind};
use model::{
    Action, Assurance, Caller, CredentialKind, DeviceKind, LinkPurpose, Principal, Timestamp,
    UserId, UserName,
};
use serde::{Deserialize, Serialize};
use storage::devices::DeviceRow;
use storage::links::{LinkRow, NewLink};
use storage::users::UserRow;
use storage::{Secret, SecretHash, StorageError};

use crate::accounts::notices;
use crate::history::device_in_words;
use crate::limits::{Known, Taken, TooMany};
use crate::refusals::Failure;
use crate::request::{Concerning, Ending, RequestContext, Stop, UseCase};
use crate::{Account, limits, opaque};

/// How long the links are valid.
const LINK_LIFETIME_MS: i64 = 6 * 3600 * 1000;
/// The same in words for people.
pub const LINK_LIFETIME: &str = "6 hours";

/// Maximum length of a stored machine name, in characters: enough for a person to recognise it.
const MAX_HOST: usize = 32;

/// A browser or command line that waits for confirmation, as the mailed page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInWords {
    pub user: UserName,
    pub kind: DeviceKind,
    pub remote_address: String,
    /// The browser or program in words.
    pub device: String,
    /// When it tried to log in, or sent password and code.
    pub at: Timestamp,
}

/// List the devices that are known to be a user's.
#[derive(Clone, Copy, Debug)]
pub struct ListDevices {
    pub account: Account,
}

/// Make one of a user's devices unknown again.
#[derive(Clone, Copy, Debug)]
pub struct ForgetDevice {
    account: Account,
    device: SecretHash,
}

impl ForgetDevice {
    /// `mark` is its identifier in the list; none for a text that is no identifier.
    pub fn new(account: Account, mark: &str) -> Option<Self> {
        let device = HEXLOWER.decode(mark.as_bytes()).ok()?.try_into().ok()?;
        Some(Self { account, device })
    }
}

/// A known device, as its user sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedDevice {
    /// Identifies the device when its user forgets it: the hash of its secret, which is not secret.
    pub mark: String,
    pub kind: DeviceKind,
    /// In words.
    pub device: String,
    pub confirmed_at: Timestamp,
    pub last_used_at: Timestamp,
    /// Where it was last used.
    pub remote_address: String,
    /// Whether it is the device that sent this request.
    pub current: bool,
}

/// The browser of a login, or the command line of a call.
pub(crate) struct Device {
    kind: DeviceKind,
    /// Its secret, or a fresh one.
    pub(crate) secret: Secret<String>,
    pub(crate) hash: SecretHash,
    /// None if the user never used it before.
    seen: Option<DeviceRow>,
}

impl Device {
    /// Whether the user has confirmed it.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.seen
            .as_ref()
            .is_some_and(|seen| seen.confirmed_at.is_some())
    }

    /// Proof that this is no stranger, if the device is known.
    pub(crate) fn known(&self) -> Option<Known> {
        self.is_confirmed().then_some(Known::Device(self.hash))
    }
}

/// Why a person was not proven.
#[derive(Debug)]
pub struct NotProven {
    pub refusal: Refusal,
    /// What the command line sends from now on, if everything else was right.
    pub device: Option<Secret<String>>,
}

impl From<Refusal> for NotProven {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal,
            device: None,
        }
    }
}

impl Ending for NotProven {
    fn of_storage(error: StorageError) -> Stop<Self> {
        Stop::Storage(error, None)
    }
}

/// Whether a mail may be sent about a browser.
pub(crate) enum MayAsk {
    Yes(Taken),
    /// A mail about this very browser was sent recently.
    MailedBefore,
    /// No mail was sent about this browser, and none may be sent now.
    TooMany(TooMany),
}

/// The data of a mailed link.
#[derive(Serialize, Deserialize)]
struct LinkData {
    /// Hash of the device's secret, in base64url.
    device: String,
    remote_address: String,
    user_agent: String,
}

/// The machine's own name, if it is a single plain word: its owner sees it, and only after
/// confirming the device.
pub(crate) fn host_of(text: &str) -> Option<&str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    ((1..=MAX_HOST).contains(&text.len()) && text.bytes().all(is_plain)).then_some(text)
}

/// A device in words. Only the list of confirmed devices shows the machine's own name: somebody who
/// sends a name must not be able to write to the owner of an account.
fn in_words(kind: DeviceKind, user_agent: &str) -> String {
    match kind {
        DeviceKind::Browser => device_in_words(user_agent),
        DeviceKind::CommandLine => format!("a command line ({})", device_in_words(user_agent)),
    }
}

/// Confirm that a browser is the user's, by the link that was mailed.
#[derive(Clone, Copy, Debug)]
struct ConfirmDevice {
    user: UserId,
    device: SecretHash,
    kind: DeviceKind,
    link: SecretHash,
}

/// The link proves the same as a link that verifies an address: that the mail arrived. It starts no
/// session.
impl Target for ConfirmDevice {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::EmailVerify)
    }
}

impl Target for ListDevices {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::SessionList)
    }
}

impl Target for ForgetDevice {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::SessionEnd)
    }
}

crate::areas::area! {
    /// The known browsers and command lines of a user, and the mails that confirm them.
    Devices
}

impl Devices<'_> {
    /// The browser of a login, or the command line of a call. Its secret works only if the user has
    /// used it before, and for a device of its kind: no one can plant a secret in another person's
    /// browser or file and have it confirmed.
    pub(crate) async fn device_of(
        self,
        user: UserId,
        kind: DeviceKind,
        secret: Option<&str>,
    ) -> Result<Device, StorageError> {
        if let Some(secret) = secret
            && let Some(hash) = opaque::hash(secret)
            && let Some(seen) = self.storage().device(user, &hash).await?
            && seen.kind == kind
        {
            return Ok(Device {
                kind,
                secret: Secret::new(secret.to_owned()),
                hash,
                seen: Some(seen),
            });
        }
        let (secret, hash) = opaque::generate();
        Ok(Device {
            kind,
            secret,
            hash,
            seen: None,
        })
    }

    /// Whether the user must confirm the device before a code works there. A user without a
    /// verified address cannot be asked; only operators can enroll a second factor for them.
    pub(crate) async fn must_be_confirmed(
        self,
        user: &UserRow,
        device: &Device,
    ) -> Result<bool, StorageError> {
        Ok(!device.is_confirmed() && self.identity.mailbox(user).await?.primary().is_some())
    }

    /// Whether a mail may be sent about this browser. Counted separately for each browser and for
    /// each requesting address, so requests elsewhere do not use it up.
    pub(crate) async fn may_ask(
        self,
        attempt: &Attempt,
        user: &UserRow,
        device: &Device,
    ) -> Result<MayAsk, StorageError> {
        let (limits, now) = (&self.config().limits, self.now());
        let Ok(of_device) = limits::take(
            self.storage(),
            &[limits.device_mails_for(&device.hash)],
            now,
        )
        .await?
        else {
            return Ok(MayAsk::MailedBefore);
        };
        let counters = [
            limits.device_mails_of_from(&user.name, attempt.remote_address),
            limits.device_mails_of(&user.name),
        ];
        match limits::take(self.storage(), &counters, now).await? {
            Ok(of_user) => Ok(MayAsk::Yes(of_device.and(of_user))),
            Err(too_many) => {
                of_device.give_back(self.storage()).await?;
                Ok(MayAsk::TooMany(too_many))
            }
        }
    }

    /// Refuses password and code, which were right, from an unknown command line, and mails the
    /// link that confirms it, if a mail may be sent. The code is not used up.
    pub(crate) async fn refuse_command_line(
        self,
        case: &UseCase<'_>,
        user: &UserRow,
        device: Device,
        host: Option<&str>,
    ) -> Stop<NotProven> {
        let stopped = self.ask_about_command_line(case, user, &device, host);
        let refusal = match stopped.await {
            Ok(refusal) => refusal,
            Err(stopped) => return stopped,
        };
        Stop::Ended(NotProven {
            refusal,
            device: Some(device.secret),
        })
    }

    /// The refusal for a command line that a mail was sent about.
    async fn ask_about_command_line(
        self,
        case: &UseCase<'_>,
        user: &UserRow,
        device: &Device,
        host: Option<&str>,
    ) -> Result<Refusal, Stop<NotProven>> {
        let counted = match self.may_ask(case.attempt, user, device).await.of(user.id)? {
            MayAsk::Yes(counted) => counted,
            MayAsk::MailedBefore => {
                return Ok(case.refuse(Failure::device_unknown(true, user.id)).await);
            }
            MayAsk::TooMany(too_many) => {
                return Err(Failure::no_mail_for_command_line(too_many, user.id).into());
            }
        };
        self.mail_or_give_back(case.attempt, user, device, host, counted)
            .await
            .of(user.id)?;
        // The device event already informs the user; this one records the decision.
        let Failure { kind, reason, .. } = Failure::device_unknown(false, user.id);
        let nobody = Caller {
            credential: CredentialKind::Session,
            principal: Principal::Anonymous,
            token: None,
            session: None,
            assurance: Assurance::NONE,
        };
        Ok(case
            .gate
            .refuse_as(case.attempt, &nobody, case.action, kind, reason)
            .await)
    }

    /// Mails the link that confirms the device, which is already counted.
    async fn mail_or_give_back(
        self,
        attempt: &Attempt,
        user: &UserRow,
        device: &Device,
        host: Option<&str>,
        counted: Taken,
    ) -> Result<(), StorageError> {
        let asked = self.ask_to_confirm(attempt, user, device, host, true).await;
        if asked.is_err() {
            // No mail was sent, so none is counted.
            if let Err(error) = counted.give_back(self.storage()).await {
                tracing::warn!(%error, "a mail that was not sent stays counted");
            }
        }
        asked
    }

    /// Mails the link that confirms the device, if a mail may be sent.
    pub(crate) async fn ask_to_confirm(
        self,
        attempt: &Attempt,
        user: &UserRow,
        device: &Device,
        host: Option<&str>,
        is_mailed: bool,
    ) -> Result<(), StorageError> {
        let mailbox = self.identity.mailbox(user).await?;
        let (remote_address, at) = (attempt.remote_address.to_string(), attempt.at);
        // An anonymous caller: whether this is the user is still open.
        let actor = Actor::Caller {
            user: None,
            token: None,
            remote_address: remote_address.clone(),
            user_agent: attempt.user_agent.to_string(),
        };
        let mut unit = self.storage().begin().await?;
        match device.kind {
            DeviceKind::Browser => {
                unit.see_device(
                    user.id,
                    &device.hash,
                    at,
                    &remote_address,
                    &attempt.user_agent,
                    false,
                )
                .await?
            }
            DeviceKind::CommandLine => {
                unit.see_command_line(
                    user.id,
                    &device.hash,
                    at,
                    &remote_address,
                    &attempt.user_agent,
                    host,
                )
                .await?
            }
        }
        if is_mailed {
            let (secret, link) = opaque::generate();
            let data = LinkData {
                device: BASE64URL_NOPAD.encode(&device.hash),
                remote_address: remote_address.clone(),
                user_agent: attempt.user_agent.to_string(),
            };
            let data = serde_json::to_string(&data)
                .map_err(|error| StorageError::Corrupt(error.to_string()))?;
            let expires_at = at.plus_ms(LINK_LIFETIME_MS);
            unit.create_link(&NewLink {
                secret: &link,
                purpose: LinkPurpose::DeviceConfirm,
                user: Some(user.id),
                data: &data,
                created_at: at,
                expires_at,
            })
            .await?;
            let words = [
                mailbox.user_name(),
                self.identity.link("/login/device", secret.expose()),
                (MailField::LinkLifetime, LINK_LIFETIME.to_owned()),
                notices::remote_address(&actor),
                notices::device(&actor),
                notices::at(at),
            ];
            let kind = match device.kind {
                DeviceKind::Browser => MailKind::DeviceConfirm,
                DeviceKind::CommandLine => MailKind::CommandLineConfirm,
            };
            mailbox.tell(&mut unit, &Mail::new(kind, words), at).await?;
        }
        let unrecognized = Detail::DeviceUnrecognized {
            mailed: is_mailed,
            kind: device.kind.into(),
        };
        let event = AuditEvent::new(at, actor, unrecognized)
            .about(user.id)
            .decided_by(attempt.id);
        unit.commit(&event).await?;
        Ok(())
    }

    /// The device that a mailed link would confirm; none if the link is not valid. Changes nothing.
    pub async fn device_to_confirm(
        self,
        link: &str,
    ) -> Result<Option<DeviceInWords>, StorageError> {
        let Some(hash) = opaque::hash(link) else {
            return Ok(None);
        };
        let Some(row) = self
            .storage()
            .link(&hash, LinkPurpose::DeviceConfirm, self.now())
            .await?
        else {
            return Ok(None);
        };
        let Some((user, device, data)) = self.read_link(&row).await? else {
            return Ok(None);
        };
        let Some(DeviceRow { kind, .. }) = self.storage().device(user.id, &device).await? else {
            return Ok(None);
        };
        let device = in_words(kind, &data.user_agent);
        Ok(Some(DeviceInWords {
            user: user.name,
            kind,
            remote_address: data.remote_address,
            device,
            at: row.created_at,
        }))
    }

    /// Confirms the device of the mailed link; false if the link is not valid.
    pub async fn confirm(self, context: RequestContext<'_>, link: &str) -> Result<bool, Refusal> {
        let case = self
            .identity
            .use_case(context, Action::EmailVerify, CredentialKind::Session);
        case.answer(self.confirm_by_link(&case, link).await).await
    }

    async fn confirm_by_link(self, case: &UseCase<'_>, link: &str) -> Result<bool, Stop> {
        let Some((user, target)) = self.to_confirm(link).await? else {
            return Ok(false);
        };
        let caller = Caller {
            credential: CredentialKind::Session,
            principal: Principal::User(user.facts()),
            token: None,
            session: None,
            assurance: Assurance::NONE,
        };
        let permit = case.decide(&caller, target).await?;
        self.confirm_permitted(&permit).await.of(user.id)
    }

    async fn to_confirm(
        self,
        link: &str,
    ) -> Result<Option<(UserRow, ConfirmDevice)>, StorageError> {
        let Some(hash) = opaque::hash(link) else {
            return Ok(None);
        };
        let Some(row) = self
            .storage()
            .link(&hash, LinkPurpose::DeviceConfirm, self.now())
            .await?
        else {
            return Ok(None);
        };
        let Some((user, device, _)) = self.read_link(&row).await? else {
            return Ok(None);
        };
        let Some(DeviceRow { kind, .. }) = self.storage().device(user.id, &device).await? else {
            return Ok(None);
        };
        let target = ConfirmDevice {
            user: user.id,
            device,
            kind,
            link: hash,
        };
        Ok(Some((user, target)))
    }

    async fn confirm_permitted(self, permit: &Permit<ConfirmDevice>) -> Result<bool, StorageError> {
        let ConfirmDevice {
            user,
            device,
            kind,
            link,
        } = permit.target();
        let mut unit = permit.begin(self.storage()).await?;
        let taken = unit
            .take_link(link, LinkPurpose::DeviceConfirm, permit.at())
            .await?;
        if taken.is_none() || !unit.confirm_device(*user, device, permit.at()).await? {
            return Ok(false);
        }
        let confirmed = Detail::DeviceConfirmed {
            kind: (*kind).into(),
        };
        unit.commit(&permit.event(confirmed).about(*user)).await?;
        Ok(true)
    }

    /// The known devices of a user. `cookie` is that of the requesting browser.
    pub async fn list(
        self,
        permit: Permit<ListDevices>,
        cookie: Option<&str>,
    ) -> Result<Vec<ListedDevice>, StorageError> {
        let own = cookie.and_then(opaque::hash);
        let listed = |row: DeviceRow| ListedDevice {
            mark: HEXLOWER.encode(&row.secret),
            kind: row.kind,
            device: match (row.kind, &row.host) {
                (DeviceKind::Browser, _) => device_in_words(&row.user_agent),
                (DeviceKind::CommandLine, Some(host)) => format!("Command line on {host}"),
                (DeviceKind::CommandLine, None) => {
                    format!("Command line ({})", device_in_words(&row.user_agent))
                }
            },
            confirmed_at: row.confirmed_at.unwrap_or(row.first_seen_at),
            last_used_at: row.last_seen_at,
            remote_address: row.remote_address,
            current: own == Some(row.secret),
        };
        Ok(self
            .storage()
            .known_devices(permit.target().account.id())
            .await?
            .into_iter()
            .map(listed)
            .collect())
    }

    /// Makes a device unknown again; returns whether it was known. Another user's device is treated
    /// as unknown.
    pub async fn forget(self, permit: Permit<ForgetDevice>) -> Result<bool, StorageError> {
        let ForgetDevice { account, device } = *permit.target();
        let user = account.id();
        let Some(row) = self.storage().device(user, &device).await? else {
            return Ok(false);
        };
        let mut unit = permit.begin(self.storage()).await?;
        if !unit.drop_device(user, &device).await? {
            return Ok(false);
        }
        let forgotten = Detail::DeviceForgotten {
            kind: row.kind.into(),
            host: row.host,
        };
        unit.commit(&permit.event(forgotten).about(user)).await?;
        Ok(true)
    }

    /// The user and browser of a link; none for a user who is disabled by now.
    async fn read_link(
        self,
        row: &LinkRow,
    ) -> Result<Option<(UserRow, SecretHash, LinkData)>, StorageError> {
        let Some(id) = row.user else { return Ok(None) };
        let user = self
            .storage()
            .user(id)
            .await?
            .filter(|user| user.disabled_at.is_none() && user.deleted_at.is_none());
        let Some(user) = user else { return Ok(None) };
        let unreadable =
            || StorageError::Corrupt("the data of a link to confirm a device".to_owned());
        let data: LinkData = serde_json::from_str(row.data.expose()).map_err(|_| unreadable())?;
        let device = BASE64URL_NOPAD
            .decode(data.device.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(unreadable)?;
        Ok(Some((user, device, data)))
    }
}
