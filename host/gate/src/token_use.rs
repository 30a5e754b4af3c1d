//! When a token was last used, which means when something was last permitted with it.
//!
//! Presenting a token is not a use. A policy may refuse tokens that were not used for a long time,
//! and a refused attempt must not make such a token look used to the next one.

use model::{Caller, Timestamp};
use storage::Storage;

/// How often the use of a token is written down.
const NOTE_EVERY_MS: i64 = 60_000;

/// Notes that something was permitted to a caller with a token. A failure here does not take the
/// permission back.
pub(crate) async fn note(storage: &Storage, caller: &Caller, at: Timestamp) {
    let due = |used: Timestamp| used.plus_ms(NOTE_EVERY_MS) <= at;
    let Some(token) = caller
        .token
        .as_ref()
        .filter(|token| token.last_used_at.is_none_or(due))
    else {
        return;
    };
    if let Err(error) = storage.touch_token(token.id, at).await {
        tracing::warn!(%error, token = %token.id, "the use of a token could not be noted");
    }
}
