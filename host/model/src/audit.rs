//! The stored event of a change or a refusal. One list has all kinds with their fields
//! ([`detail`]); storage writes an event in the same transaction as the change it reports.

pub mod detail;
mod field;
mod parts;

use uuid::Uuid;

use crate::caller::{Caller, Principal};
use crate::id::{DecisionId, ProjectId, TokenId, UserId};
use crate::time::Timestamp;

pub use detail::{Detail, EventKind};
pub use field::Word;

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A caller over HTTP.
    Caller {
        user: Option<UserId>,
        token: Option<TokenId>,
        remote_address: String,
        user_agent: String,
    },
    /// A trusted publisher: a workflow of a provider that a project trusts.
    Publisher {
        /// Its id, as registered with its project.
        publisher: Uuid,
        /// The provider, for example `github`.
        provider: String,
        /// What ran there, verified by the provider: for example a repository and a workflow.
        subject: String,
        /// The short-lived token that it used.
        token: Option<TokenId>,
        remote_address: String,
        user_agent: String,
    },
    /// Somebody with shell access on the server's host: the break-glass.
    CommandLine { system_user: String },
    /// The server itself.
    System,
}

impl Actor {
    /// A caller, with the origin of the request.
    pub fn of(caller: &Caller, remote_address: String, user_agent: String) -> Self {
        let token = caller.token_id();
        match &caller.principal {
            Principal::Publisher {
                id,
                provider,
                claims,
            } => Self::Publisher {
                publisher: *id,
                provider: provider.clone(),
                subject: subject(claims),
                token,
                remote_address,
                user_agent,
            },
            Principal::User(user) => Self::Caller {
                user: Some(user.id),
                token,
                remote_address,
                user_agent,
            },
            Principal::Anonymous => Self::Caller {
                user: None,
                token,
                remote_address,
                user_agent,
            },
        }
    }

    /// The user who acted, if it is one.
    pub fn user(&self) -> Option<UserId> {
        match self {
            Self::Caller { user, .. } => *user,
            Self::Publisher { .. } | Self::CommandLine { .. } | Self::System => None,
        }
    }

    /// The token that was used, if one was.
    pub fn token(&self) -> Option<TokenId> {
        match self {
            Self::Caller { token, .. } | Self::Publisher { token, .. } => *token,
            Self::CommandLine { .. } | Self::System => None,
        }
    }

    /// Whether it came over the network, and not from the operators of the server.
    pub fn is_remote(&self) -> bool {
        self.place().is_some()
    }

    /// Address and program (its `User-Agent`) of an actor who came over the network.
    pub fn place(&self) -> Option<(&str, &str)> {
        match self {
            Self::Caller {
                remote_address,
                user_agent,
                ..
            }
            | Self::Publisher {
                remote_address,
                user_agent,
                ..
            } => Some((remote_address, user_agent)),
            Self::CommandLine { .. } | Self::System => None,
        }
    }
}

/// The claims in one line, in their order.
fn subject(claims: &[(String, String)]) -> String {
    let claims: Vec<_> = claims
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    claims.join(" ")
}

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEvent {
    pub at: Timestamp,
    pub actor: Actor,
    /// The user it is about.
    pub user: Option<UserId>,
    /// The project it is about.
    pub project: Option<ProjectId>,
    /// The decision that allowed or refused it.
    pub decision: Option<DecisionId>,
    /// What happened. Never a secret.
    pub detail: Detail,
}

impl AuditEvent {
    /// An action of `actor`, not yet about any user and without a decision.
    pub fn new(at: Timestamp, actor: Actor, detail: Detail) -> Self {
        Self {
            at,
            actor,
            user: None,
            project: None,
            decision: None,
            detail,
        }
    }

    /// An action of the server itself.
    pub fn of_server(at: Timestamp, detail: Detail) -> Self {
        Self::new(at, Actor::System, detail)
    }

    /// The same, about this user, if it is about one.
    pub fn about(self, user: impl Into<Option<UserId>>) -> Self {
        Self {
            user: user.into(),
            ..self
        }
    }

    /// The same, about this project, if it is about one.
    pub fn in_project(self, project: impl Into<Option<ProjectId>>) -> Self {
        Self {
            project: project.into(),
            ..self
        }
    }

    /// The same, allowed or refused by this decision.
    pub fn decided_by(self, decision: DecisionId) -> Self {
        Self {
            decision: Some(decision),
            ..self
        }
    }

    pub fn kind(&self) -> EventKind {
        self.detail.kind()
    }
}

#[cfg(test)]
mod tests;
