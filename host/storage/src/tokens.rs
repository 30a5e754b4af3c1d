//! API tokens.

use model::{Timestamp, TokenId, UserId};

use crate::database::Row;
use crate::statement::statements;
use crate::users::{UserRow, user_columns, user_row};
use crate::{Conflict, Result, Secret, Storage, UnitOfWork};

/// A token to create.
#[derive(Clone, Debug)]
pub struct NewToken<'a> {
    pub id: TokenId,
    pub user: UserId,
    /// At most 100 characters, unique among the user's live tokens.
    pub description: &'a str,
    /// The macaroon's root key.
    pub key: &'a Secret<[u8; 32]>,
    /// Caveats in JSON that are appended whenever the token is verified.
    pub stored_caveats: &'a [String],
    pub created_at: Timestamp,
    pub made_with_second_factor: bool,
}

/// A token.
#[derive(Clone, Debug)]
pub struct TokenRow {
    pub id: TokenId,
    pub user: UserId,
    pub description: String,
    pub key: Secret<[u8; 32]>,
    pub stored_caveats: Vec<String>,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
    pub made_with_second_factor: bool,
    pub revoked_at: Option<Timestamp>,
}

/// A token and its user.
#[derive(Clone, Debug)]
pub struct TokenWithUser {
    pub token: TokenRow,
    pub user: UserRow,
}

/// The columns that [`token_row`] reads.
macro_rules! token_columns {
    () => {
        "tokens.id AS token_id, tokens.user_id AS token_user_id, tokens.description AS token_description, tokens.key AS token_key,
        tokens.stored_caveats AS token_stored_caveats, tokens.created_at AS token_created_at, tokens.last_used_at AS token_last_used_at,
        tokens.made_with_second_factor AS token_made_with_second_factor, tokens.revoked_at AS token_revoked_at"
    };
}

/// Longest description, in characters.
const MAX_DESCRIPTION: usize = model::limit::DESCRIPTION.length();

/// Most live tokens of one user, including those that have expired and were not revoked.
pub const MAX_LIVE: i64 = model::limit::TOKENS.get() as i64;

/// A token is touched at most this often.
const TOUCH_INTERVAL_MS: i64 = 60_000;

statements! {
    BY_ID = concat!("SELECT ", token_columns!(), ", ", user_columns!(), " FROM tokens JOIN users ON users.id = tokens.user_id WHERE tokens.id = $1");
    LIST = concat!("SELECT ", token_columns!(), " FROM tokens WHERE user_id = $1 AND revoked_at IS NULL ORDER BY created_at, id");
    /// Checked first: almost every use of a token has nothing to write, and SQLite has one writer.
    NEEDS_TOUCH = "SELECT id FROM tokens WHERE id = $1 AND (last_used_at IS NULL OR last_used_at <= $2)";
    TOUCH = "UPDATE tokens SET last_used_at = $3 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at <= $2)";
    CREATE = "INSERT INTO tokens (id, user_id, description, key, stored_caveats, created_at, made_with_second_factor) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    COUNT_LIVE = "SELECT COUNT(*) AS tokens FROM tokens WHERE user_id = $1 AND revoked_at IS NULL";
    REVOKE = "UPDATE tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";
    REVOKE_ALL = "UPDATE tokens SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL";
    LOCK_CAVEATS = "SELECT stored_caveats FROM tokens WHERE id = $1 AND revoked_at IS NULL",
        "SELECT stored_caveats FROM tokens WHERE id = $1 AND revoked_at IS NULL FOR NO KEY UPDATE";
    SET_CAVEATS = "UPDATE tokens SET stored_caveats = $2 WHERE id = $1";
}

impl Storage {
    /// The token with this id, revoked or not, and its user.
    pub async fn token(&self, id: TokenId) -> Result<Option<TokenWithUser>> {
        let row = self.database().optional(&BY_ID, &[id.into()]).await?;
        row.map(|row| {
            Ok(TokenWithUser {
                token: token_row(&row)?,
                user: user_row(&row)?,
            })
        })
        .transpose()
    }

    /// A user's tokens that are not revoked, oldest first.
    pub async fn tokens_of(&self, user: UserId) -> Result<Vec<TokenRow>> {
        self.database()
            .all(&LIST, &[user.into()])
            .await?
            .iter()
            .map(token_row)
            .collect()
    }

    /// Records that something was permitted with the token. Bookkeeping; writes at most once a
    /// minute per token.
    pub async fn touch_token(&self, id: TokenId, at: Timestamp) -> Result<()> {
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
}

impl UnitOfWork {
    /// Creates a token. `Conflict::TokenDescriptionTaken`; `TooManyTokens` if the user has
    /// [`MAX_LIVE`] already.
    pub async fn create_token(&mut self, token: &NewToken<'_>) -> Result<()> {
        if token.description.chars().count() > MAX_DESCRIPTION {
            return self.refuse(Conflict::TextRefused);
        }
        if !self.lock_user(token.user).await? {
            return self.refuse(Conflict::ReferenceGone);
        }
        let live = self
            .optional(&COUNT_LIVE, &[token.user.into()])
            .await?
            .map_or(Ok(0), |row| row.integer("tokens"))?;
        if live >= MAX_LIVE {
            return self.refuse(Conflict::TooManyTokens);
        }
        let values = [
            token.id.into(),
            token.user.into(),
            token.description.into(),
            token.key.expose().into(),
            caveats_text(token.stored_caveats).into(),
            token.created_at.into(),
            token.made_with_second_factor.into(),
        ];
        self.execute(&CREATE, &values).await.map(drop)
    }

    /// Revokes a token permanently. Returns whether it was live.
    pub async fn revoke_token(&mut self, id: TokenId, at: Timestamp) -> Result<bool> {
        self.hold_token().await?;
        Ok(self.execute(&REVOKE, &[id.into(), at.into()]).await? == 1)
    }

    /// Revokes every live token of the user permanently; returns how many.
    pub async fn revoke_tokens_of(&mut self, user: UserId, at: Timestamp) -> Result<u64> {
        self.hold_token().await?;
        self.execute(&REVOKE_ALL, &[user.into(), at.into()]).await
    }

    /// Restricts an existing token. Returns whether it is live.
    pub async fn add_stored_caveat(&mut self, id: TokenId, caveat: &str) -> Result<bool> {
        let Some(row) = self.optional(&LOCK_CAVEATS, &[id.into()]).await? else {
            return Ok(false);
        };
        let mut caveats = row.read("stored_caveats", caveats)?;
        caveats.push(caveat.to_owned());
        self.execute(&SET_CAVEATS, &[id.into(), caveats_text(&caveats).into()])
            .await?;
        Ok(true)
    }
}

fn token_row(row: &Row) -> Result<TokenRow> {
    Ok(TokenRow {
        id: row.parsed("token_id")?,
        user: row.parsed("token_user_id")?,
        description: row.text("token_description")?,
        key: Secret::new(row.array("token_key")?),
        stored_caveats: row.read("token_stored_caveats", caveats)?,
        created_at: row.time("token_created_at")?,
        last_used_at: row.optional_time("token_last_used_at")?,
        made_with_second_factor: row.boolean("token_made_with_second_factor")?,
        revoked_at: row.optional_time("token_revoked_at")?,
    })
}

fn caveats(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}

fn caveats_text(caveats: &[String]) -> String {
    serde_json::Value::from(caveats).to_string()
}
