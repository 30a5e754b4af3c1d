//! One call of one policy in a fresh sandbox.

use serde::{Deserialize, Serialize};

/// Why a policy has no verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "detail")]
pub enum EvaluateFailure {
    /// It ran longer than its budget, in milliseconds.
    #[error("ran longer than its {0} ms")]
    Time(u64),
    /// It used more fuel than its budget.
    #[error("used more than its {0} units of fuel")]
    Fuel(u64),
    /// It wanted more memory or table space than its budget.
    #[error("wanted more memory or table space than its budget")]
    Memory,
    /// It recursed too deep.
    #[error("overflowed its stack")]
    Stack,
    /// It returned more than its budget, or something the contract does not allow.
    #[error("answered what the contract does not allow: {0}")]
    Output(String),
    /// It trapped.
    #[error("trapped: {0}")]
    Trap(String),
    /// Its sandbox could not be set up.
    #[error("its sandbox could not be set up: {0}")]
    Sandbox(String),
    /// It overran its budget too often lately and is not run for a while.
    #[error("is suspended for {0} s because it overran its budget repeatedly")]
    Suspended(u64),
}
