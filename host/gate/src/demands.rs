//! The demands for a second factor: which projects and policies demand one of a user.
//!
//! No policy declares this. The set is asked about made-up requests of the user, first with a
//! second factor proven a moment ago and then without any. An action that passes only with a factor
//! is demanded by the policies that block it without one. None of this is a decision, so nothing is
//! recorded and no obligation is fulfilled.

use std::borrow::Cow;

use model::action::Subject;
use model::{
    Action, Assurance, Caller, Caveat, CredentialKind, DecisionId, Digests, Factor, FactorUse,
    Factors, FileKind, PasswordState, Principal, TokenFacts, TokenId, UserFacts, Version,
};
use policy_engine::contract::{Context, Outcome};
use policy_engine::{Decision, DecisionOutcome, Grade, PolicyRecord};

use crate::attempt::Attempt;
use crate::context;
use crate::core_rules;
use crate::decide::Gate;
use crate::generations::Generation;
use crate::target::{
    ChangeFacts, FileFacts, MetadataFacts, ProjectFacts, ReleaseFacts, ReleaseStanding, ScopeFacts,
    TargetFacts, VersionOrder,
};

/// Number of projects after which other tasks get a turn on this thread.
const PROJECTS_AT_ONCE: usize = 16;

/// The actions asked about each project.
const OF_PROJECTS: [Action; 3] = [
    Action::FileUpload,
    Action::ReleasePublish,
    Action::ProjectConfigure,
];

/// Something that demands a second factor of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    pub by: DemandedBy,
}

/// What demands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DemandedBy {
    /// A policy of the registry, by its name, whatever the project.
    Policy(String),
    /// A policy, for one project, by its normalized name.
    Project { name: String, policy: String },
}

impl Gate {
    /// What demands a second factor of `caller`, who has these projects with these roles. Demands
    /// that hold everywhere come first, and are not repeated for each project.
    ///
    /// This asks the set that serves; without one, nothing can be said or decided.
    pub async fn demands_second_factor(
        &self,
        attempt: &Attempt,
        caller: &Caller,
        projects: &[ProjectFacts<'_>],
    ) -> Vec<Demand> {
        let active = self.inner.active.load_full();
        let (Some(generation), Some(user)) = (&active.generation, caller.user()) else {
            return Vec::new();
        };
        let asked = Asked {
            attempt,
            generation,
            user,
        };
        let mut everywhere: Vec<String> = Vec::new();
        for action in [Action::TokenCreate, Action::ProjectCreate]
            .into_iter()
            .chain(user.staff.then_some(Action::PolicySetActivate))
        {
            add(&mut everywhere, asked.demanding(action, None));
        }
        let mut demands = Vec::new();
        for (position, project) in projects.iter().enumerate() {
            if position % PROJECTS_AT_ONCE == PROJECTS_AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
            let mut here: Vec<String> = Vec::new();
            for action in OF_PROJECTS {
                add(&mut here, asked.demanding(action, Some(project)));
            }
            // A demand on a project whose owners chose nothing holds everywhere.
            let nothing_chosen = ProjectFacts {
                owner_settings: Cow::Owned(serde_json::json!({})),
                ..project.clone()
            };
            for policy in here
                .into_iter()
                .filter(|policy| !everywhere.contains(policy))
                .collect::<Vec<_>>()
            {
                if OF_PROJECTS.into_iter().any(|action| {
                    asked
                        .demanding(action, Some(&nothing_chosen))
                        .contains(&policy)
                }) {
                    everywhere.push(policy);
                } else {
                    demands.push(Demand {
                        by: DemandedBy::Project {
                            name: project.normalized.to_owned(),
                            policy,
                        },
                    });
                }
            }
        }
        everywhere
            .into_iter()
            .map(|policy| Demand {
                by: DemandedBy::Policy(policy),
            })
            .chain(demands)
            .collect()
    }
}

/// The user and the request to ask about.
struct Asked<'a> {
    attempt: &'a Attempt,
    generation: &'a Generation,
    user: &'a UserFacts,
}

impl Asked<'_> {
    /// The policies that block it without a second factor but not with one.
    fn demanding(&self, action: Action, project: Option<&ProjectFacts<'_>>) -> Vec<String> {
        let without = self.ask(action, project, Factors::default());
        let Some((context, without)) = without.filter(|(_, decision)| !passes(decision)) else {
            return Vec::new();
        };
        if !self
            .ask(action, project, self.user.factors)
            .is_some_and(|(_, with)| passes(&with))
        {
            return Vec::new();
        }
        without
            .policies
            .iter()
            .filter(|record| stands_in_the_way(record, &context))
            .map(|record| record.policy.clone())
            .collect()
    }

    /// The set's decision with everything except the factors in the user's favour; none if the core
    /// refuses anyway.
    fn ask(
        &self,
        action: Action,
        project: Option<&ProjectFacts<'_>>,
        factors: Factors,
    ) -> Option<(Context, Decision)> {
        let at = self.attempt.at;
        let by_token = action.about() == Subject::NewFile;
        let factor = if factors.webauthn {
            Factor::Webauthn
        } else {
            Factor::Totp
        };
        let assurance = match by_token {
            true => Assurance::NONE,
            false => Assurance {
                password_at: Some(at),
                second_factor: factors.any().then_some(FactorUse { factor, at }),
                password_state: PasswordState::Clean,
            },
        };
        let token = by_token.then(|| TokenFacts {
            id: TokenId::new(),
            created_at: at,
            last_used_at: None,
            made_with_second_factor: factors.any(),
            minted: project
                .map(|project| Caveat::ProjectNames(vec![project.normalized.to_owned()]))
                .into_iter()
                .collect(),
            added: Vec::new(),
        });
        let caller = Caller {
            credential: if by_token {
                CredentialKind::ApiToken
            } else {
                CredentialKind::Session
            },
            principal: Principal::User(UserFacts {
                factors,
                email_verified: true,
                ..self.user.clone()
            }),
            token,
            session: None,
            assurance,
        };
        let version = Version::parse("1.0").ok()?;
        let metadata = MetadataFacts {
            version: "2.4".to_owned(),
            ..MetadataFacts::default()
        };
        // A token for one project: the kind that a set without account-wide tokens still allows.
        let scope = ScopeFacts::Projects(vec![
            project
                .map_or("project", |project| project.normalized)
                .to_owned(),
        ]);
        let facts = facts(action, project, &version, &metadata, &scope);
        core_rules::check(at, &caller, &facts).ok()?;
        let context = context::build(self.attempt, DecisionId::new(), &caller, &facts);
        let chosen = project
            .map(|project| &*project.owner_settings)
            .filter(|settings| settings.as_object().is_some_and(|map| !map.is_empty()));
        let owner_settings = chosen
            .map(|settings| self.generation.set().resolve_owner_settings(settings))
            .unwrap_or_default();
        let decision = self.generation.set().decide(&context, &owner_settings);
        Some((context, decision))
    }
}

/// A made-up request.
fn facts<'a>(
    action: Action,
    project: Option<&'a ProjectFacts<'a>>,
    version: &'a Version,
    metadata: &'a MetadataFacts,
    scope: &'a ScopeFacts,
) -> TargetFacts<'a> {
    let about = action.about();
    let standing = match about {
        Subject::NewFile => Some(ReleaseStanding::Absent),
        Subject::StagedRelease => Some(ReleaseStanding::Staged),
        Subject::PublishedFile | Subject::PublishedRelease => Some(ReleaseStanding::Published),
        Subject::Index
        | Subject::NewProject
        | Subject::Project
        | Subject::ArchivedProject
        | Subject::GivenRole
        | Subject::TakenRole
        | Subject::NewToken
        | Subject::Token
        | Subject::Account
        | Subject::Factor
        | Subject::Registry => None,
    };
    let is_upload = about == Subject::NewFile;
    TargetFacts {
        project: project.map(|project| ProjectFacts {
            owner_settings: Cow::Borrowed(&*project.owner_settings),
            ..project.clone()
        }),
        release: standing.map(|standing| ReleaseFacts {
            version,
            standing,
            age: 0,
            order: VersionOrder::Newer,
            newest: None,
            staged_by: &[],
            staged_by_users: &[],
        }),
        file: is_upload.then_some(FileFacts {
            name: "project-1.0.tar.gz",
            kind: FileKind::Sdist,
            size: 1000,
            digests: Digests {
                md5: [0; 16],
                sha256: [0; 32],
                blake2_256: [0; 32],
            },
        }),
        metadata: is_upload.then_some(metadata),
        change: if about == Subject::NewToken {
            ChangeFacts::Token {
                scope,
                expires_in: None,
            }
        } else {
            ChangeFacts::Nothing
        },
        ..TargetFacts::of(action)
    }
}

fn passes(decision: &Decision) -> bool {
    matches!(
        decision.outcome,
        DecisionOutcome::Permitted | DecisionOutcome::Staged
    )
}

/// Whether this enforced policy is why a request that passes with a factor does not pass. A failed
/// policy counts as well: an unknown demand must not cost somebody a project.
fn stands_in_the_way(record: &PolicyRecord, context: &Context) -> bool {
    let lets_through = match &record.result {
        Ok(verdict) => match &verdict.outcome {
            Outcome::Permit | Outcome::Stage | Outcome::Abstain => true,
            Outcome::Require(required) => policy_engine::combine::unmet(required, context)
                .next()
                .is_none(),
            Outcome::Deny => false,
        },
        Err(_) => false,
    };
    record.grade == Grade::Enforce && !lets_through
}

fn add(known: &mut Vec<String>, found: Vec<String>) {
    for policy in found {
        if !known.contains(&policy) {
            known.push(policy);
        }
    }
}
