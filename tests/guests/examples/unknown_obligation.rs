//! Permits, with an obligation that no host can meet.

use policy_sdk::{Obligation, Outcome, Verdict};

guests::guest!("unknown-obligation", |_| Verdict {
    outcome: Outcome::Permit,
    reasons: vec![],
    obligations: vec![Obligation::Other("ask-grandmother".into())],
    notes: vec![],
});
