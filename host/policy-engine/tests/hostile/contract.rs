//! What crosses the border keeps its meaning. Loading a guest compares our types with
//! those of `wit/policy.wit`, which it was built from; these tests compare the values.

use policy_engine::DecisionOutcome;
use policy_engine::contract::{CredentialKind, Obligation, Page, Principal, Requirement};

use crate::fixture::{decide, set, upload};

#[test]
fn a_policy_is_told_what_the_host_says() {
    let decision = decide(&set(&["echo"]), &upload());
    let verdict = decision.policies[0].result.as_ref().unwrap();
    assert_eq!(verdict.notes, ["TODO",]);
}

#[test]
fn the_host_is_told_what_a_policy_says() {
    let mut context = upload();
    context.credential = CredentialKind::None;
    context.principal = Principal::Anonymous;
    context.token = None;
    context.assurance = None;
    let decision = decide(&set(&["echo"]), &context);
    let all = vec![
        Requirement::EnrolledSecondFactor,
        Requirement::SecondFactorWithin(900),
        Requirement::PasswordWithin(600),
        Requirement::VerifiedEmail,
        Requirement::ProjectToken,
        Requirement::TokenMadeWithSecondFactor,
    ];
    assert_eq!(decision.outcome, DecisionOutcome::Required(all));
    let reasons: Vec<_> = decision.reasons.iter().map(|reason| (reason.code.as_str(), reason.page)).collect();
    assert_eq!(reasons, [("tokens", Some(Page::Tokens)), ("contact", Some(Page::Contact)), ("none", None)]);
    assert_eq!(decision.obligations, [Obligation::DisablePassword, Obligation::SendMail("password-breached".into())]);
}

#[test]
fn what_holds_already_is_no_obstacle() {
    // Everything but a token made for one project alone is there; it has two, which is fine.
    assert_eq!(decide(&set(&["echo"]), &upload()).outcome, DecisionOutcome::Permitted);
}

#[test]
fn every_word_of_the_contract_is_ours() {
    let wit = include_str!("../../../../wit/policy.wit");
    let body = wit.split("enum action {").nth(1).unwrap().split('}').next().unwrap();
    let words: Vec<&str> =
        body.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("///")).map(|line| line.trim_end_matches(',')).collect();
    let ours: Vec<String> = policy_engine::contract::Action::ALL.iter().map(|action| action.as_str().replace(':', "-")).collect();
    assert_eq!(ours, words);
}
