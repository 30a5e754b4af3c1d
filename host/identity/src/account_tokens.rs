//! API tokens of an account: created, listed, revoked.

use std::collections::BTreeSet;

use gate::{ChangeFacts, Permit, ScopeFacts, Target, TargetFacts};
use model::audit::{Actor, Detail};
use model::mail::{Mail, MailField, MailKind};
use model::{Action, Caveat, ProjectId, ProjectName, Role, Timestamp, TokenId, UserId, UserName};
use storage::projects::ProjectRow;
use storage::tokens::{NewToken, TokenRow};
use storage::{Conflict, Secret, StorageError};

use crate::accounts::notices::{self, device, remote_address};
use crate::limits::{self, TooMany};
use crate::own::of_account;
use crate::{Account, AccountView, tokens, totp};

/// Maximum length of a description, in characters.
pub const MAX_DESCRIPTION: usize = model::limit::DESCRIPTION.length();
/// Maximum number of projects that one token can be restricted to.
const MAX_PROJECTS: usize = model::limit::TOKEN_PROJECTS.length();

/// What a new token is restricted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewTokenScope {
    /// All projects of the account.
    Account,
    /// These projects; one on which the user has no role (yet) is restricted by name alone.
    Projects(Vec<ProjectName>),
}

/// Proof of a user's second factor for one token on the command line. Only
/// [`Tokens::prove_second_factor`] creates one; if the user proved the factor in the request that
/// creates the token, the permit has the proof instead.
#[derive(Debug)]
pub struct SecondFactorProof {
    user: UserId,
}

/// Create a token. Built by [`Tokens::to_create`], which loads what a decision about it needs.
#[derive(Debug)]
pub struct CreateToken {
    pub(crate) account: Account,
    description: String,
    scope: ScopeFacts,
    /// The projects' ids, if the user has a role on all of them.
    project_ids: Vec<ProjectId>,
    /// When this was loaded; the token is not valid before.
    loaded_at: Timestamp,
    expires_at: Option<Timestamp>,
    proof: Option<SecondFactorProof>,
}

/// Fill in the form for a new token, whatever it will be for.
#[derive(Clone, Copy, Debug)]
pub struct OpenTokenForm {
    pub account: Account,
}

impl Target for OpenTokenForm {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::TokenCreate)
    }
}

/// A token that was created.
#[derive(Clone, Debug)]
pub struct CreatedToken {
    pub id: TokenId,
    /// The token itself. Shown once; it is not stored.
    pub text: Secret<String>,
}

/// Revoke a user's token.
#[derive(Clone, Copy, Debug)]
pub struct RevokeToken {
    pub account: Account,
    pub token: TokenId,
}

/// List a user's live tokens.
#[derive(Clone, Copy, Debug)]
pub struct ListTokens {
    pub account: Account,
}

/// A live token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedToken {
    pub id: TokenId,
    pub description: String,
    /// The caveats stored for it; caveats that the holder added offline are not known here.
    pub caveats: Vec<String>,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
    pub made_with_second_factor: bool,
}

impl From<TokenRow> for ListedToken {
    fn from(row: TokenRow) -> Self {
        Self {
            id: row.id,
            description: row.description,
            caveats: row.stored_caveats,
            created_at: row.created_at,
            last_used_at: row.last_used_at,
            made_with_second_factor: row.made_with_second_factor,
        }
    }
}

/// Why a token was not created or revoked.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("the user does not exist")]
    UnknownUser,
    #[error("the user is disabled, so none of their tokens work; enable the user first")]
    UserDisabled,
    #[error(
        "write a description of 1 to {MAX_DESCRIPTION} characters, without control or invisible characters"
    )]
    InvalidDescription,
    #[error("the user has a token with this description already; choose another one")]
    DescriptionTaken,
    #[error(
        "the user has {} tokens that are not revoked, which is the limit; revoke some first",
        storage::tokens::MAX_LIVE
    )]
    TooMany,
    #[error(
        "name 1 to {MAX_PROJECTS} projects whose names fit a token, or choose the whole account"
    )]
    InvalidScope,
    #[error("the expiry lies in the past")]
    ExpiryInThePast,
    #[error("API token does not exist")]
    UnknownToken,
    #[error("the second factor that was confirmed belongs to another user")]
    ForeignProof,
    #[error("TOTP is not enrolled, or the code is wrong or was used before; try the next code")]
    WrongTotpCode,
    #[error("too many TOTP codes were tried; try again in {}", model::time::wait_in_words(*.retry_after_seconds))]
    Limited { retry_after_seconds: u64 },
    #[error(transparent)]
    Storage(StorageError),
}

impl From<StorageError> for TokenError {
    fn from(error: StorageError) -> Self {
        match error.conflict() {
            Some(Conflict::TokenDescriptionTaken) => Self::DescriptionTaken,
            Some(Conflict::TooManyTokens) => Self::TooMany,
            Some(Conflict::ReferenceGone) => Self::UnknownUser,
            _ => Self::Storage(error),
        }
    }
}

impl Target for CreateToken {
    fn facts(&self) -> TargetFacts<'_> {
        let expires_in = self.expires_at.map(|at| self.loaded_at.age_at(at));
        TargetFacts {
            change: ChangeFacts::Token {
                scope: &self.scope,
                expires_in,
            },
            ..TargetFacts::of(Action::TokenCreate)
        }
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

impl CreateToken {
    /// The caveats as PyPI writes them: `[3, user]` for the account; `[1, names]` for projects,
    /// plus `[2, ids]` if the user has a role on all of them. The scope comes first, after the
    /// expiry: `tokens` relies on that to read old rows.
    fn caveats(&self) -> Vec<String> {
        let expiry = self.expires_at.map(|at| Caveat::Expiration {
            expires_at: at.seconds(),
            not_before: self.loaded_at.seconds(),
        });
        let scope = match &self.scope {
            ScopeFacts::Account => vec![Caveat::RequestUser(self.account.id().to_string())],
            ScopeFacts::Projects(names) => {
                let ids = (!self.project_ids.is_empty()).then(|| {
                    Caveat::ProjectIds(self.project_ids.iter().map(ProjectId::to_string).collect())
                });
                [Caveat::ProjectNames(names.clone())]
                    .into_iter()
                    .chain(ids)
                    .collect()
            }
        };
        expiry
            .into_iter()
            .chain(scope)
            .map(|caveat| caveat.to_json())
            .collect()
    }

    /// What it may be used for, in words for people.
    fn scope_in_words(&self) -> String {
        match &self.scope {
            ScopeFacts::Account => "all projects of the account".to_owned(),
            ScopeFacts::Projects(names) if names.len() == 1 => format!("the project {}", names[0]),
            ScopeFacts::Projects(names) => format!("the projects {}", names.join(", ")),
        }
    }

    /// Whether a second factor of the token's owner was proven for it, either by the caller within
    /// the permitted request or by a code.
    fn is_made_with_second_factor(permit: &Permit<Self>) -> bool {
        let user = permit.target().account.id();
        let by_caller = permit.assurance().second_factor.is_some()
            && matches!(permit.actor(), Actor::Caller { user: Some(actor), .. } if *actor == user);
        by_caller
            || permit
                .target()
                .proof
                .as_ref()
                .is_some_and(|proof| proof.user == user)
    }
}

of_account! {
    OpenTokenForm: account,
    CreateToken: account,
}

crate::areas::area! {
    /// API tokens of accounts.
    Tokens
}

impl Tokens<'_> {
    /// Verifies and uses up a TOTP code as proof of the user's second factor. Has a counter of its
    /// own: only the server's command line gets here.
    pub async fn prove_second_factor(
        self,
        name: &UserName,
        code: &str,
    ) -> Result<SecondFactorProof, TokenError> {
        let counter = self.config().limits.totp_of_on_server(name);
        let too_many = |TooMany {
                            retry_after_seconds,
                        }| TokenError::Limited {
            retry_after_seconds,
        };
        let taken = limits::take(self.storage(), &[counter], self.now())
            .await?
            .map_err(too_many)?;
        let user = self
            .storage()
            .user_by_name(name)
            .await?
            .ok_or(TokenError::UnknownUser)?;
        if user.disabled_at.is_some() {
            return Err(TokenError::UserDisabled);
        }
        let secret = user.totp_secret.as_ref().ok_or(TokenError::WrongTotpCode)?;
        let step = totp::matched_step(secret, code, self.now())
            .map_err(|_| TokenError::WrongTotpCode)?
            .ok_or(TokenError::WrongTotpCode)?;
        if !self.storage().accept_totp_step(user.id, step).await? {
            return Err(TokenError::WrongTotpCode);
        }
        taken.give_back(self.storage()).await?;
        Ok(SecondFactorProof { user: user.id })
    }

    /// Loads and checks what a decision about a new token of this account needs.
    pub async fn to_create(
        self,
        account: Account,
        description: &str,
        scope: NewTokenScope,
        expires_at: Option<Timestamp>,
        proof: Option<SecondFactorProof>,
    ) -> Result<CreateToken, TokenError> {
        let description = description.trim();
        if !(1..=MAX_DESCRIPTION).contains(&description.chars().count())
            || !model::text::is_plain_line(description)
        {
            return Err(TokenError::InvalidDescription);
        }
        let loaded_at = self.now();
        if expires_at.is_some_and(|at| at.seconds() <= loaded_at.seconds()) {
            return Err(TokenError::ExpiryInThePast);
        }
        let user = self
            .storage()
            .user(account.id())
            .await?
            .filter(|user| user.deleted_at.is_none())
            .ok_or(TokenError::UnknownUser)?;
        if user.disabled_at.is_some() {
            return Err(TokenError::UserDisabled);
        }
        let user = user.id;
        if proof.as_ref().is_some_and(|proof| proof.user != user) {
            return Err(TokenError::ForeignProof);
        }
        let (scope, project_ids) = match scope {
            NewTokenScope::Account => (ScopeFacts::Account, Vec::new()),
            NewTokenScope::Projects(names) => self.load_scope(user, &names).await?,
        };
        Ok(CreateToken {
            account,
            description: description.to_owned(),
            scope,
            project_ids,
            loaded_at,
            expires_at,
            proof,
        })
    }

    /// The projects on which the owner of an account has a role.
    pub async fn projects_of(
        self,
        view: AccountView,
    ) -> Result<Vec<(ProjectRow, Role)>, StorageError> {
        self.storage().projects_of(view.user()).await
    }

    /// Ids of projects on which the user has a role, and of no others: an id in the token would
    /// reveal that a project exists, even one without any release.
    async fn load_scope(
        self,
        user: UserId,
        names: &[ProjectName],
    ) -> Result<(ScopeFacts, Vec<ProjectId>), TokenError> {
        let names: BTreeSet<&str> = names.iter().map(ProjectName::normalized).collect();
        if !(1..=MAX_PROJECTS).contains(&names.len()) {
            return Err(TokenError::InvalidScope);
        }
        let mut ids = Vec::new();
        for name in &names {
            let found = self.storage().project_facts(name, Some(user)).await?;
            ids.extend(
                found
                    .filter(|facts| facts.role.is_some())
                    .map(|facts| facts.project.id),
            );
        }
        // If one of several is missing, a restriction by id would shut that one out permanently.
        if ids.len() < names.len() {
            ids.clear();
        }
        Ok((
            ScopeFacts::Projects(names.into_iter().map(str::to_owned).collect()),
            ids,
        ))
    }

    /// Creates a token.
    pub async fn create(self, permit: Permit<CreateToken>) -> Result<CreatedToken, TokenError> {
        let target = permit.target();
        let id = TokenId::new();
        let key = tokens::generate_key();
        let caveats = target.caveats();
        let made_with_second_factor = CreateToken::is_made_with_second_factor(&permit);
        let text = tokens::mint(
            &self.config().token_prefix,
            &self.config().token_location,
            id,
            &key,
            &caveats,
        );
        if text.expose().len() > tokens::MAX_LENGTH / 2 {
            // Half of the limit is reserved for what the holder adds offline.
            return Err(TokenError::InvalidScope);
        }
        let created = Detail::TokenCreated {
            token: id.into(),
            description: target.description.clone(),
            caveats: caveats.clone(),
            made_with_second_factor,
        };
        let owner = self
            .storage()
            .user(target.account.id())
            .await?
            .filter(|_| target.account.is_own(&permit))
            .ok_or(TokenError::UnknownUser)?;
        let mailbox = self.identity.mailbox(&owner).await?;
        let words = [
            mailbox.user_name(),
            (MailField::Name, target.description.clone()),
            (MailField::Scope, target.scope_in_words()),
            remote_address(permit.actor()),
            device(permit.actor()),
            notices::at(permit.at()),
        ];
        let mut unit = permit.begin(self.storage()).await?;
        let token = NewToken {
            id,
            user: target.account.id(),
            description: &target.description,
            key: &key,
            stored_caveats: &caveats,
            created_at: permit.at(),
            made_with_second_factor,
        };
        unit.create_token(&token).await?;
        mailbox
            .tell(
                &mut unit,
                &Mail::new(MailKind::TokenCreated, words),
                permit.at(),
            )
            .await?;
        unit.commit(&permit.event(created).about(target.account.id()))
            .await?;
        Ok(CreatedToken { id, text })
    }

    /// The token that would be revoked. Another user's token is treated as unknown.
    pub async fn to_revoke(self, permit: &Permit<RevokeToken>) -> Result<ListedToken, TokenError> {
        let RevokeToken { account, token } = *permit.target();
        let found = self.storage().token(token).await?.filter(|found| {
            found.token.user == account.id()
                && found.token.revoked_at.is_none()
                && account.is_own(permit)
        });
        found
            .map(|found| found.token.into())
            .ok_or(TokenError::UnknownToken)
    }

    /// Revokes a token permanently. Another user's token is treated as unknown.
    pub async fn revoke(self, permit: Permit<RevokeToken>) -> Result<(), TokenError> {
        let found = self.to_revoke(&permit).await?;
        let mut unit = permit.begin(self.storage()).await?;
        if !unit.revoke_token(found.id, permit.at()).await? {
            return Err(TokenError::UnknownToken);
        }
        let user = permit.target().account.id();
        let revoked = Detail::TokenRevoked {
            token: found.id.into(),
            description: found.description,
        };
        unit.commit(&permit.event(revoked).about(user)).await?;
        Ok(())
    }

    /// Lists a user's live tokens, oldest first.
    pub async fn list(self, permit: Permit<ListTokens>) -> Result<Vec<ListedToken>, TokenError> {
        let ListTokens { account } = *permit.target();
        if !account.is_own(&permit) {
            return Err(TokenError::UnknownUser);
        }
        let rows = self.storage().tokens_of(account.id()).await?;
        Ok(rows.into_iter().map(ListedToken::from).collect())
    }
}
