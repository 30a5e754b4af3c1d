//! Refusals before anything of a request is read.

use gate::{Attempt, Refusal, Target, TargetFacts};
use model::{Action, Caller};

use crate::shared::State;

/// An attempted action of which nothing has been read yet.
#[derive(Clone, Copy, Debug)]
struct Unread(Action);

impl Target for Unread {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(self.0)
    }
}

/// Refuses an action that the set refuses for every target. Otherwise it is decided again once it
/// was read: a permit without a target permits nothing, so none leaves this file.
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
