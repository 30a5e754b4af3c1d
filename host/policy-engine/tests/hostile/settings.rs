//! Settings and sets: refusals when a set is assembled, and the choices of owners.

use policy_engine::contract::{Action, SettingError, SettingValue};
use policy_engine::{DecisionOutcome, Grade, OwnerSettings};
use serde_json::json;

use crate::fixture::{assemble, binding, decide, read, set, upload};

#[track_caller]
fn check_refused(bindings: Vec<policy_engine::BindingSpec>, words: &str) {
    let error = assemble(bindings)
        .err()
        .expect("the set must be refused")
        .to_string();
    assert!(error.contains(words), "`{error}` does not say `{words}`");
}

#[test]
fn a_set_that_does_not_fit_its_modules_is_refused() {
    let with = |change: &dyn Fn(&mut policy_engine::BindingSpec)| {
        let mut binding = binding("echo", Grade::Enforce);
        change(&mut binding);
        vec![binding]
    };
    check_refused(vec![], "no binding");
    check_refused(
        with(&|it| it.digest = Some("0".repeat(64))),
        "the set asks for 0000",
    );
    check_refused(
        with(&|it| drop(it.settings.insert("colour".into(), json!("red")))),
        "it has flag, number, words, choice, texts, actions",
    );
    check_refused(
        with(&|it| drop(it.settings.insert("number".into(), json!(11)))),
        "11 is outside -10 to 10",
    );
    // The policy's own check, cleaned.
    check_refused(
        with(&|it| drop(it.settings.insert("flag".into(), json!(false)))),
        "setting `flag`: must stay on",
    );
}

#[test]
fn a_set_may_narrow_what_a_policy_hears_and_not_widen_it() {
    let mut deny = binding("deny-all", Grade::Enforce);
    deny.actions = Some(vec![Action::FileUpload]);
    let narrowed = assemble(vec![binding("permit-all", Grade::Enforce), deny]).unwrap();
    assert_eq!(
        decide(&narrowed, &read()).outcome,
        DecisionOutcome::Permitted
    );
    assert_eq!(decide(&narrowed, &read()).policies.len(), 1);
    assert_eq!(
        decide(&narrowed, &upload()).outcome,
        DecisionOutcome::Denied
    );
}

#[test]
fn a_policy_under_another_name_is_refused() {
    let module = crate::fixture::module("permit_all");
    let spec = crate::fixture::spec(vec![binding("deny-all", Grade::Enforce)]);
    let error = policy_engine::PolicySet::assemble(1, &spec, &[module])
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("is the policy `permit-all`"), "{error}");
}

#[test]
fn an_assembled_set_names_its_exact_modules() {
    let set = set(&["permit-all"]);
    let digest = crate::fixture::module("permit_all").digest_hex();
    assert_eq!(
        set.spec().bindings[0].digest.as_deref(),
        Some(digest.as_str())
    );
    assert_eq!(set.policies().next().unwrap().digest, digest);
    assert_eq!(set.number(), 7);
}

#[test]
fn a_policy_is_told_what_it_asked_for_and_its_own_owner_settings() {
    let set = set(&["section-spy"]);
    let refused = decide(&set, &upload());
    assert_eq!(refused.reasons[0].message, "demo has the number 3.");
    let chosen = set.resolve_owner_settings(&json!({"section-spy": {"number": 7}}));
    assert_eq!(chosen.problems(), [] as [&str; 0]);
    assert_eq!(
        set.decide(&upload(), &chosen).outcome,
        DecisionOutcome::Permitted
    );
}

#[test]
fn stored_owner_settings_that_do_not_fit_fall_back_and_are_named() {
    let set = set(&["section-spy"]);
    let chosen = set.resolve_owner_settings(
        &json!({"section-spy": {"number": 70, "gone": 1}, "removed-policy": {}}),
    );
    assert_eq!(
        chosen.problems(),
        [
            "removed-policy: the active policy set has no such policy",
            "section-spy: gone: the policy has no such setting; it has number",
            "section-spy: number: 70 is outside 0 to 10",
        ]
    );
    assert_eq!(
        set.decide(&upload(), &chosen).reasons[0].message,
        "demo has the number 3."
    );
    assert_eq!(set.resolve_owner_settings(&json!(7)).problems().len(), 1);
    assert!(set.resolve_owner_settings(&json!({})).problems().is_empty());
}

#[test]
fn owner_settings_of_one_set_mean_the_same_in_another() {
    let one = set(&["section-spy"]);
    // Another set with another order of bindings: positions differ.
    let other = set(&["permit-all", "section-spy"]);
    let chosen = one.resolve_owner_settings(&json!({"section-spy": {"number": 7}}));
    assert_eq!(
        other.decide(&upload(), &chosen).outcome,
        DecisionOutcome::Permitted
    );
    assert_eq!(
        other.decide(&upload(), &OwnerSettings::default()).outcome,
        DecisionOutcome::Denied
    );
}

#[test]
fn owner_forms_are_offered_and_checked_by_the_policy() {
    let set = set(&["permit-all", "echo", "section-spy"]);
    let forms = set.owner_forms();
    assert_eq!(
        forms
            .iter()
            .map(|form| form.policy.as_str())
            .collect::<Vec<_>>(),
        ["echo", "section-spy"]
    );
    assert_eq!(forms[1].settings[0].label, "Number");

    assert_eq!(
        set.check_owner_settings("section-spy", &json!({"number": 5})),
        Ok(vec![SettingValue::Integer(5)])
    );
    assert_eq!(
        set.check_owner_settings("section-spy", &json!({})),
        Ok(vec![SettingValue::Integer(3)])
    );
    let error = |setting: &str, message: &str| {
        Err(vec![SettingError {
            setting: setting.into(),
            message: message.into(),
        }])
    };
    assert_eq!(
        set.check_owner_settings("section-spy", &json!({"number": 50})),
        error("number", "50 is outside 0 to 10")
    );
    assert_eq!(
        set.check_owner_settings("echo", &json!({"owner-flag": true})),
        error("owner-flag", "cannot be had here")
    );
    assert!(set.check_owner_settings("unknown", &json!({})).is_err());
    assert!(set.check_owner_settings("echo", &json!([])).is_err());
}
