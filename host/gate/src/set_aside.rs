//! Credentials that a read does without.
//!
//! Tools send what they have to every address of a host: a token for uploads, one that was
//! revoked, a password from `~/.netrc` that belongs to something else. What anonymous callers
//! may read is not taken away by that: the read is decided as theirs, and what was presented
//! is noted.
//!
//! Invariants: this holds for [reads](model::Action::is_read) and for nothing else. Who reads
//! so is nobody: no role and nothing else of the credential's owner is part of the decision,
//! and a token that is set aside was not used.

use std::borrow::Cow;

use model::audit::{AuditEvent, Detail};
use model::{Action, Caller, CredentialKind, DecisionId, TokenId, UserId};
use serde_json::{Value, json};

use crate::attempt::Attempt;
use crate::target::{ProjectFacts, TargetFacts};

/// A credential that was presented, and that the decision is made without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// What it is, as far as its form tells.
    pub credential: CredentialKind,
    /// Why, as a stable code: what is wrong with it, or why it was not permitted.
    pub why: Cow<'static, str>,
    /// Whose it is, if that was proven.
    pub user: Option<UserId>,
    /// Which token it is, if that was proven.
    pub token: Option<TokenId>,
}

impl SetAside {
    /// What a caller presented who was not permitted to read with it.
    pub(crate) fn of(caller: &Caller, code: &str) -> Self {
        let user = caller.user().map(|user| user.id);
        Self {
            credential: caller.credential,
            why: Cow::Owned(code.to_owned()),
            user,
            token: caller.token_id(),
        }
    }

    /// As the record of a decision keeps it.
    pub(crate) fn to_json(&self) -> Value {
        json!({ "credential": self.credential.as_str(), "why": self.why, "user": self.user, "token": self.token })
    }

    /// What its owner reads of it.
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

/// Whether a read that was refused is decided once more, without its credential.
pub(crate) fn can_do_without(caller: &Caller, action: Action) -> bool {
    action.is_read() && caller.credential != CredentialKind::None
}

/// What is known of a read when nobody is known to read: the target, without the role of
/// whoever it was loaded for.
pub(crate) fn without_role<'a>(facts: TargetFacts<'a>) -> TargetFacts<'a> {
    TargetFacts {
        project: facts.project.map(|project| ProjectFacts {
            role: None,
            ..project
        }),
        ..facts
    }
}
