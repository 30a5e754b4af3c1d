//! Contexts to decide: complete ones, as the server builds them for a real upload.

use policy_engine::contract::{
    Action, Assurance, Change, Context, CredentialKind, Factor, FactorUse, Factors, File, FileKind,
    Metadata, Method, PasswordState, Principal, Project, ProjectStatus, Release, ReleaseState,
    Request, Role, Token, TokenScope, User, VersionOrder,
};
use serde_json::{Value, json};

/// One case: a context, and the choices of the project's owners.
#[derive(Clone, Debug)]
pub struct Case {
    pub context: Context,
    pub owner: OwnerChoices,
}

/// The choices of a project's owners among the settings of the default set.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnerChoices {
    pub second_factor: bool,
    pub fresh_within: u32,
    pub project_tokens_only: bool,
    pub strong_tokens_only: bool,
    /// Position in `off`, `automation`, `all`.
    pub staging: usize,
}

/// The words of the staging setting.
pub const STAGING: [&str; 3] = ["off", "automation", "all"];

impl OwnerChoices {
    /// In the stored form.
    pub fn stored(&self) -> Value {
        json!({
            "owner-mandate": {
                "second-factor": self.second_factor,
                "fresh-within": self.fresh_within,
                "project-tokens-only": self.project_tokens_only,
                "strong-tokens-only": self.strong_tokens_only,
            },
            "staged-release": { "mode": STAGING[self.staging] },
        })
    }
}

/// The upload that is measured: a maintainer's CI with a project token, all in order.
pub fn upload() -> Case {
    Case {
        context: Context {
            action: Action::FileUpload,
            now: 1_767_600_000,
            credential: CredentialKind::ApiToken,
            request: Some(Request {
                id: "019b8a3c-51f2-7c39-9a4e-0d6f3b2a1c5e".into(),
                route: "/legacy/".into(),
                method: Method::Post,
                remote_address: "203.0.113.77".into(),
                user_agent: "twine/7.0.0 importlib-metadata/10.2.0 keyring/25.7.0 rfc3986/2.0.0 requests/2.34.2 CPython/3.13.1".into(),
            }),
            principal: Principal::User(User {
                name: "alice".into(),
                age: 63_072_000,
                email_verified: true,
                factors: Factors::TOTP | Factors::WEBAUTHN,
                staff: false,
            }),
            token: Some(Token {
                id: "019a0000-0000-7000-8000-00000000c0de".into(),
                age: 2_592_000,
                expires_in: Some(5_184_000),
                scope: TokenScope::Projects(vec!["sample-project".into(), "sample-plugins".into()]),
                last_used: Some(86_400),
                made_with_second_factor: true,
                narrowed_to: None,
                narrowed_expires_in: None,
            }),
            assurance: Some(Assurance { password_age: None, second_factor: None, password_state: PasswordState::Unchecked }),
            project: Some(Project { name: "sample-project".into(), exists: true, status: ProjectStatus::Active, role: Role::Maintainer, settings: Vec::new() }),
            release: Some(Release {
                version: "4.12.0".into(),
                state: ReleaseState::Absent,
                age: 0,
                order: VersionOrder::Newer,
                newest: Some("4.11.3".into()),
                staged_by_this_credential: false,
                staged_by_this_user: false,
            }),
            file: Some(File {
                name: "sample_project-4.12.0-py3-none-any.whl".into(),
                kind: FileKind::Wheel,
                size: 183_204,
                sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".into(),
                blake2_256: "928b20366943e2afd11ebc0eae2e53a93bf177a4fcf35bcc64d503704e65e202".into(),
            }),
            metadata: Some(Metadata {
                version: "2.4".into(),
                summary: "A sample project that says what a project is".into(),
                license: "MIT".into(),
                requires_python: ">=3.10".into(),
                requires: vec!["requests>=2.31".into(), "rich>=13".into(), "tomli>=2; python_version < '3.11'".into()],
                classifiers: vec!["Programming Language :: Python :: 3".into(), "Operating System :: OS Independent".into()],
            }),
            change: Change::Nothing,
        },
        owner: OwnerChoices::default(),
    }
}

/// Many cases that vary everything that a rule checks; engines must agree on all of them.
pub fn all_cases() -> Vec<Case> {
    let actions = [
        Action::FileUpload,
        Action::ProjectCreate,
        Action::ReleasePublish,
        Action::ReleaseReject,
        Action::ReleaseYank,
        Action::ProjectManage,
        Action::IndexRead,
        Action::TokenCreate,
        Action::TokenMint,
    ];
    let credentials = [
        CredentialKind::None,
        CredentialKind::Session,
        CredentialKind::BasicPassword,
        CredentialKind::ApiToken,
    ];
    let owners = [
        OwnerChoices::default(),
        OwnerChoices {
            second_factor: true,
            fresh_within: 600,
            ..OwnerChoices::default()
        },
        OwnerChoices {
            project_tokens_only: true,
            strong_tokens_only: true,
            staging: 1,
            ..OwnerChoices::default()
        },
        OwnerChoices {
            staging: 2,
            ..OwnerChoices::default()
        },
    ];
    let mut cases = Vec::new();
    for action in actions {
        for credential in credentials {
            for owner in owners {
                // Three bits: address and factors are fine, the token is a strong one, a second
                // factor was confirmed recently.
                for bits in 0..8_u8 {
                    let Case { mut context, .. } = upload();
                    context.action = action;
                    context.credential = credential;
                    if let Principal::User(user) = &mut context.principal
                        && bits & 1 != 0
                    {
                        user.email_verified = false;
                        user.factors = Factors::empty();
                    }
                    if let Some(token) = &mut context.token
                        && bits & 2 != 0
                    {
                        token.scope = TokenScope::Account;
                        token.made_with_second_factor = false;
                    }
                    if let (Some(assurance), true) = (&mut context.assurance, bits & 4 != 0) {
                        assurance.second_factor = Some(FactorUse {
                            factor: Factor::Totp,
                            age: 120,
                        });
                    }
                    if let Some(release) = &mut context.release {
                        release.staged_by_this_credential = bits & 2 != 0;
                    }
                    if credential == CredentialKind::None {
                        context.principal = Principal::Anonymous;
                    }
                    if credential != CredentialKind::ApiToken {
                        context.token = None;
                    }
                    cases.push(Case { context, owner });
                }
            }
        }
    }
    cases
}
