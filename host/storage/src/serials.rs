//! The journal of changes that readers see, and how a cache learns that it is stale.

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

/// Differs whenever a unit of work was committed in between, by whatever process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChangeMarker {
    /// The last serial: changes that readers see.
    pub serial: i64,
    /// The serial of the last change of the list of projects: a project that readers see for
    /// the first time, or a status.
    pub list_serial: i64,
    /// Counts every unit of work that wrote: roles, settings, tokens and users too.
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

    /// Where the registry stands. One read of one row. Ordered: a marker that was seen covers
    /// every change with a smaller or equal serial or revision.
    pub async fn change_marker(&self) -> Result<ChangeMarker> {
        let row = self.database().one(&MARKER, &[]).await?;
        let marker = ChangeMarker::read(&row)?;
        self.learn(marker);
        Ok(marker)
    }

    /// The latest marker this process has seen or written, without asking the database.
    /// Never ahead of [`change_marker`](Self::change_marker); behind it by what other
    /// processes did since it was last asked.
    pub fn known_marker(&self) -> ChangeMarker {
        // Written in the other order: a revision that is seen has its serial with it.
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
