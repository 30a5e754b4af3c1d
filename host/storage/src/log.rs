//! The decision log and the audit events that tell of no change, written together.

use model::audit::AuditEvent;

use crate::decisions::DecisionRow;
use crate::{Result, Storage, audit, decisions};

impl Storage {
    /// Writes a group of decisions, and of events that tell of no change, in one transaction:
    /// on disk once for all of them. Bookkeeping.
    pub async fn record_log(&self, decisions: &[DecisionRow], events: &[AuditEvent]) -> Result<()> {
        let mut transaction = self.database().begin().await?;
        decisions::record(&mut transaction, decisions).await?;
        for event in events {
            audit::record(&mut transaction, event).await?;
        }
        transaction.commit().await
    }
}
