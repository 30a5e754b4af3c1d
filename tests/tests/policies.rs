//! The shipped policies and policy sets: every case decides as written, the committed tables match
//! the sets, and a policy makes the same decisions as native code and as WebAssembly.

#[path = "policies/bindings.rs"]
mod bindings;
#[path = "policies/convert.rs"]
mod convert;
#[path = "policies/facts.rs"]
mod facts;
#[path = "policies/sheet.rs"]
mod sheet;
#[path = "policies/twins.rs"]
mod twins;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use policy_engine::cases::profile::Caller;
use policy_engine::contract::{Action, Obligation, Outcome, PasswordState};
use policy_engine::{
    Compiler, Decision, DecisionOutcome, Engine, EngineConfig, Grade, Module, PolicySet, SetSpec,
    cases, table,
};
use portcullis_http::Credentials;

const SETS: &[&str] = &["default", "strict", "observe", "private"];

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests lie in the workspace")
}

fn folder(set: &str) -> PathBuf {
    workspace().join("policies").join(set)
}

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        Engine::new(EngineConfig {
            lanes: 1,
            ..EngineConfig::new(Compiler::InProcess)
        })
        .expect("an engine")
    })
}

/// A shipped module, which must be built from the current sources.
fn module(file: &str) -> Module {
    static LOADED: OnceLock<Mutex<HashMap<String, Module>>> = OnceLock::new();
    let loaded = LOADED.get_or_init(|| {
        let output = Command::new(env!("CARGO"))
            .args(["xtask", "build-plugins"])
            .arg(tests::server::program())
            .current_dir(workspace())
            .output()
            .expect("cargo starts");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Mutex::default()
    });
    let load = || {
        let path = workspace().join("policies/modules").join(file);
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        engine()
            .load(&bytes)
            .unwrap_or_else(|error| panic!("{file}: {error}"))
    };
    loaded
        .lock()
        .expect("no test failed while it loaded a module")
        .entry(file.to_owned())
        .or_insert_with(load)
        .clone()
}

fn assemble(spec: &SetSpec) -> PolicySet {
    let modules: Vec<Module> = spec
        .bindings
        .iter()
        .map(|binding| module(&binding.module))
        .collect();
    PolicySet::assemble(1, spec, &modules).unwrap_or_else(|error| panic!("{}: {error}", spec.name))
}

fn shipped(set: &str) -> PolicySet {
    let text = fs::read_to_string(folder(set).join("set.toml")).expect("a set file");
    assemble(&SetSpec::parse(&text).unwrap_or_else(|error| panic!("{set}: {error}")))
}

#[test]
fn every_case_of_every_shipped_set_decides_as_written() {
    for name in SETS {
        let cases = cases::load_folder(&folder(name).join("cases"))
            .unwrap_or_else(|error| panic!("{error}"));
        assert!(!cases.is_empty(), "{name} has no cases");
        let failures = cases::run(&shipped(name), &cases);
        let told: Vec<String> = failures.iter().map(ToString::to_string).collect();
        assert!(
            told.is_empty(),
            "{name}: {} of {} cases\n{}",
            told.len(),
            cases.len(),
            told.join("\n")
        );
    }
}

#[test]
fn a_case_that_expects_another_decision_fails_and_tells_what_each_policy_said() {
    let text = "[[case]]\nname = \"wrong\"\ncaller = \"account-token\"\naction = \"index:read\"\nexpect = \"permit\"\ncodes = []\nowner.no-such-policy.x = 1";
    let failures = cases::run(&shipped("default"), &cases::parse(text).unwrap());
    let told = failures[0].to_string();
    for part in [
        "case `wrong`",
        "expected permit, decided deny",
        "credential-not-allowed",
        "no-such-policy",
        "restrict-routes (enforce) said deny",
    ] {
        assert!(told.contains(part), "{part} is not in\n{told}");
    }
}

#[test]
fn the_committed_decision_table_is_what_each_set_decides() {
    for name in SETS {
        let path = folder(name).join("decisions.md");
        let rendered = table::render(&shipped(name));
        if std::env::var_os("UPDATE_TABLES").is_some() {
            fs::write(&path, rendered).expect("a table can be written");
            continue;
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        let differing = committed
            .lines()
            .zip(rendered.lines())
            .find(|(old, new)| old != new);
        assert!(
            committed == rendered,
            "{} is out of date; look at what changed after `cargo xtask decision-table`\nfirst: {differing:#?}",
            path.display()
        );
    }
}

#[test]
fn every_set_is_stored_and_read_back_as_it_was_written() {
    for name in SETS {
        let spec = shipped(name).spec().clone();
        let stored = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<SetSpec>(&stored).unwrap(), spec);
    }
}

/// The decision of the shipped set about a login with a breached password.
fn log_in_with_a_breached_password(set: &str) -> Decision {
    let mut context = Caller::SessionWithoutFactor.context(Action::SessionStart);
    context
        .assurance
        .as_mut()
        .expect("a session has proven something")
        .password_state = PasswordState::Breached;
    let set = shipped(set);
    set.decide(
        &context,
        &set.resolve_owner_settings(&serde_json::json!({})),
    )
}

#[test]
fn a_refused_breached_password_is_disabled_and_its_owner_told() {
    for set in ["default", "strict"] {
        let decision = log_in_with_a_breached_password(set);
        assert_eq!(decision.outcome, DecisionOutcome::Denied, "{set}");
        assert_eq!(
            decision.obligations,
            [
                Obligation::DisablePassword,
                Obligation::SendMail("password-breached".to_owned())
            ],
            "{set}"
        );
    }
}

/// A set lists the actions of the policy, which must include every route that takes a password in
/// its call.
#[test]
fn every_call_that_carries_a_password_is_heard_by_who_refuses_breached_ones() {
    let carrying = portcullis_http::routes()
        .iter()
        .filter(|route| route.credentials == Credentials::HeadersOrPerson);
    let actions: Vec<&str> = carrying
        .filter_map(|route| route.action())
        .map(|action| action.as_str())
        .collect();
    assert!(!actions.is_empty());
    for set in SETS {
        let set = shipped(set);
        let listens = set
            .spec()
            .bindings
            .iter()
            .find(|binding| binding.policy == "refuse-breached-passwords")
            .and_then(|binding| binding.actions.as_ref());
        let listens: Vec<&str> = listens
            .expect("the shipped sets list the actions")
            .iter()
            .map(|action| action.as_str())
            .collect();
        for action in &actions {
            assert!(
                listens.contains(action),
                "{action} takes a password, and {} does not look at it",
                set.spec().name
            );
        }
    }
}

/// The records of the contract in a context.
const FACTS: &[&str] = &[
    "user",
    "claim",
    "publisher",
    "token",
    "factor-use",
    "assurance",
    "request",
    "project",
    "release",
    "file",
    "metadata",
    "new-token",
    "role-change",
    "context",
];

/// A policy is only as good as the facts that it trusts, so the contract documents the source of
/// each.
#[test]
fn every_fact_of_the_contract_says_whom_it_comes_from() {
    let text = fs::read_to_string(workspace().join("wit/policy.wit")).expect("the contract");
    let mut seen = 0;
    for record in FACTS {
        let body = text
            .split_once(&format!("    record {record} {{\n"))
            .and_then(|(_, rest)| rest.split_once("\n    }"));
        let (body, _) = body.unwrap_or_else(|| panic!("the contract has no record `{record}`"));
        let mut said = String::new();
        for line in body.lines().map(str::trim) {
            match line.strip_prefix("///") {
                Some(comment) => said.push_str(comment),
                None => {
                    let sources = [
                        "From the registry",
                        "From the caller",
                        "From the uploader",
                        "From the owners",
                    ];
                    assert!(
                        sources.iter().any(|source| said.contains(source)),
                        "`{record}` does not say whom `{line}` comes from"
                    );
                    said.clear();
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 50, "{seen} fields were looked at");
}

/// A measurement must not lock people out: obligations of an observer are recorded with its
/// verdict, but not fulfilled.
#[test]
fn a_breached_password_that_is_only_observed_is_neither_disabled_nor_told() {
    let decision = log_in_with_a_breached_password("observe");
    assert_eq!(decision.outcome, DecisionOutcome::Permitted);
    assert_eq!(decision.obligations, []);
    let observer = decision
        .policies
        .iter()
        .find(|record| record.policy == "refuse-breached-passwords")
        .expect("it is bound");
    let said = observer.result.as_ref().expect("it did not fail");
    assert_eq!(
        (observer.grade, &said.outcome, said.obligations.len()),
        (Grade::Observe, &Outcome::Deny, 2)
    );
}

/// A sandbox is created and discarded for every evaluation, and most of its cost is its memory.
#[test]
fn every_shipped_module_starts_with_one_page_of_memory() {
    let files: HashSet<String> = SETS
        .iter()
        .flat_map(|set| {
            shipped(set)
                .spec()
                .bindings
                .iter()
                .map(|binding| binding.module.clone())
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(files.len() >= 6, "{files:?}");
    for file in files {
        let bytes = fs::read(workspace().join("policies/modules").join(&file))
            .expect("a module can be read");
        let mut pages = 0;
        for payload in wasmparser::Parser::new(0).parse_all(&bytes) {
            if let wasmparser::Payload::MemorySection(memories) =
                payload.expect("a module can be parsed")
            {
                pages += memories
                    .into_iter()
                    .map(|memory| memory.expect("a memory can be parsed").initial)
                    .sum::<u64>();
            }
        }
        assert_eq!(
            pages, 1,
            "{file}; see docs/policy-authors.md, Small and fast"
        );
    }
}
