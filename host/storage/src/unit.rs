//! One unit of work: changes and the audit events that tell of them, or nothing.

use model::audit::AuditEvent;

use crate::Result;

/// A transaction. Dropping it rolls it back; [`commit`](Self::commit) is the only way to keep it.
#[derive(Debug)]
pub struct UnitOfWork {}

/// What a commit came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The highest serial after the commit when readers can see a difference; none otherwise.
    pub serial: Option<i64>,
}

impl UnitOfWork {
    /// Adds a further audit event to the unit.
    pub fn also(&mut self, event: &AuditEvent) {
        let _ = event;
        todo!()
    }

    /// Writes the audit event and commits.
    pub async fn commit(self, event: &AuditEvent) -> Result<Committed> {
        let _ = event;
        todo!()
    }
}
