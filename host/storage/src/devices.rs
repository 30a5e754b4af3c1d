//! Browsers that a user has logged in from, known again by a cookie of their own.

use model::{Timestamp, UserId};

use crate::database::{Row, fitting};
use crate::statement::statements;
use crate::{Result, SecretHash, Storage, UnitOfWork};

/// A device of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRow {
    pub first_seen_at: Timestamp,
    pub last_seen_at: Timestamp,
    /// Since when it is known to be the user's; none while it awaits that.
    pub confirmed_at: Option<Timestamp>,
    /// Where it was last seen.
    pub remote_address: String,
    pub user_agent: String,
}

/// Longest address and user agent that are kept, in characters.
const MAX_TEXT: usize = model::limit::LOGGED_TEXT.length();
/// Most devices of one user.
const MAX_DEVICES: i64 = model::limit::DEVICES.get() as i64;

statements! {
    BY_SECRET = "SELECT first_seen_at, last_seen_at, confirmed_at, remote_address, user_agent FROM devices WHERE user_id = $1 AND secret_hash = $2";
    FORGET = "DELETE FROM devices WHERE last_seen_at <= $1";
    SEE = "INSERT INTO devices (user_id, secret_hash, first_seen_at, last_seen_at, confirmed_at, remote_address, user_agent)
        VALUES ($1, $2, $3, $3, $4, $5, $6)
        ON CONFLICT (user_id, secret_hash) DO UPDATE SET last_seen_at = excluded.last_seen_at, remote_address = excluded.remote_address,
        user_agent = excluded.user_agent, confirmed_at = COALESCE(devices.confirmed_at, excluded.confirmed_at)";
    CONFIRM = "UPDATE devices SET confirmed_at = COALESCE(confirmed_at, $3) WHERE user_id = $1 AND secret_hash = $2";
    DROP = "DELETE FROM devices WHERE user_id = $1";
    DROP_OTHERS = "DELETE FROM devices WHERE user_id = $1 AND secret_hash <> $2";
    /// Never the one that is just seen; those that nobody confirmed before the others.
    DROP_OLDEST = "DELETE FROM devices WHERE user_id = $1 AND secret_hash NOT IN (SELECT secret_hash FROM devices WHERE user_id = $1
        ORDER BY CASE WHEN secret_hash = $2 THEN 0 WHEN confirmed_at IS NOT NULL THEN 1 ELSE 2 END, last_seen_at DESC, secret_hash LIMIT $3)";
}

impl Storage {
    /// The user's device with this secret.
    pub async fn device(&self, user: UserId, secret: &SecretHash) -> Result<Option<DeviceRow>> {
        self.database().optional(&BY_SECRET, &[user.into(), secret.into()]).await?.as_ref().map(device_row).transpose()
    }

    /// Deletes devices that were last seen at `since` or before; how many. Bookkeeping.
    pub async fn forget_unseen_devices(&self, since: Timestamp) -> Result<u64> {
        self.database().execute(&FORGET, &[since.into()]).await
    }
}

impl UnitOfWork {
    /// Remembers that the user came from a device, and that it is the user's, if it is. A
    /// device that was confirmed stays so. Of more than 200 those that were not seen for
    /// longest are forgotten.
    pub async fn see_device(
        &mut self,
        user: UserId,
        secret: &SecretHash,
        at: Timestamp,
        remote_address: &str,
        user_agent: &str,
        confirmed: bool,
    ) -> Result<()> {
        let values = [
            user.into(),
            secret.into(),
            at.into(),
            confirmed.then_some(at).into(),
            fitting(remote_address, MAX_TEXT).into(),
            fitting(user_agent, MAX_TEXT).into(),
        ];
        self.execute(&SEE, &values).await?;
        self.execute(&DROP_OLDEST, &[user.into(), secret.into(), MAX_DEVICES.into()]).await.map(drop)
    }

    /// Marks a device as the user's. Returns whether the user has it.
    pub async fn confirm_device(&mut self, user: UserId, secret: &SecretHash, at: Timestamp) -> Result<bool> {
        Ok(self.execute(&CONFIRM, &[user.into(), secret.into(), at.into()]).await? == 1)
    }

    /// Forgets the user's devices, but for one if one is named; how many.
    pub async fn drop_devices(&mut self, user: UserId, keep: Option<&SecretHash>) -> Result<u64> {
        match keep {
            Some(keep) => self.execute(&DROP_OTHERS, &[user.into(), keep.into()]).await,
            None => self.execute(&DROP, &[user.into()]).await,
        }
    }
}

fn device_row(row: &Row) -> Result<DeviceRow> {
    Ok(DeviceRow {
        first_seen_at: row.time("first_seen_at")?,
        last_seen_at: row.time("last_seen_at")?,
        confirmed_at: row.optional_time("confirmed_at")?,
        remote_address: row.text("remote_address")?,
        user_agent: row.text("user_agent")?,
    })
}
