//! Callers as types.

use model::{
    Assurance, Caller, Caveat, CredentialKind, Factor, FactorUse, Factors, PasswordState,
    Principal, Timestamp, TokenFacts, TokenId, UserFacts, UserId, UserName,
};

/// A one-time password app is enrolled.
pub const APP: Factors = Factors {
    totp: true,
    webauthn: false,
};

/// A user with a verified address and no second factor, unless changed.
#[derive(Clone, Debug)]
pub struct Person {
    facts: UserFacts,
}

impl Person {
    pub fn new(name: &str) -> Self {
        let facts = UserFacts {
            id: UserId::new(),
            name: UserName::parse(name).expect("a name of a user"),
            created_at: Timestamp(0),
            email_verified: true,
            factors: Factors::default(),
            staff: false,
        };
        Self { facts }
    }

    /// With their id in a database.
    pub fn known_as(mut self, id: UserId) -> Self {
        self.facts.id = id;
        self
    }

    pub fn enrolled(mut self, factors: Factors) -> Self {
        self.facts.factors = factors;
        self
    }

    pub fn unverified(mut self) -> Self {
        self.facts.email_verified = false;
        self
    }

    pub fn staff(mut self) -> Self {
        self.facts.staff = true;
        self
    }

    /// In a session with these proofs.
    pub fn session(self, assurance: Assurance) -> Caller {
        Caller {
            credential: CredentialKind::Session,
            principal: Principal::User(self.facts),
            token: None,
            session: None,
            assurance,
        }
    }

    /// With an API token that the registry restricts by these caveats.
    pub fn token(self, minted: Vec<Caveat>) -> Caller {
        self.with_token(TokenFacts {
            id: TokenId::new(),
            created_at: Timestamp(0),
            last_used_at: None,
            made_with_second_factor: false,
            minted,
            added: Vec::new(),
        })
    }

    pub fn with_token(self, token: TokenFacts) -> Caller {
        Caller {
            credential: CredentialKind::ApiToken,
            principal: Principal::User(self.facts),
            token: Some(token),
            session: None,
            assurance: Assurance::NONE,
        }
    }
}

/// Password and a one-time code, both proven at `at`.
pub fn verified_now(at: Timestamp) -> Assurance {
    Assurance {
        password_at: Some(at),
        second_factor: Some(FactorUse {
            factor: Factor::Totp,
            at,
        }),
        password_state: PasswordState::Unchecked,
    }
}
