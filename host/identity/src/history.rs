//! What happened to an account, in plain words, for the one whose it is.

use gate::{Permit, Target, TargetFacts};
use model::{Action, Timestamp, UserId};
use storage::StorageError;

use crate::Identity;

/// Read what happened to a user's account.
#[derive(Clone, Copy, Debug)]
pub struct ReadHistory {
    pub user: UserId,
}

/// One page of it, the newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    pub entries: Vec<HistoryEntry>,
    /// What the next page begins before; none when this is the last one.
    pub next: Option<i64>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryEntry {
    pub sequence: i64,
    pub at: Timestamp,
    /// What happened, for a person.
    pub sentence: String,
    /// Where it came from, if it came over the network.
    pub remote_address: Option<String>,
    /// The browser or program in words, if it came over the network.
    pub device: Option<String>,
    /// What happened, for programs: the text of its [`model::audit::EventKind`].
    pub kind: &'static str,
    /// Whether the person should look twice.
    pub alarming: bool,
    /// More, for the export.
    pub detail: serde_json::Value,
}

impl Target for ReadHistory {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::AccountRead)
    }
}

impl Identity {
    /// A page of a user's history: `limit` entries at most, older than `before`.
    pub async fn history(&self, permit: Permit<ReadHistory>, before: Option<i64>, limit: u32) -> Result<History, StorageError> {
        let _ = (permit, before, limit);
        todo!()
    }
}

/// The browser or program that a `User-Agent` header names, for people: "Firefox on Linux",
/// "twine 7.0.0", "an unknown program". Never longer than 100 characters.
pub fn device_in_words(user_agent: &str) -> String {
    let _ = user_agent;
    todo!()
}
