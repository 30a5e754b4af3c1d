//! Tries every action with every caller of the decision table under a set, to find out whether its
//! policies answer at all.

use std::cell::Cell;

use serde::Serialize;

use crate::PolicySet;
use crate::cases::profile::Caller;
use crate::contract::Action;
use crate::decision::PolicyIdentity;
use crate::evaluate::EvaluateFailure;

/// Overruns of one policy after which it is no longer asked: one that never ends would take its
/// whole budget hundreds of times. An overrun is tried again first, in case the machine was at
/// fault.
const OVERRUNS: u32 = 24;
const TRIES: u32 = 3;

/// A policy gave no verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Silence {
    /// Which policy, under which grade.
    #[serde(flatten)]
    pub policy: PolicyIdentity,
    /// The action.
    pub action: Action,
    /// The caller, from the decision table.
    pub caller: &'static str,
    /// Why there is no verdict.
    pub failure: EvaluateFailure,
}

impl PolicySet {
    /// Tries every action with every caller of the decision table, for a project whose owners made
    /// no choices, and returns the policies that gave no verdict, in the order of the contract.
    /// Blocks for some 100 milliseconds. Not counted: no policy is suspended for failures here.
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
