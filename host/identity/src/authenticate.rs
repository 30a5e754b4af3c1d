//! From what was presented to a caller.

use gate::{Attempt, Gate, Refusal};
use model::{Action, Caller};

use crate::{Identity, InvalidAuthorization, Presented};

impl Identity {
    /// Turns what was presented into a caller, or refuses it.
    ///
    /// Nothing presented is an anonymous caller. A token is verified and yields its user on
    /// any route; its caveats are the gate's to check. A password is verified only where
    /// the attempt's policy set could permit one, and refused unverified elsewhere.
    pub async fn authenticate(&self, gate: &Gate, attempt: &Attempt, presented: Presented, action: Action) -> Result<Caller, Refusal> {
        let _ = (gate, attempt, presented, action);
        todo!()
    }

    /// Refuses, records and counts a request whose `Authorization` header cannot be read.
    pub async fn refuse_authorization(&self, gate: &Gate, attempt: &Attempt, action: Action, invalid: InvalidAuthorization) -> Refusal {
        let _ = (gate, attempt, action, invalid);
        todo!()
    }
}
