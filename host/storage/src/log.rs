//! The decision log and the audit events without a change, written together.

use model::audit::AuditEvent;

use crate::decisions::DecisionRow;
use crate::{Result, Storage, audit, decisions};

impl Storage {
    /// Writes a group of decisions, and of events without a change, in one transaction, so that
    /// they share one sync to disk. Bookkeeping.
    pub async fn record_log(&self, decisions: &[DecisionRow], events: &[AuditEvent]) -> Result<()> {
        let mut transaction = self.database().begin().await?;
        decisions::record(&mut transaction, decisions).await?;
        for event in events {
            audit::record(&mut transaction, event).await?;
        }
        transaction.commit().await
    }
}
