//! Files that wait to be published.
//!
//! A staged release does not exist for readers: no page, no address and no serial reveals it. A
//! caller without a role on the project gets the same refusal whether it exists or not.
//!
//! Of the checks of an upload, publishing repeats the only one whose result changes with time: a
//! release that was published long ago takes no more files ([`Registry::check_publish`]). The
//! others stay valid: constraints keep name, content and the single source distribution from the
//! upload on, staged bytes are part of the project's size, the project's status and the person's
//! role are decided again, and bytes do not change.

use gate::Permit;
use model::audit::Detail;
use model::{Action, Caller, Version};
use storage::StorageError;
use storage::files::FileRow;
use storage::releases::StagedRelease;

use crate::Registry;
use crate::targets::{
    KnownProject, KnownRelease, PreviewReleases, PreviewScope, PublishRelease, RejectRelease,
    still_holds,
};

/// Why a staged release could not be published or rejected.
#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    /// There is no such staged release, or no longer: 404.
    #[error("project '{project}' has no staged release {version}")]
    NotStaged { project: String, version: String },
    /// Files, roles or the project changed since the decision was prepared: 409. Try again.
    #[error(
        "release {version} of project '{project}' changed at this very moment; look at its files again and then try again"
    )]
    Overtaken { project: String, version: String },
    /// The release was published too long ago to take more files: 409. They can only be rejected.
    #[error(
        "release {version} of project '{project}' was published more than {days} days ago and takes no new files; reject what is staged and upload a new version"
    )]
    Closed {
        project: String,
        version: String,
        days: u32,
    },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The result of publishing or rejecting.
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
    /// The target of a decision about publishing. There is always one: only after the decision does
    /// it show that nothing is staged, so strangers learn nothing. `caller` is none for the command
    /// line.
    pub async fn load_publish(
        &self,
        caller: Option<&Caller>,
        project: &str,
        version: &Version,
    ) -> Result<PublishRelease, StorageError> {
        let (project, release) = self.load_staged(caller, project, version).await?;
        Ok(PublishRelease { project, release })
    }

    /// The same for rejecting.
    pub async fn load_reject(
        &self,
        caller: Option<&Caller>,
        project: &str,
        version: &Version,
    ) -> Result<RejectRelease, StorageError> {
        let (project, release) = self.load_staged(caller, project, version).await?;
        Ok(RejectRelease { project, release })
    }

    async fn load_staged(
        &self,
        caller: Option<&Caller>,
        project: &str,
        version: &Version,
    ) -> Result<(KnownProject, KnownRelease), StorageError> {
        let project = self.load_project(caller, project).await?;
        if project.hides_from_caller(caller) {
            // The refusal must not reveal whether something is there.
            return Ok((project, KnownRelease::absent(version.clone(), None)));
        }
        let release = KnownRelease::load(
            &self.inner.storage,
            project.id(),
            version,
            self.inner.clock.now(),
        )
        .await?;
        Ok((project, release))
    }

    /// The target of a decision about listing: staged releases of one project, or (without
    /// `project`) of all projects of the caller; without `caller` (the command line) of all.
    pub async fn load_preview(
        &self,
        caller: Option<&Caller>,
        project: Option<&str>,
    ) -> Result<PreviewReleases, StorageError> {
        let scope = match (project, caller) {
            (Some(project), caller) => {
                PreviewScope::Project(Box::new(self.load_project(caller, project).await?))
            }
            (None, Some(caller)) => caller.user().map_or(PreviewScope::Nothing, |user| {
                PreviewScope::ProjectsOf(user.id)
            }),
            (None, None) => PreviewScope::Everything,
        };
        Ok(PreviewReleases { scope })
    }

    /// Staged releases, oldest first.
    pub async fn staged_releases(
        &self,
        permit: Permit<PreviewReleases>,
    ) -> Result<Vec<StagedRelease>, StorageError> {
        match permit.into_target().scope {
            PreviewScope::Project(project) => match project.id() {
                Some(id) => self.inner.storage.staged_releases(id).await,
                None => Ok(Vec::new()),
            },
            PreviewScope::ProjectsOf(user) => self.inner.storage.staged_releases_for(user).await,
            PreviewScope::Nothing => Ok(Vec::new()),
            PreviewScope::Everything => self.inner.storage.all_staged_releases().await,
        }
    }

    /// Whether the registry's limits let the staged files be published now: files join a release
    /// when they are published, whenever they were uploaded.
    pub fn check_publish(&self, target: &PublishRelease) -> Result<(), StagingError> {
        let PublishRelease { project, release } = target;
        match release.closed_after_days(self.inner.config.max_release_age_days) {
            Some(days) => Err(StagingError::Closed {
                project: project.normalized.clone(),
                version: release.version.to_string(),
                days,
            }),
            None => Ok(()),
        }
    }

    /// Publishes all staged files of the release at once: exactly those of the decision. If another
    /// file was staged in between, this fails, so that no one can slip one in between a person's
    /// check and the release.
    pub async fn publish_release(
        &self,
        permit: Permit<PublishRelease>,
    ) -> Result<Released, StagingError> {
        let PublishRelease { project, release } = permit.target();
        let (project_id, release_id) = staged_ids(project, release)?;
        self.check_publish(permit.target())?;
        let mut unit = permit.begin(&self.inner.storage).await?;
        let holds = still_holds(&mut unit, project).await?;
        let published = unit.publish_release(release_id, permit.at()).await?;
        let files = exactly(project, release, holds, published)?;
        let published = Detail::ReleasePublished {
            action: Action::ReleasePublish.into(),
            version: release.version.to_string(),
            files: files.clone(),
            set: permit.set_number(),
        };
        unit.commit(&permit.event(published).in_project(project_id))
            .await?;
        self.inner.cache.forget(&project.normalized);
        Ok(Released {
            project: project.normalized.clone(),
            version: release.version.to_string(),
            files,
        })
    }

    /// Removes all staged files of the release; their names are free again. Their blobs become
    /// orphans, and are swept when they are old enough.
    pub async fn reject_release(
        &self,
        permit: Permit<RejectRelease>,
    ) -> Result<Released, StagingError> {
        let RejectRelease { project, release } = permit.target();
        let (project_id, release_id) = staged_ids(project, release)?;
        let mut unit = permit.begin(&self.inner.storage).await?;
        let holds = still_holds(&mut unit, project).await?;
        let rejected = unit.reject_release(release_id).await?;
        let files = exactly(project, release, holds, rejected.files)?;
        let rejected = Detail::ReleaseRejected {
            action: Action::ReleaseReject.into(),
            version: release.version.to_string(),
            files: files.clone(),
            set: permit.set_number(),
        };
        unit.commit(&permit.event(rejected).in_project(project_id))
            .await?;
        Ok(Released {
            project: project.normalized.clone(),
            version: release.version.to_string(),
            files,
        })
    }
}

/// Names of the files, if they are those of the decision and the decision still holds.
fn exactly(
    project: &KnownProject,
    release: &KnownRelease,
    holds: bool,
    files: Vec<FileRow>,
) -> Result<Vec<String>, StagingError> {
    if files.is_empty() {
        return Err(not_staged(project, release));
    }
    let are_the_same = files.len() == release.staged_files.len()
        && files
            .iter()
            .zip(&release.staged_files)
            .all(|(file, (name, sha256))| {
                file.name == *name && file.digests.sha256_hex() == *sha256
            });
    if !holds || !are_the_same {
        return Err(StagingError::Overtaken {
            project: project.normalized.clone(),
            version: release.version.to_string(),
        });
    }
    Ok(files.into_iter().map(|file| file.name).collect())
}

fn staged_ids(
    project: &KnownProject,
    release: &KnownRelease,
) -> Result<(model::ProjectId, model::ReleaseId), StagingError> {
    match (project.id(), &release.row) {
        (Some(project_id), Some(row)) if !release.staged_files.is_empty() => {
            Ok((project_id, row.id))
        }
        _ => Err(not_staged(project, release)),
    }
}

fn not_staged(project: &KnownProject, release: &KnownRelease) -> StagingError {
    StagingError::NotStaged {
        project: project.normalized.clone(),
        version: release.version.to_string(),
    }
}
