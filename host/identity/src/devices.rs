//! Browsers that a user has logged in from, and the confirmation of new ones by mail.
//!
//! Who knows a password and reads a code over a shoulder, or has both typed into a copy of
//! the login page, does not have the browser: a login with a code from one that was never
//! seen waits until its owner opened the mail about it. A security key or passkey is bound to
//! this registry's address and needs no such thing.

use data_encoding::BASE64URL_NOPAD;
use gate::{Attempt, Gate, Permit, Refusal, Target, TargetFacts};
use model::audit::{Actor, AuditEvent, EventKind};
use model::mail::{Mail, MailField, MailKind};
use model::{Action, Assurance, Caller, CredentialKind, Principal, Timestamp, UserId, UserName};
use serde::{Deserialize, Serialize};
use serde_json::json;
use storage::devices::DeviceRow;
use storage::links::{LinkRow, NewLink};
use storage::users::UserRow;
use storage::{Secret, SecretHash, StorageError};

use crate::accounts::notices;
use crate::history::device_in_words;
use crate::limits::{Known, Taken, TooMany};
use crate::refusals::Failure;
use crate::{Identity, limits, opaque};

/// The purpose of the links in storage.
pub(crate) const DEVICE_CONFIRM: &str = "device-confirm";
/// How long they count.
const LINK_LIFETIME_MS: i64 = 6 * 3600 * 1000;
/// The same for people.
pub const LINK_LIFETIME: &str = "6 hours";

/// A browser that waits to be confirmed, as the mailed page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInWords {
    pub user: UserName,
    pub remote_address: String,
    /// The browser in words.
    pub device: String,
    /// When it tried to log in.
    pub at: Timestamp,
}

/// The browser of a login.
pub(crate) struct Device {
    /// What it is known by: its cookie, or a fresh one.
    pub(crate) secret: Secret<String>,
    pub(crate) hash: SecretHash,
    /// None when the user never came from it.
    seen: Option<DeviceRow>,
}

impl Device {
    /// Whether it is known to be the user's.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.seen.as_ref().is_some_and(|seen| seen.confirmed_at.is_some())
    }

    /// What a stranger has not, if this is it.
    pub(crate) fn known(&self) -> Option<Known> {
        self.is_confirmed().then_some(Known::Device(self.hash))
    }
}

/// Whether a mail may ask about a browser.
pub(crate) enum MayAsk {
    Yes(Taken),
    /// One about this very browser was sent a while ago.
    MailedBefore,
    /// None was sent about this browser, and none is now.
    TooMany(TooMany),
}

/// What a mailed link is about.
#[derive(Serialize, Deserialize)]
struct LinkData {
    /// Hash of the device's secret, in base64url.
    device: String,
    remote_address: String,
    user_agent: String,
}

/// Confirm that a browser is the user's, by the link that was mailed.
#[derive(Clone, Copy, Debug)]
struct ConfirmDevice {
    user: UserId,
    device: SecretHash,
    link: SecretHash,
}

/// What is proven is what a link that verifies an address proves: that the mail arrived. No
/// session comes of it.
impl Target for ConfirmDevice {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::EmailVerify)
    }
}

impl Identity {
    /// The browser of a login. Its cookie counts only where the user came from it before:
    /// nobody can put one into somebody else's browser and have it confirmed.
    pub(crate) async fn device_of(&self, user: UserId, cookie: Option<&str>) -> Result<Device, StorageError> {
        if let Some(cookie) = cookie
            && let Some(hash) = opaque::hash(cookie)
            && let Some(seen) = self.storage().device(user, &hash).await?
        {
            return Ok(Device { secret: Secret::new(cookie.to_owned()), hash, seen: Some(seen) });
        }
        let (secret, hash) = opaque::generate();
        Ok(Device { secret, hash, seen: None })
    }

    /// Whether the user must confirm the browser before a login by a code counts. Whoever has
    /// no verified address cannot be asked, and is known to the operators alone: they
    /// enrolled the second factor.
    pub(crate) async fn must_be_confirmed(&self, user: &UserRow, device: &Device) -> Result<bool, StorageError> {
        Ok(!device.is_confirmed() && self.mailbox(user).await?.primary().is_some())
    }

    /// Whether a mail may ask about this browser. Counted by itself for each browser, and for
    /// each address that somebody asks from: what others do elsewhere does not use it up.
    pub(crate) async fn may_ask(&self, attempt: &Attempt, user: &UserRow, device: &Device) -> Result<MayAsk, StorageError> {
        let (limits, now) = (&self.config().limits, self.now());
        let Ok(of_device) = limits::take(self.storage(), &[limits.device_mails_for(&device.hash)], now).await? else { return Ok(MayAsk::MailedBefore) };
        let counters = [limits.device_mails_of_from(&user.name, attempt.remote_address), limits.device_mails_of(&user.name)];
        match limits::take(self.storage(), &counters, now).await? {
            Ok(of_user) => Ok(MayAsk::Yes(of_device.and(of_user))),
            Err(too_many) => {
                of_device.give_back(self.storage()).await?;
                Ok(MayAsk::TooMany(too_many))
            }
        }
    }

    /// Mails the link that confirms the browser, where it may.
    pub(crate) async fn ask_to_confirm(&self, attempt: &Attempt, user: &UserRow, device: &Device, is_mailed: bool) -> Result<(), StorageError> {
        let mailbox = self.mailbox(user).await?;
        let (remote_address, at) = (attempt.remote_address.to_string(), attempt.at);
        // Nobody in particular: whether it is the user is what is asked.
        let actor = Actor::Caller { user: None, token: None, remote_address: remote_address.clone(), user_agent: attempt.user_agent.to_string() };
        let mut unit = self.storage().begin().await?;
        unit.see_device(user.id, &device.hash, at, &remote_address, &attempt.user_agent, false).await?;
        if is_mailed {
            let (secret, link) = opaque::generate();
            let data =
                LinkData { device: BASE64URL_NOPAD.encode(&device.hash), remote_address: remote_address.clone(), user_agent: attempt.user_agent.to_string() };
            let data = serde_json::to_string(&data).map_err(|error| StorageError::Corrupt(error.to_string()))?;
            let expires_at = at.plus_ms(LINK_LIFETIME_MS);
            unit.create_link(&NewLink { secret: &link, purpose: DEVICE_CONFIRM, user: Some(user.id), data: &data, created_at: at, expires_at }).await?;
            let words = [
                mailbox.user_name(),
                self.link("/login/device", secret.expose()),
                (MailField::LinkLifetime, LINK_LIFETIME.to_owned()),
                notices::remote_address(&actor),
                notices::device(&actor),
                notices::at(at),
            ];
            mailbox.tell(&mut unit, &Mail::new(MailKind::DeviceConfirm, words), at).await?;
        }
        let event = AuditEvent {
            at,
            kind: EventKind::DeviceUnrecognized,
            actor,
            user: Some(user.id),
            project: None,
            decision: Some(attempt.id),
            detail: json!({ "mailed": is_mailed }),
        };
        unit.commit(&event).await?;
        Ok(())
    }

    /// Which browser a mailed link would confirm; none when the link does not count.
    /// Changes nothing.
    pub async fn device_to_confirm(&self, link: &str) -> Result<Option<DeviceInWords>, StorageError> {
        let Some(hash) = opaque::hash(link) else { return Ok(None) };
        let Some(row) = self.storage().link(&hash, DEVICE_CONFIRM, self.now()).await? else { return Ok(None) };
        let Some((user, _, data)) = self.read_link(&row).await? else { return Ok(None) };
        let device = device_in_words(&data.user_agent);
        Ok(Some(DeviceInWords { user: user.name, remote_address: data.remote_address, device, at: row.created_at }))
    }

    /// Confirms the browser that the mailed link is about; false when the link does not count.
    pub async fn confirm_device(&self, gate: &Gate, attempt: &Attempt, link: &str) -> Result<bool, Refusal> {
        let action = Action::EmailVerify;
        let found = async {
            let Some(hash) = opaque::hash(link) else { return Ok(None) };
            let Some(row) = self.storage().link(&hash, DEVICE_CONFIRM, self.now()).await? else { return Ok(None) };
            Ok::<_, StorageError>(self.read_link(&row).await?.map(|(user, device, _)| {
                let target = ConfirmDevice { user: user.id, device, link: hash };
                (user, target)
            }))
        };
        let (user, target) = match found.await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(false),
            Err(error) => return Err(self.refuse(gate, attempt, action, Failure::unavailable(CredentialKind::Session, &error)).await),
        };
        let caller =
            Caller { credential: CredentialKind::Session, principal: Principal::User(user.facts()), token: None, session: None, assurance: Assurance::NONE };
        let permit = gate.decide(attempt, &caller, target).await?;
        match self.confirm_permitted(&permit).await {
            Ok(confirmed) => Ok(confirmed),
            Err(error) => Err(self.refuse(gate, attempt, action, Failure::unavailable(CredentialKind::Session, &error).of(user.id)).await),
        }
    }

    async fn confirm_permitted(&self, permit: &Permit<ConfirmDevice>) -> Result<bool, StorageError> {
        let ConfirmDevice { user, device, link } = permit.target();
        let mut unit = permit.begin(self.storage()).await?;
        let taken = unit.take_link(link, DEVICE_CONFIRM, permit.at()).await?;
        if taken.is_none() || !unit.confirm_device(*user, device, permit.at()).await? {
            return Ok(false);
        }
        unit.commit(&crate::accounts::event(permit, EventKind::DeviceConfirmed, *user, json!({}))).await?;
        Ok(true)
    }

    /// Whose browser a link is about; none for a user who is disabled by now.
    async fn read_link(&self, row: &LinkRow) -> Result<Option<(UserRow, SecretHash, LinkData)>, StorageError> {
        let Some(id) = row.user else { return Ok(None) };
        let user = self.storage().user(id).await?.filter(|user| user.disabled_at.is_none() && user.deleted_at.is_none());
        let Some(user) = user else { return Ok(None) };
        let unreadable = || StorageError::Corrupt("the data of a link to confirm a device".to_owned());
        let data: LinkData = serde_json::from_str(row.data.expose()).map_err(|_| unreadable())?;
        let device = BASE64URL_NOPAD.decode(data.device.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(unreadable)?;
        Ok(Some((user, device, data)))
    }
}
