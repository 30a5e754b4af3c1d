//! The caller and how they proved who they are: credential, principal and assurance of one request.

use crate::caveat::Caveat;
use crate::id::{SessionId, TokenId, UserId};
use crate::name::UserName;
use crate::time::Timestamp;

crate::project::words! {
    /// The kind of credential that the client presented, in whatever header.
    CredentialKind {
        /// Nothing.
        None = "none",
        /// A browser session, or password and second factor proven within the request.
        Session = "session",
        /// User name and password in an `Authorization: Basic` header.
        BasicPassword = "basic-password",
        /// An API token.
        ApiToken = "api-token",
        /// A short-lived token minted for a trusted publisher.
        PublisherToken = "publisher-token",
    }
}

crate::project::words! {
    /// A second factor that was proven.
    Factor {
        /// A time-based one-time password (RFC 6238).
        Totp = "totp",
        /// A WebAuthn security key or passkey.
        Webauthn = "webauthn",
        /// A recovery code.
        RecoveryCode = "recovery-code",
    }
}

crate::project::words! {
    /// The result of checking the password against known breaches.
    PasswordState {
        /// Not checked in this request.
        Unchecked = "unchecked",
        /// Not found.
        Clean = "clean",
        /// Found.
        Breached = "breached",
    }
}

/// Second factors that are enrolled and usable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Factors {
    /// A TOTP app.
    pub totp: bool,
    /// A WebAuthn security key or passkey.
    pub webauthn: bool,
}

impl Factors {
    /// Whether there is any.
    pub fn any(self) -> bool {
        self.totp || self.webauthn
    }
}

/// The facts about a user that a decision may know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserFacts {
    /// Identifier.
    pub id: UserId,
    /// Name.
    pub name: UserName,
    /// When the account was created.
    pub created_at: Timestamp,
    /// Whether the primary email address is verified.
    pub email_verified: bool,
    /// Enrolled second factors.
    pub factors: Factors,
    /// Whether the account belongs to the registry's staff.
    pub staff: bool,
}

/// Who the credential belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// An anonymous caller.
    Anonymous,
    /// A person.
    User(UserFacts),
    /// A trusted publisher, by its verified claims in order of name.
    Publisher {
        /// Identifier of the registered publisher.
        id: uuid::Uuid,
        /// The provider, for example `github`.
        provider: String,
        /// Verified claims.
        claims: Vec<(String, String)>,
    },
}

impl Principal {
    /// The user, if it is one.
    pub fn user(&self) -> Option<&UserFacts> {
        match self {
            Principal::User(user) => Some(user),
            _ => None,
        }
    }
}

/// The token that was presented, after its signature was verified. Its caveats are not yet checked:
/// the gate does that, since it needs the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFacts {
    /// Identifier.
    pub id: TokenId,
    /// When it was created.
    pub created_at: Timestamp,
    /// When something was last permitted with it, if ever.
    pub last_used_at: Option<Timestamp>,
    /// Whether a second factor was proven when it was created.
    pub made_with_second_factor: bool,
    /// The restrictions in the registry's own record: as it was minted, and any that the registry
    /// added since. The token's holder cannot change these, so policies decide by them.
    pub minted: Vec<Caveat>,
    /// The restrictions that its holder added offline. They hold like the others, but do not show
    /// what kind of token it is: a thief can add them, too.
    pub added: Vec<Caveat>,
}

impl TokenFacts {
    /// All restrictions that hold, whoever added them.
    pub fn caveats(&self) -> impl Iterator<Item = &Caveat> {
        self.minted.iter().chain(&self.added)
    }
}

/// One proof of a second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FactorUse {
    /// Which factor.
    pub factor: Factor,
    /// When.
    pub at: Timestamp,
}

/// What has been proven about the person, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assurance {
    /// When the password was proven.
    pub password_at: Option<Timestamp>,
    /// The second factor proven last. A token never carries one.
    pub second_factor: Option<FactorUse>,
    /// The result of a breach check of the password.
    pub password_state: PasswordState,
}

impl Assurance {
    /// Nothing is proven.
    pub const NONE: Assurance = Assurance {
        password_at: None,
        second_factor: None,
        password_state: PasswordState::Unchecked,
    };
}

/// Credential, principal and assurance of one request. Created by `identity` once per request;
/// there is no other way from a header to a principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// What was presented.
    pub credential: CredentialKind,
    /// Who it belongs to.
    pub principal: Principal,
    /// The token, if the credential is one.
    pub token: Option<TokenFacts>,
    /// The browser session, if the credential is one that lasts beyond this request.
    pub session: Option<SessionId>,
    /// What has been proven.
    pub assurance: Assurance,
}

impl Caller {
    /// A caller who presented nothing.
    pub fn anonymous() -> Self {
        Self {
            credential: CredentialKind::None,
            principal: Principal::Anonymous,
            token: None,
            session: None,
            assurance: Assurance::NONE,
        }
    }

    /// The caller's user, if it is one.
    pub fn user(&self) -> Option<&UserFacts> {
        self.principal.user()
    }

    /// Identifier of the token that was presented, if one was.
    pub fn token_id(&self) -> Option<TokenId> {
        self.token.as_ref().map(|token| token.id)
    }
}
