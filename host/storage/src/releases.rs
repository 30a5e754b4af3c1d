//! Releases: staged, published, yanked.

use model::{ProjectId, ProjectName, ReleaseId, ReleaseState, Timestamp, UserId, Version};
use serde_json::Value;

use crate::files::FileRow;
use crate::{Result, Storage, UnitOfWork};

/// A release to create, or to find if its version exists already.
#[derive(Clone, Debug)]
pub struct NewRelease<'a> {
    /// Used only if the release does not exist yet.
    pub id: ReleaseId,
    pub project: ProjectId,
    pub version: &'a Version,
    /// What the upload form said, as a JSON object. Used only if the release does not exist yet.
    pub metadata: &'a Value,
    pub created_at: Timestamp,
}

/// A release.
#[derive(Clone, Debug, PartialEq)]
pub struct ReleaseRow {
    pub id: ReleaseId,
    pub project: ProjectId,
    /// As first uploaded, in canonical text.
    pub version: Version,
    /// Staged until its first file is published.
    pub state: ReleaseState,
    pub metadata: Value,
    pub created_at: Timestamp,
    pub published_at: Option<Timestamp>,
    pub yanked: Option<Yank>,
}

/// That a release was yanked (PEP 592).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Yank {
    pub at: Timestamp,
    /// Empty if nobody gave one.
    pub reason: String,
}

/// A release with files that wait to be published. The release itself may be public already.
#[derive(Clone, Debug, PartialEq)]
pub struct StagedRelease {
    pub project_name: ProjectName,
    pub release: ReleaseRow,
    /// The staged files only, in order of names.
    pub files: Vec<FileRow>,
}

/// What rejecting a release removed.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejected {
    /// The staged files whose rows are gone; their names are free again and their blobs
    /// are referenced by nothing.
    pub files: Vec<FileRow>,
    /// Whether the release went with them, because it was never published.
    pub release_removed: bool,
}

impl Storage {
    /// The release of this version (by PEP 440: `1.0` finds `1.0.0`), whatever its state.
    pub async fn release(&self, project: ProjectId, version: &Version) -> Result<Option<ReleaseRow>> {
        let _ = (project, version);
        todo!()
    }

    /// The release with this id.
    pub async fn release_by_id(&self, id: ReleaseId) -> Result<Option<ReleaseRow>> {
        let _ = id;
        todo!()
    }

    /// Versions of the published releases of a project, in no order.
    pub async fn published_versions(&self, project: ProjectId) -> Result<Vec<Version>> {
        let _ = project;
        todo!()
    }

    /// The published releases of a project, in no order.
    pub async fn published_releases(&self, project: ProjectId) -> Result<Vec<ReleaseRow>> {
        let _ = project;
        todo!()
    }

    /// Releases of a project that have staged files, oldest first.
    pub async fn staged_releases(&self, project: ProjectId) -> Result<Vec<StagedRelease>> {
        let _ = project;
        todo!()
    }

    /// The same, of all projects a user has a role on.
    pub async fn staged_releases_for(&self, user: UserId) -> Result<Vec<StagedRelease>> {
        let _ = user;
        todo!()
    }

    /// The same, of all projects; for the command line.
    pub async fn all_staged_releases(&self) -> Result<Vec<StagedRelease>> {
        todo!()
    }
}

impl UnitOfWork {
    /// The release of this version: the one that exists, or a new staged one. The row is
    /// locked until the unit ends, so that it cannot be rejected in between. It becomes
    /// published with its first published file.
    pub async fn ensure_release(&mut self, release: &NewRelease<'_>) -> Result<ReleaseRow> {
        let _ = release;
        todo!()
    }

    /// Publishes all staged files of a release at once and returns them, in order of names;
    /// empty if there are none (any more). Readers see it.
    pub async fn publish_release(&mut self, release: ReleaseId, at: Timestamp) -> Result<Vec<FileRow>> {
        let _ = (release, at);
        todo!()
    }

    /// Removes the staged files of a release, and the release if it was never published.
    /// The names are free again: nobody could have seen them.
    pub async fn reject_release(&mut self, release: ReleaseId) -> Result<Rejected> {
        let _ = release;
        todo!()
    }

    /// Yanks a published release. Returns whether it was published and not yanked. Readers see it.
    pub async fn yank_release(&mut self, release: ReleaseId, reason: &str, at: Timestamp) -> Result<bool> {
        let _ = (release, reason, at);
        todo!()
    }

    /// Takes the yank back. Returns whether it was yanked. Readers see it.
    pub async fn unyank_release(&mut self, release: ReleaseId) -> Result<bool> {
        let _ = release;
        todo!()
    }
}
