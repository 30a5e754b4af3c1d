//! Files that wait for somebody to publish them.

use gate::Permit;
use model::{Caller, Version};
use storage::StorageError;
use storage::releases::StagedRelease;

use crate::Registry;
use crate::targets::{PreviewReleases, PublishRelease, RejectRelease};

/// Why a staged release could not be published or rejected.
#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    /// There is no such staged release (any more): 404.
    #[error("project '{project}' has no staged release {version}")]
    NotStaged { project: String, version: String },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What publishing or rejecting came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released {
    /// Normalized name of the project.
    pub project: String,
    /// Canonical version.
    pub version: String,
    /// Names of the files that were published or removed.
    pub files: Vec<String>,
}

impl Registry {
    /// What a decision about publishing needs. There is always a target: that nothing is
    /// staged shows only after the decision, so a stranger learns nothing. `caller` is
    /// none for the command line.
    pub async fn load_publish(&self, caller: Option<&Caller>, project: &str, version: &Version) -> Result<PublishRelease, StorageError> {
        let _ = (caller, project, version);
        todo!()
    }

    /// The same for rejecting.
    pub async fn load_reject(&self, caller: Option<&Caller>, project: &str, version: &Version) -> Result<RejectRelease, StorageError> {
        let _ = (caller, project, version);
        todo!()
    }

    /// What a decision about listing needs: staged releases of one project, or (without
    /// `project`) of all projects of the caller; without `caller` (the command line) of all.
    pub async fn load_preview(&self, caller: Option<&Caller>, project: Option<&str>) -> Result<PreviewReleases, StorageError> {
        let _ = (caller, project);
        todo!()
    }

    /// Staged releases, oldest first.
    pub async fn staged_releases(&self, permit: Permit<PreviewReleases>) -> Result<Vec<StagedRelease>, StorageError> {
        let _ = permit;
        todo!()
    }

    /// Publishes all staged files of the release at once.
    pub async fn publish_release(&self, permit: Permit<PublishRelease>) -> Result<Released, StagingError> {
        let _ = permit;
        todo!()
    }

    /// Removes all staged files of the release; their names are free again.
    pub async fn reject_release(&self, permit: Permit<RejectRelease>) -> Result<Released, StagingError> {
        let _ = permit;
        todo!()
    }
}
