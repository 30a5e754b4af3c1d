//! Suspends a policy that overruns its budget again and again.

use serde::Serialize;

/// Counts of one policy since its set was assembled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PolicyHealth {
    /// Name of the policy.
    pub policy: String,
    /// Calls that were run.
    pub evaluations: u64,
    /// Calls that failed, suspended ones included.
    pub failures: u64,
    /// Times it was suspended.
    pub suspensions: u64,
    /// Whether it is suspended now.
    pub suspended: bool,
}
