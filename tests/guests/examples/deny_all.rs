//! Behaves well: refuses everything, and gives no reason.

use policy_sdk::{Outcome, Verdict};

guests::guest!("deny-all", |_| Verdict {
    outcome: Outcome::Deny,
    reasons: vec![],
    obligations: vec![],
    notes: vec!["refused".into()]
});
