//! Browser sessions: where users are logged in, and how surely.

use model::{Assurance, Factor, FactorUse, PasswordState, SessionId, Timestamp, UserId};

use crate::database::{Row, Value, fitting};
use crate::statement::statements;
use crate::users::{UserRow, user_columns, user_row};
use crate::{Conflict, Result, SecretHash, Storage, UnitOfWork};

/// A session to create.
#[derive(Clone, Debug)]
pub struct NewSession<'a> {
    /// SHA-256 of the secret in the cookie.
    pub secret: &'a SecretHash,
    pub id: SessionId,
    pub user: UserId,
    pub created_at: Timestamp,
    /// When it ends regardless of use.
    pub expires_at: Timestamp,
    pub remote_address: &'a str,
    pub user_agent: &'a str,
    pub assurance: Assurance,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    pub id: SessionId,
    pub user: UserId,
    pub created_at: Timestamp,
    pub last_used_at: Timestamp,
    pub expires_at: Timestamp,
    /// Where the login came from.
    pub remote_address: String,
    pub user_agent: String,
    /// The factors confirmed at the login, or at the last step-up.
    pub assurance: Assurance,
}

/// A session and its user.
#[derive(Clone, Debug)]
pub struct SessionWithUser {
    pub session: SessionRow,
    pub user: UserRow,
}

/// The columns that [`session_row`] reads.
macro_rules! session_columns {
    () => {
        "sessions.id AS session_id, sessions.user_id AS session_user_id, sessions.created_at AS session_created_at,
        sessions.last_used_at AS session_last_used_at, sessions.expires_at AS session_expires_at,
        sessions.remote_address AS session_remote_address, sessions.user_agent AS session_user_agent,
        sessions.password_at AS session_password_at, sessions.factor AS session_factor, sessions.factor_at AS session_factor_at,
        sessions.password_state AS session_password_state"
    };
}

/// Longest address and user agent that are stored, in characters.
const MAX_TEXT: usize = model::limit::LOGGED_TEXT.length();

/// Most sessions of one user, so that repeated logins cannot fill the disk.
const MAX_SESSIONS: i64 = model::limit::SESSIONS.get() as i64;
/// A session is touched at most this often.
const TOUCH_INTERVAL_MS: i64 = 60_000;

/// The proof of identity that a change contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proven {
    Nothing,
    /// When a password was confirmed, and whether it is known from a breach.
    Password(Timestamp, PasswordState),
    Factor(FactorUse),
}

statements! {
    BY_SECRET = concat!("SELECT ", session_columns!(), ", ", user_columns!(), " FROM sessions JOIN users ON users.id = sessions.user_id
        WHERE sessions.secret_hash = $1 AND sessions.last_used_at > $2 AND sessions.expires_at > $3
        AND users.disabled_at IS NULL AND users.deleted_at IS NULL");
    LIST = concat!("SELECT ", session_columns!(), " FROM sessions WHERE user_id = $1 AND last_used_at > $2 AND expires_at > $3
        ORDER BY created_at DESC, id DESC");
    /// Checked first: almost every use of a session has nothing to write, and SQLite has one
    /// writer.
    NEEDS_TOUCH = "SELECT id FROM sessions WHERE id = $1 AND last_used_at <= $2";
    TOUCH = "UPDATE sessions SET last_used_at = $3 WHERE id = $1 AND last_used_at <= $2";
    FORGET = "DELETE FROM sessions WHERE last_used_at <= $1 OR expires_at <= $2";
    CREATE = "INSERT INTO sessions (secret_hash, id, user_id, created_at, last_used_at, expires_at, remote_address, user_agent,
        password_at, factor, factor_at, password_state) VALUES ($1, $2, $3, $4, $4, $5, $6, $7, $8, $9, $10, $11)";
    END = "DELETE FROM sessions WHERE user_id = $1 AND id = $2";
    END_OLDEST = "DELETE FROM sessions WHERE user_id = $1 AND id NOT IN
        (SELECT id FROM sessions WHERE user_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2)";
    END_ALL = "DELETE FROM sessions WHERE user_id = $1 AND (CAST($2 AS TEXT) IS NULL OR id <> $2)";
    CHANGE_SECRET = "UPDATE sessions SET secret_hash = $2, last_used_at = $3, password_at = COALESCE(CAST($4 AS BIGINT), password_at),
        password_state = COALESCE(CAST($5 AS TEXT), password_state), factor = COALESCE(CAST($6 AS TEXT), factor),
        factor_at = COALESCE(CAST($7 AS BIGINT), factor_at) WHERE id = $1 AND expires_at > $3 RETURNING expires_at";
    RENEW = "UPDATE sessions SET secret_hash = $3, last_used_at = $4, password_at = $5, factor = $6, factor_at = $7, password_state = $8
        WHERE id = $1 AND secret_hash = $2 AND expires_at > $4
        AND EXISTS (SELECT 1 FROM users WHERE users.id = sessions.user_id AND disabled_at IS NULL AND deleted_at IS NULL)";
}

impl Storage {
    /// The session with this secret and its user; none if it has ended, was last used at
    /// `idle_since` or before, or its user is disabled or deleted.
    pub async fn session(
        &self,
        secret: &SecretHash,
        idle_since: Timestamp,
        now: Timestamp,
    ) -> Result<Option<SessionWithUser>> {
        let row = self
            .database()
            .optional(&BY_SECRET, &[secret.into(), idle_since.into(), now.into()])
            .await?;
        row.map(|row| {
            Ok(SessionWithUser {
                session: session_row(&row)?,
                user: user_row(&row)?,
            })
        })
        .transpose()
    }

    /// A user's sessions that have not ended, newest first.
    pub async fn sessions_of(
        &self,
        user: UserId,
        idle_since: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<SessionRow>> {
        self.database()
            .all(&LIST, &[user.into(), idle_since.into(), now.into()])
            .await?
            .iter()
            .map(session_row)
            .collect()
    }

    /// Records that the session was used. Bookkeeping; writes at most once a minute per session.
    pub async fn touch_session(&self, id: SessionId, at: Timestamp) -> Result<()> {
        let due = at.plus_ms(-TOUCH_INTERVAL_MS);
        if self
            .database()
            .optional(&NEEDS_TOUCH, &[id.into(), due.into()])
            .await?
            .is_some()
        {
            self.database()
                .execute(&TOUCH, &[id.into(), due.into(), at.into()])
                .await?;
        }
        Ok(())
    }

    /// Deletes sessions that have ended; returns how many. Bookkeeping.
    pub async fn forget_ended_sessions(
        &self,
        idle_since: Timestamp,
        now: Timestamp,
    ) -> Result<u64> {
        self.database()
            .execute(&FORGET, &[idle_since.into(), now.into()])
            .await
    }
}

impl UnitOfWork {
    /// Creates a session of a user who is neither disabled nor deleted (`Conflict::ReferenceGone`),
    /// and holds the user until the unit ends. Credentials that were verified before the unit may
    /// have changed since: compare with [`hold_user`](Self::hold_user). Beyond 100 sessions, the
    /// oldest are ended.
    pub async fn create_session(&mut self, session: &NewSession<'_>) -> Result<()> {
        if !self.lock_enabled_user(session.user).await? {
            return self.refuse(Conflict::ReferenceGone);
        }
        let [password_at, factor, factor_at, password_state] = assurance_values(&session.assurance);
        let values = [
            session.secret.into(),
            session.id.into(),
            session.user.into(),
            session.created_at.into(),
            session.expires_at.into(),
            fitting(session.remote_address, MAX_TEXT).into(),
            fitting(session.user_agent, MAX_TEXT).into(),
            password_at,
            factor,
            factor_at,
            password_state,
        ];
        self.execute(&CREATE, &values).await?;
        self.execute(&END_OLDEST, &[session.user.into(), MAX_SESSIONS.into()])
            .await
            .map(drop)
    }

    /// Ends a session of the user, and its ceremonies. Returns whether there was one.
    pub async fn end_session(&mut self, user: UserId, id: SessionId) -> Result<bool> {
        // So that two sessions that end each other do not deadlock.
        self.lock_user(user).await?;
        self.hold_session().await?;
        self.drop_ceremonies_of_session(user, id).await?;
        Ok(self.execute(&END, &[user.into(), id.into()]).await? == 1)
    }

    /// Ends the user's sessions, except for one if one is named, and their ceremonies, including
    /// logins that wait for a second factor. Returns how many sessions.
    pub async fn end_sessions(&mut self, user: UserId, except: Option<SessionId>) -> Result<u64> {
        // A session that is just being created is either visible here or comes after this unit.
        self.lock_user(user).await?;
        self.hold_session().await?;
        self.drop_ceremonies(user, except).await?;
        self.execute(&END_ALL, &[user.into(), except.into()]).await
    }

    /// Gives a session a new secret, and records the proof in the change, if there is one. Returns
    /// the end of the session; none if it has ended.
    pub async fn change_session_secret(
        &mut self,
        id: SessionId,
        new: &SecretHash,
        proven: Proven,
        at: Timestamp,
    ) -> Result<Option<Timestamp>> {
        let (password, factor) = match proven {
            Proven::Nothing => (None, None),
            Proven::Password(at, state) => (Some((at, state)), None),
            Proven::Factor(used) => (None, Some(used)),
        };
        let (password_at, state) = password.unzip();
        let values = [
            id.into(),
            new.into(),
            at.into(),
            password_at.into(),
            state.map(PasswordState::as_str).into(),
            factor.map(|used| used.factor.as_str()).into(),
            factor.map(|used| used.at).into(),
        ];
        self.optional(&CHANGE_SECRET, &values)
            .await?
            .map(|row| row.time("expires_at"))
            .transpose()
    }

    /// Gives a session a new secret and a new assurance, if its secret still is `old` and its user
    /// is neither disabled nor deleted. Returns whether it did.
    pub async fn renew_session(
        &mut self,
        id: SessionId,
        old: &SecretHash,
        new: &SecretHash,
        assurance: Assurance,
        at: Timestamp,
    ) -> Result<bool> {
        let [password_at, factor, factor_at, password_state] = assurance_values(&assurance);
        let values = [
            id.into(),
            old.into(),
            new.into(),
            at.into(),
            password_at,
            factor,
            factor_at,
            password_state,
        ];
        Ok(self.execute(&RENEW, &values).await? == 1)
    }
}

fn assurance_values(assurance: &Assurance) -> [Value<'static>; 4] {
    let factor = assurance.second_factor;
    [
        assurance.password_at.into(),
        factor.map(|factor| factor.factor.as_str()).into(),
        factor.map(|factor| factor.at).into(),
        assurance.password_state.as_str().into(),
    ]
}

fn session_row(row: &Row) -> Result<SessionRow> {
    let factor = row.optional_read("session_factor", Factor::from_word)?;
    let factor_at = row.optional_time("session_factor_at")?;
    Ok(SessionRow {
        id: row.parsed("session_id")?,
        user: row.parsed("session_user_id")?,
        created_at: row.time("session_created_at")?,
        last_used_at: row.time("session_last_used_at")?,
        expires_at: row.time("session_expires_at")?,
        remote_address: row.text("session_remote_address")?,
        user_agent: row.text("session_user_agent")?,
        assurance: Assurance {
            password_at: row.optional_time("session_password_at")?,
            second_factor: factor
                .zip(factor_at)
                .map(|(factor, at)| FactorUse { factor, at }),
            password_state: row.read("session_password_state", PasswordState::from_word)?,
        },
    })
}
