//! Properties of every combination of voices.

use proptest::prelude::*;

use super::*;
use crate::contract::{CredentialKind, Page};
use crate::probe;

type Spoken = (Grade, Result<Verdict, EvaluateFailure>);

fn requirement() -> impl Strategy<Value = Requirement> {
    prop_oneof![
        Just(Requirement::EnrolledSecondFactor),
        (0..2000_u32).prop_map(Requirement::SecondFactorWithin),
        (0..2000_u32).prop_map(Requirement::PasswordWithin),
        Just(Requirement::VerifiedEmail),
        Just(Requirement::ProjectToken),
        Just(Requirement::TokenMadeWithSecondFactor),
    ]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        3 => Just(Outcome::Abstain),
        3 => Just(Outcome::Permit),
        1 => Just(Outcome::Stage),
        2 => prop::collection::vec(requirement(), 1..4).prop_map(Outcome::Require),
        1 => Just(Outcome::Deny),
    ]
}

fn obligation() -> impl Strategy<Value = Obligation> {
    prop_oneof![
        4 => Just(Obligation::DisablePassword),
        4 => "[a-c]".prop_map(Obligation::SendMail),
        1 => "[a-c]".prop_map(Obligation::Other),
    ]
}

fn reason() -> impl Strategy<Value = Reason> {
    "[a-e]".prop_map(|code| Reason {
        code,
        message: "m".into(),
        remedy: String::new(),
        page: Some(Page::Contact),
    })
}

prop_compose! {
    fn verdict()(
        outcome in outcome(),
        reasons in prop::collection::vec(reason(), 0..3),
        obligations in prop::collection::vec(obligation(), 0..2),
    ) -> Verdict {
        Verdict { outcome, reasons, obligations, notes: vec![] }
    }
}

fn spoken() -> impl Strategy<Value = Spoken> {
    let grade =
        prop_oneof![4 => Just(Grade::Enforce), 1 => Just(Grade::Warn), 1 => Just(Grade::Observe)];
    let result = prop_oneof![9 => verdict().prop_map(Ok), 1 => Just(Err(EvaluateFailure::Stack))];
    (grade, result)
}

fn voices() -> impl Strategy<Value = Vec<Spoken>> {
    prop::collection::vec(spoken(), 0..6)
}

/// A context that meets some requirements and not others.
fn context() -> impl Strategy<Value = Context> {
    (any::<bool>(), any::<bool>(), any::<bool>(), 0..2000_u64).prop_map(
        |(session, verified, proven, age)| {
            let kind = if session {
                CredentialKind::Session
            } else {
                CredentialKind::ApiToken
            };
            let mut context = probe::favourable(crate::contract::Action::FileUpload, kind);
            if let Principal::User(user) = &mut context.principal {
                user.email_verified = verified;
            }
            if let Some(assurance) = &mut context.assurance {
                assurance.password_age = proven.then_some(age);
            }
            if let Some(token) = &mut context.token {
                token.made_with_second_factor = proven;
            }
            context
        },
    )
}

fn combined(context: &Context, spoken: &[Spoken]) -> Combined {
    combine(
        context,
        spoken.iter().map(|(grade, result)| Voice {
            policy: "p",
            grade: *grade,
            result: result.as_ref(),
        }),
    )
}

/// From letting most through to letting nothing through. `None` if no policy permitted.
fn rank(combined: &Combined) -> Option<u8> {
    match &combined.outcome {
        DecisionOutcome::Denied
            if combined
                .reasons
                .iter()
                .any(|reason| reason.code == "no-policy-permits") =>
        {
            None
        }
        DecisionOutcome::Permitted => Some(0),
        DecisionOutcome::Staged => Some(1),
        DecisionOutcome::Required(_) => Some(2),
        DecisionOutcome::Failed => Some(3),
        DecisionOutcome::Denied => Some(4),
    }
}

fn sorted<T: std::fmt::Debug>(items: &[T]) -> Vec<String> {
    let mut texts: Vec<String> = items.iter().map(|item| format!("{item:?}")).collect();
    texts.sort();
    texts
}

fn enforced(spoken: &[Spoken]) -> Vec<Spoken> {
    spoken
        .iter()
        .filter(|(grade, _)| *grade == Grade::Enforce)
        .cloned()
        .collect()
}

proptest! {
    #[test]
    fn the_order_of_policies_decides_nothing((voices, shuffled) in voices().prop_flat_map(|voices| (Just(voices.clone()), Just(voices).prop_shuffle())), context in context()) {
        let (one, other) = (combined(&context, &voices), combined(&context, &shuffled));
        prop_assert_eq!(&one.outcome, &other.outcome);
        prop_assert_eq!(sorted(&one.reasons), sorted(&other.reasons));
        prop_assert_eq!(sorted(&one.warnings), sorted(&other.warnings));
        prop_assert_eq!(sorted(&one.obligations), sorted(&other.obligations));
    }

    #[test]
    fn warn_and_observe_change_nothing_but_warnings(voices in voices(), context in context()) {
        let all = combined(&context, &voices);
        let alone = combined(&context, &enforced(&voices));
        prop_assert_eq!(all.outcome, alone.outcome);
        prop_assert_eq!(all.reasons, alone.reasons);
        prop_assert_eq!(all.obligations, alone.obligations);
        prop_assert!(alone.warnings.is_empty());
    }

    /// Another enforcing policy never lets more through, unless no policy had permitted anything:
    /// then the result is its own verdict.
    #[test]
    fn one_more_policy_never_lets_more_through(voices in voices(), added in verdict(), context in context()) {
        let before = combined(&context, &voices);
        let mut more = voices.clone();
        more.push((Grade::Enforce, Ok(added)));
        let after = combined(&context, &more);
        match rank(&before) {
            Some(before) => prop_assert!(rank(&after).is_some_and(|after| after >= before)),
            None => prop_assert_eq!(after.outcome, combined(&context, &more[voices.len()..]).outcome),
        }
    }

    #[test]
    fn an_abstention_changes_no_outcome(voices in voices(), context in context()) {
        let mut more = voices.clone();
        more.push((Grade::Enforce, Ok(Verdict { outcome: Outcome::Abstain, reasons: vec![], obligations: vec![], notes: vec![] })));
        prop_assert_eq!(combined(&context, &more), combined(&context, &voices));
    }

    #[test]
    fn a_denial_always_wins(voices in voices(), context in context()) {
        let denied = enforced(&voices).iter().any(|(_, result)| matches!(result, Ok(verdict) if verdict.outcome == Outcome::Deny));
        if denied {
            prop_assert_eq!(combined(&context, &voices).outcome, DecisionOutcome::Denied);
        }
    }

    #[test]
    fn a_failure_never_lets_through(voices in voices(), context in context()) {
        if enforced(&voices).iter().any(|(_, result)| result.is_err()) {
            prop_assert!(matches!(combined(&context, &voices).outcome, DecisionOutcome::Failed | DecisionOutcome::Denied));
        }
    }

    #[test]
    fn an_unknown_obligation_always_denies_and_is_never_passed_on(voices in voices(), context in context()) {
        let unknown = |verdict: &Verdict| verdict.obligations.iter().any(|obligation| matches!(obligation, Obligation::Other(_)));
        let combined = combined(&context, &voices);
        if enforced(&voices).iter().any(|(_, result)| result.as_ref().is_ok_and(unknown)) {
            prop_assert_eq!(&combined.outcome, &DecisionOutcome::Denied);
            prop_assert!(combined.reasons.iter().any(|reason| reason.code == "unknown-obligation"));
        }
        prop_assert!(!combined.obligations.iter().any(|obligation| matches!(obligation, Obligation::Other(_))));
    }

    #[test]
    fn letting_through_takes_a_permission_and_no_open_requirement(voices in voices(), context in context()) {
        let enforced = enforced(&voices);
        let says = |wanted: fn(&Outcome) -> bool| enforced.iter().any(|(_, result)| result.as_ref().is_ok_and(|verdict| wanted(&verdict.outcome)));
        let outcome = combined(&context, &voices).outcome;
        if matches!(outcome, DecisionOutcome::Permitted | DecisionOutcome::Staged) {
            prop_assert!(says(|outcome| matches!(outcome, Outcome::Permit | Outcome::Stage)));
            for (_, result) in &enforced {
                if let Ok(Verdict { outcome: Outcome::Require(required), .. }) = result {
                    prop_assert_eq!(unmet(required, &context).count(), 0);
                }
            }
        }
        prop_assert_eq!(outcome == DecisionOutcome::Staged && !says(|outcome| *outcome == Outcome::Stage), false);
    }

    #[test]
    fn what_is_required_does_not_hold_and_is_the_strictest_of_its_kind(voices in voices(), context in context()) {
        let DecisionOutcome::Required(required) = combined(&context, &voices).outcome else { return Ok(()) };
        prop_assert!(!required.is_empty());
        prop_assert_eq!(unmet(&required, &context).count(), required.len());
        prop_assert!(required.is_sorted_by(|left, right| position(left) < position(right)));
        for (_, result) in enforced(&voices) {
            if let Ok(Verdict { outcome: Outcome::Require(asked), .. }) = result {
                for asked in unmet(&asked, &context) {
                    let told = required.iter().find(|told| position(told) == position(&asked)).cloned();
                    let (told, seconds) = (told.as_ref().map(seconds), seconds(&asked));
                    prop_assert!(told.is_some_and(|told| told <= seconds));
                }
            }
        }
    }

    #[test]
    fn a_refusal_always_has_a_reason(voices in voices(), context in context()) {
        let combined = combined(&context, &voices);
        if !matches!(combined.outcome, DecisionOutcome::Permitted | DecisionOutcome::Staged) {
            prop_assert!(!combined.reasons.is_empty());
        }
    }

    #[test]
    fn obligations_are_each_told_once_and_come_from_enforcing_policies(voices in voices(), context in context()) {
        let combined = combined(&context, &voices);
        let asked: Vec<Obligation> = enforced(&voices).into_iter().filter_map(|(_, result)| result.ok()).flat_map(|verdict| verdict.obligations).collect();
        for (position, obligation) in combined.obligations.iter().enumerate() {
            prop_assert!(asked.contains(obligation));
            prop_assert!(!combined.obligations[..position].contains(obligation));
        }
        if combined.outcome == DecisionOutcome::Failed {
            prop_assert!(combined.obligations.is_empty());
        }
    }
}

fn seconds(requirement: &Requirement) -> u32 {
    match requirement {
        Requirement::SecondFactorWithin(seconds) | Requirement::PasswordWithin(seconds) => *seconds,
        _ => 0,
    }
}
