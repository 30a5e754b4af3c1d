//! Logging in: the password, then the second factor, or a passkey alone.

use gate::{Attempt, Gate, Refusal};
use model::UserName;
use storage::{Secret, StorageError};

use crate::Identity;
use crate::factors::KeyAnswer;
use crate::sessions::StartedSession;

/// Where a login stands.
#[derive(Debug)]
pub enum LoginStep {
    /// Logged in.
    Started(StartedSession),
    /// The password was right; now the second factor. What is pending belongs into a cookie
    /// and counts five minutes.
    SecondFactor { pending: Secret<String> },
    /// All was right, from a browser that was never seen: the person confirms it by mail and
    /// logs in again. `mailed_before` when the mail was sent a while ago and none now.
    ConfirmDevice { device: Secret<String>, mailed_before: bool },
}

/// A login whose password was right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingLogin {
    pub user: UserName,
    /// Whether a one-time password app is enrolled.
    pub totp: bool,
    /// Whether a security key or passkey is.
    pub keys: bool,
    /// Recovery codes that were not used.
    pub recovery_codes_left: u32,
}

impl Identity {
    /// The first step: a user name or verified e-mail address, and the password. `device` is
    /// the cookie by which the browser is known, if it sent one.
    ///
    /// Unknown and disabled users, disabled and wrong passwords are refused in the same words
    /// after the same work.
    pub async fn log_in(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        name_or_email: &str,
        password: Secret<String>,
        device: Option<&str>,
    ) -> Result<LoginStep, Refusal> {
        let _ = (gate, attempt, name_or_email, password, device);
        todo!()
    }

    /// What the page for the second factor offers; none when nothing is pending. Uses nothing up.
    pub async fn pending_login(&self, pending: &str) -> Result<Option<PendingLogin>, StorageError> {
        let _ = pending;
        todo!()
    }

    /// The second step by a code of a one-time password app. A wrong one leaves the login
    /// pending.
    pub async fn log_in_with_totp(&self, gate: &Gate, attempt: &Attempt, pending: &str, code: &str, device: Option<&str>) -> Result<LoginStep, Refusal> {
        let _ = (gate, attempt, pending, code, device);
        todo!()
    }

    /// The second step by a recovery code.
    pub async fn log_in_with_recovery_code(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        pending: &str,
        code: &str,
        device: Option<&str>,
    ) -> Result<LoginStep, Refusal> {
        let _ = (gate, attempt, pending, code, device);
        todo!()
    }

    /// The second step by a security key or passkey.
    pub async fn log_in_with_key(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        pending: &str,
        answer: &KeyAnswer,
        device: Option<&str>,
    ) -> Result<LoginStep, Refusal> {
        let _ = (gate, attempt, pending, answer, device);
        todo!()
    }

    /// Everything in one step: a passkey says who it is and proves it.
    pub async fn log_in_with_passkey(&self, gate: &Gate, attempt: &Attempt, answer: &KeyAnswer, device: Option<&str>) -> Result<LoginStep, Refusal> {
        let _ = (gate, attempt, answer, device);
        todo!()
    }
}
