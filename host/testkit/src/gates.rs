//! Gates with chosen policies, database and clock.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gate::{
    Gate, GateConfig, Recorder, RecorderConfig, ServerIdentity, SetPackage, VerifiedPackage,
};
use model::audit::Actor;
use model::time::ManualClock;
use model::{Clock, ServerId};
use policy_engine::{Compiler, Engine, EngineConfig};
use storage::Storage;

use crate::NOW;

/// An engine that compiles in the process of the test.
pub fn engine() -> Engine {
    let config = EngineConfig::new(Compiler::InProcess);
    Engine::new(config).expect("an engine can be made")
}

/// The same, but it decides one thing at a time and is created faster.
pub fn small_engine() -> Engine {
    let mut config = EngineConfig::new(Compiler::InProcess);
    config.lanes = 1;
    Engine::new(config).expect("an engine can be made")
}

fn policies() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies")
}

/// A set of this repository, as shipped; its modules are built by `cargo xtask build-plugins`.
pub fn shipped(set: &str) -> SetPackage {
    SetPackage::read(&policies().join(set)).unwrap_or_else(|error| panic!("{error}"))
}

/// A set from this text, without cases, with policies of this repository; its files go into
/// `folder`.
pub fn written(folder: &Path, set: &str) -> SetPackage {
    let modules = set
        .lines()
        .filter_map(|line| line.strip_prefix("module = \"")?.strip_suffix('"'));
    for module in modules {
        std::fs::copy(policies().join("modules").join(module), folder.join(module))
            .expect("policy modules are built: cargo xtask build-plugins");
    }
    std::fs::write(folder.join("set.toml"), set).expect("a file can be written");
    SetPackage::read(folder).unwrap_or_else(|error| panic!("{error}"))
}

/// The text of the set of this name.
pub fn text_of(set: &str) -> String {
    std::fs::read_to_string(policies().join(set).join("set.toml")).expect("the set is there")
}

/// Builds a gate: without a set, on a clock fixed at [`NOW`], unless changed.
pub struct GateBuilder {
    storage: Storage,
    engine: Option<Engine>,
    clock: Arc<dyn Clock>,
    recorder: RecorderConfig,
}

impl GateBuilder {
    pub fn on(storage: &Storage) -> Self {
        Self {
            storage: storage.clone(),
            engine: None,
            clock: Arc::new(ManualClock::at(NOW)),
            recorder: RecorderConfig::default(),
        }
    }

    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// With an engine that several gates share: compiling takes longest.
    pub fn engine(self, engine: Engine) -> Self {
        Self {
            engine: Some(engine),
            ..self
        }
    }

    /// Sets how many permitted reads are recorded in a second.
    pub fn recording(mut self, reads_per_second: u32) -> Self {
        self.recorder.reads_per_second = reads_per_second;
        self
    }

    /// Without any set: every decision is a refusal.
    pub fn without_policies(self) -> Gate {
        let now = self.clock.now();
        let recorder = Recorder::start(self.storage.clone(), self.recorder);
        Gate::new(GateConfig {
            storage: self.storage,
            engine: self.engine.unwrap_or_else(engine),
            recorder,
            clock: self.clock,
            server: ServerIdentity {
                id: ServerId::new(),
                host: "test".into(),
                pid: 1,
                started_at: now,
            },
        })
    }

    /// With this set, verified like an operator's.
    pub async fn with(self, package: SetPackage) -> Gate {
        let engine = self.engine.clone().unwrap_or_else(engine);
        let verified = package
            .verify(&engine)
            .unwrap_or_else(|error| panic!("{error}"));
        self.engine(engine).with_verified(&verified).await
    }

    /// With a set that the given engine has already verified.
    pub async fn with_verified(self, package: &VerifiedPackage) -> Gate {
        let storage = self.storage.clone();
        let gate = self.without_policies();
        let number = package
            .store(&storage, &Actor::System, NOW)
            .await
            .expect("a set can be stored");
        gate.install(number).await.expect("it can be installed");
        gate
    }
}
