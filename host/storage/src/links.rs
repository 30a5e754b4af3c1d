//! Links that were mailed or printed. Usable once.

use model::{LinkPurpose, Timestamp, UserId};

use crate::database::Row;
use crate::statement::statements;
use crate::{Conflict, Result, Secret, SecretHash, Storage, UnitOfWork};

/// A link to create.
#[derive(Clone, Debug)]
pub struct NewLink<'a> {
    /// SHA-256 of the secret in the link.
    pub secret: &'a SecretHash,
    /// What it is for; it can be taken for nothing else.
    pub purpose: LinkPurpose,
    pub user: Option<UserId>,
    /// The server's data about it, at most 16 KiB.
    pub data: &'a str,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

/// A link.
#[derive(Clone, Debug)]
pub struct LinkRow {
    pub user: Option<UserId>,
    /// May contain the hash of a password.
    pub data: Secret<String>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

/// Longest data, in bytes.
const MAX_DATA: usize = model::limit::LINK_BYTES.length();

statements! {
    LOOK = "SELECT user_id, data, created_at, expires_at FROM links WHERE secret_hash = $1 AND purpose = $2 AND expires_at > $3";
    LIVE = "SELECT COUNT(*) AS links FROM links WHERE user_id = $1 AND purpose = $2 AND expires_at > $3";
    FORGET = "DELETE FROM links WHERE expires_at <= $1";
    CREATE = "INSERT INTO links (secret_hash, purpose, user_id, data, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)";
    /// If two delete one row, the second waits for the first and then finds none.
    TAKE = "DELETE FROM links WHERE secret_hash = $1 AND purpose = $2 AND expires_at > $3 RETURNING user_id, data, created_at, expires_at";
    DROP = "DELETE FROM links WHERE user_id = $1 AND (CAST($2 AS TEXT) IS NULL OR purpose = $2)";
    DROP_OF_PURPOSE = "DELETE FROM links WHERE purpose = $1";
}

impl Storage {
    /// Returns a link that has not expired, without taking it.
    pub async fn link(
        &self,
        secret: &SecretHash,
        purpose: LinkPurpose,
        now: Timestamp,
    ) -> Result<Option<LinkRow>> {
        self.database()
            .optional(&LOOK, &[secret.into(), purpose.as_str().into(), now.into()])
            .await?
            .as_ref()
            .map(link_row)
            .transpose()
    }

    /// Deletes links that have expired; returns how many. Bookkeeping.
    pub async fn forget_ended_links(&self, now: Timestamp) -> Result<u64> {
        self.database().execute(&FORGET, &[now.into()]).await
    }
}

impl UnitOfWork {
    /// Creates a link.
    pub async fn create_link(&mut self, link: &NewLink<'_>) -> Result<()> {
        if link.data.len() > MAX_DATA {
            return self.refuse(Conflict::TextRefused);
        }
        let values = [
            link.secret.into(),
            link.purpose.as_str().into(),
            link.user.into(),
            link.data.into(),
            link.created_at.into(),
            link.expires_at.into(),
        ];
        self.execute(&CREATE, &values).await.map(drop)
    }

    /// How many links for a purpose a user has that count. Waits for every other unit that
    /// asks for this user, so that of several one sees that there is none.
    pub async fn live_links(
        &mut self,
        user: UserId,
        purpose: LinkPurpose,
        now: Timestamp,
    ) -> Result<u64> {
        self.lock_user(user).await?;
        self.one(&LIVE, &[user.into(), purpose.as_str().into(), now.into()])
            .await?
            .count("links")
    }

    /// Takes a link that has not expired: one unit gets it, across processes, and its commit makes
    /// that final.
    pub async fn take_link(
        &mut self,
        secret: &SecretHash,
        purpose: LinkPurpose,
        now: Timestamp,
    ) -> Result<Option<LinkRow>> {
        self.optional(&TAKE, &[secret.into(), purpose.as_str().into(), now.into()])
            .await?
            .as_ref()
            .map(link_row)
            .transpose()
    }

    /// Deletes the user's links, those for one purpose if one is named; how many.
    pub async fn drop_links(&mut self, user: UserId, purpose: Option<LinkPurpose>) -> Result<u64> {
        self.execute(
            &DROP,
            &[user.into(), purpose.map(LinkPurpose::as_str).into()],
        )
        .await
    }

    /// Deletes every link for a purpose, whosever it is; how many.
    pub async fn drop_links_for(&mut self, purpose: LinkPurpose) -> Result<u64> {
        self.execute(&DROP_OF_PURPOSE, &[purpose.as_str().into()])
            .await
    }
}

fn link_row(row: &Row) -> Result<LinkRow> {
    Ok(LinkRow {
        user: row.optional_parsed("user_id")?,
        data: Secret::new(row.text("data")?),
        created_at: row.time("created_at")?,
        expires_at: row.time("expires_at")?,
    })
}
