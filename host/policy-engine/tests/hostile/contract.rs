//! Values keep their meaning across the border. Loading a guest compares our types with those of
//! `wit/policy.wit`, from which it was built; these tests compare the values.

use policy_engine::DecisionOutcome;
use policy_engine::contract::{CredentialKind, Obligation, Page, Principal, Requirement};

use crate::fixture::{decide, set, upload};

#[test]
fn a_policy_is_told_what_the_host_says() {
    let decision = decide(&set(&["echo"]), &upload());
    let verdict = decision.policies[0].result.as_ref().unwrap();
    assert_eq!(
        verdict.notes,
        [
            r#"[SettingValue::Boolean(true), SettingValue::Integer(-3), SettingValue::Text("grüße"), SettingValue::Choice(1), SettingValue::Texts(["a", "b"]), SettingValue::Actions([Action::IndexRead, Action::AuditRead])]"#,
            "Action::FileUpload 1800000000 CredentialKind::ApiToken",
            r#"Some(Request { id: "request-1", route: "/legacy/", method: Method::Post, remote-address: "192.0.2.7", user-agent: "twine/6.2" })"#,
            r#"Principal::User(User { name: "alice", age: 100000, email-verified: true, factors: Factors(WEBAUTHN), staff: false })"#,
            r#"Some(Token { id: "token-1", age: 50, expires-in: Some(70), scope: TokenScope::Projects(["demo", "other"]), last-used: None, made-with-second-factor: true, narrowed-to: None, narrowed-expires-in: None })"#,
            "Some(Assurance { password-age: Some(5), second-factor: Some(FactorUse { factor: Factor::RecoveryCode, age: 6 }), password-state: PasswordState::Breached })",
            r#"Some(Project { name: "demo", exists: true, status: ProjectStatus::Deprecated, role: Role::Maintainer, settings: [SettingValue::Boolean(false)] })"#,
            r#"Some(Release { version: "2.0", state: ReleaseState::Staged, age: 9, order: VersionOrder::Newer, newest: Some("1.0"), staged-by-this-credential: true, staged-by-this-user: false })"#,
            r#"Some(File { name: "demo-2.0.tar.gz", kind: FileKind::Sdist, size: 1234, sha256: "aa", blake2-256: "bb" })"#,
            r#"Some(Metadata { version: "2.4", summary: "Demo", license: "MIT", requires-python: ">=3.9", requires: ["a>1", "b"], classifiers: ["x :: y"] })"#,
            "Change::Token(NewToken { scope: TokenScope::Account, expires-in: Some(3) })",
        ]
    );
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
    let reasons: Vec<_> = decision
        .reasons
        .iter()
        .map(|reason| (reason.code.as_str(), reason.page))
        .collect();
    assert_eq!(
        reasons,
        [
            ("tokens", Some(Page::Tokens)),
            ("contact", Some(Page::Contact)),
            ("none", None)
        ]
    );
    assert_eq!(
        decision.obligations,
        [
            Obligation::DisablePassword,
            Obligation::SendMail("password-breached".into())
        ]
    );
}

#[test]
fn what_holds_already_is_no_obstacle_and_no_permission() {
    let alone = decide(&set(&["echo"]), &upload());
    assert_eq!(alone.outcome, DecisionOutcome::Denied);
    assert_eq!(alone.reasons[0].code, "no-policy-permits");
    let permitted = decide(&set(&["echo", "permit-all"]), &upload());
    assert_eq!(
        (permitted.outcome, permitted.reasons),
        (DecisionOutcome::Permitted, vec![])
    );
}

#[test]
fn every_word_of_the_contract_is_ours() {
    let wit = include_str!("../../../../wit/policy.wit");
    let body = wit
        .split("enum action {")
        .nth(1)
        .unwrap()
        .split('}')
        .next()
        .unwrap();
    let words: Vec<&str> = body
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("///"))
        .map(|line| line.trim_end_matches(','))
        .collect();
    let ours: Vec<String> = policy_engine::contract::Action::ALL
        .iter()
        .map(|action| action.as_str().replace(':', "-"))
        .collect();
    assert_eq!(ours, words);
}
