//! Security keys and passkeys (WebAuthn): enrolled, named, listed.

use gate::{ChangeFacts, Permit, Target, TargetFacts};
use model::audit::Detail;
use model::mail::{Mail, MailField, MailKind};
use model::{Action, CeremonyKind, Factor, KeyId, Timestamp};
use storage::keys::{KeyRow, NewKey};
use storage::{Conflict, StorageError};

use super::Factors;
use super::challenges::{KeyAnswer, KeyChallenge};
use super::{FactorError, words};
use crate::accounts::notices;
use crate::own::of_account;
use crate::sessions::StartedSession;
use crate::{Account, OwnSession};

pub use storage::keys::KeyKind;

/// Maximum length of a key's name, in characters.
pub const MAX_NAME: usize = 64;
/// Maximum number of keys of one user.
pub const MAX_KEYS: usize = model::limit::SECURITY_KEYS.length();

/// Ask the browser of a session for a new key.
#[derive(Clone, Debug)]
pub struct ProposeKey {
    pub session: OwnSession,
    pub kind: KeyKind,
}

/// Enroll the key that the browser created.
#[derive(Clone, Debug)]
pub struct EnrollKey {
    pub session: OwnSession,
    /// The name that its owner gives it; 1 to 64 characters.
    pub name: String,
    pub answer: KeyAnswer,
}

/// Rename a key.
#[derive(Clone, Debug)]
pub struct RenameKey {
    pub account: Account,
    /// None for a text that identifies no key.
    pub key: Option<KeyId>,
    pub name: String,
}

/// A key, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedKey {
    pub id: KeyId,
    pub name: String,
    pub kind: KeyKind,
    pub added_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
}

impl From<KeyRow> for ListedKey {
    fn from(row: KeyRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            kind: row.kind,
            added_at: row.added_at,
            last_used_at: row.last_used_at,
        }
    }
}

impl Target for ProposeKey {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts {
            change: ChangeFacts::Factor(Factor::Webauthn),
            ..TargetFacts::of(Action::FactorEnroll)
        }
    }
}

impl Target for EnrollKey {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts {
            change: ChangeFacts::Factor(Factor::Webauthn),
            ..TargetFacts::of(Action::FactorEnroll)
        }
    }
}

impl Target for RenameKey {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::AccountUpdate)
    }
}

of_account! {
    EnrollKey: session.account,
}

impl Factors<'_> {
    /// Why keys cannot be used at this registry's address, in words for people; none if they can.
    pub fn webauthn_unavailable(self) -> Option<&'static str> {
        self.identity.inner.relying_party.unavailable()
    }

    /// The request that makes a browser create a key. [`Self::enroll_key`] takes the answer, within
    /// five minutes and from the same session.
    pub async fn propose_key(
        self,
        permit: Permit<ProposeKey>,
    ) -> Result<KeyChallenge, FactorError> {
        let ProposeKey { session, kind } = *permit.target();
        self.count_proposal(session.id()).await?;
        if let Some(why) = self.webauthn_unavailable() {
            return Err(FactorError::WebauthnUnavailable(why));
        }
        let user = self.user_who_may_enroll(session.account().id()).await?;
        let known = self.storage().keys_of(user.id).await?;
        if known.len() >= MAX_KEYS {
            return Err(FactorError::TooManyKeys);
        }
        let asked = self
            .identity
            .inner
            .relying_party
            .ask_for_new_key(kind, &user, &known)
            .map_err(|_| FactorError::KeyNotAccepted)?;
        Ok(self
            .open_challenge(
                CeremonyKind::KeyEnroll,
                Some(user.id),
                Some(session.id()),
                asked,
            )
            .await?)
    }

    /// Enrolls the key that the browser created. That uses up the challenge, whatever the result; a
    /// bad name is reported before. The session gets a new secret and a proven second factor: the
    /// user could prove it with the key at once anyway.
    pub async fn enroll_key(
        self,
        permit: Permit<EnrollKey>,
    ) -> Result<(KeyId, Option<StartedSession>), FactorError> {
        let EnrollKey {
            session,
            name,
            answer,
        } = permit.target();
        let name = check_name(name)?;
        let user = self.user_who_may_enroll(session.account().id()).await?;
        let known = self.storage().keys_of(user.id).await?;
        if known.len() >= MAX_KEYS {
            return Err(FactorError::TooManyKeys);
        }
        if known
            .iter()
            .any(|key| key.name.to_lowercase() == name.to_lowercase())
        {
            return Err(FactorError::KeyNameTaken);
        }
        let ceremony = self
            .take_challenge(CeremonyKind::KeyEnroll, &answer.ceremony, self.now())
            .await?
            .ok_or(FactorError::UnknownCeremony)?;
        if ceremony.user != Some(user.id) || ceremony.session != Some(session.id()) {
            return Err(FactorError::UnknownCeremony);
        }
        let made = match self
            .identity
            .inner
            .relying_party
            .new_key(ceremony.state.expose(), &answer.response)
        {
            Ok(made) => made,
            Err(rejected) => {
                self.record_wrong(
                    &permit,
                    user.id,
                    Action::FactorEnroll,
                    Factor::Webauthn,
                    rejected.0,
                )
                .await?;
                return Err(FactorError::KeyNotAccepted);
            }
        };

        let (id, at) = (KeyId::new(), permit.at());
        let mailbox = self.identity.mailbox(&user).await?;
        let mut unit = permit.begin(self.storage()).await?;
        let key = NewKey {
            id,
            user: user.id,
            name,
            kind: made.kind,
            credential_id: &made.credential_id,
            credential: &made.credential,
            counter: made.counter,
            added_at: at,
        };
        // Held, so that keys enrolled at the same time are counted one after another.
        unit.hold_user(user.id)
            .await?
            .ok_or(FactorError::UnknownUser)?;
        if unit.count_keys(user.id).await? >= MAX_KEYS as u64 {
            return Err(FactorError::TooManyKeys);
        }
        unit.add_key(&key).await?;
        let mail = Mail::new(
            MailKind::FactorAdded,
            [
                mailbox.user_name(),
                (MailField::Factor, words(made.kind).to_owned()),
                (MailField::Name, name.to_owned()),
                notices::remote_address(permit.actor()),
                notices::device(permit.actor()),
                notices::at(at),
            ],
        );
        mailbox.tell(&mut unit, &mail, at).await?;
        let started = self
            .identity
            .sessions()
            .change_secret_for_factor(&mut unit, &permit, &user, Factor::Webauthn)
            .await?;
        let enrolled = Detail::KeyEnrolled {
            key: id.into(),
            name: name.to_owned(),
            kind: made.kind.into(),
        };
        unit.commit(&permit.event(enrolled).about(user.id)).await?;
        Ok((id, started))
    }

    /// Renames a key.
    pub async fn rename_key(self, permit: Permit<RenameKey>) -> Result<(), FactorError> {
        let RenameKey { account, key, name } = permit.target();
        let user = account.id();
        let key = key.ok_or(FactorError::UnknownKey)?;
        let name = check_name(name)?;
        let before = self
            .storage()
            .keys_of(user)
            .await?
            .into_iter()
            .find(|known| known.id == key)
            .ok_or(FactorError::UnknownKey)?;
        let mut unit = permit.begin(self.storage()).await?;
        if !unit.rename_key(user, key, name).await? {
            return Err(FactorError::UnknownKey);
        }
        let renamed = Detail::KeyRenamed {
            key: key.into(),
            name: name.to_owned(),
            before: before.name,
        };
        unit.commit(&permit.event(renamed).about(user)).await?;
        Ok(())
    }
}

impl From<StorageError> for FactorError {
    fn from(error: StorageError) -> Self {
        match error.conflict() {
            Some(Conflict::KeyTaken) => Self::KeyTaken,
            Some(Conflict::KeyNameTaken) => Self::KeyNameTaken,
            Some(Conflict::ReferenceGone) => Self::UnknownUser,
            _ => Self::Storage(error),
        }
    }
}

/// The name without surrounding white space.
fn check_name(name: &str) -> Result<&str, FactorError> {
    let name = name.trim();
    let is_name =
        (1..=MAX_NAME).contains(&name.chars().count()) && model::text::is_plain_line(name);
    if is_name {
        Ok(name)
    } else {
        Err(FactorError::InvalidKeyName)
    }
}
