//! One call of one policy in a fresh sandbox.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wasmtime::component::{ComponentNamedList, Instance, InstancePre, Lift, Lower, TypedFunc};
use wasmtime::{ResourceLimiter, Store, Trap, UpdateDeadline};

use crate::budget::Budget;
use crate::contract::{ContextView, Descriptor, SettingError, SettingValue, Verdict};
use crate::module::LaneModule;

/// Why a policy has no verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "detail")]
pub enum EvaluateFailure {
    /// It ran longer than its budget, in milliseconds.
    #[error("ran longer than its {0} ms")]
    Time(u64),
    /// It used more fuel than its budget.
    #[error("used more than its {0} units of fuel")]
    Fuel(u64),
    /// It wanted more memory or table space than its budget, in bytes of memory.
    #[error("wanted more memory than its {0} bytes, or more table space than its budget")]
    Memory(usize),
    /// It recursed too deep.
    #[error("overflowed its stack")]
    Stack,
    /// It returned more than its budget, or something the contract does not allow.
    #[error("answered what the contract does not allow: {0}")]
    Output(String),
    /// It trapped.
    #[error("trapped: {0}")]
    Trap(String),
    /// Its sandbox could not be created.
    #[error("could not be given a sandbox: {0}")]
    Sandbox(String),
    /// It exceeded its budget too often recently and is not run for a while, in seconds.
    #[error("is suspended for {0} s because it overran its budget again and again")]
    Suspended(u64),
}

impl EvaluateFailure {
    /// Whether the failure cost the host time, unlike a plain trap.
    pub(crate) fn is_overrun(&self) -> bool {
        matches!(
            self,
            EvaluateFailure::Time(_) | EvaluateFailure::Fuel(_) | EvaluateFailure::Memory(_)
        )
    }
}

/// The limits of a sandbox; lives in its store and is dropped with it.
pub(crate) struct Sandbox {
    memory_limit: usize,
    memory_used: usize,
    table_limit: usize,
    exceeded: bool,
    clock: Clock,
}

/// How long a call may still run. The time budget is for a running policy; a thread that waits for
/// a processor on a busy machine must not fail a decision. So the first half of the budget only
/// starts a measurement, and a second half in which the thread got little processor time is
/// repeated a few times.
struct Clock {
    half_ticks: u64,
    halves_left: u32,
    processor_time: Option<Duration>,
}

/// The time budget may be this many times as long for a thread that got little processor time.
const PATIENCE: u32 = 10;

impl Clock {
    fn new(time_ms: u64) -> Self {
        Clock {
            half_ticks: (time_ms / 2).max(1),
            halves_left: 2 * PATIENCE - 1,
            processor_time: None,
        }
    }

    /// Another half is over.
    #[cold]
    fn half_is_over(&mut self) -> UpdateDeadline {
        let now = processor_time_of_this_thread();
        let ran = self.processor_time.map(|before| now.saturating_sub(before));
        let half = Duration::from_millis(self.half_ticks);
        if self.halves_left == 0 || ran.is_some_and(|ran| ran >= half / 2) {
            return UpdateDeadline::Interrupt;
        }
        self.halves_left -= 1;
        self.processor_time = Some(now);
        UpdateDeadline::Continue(self.half_ticks)
    }
}

#[expect(
    unsafe_code,
    reason = "the standard library has no clock of processor time"
)]
fn processor_time_of_this_thread() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is valid and only written to. If the call fails it stays zero, so the call
    // looks as if it never ran: the last half ends it anyway.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

impl ResourceLimiter for Sandbox {
    /// Counts all memories of the sandbox together, and traps instead of letting the module see a
    /// failed growth: its behaviour after that is of no interest.
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let used = self
            .memory_used
            .saturating_add(desired.saturating_sub(current));
        if used > self.memory_limit {
            self.exceeded = true;
            return Err(wasmtime::Error::msg("memory budget exceeded"));
        }
        self.memory_used = used;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > self.table_limit {
            self.exceeded = true;
            return Err(wasmtime::Error::msg("table budget exceeded"));
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        8
    }

    fn tables(&self) -> usize {
        4
    }

    fn memories(&self) -> usize {
        2
    }
}

/// The result of a call, and the fuel that it used.
pub(crate) struct Ran<T> {
    pub(crate) result: Result<T, EvaluateFailure>,
    pub(crate) fuel: u64,
}

/// Runs `evaluate` in a fresh sandbox. The verdict is unchecked.
pub(crate) fn evaluate(
    module: &LaneModule,
    budget: &Budget,
    settings: &[SettingValue],
    context: ContextView<'_>,
) -> Ran<Verdict> {
    run(module, budget, budget.time_ms, |store, instance| {
        call(store, instance, &module.evaluate, (settings, context))
    })
}

/// Runs `describe` in a fresh sandbox.
pub(crate) fn describe(
    module: &LaneModule,
    budget: &Budget,
) -> Result<Descriptor, EvaluateFailure> {
    run(module, budget, budget.load_time_ms, |store, instance| {
        call(store, instance, &module.describe, ())
    })
    .result
}

/// Runs `validate-settings` in a fresh sandbox.
pub(crate) fn validate_settings(
    module: &LaneModule,
    budget: &Budget,
    operator: &[SettingValue],
    owner: &[SettingValue],
) -> Result<Result<(), Vec<SettingError>>, EvaluateFailure> {
    run(module, budget, budget.load_time_ms, |store, instance| {
        call(
            store,
            instance,
            &module.validate_settings,
            (operator, owner),
        )
    })
    .result
}

/// Checks on a live instance that the three functions have exactly the types that [`call`] assumes.
/// Done once, when a module is loaded.
pub(crate) fn check_types(
    module: &LaneModule,
    budget: &Budget,
) -> Result<Result<(), String>, EvaluateFailure> {
    run(module, budget, budget.load_time_ms, |store, instance| {
        fn typed<P: ComponentNamedList + Lower, R: ComponentNamedList + Lift>(
            store: &mut Store<Sandbox>,
            instance: &Instance,
            name: &str,
            index: &wasmtime::component::ComponentExportIndex,
        ) -> Result<(), String> {
            let function = instance
                .get_func(&mut *store, index)
                .ok_or_else(|| format!("`{name}` is not a function"))?;
            function
                .typed::<P, R>(&*store)
                .map(|_| ())
                .map_err(|error| format!("`{name}`: {error:#}"))
        }
        Ok(
            typed::<(), (Descriptor,)>(store, instance, "describe", &module.describe)
                .and_then(|()| {
                    typed::<(&[SettingValue], &[SettingValue]), (Result<(), Vec<SettingError>>,)>(
                        store,
                        instance,
                        "validate-settings",
                        &module.validate_settings,
                    )
                })
                .and_then(|()| {
                    typed::<(&[SettingValue], ContextView<'_>), (Verdict,)>(
                        store,
                        instance,
                        "evaluate",
                        &module.evaluate,
                    )
                }),
        )
    })
    .result
}

#[expect(
    unsafe_code,
    reason = "types are checked once per module, not once per call"
)]
fn call<P, T>(
    store: &mut Store<Sandbox>,
    instance: &Instance,
    index: &wasmtime::component::ComponentExportIndex,
    parameters: P,
) -> wasmtime::Result<T>
where
    P: ComponentNamedList + Lower,
    (T,): ComponentNamedList + Lift,
{
    let function = instance
        .get_func(&mut *store, index)
        .ok_or_else(|| wasmtime::Error::msg("the export is not a function"))?;
    // SAFETY: `check_types` has compared the function's type with exactly these types when the
    // module was loaded, and every lane runs the same compiled bytes. A check for each call would
    // cost more than the call.
    let function = unsafe { TypedFunc::<P, (T,)>::new_unchecked(function) };
    Ok(function.call(store, parameters)?.0)
}

/// Creates a store with every limit, instantiates, calls, and drops the store. Invariant: no
/// sandbox outlives this function, and none is entered without limits.
fn run<T>(
    module: &LaneModule,
    budget: &Budget,
    time_ms: u64,
    body: impl FnOnce(&mut Store<Sandbox>, &Instance) -> wasmtime::Result<T>,
) -> Ran<T> {
    let sandbox = Sandbox {
        memory_limit: budget.memory_bytes,
        memory_used: 0,
        table_limit: budget.table_elements,
        exceeded: false,
        clock: Clock::new(time_ms),
    };
    // A panic in the engine must neither take the server down nor count as a permission.
    catch_unwind(AssertUnwindSafe(|| {
        let mut store = Store::new(module.instance.engine(), sandbox);
        store.limiter(|sandbox| sandbox);
        // The first tick may come at once, so a full half needs one more. Set before instantiation,
        // because it limits start code as well.
        store.set_epoch_deadline(store.data().clock.half_ticks + 1);
        store.epoch_deadline_callback(|mut store| Ok(store.data_mut().clock.half_is_over()));
        store.set_hostcall_fuel(budget.output_bytes);
        store.set_max_component_handles(16);
        if let Some(fuel) = budget.fuel
            && let Err(error) = store.set_fuel(fuel)
        {
            return Ran {
                result: Err(EvaluateFailure::Sandbox(first_line(&error))),
                fuel: 0,
            };
        }
        let mut instantiated = false;
        let result = instantiate(&module.instance, &mut store).and_then(|instance| {
            instantiated = true;
            body(&mut store, &instance)
        });
        let fuel = budget
            .fuel
            .map_or(0, |fuel| fuel - store.get_fuel().unwrap_or(0).min(fuel));
        let result =
            result.map_err(|error| failure(&error, store.data(), budget, time_ms, instantiated));
        Ran { result, fuel }
    }))
    .unwrap_or_else(|_| Ran {
        result: Err(EvaluateFailure::Sandbox(
            "the engine panicked; see the log".into(),
        )),
        fuel: 0,
    })
}

fn instantiate(
    instance: &InstancePre<Sandbox>,
    store: &mut Store<Sandbox>,
) -> wasmtime::Result<Instance> {
    instance.instantiate(store)
}

#[cold]
fn failure(
    error: &wasmtime::Error,
    sandbox: &Sandbox,
    budget: &Budget,
    time_ms: u64,
    instantiated: bool,
) -> EvaluateFailure {
    if sandbox.exceeded {
        return EvaluateFailure::Memory(budget.memory_bytes);
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return match trap {
            Trap::Interrupt => EvaluateFailure::Time(time_ms),
            Trap::OutOfFuel => EvaluateFailure::Fuel(budget.fuel.unwrap_or(0)),
            Trap::StackOverflow => EvaluateFailure::Stack,
            Trap::UnreachableCodeReached => {
                EvaluateFailure::Trap("reached code that ends the module, as a panic does".into())
            }
            Trap::MemoryOutOfBounds => EvaluateFailure::Trap(
                "touched memory out of bounds, as a stack overflow does".into(),
            ),
            other => EvaluateFailure::Trap(
                other
                    .to_string()
                    .trim_start_matches("wasm trap: ")
                    .to_owned(),
            ),
        };
    }
    let text = first_line(error);
    if !instantiated {
        EvaluateFailure::Sandbox(text)
    } else if text.contains("fuel allocated for hostcalls") {
        EvaluateFailure::Output(format!("more than {} bytes", budget.output_bytes))
    } else {
        EvaluateFailure::Output(text)
    }
}

/// The innermost cause, without a backtrace.
fn first_line(error: &wasmtime::Error) -> String {
    error
        .root_cause()
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}
