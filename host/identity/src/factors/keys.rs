//! Security keys and passkeys (WebAuthn): enrolled, named, listed.

use gate::{ChangeFacts, Permit, Target, TargetFacts};
use model::{Action, Factor, KeyId, SessionId, Timestamp, UserId};

use super::FactorError;
use super::challenges::{KeyAnswer, KeyChallenge};
use crate::Identity;

/// Longest name of a key, in characters.
pub const MAX_NAME: usize = 64;
/// Most keys of one user.
pub const MAX_KEYS: usize = 20;

/// What a key is enrolled as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// A second factor beside the password.
    SecurityKey,
    /// Logs in by itself, too: it is found without a name and verifies its owner.
    Passkey,
}

/// Ask the browser of a session for a new key.
#[derive(Clone, Debug)]
pub struct ProposeKey {
    pub user: UserId,
    pub session: SessionId,
    pub kind: KeyKind,
}

/// Enroll the key that the browser made.
#[derive(Clone, Debug)]
pub struct EnrollKey {
    pub user: UserId,
    pub session: SessionId,
    /// What its owner calls it; 1 to 64 characters.
    pub name: String,
    pub answer: KeyAnswer,
}

/// Call a key something else.
#[derive(Clone, Debug)]
pub struct RenameKey {
    pub user: UserId,
    pub key: KeyId,
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

impl Target for ProposeKey {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts { change: ChangeFacts::Factor(Factor::Webauthn), ..TargetFacts::of(Action::FactorEnroll) }
    }
}

impl Target for EnrollKey {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts { change: ChangeFacts::Factor(Factor::Webauthn), ..TargetFacts::of(Action::FactorEnroll) }
    }
}

impl Target for RenameKey {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::AccountUpdate)
    }
}

impl Identity {
    /// Why keys cannot be used at this registry's address; none if they can.
    pub fn webauthn_unavailable(&self) -> Option<&'static str> {
        todo!()
    }

    /// What the browser is asked so that it makes a key. Answered by [`Self::enroll_key`].
    pub async fn propose_key(&self, _permit: Permit<ProposeKey>) -> Result<KeyChallenge, FactorError> {
        todo!()
    }

    /// Enrolls the key that the browser made.
    pub async fn enroll_key(&self, _permit: Permit<EnrollKey>) -> Result<KeyId, FactorError> {
        todo!()
    }

    /// Calls a key something else.
    pub async fn rename_key(&self, _permit: Permit<RenameKey>) -> Result<(), FactorError> {
        todo!()
    }
}
