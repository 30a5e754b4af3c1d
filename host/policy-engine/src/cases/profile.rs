//! Callers for cases and decision tables: each fills in a whole context.

use crate::contract::{
    Action, Assurance, Change, Claim, Context, CredentialKind, Factor, FactorUse, Factors, File,
    FileKind, Metadata, Method, PasswordState, Principal, Project, ProjectStatus, Publisher,
    Release, ReleaseState, Request, Role, Subject, Token, TokenScope, User, VersionOrder,
};

/// The caller. The people among them are `alice`, an owner of the project `demo` with a verified
/// email address and a TOTP app, unless the name says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// No credential.
    Anonymous,
    /// Logged in, without any second factor enrolled.
    SessionWithoutFactor,
    /// Logged in with a second factor, two hours ago.
    Session,
    /// Logged in with a second factor half a minute ago.
    FreshSession,
    /// A user name and a password in a header.
    BasicPassword,
    /// An API token for all of alice's projects, created with a second factor.
    AccountToken,
    /// An API token for `demo` only, created with a second factor.
    ProjectToken,
    /// A trusted publisher of `demo`.
    PublisherToken,
}

impl Caller {
    /// Every caller, in the order of the columns of a table.
    pub const ALL: &'static [Caller] = &[
        Caller::Anonymous,
        Caller::SessionWithoutFactor,
        Caller::Session,
        Caller::FreshSession,
        Caller::BasicPassword,
        Caller::AccountToken,
        Caller::ProjectToken,
        Caller::PublisherToken,
    ];

    /// The word in case files.
    pub fn as_str(self) -> &'static str {
        match self {
            Caller::Anonymous => "anonymous",
            Caller::SessionWithoutFactor => "session-without-factor",
            Caller::Session => "session",
            Caller::FreshSession => "fresh-session",
            Caller::BasicPassword => "basic-password",
            Caller::AccountToken => "account-token",
            Caller::ProjectToken => "project-token",
            Caller::PublisherToken => "publisher-token",
        }
    }

    /// Parses the word.
    pub fn from_word(text: &str) -> Option<Self> {
        Caller::ALL
            .iter()
            .copied()
            .find(|caller| caller.as_str() == text)
    }

    /// The whole context of this caller attempting this action on its usual target: the project
    /// `demo`, its release 1.0, one wheel.
    pub fn context(self, action: Action) -> Context {
        let about = action.about();
        Context {
            action,
            now: 1_767_225_600,
            credential: self.credential(),
            request: Some(Request {
                id: "019b76da-a800-7000-8000-000000000001".to_owned(),
                route: "/".to_owned(),
                method: if action.is_read() {
                    Method::Get
                } else {
                    Method::Post
                },
                remote_address: "192.0.2.7".to_owned(),
                user_agent: "twine/7.0.0".to_owned(),
            }),
            principal: self.principal(),
            token: self.token(),
            assurance: self.assurance(),
            project: about.has_project().then(|| self.project()),
            release: about.release().map(release),
            file: about.is_file().then(file),
            metadata: (about == Subject::NewFile).then(metadata),
            change: Change::Nothing,
        }
    }

    fn credential(self) -> CredentialKind {
        match self {
            Caller::Anonymous => CredentialKind::None,
            Caller::SessionWithoutFactor | Caller::Session | Caller::FreshSession => {
                CredentialKind::Session
            }
            Caller::BasicPassword => CredentialKind::BasicPassword,
            Caller::AccountToken | Caller::ProjectToken => CredentialKind::ApiToken,
            Caller::PublisherToken => CredentialKind::PublisherToken,
        }
    }

    fn principal(self) -> Principal {
        let alice = User {
            name: "alice".to_owned(),
            age: 31_536_000,
            email_verified: true,
            factors: Factors::TOTP,
            staff: false,
        };
        match self {
            Caller::Anonymous => Principal::Anonymous,
            Caller::SessionWithoutFactor => Principal::User(User {
                factors: Factors::empty(),
                ..alice
            }),
            Caller::PublisherToken => Principal::Publisher(Publisher {
                provider: "github".to_owned(),
                claims: vec![Claim {
                    name: "repository".to_owned(),
                    value: "demo/demo".to_owned(),
                }],
            }),
            _ => Principal::User(alice),
        }
    }

    fn token(self) -> Option<Token> {
        let demo = || TokenScope::Projects(vec!["demo".to_owned()]);
        let (scope, expires_in) = match self {
            Caller::AccountToken => (TokenScope::Account, None),
            Caller::ProjectToken => (demo(), None),
            Caller::PublisherToken => (demo(), Some(840)),
            _ => return None,
        };
        Some(Token {
            id: "019b7000-0000-7000-8000-000000000002".to_owned(),
            age: if expires_in.is_some() { 60 } else { 86_400 },
            expires_in,
            scope,
            last_used: None,
            made_with_second_factor: expires_in.is_none(),
            narrowed_to: None,
            narrowed_expires_in: None,
        })
    }

    fn assurance(self) -> Option<Assurance> {
        let nothing = Assurance {
            password_age: None,
            second_factor: None,
            password_state: PasswordState::Unchecked,
        };
        let proven = |age| Assurance {
            password_age: Some(age),
            second_factor: Some(FactorUse {
                factor: Factor::Totp,
                age,
            }),
            ..nothing.clone()
        };
        Some(match self {
            Caller::SessionWithoutFactor => Assurance {
                password_age: Some(30),
                ..nothing
            },
            Caller::Session => proven(7_200),
            Caller::FreshSession => proven(30),
            Caller::BasicPassword => Assurance {
                password_age: Some(0),
                ..nothing
            },
            Caller::Anonymous
            | Caller::AccountToken
            | Caller::ProjectToken
            | Caller::PublisherToken => nothing,
        })
    }

    fn project(self) -> Project {
        let role = match self {
            Caller::Anonymous | Caller::PublisherToken => Role::None,
            _ => Role::Owner,
        };
        Project {
            name: "demo".to_owned(),
            exists: true,
            status: ProjectStatus::Active,
            role,
            settings: Vec::new(),
        }
    }
}

fn release(state: ReleaseState) -> Release {
    let (age, order, newest) = match state {
        ReleaseState::Absent => (0, VersionOrder::First, None),
        ReleaseState::Staged => (60, VersionOrder::First, None),
        ReleaseState::Published => (3_600, VersionOrder::Same, Some("1.0".to_owned())),
    };
    Release {
        version: "1.0".to_owned(),
        state,
        age,
        order,
        newest,
        staged_by_this_credential: false,
        staged_by_this_user: false,
    }
}

fn file() -> File {
    File {
        name: "demo-1.0-py3-none-any.whl".to_owned(),
        kind: FileKind::Wheel,
        size: 12_345,
        sha256: "0a".repeat(32),
        blake2_256: "0b".repeat(32),
    }
}

fn metadata() -> Metadata {
    Metadata {
        version: "2.4".to_owned(),
        summary: "A demonstration".to_owned(),
        license: "MIT".to_owned(),
        requires_python: ">=3.9".to_owned(),
        requires: Vec::new(),
        classifiers: Vec::new(),
    }
}
