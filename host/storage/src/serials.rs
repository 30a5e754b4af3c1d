//! The journal of changes that readers see, and how a cache learns that it is stale.

use model::{ProjectId, Timestamp};

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
    /// Counts every unit of work: roles, settings, tokens and users too.
    pub revision: i64,
}

impl Storage {
    /// The last serial; 0 before the first change.
    pub async fn last_serial(&self) -> Result<i64> {
        todo!()
    }

    /// Where the registry stands. One read of one row. Ordered: a marker that was seen covers
    /// every change with a smaller or equal serial or revision.
    pub async fn change_marker(&self) -> Result<ChangeMarker> {
        todo!()
    }

    /// The latest marker this process has seen or written, without asking the database.
    /// Never ahead of [`change_marker`](Self::change_marker); behind it by what other
    /// processes did since it was last asked.
    pub fn known_marker(&self) -> ChangeMarker {
        todo!()
    }

    /// Changes after `after` (a serial), oldest first, at most `limit`.
    pub async fn journal(&self, after: i64, limit: u32) -> Result<Vec<JournalRow>> {
        let _ = (after, limit);
        todo!()
    }
}
