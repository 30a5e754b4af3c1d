//! The value that proves a decision allowed exactly this.

use model::{DecisionId, Timestamp};

use crate::refusal::Reason;

/// A decision allowed exactly `T`.
///
/// Invariant: only [`crate::Gate::decide`] makes one; fields are private. A use case that
/// takes a `Permit<T>` cannot be reached without a decision about that very `T`.
#[derive(Debug)]
#[must_use = "a permit that is not used means a decision was made for nothing"]
pub struct Permit<T> {
    target: T,
    decision: DecisionId,
    set_number: u64,
    at: Timestamp,
    staged: bool,
    warnings: Vec<Reason>,
    reasons: Vec<Reason>,
    actor: model::audit::Actor,
}

impl<T> Permit<T> {
    pub(crate) fn new(target: T, decision: DecisionId, set_number: u64, at: Timestamp, staged: bool, reasons: Vec<Reason>, warnings: Vec<Reason>, actor: model::audit::Actor) -> Self {
        Self { target, decision, set_number, at, staged, warnings, reasons, actor }
    }

    /// What is allowed.
    pub fn target(&self) -> &T {
        &self.target
    }

    /// What is allowed, by value; the permit is used up.
    pub fn into_target(self) -> T {
        self.target
    }

    /// The decision that allowed it.
    pub fn decision(&self) -> DecisionId {
        self.decision
    }

    /// Number of the policy set that decided.
    pub fn set_number(&self) -> u64 {
        self.set_number
    }

    /// When the request began.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// Whether the file must be held back until the release is published.
    pub fn is_staged(&self) -> bool {
        self.staged
    }

    /// What policies say about a permission, for example why a file is held back.
    pub fn reasons(&self) -> &[Reason] {
        &self.reasons
    }

    /// What policies in grade `warn` would have refused; to be told to the person.
    pub fn warnings(&self) -> &[Reason] {
        &self.warnings
    }

    /// Who acts, for the audit event of the change.
    pub fn actor(&self) -> &model::audit::Actor {
        &self.actor
    }
}
