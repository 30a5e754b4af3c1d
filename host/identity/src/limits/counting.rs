//! Counts attempts in the database.
//!
//! An attempt is counted before it is checked and taken back if it succeeds: however many are made
//! at once, no more than the limit are checked.

use model::Timestamp;
use storage::{Storage, StorageError};

use super::Limit;

/// One thing that is counted, for one user or address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counter {
    /// Each window has a key of its own: an attempt may fit one and not another.
    pub(super) windows: Vec<(String, Limit)>,
}

impl Counter {
    pub(super) fn new(key: &str, limits: &[Limit]) -> Self {
        Self {
            windows: limits
                .iter()
                .map(|limit| (format!("{key}:{}", limit.window_seconds), *limit))
                .collect(),
        }
    }
}

/// There were too many attempts; the caller must wait this many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany {
    pub(crate) retry_after_seconds: u64,
}

/// Attempts that were counted.
#[derive(Debug)]
#[must_use = "an attempt that succeeded must be given back"]
pub(crate) struct Taken {
    keys: Vec<String>,
    at: Timestamp,
}

/// Whether any limit is reached. Only to save work: [`take`] enforces the limit.
pub(crate) async fn check(
    storage: &Storage,
    counters: &[Counter],
    now: Timestamp,
) -> Result<Result<(), TooMany>, StorageError> {
    for (key, limit) in windows(counters) {
        let attempts = storage
            .attempts_since(key, now.plus_ms(-limit.window_ms()))
            .await?;
        if attempts.count >= u64::from(limit.attempts) {
            let free_at = attempts.oldest.unwrap_or(now).plus_ms(limit.window_ms());
            return Ok(Err(TooMany::until(free_at, now)));
        }
    }
    Ok(Ok(()))
}

/// Counts one attempt in every counter, or in none if a limit is reached.
pub(crate) async fn take(
    storage: &Storage,
    counters: &[Counter],
    now: Timestamp,
) -> Result<Result<Taken, TooMany>, StorageError> {
    let mut taken = Taken {
        keys: Vec::new(),
        at: now,
    };
    for (key, limit) in windows(counters) {
        match storage
            .take_attempt(key, now, limit.window_ms(), limit.attempts)
            .await?
        {
            Ok(()) => taken.keys.push(key.to_owned()),
            Err(retry) => {
                taken.give_back(storage).await?;
                return Ok(Err(TooMany::until(retry.at, now)));
            }
        }
    }
    Ok(Ok(taken))
}

impl Taken {
    /// For places where nothing is counted.
    pub(crate) fn nothing(at: Timestamp) -> Self {
        Self {
            keys: Vec::new(),
            at,
        }
    }

    /// Both, to be given back together. They must have been counted at the same time.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.keys.extend(other.keys);
        self
    }

    /// Removes the attempt from the counters, because it succeeded.
    pub(crate) async fn give_back(self, storage: &Storage) -> Result<(), StorageError> {
        for key in &self.keys {
            storage.give_back_attempt(key, self.at).await?;
        }
        Ok(())
    }
}

impl TooMany {
    fn until(free_at: Timestamp, now: Timestamp) -> Self {
        let wait_ms = u64::try_from(free_at.0 - now.0).unwrap_or(0);
        Self {
            retry_after_seconds: wait_ms.div_ceil(1000).max(1),
        }
    }
}

impl Limit {
    fn window_ms(self) -> i64 {
        i64::from(self.window_seconds) * 1000
    }
}

pub(super) fn windows(counters: &[Counter]) -> impl Iterator<Item = (&str, Limit)> {
    counters.iter().flat_map(|counter| {
        counter
            .windows
            .iter()
            .map(|(key, limit)| (key.as_str(), *limit))
    })
}

#[cfg(test)]
mod tests {
    use model::UserName;

    use super::super::Limits;
    use super::*;

    #[tokio::test]
    async fn counters_that_cannot_be_read_let_nobody_pass() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::connect(&format!(
            "sqlite:{}",
            folder.path().join("test.sqlite").display()
        ))
        .await
        .unwrap();
        storage.migrate().await.unwrap();
        let counters = [Limits::default().totp_of(&UserName::parse("ana").unwrap())];
        assert!(
            take(&storage, &counters, Timestamp(1))
                .await
                .unwrap()
                .is_ok()
        );
        storage.close().await;
        take(&storage, &counters, Timestamp(1)).await.unwrap_err();
        check(&storage, &counters, Timestamp(1)).await.unwrap_err();
    }

    #[test]
    fn the_wait_is_rounded_up_to_whole_seconds() {
        let until =
            |free_at| TooMany::until(Timestamp(free_at), Timestamp(10_000)).retry_after_seconds;
        assert_eq!(
            (until(10_001), until(11_000), until(11_001), until(9_000)),
            (1, 1, 2, 1)
        );
    }
}
