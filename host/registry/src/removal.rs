//! Yanking and deleting: what readers shall no longer install, or no longer see.
//!
//! A yanked release stays and is passed over by installers that have another choice
//! (PEP 592). What is deleted is gone, but for its names: no file that readers saw can ever be
//! replaced by another one, and nobody takes the name of a deleted project ([`storage::removal`]).
//! The bytes are orphans then, served to nobody, and are swept when they are old enough.

use gate::{ChangeFacts, FileFacts, Permit, Target, TargetFacts};
use model::audit::{AuditEvent, EventKind};
use model::mail::{Mail, MailField, MailKind};
use model::{Action, Caller, ProjectId, ReleaseId, ReleaseState, Version};
use serde_json::{Value, json};
use storage::files::FileRow;
use storage::{StorageError, UnitOfWork};

use crate::Registry;
use crate::notices::{self, Owner};
use crate::targets::{KnownProject, KnownRelease};

/// Longest reason, in characters.
const MAX_REASON: usize = model::limit::REASON.length();

/// Why something was not yanked or deleted.
#[derive(Debug, thiserror::Error)]
pub enum RemovalError {
    #[error("there is no project '{0}'")]
    NoProject(String),
    #[error("project '{project}' has no release {version}")]
    NoRelease { project: String, version: String },
    #[error("there is no file '{0}'")]
    NoFile(String),
    #[error("release {version} of project '{project}' is not published; reject it instead")]
    NotPublished { project: String, version: String },
    #[error("release {version} of project '{project}' is yanked already")]
    Yanked { project: String, version: String },
    #[error("release {version} of project '{project}' is not yanked")]
    NotYanked { project: String, version: String },
    #[error("a reason has 1 to {MAX_REASON} characters on one line")]
    InvalidReason,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Yank a release.
#[derive(Debug)]
pub struct YankRelease(OfRelease);

/// Take a yank back.
#[derive(Debug)]
pub struct UnyankRelease(OfRelease);

/// Delete a release with all its files.
#[derive(Debug)]
pub struct DeleteRelease(OfRelease);

/// Delete one file.
#[derive(Debug)]
pub struct DeleteFile {
    of: OfRelease,
    file: FileRow,
}

/// Delete a project with all its releases.
#[derive(Debug)]
pub struct DeleteProject {
    project: KnownProject,
    reason: String,
}

/// A release that exists, and why something is done to it.
#[derive(Debug)]
struct OfRelease {
    project: KnownProject,
    release: KnownRelease,
    reason: String,
}

/// What a removal came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Normalized name of the project.
    pub project: String,
    /// Names of the files that are gone.
    pub files: Vec<String>,
}

impl OfRelease {
    fn facts(&self, action: Action) -> TargetFacts<'_> {
        TargetFacts {
            project: Some(self.project.facts()),
            release: Some(self.release.facts()),
            ..TargetFacts::of(action)
        }
    }

    fn ids(&self) -> Result<(ProjectId, ReleaseId), RemovalError> {
        match (self.project.id(), &self.release.row) {
            (Some(project), Some(release)) => Ok((project, release.id)),
            _ => Err(self.gone()),
        }
    }

    fn gone(&self) -> RemovalError {
        RemovalError::NoRelease {
            project: self.project.normalized.clone(),
            version: self.release.version.to_string(),
        }
    }

    fn is_published(&self) -> bool {
        self.release
            .row
            .as_ref()
            .is_some_and(|row| row.state == ReleaseState::Published)
    }
}

impl Target for YankRelease {
    fn facts(&self) -> TargetFacts<'_> {
        self.0.facts(Action::ReleaseYank)
    }
}

impl Target for UnyankRelease {
    fn facts(&self) -> TargetFacts<'_> {
        self.0.facts(Action::ReleaseUnyank)
    }
}

impl Target for DeleteRelease {
    fn facts(&self) -> TargetFacts<'_> {
        self.0.facts(Action::ReleaseDelete)
    }
}

impl Target for DeleteFile {
    fn facts(&self) -> TargetFacts<'_> {
        let FileRow {
            name,
            kind,
            size,
            digests,
            ..
        } = &self.file;
        let file = FileFacts {
            name,
            kind: *kind,
            size: *size,
            digests: *digests,
        };
        TargetFacts {
            file: Some(file),
            change: ChangeFacts::Nothing,
            ..self.of.facts(Action::FileDelete)
        }
    }
}

impl Target for DeleteProject {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts {
            project: Some(self.project.facts()),
            ..TargetFacts::of(Action::ProjectDelete)
        }
    }
}

impl Registry {
    /// What a decision about a yank needs. `caller` is none for the command line, here and below.
    pub async fn load_yank(
        &self,
        caller: Option<&Caller>,
        project: &str,
        version: &Version,
        reason: &str,
    ) -> Result<YankRelease, RemovalError> {
        let of = self
            .load_of_release(caller, project, version, reason)
            .await?;
        if !of.is_published() {
            return Err(RemovalError::NotPublished {
                project: of.project.normalized,
                version: of.release.version.to_string(),
            });
        }
        Ok(YankRelease(of))
    }

    pub async fn load_unyank(
        &self,
        caller: Option<&Caller>,
        project: &str,
        version: &Version,
        reason: &str,
    ) -> Result<UnyankRelease, RemovalError> {
        Ok(UnyankRelease(
            self.load_of_release(caller, project, version, reason)
                .await?,
        ))
    }

    pub async fn load_delete_release(
        &self,
        caller: Option<&Caller>,
        project: &str,
        version: &Version,
        reason: &str,
    ) -> Result<DeleteRelease, RemovalError> {
        Ok(DeleteRelease(
            self.load_of_release(caller, project, version, reason)
                .await?,
        ))
    }

    /// Any spelling of the file's name finds it.
    pub async fn load_delete_file(
        &self,
        caller: Option<&Caller>,
        file: &str,
        reason: &str,
    ) -> Result<DeleteFile, RemovalError> {
        let by_name = self.inner.storage.file(file).await?;
        let row = match (by_name, crate::filename::key(file)) {
            (None, Some(key)) => self.inner.storage.file_by_key(&key).await?,
            (found, _) => found,
        };
        let row = row.ok_or_else(|| RemovalError::NoFile(file.to_owned()))?;
        let of = self
            .load_of_release(caller, &row.project_name, &row.version, reason)
            .await?;
        Ok(DeleteFile { of, file: row })
    }

    pub async fn load_delete_project(
        &self,
        caller: Option<&Caller>,
        project: &str,
        reason: &str,
    ) -> Result<DeleteProject, RemovalError> {
        let reason = checked(reason)?;
        let known = KnownProject::load(
            &self.inner.storage,
            &model::name::normalize(project),
            caller,
        )
        .await?;
        if known.row.is_none() {
            return Err(RemovalError::NoProject(project.to_owned()));
        }
        Ok(DeleteProject {
            project: known,
            reason,
        })
    }

    /// Yanks the release; readers see the reason. The owners are told, here and below.
    pub async fn yank_release(&self, permit: Permit<YankRelease>) -> Result<(), RemovalError> {
        let of = &permit.target().0;
        let (project, release) = of.ids()?;
        let owners = notices::owners(&self.inner.storage, project).await?;
        let mut unit = permit.begin(&self.inner.storage).await?;
        if !unit.yank_release(release, &of.reason, permit.at()).await? {
            return Err(RemovalError::Yanked {
                project: of.project.normalized.clone(),
                version: of.release.version.to_string(),
            });
        }
        let what = format!("release {} was yanked", of.release.version);
        self.removed(
            unit,
            &permit,
            EventKind::ReleaseYanked,
            of,
            &owners,
            &what,
            &[],
        )
        .await
    }

    pub async fn unyank_release(&self, permit: Permit<UnyankRelease>) -> Result<(), RemovalError> {
        let of = &permit.target().0;
        let (project, release) = of.ids()?;
        let owners = notices::owners(&self.inner.storage, project).await?;
        let mut unit = permit.begin(&self.inner.storage).await?;
        if !unit.unyank_release(release).await? {
            return Err(RemovalError::NotYanked {
                project: of.project.normalized.clone(),
                version: of.release.version.to_string(),
            });
        }
        let what = format!("release {} is no longer yanked", of.release.version);
        self.removed(
            unit,
            &permit,
            EventKind::ReleaseUnyanked,
            of,
            &owners,
            &what,
            &[],
        )
        .await
    }

    /// Deletes the release with all its files; their names are burned.
    pub async fn delete_release(
        &self,
        permit: Permit<DeleteRelease>,
    ) -> Result<Removed, RemovalError> {
        let of = &permit.target().0;
        let (project, release) = of.ids()?;
        let owners = notices::owners(&self.inner.storage, project).await?;
        let mut unit = permit.begin(&self.inner.storage).await?;
        let files = names(
            unit.delete_release(release, permit.at())
                .await?
                .ok_or_else(|| of.gone())?,
        );
        let what = format!("release {} was deleted", of.release.version);
        self.removed(
            unit,
            &permit,
            EventKind::ReleaseDeleted,
            of,
            &owners,
            &what,
            &files,
        )
        .await?;
        Ok(Removed {
            project: of.project.normalized.clone(),
            files,
        })
    }

    /// Deletes the file; its name is burned if readers saw it.
    pub async fn delete_file(&self, permit: Permit<DeleteFile>) -> Result<Removed, RemovalError> {
        let DeleteFile { of, file } = permit.target();
        let (project, _) = of.ids()?;
        let owners = notices::owners(&self.inner.storage, project).await?;
        let mut unit = permit.begin(&self.inner.storage).await?;
        let deleted = unit
            .delete_file(file.id, permit.at())
            .await?
            .ok_or_else(|| RemovalError::NoFile(file.name.clone()))?;
        let files = names(vec![deleted]);
        let what = format!("the file {} was deleted", file.name);
        self.removed(
            unit,
            &permit,
            EventKind::FileDeleted,
            of,
            &owners,
            &what,
            &files,
        )
        .await?;
        Ok(Removed {
            project: of.project.normalized.clone(),
            files,
        })
    }

    /// Deletes the project with all its releases; its name stays taken.
    pub async fn delete_project(
        &self,
        permit: Permit<DeleteProject>,
    ) -> Result<Removed, RemovalError> {
        let DeleteProject { project, reason } = permit.target();
        let gone = || RemovalError::NoProject(project.normalized.clone());
        let id = project.id().ok_or_else(gone)?;
        let owners = notices::owners(&self.inner.storage, id).await?;
        let mut unit = permit.begin(&self.inner.storage).await?;
        let files = names(
            unit.delete_project(id, permit.at())
                .await?
                .ok_or_else(gone)?
                .files,
        );
        let told = Told {
            kind: EventKind::ProjectDeleted,
            project,
            id,
            reason,
            owners: &owners,
            what: "it was deleted with all its releases",
            files: &files,
        };
        self.tell_and_commit(unit, &permit, told, json!({})).await?;
        Ok(Removed {
            project: project.normalized.clone(),
            files,
        })
    }

    async fn load_of_release(
        &self,
        caller: Option<&Caller>,
        project: &str,
        version: &Version,
        reason: &str,
    ) -> Result<OfRelease, RemovalError> {
        let reason = checked(reason)?;
        let known = KnownProject::load(
            &self.inner.storage,
            &model::name::normalize(project),
            caller,
        )
        .await?;
        if known.row.is_none() {
            return Err(RemovalError::NoProject(project.to_owned()));
        }
        let release = KnownRelease::load(
            &self.inner.storage,
            known.id(),
            version,
            self.inner.clock.now(),
        )
        .await?;
        let of = OfRelease {
            project: known,
            release,
            reason,
        };
        if of.release.row.is_some() {
            Ok(of)
        } else {
            Err(of.gone())
        }
    }

    #[allow(clippy::too_many_arguments)]
    async fn removed<T>(
        &self,
        unit: UnitOfWork,
        permit: &Permit<T>,
        kind: EventKind,
        of: &OfRelease,
        owners: &[Owner],
        what: &str,
        files: &[String],
    ) -> Result<(), RemovalError> {
        let (id, _) = of.ids()?;
        let told = Told {
            kind,
            project: &of.project,
            id,
            reason: &of.reason,
            owners,
            what,
            files,
        };
        self.tell_and_commit(
            unit,
            permit,
            told,
            json!({ "version": of.release.version.to_string() }),
        )
        .await
    }

    async fn tell_and_commit<T>(
        &self,
        mut unit: UnitOfWork,
        permit: &Permit<T>,
        told: Told<'_>,
        mut detail: Value,
    ) -> Result<(), RemovalError> {
        let Told {
            kind,
            project,
            id,
            reason,
            owners,
            what,
            files,
        } = told;
        let mail = |owner: &Owner| {
            Mail::new(
                MailKind::ContentRemoved,
                [
                    (MailField::UserName, owner.name.to_string()),
                    (MailField::Project, project.normalized.clone()),
                    (MailField::What, what.to_owned()),
                    (MailField::Reason, reason.to_owned()),
                    (MailField::At, permit.at().to_the_second()),
                ],
            )
        };
        notices::tell(&mut unit, owners, mail, permit.at()).await?;
        detail["project"] = json!(project.normalized);
        detail["reason"] = json!(reason);
        detail["files"] = json!(files);
        let event = AuditEvent {
            at: permit.at(),
            kind,
            actor: permit.actor().clone(),
            user: None,
            project: Some(id),
            decision: Some(permit.decision()),
            detail,
        };
        unit.commit(&event).await?;
        self.inner.cache.forget(&project.normalized);
        Ok(())
    }
}

/// What the log and the owners are told.
struct Told<'a> {
    kind: EventKind,
    project: &'a KnownProject,
    id: ProjectId,
    reason: &'a str,
    owners: &'a [Owner],
    what: &'a str,
    files: &'a [String],
}

/// The reason without white space around it, if it is one.
fn checked(reason: &str) -> Result<String, RemovalError> {
    let reason = reason.trim();
    let is_reason =
        (1..=MAX_REASON).contains(&reason.chars().count()) && model::text::is_plain_line(reason);
    if is_reason {
        Ok(reason.to_owned())
    } else {
        Err(RemovalError::InvalidReason)
    }
}

fn names(files: Vec<FileRow>) -> Vec<String> {
    files.into_iter().map(|file| file.name).collect()
}
