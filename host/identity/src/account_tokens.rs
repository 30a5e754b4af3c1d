//! The API tokens of an account: made, listed, revoked.

use gate::{ChangeFacts, Permit, ScopeFacts, Target, TargetFacts};
use model::{Action, Caller, ProjectId, ProjectName, Timestamp, TokenId, UserId, UserName};
use storage::{Secret, StorageError};

use crate::Identity;

/// What a new token is to be restricted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewTokenScope {
    /// All projects of the account.
    Account,
    /// These projects; one that does not exist yet is restricted by name alone.
    Projects(Vec<ProjectName>),
}

/// That a user's second factor was proven. Only this crate makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecondFactorProof {
    user: UserId,
}

impl SecondFactorProof {
    /// The proof a caller carries, if there is one.
    pub fn of(caller: &Caller) -> Option<Self> {
        caller.assurance.second_factor?;
        caller.user().map(|user| Self { user: user.id })
    }
}

/// Create a token. Made by [`Identity::token_to_create`], which loads what a decision
/// about it must know.
#[derive(Clone, Debug)]
pub struct CreateToken {
    user: UserId,
    description: String,
    scope: ScopeFacts,
    /// The projects' ids, when all of them exist.
    project_ids: Vec<ProjectId>,
    not_before: Timestamp,
    expires_at: Option<Timestamp>,
    proof: Option<SecondFactorProof>,
}

/// A token that was created.
#[derive(Clone, Debug)]
pub struct CreatedToken {
    pub id: TokenId,
    /// The token itself. Shown once; it is not stored.
    pub text: Secret<String>,
}

/// Revoke a user's token.
#[derive(Clone, Debug)]
pub struct RevokeToken {
    pub user: UserId,
    pub token: TokenId,
}

/// List a user's live tokens.
#[derive(Clone, Debug)]
pub struct ListTokens {
    pub user: UserId,
}

/// A live token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedToken {
    pub id: TokenId,
    pub description: String,
    /// The caveats stored for it; those that the holder added offline are not known here.
    pub caveats: Vec<String>,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
    pub made_with_second_factor: bool,
}

/// Why a token was not created or revoked.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("the user does not exist")]
    UnknownUser,
    #[error("a token's description has 1 to 100 characters, none of them a control character")]
    InvalidDescription,
    #[error("the user has a token with this description already; choose another one")]
    DescriptionTaken,
    #[error("name 1 to 100 projects, or choose the whole account")]
    InvalidScope,
    #[error("the expiry lies in the past")]
    ExpiryInThePast,
    #[error("API token does not exist")]
    UnknownToken,
    #[error("the second factor that was proven is another user's")]
    ForeignProof,
    #[error("TOTP is not enrolled, or the code is wrong or was used before; try the next code")]
    WrongTotpCode,
    #[error("too many TOTP codes were tried; try again in {retry_after_seconds} seconds")]
    Limited { retry_after_seconds: u64 },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Target for CreateToken {
    fn facts(&self) -> TargetFacts<'_> {
        let expires_in = self.expires_at.map(|at| self.not_before.age_at(at));
        TargetFacts { change: ChangeFacts::Token { scope: &self.scope, expires_in }, ..TargetFacts::of(Action::TokenCreate) }
    }
}

impl Target for RevokeToken {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::TokenRevoke)
    }
}

impl Target for ListTokens {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::TokenList)
    }
}

impl Identity {
    /// Proves a user's second factor by a TOTP code, which is thereby used up.
    pub async fn prove_second_factor(&self, name: &UserName, code: &str) -> Result<SecondFactorProof, TokenError> {
        let _ = (name, code);
        todo!()
    }

    /// Loads and checks what is needed to decide about a new token of this user.
    pub async fn token_to_create(
        &self, user: &UserName, description: &str, scope: NewTokenScope, expires_at: Option<Timestamp>, proof: Option<SecondFactorProof>,
    ) -> Result<CreateToken, TokenError> {
        let _ = (user, description, scope, expires_at, proof);
        todo!()
    }

    /// Creates a token.
    pub async fn create_token(&self, permit: Permit<CreateToken>) -> Result<CreatedToken, TokenError> {
        let _ = permit;
        todo!()
    }

    /// Revokes a token for good.
    pub async fn revoke_token(&self, permit: Permit<RevokeToken>) -> Result<(), TokenError> {
        let _ = permit;
        todo!()
    }

    /// Lists a user's live tokens, oldest first.
    pub async fn list_tokens(&self, permit: Permit<ListTokens>) -> Result<Vec<ListedToken>, TokenError> {
        let _ = permit;
        todo!()
    }
}
