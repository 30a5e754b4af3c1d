//! The journal of changes that readers see, which lets caches detect that they are stale.

use std::sync::atomic::Ordering;

use model::{ProjectId, Timestamp};

use crate::database::Row;
use crate::statement::statements;
use crate::{Result, Storage};

/// One change that readers see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalRow {
    pub serial: i64,
    pub project: ProjectId,
    /// Normalized name of the project.
    pub project_name: String,
    /// What changed, in a few words.
    pub action: String,
    pub at: Timestamp,
}

/// Differs whenever any process committed a unit of work in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChangeMarker {
    /// The last serial: changes that readers see.
    pub serial: i64,
    /// The serial of the last change of the list of projects: a newly visible project, or a status.
    pub list_serial: i64,
    /// Counts every unit of work that wrote, including roles, settings, tokens and users.
    pub revision: i64,
}

statements! {
    MARKER = "SELECT serial, list_serial, revision FROM registry_state WHERE only_row = 1";
    JOURNAL = "SELECT serial, project_id, project_name, action, at FROM journal WHERE serial > $1 ORDER BY serial LIMIT $2";
}

impl Storage {
    /// The last serial; 0 before the first change.
    pub async fn last_serial(&self) -> Result<i64> {
        Ok(self.change_marker().await?.serial)
    }

    /// The current marker. One read of one row. Ordered: a marker covers every change with a
    /// smaller or equal serial or revision.
    pub async fn change_marker(&self) -> Result<ChangeMarker> {
        let row = self.database().one(&MARKER, &[]).await?;
        let marker = ChangeMarker::read(&row)?;
        self.learn(marker);
        Ok(marker)
    }

    /// The latest marker that this process has seen or written, without asking the database. Never
    /// ahead of [`change_marker`](Self::change_marker); behind it by the changes of other processes
    /// since it was last asked.
    pub fn known_marker(&self) -> ChangeMarker {
        // Written in the other order, so that the serial is at least as new as the revision.
        let revision = self.shared.known_revision.load(Ordering::Acquire);
        let list_serial = self.shared.known_list_serial.load(Ordering::Acquire);
        ChangeMarker {
            serial: self.shared.known_serial.load(Ordering::Acquire),
            list_serial,
            revision,
        }
    }

    /// Changes after `after` (a serial), oldest first, at most `limit`.
    pub async fn journal(&self, after: i64, limit: u32) -> Result<Vec<JournalRow>> {
        self.database()
            .all(&JOURNAL, &[after.into(), limit.into()])
            .await?
            .iter()
            .map(journal_row)
            .collect()
    }

    pub(crate) fn learn(&self, marker: ChangeMarker) {
        self.shared
            .known_serial
            .fetch_max(marker.serial, Ordering::AcqRel);
        self.shared
            .known_list_serial
            .fetch_max(marker.list_serial, Ordering::AcqRel);
        self.shared
            .known_revision
            .fetch_max(marker.revision, Ordering::AcqRel);
    }
}

impl ChangeMarker {
    pub(crate) fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            serial: row.integer("serial")?,
            list_serial: row.integer("list_serial")?,
            revision: row.integer("revision")?,
        })
    }
}

fn journal_row(row: &Row) -> Result<JournalRow> {
    Ok(JournalRow {
        serial: row.integer("serial")?,
        project: row.parsed("project_id")?,
        project_name: row.text("project_name")?,
        action: row.text("action")?,
        at: row.time("at")?,
    })
}
