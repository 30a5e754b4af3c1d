//! What becomes of a set when every caller of the decision table attempts every action: whether
//! its policies answer at all.

use std::cell::Cell;

use serde::Serialize;

use crate::PolicySet;
use crate::cases::profile::Caller;
use crate::contract::Action;
use crate::decision::PolicyIdentity;
use crate::evaluate::EvaluateFailure;

/// Overruns of one policy after which it is not asked again: one that never ends would take its
/// whole budget hundreds of times. Each is tried this often before it is believed, in case the
/// machine was at fault.
const OVERRUNS: u32 = 24;
const TRIES: u32 = 3;

/// A policy gave no verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Silence {
    /// Which policy, under which grade.
    #[serde(flatten)]
    pub policy: PolicyIdentity,
    /// What was attempted.
    pub action: Action,
    /// Who attempted it; a caller of the decision table.
    pub caller: &'static str,
    /// Why there is no verdict.
    pub failure: EvaluateFailure,
}

impl PolicySet {
    /// Has every caller of the decision table attempt every action, about a project whose owners
    /// chose nothing, and tells which policies gave no verdict, in the order of the contract.
    /// Blocks for some 100 milliseconds. Counts for nothing: no policy is suspended for what it
    /// does here.
    pub fn survey(&self) -> Vec<Silence> {
        let overruns: Vec<Cell<u32>> = self.policies().map(|_| Cell::new(0)).collect();
        let mut silences = Vec::new();
        for &action in Action::ALL {
            for caller in Caller::ALL {
                let context = caller.context(action);
                for (position, (policy, overruns)) in self.policies().zip(&overruns).enumerate() {
                    let mut failure = None;
                    for _ in 0..TRIES {
                        if overruns.get() >= OVERRUNS {
                            break;
                        }
                        failure = self.try_policy(position, &context);
                        if !failure.as_ref().is_some_and(EvaluateFailure::is_overrun) {
                            break;
                        }
                        overruns.set(overruns.get() + 1);
                    }
                    silences.extend(failure.map(|failure| Silence {
                        policy: PolicyIdentity::clone(policy),
                        action,
                        caller: caller.as_str(),
                        failure,
                    }));
                }
            }
        }
        silences
    }
}
