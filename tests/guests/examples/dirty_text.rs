//! Refuses, with texts that try to manipulate terminals and logs.

use policy_sdk::{Outcome, Reason, Verdict};

guests::guest!("dirty-text", |_| Verdict {
    outcome: Outcome::Deny,
    reasons: vec![Reason {
        code: "dirty".into(),
        message: "\u{1b}[2Jgone\r\n\u{202e}drawkcab".into(),
        remedy: "é".repeat(5000),
        page: None
    }],
    obligations: vec![],
    notes: vec!["first\nERROR forged second line\u{7}".into()],
});
