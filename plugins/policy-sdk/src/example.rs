//! Facts for native tests, each in one line and changed with `..`.

use crate::contract::{
    Assurance, Factor, FactorUse, Factors, PasswordState, Principal, Project, ProjectStatus,
    Publisher, Release, ReleaseState, Role, Token, TokenScope, User, VersionOrder,
};

/// A user with a verified email address and a TOTP app.
pub fn user(name: &str) -> User {
    User {
        name: name.to_owned(),
        age: 1_000_000,
        email_verified: true,
        factors: Factors::TOTP,
        staff: false,
    }
}

/// A trusted publisher of the provider `github`.
pub fn publisher() -> Principal {
    Principal::Publisher(Publisher {
        provider: "github".to_owned(),
        claims: Vec::new(),
    })
}

/// A token for all projects of the account, created with a second factor.
pub fn token() -> Token {
    Token {
        id: "0192f0c1-2d3e-7abc-8def-0123456789ab".to_owned(),
        age: 86_400,
        expires_in: None,
        scope: TokenScope::Account,
        last_used: None,
        made_with_second_factor: true,
        narrowed_to: None,
        narrowed_expires_in: None,
    }
}

/// A token for one project, created with a second factor.
pub fn project_token(project: &str) -> Token {
    Token {
        scope: TokenScope::Projects(vec![project.to_owned()]),
        ..token()
    }
}

/// A password and a TOTP code, both confirmed this many seconds ago.
pub fn second_factor(age: u64) -> Assurance {
    Assurance {
        password_age: Some(age),
        second_factor: Some(FactorUse {
            factor: Factor::Totp,
            age,
        }),
        password_state: PasswordState::Unchecked,
    }
}

/// An active project that exists, and the caller's role on it. Its owners' settings are passed to
/// `evaluate` separately from the context.
pub fn project(name: &str, role: Role) -> Project {
    Project {
        name: name.to_owned(),
        exists: true,
        status: ProjectStatus::Active,
        role,
        settings: Vec::new(),
    }
}

/// A staged release.
pub fn staged_release(version: &str) -> Release {
    Release {
        version: version.to_owned(),
        state: ReleaseState::Staged,
        age: 60,
        order: VersionOrder::First,
        newest: None,
        staged_by_this_credential: false,
        staged_by_this_user: false,
    }
}
