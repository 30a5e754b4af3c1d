//! A decision that did not permit the action, in words a person can act on.

use model::DecisionId;

pub use policy_engine::contract::{Page, Reason, Requirement};

/// What kind of refusal it is; decides the HTTP status.
#[derive(Clone, Debug, PartialEq)]
pub enum RefusalKind {
    /// Refused: 403.
    Denied,
    /// Reading this needs an accepted credential: 401. For reads only.
    CredentialRequired,
    /// Allowed once these hold: 403 with the requirements named.
    Required(Vec<Requirement>),
    /// The decision could not be made: 503 with `Retry-After`. Never a permission.
    Failed,
    /// Too many attempts: 429 with `Retry-After`. Nothing was checked.
    Limited { retry_after_seconds: u64 },
}

/// A decision that did not permit the action.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}", self.first_message())]
pub struct Refusal {
    /// The decision; `portcullis explain <id>` shows all about it.
    pub decision: DecisionId,
    /// Number of the policy set that decided.
    pub set_number: u64,
    /// What kind of refusal it is.
    pub kind: RefusalKind,
    /// Why, the most important first. Never empty.
    pub reasons: Vec<Reason>,
}

impl Refusal {
    fn first_message(&self) -> &str {
        self.reasons
            .first()
            .map_or("refused", |reason| reason.message.as_str())
    }
}
