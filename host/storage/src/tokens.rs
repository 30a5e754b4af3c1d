//! API tokens.

use model::{Timestamp, TokenId, UserId};

use crate::users::UserRow;
use crate::{Result, Secret, Storage, UnitOfWork};

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

/// A token and whom it belongs to.
#[derive(Clone, Debug)]
pub struct TokenWithUser {
    pub token: TokenRow,
    pub user: UserRow,
}

impl Storage {
    /// The token with this id, revoked or not, and its user.
    pub async fn token(&self, id: TokenId) -> Result<Option<TokenWithUser>> {
        let _ = id;
        todo!()
    }

    /// A user's tokens that are not revoked, oldest first.
    pub async fn tokens_of(&self, user: UserId) -> Result<Vec<TokenRow>> {
        let _ = user;
        todo!()
    }

    /// Remembers that the token was used. Bookkeeping; writes at most once a minute per token.
    pub async fn touch_token(&self, id: TokenId, at: Timestamp) -> Result<()> {
        let _ = (id, at);
        todo!()
    }
}

impl UnitOfWork {
    /// Creates a token. `Conflict::TokenDescriptionTaken`.
    pub async fn create_token(&mut self, token: &NewToken<'_>) -> Result<()> {
        let _ = token;
        todo!()
    }

    /// Revokes a token for good. Returns whether it was live.
    pub async fn revoke_token(&mut self, id: TokenId, at: Timestamp) -> Result<bool> {
        let _ = (id, at);
        todo!()
    }

    /// Restricts a token that exists. Returns whether it is live.
    pub async fn add_stored_caveat(&mut self, id: TokenId, caveat: &str) -> Result<bool> {
        let _ = (id, caveat);
        todo!()
    }
}
