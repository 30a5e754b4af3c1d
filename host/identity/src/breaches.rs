//! Whether a password is known from a breach, asked of a service that speaks the range
//! protocol of Have I Been Pwned: five hex characters of the password's SHA-1 leave, never
//! more.

use std::time::Duration;

use gate::{Attempt, Gate, Refusal};
use model::{Action, PasswordState, UserId};
use storage::Secret;

use crate::Identity;

/// What happens to a login while the service cannot be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// The person is let in; the next login asks again.
    Allow,
    /// The person is told to come back.
    Refuse,
}

/// Whom to ask, and how.
#[derive(Clone, Debug)]
pub struct BreachConfig {
    /// Address before `/range/…`, without a slash at its end; none to ask nobody.
    pub base_url: Option<String>,
    /// Longest time for an answer.
    pub timeout: Duration,
    /// How long an answer is kept in memory.
    pub keep: Duration,
    /// What happens while nobody answers.
    pub unreachable: Unreachable,
}

impl Default for BreachConfig {
    fn default() -> Self {
        Self { base_url: None, timeout: Duration::from_secs(3), keep: Duration::from_secs(24 * 3600), unreachable: Unreachable::Allow }
    }
}

/// What a look for a password in known breaches came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreachOutcome {
    /// It is in none.
    Clean,
    /// It is in one.
    Breached,
    /// Nobody answered in time, or with what the protocol knows.
    Unavailable,
    /// The operators ask nobody.
    Off,
}

impl BreachOutcome {
    /// As a decision knows it.
    pub fn state(self) -> PasswordState {
        match self {
            Self::Clean => PasswordState::Clean,
            Self::Breached => PasswordState::Breached,
            Self::Unavailable | Self::Off => PasswordState::Unchecked,
        }
    }
}

impl Identity {
    /// Looks for a password in known breaches. Only for one that was proven, or that is about
    /// to be set.
    pub async fn breach_state(&self, password: &Secret<String>) -> BreachOutcome {
        let _ = password;
        todo!()
    }

    /// The same for a decision: what cannot be asked is recorded, with the user it was about,
    /// and refused where the operators want that.
    pub(crate) async fn password_state(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        action: Action,
        password: &Secret<String>,
        user: Option<UserId>,
    ) -> Result<PasswordState, Refusal> {
        let _ = (gate, attempt, action, user);
        Ok(self.breach_state(password).await.state())
    }
}
