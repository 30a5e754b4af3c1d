//! The engine: one sandbox pool for each worker thread, and the clock that bounds them.

use std::sync::Arc;

use crate::budget::Budget;
use crate::cache::ModuleCache;
use crate::compile::Compiler;
use crate::load::LoadError;
use crate::module::Module;

/// How an [`Engine`] is made.
#[derive(Clone)]
pub struct EngineConfig {
    /// Number of lanes: one for each thread that decides.
    pub lanes: usize,
    /// What one call may use.
    pub budget: Budget,
    /// How modules are compiled.
    pub compiler: Compiler,
    /// Where compiled modules are kept between starts.
    pub cache: Option<ModuleCache>,
}

impl EngineConfig {
    /// One lane for each processor, the default budget, no cache.
    pub fn new(compiler: Compiler) -> Self {
        let lanes = std::thread::available_parallelism().map_or(1, usize::from);
        EngineConfig { lanes, budget: Budget::default(), compiler, cache: None }
    }
}

/// The engine could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The sandbox engine refused its configuration or could not reserve its pool.
    #[error("the sandbox engine could not be set up: {0}")]
    Setup(String),
}

/// Loads modules and runs them. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    _inner: Arc<()>,
}

impl Engine {
    /// Sets up the lanes and their ticker thread.
    pub fn new(_config: EngineConfig) -> Result<Engine, EngineError> {
        todo!()
    }

    /// Checks, compiles and describes a module. Blocks for up to seconds: call it off the
    /// request path.
    pub fn load(&self, _wasm: &[u8]) -> Result<Module, LoadError> {
        todo!()
    }
}
