//! Answers that take the same time whatever was found, for cases where the answer is the same.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::Identity;

impl Identity {
    /// Runs the work, then waits for the next full step since its start. The work is as similar as
    /// possible for known and unknown accounts; a row with a user has a few more bytes than one
    /// without, which a patient attacker could measure.
    pub(crate) async fn answer_evenly<T>(&self, work: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let done = work.await;
        self.wait_evenly(begun.into_std()).await;
        done
    }

    /// Waits until the next full step since `begun`.
    pub async fn wait_evenly(&self, begun: std::time::Instant) {
        let begun = Instant::from_std(begun);
        sleep_until(begun + answered_after(begun.elapsed(), self.config().even_answers)).await;
    }
}

fn answered_after(taken: Duration, step: Duration) -> Duration {
    if step.is_zero() {
        return taken;
    }
    let steps = taken.as_nanos().div_ceil(step.as_nanos()).max(1);
    step * u32::try_from(steps).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_at_a_full_step() {
        let after = |millis, step| {
            answered_after(Duration::from_millis(millis), Duration::from_millis(step)).as_millis()
        };
        assert_eq!(
            [0, 1, 99, 100, 101, 950].map(|millis| after(millis, 100)),
            [100, 100, 100, 100, 200, 1000]
        );
        assert_eq!([0, 7].map(|millis| after(millis, 0)), [0, 7]);
    }
}
