//! Proving once more who one is, within a session.

use gate::{Attempt, Gate, Refusal, Target, TargetFacts};
use model::{Action, Caller, SessionId};
use storage::Secret;

use crate::Identity;
use crate::factors::KeyAnswer;
use crate::sessions::StartedSession;

/// Renew what a session has proven.
#[derive(Clone, Copy, Debug)]
pub struct StepUp {
    pub session: SessionId,
}

impl Target for StepUp {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::SessionStepUp)
    }
}

impl Identity {
    /// Proves the password anew. `cookie` is what the session was presented with; it counts no
    /// more afterwards.
    pub async fn step_up_with_password(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        caller: &Caller,
        cookie: &str,
        password: Secret<String>,
    ) -> Result<StartedSession, Refusal> {
        let _ = (gate, attempt, caller, cookie, password);
        todo!()
    }

    /// Proves the second factor anew, by a code of a one-time password app.
    pub async fn step_up_with_totp(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        caller: &Caller,
        cookie: &str,
        code: &str,
    ) -> Result<StartedSession, Refusal> {
        let _ = (gate, attempt, caller, cookie, code);
        todo!()
    }

    /// The same by a recovery code.
    pub async fn step_up_with_recovery_code(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        caller: &Caller,
        cookie: &str,
        code: &str,
    ) -> Result<StartedSession, Refusal> {
        let _ = (gate, attempt, caller, cookie, code);
        todo!()
    }

    /// The same by a security key or passkey.
    pub async fn step_up_with_key(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        caller: &Caller,
        cookie: &str,
        answer: &KeyAnswer,
    ) -> Result<StartedSession, Refusal> {
        let _ = (gate, attempt, caller, cookie, answer);
        todo!()
    }
}
