//! The combination of all verdicts.

use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::contract::{Obligation, Reason, Requirement, Verdict};
use crate::evaluate::EvaluateFailure;
use crate::set::Grade;

/// The outcome of all verdicts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DecisionOutcome {
    /// Allowed.
    Permitted,
    /// Allowed, but the uploaded file is held back.
    Staged,
    /// Allowed once all of these are met; none of them is met now.
    Required(Vec<Requirement>),
    /// Refused.
    Denied,
    /// Not decided: a policy that must be asked failed. An error (503), not a refusal.
    Failed,
}

/// One decision about one context. Pure data: can be stored, and printed by `explain`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Decision {
    /// The outcome.
    pub outcome: DecisionOutcome,
    /// Why: the reasons of every policy that caused the outcome, in binding order.
    pub reasons: Vec<Reason>,
    /// The reasons of policies of grade `warn` that would have refused.
    pub warnings: Vec<Reason>,
    /// Things that the host must do for the decision to hold, each once.
    pub obligations: Vec<Obligation>,
    /// Every policy that was asked, in binding order.
    pub policies: Vec<PolicyRecord>,
    /// Number of the policy set that decided.
    pub set_number: u64,
    /// How long it took, in nanoseconds.
    pub nanoseconds: u64,
}

/// Which policy, of which module, under which grade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PolicyIdentity {
    /// Name of the policy.
    pub policy: String,
    /// Its version, by its own description.
    pub version: String,
    /// SHA-256 digest of its module in lower-case hex.
    pub digest: String,
    /// Grade it is bound with.
    pub grade: Grade,
}

/// One policy's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRecord {
    /// Which policy; shared with the set, because it is the same for every decision.
    pub identity: Arc<PolicyIdentity>,
    /// Its verdict, or why there is none.
    pub result: Result<Verdict, EvaluateFailure>,
    /// How long it took, in nanoseconds.
    pub nanoseconds: u64,
    /// Fuel that it used; 0 if fuel is disabled.
    pub fuel: u64,
}

impl Deref for PolicyRecord {
    type Target = PolicyIdentity;

    fn deref(&self) -> &PolicyIdentity {
        &self.identity
    }
}

/// A [`PolicyRecord`] as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct StoredRecord {
    #[serde(flatten)]
    identity: PolicyIdentity,
    #[serde(flatten)]
    result: StoredResult,
    nanoseconds: u64,
    fuel: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StoredResult {
    Verdict(Verdict),
    Failure(EvaluateFailure),
}

impl Serialize for PolicyRecord {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let result = match self.result.clone() {
            Ok(verdict) => StoredResult::Verdict(verdict),
            Err(failure) => StoredResult::Failure(failure),
        };
        StoredRecord {
            identity: self.identity.as_ref().clone(),
            result,
            nanoseconds: self.nanoseconds,
            fuel: self.fuel,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PolicyRecord {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = StoredRecord::deserialize(deserializer)?;
        let result = match stored.result {
            StoredResult::Verdict(verdict) => Ok(verdict),
            StoredResult::Failure(failure) => Err(failure),
        };
        Ok(PolicyRecord {
            identity: Arc::new(stored.identity),
            result,
            nanoseconds: stored.nanoseconds,
            fuel: stored.fuel,
        })
    }
}
