//! Audit events: written with the change they tell of, never changed, never deleted.

use model::audit::{AuditEvent, EventKind};
use model::{ProjectId, UserId};

use crate::{Result, Storage};

/// An event as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditRow {
    /// Increasing.
    pub sequence: i64,
    pub event: AuditEvent,
}

/// Which events to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// The user it is about, or who did it.
    pub user: Option<UserId>,
    pub project: Option<ProjectId>,
    pub kind: Option<EventKind>,
}

impl Storage {
    /// Writes an event that tells of no change: a refusal, an authentication.
    pub async fn record_event(&self, event: &AuditEvent) -> Result<()> {
        let _ = event;
        todo!()
    }

    /// Events, newest first, those before `before` (a sequence), at most `limit`.
    pub async fn events(&self, filter: &AuditFilter, before: Option<i64>, limit: u32) -> Result<Vec<AuditRow>> {
        let _ = (filter, before, limit);
        todo!()
    }
}
