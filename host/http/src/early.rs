//! Refusals before anything of a request is read.

use gate::{Attempt, Refusal, Target, TargetFacts};
use model::{Action, Caller};

use crate::shared::State;

/// What is attempted, when nothing of it was read yet.
#[derive(Clone, Copy, Debug)]
struct Unread(Action);

impl Target for Unread {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(self.0)
    }
}

/// Refuses what the set refuses whatever it is about. What is not refused is decided again once
/// it was read: a permit of nothing in particular permits nothing, so none leaves this file.
pub(crate) async fn refuse_unread(
    app: &State,
    attempt: &Attempt,
    caller: &Caller,
    action: Action,
) -> Result<(), Refusal> {
    app.gate
        .decide(attempt, caller, Unread(action))
        .await
        .map(drop)
}
