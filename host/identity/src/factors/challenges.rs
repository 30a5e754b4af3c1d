//! Browsers are asked for a key, and what they answer is verified.

use gate::{Attempt, Gate, Refusal};
use model::{Caller, SessionId, Timestamp, UserId};
use storage::users::UserRow;
use storage::{Secret, StorageError};

use crate::Identity;

/// What a browser answers.
#[derive(Clone, Debug)]
pub struct KeyAnswer {
    /// The [`KeyChallenge::ceremony`] it answers.
    pub ceremony: String,
    /// JSON of the `PublicKeyCredential`, at most 64 KiB.
    pub response: String,
}

/// What a browser is asked.
#[derive(Clone, Debug)]
pub struct KeyChallenge {
    /// Comes back with the answer.
    pub ceremony: Secret<String>,
    /// For `PublicKeyCredential.parseCreationOptionsFromJSON` or `parseRequestOptionsFromJSON`.
    pub options: serde_json::Value,
}

/// Where a second factor was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeyBinding<'a> {
    /// In a login that waits for its second factor, by the secret in its cookie.
    Pending(&'a str),
    /// In a session that asked for a fresh proof.
    Session(SessionId),
}

/// Why a key's answer proves nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyProblem {
    /// `why` is for the audit log alone; `user` is whose key it would have been.
    #[error("wrong: {why}")]
    Wrong { why: &'static str, user: Option<UserId> },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Identity {
    /// Asks for a passkey of whoever it is.
    pub async fn challenge_for_passkey(&self, _gate: &Gate, _attempt: &Attempt) -> Result<KeyChallenge, Refusal> {
        todo!()
    }

    /// Asks for a key in a login that waits for its second factor. `pending` is its cookie.
    pub async fn challenge_for_pending(&self, _gate: &Gate, _attempt: &Attempt, _pending: &str) -> Result<KeyChallenge, Refusal> {
        todo!()
    }

    /// Asks for a key within a session.
    pub async fn challenge_for_step_up(&self, _gate: &Gate, _attempt: &Attempt, _caller: &Caller) -> Result<KeyChallenge, Refusal> {
        todo!()
    }

    /// Whose passkey it is. Does not count attempts: the login does.
    #[allow(dead_code)]
    pub(crate) async fn verify_passkey(&self, _answer: &KeyAnswer, _now: Timestamp) -> Result<UserRow, KeyProblem> {
        todo!()
    }

    /// Whether it is a key of this user, asked for here. Does not count attempts: the login does.
    #[allow(dead_code)]
    pub(crate) async fn verify_key(&self, _user: UserId, _binding: KeyBinding<'_>, _answer: &KeyAnswer, _now: Timestamp) -> Result<(), KeyProblem> {
        todo!()
    }
}
