//! Each policy twice: as Rust functions, and as the shipped WebAssembly module. For every generated
//! context both return the same verdict, word for word.
//!
//! The native twin sees the whole context, the module only the sections that it asks for: so this
//! also shows that a policy asks for everything that it uses.

use policy_engine::combine::{Voice, combine};
use policy_engine::contract::{Context, Outcome, Requirement, Verdict};
use policy_engine::{BindingSpec, DecisionOutcome, Grade, SetSpec};
use policy_sdk::contract::{SettingKind, SettingValue};
use policy_sdk::{Policy, module};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value, json};

use crate::{assemble, convert, facts};

/// Compares the twins of one policy on generated settings and contexts.
fn agree<P: Policy>() {
    let described = module::describe::<P>();
    let (operator_offered, owner_offered) = (
        described.operator_settings.clone(),
        described.owner_settings.clone(),
    );
    // Each case assembles a set and decides 48 contexts.
    let config = Config {
        cases: 24,
        failure_persistence: None,
        ..Config::default()
    };
    let asked = (
        facts::values(operator_offered.clone()),
        facts::values(owner_offered.clone()),
        vec(facts::context(), 48),
    );
    TestRunner::new(config)
        .run(&asked, |(operator, owner, contexts)| {
            if module::validate_settings::<P>(operator.clone(), owner.clone()).is_err() {
                return Err(TestCaseError::reject(
                    "the policy does not take these settings",
                ));
            }
            let set = assemble(&bound(
                &described.name,
                facts::written(&operator_offered, &operator),
            ));
            let chosen = set.resolve_owner_settings(
                &json!({ &described.name: facts::written(&owner_offered, &owner) }),
            );
            assert!(
                chosen.problems().is_empty() || owner_offered.is_empty(),
                "{:?}",
                chosen.problems()
            );
            for context in contexts {
                let said = set
                    .decide(&context, &chosen)
                    .policies
                    .into_iter()
                    .next()
                    .map(|record| record.result);
                let native = native::<P>(&operator, &owner, context.clone());
                match said {
                    None => assert!(
                        !described.actions.contains(&convert::action(context.action)),
                        "{context:?} was not heard"
                    ),
                    Some(said) => assert_eq!(
                        said.map(convert::verdict),
                        Ok(native),
                        "{context:#?}\noperator {operator:?}\nowner {owner:?}"
                    ),
                }
            }
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{}: {failure}", described.name));
}

fn native<P: Policy>(
    operator: &[SettingValue],
    owner: &[SettingValue],
    context: Context,
) -> policy_sdk::Verdict {
    let mut context = convert::context(context);
    if let Some(project) = &mut context.project {
        project.settings = owner.to_vec();
    }
    module::evaluate::<P>(operator.to_vec(), context)
}

fn bound(policy: &str, settings: Value) -> SetSpec {
    let Value::Object(settings) = settings else {
        panic!("settings are written by name")
    };
    let binding = BindingSpec {
        policy: policy.to_owned(),
        module: format!("{policy}.wasm"),
        digest: None,
        grade: Grade::Enforce,
        actions: None,
        settings: settings.into_iter().collect(),
    };
    SetSpec {
        name: "twins".to_owned(),
        summary: String::new(),
        bindings: vec![binding],
    }
}

#[test]
fn restrict_routes_says_the_same_natively_and_as_wasm() {
    agree::<restrict_routes::RestrictRoutes>();
}

#[test]
fn require_second_factor_says_the_same_natively_and_as_wasm() {
    agree::<require_second_factor::RequireSecondFactor>();
}

#[test]
fn owner_mandate_says_the_same_natively_and_as_wasm() {
    agree::<owner_mandate::OwnerMandate>();
}

#[test]
fn staged_release_says_the_same_natively_and_as_wasm() {
    agree::<staged_release::StagedRelease>();
}

#[test]
fn refuse_breached_passwords_says_the_same_natively_and_as_wasm() {
    agree::<refuse_breached_passwords::RefuseBreachedPasswords>();
}

#[test]
fn require_recent_proof_says_the_same_natively_and_as_wasm() {
    agree::<require_recent_proof::RequireRecentProof>();
}

/// The twins would also agree if both read the wrong settings, because a list of values has no
/// names. So both descriptions must be equal, name by name.
#[test]
fn a_module_describes_what_its_source_describes() {
    fn check<P: Policy>() {
        let native = module::describe::<P>();
        let shipped = crate::module(&format!("{}.wasm", native.name));
        let shipped = shipped.descriptor();
        assert_eq!(shipped.version, native.version);
        assert_eq!(
            shipped
                .actions
                .iter()
                .map(|&action| convert::action(action))
                .collect::<Vec<_>>(),
            native.actions
        );
        for (shipped, native) in [
            (&shipped.operator_settings, &native.operator_settings),
            (&shipped.owner_settings, &native.owner_settings),
        ] {
            let shipped: Vec<_> = shipped
                .iter()
                .map(|setting| (&setting.name, &setting.label, &setting.help))
                .collect();
            let native: Vec<_> = native
                .iter()
                .map(|setting| (&setting.name, &setting.label, &setting.help))
                .collect();
            assert_eq!(shipped, native);
        }
        for setting in native
            .operator_settings
            .iter()
            .chain(&native.owner_settings)
        {
            assert!(
                setting.help.ends_with('.') && setting.label.len() <= 40,
                "{setting:?}"
            );
            if let (SettingKind::Choice(words), SettingValue::Choice(position)) =
                (&setting.kind, &setting.default)
            {
                assert!((*position as usize) < words.len());
            }
        }
    }
    check::<restrict_routes::RestrictRoutes>();
    check::<require_second_factor::RequireSecondFactor>();
    check::<owner_mandate::OwnerMandate>();
    check::<staged_release::StagedRelease>();
    check::<refuse_breached_passwords::RefuseBreachedPasswords>();
    check::<require_recent_proof::RequireRecentProof>();
}

const REQUIREMENTS: [Requirement; 6] = [
    Requirement::EnrolledSecondFactor,
    Requirement::SecondFactorWithin(300),
    Requirement::PasswordWithin(300),
    Requirement::VerifiedEmail,
    Requirement::ProjectToken,
    Requirement::TokenMadeWithSecondFactor,
];

/// A shipped policy decides by the minted properties of a token: its holder's additions change no
/// verdict, word for word.
#[test]
fn what_a_holder_adds_to_a_token_changes_no_verdict_of_a_shipped_policy() {
    let sets: Vec<_> = crate::SETS.iter().map(|set| crate::shipped(set)).collect();
    let config = Config {
        cases: 256,
        failure_persistence: None,
        ..Config::default()
    };
    let chosen = select(vec![
        json!({}),
        json!({ "owner-mandate": { "project-tokens-only": true, "strong-tokens-only": true } }),
    ]);
    TestRunner::new(config)
        .run(
            &(facts::context(), facts::narrowing(), chosen),
            |(mut context, (narrowed_to, narrowed_expires_in), chosen)| {
                for set in &sets {
                    let owner = set.resolve_owner_settings(&chosen);
                    let said = |context: &Context| {
                        let decision = set.decide(context, &owner);
                        (
                            decision.outcome,
                            decision
                                .policies
                                .into_iter()
                                .map(|record| record.result)
                                .collect::<Vec<_>>(),
                        )
                    };
                    let before = said(&context);
                    if let Some(token) = &mut context.token {
                        (token.narrowed_to, token.narrowed_expires_in) =
                            (narrowed_to.clone(), narrowed_expires_in);
                    }
                    prop_assert_eq!(before, said(&context));
                }
                Ok(())
            },
        )
        .unwrap();
}

proptest! {
    /// The SDK and the host must agree on which requirements are unmet.
    #[test]
    fn sdk_and_host_agree_on_what_is_met(context in facts::context(), requirement in select(&REQUIREMENTS[..])) {
        let verdict = |outcome| Verdict { outcome, reasons: Vec::new(), obligations: Vec::new(), notes: Vec::new() };
        let (require, permit) = (verdict(Outcome::Require(vec![requirement.clone()])), verdict(Outcome::Permit));
        let voices = [&require, &permit].map(|said| Voice { policy: "any", grade: Grade::Enforce, result: Ok(said) });
        let permitted = combine(&context, voices.into_iter()).outcome == DecisionOutcome::Permitted;
        prop_assert_eq!(convert::context(context).meets(convert::requirement(requirement)), permitted);
    }
}
