//! Attempts: moving-window counters, shared across processes. Bookkeeping.

use model::Timestamp;

use crate::database::{Row, Value};
use crate::statement::statements;
use crate::{Conflict, Result, Storage};

/// The number of attempts in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempts {
    pub count: u64,
    /// The oldest of them.
    pub oldest: Option<Timestamp>,
}

/// The limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter {
    /// When the next attempt is allowed, if there is none until then.
    pub at: Timestamp,
}

/// Longest key, in bytes.
const MAX_KEY: usize = 200;

statements! {
    COUNT = "INSERT INTO attempts (key, at) VALUES ($1, $2)";
    SINCE = "SELECT COUNT(*) AS attempts, MIN(at) AS oldest FROM attempts WHERE key = $1 AND at > $2";
    /// On SQLite there is only one writer anyway; on PostgreSQL each key has its own lock, held
    /// until the transaction ends.
    LOCK = "SELECT $1 AS key", "SELECT $1 AS key FROM (SELECT pg_advisory_xact_lock(hashtextextended($1, 7201))) AS locked";
    /// The attempt that must leave the window before another one fits.
    OBSTACLE = "SELECT at FROM attempts WHERE key = $1 AND at > $2 ORDER BY at DESC LIMIT 1 OFFSET $3";
    /// Only one of them, if two were counted in the same millisecond.
    GIVE_BACK = "DELETE FROM attempts WHERE rowid = (SELECT rowid FROM attempts WHERE key = $1 AND at = $2 LIMIT 1)",
        "DELETE FROM attempts WHERE ctid = (SELECT ctid FROM attempts WHERE key = $1 AND at = $2 LIMIT 1 FOR UPDATE SKIP LOCKED)";
    CLEAR = "DELETE FROM attempts WHERE key = $1";
    FORGET = "DELETE FROM attempts WHERE rowid IN (SELECT rowid FROM attempts WHERE at < $1 ORDER BY at LIMIT $2)",
        "DELETE FROM attempts WHERE ctid = ANY (ARRAY(SELECT ctid FROM attempts WHERE at < $1 ORDER BY at LIMIT $2))";
}

impl Storage {
    /// Counts an attempt for a key (at most 200 bytes, chosen by the caller: what and who).
    pub async fn count_attempt(&self, key: &str, at: Timestamp) -> Result<()> {
        check_key(key)?;
        self.database()
            .execute(&COUNT, &[key.into(), at.into()])
            .await
            .map(drop)
    }

    /// The attempts for a key after `since`.
    pub async fn attempts_since(&self, key: &str, since: Timestamp) -> Result<Attempts> {
        let row = self
            .database()
            .one(&SINCE, &[key.into(), since.into()])
            .await?;
        Ok(Attempts {
            count: row.count("attempts")?,
            oldest: row.optional_time("oldest")?,
        })
    }

    /// Counts an attempt if fewer than `limit` were counted in the `window_ms` before `at`. Atomic
    /// for each key, across processes: never more than `limit` pass in a window.
    pub async fn take_attempt(
        &self,
        key: &str,
        at: Timestamp,
        window_ms: i64,
        limit: u32,
    ) -> Result<std::result::Result<(), RetryAfter>> {
        check_key(key)?;
        let Some(last_allowed) = limit.checked_sub(1) else {
            return Ok(Err(RetryAfter {
                at: at.plus_ms(window_ms),
            }));
        };
        let obstacle: [Value<'_>; 3] = [
            key.into(),
            at.plus_ms(-window_ms).into(),
            last_allowed.into(),
        ];
        let retry = |row: Row| {
            Ok(Err(RetryAfter {
                at: row.time("at")?.plus_ms(window_ms),
            }))
        };
        // First without a lock: a flood of refused attempts must not keep writers waiting.
        if let Some(row) = self.database().optional(&OBSTACLE, &obstacle).await? {
            return retry(row);
        }
        let mut transaction = self.database().begin().await?;
        transaction.all(&LOCK, &[key.into()]).await?;
        if let Some(row) = transaction
            .all(&OBSTACLE, &obstacle)
            .await?
            .into_iter()
            .next()
        {
            return retry(row);
        }
        transaction
            .execute(&COUNT, &[key.into(), at.into()])
            .await?;
        transaction.commit().await?;
        Ok(Ok(()))
    }

    /// Takes back one attempt that was counted at `at`, because it succeeded and only failures
    /// count.
    pub async fn give_back_attempt(&self, key: &str, at: Timestamp) -> Result<()> {
        self.database()
            .execute(&GIVE_BACK, &[key.into(), at.into()])
            .await
            .map(drop)
    }

    /// Forgets the attempts for a key, for example after a success.
    pub async fn clear_attempts(&self, key: &str) -> Result<()> {
        self.database()
            .execute(&CLEAR, &[key.into()])
            .await
            .map(drop)
    }

    /// Forgets attempts made before `before`; returns how many.
    pub async fn forget_attempts(&self, before: Timestamp) -> Result<u64> {
        self.forget_in_parts(&FORGET, before).await
    }
}

fn check_key(key: &str) -> Result<()> {
    if key.len() > MAX_KEY {
        Err(Conflict::TextRefused.into())
    } else {
        Ok(())
    }
}
