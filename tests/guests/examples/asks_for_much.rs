//! Has obligations: some that a host can meet, with a denial and with a permit, and one that no
//! host can meet together with one that every host can.

use policy_sdk::{Action, Obligation, Outcome, Reason, Verdict};

guests::guest!("asks-for-much", |context| {
    let mail = |name: &str| Obligation::SendMail(name.to_owned());
    let (outcome, obligations) = match context.action {
        Action::SessionStart => (
            Outcome::Deny,
            vec![Obligation::DisablePassword, mail("password-breached")],
        ),
        Action::TokenCreate => (Outcome::Permit, vec![mail("password-breached")]),
        Action::TokenList => (
            Outcome::Permit,
            vec![Obligation::DisablePassword, mail("win-a-prize")],
        ),
        _ => (Outcome::Abstain, vec![]),
    };
    let reasons = vec![Reason {
        code: "asked".into(),
        message: "The guest's own reason.".into(),
        remedy: "Ask the guest.".into(),
        page: None,
    }];
    Verdict {
        outcome,
        reasons,
        obligations,
        notes: vec![],
    }
});
