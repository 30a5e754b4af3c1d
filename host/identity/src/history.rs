//! What happened to an account, in plain words, for its owner.

mod acts;
mod device;
mod sentences;

use std::collections::HashMap;

use gate::{Permit, Target, TargetFacts};
use model::audit::{Actor, AuditEvent};
use model::{Action, Timestamp, UserId};
use storage::StorageError;
use storage::audit::{AuditFilter, AuditRow};

use crate::Account;

pub use device::device_in_words;

use acts::{REACH, acts, is_told_by_others};
use sentences::{Names, Told, told};

/// Maximum number of entries on one page.
pub const MAX_ENTRIES: u32 = 500;
/// Read what happened to a user's account.
#[derive(Clone, Copy, Debug)]
pub struct ReadHistory {
    pub account: Account,
}

/// One page of it, the newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    pub entries: Vec<HistoryEntry>,
    /// The `before` of the next page; none if this is the last one.
    pub next: Option<i64>,
}

/// One act: something that happened, shown once.
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
    /// The browser or program in words, under the same condition.
    pub device: Option<String>,
    /// What happened, for programs: the text of its [`model::audit::EventKind`].
    pub kind: &'static str,
    /// The kinds of all events that the sentence covers, including this one.
    pub kinds: Vec<&'static str>,
    /// Whether the person should take a closer look.
    pub alarming: bool,
    /// Details for the export. Empty if another user did it and the reader may not see them.
    pub detail: serde_json::Value,
}

/// Who caused an entry in a person's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoneBy {
    /// The person, or somebody who used or tried to use their credentials.
    Person,
    /// Another user, who is permitted to.
    AnotherUser,
    /// A trusted publisher of a project.
    Publisher,
    /// An operator on the server's command line.
    Operator,
    /// The registry itself.
    Registry,
}

impl Target for ReadHistory {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::AccountRead)
    }
}

crate::areas::area! {
    /// What happened to an account, for its owner.
    Histories
}

impl Histories<'_> {
    /// A page of a user's history, grouped by acts: at most `limit` entries (or [`MAX_ENTRIES`]),
    /// older than `before`. A page may have fewer than requested and still have a next one.
    pub async fn of(
        self,
        permit: Permit<ReadHistory>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<History, StorageError> {
        let user = permit.target().account.id();
        let limit = limit.clamp(1, MAX_ENTRIES) as usize;
        // Nearby newer events show which act the first events of this page belong to; nearby older
        // ones belong to the acts of its last events.
        let wanted = u32::try_from(limit as i64 + 2 * REACH).unwrap_or(u32::MAX);
        let rows = self
            .events_of(
                user,
                before.map(|before| before.saturating_add(REACH)),
                wanted,
            )
            .await?;
        let names = self.names_in(user, &rows).await?;
        // Acts from here on are complete; none if there are no more events.
        let known_to = rows
            .get(wanted as usize - 1)
            .map(|last| last.sequence.saturating_add(REACH));
        let (mut entries, mut last) = (Vec::new(), None);
        for act in acts(rows)
            .into_iter()
            .filter(|act| before.is_none_or(|before| act.sequence() < before))
        {
            if entries.len() == limit {
                return Ok(History {
                    entries,
                    next: last,
                });
            }
            if known_to.is_some_and(|known_to| act.sequence() < known_to) {
                break;
            }
            last = Some(act.sequence());
            entries.extend(entry(user, &act.rows, &names));
        }
        Ok(History {
            entries,
            next: known_to,
        })
    }

    /// The same, event by event, with the details of each: one act of [`Self::history`] may cover
    /// several.
    pub async fn events(
        self,
        permit: Permit<ReadHistory>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<History, StorageError> {
        let user = permit.target().account.id();
        let limit = limit.clamp(1, MAX_ENTRIES);
        let rows = self.events_of(user, before, limit).await?;
        let next = if rows.len() < limit as usize {
            None
        } else {
            rows.last().map(|row| row.sequence)
        };
        let names = self.names_in(user, &rows).await?;
        Ok(History {
            entries: rows
                .iter()
                .filter_map(|row| entry(user, std::slice::from_ref(row), &names))
                .collect(),
            next,
        })
    }

    async fn events_of(
        self,
        user: UserId,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<AuditRow>, StorageError> {
        self.storage()
            .events(
                &AuditFilter {
                    user: Some(user),
                    ..AuditFilter::default()
                },
                before,
                limit,
            )
            .await
    }

    /// The names of the tokens and projects in these events.
    async fn names_in(self, user: UserId, rows: &[AuditRow]) -> Result<Names, StorageError> {
        let mut names = Names {
            tokens: HashMap::new(),
            projects: HashMap::new(),
        };
        for AuditRow { event, .. } in rows {
            if let Some(id) = sentences::token_of(event)
                && !names.tokens.contains_key(&id)
            {
                let found = self
                    .storage()
                    .token(id)
                    .await?
                    .filter(|found| found.token.user == user);
                names
                    .tokens
                    .extend(found.map(|found| (id, found.token.description)));
            }
            if let Some(id) = event.project
                && !names.projects.contains_key(&id)
            {
                names.projects.extend(
                    self.storage()
                        .project_by_id(id)
                        .await?
                        .map(|project| (id, project.name.as_written().to_owned())),
                );
            }
        }
        Ok(names)
    }
}

/// The entry for the events of one act, the newest first.
fn entry(user: UserId, rows: &[AuditRow], names: &Names) -> Option<HistoryEntry> {
    let telling: Vec<(&AuditRow, Told)> = rows
        .iter()
        .filter_map(|row| Some((row, told(user, &row.event, names)?)))
        .collect();
    let says_more = telling
        .iter()
        .any(|(row, _)| !is_told_by_others(&row.event));
    let telling: Vec<_> = telling
        .into_iter()
        .filter(|(row, _)| !says_more || !is_told_by_others(&row.event))
        .collect();
    let (main, _) = telling.first()?;
    let alarming = telling.iter().any(|(_, told)| told.alarming);
    let mut sentences: Vec<&str> = Vec::new();
    // In chronological order.
    for (_, told) in telling.iter().rev() {
        if !sentences.contains(&told.sentence.as_str()) {
            sentences.push(&told.sentence);
        }
    }
    let events: Vec<_> = rows.iter().map(|row| &row.event).collect();
    let mut sentence = sentences::breached(&events).unwrap_or_else(|| sentences.join(" "));
    sentence.push_str(&sentences::by_whom(user, &main.event));
    let AuditEvent {
        at,
        actor,
        user: about,
        ..
    } = &main.event;
    // Another user's address and device are private.
    let (by, remote_address, device) = match actor {
        Actor::Caller {
            user: by,
            remote_address,
            user_agent,
            ..
        } if by.is_none_or(|by| by == user) => (
            DoneBy::Person,
            Some(remote_address.clone()),
            Some(device_in_words(user_agent)),
        ),
        Actor::Caller { .. } => (DoneBy::AnotherUser, None, None),
        Actor::Publisher { .. } => (DoneBy::Publisher, None, None),
        Actor::CommandLine { .. } => (DoneBy::Operator, None, None),
        Actor::System => (DoneBy::Registry, None, None),
    };
    let detail = if about.is_none_or(|about| about == user) {
        main.stored.clone()
    } else {
        serde_json::json!({})
    };
    let mut kinds: Vec<_> = telling
        .iter()
        .map(|(row, _)| row.event.kind().as_str())
        .collect();
    kinds.dedup();
    Some(HistoryEntry {
        sequence: rows[0].sequence,
        at: *at,
        sentence,
        by,
        remote_address,
        device,
        kind: main.event.kind().as_str(),
        kinds,
        alarming,
        detail,
    })
}

#[cfg(test)]
mod tests;
