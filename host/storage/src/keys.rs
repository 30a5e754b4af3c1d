//! Security keys and passkeys (WebAuthn).

use model::{KeyId, Timestamp, UserId};

use crate::database::Row;
use crate::statement::statements;
use crate::users::{UserRow, user_columns, user_row};
use crate::{Conflict, Result, Storage, UnitOfWork};

pub use model::KeyKind;

/// A key to add.
#[derive(Clone, Debug)]
pub struct NewKey<'a> {
    pub id: KeyId,
    pub user: UserId,
    /// At most 100 characters, unique among the user's keys, ignoring case.
    pub name: &'a str,
    pub kind: KeyKind,
    /// The authenticator's id for it; at most 1023 bytes (WebAuthn).
    pub credential_id: &'a [u8],
    /// The public key with its counter, as JSON from the library that verifies it.
    pub credential: &'a str,
    /// The authenticator's signature counter; 0 for those that do not count.
    pub counter: i64,
    pub added_at: Timestamp,
}

/// A key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    pub id: KeyId,
    pub user: UserId,
    pub name: String,
    pub kind: KeyKind,
    pub credential_id: Vec<u8>,
    pub credential: String,
    pub counter: i64,
    pub added_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
}

/// The columns that [`key_row`] reads.
macro_rules! key_columns {
    () => {
        "security_keys.id AS key_id, security_keys.user_id AS key_user_id, security_keys.name AS key_name, security_keys.kind AS key_kind,
        security_keys.credential_id AS key_credential_id, security_keys.credential AS key_credential, security_keys.counter AS key_counter,
        security_keys.added_at AS key_added_at, security_keys.last_used_at AS key_last_used_at"
    };
}

/// Longest name, in characters.
const MAX_NAME: usize = 100;
/// Longest credential id, in bytes (WebAuthn, 4: credential ID).
const MAX_CREDENTIAL_ID: usize = 1023;
/// Longest stored credential, in bytes.
const MAX_CREDENTIAL: usize = 64 * 1024;

statements! {
    LIST = concat!("SELECT ", key_columns!(), " FROM security_keys WHERE user_id = $1 ORDER BY added_at, id");
    BY_CREDENTIAL_ID = concat!("SELECT ", key_columns!(), ", ", user_columns!(), " FROM security_keys JOIN users ON users.id = security_keys.user_id
        WHERE credential_id = $1 AND users.deleted_at IS NULL");
    /// PostgreSQL evaluates the condition again after a wait for the row: of two answers to the
    /// same counter one finds nothing to update.
    USE = "UPDATE security_keys SET counter = $3, credential = $4, last_used_at = $5
        WHERE id = $1 AND counter = $2 AND (CAST($3 AS BIGINT) > counter OR (CAST($3 AS BIGINT) = 0 AND counter = 0))";
    ADD = "INSERT INTO security_keys (id, user_id, name, folded_name, kind, credential_id, credential, counter, added_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    RENAME = "UPDATE security_keys SET name = $3, folded_name = $4 WHERE user_id = $1 AND id = $2";
    REMOVE = "DELETE FROM security_keys WHERE user_id = $1 AND id = $2";
    COUNT = "SELECT COUNT(id) AS keys FROM security_keys WHERE user_id = $1";
    DEMOTE = "UPDATE security_keys SET kind = 'security-key' WHERE user_id = $1 AND kind = 'passkey'";
    REMOVE_ALL = "DELETE FROM security_keys WHERE user_id = $1";
}

impl Storage {
    /// A user's keys, oldest first.
    pub async fn keys_of(&self, user: UserId) -> Result<Vec<KeyRow>> {
        self.database()
            .all(&LIST, &[user.into()])
            .await?
            .iter()
            .map(key_row)
            .collect()
    }

    /// The key with this credential id, and its owner, who may be disabled.
    pub async fn key_by_credential_id(
        &self,
        credential_id: &[u8],
    ) -> Result<Option<(KeyRow, UserRow)>> {
        let row = self
            .database()
            .optional(&BY_CREDENTIAL_ID, &[credential_id.into()])
            .await?;
        row.map(|row| Ok((key_row(&row)?, user_row(&row)?)))
            .transpose()
    }

    /// Records that the key answered: true only if its counter still was `old_counter` and
    /// `new_counter` is higher, or both are 0 (WebAuthn, 7.2 step 22: a counter that does not rise
    /// indicates a cloned key). Atomic across processes. Deliberately outside any unit of work: an
    /// answer is used up even if the action fails.
    pub async fn use_key(
        &self,
        id: KeyId,
        old_counter: i64,
        new_counter: i64,
        credential: &str,
        at: Timestamp,
    ) -> Result<bool> {
        if credential.len() > MAX_CREDENTIAL {
            return Err(Conflict::TextRefused.into());
        }
        let values = [
            id.into(),
            old_counter.into(),
            new_counter.into(),
            credential.into(),
            at.into(),
        ];
        Ok(self.database().execute(&USE, &values).await? == 1)
    }
}

impl UnitOfWork {
    /// How many keys the user has, as far as this unit can see; exact once the user is held.
    pub async fn count_keys(&mut self, user: UserId) -> Result<u64> {
        self.one(&COUNT, &[user.into()]).await?.count("keys")
    }

    /// Adds a key. `Conflict::KeyTaken`, `Conflict::KeyNameTaken`.
    pub async fn add_key(&mut self, key: &NewKey<'_>) -> Result<()> {
        if key.credential_id.len() > MAX_CREDENTIAL_ID || key.credential.len() > MAX_CREDENTIAL {
            return self.refuse(Conflict::TextRefused);
        }
        self.check_key_name(key.name)?;
        if !self.lock_user(key.user).await? {
            return self.refuse(Conflict::ReferenceGone);
        }
        let values = [
            key.id.into(),
            key.user.into(),
            key.name.into(),
            key.name.to_lowercase().into(),
            key.kind.as_str().into(),
            key.credential_id.into(),
            key.credential.into(),
            key.counter.into(),
            key.added_at.into(),
        ];
        self.execute(&ADD, &values).await.map(drop)
    }

    /// Renames a key of the user. Returns whether there is one. `Conflict::KeyNameTaken`.
    pub async fn rename_key(&mut self, user: UserId, id: KeyId, name: &str) -> Result<bool> {
        self.check_key_name(name)?;
        Ok(self
            .execute(
                &RENAME,
                &[
                    user.into(),
                    id.into(),
                    name.into(),
                    name.to_lowercase().into(),
                ],
            )
            .await?
            == 1)
    }

    /// Removes a key of the user. Returns whether there was one. `Conflict::LastFactor` if a factor
    /// must remain and none would.
    pub async fn remove_key(
        &mut self,
        user: UserId,
        id: KeyId,
        must_leave_factor: bool,
    ) -> Result<bool> {
        self.lock_user(user).await?;
        let removed = self.execute(&REMOVE, &[user.into(), id.into()]).await? == 1;
        if removed && must_leave_factor {
            self.keep_a_factor(user).await?;
        }
        Ok(removed)
    }

    /// Removes every key of the user; returns how many.
    pub async fn remove_keys(&mut self, user: UserId) -> Result<u64> {
        self.lock_user(user).await?;
        self.execute(&REMOVE_ALL, &[user.into()]).await
    }

    /// Turns the user's passkeys into security keys, which work only with the password. Returns how
    /// many.
    pub async fn demote_passkeys(&mut self, user: UserId) -> Result<u64> {
        self.lock_user(user).await?;
        self.execute(&DEMOTE, &[user.into()]).await
    }

    fn check_key_name(&mut self, name: &str) -> Result<()> {
        if name.chars().count() > MAX_NAME {
            self.refuse(Conflict::TextRefused)
        } else {
            Ok(())
        }
    }
}

fn key_row(row: &Row) -> Result<KeyRow> {
    Ok(KeyRow {
        id: row.parsed("key_id")?,
        user: row.parsed("key_user_id")?,
        name: row.text("key_name")?,
        kind: row.read("key_kind", KeyKind::from_word)?,
        credential_id: row.bytes("key_credential_id")?,
        credential: row.text("key_credential")?,
        counter: row.integer("key_counter")?,
        added_at: row.time("key_added_at")?,
        last_used_at: row.optional_time("key_last_used_at")?,
    })
}
