//! A new password for somebody who knows the old one.

use gate::{Attempt, Gate, Refusal};
use model::Caller;
use storage::{Secret, StorageError};

use crate::Identity;
use crate::passwords::{Busy, UnsuitablePassword};

/// Why a password was not set.
#[derive(Debug, thiserror::Error)]
pub enum PasswordProblem {
    #[error(transparent)]
    Unsuitable(#[from] UnsuitablePassword),
    #[error("the current password is wrong")]
    WrongCurrent,
    #[error("the link does not count any more; ask for another one")]
    UnknownLink,
    #[error(transparent)]
    Refused(Refusal),
    #[error(transparent)]
    Busy(#[from] Busy),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Identity {
    /// Changes the caller's own password. Ends the caller's other sessions.
    pub async fn change_password(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        caller: &Caller,
        current: Secret<String>,
        new: Secret<String>,
    ) -> Result<(), PasswordProblem> {
        let _ = (gate, attempt, caller, current, new);
        todo!()
    }
}
