//! The value that proves a decision allowed exactly this.

use model::audit::{Actor, AuditEvent, Detail};
use model::{Assurance, DecisionId, SessionId, Timestamp, TokenId, UserId};
use storage::decisions::DecisionRow;
use storage::{Storage, StorageError, UnitOfWork};

use crate::refusal::Reason;

/// A decision allowed exactly `T`.
///
/// Invariant: only [`crate::Gate::decide`] and [`crate::break_glass()`] make one; fields are
/// private. A use case that takes a `Permit<T>` cannot be reached without a decision about exactly
/// this `T`.
#[derive(Debug)]
#[must_use = "a permit that is not used means a decision was made for nothing"]
pub struct Permit<T> {
    target: T,
    grant: Grant,
}

/// The part of a permit that does not depend on its target.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) decision: DecisionId,
    pub(crate) set_number: u64,
    /// The activation (a sequence) under which it was decided; none if no policy was asked.
    pub(crate) activation: Option<i64>,
    pub(crate) at: Timestamp,
    pub(crate) staged: bool,
    pub(crate) reasons: Vec<Reason>,
    pub(crate) warnings: Vec<Reason>,
    pub(crate) actor: Actor,
    pub(crate) assurance: Assurance,
    pub(crate) session: Option<SessionId>,
    pub(crate) token: Option<TokenId>,
    /// Whether it is a read permitted without the credential that came with it.
    pub(crate) is_without_credential: bool,
    /// The record of a change beyond the number that is recorded one by one. It is written together
    /// with the change, so that every change has one, whatever else its source did.
    pub(crate) unrecorded: Option<Box<DecisionRow>>,
}

impl<T> Permit<T> {
    pub(crate) fn new(target: T, grant: Grant) -> Self {
        Self { target, grant }
    }

    /// What is allowed.
    pub fn target(&self) -> &T {
        &self.target
    }

    /// What is allowed, by value; the permit is used up.
    pub fn into_target(self) -> T {
        self.target
    }

    /// What is allowed, and the rest of the permit, which no longer has a target but still begins
    /// the unit of work of the decision.
    pub fn split(self) -> (T, Permit<()>) {
        (
            self.target,
            Permit {
                target: (),
                grant: self.grant,
            },
        )
    }

    /// The decision that allowed it.
    pub fn decision(&self) -> DecisionId {
        self.grant.decision
    }

    /// Number of the policy set that decided; 0 if the command line bypassed the policies.
    pub fn set_number(&self) -> u64 {
        self.grant.set_number
    }

    /// When the request began, or was [renewed](crate::Attempt::renewed) before it was decided.
    pub fn at(&self) -> Timestamp {
        self.grant.at
    }

    /// Whether the file must be held back until the release is published.
    pub fn is_staged(&self) -> bool {
        self.grant.staged
    }

    /// The policies' reasons with a permission, for example why a file is held back.
    pub fn reasons(&self) -> &[Reason] {
        &self.grant.reasons
    }

    /// Refusals by policies in grade `warn`, to show to the person.
    pub fn warnings(&self) -> &[Reason] {
        &self.grant.warnings
    }

    /// Who acts, for the audit event of the change.
    pub fn actor(&self) -> &Actor {
        &self.grant.actor
    }

    /// What was done with this permission, for the commit of the change.
    pub fn event(&self, detail: Detail) -> AuditEvent {
        AuditEvent::new(self.grant.at, self.grant.actor.clone(), detail)
            .decided_by(self.grant.decision)
    }

    /// The user who acts, if it is one.
    pub fn user(&self) -> Option<UserId> {
        self.grant.actor.user()
    }

    /// The session that it was permitted to, if any.
    pub fn session(&self) -> Option<SessionId> {
        self.grant.session
    }

    /// Whether it is a read permitted to anybody, not because of the credential that came with it.
    pub fn is_without_credential(&self) -> bool {
        self.grant.is_without_credential
    }

    /// Begins the unit of work that does what was permitted. For a session, it fails
    /// (`Conflict::SessionEnded`) unless the session lives until the commit: nothing decided before
    /// "this wasn't me" happens after it. For a token, it fails (`Conflict::TokenRevoked`) unless
    /// the token is valid until the commit. After a decision by a policy set, it fails
    /// (`Conflict::PoliciesReplaced`) unless that set is active until the commit.
    pub async fn begin(&self, storage: &Storage) -> Result<UnitOfWork, StorageError> {
        let mut unit = storage.begin().await?;
        self.bind(&mut unit);
        Ok(unit)
    }

    /// The same for a unit that another permit began: it is committed if both still hold.
    pub fn bind(&self, unit: &mut UnitOfWork) {
        if let Some(session) = self.grant.session {
            unit.on_behalf_of(session);
        }
        if let Some(token) = self.grant.token {
            unit.with_token(token);
        }
        if let Some(activation) = self.grant.activation {
            unit.decided_under(activation);
        }
        if let Some(record) = &self.grant.unrecorded {
            unit.record_decision(record.as_ref().clone());
        }
    }

    /// What the caller had proven.
    pub fn assurance(&self) -> Assurance {
        self.grant.assurance
    }
}
