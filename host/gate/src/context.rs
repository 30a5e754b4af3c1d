//! Converts facts of the model to the words of the contract with policies.
//!
//! The only place where the two vocabularies meet. Every conversion is an exhaustive
//! match, so a word added on one side does not compile until the other side has it.

use std::collections::BTreeSet;

use model::caveat::Reach;
use model::{
    Caller, CredentialKind, Factor, Factors, PasswordState, Principal, ProjectStatus, Role,
    Timestamp,
};
use policy_engine::contract;

use crate::attempt::{Attempt, Method};
use crate::target::{
    ChangeFacts, ProjectFacts, ReleaseFacts, ReleaseStanding, ScopeFacts, TargetFacts, VersionOrder,
};

/// The complete context of one decision.
pub fn build(
    attempt: &Attempt,
    decision: model::DecisionId,
    caller: &Caller,
    facts: &TargetFacts<'_>,
) -> contract::Context {
    contract::Context {
        action: action(facts.action),
        now: u64::try_from(attempt.at.seconds()).unwrap_or(0),
        credential: credential(caller.credential),
        request: Some(contract::Request {
            id: decision.to_string(),
            route: attempt.route.to_owned(),
            method: method(attempt.method),
            remote_address: attempt.remote_address.to_string(),
            user_agent: attempt.user_agent.to_string(),
        }),
        principal: principal(&caller.principal, attempt.at),
        token: caller
            .token
            .as_ref()
            .map(|token| self::token(token, attempt.at)),
        assurance: Some(contract::Assurance {
            password_age: caller.assurance.password_at.map(|at| at.age_at(attempt.at)),
            second_factor: caller
                .assurance
                .second_factor
                .map(|used| contract::FactorUse {
                    factor: factor(used.factor),
                    age: used.at.age_at(attempt.at),
                }),
            password_state: password_state(caller.assurance.password_state),
        }),
        project: facts.project.as_ref().map(project),
        release: facts
            .release
            .as_ref()
            .map(|release| self::release(release, caller)),
        file: facts.file.as_ref().map(|file| contract::File {
            name: file.name.to_owned(),
            kind: match file.kind {
                model::FileKind::Sdist => contract::FileKind::Sdist,
                model::FileKind::Wheel => contract::FileKind::Wheel,
            },
            size: file.size,
            sha256: file.digests.sha256_hex(),
            blake2_256: file.digests.blake2_256_hex(),
        }),
        metadata: facts.metadata.map(|metadata| contract::Metadata {
            version: metadata.version.clone(),
            summary: metadata.summary.clone(),
            license: metadata.license.clone(),
            requires_python: metadata.requires_python.clone(),
            requires: metadata.requires.clone(),
            classifiers: metadata.classifiers.clone(),
        }),
        change: change(&facts.change),
    }
}

/// The contract's word for an action.
pub fn action(action: model::Action) -> contract::Action {
    // Both lists have the same words in the same order; a test below checks that.
    contract::Action::ALL[action as usize]
}

/// The contract's word for a credential.
pub fn credential(kind: CredentialKind) -> contract::CredentialKind {
    match kind {
        CredentialKind::None => contract::CredentialKind::None,
        CredentialKind::Session => contract::CredentialKind::Session,
        CredentialKind::BasicPassword => contract::CredentialKind::BasicPassword,
        CredentialKind::ApiToken => contract::CredentialKind::ApiToken,
        CredentialKind::PublisherToken => contract::CredentialKind::PublisherToken,
    }
}

fn method(method: Method) -> contract::Method {
    match method {
        Method::Get => contract::Method::Get,
        Method::Head => contract::Method::Head,
        Method::Post => contract::Method::Post,
        Method::Put => contract::Method::Put,
        Method::Patch => contract::Method::Patch,
        Method::Delete => contract::Method::Delete,
        Method::Options => contract::Method::Options,
        Method::Other => contract::Method::Other,
    }
}

fn principal(principal: &Principal, now: Timestamp) -> contract::Principal {
    match principal {
        Principal::Anonymous => contract::Principal::Anonymous,
        Principal::User(user) => contract::Principal::User(contract::User {
            name: user.name.as_written().to_owned(),
            age: user.created_at.age_at(now),
            email_verified: user.email_verified,
            factors: factors(user.factors),
            staff: user.staff,
        }),
        Principal::Publisher {
            id: _,
            provider,
            claims,
        } => contract::Principal::Publisher(contract::Publisher {
            provider: provider.clone(),
            claims: claims
                .iter()
                .map(|(name, value)| contract::Claim {
                    name: name.clone(),
                    value: value.clone(),
                })
                .collect(),
        }),
    }
}

fn token(token: &model::TokenFacts, now: Timestamp) -> contract::Token {
    let minted = Reach::of(&token.minted);
    // Caveats that the holder added are separate: a thief of the token can add them as well, so
    // they must never satisfy a policy's demand on a token.
    let left = Reach::of(token.caveats());
    let seconds_until = |at: i64| u64::try_from(at.saturating_sub(now.seconds())).unwrap_or(0);
    let narrowed_to = left
        .projects
        .filter(|left| minted.projects.as_ref() != Some(left))
        .map(names_of_projects);
    let narrowed_expires_in = left
        .expires_at
        .filter(|_| left.expires_at != minted.expires_at)
        .map(seconds_until);
    contract::Token {
        id: token.id.to_string(),
        age: token.created_at.age_at(now),
        expires_in: minted.expires_at.map(seconds_until),
        scope: minted.projects.map_or(
            contract::TokenScope::Account,
            contract::TokenScope::Projects,
        ),
        last_used: token.last_used_at.map(|at| at.age_at(now)),
        made_with_second_factor: token.made_with_second_factor,
        narrowed_to,
        narrowed_expires_in,
    }
}

/// The holder's words that are normalized names of projects, each once. Others match no project,
/// and free text of the holder must not get into any record.
fn names_of_projects(words: Vec<String>) -> Vec<String> {
    let is_name =
        |word: &String| model::ProjectName::parse(word).is_ok_and(|name| name.normalized() == word);
    words
        .into_iter()
        .filter(is_name)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

fn project(project: &ProjectFacts<'_>) -> contract::Project {
    contract::Project {
        name: project.normalized.to_owned(),
        exists: project.id.is_some(),
        status: match project.status {
            ProjectStatus::Active => contract::ProjectStatus::Active,
            ProjectStatus::Archived => contract::ProjectStatus::Archived,
            ProjectStatus::Quarantined => contract::ProjectStatus::Quarantined,
            ProjectStatus::Deprecated => contract::ProjectStatus::Deprecated,
        },
        role: role(project.role),
        // Filled by the engine, for each policy with its own settings.
        settings: Vec::new(),
    }
}

fn release(release: &ReleaseFacts<'_>, caller: &Caller) -> contract::Release {
    contract::Release {
        version: release.version.to_string(),
        state: match release.standing {
            ReleaseStanding::Absent => contract::ReleaseState::Absent,
            ReleaseStanding::Staged => contract::ReleaseState::Staged,
            ReleaseStanding::Published => contract::ReleaseState::Published,
        },
        age: release.age,
        order: match release.order {
            VersionOrder::First => contract::VersionOrder::First,
            VersionOrder::Older => contract::VersionOrder::Older,
            VersionOrder::Same => contract::VersionOrder::Same,
            VersionOrder::Newer => contract::VersionOrder::Newer,
        },
        newest: release.newest.map(|version| version.to_string()),
        staged_by_this_credential: caller
            .token_id()
            .is_some_and(|token| release.staged_by.contains(&token)),
        staged_by_this_user: caller
            .user()
            .is_some_and(|user| release.staged_by_users.contains(&user.id)),
    }
}

fn role(role: Option<Role>) -> contract::Role {
    match role {
        None => contract::Role::None,
        Some(Role::Maintainer) => contract::Role::Maintainer,
        Some(Role::Owner) => contract::Role::Owner,
    }
}

fn factors(factors: Factors) -> contract::Factors {
    let mut out = contract::Factors::empty();
    if factors.totp {
        out |= contract::Factors::TOTP;
    }
    if factors.webauthn {
        out |= contract::Factors::WEBAUTHN;
    }
    out
}

fn factor(factor: Factor) -> contract::Factor {
    match factor {
        Factor::Totp => contract::Factor::Totp,
        Factor::Webauthn => contract::Factor::Webauthn,
        Factor::RecoveryCode => contract::Factor::RecoveryCode,
    }
}

fn password_state(state: PasswordState) -> contract::PasswordState {
    match state {
        PasswordState::Unchecked => contract::PasswordState::Unchecked,
        PasswordState::Clean => contract::PasswordState::Clean,
        PasswordState::Breached => contract::PasswordState::Breached,
    }
}

fn scope(scope: &ScopeFacts) -> contract::TokenScope {
    match scope {
        ScopeFacts::Account => contract::TokenScope::Account,
        ScopeFacts::Projects(names) => contract::TokenScope::Projects(names.clone()),
    }
}

fn change(change: &ChangeFacts<'_>) -> contract::Change {
    match change {
        ChangeFacts::Nothing => contract::Change::Nothing,
        ChangeFacts::Token { scope, expires_in } => contract::Change::Token(contract::NewToken {
            scope: self::scope(scope),
            expires_in: *expires_in,
        }),
        ChangeFacts::Role {
            user,
            before,
            after,
            factors,
        } => contract::Change::Role(contract::RoleChange {
            user: (*user).to_owned(),
            before: role(*before),
            after: role(*after),
            factors: self::factors(*factors),
        }),
        ChangeFacts::Factor(factor) => contract::Change::Factor(self::factor(*factor)),
    }
}

#[cfg(test)]
mod tests {
    use model::action::Subject;

    use super::*;

    #[test]
    fn model_and_contract_have_the_same_actions_in_the_same_order() {
        let model: Vec<&str> = model::Action::ALL
            .iter()
            .map(|action| action.as_str())
            .collect();
        let contract: Vec<&str> = contract::Action::ALL
            .iter()
            .map(|action| action.as_str())
            .collect();
        assert_eq!(model, contract);
        for &one in model::Action::ALL {
            assert_eq!(one.as_str(), action(one).as_str());
        }
    }

    fn subject(subject: Subject) -> contract::Subject {
        match subject {
            Subject::Index => contract::Subject::Index,
            Subject::NewFile => contract::Subject::NewFile,
            Subject::PublishedFile => contract::Subject::PublishedFile,
            Subject::StagedRelease => contract::Subject::StagedRelease,
            Subject::PublishedRelease => contract::Subject::PublishedRelease,
            Subject::NewProject => contract::Subject::NewProject,
            Subject::Project => contract::Subject::Project,
            Subject::ArchivedProject => contract::Subject::ArchivedProject,
            Subject::GivenRole => contract::Subject::GivenRole,
            Subject::TakenRole => contract::Subject::TakenRole,
            Subject::NewToken => contract::Subject::NewToken,
            Subject::Token => contract::Subject::Token,
            Subject::Account => contract::Subject::Account,
            Subject::Factor => contract::Subject::Factor,
            Subject::Registry => contract::Subject::Registry,
        }
    }

    #[test]
    fn the_engine_makes_up_what_the_sheet_says_an_action_is_about() {
        for &one in model::Action::ALL {
            let asked = action(one);
            assert_eq!(
                (asked.about(), asked.is_read()),
                (subject(one.about()), one.is_read()),
                "{one}"
            );
        }
    }

    fn narrowed(minted: Vec<model::Caveat>, added: Vec<model::Caveat>) -> contract::Token {
        let (id, made_with_second_factor) = (model::TokenId::new(), false);
        let facts = model::TokenFacts {
            id,
            created_at: Timestamp(0),
            last_used_at: None,
            made_with_second_factor,
            minted,
            added,
        };
        token(&facts, Timestamp::from_seconds(10))
    }

    fn names(names: &[&str]) -> model::Caveat {
        model::Caveat::ProjectNames(names.iter().map(|name| (*name).to_owned()).collect())
    }

    const fn expiry(expires_at: i64) -> model::Caveat {
        model::Caveat::Expiration {
            expires_at,
            not_before: 0,
        }
    }

    #[test]
    fn an_account_token_narrowed_by_its_holder_is_an_account_token() {
        let told = narrowed(
            vec![model::Caveat::RequestUser("u".into())],
            vec![names(&["a"]), expiry(40)],
        );
        assert_eq!(
            (told.scope, told.expires_in),
            (contract::TokenScope::Account, None)
        );
        assert_eq!(
            (told.narrowed_to, told.narrowed_expires_in),
            (Some(vec!["a".into()]), Some(30))
        );
    }

    #[test]
    fn a_project_token_narrowed_further_keeps_its_scope_and_says_what_is_left() {
        let minted = || {
            vec![
                expiry(60),
                names(&["a", "b"]),
                model::Caveat::ProjectIds(vec!["id".into()]),
            ]
        };
        let told = narrowed(minted(), vec![names(&["b", "c"]), expiry(70)]);
        assert_eq!(
            (told.scope, told.expires_in),
            (
                contract::TokenScope::Projects(vec!["a".into(), "b".into()]),
                Some(50)
            )
        );
        assert_eq!(
            (told.narrowed_to, told.narrowed_expires_in),
            (Some(vec!["b".into()]), None)
        );
        let unchanged = narrowed(minted(), vec![names(&["a", "b", "c"])]);
        assert_eq!(
            (unchanged.narrowed_to, unchanged.narrowed_expires_in),
            (None, None)
        );
    }

    #[test]
    fn what_a_holder_writes_that_names_no_project_is_not_told() {
        let told = narrowed(
            vec![],
            vec![names(&["b", "A", "a", "a", "<script>", "", "-"])],
        );
        assert_eq!(told.narrowed_to, Some(vec!["a".into(), "b".into()]));
        assert_eq!(
            narrowed(vec![], vec![model::Caveat::ProjectIds(vec!["x".into()])]).narrowed_to,
            Some(vec![])
        );
    }
}
