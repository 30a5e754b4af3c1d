//! The engine: one sandbox pool for each worker thread, and the clock that bounds them.

mod lane;
mod ticker;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use crate::budget::Budget;
use crate::cache::ModuleCache;
use crate::compile::Compiler;
use crate::load::{self, LoadError};
use crate::module::{Module, ModuleInner};

pub(crate) use lane::{Lane, configuration};
use ticker::Ticker;

/// The configuration of an [`Engine`].
#[derive(Clone)]
pub struct EngineConfig {
    /// Number of lanes: one for each thread that decides. A shared pool does not scale: two threads
    /// on one pool decide less than one thread alone.
    pub lanes: usize,
    /// The limits of one call.
    pub budget: Budget,
    /// How modules are compiled.
    pub compiler: Compiler,
    /// Where compiled modules are stored between starts.
    pub cache: Option<ModuleCache>,
}

impl EngineConfig {
    /// One lane for each processor, the default budget, no cache.
    pub fn new(compiler: Compiler) -> Self {
        let lanes = std::thread::available_parallelism().map_or(1, usize::from);
        EngineConfig {
            lanes,
            budget: Budget::default(),
            compiler,
            cache: None,
        }
    }
}

/// The engine could not be created.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The sandbox engine refused its configuration or could not reserve its pool.
    #[error(
        "the sandbox engine could not be set up: {0}; it reserves about 260 GiB of address space (not memory) for each lane, so look at limits such as `ulimit -v`"
    )]
    Setup(String),
    /// The ticker thread could not be started.
    #[error("the ticker thread could not be started: {0}")]
    Ticker(#[from] std::io::Error),
}

/// Loads modules and runs them. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<EngineInner>,
}

pub(crate) struct EngineInner {
    pub(crate) lanes: Arc<[Lane]>,
    pub(crate) budget: Budget,
    pub(crate) compiler: Compiler,
    pub(crate) cache: Option<ModuleCache>,
    /// Loaded modules by digest: sets share them, however often one is loaded.
    pub(crate) loaded: Mutex<HashMap<[u8; 32], Weak<ModuleInner>>>,
    ticker: Ticker,
}

impl Engine {
    /// Sets up the lanes and their ticker thread.
    pub fn new(config: EngineConfig) -> Result<Engine, EngineError> {
        let lanes: Arc<[Lane]> = (0..config.lanes.max(1))
            .map(|_| Lane::new(&config.budget))
            .collect::<Result<_, _>>()?;
        let ticker = Ticker::start(Arc::clone(&lanes))?;
        let inner = EngineInner {
            lanes,
            budget: config.budget,
            compiler: config.compiler,
            cache: config.cache,
            loaded: Mutex::default(),
            ticker,
        };
        Ok(Engine {
            inner: Arc::new(inner),
        })
    }

    /// Checks, compiles and describes a module. Blocks for up to seconds: call it off the request
    /// path. Almost free while another set still uses the module.
    ///
    /// # Errors
    /// [`LoadError`] says what is wrong and what to do.
    pub fn load(&self, wasm: &[u8]) -> Result<Module, LoadError> {
        load::load(&self.inner, wasm)
    }

    /// The limits of one call.
    pub fn budget(&self) -> &Budget {
        &self.inner.budget
    }
}

impl EngineInner {
    /// Position of the lane of the current thread.
    pub(crate) fn lane_of_this_thread(&self) -> usize {
        lane::slot_of_this_thread() % self.lanes.len()
    }

    /// Keeps the clock of a lane running until the guard is dropped. Every call into a sandbox
    /// needs one.
    pub(crate) fn keep_time(&self, lane: usize) -> TimeKept<'_> {
        let lane = &self.lanes[lane];
        lane.started();
        self.ticker.wake();
        TimeKept { lane }
    }
}

/// While it lives, the clock of its lane ticks.
pub(crate) struct TimeKept<'a> {
    lane: &'a Lane,
}

impl Drop for TimeKept<'_> {
    fn drop(&mut self) {
        self.lane.finished();
    }
}
