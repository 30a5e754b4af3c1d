//! The metrics of decisions: each looked up once, then cached.

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Counter, Histogram, counter, histogram};
use model::Action;

/// The outcomes of decisions, in the words of the log.
const OUTCOMES: [&str; 6] = [
    "permitted",
    "staged",
    "denied",
    "required",
    "failed",
    "limited",
];

/// Looked up when they are first needed: before that there may be no recorder for them.
pub(crate) struct DecisionMetrics {
    seconds: OnceLock<Histogram>,
    /// In the order of `Action::ALL`.
    counts: Vec<[OnceLock<Counter>; OUTCOMES.len()]>,
}

impl DecisionMetrics {
    pub(crate) fn new() -> Self {
        Self {
            seconds: OnceLock::new(),
            counts: Action::ALL.iter().map(|_| Default::default()).collect(),
        }
    }

    /// Counts one decision; `outcome` is a word of the log.
    pub(crate) fn count(&self, action: Action, outcome: &'static str) {
        let find = || counter!("portcullis_decisions_total", "action" => action.as_str(), "outcome" => outcome);
        let place = OUTCOMES.iter().position(|known| *known == outcome);
        let kept = self.counts.get(action as usize).zip(place);
        match kept {
            Some((counts, place)) => counts[place].get_or_init(find).increment(1),
            None => find().increment(1),
        }
    }

    /// Notes the time that the policies took for one decision.
    pub(crate) fn took(&self, time: Duration) {
        self.seconds
            .get_or_init(|| histogram!("portcullis_decision_seconds"))
            .record(time.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_an_action_is_that_of_its_counters() {
        for (place, &action) in Action::ALL.iter().enumerate() {
            assert_eq!(action as usize, place);
        }
    }
}
