//! Credentials that a read goes on without.
//!
//! Tools send their credential to every address of a host: a token for uploads, a revoked one, a
//! password from `~/.netrc` that belongs to something else. That must not take away what anonymous
//! callers may read: the read is decided as anonymous, and the credential is noted.
//!
//! Invariants: this applies only to [reads](model::Action::is_read). The reader is anonymous: no
//! role and nothing else of the credential's owner is part of the decision, and a token that is set
//! aside was not used.

use std::borrow::Cow;

use model::audit::{AuditEvent, Detail};
use model::{Action, Caller, CredentialKind, DecisionId, TokenId, UserId};
use serde_json::{Value, json};

use crate::attempt::Attempt;
use crate::target::{ProjectFacts, TargetFacts};

/// A presented credential that the decision is made without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// Its kind, as far as its form shows.
    pub credential: CredentialKind,
    /// Why, as a stable code: what is wrong with it, or why it was not permitted.
    pub why: Cow<'static, str>,
    /// Its owner, if that was proven.
    pub user: Option<UserId>,
    /// Which token it is, if that was proven.
    pub token: Option<TokenId>,
}

impl SetAside {
    /// The credential of a caller who was not permitted to read with it.
    pub(crate) fn of(caller: &Caller, code: &str) -> Self {
        let user = caller.user().map(|user| user.id);
        Self {
            credential: caller.credential,
            why: Cow::Owned(code.to_owned()),
            user,
            token: caller.token_id(),
        }
    }

    /// As it is stored in the record of a decision.
    pub(crate) fn to_json(&self) -> Value {
        json!({ "credential": self.credential.as_str(), "why": self.why, "user": self.user, "token": self.token })
    }

    /// The event that its owner sees about it.
    pub fn event(&self, attempt: &Attempt, action: Action, decision: DecisionId) -> AuditEvent {
        let detail = Detail::AuthenticationSetAside {
            method: self.credential.into(),
            reason: self.why.clone().into_owned(),
            token: self.token.map(Into::into),
            action: action.into(),
            route: attempt.route.to_owned(),
        };
        attempt
            .event(&Caller::anonymous(), detail)
            .about(self.user)
            .decided_by(decision)
    }
}

/// Whether a refused read is decided again without its credential.
pub(crate) fn can_do_without(caller: &Caller, action: Action) -> bool {
    action.is_read() && caller.credential != CredentialKind::None
}

/// The facts of an anonymous read: the target, without the role of the caller it was loaded for.
pub(crate) fn without_role<'a>(facts: TargetFacts<'a>) -> TargetFacts<'a> {
    TargetFacts {
        project: facts.project.map(|project| ProjectFacts {
            role: None,
            ..project
        }),
        ..facts
    }
}
