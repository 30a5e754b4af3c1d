//! Removing a second factor, and the rule about the last one.

use gate::demands::Demand;
use gate::{Attempt, ChangeFacts, Gate, Permit, Target, TargetFacts};
use model::{Action, Caller, Factor, KeyId, UserId};

use super::FactorError;
use crate::Identity;

/// Which factor of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactorName {
    Totp,
    Key(KeyId),
}

/// Remove a second factor. Made by [`Identity::factor_to_remove`], which asks what demands it.
#[derive(Clone, Debug)]
pub struct RemoveFactor {
    user: UserId,
    which: FactorName,
    is_last: bool,
    demands: Vec<Demand>,
}

impl RemoveFactor {
    pub fn user(&self) -> UserId {
        self.user
    }

    pub fn which(&self) -> FactorName {
        self.which
    }

    /// Whether no other factor is left without it.
    pub fn is_last(&self) -> bool {
        self.is_last
    }

    /// What demands a second factor of this user, for the page. While it is not empty the last
    /// factor stays.
    pub fn demands(&self) -> &[Demand] {
        &self.demands
    }
}

impl Target for RemoveFactor {
    fn facts(&self) -> TargetFacts<'_> {
        let factor = match self.which {
            FactorName::Totp => Factor::Totp,
            FactorName::Key(_) => Factor::Webauthn,
        };
        TargetFacts { change: ChangeFacts::Factor(factor), ..TargetFacts::of(Action::FactorRemove) }
    }
}

impl Identity {
    /// Looks a factor of the caller up and asks what would be lost without it.
    pub async fn factor_to_remove(&self, _gate: &Gate, _attempt: &Attempt, _caller: &Caller, _which: FactorName) -> Result<RemoveFactor, FactorError> {
        todo!()
    }

    /// Removes a factor.
    pub async fn remove_factor(&self, _permit: Permit<RemoveFactor>) -> Result<(), FactorError> {
        todo!()
    }
}
