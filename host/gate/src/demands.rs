//! What would be lost without a second factor: which projects and which policies demand one
//! of a user.

use model::Caller;

use crate::attempt::Attempt;
use crate::decide::Gate;
use crate::target::ProjectFacts;

/// Something that demands a second factor of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    pub by: DemandedBy,
}

/// What demands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DemandedBy {
    /// A policy of the registry, by its name, whatever the project.
    Policy(String),
    /// A policy, for one project, by its normalized name.
    Project { name: String, policy: String },
}

impl Gate {
    /// What demands a second factor of `caller`, who has these projects with these roles.
    pub fn demands_second_factor(&self, _attempt: &Attempt, _caller: &Caller, _projects: &[ProjectFacts<'_>]) -> Vec<Demand> {
        todo!()
    }
}
