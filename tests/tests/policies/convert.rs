//! Conversions between the host's and the SDK's versions of the contract. Every conversion is
//! exhaustive, so a word added on one side does not compile before it is added here.

use policy_engine::contract as host;
use policy_sdk::contract as sdk;

macro_rules! words {
    ($($function:ident: $name:ident { $($case:ident),* $(,)? })*) => {$(
        pub(crate) fn $function(value: host::$name) -> sdk::$name {
            match value { $(host::$name::$case => sdk::$name::$case),* }
        }
    )*};
}

words! {
    method: Method { Get, Head, Post, Put, Patch, Delete, Options, Other }
    credential: CredentialKind { None, Session, BasicPassword, ApiToken, PublisherToken }
    role: Role { None, Maintainer, Owner }
    factor: Factor { Totp, Webauthn, RecoveryCode }
    password_state: PasswordState { Unchecked, Clean, Breached }
    project_status: ProjectStatus { Active, Archived, Quarantined, Deprecated }
    version_order: VersionOrder { First, Older, Same, Newer }
    release_state: ReleaseState { Absent, Staged, Published }
    file_kind: FileKind { Sdist, Wheel }
    page: Page { Tokens, SecondFactor, StepUp, Email, PasswordReset, StagedReleases, ProjectSettings, Contact }
}

pub(crate) fn action(value: host::Action) -> sdk::Action {
    sdk::Action::parse(value.as_str()).expect("host and SDK have the same actions")
}

fn factors(value: host::Factors) -> sdk::Factors {
    let mut factors = sdk::Factors::empty();
    factors.set(sdk::Factors::TOTP, value.contains(host::Factors::TOTP));
    factors.set(
        sdk::Factors::WEBAUTHN,
        value.contains(host::Factors::WEBAUTHN),
    );
    factors
}

fn principal(value: host::Principal) -> sdk::Principal {
    match value {
        host::Principal::Anonymous => sdk::Principal::Anonymous,
        host::Principal::User(host::User {
            name,
            age,
            email_verified,
            factors: enrolled,
            staff,
        }) => sdk::Principal::User(sdk::User {
            name,
            age,
            email_verified,
            factors: factors(enrolled),
            staff,
        }),
        host::Principal::Publisher(host::Publisher { provider, claims }) => {
            let claims = claims
                .into_iter()
                .map(|host::Claim { name, value }| sdk::Claim { name, value })
                .collect();
            sdk::Principal::Publisher(sdk::Publisher { provider, claims })
        }
    }
}

fn scope(value: host::TokenScope) -> sdk::TokenScope {
    match value {
        host::TokenScope::Account => sdk::TokenScope::Account,
        host::TokenScope::Projects(names) => sdk::TokenScope::Projects(names),
    }
}

fn token(value: host::Token) -> sdk::Token {
    let host::Token {
        id,
        age,
        expires_in,
        scope: minted,
        last_used,
        made_with_second_factor,
        narrowed_to,
        narrowed_expires_in,
    } = value;
    sdk::Token {
        id,
        age,
        expires_in,
        scope: scope(minted),
        last_used,
        made_with_second_factor,
        narrowed_to,
        narrowed_expires_in,
    }
}

fn assurance(value: host::Assurance) -> sdk::Assurance {
    let host::Assurance {
        password_age,
        second_factor,
        password_state: state,
    } = value;
    let second_factor = second_factor.map(|proof| sdk::FactorUse {
        factor: factor(proof.factor),
        age: proof.age,
    });
    sdk::Assurance {
        password_age,
        second_factor,
        password_state: password_state(state),
    }
}

fn project(value: host::Project) -> sdk::Project {
    let host::Project {
        name,
        exists,
        status,
        role: held,
        settings,
    } = value;
    assert!(
        settings.is_empty(),
        "owner settings are resolved by each side on its own"
    );
    sdk::Project {
        name,
        exists,
        status: project_status(status),
        role: role(held),
        settings: Vec::new(),
    }
}

fn release(value: host::Release) -> sdk::Release {
    let host::Release {
        version,
        state,
        age,
        order,
        newest,
        staged_by_this_credential,
        staged_by_this_user,
    } = value;
    let (state, order) = (release_state(state), version_order(order));
    sdk::Release {
        version,
        state,
        age,
        order,
        newest,
        staged_by_this_credential,
        staged_by_this_user,
    }
}

fn request(value: host::Request) -> sdk::Request {
    let host::Request {
        id,
        route,
        method: used,
        remote_address,
        user_agent,
    } = value;
    sdk::Request {
        id,
        route,
        method: method(used),
        remote_address,
        user_agent,
    }
}

fn file(value: host::File) -> sdk::File {
    let host::File {
        name,
        kind,
        size,
        sha256,
        blake2_256,
    } = value;
    sdk::File {
        name,
        kind: file_kind(kind),
        size,
        sha256,
        blake2_256,
    }
}

fn metadata(value: host::Metadata) -> sdk::Metadata {
    let host::Metadata {
        version,
        summary,
        license,
        requires_python,
        requires,
        classifiers,
    } = value;
    sdk::Metadata {
        version,
        summary,
        license,
        requires_python,
        requires,
        classifiers,
    }
}

fn change(value: host::Change) -> sdk::Change {
    match value {
        host::Change::Nothing => sdk::Change::Nothing,
        host::Change::Token(host::NewToken {
            scope: wanted,
            expires_in,
        }) => sdk::Change::Token(sdk::NewToken {
            scope: scope(wanted),
            expires_in,
        }),
        host::Change::Role(host::RoleChange {
            user,
            before,
            after,
            factors: enrolled,
        }) => sdk::Change::Role(sdk::RoleChange {
            user,
            before: role(before),
            after: role(after),
            factors: factors(enrolled),
        }),
        host::Change::Factor(changed) => sdk::Change::Factor(factor(changed)),
    }
}

/// The context as a policy in Rust sees it, with every section that there is.
pub(crate) fn context(value: host::Context) -> sdk::Context {
    sdk::Context {
        action: action(value.action),
        now: value.now,
        credential: credential(value.credential),
        request: value.request.map(request),
        principal: principal(value.principal),
        token: value.token.map(token),
        assurance: value.assurance.map(assurance),
        project: value.project.map(project),
        release: value.release.map(release),
        file: value.file.map(file),
        metadata: value.metadata.map(metadata),
        change: change(value.change),
    }
}

pub(crate) fn requirement(value: host::Requirement) -> sdk::Requirement {
    match value {
        host::Requirement::EnrolledSecondFactor => sdk::Requirement::EnrolledSecondFactor,
        host::Requirement::SecondFactorWithin(seconds) => {
            sdk::Requirement::SecondFactorWithin(seconds)
        }
        host::Requirement::PasswordWithin(seconds) => sdk::Requirement::PasswordWithin(seconds),
        host::Requirement::VerifiedEmail => sdk::Requirement::VerifiedEmail,
        host::Requirement::ProjectToken => sdk::Requirement::ProjectToken,
        host::Requirement::TokenMadeWithSecondFactor => sdk::Requirement::TokenMadeWithSecondFactor,
    }
}

/// The verdict of a module in the SDK's types, for comparison with the native one.
pub(crate) fn verdict(value: host::Verdict) -> sdk::Verdict {
    let outcome = match value.outcome {
        host::Outcome::Abstain => sdk::Outcome::Abstain,
        host::Outcome::Permit => sdk::Outcome::Permit,
        host::Outcome::Stage => sdk::Outcome::Stage,
        host::Outcome::Require(requirements) => {
            sdk::Outcome::Require(requirements.into_iter().map(requirement).collect())
        }
        host::Outcome::Deny => sdk::Outcome::Deny,
    };
    let reason = |reason: host::Reason| sdk::Reason {
        code: reason.code,
        message: reason.message,
        remedy: reason.remedy,
        page: reason.page.map(page),
    };
    let obligation = |obligation| match obligation {
        host::Obligation::DisablePassword => sdk::Obligation::DisablePassword,
        host::Obligation::SendMail(name) => sdk::Obligation::SendMail(name),
        host::Obligation::Other(text) => sdk::Obligation::Other(text),
    };
    sdk::Verdict {
        outcome,
        reasons: value.reasons.into_iter().map(reason).collect(),
        obligations: value.obligations.into_iter().map(obligation).collect(),
        notes: value.notes,
    }
}
