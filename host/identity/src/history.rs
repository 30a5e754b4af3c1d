//! What happened to an account, in plain words, for the one whose it is.

mod device;
mod sentences;

use std::collections::HashMap;

use gate::{Permit, Target, TargetFacts};
use model::audit::{Actor, AuditEvent};
use model::{Action, Timestamp, UserId};
use storage::StorageError;
use storage::audit::{AuditFilter, AuditRow};

use crate::Identity;

pub use device::device_in_words;

use sentences::{Names, Told, told};

/// Most entries of one page.
pub const MAX_ENTRIES: u32 = 500;
/// How many events are read to fill a page at most: some concern nobody but operators.
const MAX_READS: u32 = 4;

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
    /// Who did it.
    pub by: DoneBy,
    /// Where it came from, if it came over the network and not from another user.
    pub remote_address: Option<String>,
    /// The browser or program in words, likewise.
    pub device: Option<String>,
    /// What happened, for programs: the text of its [`model::audit::EventKind`].
    pub kind: &'static str,
    /// Whether the person should look twice.
    pub alarming: bool,
    /// More, for the export. Empty where another user's doing is not this one's to read.
    pub detail: serde_json::Value,
}

/// Who did what a person's history tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoneBy {
    /// The person, or somebody who passed for them or tried to.
    Person,
    /// Another user, who may.
    AnotherUser,
    /// An operator on the server's command line.
    Operator,
    /// The registry by itself.
    Registry,
}

impl Target for ReadHistory {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::AccountRead)
    }
}

impl Identity {
    /// A page of a user's history: `limit` entries at most ([`MAX_ENTRIES`] if that is more),
    /// older than `before`. A page may have fewer entries than asked for and still have a next.
    pub async fn history(&self, permit: Permit<ReadHistory>, before: Option<i64>, limit: u32) -> Result<History, StorageError> {
        let user = permit.target().user;
        let limit = limit.clamp(1, MAX_ENTRIES);
        let filter = AuditFilter { user: Some(user), ..AuditFilter::default() };
        let (mut entries, mut next) = (Vec::new(), before);
        for _ in 0..MAX_READS {
            let wanted = limit - u32::try_from(entries.len()).unwrap_or(limit);
            let rows = self.storage().events(&filter, next, wanted).await?;
            next = if rows.len() < wanted as usize { None } else { rows.last().map(|row| row.sequence) };
            let names = self.names_in(user, &rows).await?;
            entries.extend(rows.into_iter().filter_map(|row| entry(user, row, &names)));
            if next.is_none() || entries.len() >= limit as usize {
                break;
            }
        }
        Ok(History { entries, next })
    }

    /// What the tokens and projects of some events are called.
    async fn names_in(&self, user: UserId, rows: &[AuditRow]) -> Result<Names, StorageError> {
        let mut names = Names { tokens: HashMap::new(), projects: HashMap::new() };
        for AuditRow { event, .. } in rows {
            if let Some(id) = sentences::token_of(event)
                && !names.tokens.contains_key(&id)
            {
                let found = self.storage().token(id).await?.filter(|found| found.token.user == user);
                names.tokens.extend(found.map(|found| (id, found.token.description)));
            }
            if let Some(id) = event.project
                && !names.projects.contains_key(&id)
            {
                names.projects.extend(self.storage().project_by_id(id).await?.map(|project| (id, project.name.as_written().to_owned())));
            }
        }
        Ok(names)
    }
}

fn entry(user: UserId, AuditRow { sequence, event }: AuditRow, names: &Names) -> Option<HistoryEntry> {
    let Told { sentence, alarming } = told(user, &event, names)?;
    let AuditEvent { at, kind, actor, user: about, detail, .. } = event;
    // Where somebody else was when they did it is theirs.
    let (by, remote_address, device) = match actor {
        Actor::Caller { user: by, remote_address, user_agent, .. } if by.is_none_or(|by| by == user) => {
            (DoneBy::Person, Some(remote_address), Some(device_in_words(&user_agent)))
        }
        Actor::Caller { .. } => (DoneBy::AnotherUser, None, None),
        Actor::CommandLine { .. } => (DoneBy::Operator, None, None),
        Actor::System => (DoneBy::Registry, None, None),
    };
    let detail = if about.is_none_or(|about| about == user) { detail } else { serde_json::json!({}) };
    Some(HistoryEntry { sequence, at, sentence, by, remote_address, device, kind: kind.as_str(), alarming, detail })
}
