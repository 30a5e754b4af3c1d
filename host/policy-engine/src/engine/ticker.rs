//! The clock of all sandboxes: one thread that ticks every millisecond while any policy
//! runs, and sleeps while none does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::Lane;

/// Idle ticks after which the thread sleeps. High enough that a busy server never has to wake it.
const IDLE_TICKS: u32 = 100;

pub(super) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    asleep: AtomicBool,
    stop: AtomicBool,
}

impl Ticker {
    pub(super) fn start(lanes: Arc<[Lane]>) -> std::io::Result<Ticker> {
        let shared = Arc::new(Shared::default());
        let inner = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("policy-ticker".into())
            .spawn(move || tick(&lanes, &inner))?;
        Ok(Ticker {
            shared,
            thread: Some(thread),
        })
    }

    /// Makes sure that the clock runs. Called after [`Lane::started`]: the thread checks the lanes
    /// after it has set the sleeping flag, and we check the flag after we have set `started`, so
    /// one of the two always sees the other.
    pub(super) fn wake(&self) {
        if self.shared.asleep.load(Ordering::SeqCst)
            && let Some(thread) = &self.thread
        {
            thread.thread().unpark();
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It ends within a tick; a panic there can do no harm.
            let _ = thread.join();
        }
    }
}

fn tick(lanes: &[Lane], shared: &Shared) {
    let mut idle = 0;
    let mut last_started = 0;
    while !shared.stop.load(Ordering::SeqCst) {
        if idle >= IDLE_TICKS {
            shared.asleep.store(true, Ordering::SeqCst);
            if work(lanes) == (last_started, false) && !shared.stop.load(Ordering::SeqCst) {
                thread::park();
            }
            shared.asleep.store(false, Ordering::SeqCst);
            idle = 0;
        }
        thread::sleep(Duration::from_millis(1));
        for lane in lanes {
            lane.engine.increment_epoch();
        }
        let (started, running) = work(lanes);
        idle = if running || started != last_started {
            0
        } else {
            idle + 1
        };
        last_started = started;
    }
}

fn work(lanes: &[Lane]) -> (u64, bool) {
    lanes
        .iter()
        .map(Lane::work)
        .fold((0, false), |(sum, any), (started, running)| {
            (sum + started, any || running)
        })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::budget::Budget;

    fn wait_until(what: &str, happened: impl Fn() -> bool) {
        let begin = Instant::now();
        while !happened() {
            assert!(
                begin.elapsed() < Duration::from_secs(30),
                "{what} never happened"
            );
            thread::yield_now();
        }
    }

    #[test]
    fn it_sleeps_while_nothing_runs_and_wakes_for_work() {
        let lanes: Arc<[Lane]> = vec![Lane::new(&Budget::default()).unwrap()].into();
        let ticker = Ticker::start(Arc::clone(&lanes)).unwrap();
        let asleep = || ticker.shared.asleep.load(Ordering::SeqCst);
        for _ in 0..3 {
            wait_until("sleep", asleep);
            lanes[0].started();
            ticker.wake();
            wait_until("waking", || !asleep());
            lanes[0].finished();
        }
    }
}
