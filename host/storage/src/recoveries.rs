//! Recoveries: accounts whose owners lost every factor, restored by staff after a wait.

use model::{RecoveryId, Timestamp, UserId, UserName};

use crate::database::Row;
use crate::statement::statements;
use crate::{Conflict, Result, Storage, UnitOfWork};

/// A recovery to start.
#[derive(Clone, Debug)]
pub struct NewRecovery<'a> {
    pub id: RecoveryId,
    pub user: UserId,
    /// Name of the staff member, or of the system user on the command line.
    pub started_by: &'a str,
    /// At most 1000 characters.
    pub reason: &'a str,
    pub started_at: Timestamp,
    /// The earliest time at which it can be completed.
    pub effective_at: Timestamp,
}

/// How a recovery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecoveryOutcome {
    Completed,
    Cancelled,
}

impl RecoveryOutcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Completed, Self::Cancelled]
            .into_iter()
            .find(|outcome| outcome.as_str() == word)
    }
}

/// A recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryRow {
    pub id: RecoveryId,
    pub user: UserId,
    pub user_name: UserName,
    pub started_by: String,
    pub reason: String,
    pub started_at: Timestamp,
    pub effective_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// None while it waits.
    pub outcome: Option<RecoveryOutcome>,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT recoveries.id AS id, user_id, users.name AS user_name, started_by, reason, started_at, effective_at, ended_at, outcome
            FROM recoveries JOIN users ON users.id = recoveries.user_id ",
            $rest
        )
    };
}

/// Longest reason and name, in characters.
const MAX_TEXT: usize = 1000;

statements! {
    BY_ID = select!("WHERE recoveries.id = $1");
    RUNNING = select!("WHERE user_id = $1 AND ended_at IS NULL");
    LIST = select!("ORDER BY started_at DESC, recoveries.id DESC LIMIT $1");
    DUE = select!("WHERE ended_at IS NULL AND effective_at <= $1 ORDER BY effective_at, recoveries.id LIMIT $2");
    START = "INSERT INTO recoveries (id, user_id, started_by, reason, started_at, effective_at) VALUES ($1, $2, $3, $4, $5, $6)";
    /// Of a simultaneous cancellation and completion, one ends it; none is completed before its
    /// time.
    END = "UPDATE recoveries SET outcome = $2, ended_at = $3
        WHERE id = $1 AND ended_at IS NULL AND (CAST($2 AS TEXT) = 'cancelled' OR effective_at <= $3)";
    CANCEL_OF_USER = "UPDATE recoveries SET outcome = 'cancelled', ended_at = $2 WHERE user_id = $1 AND ended_at IS NULL";
}

impl Storage {
    /// The recovery with this id.
    pub async fn recovery(&self, id: RecoveryId) -> Result<Option<RecoveryRow>> {
        self.database()
            .optional(&BY_ID, &[id.into()])
            .await?
            .as_ref()
            .map(recovery_row)
            .transpose()
    }

    /// The running recovery of a user.
    pub async fn recovery_of(&self, user: UserId) -> Result<Option<RecoveryRow>> {
        self.database()
            .optional(&RUNNING, &[user.into()])
            .await?
            .as_ref()
            .map(recovery_row)
            .transpose()
    }

    /// Recoveries, newest first, at most `limit`.
    pub async fn recoveries(&self, limit: u32) -> Result<Vec<RecoveryRow>> {
        self.database()
            .all(&LIST, &[limit.into()])
            .await?
            .iter()
            .map(recovery_row)
            .collect()
    }

    /// Running recoveries whose wait is over, at most `limit`.
    pub async fn due_recoveries(&self, now: Timestamp, limit: u32) -> Result<Vec<RecoveryRow>> {
        self.database()
            .all(&DUE, &[now.into(), limit.into()])
            .await?
            .iter()
            .map(recovery_row)
            .collect()
    }
}

impl UnitOfWork {
    /// Starts a recovery. `Conflict::RecoveryRunning`.
    pub async fn start_recovery(&mut self, recovery: &NewRecovery<'_>) -> Result<()> {
        if recovery.reason.chars().count() > MAX_TEXT
            || recovery.started_by.chars().count() > MAX_TEXT
        {
            return self.refuse(Conflict::TextRefused);
        }
        if !self.lock_user(recovery.user).await? {
            return self.refuse(Conflict::ReferenceGone);
        }
        let values = [
            recovery.id.into(),
            recovery.user.into(),
            recovery.started_by.into(),
            recovery.reason.into(),
            recovery.started_at.into(),
            recovery.effective_at.into(),
        ];
        self.execute(&START, &values).await.map(drop)
    }

    /// Ends a running recovery, by completion only if its wait is over. Returns whether it did: of
    /// several that end it at once, one does.
    pub async fn end_recovery(
        &mut self,
        id: RecoveryId,
        outcome: RecoveryOutcome,
        at: Timestamp,
    ) -> Result<bool> {
        Ok(self
            .execute(&END, &[id.into(), outcome.as_str().into(), at.into()])
            .await?
            == 1)
    }

    pub(crate) async fn cancel_recovery_of(&mut self, user: UserId, at: Timestamp) -> Result<()> {
        self.execute(&CANCEL_OF_USER, &[user.into(), at.into()])
            .await
            .map(drop)
    }
}

fn recovery_row(row: &Row) -> Result<RecoveryRow> {
    Ok(RecoveryRow {
        id: row.parsed("id")?,
        user: row.parsed("user_id")?,
        user_name: row.read("user_name", |text| UserName::parse(text).ok())?,
        started_by: row.text("started_by")?,
        reason: row.text("reason")?,
        started_at: row.time("started_at")?,
        effective_at: row.time("effective_at")?,
        ended_at: row.optional_time("ended_at")?,
        outcome: row.optional_read("outcome", RecoveryOutcome::from_word)?,
    })
}
