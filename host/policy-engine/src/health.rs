//! Suspends a policy that exceeds its budget repeatedly, so that one bad module cannot use up the
//! processors. A suspended policy is not skipped: its binding fails, and under `enforce` that fails
//! the decision.
//!
//! Only overruns count. A plain trap costs the host nothing, and if it counted, one caller who
//! found a trap could disable the policy, and with it the action, for everyone.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::evaluate::EvaluateFailure;

/// This many overruns ...
const OVERRUNS: usize = 5;
/// ... within this time ...
const WINDOW_MS: u64 = 60_000;
/// ... suspend a policy for this long. At 10 ms each, overruns then cost 0.5 % of a processor.
const SUSPENSION_MS: u64 = 10_000;

/// Counts of one policy since its set was assembled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PolicyHealth {
    /// Name of the policy.
    pub policy: String,
    /// Calls in decisions.
    pub evaluations: u64,
    /// Calls that failed, among them those refused while it was suspended.
    pub failures: u64,
    /// Times it was suspended.
    pub suspensions: u64,
    /// Whether it is suspended now.
    pub suspended: bool,
}

/// Counts of one lane, alone in its cache line so that threads do not slow each other.
#[derive(Default)]
#[repr(align(128))]
struct Counts {
    evaluations: AtomicU64,
    failures: AtomicU64,
}

/// The state of one binding. Times are milliseconds since the set was assembled.
pub(crate) struct Health {
    suspended_until_ms: AtomicU64,
    suspensions: AtomicU64,
    overruns: Mutex<VecDeque<u64>>,
    lanes: Box<[Counts]>,
}

impl Health {
    pub(crate) fn new(lanes: usize) -> Self {
        Health {
            suspended_until_ms: AtomicU64::new(0),
            suspensions: AtomicU64::new(0),
            overruns: Mutex::default(),
            lanes: (0..lanes).map(|_| Counts::default()).collect(),
        }
    }

    /// The failure to return instead of running the policy, if it is suspended.
    pub(crate) fn suspension(&self, now_ms: u64) -> Option<EvaluateFailure> {
        let until = self.suspended_until_ms.load(Ordering::Relaxed);
        (now_ms < until).then(|| EvaluateFailure::Suspended((until - now_ms).div_ceil(1000)))
    }

    /// Counts a call. Returns whether it caused a suspension.
    pub(crate) fn count(
        &self,
        lane: usize,
        now_ms: u64,
        failure: Option<&EvaluateFailure>,
    ) -> bool {
        self.lanes[lane].evaluations.fetch_add(1, Ordering::Relaxed);
        let Some(failure) = failure else { return false };
        self.lanes[lane].failures.fetch_add(1, Ordering::Relaxed);
        failure.is_overrun() && self.overrun(now_ms)
    }

    #[cold]
    fn overrun(&self, now_ms: u64) -> bool {
        let mut overruns = self
            .overruns
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        overruns.push_back(now_ms);
        while overruns
            .front()
            .is_some_and(|at| now_ms.saturating_sub(*at) > WINDOW_MS)
        {
            overruns.pop_front();
        }
        if overruns.len() < OVERRUNS {
            return false;
        }
        overruns.clear();
        self.suspended_until_ms
            .store(now_ms + SUSPENSION_MS, Ordering::Relaxed);
        self.suspensions.fetch_add(1, Ordering::Relaxed);
        true
    }

    pub(crate) fn report(&self, policy: &str, now_ms: u64) -> PolicyHealth {
        let sum = |count: fn(&Counts) -> &AtomicU64| {
            self.lanes
                .iter()
                .map(|lane| count(lane).load(Ordering::Relaxed))
                .sum()
        };
        PolicyHealth {
            policy: policy.to_owned(),
            evaluations: sum(|lane| &lane.evaluations),
            failures: sum(|lane| &lane.failures),
            suspensions: self.suspensions.load(Ordering::Relaxed),
            suspended: self.suspension(now_ms).is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_overruns_within_a_minute_suspend_for_ten_seconds() {
        let health = Health::new(1);
        let overrun = EvaluateFailure::Time(10);
        for at in 0..4 {
            assert!(!health.count(0, at, Some(&overrun)));
        }
        assert_eq!(health.suspension(4), None);
        assert!(health.count(0, 4, Some(&overrun)));
        assert_eq!(health.suspension(4), Some(EvaluateFailure::Suspended(10)));
        assert_eq!(
            health.suspension(10_003),
            Some(EvaluateFailure::Suspended(1))
        );
        assert_eq!(health.suspension(10_004), None);
        let report = health.report("slow", 5);
        assert_eq!(
            (
                report.evaluations,
                report.failures,
                report.suspensions,
                report.suspended
            ),
            (5, 5, 1, true)
        );
    }

    #[test]
    fn rare_overruns_and_plain_traps_do_not_suspend() {
        let health = Health::new(1);
        for at in 0..100 {
            assert!(!health.count(0, at * 20_000, Some(&EvaluateFailure::Fuel(1))));
            assert!(!health.count(
                0,
                at,
                Some(&EvaluateFailure::Trap("by a caller's choice".into()))
            ));
        }
    }
}
