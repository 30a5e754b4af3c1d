//! Recovery of an account by staff: announced, delayed, audited.

use gate::{Attempt, Gate, Permit, Refusal, Target, TargetFacts};
use model::{Action, RecoveryId, Timestamp, UserId, UserName};
use storage::StorageError;

use crate::Identity;

/// Fewest and most characters of a reason.
pub const MIN_REASON: usize = 10;
pub const MAX_REASON: usize = 300;

/// Recover somebody's account.
#[derive(Clone, Debug)]
pub struct RecoverAccount {
    pub user: UserId,
    /// Why, for the person and for the operators; 10 to 300 characters.
    pub reason: String,
}

/// Stop a recovery that waits.
#[derive(Clone, Copy, Debug)]
pub struct CancelRecovery {
    pub recovery: RecoveryId,
}

/// List recoveries, the newest first.
#[derive(Clone, Copy, Debug)]
pub struct ListRecoveries {
    /// Most of them.
    pub limit: u32,
}

/// A recovery, for staff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedRecovery {
    pub id: RecoveryId,
    pub user: UserName,
    /// Name of the staff member, or of the system user on the command line.
    pub started_by: String,
    pub reason: String,
    pub started_at: Timestamp,
    pub effective_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// `completed` or `cancelled`; none while it waits.
    pub outcome: Option<String>,
}

/// A recovery that its owner may stop, for the page behind the mailed link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnouncedRecovery {
    pub user: UserName,
    pub reason: String,
    pub effective_at: Timestamp,
}

/// Why a recovery was not started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    #[error("the user does not exist")]
    UnknownUser,
    #[error("a reason has {MIN_REASON} to {MAX_REASON} characters, none of them a control character")]
    InvalidReason,
    #[error("nobody recovers their own account; ask another member of the staff")]
    OwnAccount,
    #[error("an account of the staff is recovered on the command line only")]
    StaffAccount,
    #[error("the user has no verified e-mail address to tell of the recovery; verify one first")]
    NobodyToTell,
    #[error("a recovery of the account is running already")]
    Running,
    #[error("the recovery does not exist or has ended")]
    UnknownRecovery,
    #[error(transparent)]
    Refused(Refusal),
    #[error(transparent)]
    Storage(StorageError),
}

impl Target for RecoverAccount {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::AccountRecover)
    }
}

impl Target for CancelRecovery {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::AccountRecover)
    }
}

impl Target for ListRecoveries {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::AccountRecover)
    }
}

impl Identity {
    /// Announces a recovery to every verified address of the user. It happens after the
    /// configured wait unless it is stopped.
    pub async fn start_recovery(&self, permit: Permit<RecoverAccount>) -> Result<RecoveryId, RecoveryError> {
        let _ = permit;
        todo!()
    }

    /// Stops a recovery that waits.
    pub async fn cancel_recovery(&self, permit: Permit<CancelRecovery>) -> Result<(), RecoveryError> {
        let _ = permit;
        todo!()
    }

    /// Recoveries for staff, the newest first.
    pub async fn recoveries(&self, permit: Permit<ListRecoveries>) -> Result<Vec<ListedRecovery>, StorageError> {
        let _ = permit;
        todo!()
    }

    /// The recovery that a mailed link would stop. Changes nothing.
    pub async fn announced_recovery(&self, link: &str) -> Result<Option<AnnouncedRecovery>, StorageError> {
        let _ = link;
        todo!()
    }

    /// Stops a recovery by the mailed link. `UnknownRecovery` for a link that does not count.
    pub async fn cancel_recovery_by_link(&self, gate: &Gate, attempt: &Attempt, link: &str) -> Result<(), RecoveryError> {
        let _ = (gate, attempt, link);
        todo!()
    }

    /// Completes the recoveries whose time has come; how many. For a task in the background,
    /// on any number of servers.
    pub async fn complete_due_recoveries(&self) -> Result<u64, StorageError> {
        todo!()
    }
}
