//! Browsers that a user has logged in from, and command lines that a user confirmed, each
//! recognized by a secret of its own.

use model::{DeviceKind, Timestamp, UserId};

use crate::database::{Row, fitting};
use crate::statement::statements;
use crate::{Result, SecretHash, Storage, UnitOfWork};

/// A device of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRow {
    pub secret: SecretHash,
    pub kind: DeviceKind,
    /// The host name of a command line's machine.
    pub host: Option<String>,
    pub first_seen_at: Timestamp,
    pub last_seen_at: Timestamp,
    /// Since when it is known to be the user's; none while it waits for confirmation.
    pub confirmed_at: Option<Timestamp>,
    /// Where it was last seen.
    pub remote_address: String,
    pub user_agent: String,
}

/// Longest address and user agent that are stored, in characters.
const MAX_TEXT: usize = model::limit::LOGGED_TEXT.length();
/// Most devices of one user.
const MAX_DEVICES: i64 = model::limit::DEVICES.get() as i64;
/// A device is touched at most this often.
const TOUCH_INTERVAL_MS: i64 = 60_000;

/// The columns that [`device_row`] reads.
macro_rules! device_columns {
    () => {
        "secret_hash, kind, host, first_seen_at, last_seen_at, confirmed_at, remote_address, user_agent"
    };
}

statements! {
    BY_SECRET = concat!("SELECT ", device_columns!(), " FROM devices WHERE user_id = $1 AND secret_hash = $2");
    KNOWN = concat!("SELECT ", device_columns!(), " FROM devices WHERE user_id = $1 AND confirmed_at IS NOT NULL ORDER BY last_seen_at DESC, secret_hash");
    TOUCH = "UPDATE devices SET last_seen_at = $3, remote_address = $4, user_agent = $5 WHERE user_id = $1 AND secret_hash = $2 AND last_seen_at <= $6";
    FORGET = "DELETE FROM devices WHERE last_seen_at <= $1";
    SEE = "INSERT INTO devices (user_id, secret_hash, first_seen_at, last_seen_at, confirmed_at, remote_address, user_agent, kind, host)
        VALUES ($1, $2, $3, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (user_id, secret_hash) DO UPDATE SET last_seen_at = excluded.last_seen_at, remote_address = excluded.remote_address,
        user_agent = excluded.user_agent, confirmed_at = COALESCE(devices.confirmed_at, excluded.confirmed_at)";
    CONFIRM = "UPDATE devices SET confirmed_at = COALESCE(confirmed_at, $3) WHERE user_id = $1 AND secret_hash = $2";
    DROP_ONE = "DELETE FROM devices WHERE user_id = $1 AND secret_hash = $2 AND confirmed_at IS NOT NULL";
    DROP = "DELETE FROM devices WHERE user_id = $1";
    DROP_OTHERS = "DELETE FROM devices WHERE user_id = $1 AND secret_hash <> $2";
    /// Never the device of this call; unconfirmed ones before the others.
    DROP_OLDEST = "DELETE FROM devices WHERE user_id = $1 AND secret_hash NOT IN (SELECT secret_hash FROM devices WHERE user_id = $1
        ORDER BY CASE WHEN secret_hash = $2 THEN 0 WHEN confirmed_at IS NOT NULL THEN 1 ELSE 2 END, last_seen_at DESC, secret_hash LIMIT $3)";
}

impl Storage {
    /// The user's device with this secret.
    pub async fn device(&self, user: UserId, secret: &SecretHash) -> Result<Option<DeviceRow>> {
        self.database()
            .optional(&BY_SECRET, &[user.into(), secret.into()])
            .await?
            .as_ref()
            .map(device_row)
            .transpose()
    }

    /// The confirmed devices of the user, the most recently seen first.
    pub async fn known_devices(&self, user: UserId) -> Result<Vec<DeviceRow>> {
        self.database()
            .all(&KNOWN, &[user.into()])
            .await?
            .iter()
            .map(device_row)
            .collect()
    }

    /// Records when and where a device was used. Bookkeeping; writes at most once a minute per
    /// device.
    pub async fn touch_device(
        &self,
        user: UserId,
        secret: &SecretHash,
        at: Timestamp,
        remote_address: &str,
        user_agent: &str,
    ) -> Result<()> {
        let due = at.plus_ms(-TOUCH_INTERVAL_MS);
        let (remote_address, user_agent) = (
            fitting(remote_address, MAX_TEXT),
            fitting(user_agent, MAX_TEXT),
        );
        let values = [
            user.into(),
            secret.into(),
            at.into(),
            remote_address.into(),
            user_agent.into(),
            due.into(),
        ];
        self.database().execute(&TOUCH, &values).await.map(drop)
    }

    /// Deletes devices that were last seen at `since` or before; returns how many. Bookkeeping.
    pub async fn forget_unseen_devices(&self, since: Timestamp) -> Result<u64> {
        self.database().execute(&FORGET, &[since.into()]).await
    }
}

impl UnitOfWork {
    /// Records that the user came from a device, and whether it is confirmed. A confirmed device
    /// stays confirmed. Beyond 200 devices, the least recently seen ones are forgotten.
    pub async fn see_device(
        &mut self,
        user: UserId,
        secret: &SecretHash,
        at: Timestamp,
        remote_address: &str,
        user_agent: &str,
        confirmed: bool,
    ) -> Result<()> {
        self.see(
            user,
            secret,
            at,
            remote_address,
            user_agent,
            confirmed.then_some(at),
            DeviceKind::Browser,
            None,
        )
        .await
    }

    /// The same for a command line, which waits to be confirmed.
    pub async fn see_command_line(
        &mut self,
        user: UserId,
        secret: &SecretHash,
        at: Timestamp,
        remote_address: &str,
        user_agent: &str,
        host: Option<&str>,
    ) -> Result<()> {
        self.see(
            user,
            secret,
            at,
            remote_address,
            user_agent,
            None,
            DeviceKind::CommandLine,
            host,
        )
        .await
    }

    #[allow(clippy::too_many_arguments)]
    async fn see(
        &mut self,
        user: UserId,
        secret: &SecretHash,
        at: Timestamp,
        remote_address: &str,
        user_agent: &str,
        confirmed_at: Option<Timestamp>,
        kind: DeviceKind,
        host: Option<&str>,
    ) -> Result<()> {
        let values = [
            user.into(),
            secret.into(),
            at.into(),
            confirmed_at.into(),
            fitting(remote_address, MAX_TEXT).into(),
            fitting(user_agent, MAX_TEXT).into(),
            kind.as_str().into(),
            host.map(|host| fitting(host, MAX_TEXT)).into(),
        ];
        self.execute(&SEE, &values).await?;
        self.execute(
            &DROP_OLDEST,
            &[user.into(), secret.into(), MAX_DEVICES.into()],
        )
        .await
        .map(drop)
    }

    /// Marks a device as the user's. Returns whether the user has it.
    pub async fn confirm_device(
        &mut self,
        user: UserId,
        secret: &SecretHash,
        at: Timestamp,
    ) -> Result<bool> {
        Ok(self
            .execute(&CONFIRM, &[user.into(), secret.into(), at.into()])
            .await?
            == 1)
    }

    /// Forgets a confirmed device of the user. Returns whether there was one.
    pub async fn drop_device(&mut self, user: UserId, secret: &SecretHash) -> Result<bool> {
        Ok(self
            .execute(&DROP_ONE, &[user.into(), secret.into()])
            .await?
            == 1)
    }

    /// Forgets the user's devices, except for one if one is named; returns how many.
    pub async fn drop_devices(&mut self, user: UserId, keep: Option<&SecretHash>) -> Result<u64> {
        match keep {
            Some(keep) => {
                self.execute(&DROP_OTHERS, &[user.into(), keep.into()])
                    .await
            }
            None => self.execute(&DROP, &[user.into()]).await,
        }
    }
}

fn device_row(row: &Row) -> Result<DeviceRow> {
    Ok(DeviceRow {
        secret: row.array("secret_hash")?,
        kind: row.read("kind", DeviceKind::from_word)?,
        host: row.optional_text("host")?,
        first_seen_at: row.time("first_seen_at")?,
        last_seen_at: row.time("last_seen_at")?,
        confirmed_at: row.optional_time("confirmed_at")?,
        remote_address: row.text("remote_address")?,
        user_agent: row.text("user_agent")?,
    })
}
