//! Permits, with ten thousand lines for the operator's log.

use policy_sdk::{Outcome, Verdict};

guests::guest!("log-flood", |_| Verdict {
    outcome: Outcome::Permit,
    reasons: vec![],
    obligations: vec![],
    notes: (0..10_000)
        .map(|line| format!("line {line} of a flood"))
        .collect(),
});
