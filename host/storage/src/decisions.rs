//! The decision log. Bookkeeping: it is written in batches, beside the changes.

use model::{DecisionId, Timestamp, TokenId, UserId};

use crate::{Result, Storage};

/// One decision.
#[derive(Clone, Debug, PartialEq)]
pub struct DecisionRow {
    pub id: DecisionId,
    pub at: Timestamp,
    /// The action's text, `noun:verb`.
    pub action: String,
    /// A word of the gate's: what the decision came to.
    pub outcome: String,
    /// Number of the policy set; none if no set decided.
    pub set_number: Option<i64>,
    pub user: Option<UserId>,
    pub token: Option<TokenId>,
    /// Normalized name of the project, whether it exists or not.
    pub project_name: Option<String>,
    /// Pattern of the route.
    pub route: String,
    pub remote_address: String,
    /// Spent deciding.
    pub microseconds: u64,
    /// Everything else, as JSON text: context, verdicts, reasons. Empty in lists.
    pub record: String,
}

/// Which decisions to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecisionFilter {
    pub outcome: Option<String>,
    pub action: Option<String>,
    pub project_name: Option<String>,
    pub user: Option<UserId>,
}

impl Storage {
    /// Writes decisions to the log, in one transaction. One that is there already is left as it is.
    pub async fn record_decisions(&self, decisions: &[DecisionRow]) -> Result<()> {
        let _ = decisions;
        todo!()
    }

    /// The decision with this id, record included.
    pub async fn decision(&self, id: DecisionId) -> Result<Option<DecisionRow>> {
        let _ = id;
        todo!()
    }

    /// Decisions, newest first, those before `before` (time and id of the last one of the
    /// page before), at most `limit`. Without their records.
    pub async fn decisions(&self, filter: &DecisionFilter, before: Option<(Timestamp, DecisionId)>, limit: u32) -> Result<Vec<DecisionRow>> {
        let _ = (filter, before, limit);
        todo!()
    }

    /// Deletes decisions made before `before`, at most `limit` in one call; how many.
    pub async fn forget_decisions(&self, before: Timestamp, limit: u32) -> Result<u64> {
        let _ = (before, limit);
        todo!()
    }
}
