//! Whether a password is known from a breach, asked of a service that speaks the range
//! protocol of Have I Been Pwned: five hex characters of the password's SHA-1 leave, never
//! more.

use std::time::Duration;

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
