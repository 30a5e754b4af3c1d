//! Attempts: moving-window counters that hold across processes. Bookkeeping.

use model::Timestamp;

use crate::{Result, Storage};

/// How many attempts there were in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempts {
    pub count: u64,
    /// The oldest of them.
    pub oldest: Option<Timestamp>,
}

/// The limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter {
    /// When the next attempt will be allowed, if there is none until then.
    pub at: Timestamp,
}

impl Storage {
    /// Counts an attempt for a key (at most 200 bytes, chosen by the caller: what and who).
    pub async fn count_attempt(&self, key: &str, at: Timestamp) -> Result<()> {
        let _ = (key, at);
        todo!()
    }

    /// The attempts for a key after `since`.
    pub async fn attempts_since(&self, key: &str, since: Timestamp) -> Result<Attempts> {
        let _ = (key, since);
        todo!()
    }

    /// Counts an attempt if fewer than `limit` were counted in the `window_ms` before `at`.
    /// Atomic for each key, across processes: never more than `limit` pass in a window.
    pub async fn take_attempt(&self, key: &str, at: Timestamp, window_ms: i64, limit: u32) -> Result<std::result::Result<(), RetryAfter>> {
        let _ = (key, at, window_ms, limit);
        todo!()
    }

    /// Forgets the attempts for a key, for example after a success.
    pub async fn clear_attempts(&self, key: &str) -> Result<()> {
        let _ = key;
        todo!()
    }

    /// Forgets attempts made before `before`; how many.
    pub async fn forget_attempts(&self, before: Timestamp) -> Result<u64> {
        let _ = before;
        todo!()
    }
}
