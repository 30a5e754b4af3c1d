//! Modules, sets and contexts for the tests.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, OnceLock};

use policy_engine::contract::{Action, Context};
use policy_engine::{
    BindingSpec, Budget, Compiler, Decision, Engine, EngineConfig, Grade, LoadError, Module,
    OwnerSettings, PolicySet, SetError, SetSpec,
};

/// The bytes of a guest.
pub(crate) fn wasm(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../target/guests")
        .join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| {
        panic!(
            "{} cannot be read ({error}); run `cargo xtask build-guests`",
            path.display()
        )
    })
}

/// The engine that most tests share: two lanes, and the default budget with enough time that even
/// on a busy machine another limit is reached first.
pub(crate) fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| engine_with(|budget| budget.time_ms = 1_000))
}

pub(crate) fn engine_with(change: impl FnOnce(&mut Budget)) -> Engine {
    let mut config = EngineConfig::new(Compiler::InProcess);
    config.lanes = 2;
    change(&mut config.budget);
    Engine::new(config).unwrap()
}

/// A guest loaded into the shared engine, once.
pub(crate) fn module(name: &str) -> Module {
    static MODULES: OnceLock<Mutex<BTreeMap<String, Module>>> = OnceLock::new();
    let mut modules = MODULES.get_or_init(Mutex::default).lock().unwrap();
    modules
        .entry(name.to_owned())
        .or_insert_with(|| engine().load(&wasm(name)).unwrap())
        .clone()
}

#[track_caller]
pub(crate) fn load_error(wasm: &[u8]) -> LoadError {
    engine().load(wasm).expect_err("the module must be refused")
}

pub(crate) fn binding(policy: &str, grade: Grade) -> BindingSpec {
    BindingSpec {
        policy: policy.to_owned(),
        module: format!("{policy}.wasm"),
        digest: None,
        grade,
        actions: None,
        settings: BTreeMap::new(),
    }
}

pub(crate) fn spec(bindings: Vec<BindingSpec>) -> SetSpec {
    SetSpec {
        name: "test".into(),
        summary: String::new(),
        bindings,
    }
}

pub(crate) fn assemble(bindings: Vec<BindingSpec>) -> Result<PolicySet, SetError> {
    let modules: Vec<Module> = bindings
        .iter()
        .map(|binding| module(&binding.policy.replace('-', "_")))
        .collect();
    PolicySet::assemble(7, &spec(bindings), &modules)
}

/// A set of guests by policy name, all under `enforce`.
pub(crate) fn set(policies: &[&str]) -> PolicySet {
    graded(
        &policies
            .iter()
            .map(|policy| (*policy, Grade::Enforce))
            .collect::<Vec<_>>(),
    )
}

pub(crate) fn graded(policies: &[(&str, Grade)]) -> PolicySet {
    assemble(
        policies
            .iter()
            .map(|(policy, grade)| binding(policy, *grade))
            .collect(),
    )
    .unwrap()
}

/// An upload by a user with an API token, with every section filled.
pub(crate) fn upload() -> Context {
    serde_json::from_value(serde_json::json!({
        "action": "file:upload",
        "now": 1_800_000_000,
        "credential": "api-token",
        "request": {"id": "request-1", "route": "/legacy/", "method": "post", "remote-address": "192.0.2.7", "user-agent": "twine/6.2"},
        "principal": {"user": {"name": "alice", "age": 100_000, "email-verified": true, "factors": ["webauthn"]}},
        "token": {"id": "token-1", "age": 50, "expires-in": 70, "scope": {"projects": ["demo", "other"]}, "made-with-second-factor": true},
        "assurance": {"password-age": 5, "second-factor": {"factor": "recovery-code", "age": 6}, "password-state": "breached"},
        "project": {"name": "demo", "exists": true, "status": "deprecated", "role": "maintainer"},
        "release": {"version": "2.0", "state": "staged", "age": 9, "order": "newer", "newest": "1.0", "staged-by-this-credential": true},
        "file": {"name": "demo-2.0.tar.gz", "kind": "sdist", "size": 1234, "sha256": "aa", "blake2-256": "bb"},
        "metadata": {"version": "2.4", "summary": "Demo", "license": "MIT", "requires-python": ">=3.9", "requires": ["a>1", "b"], "classifiers": ["x :: y"]},
        "change": {"token": {"scope": "account", "expires-in": 3}},
    }))
    .unwrap()
}

pub(crate) fn read() -> Context {
    Context {
        action: Action::IndexRead,
        ..upload()
    }
}

pub(crate) fn decide(set: &PolicySet, context: &Context) -> Decision {
    set.decide(context, &OwnerSettings::default())
}
