//! Ceremonies: questions to a browser whose answers a server waits for, for example a challenge, a
//! password that awaits its second factor, a secret that awaits its first code. Usable once.

use model::{CeremonyKind, SessionId, Timestamp, UserId};

use crate::database::{Row, Value};
use crate::statement::statements;
use crate::{Conflict, Result, Secret, SecretHash, Storage, UnitOfWork};

/// A ceremony to open.
#[derive(Clone, Debug)]
pub struct NewCeremony<'a> {
    /// SHA-256 of the secret that the browser will present.
    pub secret: &'a SecretHash,
    /// What it is for; it can be taken for nothing else.
    pub kind: CeremonyKind,
    pub user: Option<UserId>,
    /// The session that it belongs to; none for those before a session.
    pub session: Option<SessionId>,
    /// The server's data about it, at most 64 KiB.
    pub state: &'a str,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

/// A ceremony.
#[derive(Clone, Debug)]
pub struct CeremonyRow {
    pub user: Option<UserId>,
    pub session: Option<SessionId>,
    pub state: Secret<String>,
    pub created_at: Timestamp,
}

/// Longest state, in bytes.
const MAX_STATE: usize = model::limit::CEREMONY_BYTES.length();

statements! {
    OPEN = "INSERT INTO ceremonies (secret_hash, kind, user_id, session_id, state, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    LOOK = "SELECT user_id, session_id, state, created_at FROM ceremonies WHERE secret_hash = $1 AND kind = $2 AND expires_at > $3";
    /// If two delete one row, the second finds none.
    TAKE = "DELETE FROM ceremonies WHERE secret_hash = $1 AND kind = $2 AND expires_at > $3 RETURNING user_id, session_id, state, created_at";
    /// The user's ceremonies of this kind, of one session or of none, except for the newest.
    DROP_OLDER = "DELETE FROM ceremonies WHERE user_id = $1 AND kind = $2 AND (session_id = $3 OR (session_id IS NULL AND CAST($3 AS TEXT) IS NULL))
        AND secret_hash NOT IN (SELECT secret_hash FROM ceremonies WHERE user_id = $1 AND kind = $2
        AND (session_id = $3 OR (session_id IS NULL AND CAST($3 AS TEXT) IS NULL)) AND secret_hash <> $4 ORDER BY created_at DESC, secret_hash LIMIT $5)
        AND secret_hash <> $4";
    FORGET = "DELETE FROM ceremonies WHERE expires_at <= $1";
    DROP = "DELETE FROM ceremonies WHERE user_id = $1 AND (CAST($2 AS TEXT) IS NULL OR session_id IS NULL OR session_id <> $2)";
    DROP_BEFORE_SESSIONS = "DELETE FROM ceremonies WHERE user_id = $1 AND session_id IS NULL";
    DROP_OF_SESSION = "DELETE FROM ceremonies WHERE user_id = $1 AND session_id = $2";
}

impl Storage {
    /// Opens a ceremony. Bookkeeping: nothing else in the registry changes until it is taken.
    pub async fn open_ceremony(&self, ceremony: &NewCeremony<'_>) -> Result<()> {
        self.database()
            .execute(&OPEN, &values(ceremony)?)
            .await
            .map(drop)
    }

    /// The same, and drops the older ones of the same kind, user and session (or without a
    /// session), except for the newest `most`, including this one. Two that are opened at the same
    /// moment may both stay until the next one. Bookkeeping.
    pub async fn open_ceremony_of_few(&self, ceremony: &NewCeremony<'_>, most: u32) -> Result<()> {
        let values = values(ceremony)?;
        let mut transaction = self.database().begin().await?;
        transaction.execute(&OPEN, &values).await?;
        let older = [
            ceremony.user.into(),
            ceremony.kind.as_str().into(),
            ceremony.session.into(),
            ceremony.secret.into(),
            most.saturating_sub(1).into(),
        ];
        transaction.execute(&DROP_OLDER, &older).await?;
        transaction.commit().await
    }

    /// Returns a ceremony that has not expired, without taking it.
    pub async fn ceremony(
        &self,
        secret: &SecretHash,
        kind: CeremonyKind,
        now: Timestamp,
    ) -> Result<Option<CeremonyRow>> {
        self.database()
            .optional(&LOOK, &[secret.into(), kind.as_str().into(), now.into()])
            .await?
            .as_ref()
            .map(ceremony_row)
            .transpose()
    }

    /// Takes a ceremony that has not expired: one caller gets it, across processes. Deliberately
    /// outside any unit of work: a challenge is used up even if the action fails.
    pub async fn take_ceremony(
        &self,
        secret: &SecretHash,
        kind: CeremonyKind,
        now: Timestamp,
    ) -> Result<Option<CeremonyRow>> {
        // First without a lock: a flood of made-up secrets must not keep writers waiting.
        if self.ceremony(secret, kind, now).await?.is_none() {
            return Ok(None);
        }
        let mut transaction = self.database().begin().await?;
        let rows = transaction
            .all(&TAKE, &[secret.into(), kind.as_str().into(), now.into()])
            .await?;
        transaction.commit().await?;
        rows.first().map(ceremony_row).transpose()
    }

    /// Deletes ceremonies that have expired; returns how many. Bookkeeping.
    pub async fn forget_ended_ceremonies(&self, now: Timestamp) -> Result<u64> {
        self.database().execute(&FORGET, &[now.into()]).await
    }
}

impl UnitOfWork {
    /// Deletes the user's ceremonies, except for those of one session, if one is named; returns how
    /// many.
    pub async fn drop_ceremonies(
        &mut self,
        user: UserId,
        except: Option<SessionId>,
    ) -> Result<u64> {
        self.execute(&DROP, &[user.into(), except.into()]).await
    }

    /// Deletes the user's ceremonies that belong to no session: logins that wait for something.
    /// Returns how many.
    pub async fn drop_ceremonies_before_sessions(&mut self, user: UserId) -> Result<u64> {
        self.execute(&DROP_BEFORE_SESSIONS, &[user.into()]).await
    }

    pub(crate) async fn drop_ceremonies_of_session(
        &mut self,
        user: UserId,
        session: SessionId,
    ) -> Result<u64> {
        self.execute(&DROP_OF_SESSION, &[user.into(), session.into()])
            .await
    }
}

fn values<'a>(ceremony: &NewCeremony<'a>) -> Result<[Value<'a>; 7]> {
    if ceremony.state.len() > MAX_STATE {
        return Err(Conflict::TextRefused.into());
    }
    Ok([
        ceremony.secret.into(),
        ceremony.kind.as_str().into(),
        ceremony.user.into(),
        ceremony.session.into(),
        ceremony.state.into(),
        ceremony.created_at.into(),
        ceremony.expires_at.into(),
    ])
}

fn ceremony_row(row: &Row) -> Result<CeremonyRow> {
    Ok(CeremonyRow {
        user: row.optional_parsed("user_id")?,
        session: row.optional_parsed("session_id")?,
        state: Secret::new(row.text("state")?),
        created_at: row.time("created_at")?,
    })
}
