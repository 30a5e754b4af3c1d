//! Recovery codes: eight, shown once, each good once.

use gate::{Attempt, Permit, Target, TargetFacts};
use model::{Action, UserId};
use storage::users::UserRow;
use storage::{Secret, StorageError};

use super::FactorError;
use crate::Identity;

/// How many there are.
pub const CODES: usize = 8;

/// Generate recovery codes; those before count no more.
#[derive(Clone, Debug)]
pub struct GenerateRecoveryCodes {
    pub user: UserId,
}

/// Use one, to show that they were kept.
#[derive(Clone, Debug)]
pub struct ConfirmRecoveryCodes {
    pub user: UserId,
    pub code: String,
}

impl Target for GenerateRecoveryCodes {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::RecoveryCodesGenerate)
    }
}

impl Target for ConfirmRecoveryCodes {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::RecoveryCodesGenerate)
    }
}

/// Why a recovery code proves nothing.
#[derive(Debug, thiserror::Error)]
#[allow(dead_code)]
pub(crate) enum RecoveryCodeProblem {
    /// `why` is for the audit log alone.
    #[error("wrong: {why}")]
    Wrong { why: &'static str },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Identity {
    /// Eight fresh codes, to be shown once.
    pub async fn generate_recovery_codes(&self, _permit: Permit<GenerateRecoveryCodes>) -> Result<Vec<Secret<String>>, FactorError> {
        todo!()
    }

    /// Uses up a code; from now on second factors can be enrolled.
    pub async fn confirm_recovery_codes(&self, _permit: Permit<ConfirmRecoveryCodes>) -> Result<(), FactorError> {
        todo!()
    }

    /// Uses up a code in place of a second factor, with its event and its mails; how many are
    /// left. Does not count attempts: the login does.
    #[allow(dead_code)]
    pub(crate) async fn spend_recovery_code(&self, _attempt: &Attempt, _user: &UserRow, _code: &str) -> Result<u32, RecoveryCodeProblem> {
        todo!()
    }
}
