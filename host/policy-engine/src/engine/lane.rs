//! One sandbox pool, and the assignment of threads to pools.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime::{Config, Enabled, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use super::EngineError;
use crate::budget::Budget;

/// Most sandboxes that exist at once in one lane. A thread runs one at a time; the others are for
/// threads that share a lane, and keep a warm slot for every policy.
const SANDBOXES: u32 = 64;

/// One sandbox pool with its clock. Aligned so that two lanes never share a cache line.
#[repr(align(128))]
pub(crate) struct Lane {
    pub(crate) engine: wasmtime::Engine,
    started: AtomicU64,
    finished: AtomicU64,
}

impl Lane {
    pub(super) fn new(budget: &Budget) -> Result<Lane, EngineError> {
        let mut config = configuration(budget.fuel.is_some());
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(budget)));
        let engine = wasmtime::Engine::new(&config)
            .map_err(|error| EngineError::Setup(format!("{error:#}")))?;
        Ok(Lane {
            engine,
            started: AtomicU64::new(0),
            finished: AtomicU64::new(0),
        })
    }

    /// Records that work begins. Sequentially consistent, because the ticker relies on it to decide
    /// whether to sleep.
    pub(super) fn started(&self) {
        self.started.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn finished(&self) {
        self.finished.fetch_add(1, Ordering::Release);
    }

    /// How much work has begun so far, and whether some of it is still running.
    pub(super) fn work(&self) -> (u64, bool) {
        let finished = self.finished.load(Ordering::SeqCst);
        let started = self.started.load(Ordering::SeqCst);
        (started, started != finished)
    }
}

/// The configuration that determines the compiled code. The compiler process and the lanes must use
/// the same one, or the compiled module is refused.
pub(crate) fn configuration(fuel: bool) -> Config {
    let mut config = Config::new();
    config
        // Allowed features: plain components of plain modules. Garbage collection, threads,
        // component-model async and exceptions are not even compiled in.
        .wasm_component_model(true)
        .wasm_multi_memory(false)
        .wasm_memory64(false)
        .wasm_tail_call(false)
        .wasm_wide_arithmetic(false)
        .wasm_custom_page_sizes(false)
        .wasm_relaxed_simd(false)
        .shared_memory(false)
        .concurrency_support(false)
        // The same context always gives the same verdict, on every machine.
        .relaxed_simd_deterministic(true)
        .cranelift_nan_canonicalization(true)
        // Limits. Fuel is on by default: it costs 3.5 % (four policies took 13.8 µs without and
        // 14.3 µs with it), and makes the budget exact and repeatable, while the clock is only an
        // upper bound.
        .epoch_interruption(true)
        .consume_fuel(fuel)
        .max_wasm_stack(256 << 10)
        .signals_based_traps(true)
        .memory_reservation(4 << 30)
        .memory_guard_size(32 << 20)
        .memory_init_cow(true)
        .cranelift_opt_level(OptLevel::Speed)
        // Registering unwind tables costs a lot where many modules come and go, and
        // traps under attack should be cheap.
        .native_unwind_info(false)
        .wasm_backtrace_max_frames(NonZeroUsize::new(4));
    config
}

/// The pool of one lane. Its limits apply to every sandbox, whatever else goes wrong.
fn pool(budget: &Budget) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(SANDBOXES)
        .total_core_instances(4 * SANDBOXES)
        .total_memories(SANDBOXES)
        .total_tables(2 * SANDBOXES)
        .max_core_instances_per_component(8)
        .max_memories_per_component(2)
        .max_tables_per_component(4)
        .max_memories_per_module(1)
        .max_tables_per_module(2)
        .max_memory_size(budget.memory_bytes)
        .table_elements(budget.table_elements)
        // A policy of one page is reset by writing 64 KiB, without a system call.
        .linear_memory_keep_resident(64 << 10)
        .table_keep_resident(8 << 10)
        .pagemap_scan(Enabled::No)
        .max_unused_warm_slots(SANDBOXES);
    pool
}

/// The numbers of the deciding threads: a new thread takes the smallest free one, so with no more
/// threads than lanes, no two share a lane.
static TAKEN: Mutex<BTreeSet<usize>> = Mutex::new(BTreeSet::new());

struct Slot(usize);

impl Drop for Slot {
    fn drop(&mut self) {
        if let Ok(mut taken) = TAKEN.lock() {
            taken.remove(&self.0);
        }
    }
}

thread_local! {
    static SLOT: Slot = {
        let mut taken = TAKEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let free = (0..).find(|number| !taken.contains(number)).unwrap_or(0);
        taken.insert(free);
        Slot(free)
    };
}

/// The number of the current thread among the deciding ones. 0 while the thread ends.
pub(super) fn slot_of_this_thread() -> usize {
    SLOT.try_with(|slot| slot.0).unwrap_or(0)
}
