//! Made-up requests with everything in their favour, to find out what a set could permit at all,
//! and to warm up sandboxes.

use crate::contract::{
    Action, Assurance, Change, Claim, Context, CredentialKind, Factor, FactorUse, Factors, File,
    FileKind, Metadata, Method, NewToken, PasswordState, Principal, Project, ProjectStatus,
    Publisher, Release, ReleaseState, Request, Role, RoleChange, Subject, Token, TokenScope, User,
    VersionOrder,
};
use crate::decision::DecisionOutcome;

/// Whether this outcome of a probe means that a real request might get through. `Required` does: a
/// real request may meet the requirements.
pub(crate) fn may(outcome: &DecisionOutcome) -> bool {
    matches!(
        outcome,
        DecisionOutcome::Permitted | DecisionOutcome::Staged | DecisionOutcome::Required(_)
    )
}

/// The probes of a set: one with everything in its favour, the same from an ordinary user with an
/// account-wide token, and the same for a project that does not exist yet.
pub(crate) fn contexts(action: Action, kind: CredentialKind) -> Vec<Context> {
    let best = favourable(action, kind);

    let mut ordinary = best.clone();
    if let Principal::User(user) = &mut ordinary.principal {
        user.staff = false;
    }
    if let Some(token) = &mut ordinary.token {
        token.scope = TokenScope::Account;
    }

    let mut first = ordinary.clone();
    if let Some(project) = &mut first.project {
        project.exists = false;
        project.role = Role::None;
    }
    if let Some(release) = &mut first.release {
        *release = Release {
            state: ReleaseState::Absent,
            age: 0,
            order: VersionOrder::First,
            newest: None,
            ..release.clone()
        };
    }
    vec![best, ordinary, first]
}

/// A request from a staff member in good standing who owns the project, confirmed everything a
/// moment ago and, with a token, created it in the same way for this project only. Impossible
/// combinations are left out: a token confirms no factor, a publisher is not a user.
pub(crate) fn favourable(action: Action, kind: CredentialKind) -> Context {
    let user = User {
        name: "probe".into(),
        age: 10 * YEAR,
        email_verified: true,
        factors: Factors::TOTP | Factors::WEBAUTHN,
        staff: true,
    };
    let claims = vec![Claim {
        name: "repository".into(),
        value: "probe/probe".into(),
    }];
    let token = Token {
        id: ID.into(),
        age: 60,
        expires_in: Some(600),
        scope: TokenScope::Projects(vec!["probe".into()]),
        last_used: Some(1),
        made_with_second_factor: true,
        narrowed_to: None,
        narrowed_expires_in: None,
    };
    let proven = Assurance {
        password_age: Some(0),
        second_factor: Some(FactorUse {
            factor: Factor::Webauthn,
            age: 0,
        }),
        password_state: PasswordState::Clean,
    };
    let unproven = Assurance {
        password_age: None,
        second_factor: None,
        password_state: PasswordState::Unchecked,
    };
    let (principal, token, assurance) = match kind {
        CredentialKind::None => (Principal::Anonymous, None, unproven),
        CredentialKind::Session | CredentialKind::BasicPassword => {
            (Principal::User(user), None, proven)
        }
        CredentialKind::ApiToken => (Principal::User(user), Some(token), unproven),
        CredentialKind::PublisherToken => (
            Principal::Publisher(Publisher {
                provider: "github".into(),
                claims,
            }),
            Some(token),
            unproven,
        ),
    };
    let about = action.about();
    let (state, order) = match about {
        Subject::NewFile | Subject::NewProject => (ReleaseState::Absent, VersionOrder::Newer),
        Subject::StagedRelease => (ReleaseState::Staged, VersionOrder::Newer),
        Subject::Index
        | Subject::PublishedFile
        | Subject::PublishedRelease
        | Subject::Project
        | Subject::ArchivedProject
        | Subject::GivenRole
        | Subject::TakenRole
        | Subject::NewToken
        | Subject::Token
        | Subject::Account
        | Subject::Factor
        | Subject::Registry => (ReleaseState::Published, VersionOrder::Same),
    };
    Context {
        action,
        now: 1_800_000_000,
        credential: kind,
        request: Some(Request {
            id: ID.into(),
            route: "/probe/".into(),
            method: Method::Post,
            remote_address: "127.0.0.1".into(),
            user_agent: "probe".into(),
        }),
        principal,
        token,
        assurance: Some(assurance),
        project: Some(Project {
            name: "probe".into(),
            exists: about != Subject::NewProject,
            status: if about == Subject::ArchivedProject {
                ProjectStatus::Archived
            } else {
                ProjectStatus::Active
            },
            role: Role::Owner,
            settings: vec![],
        }),
        release: Some(Release {
            version: "2.0".into(),
            state,
            age: 60,
            order,
            newest: Some("1.0".into()),
            staged_by_this_credential: false,
            staged_by_this_user: false,
        }),
        file: Some(File {
            name: "probe-2.0.tar.gz".into(),
            kind: FileKind::Sdist,
            size: 1000,
            sha256: "0".repeat(64),
            blake2_256: "0".repeat(64),
        }),
        metadata: Some(Metadata {
            version: "2.4".into(),
            summary: String::new(),
            license: "MIT".into(),
            requires_python: ">=3.9".into(),
            requires: vec![],
            classifiers: vec![],
        }),
        change: change(about),
    }
}

const YEAR: u64 = 365 * 86_400;
const ID: &str = "00000000-0000-7000-8000-000000000000";

fn change(about: Subject) -> Change {
    let role = |before, after| {
        Change::Role(RoleChange {
            user: "other".into(),
            before,
            after,
            factors: Factors::TOTP | Factors::WEBAUTHN,
        })
    };
    match about {
        Subject::NewToken => Change::Token(NewToken {
            scope: TokenScope::Projects(vec!["probe".into()]),
            expires_in: Some(600),
        }),
        Subject::GivenRole => role(Role::None, Role::Maintainer),
        Subject::TakenRole => role(Role::Maintainer, Role::None),
        Subject::Factor => Change::Factor(Factor::Totp),
        Subject::Index
        | Subject::NewFile
        | Subject::PublishedFile
        | Subject::StagedRelease
        | Subject::PublishedRelease
        | Subject::NewProject
        | Subject::Project
        | Subject::ArchivedProject
        | Subject::Token
        | Subject::Account
        | Subject::Registry => Change::Nothing,
    }
}
