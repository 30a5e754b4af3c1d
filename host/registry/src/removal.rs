//! Yanking and deleting: releases that readers should no longer install, or no longer see.
//!
//! A yanked release stays, but installers with another choice skip it (PEP 592). A deleted one is
//! gone, except for its names: no file that readers saw can ever be replaced by another one, and no
//! one can take the name of a deleted project ([`storage::removal`]). The bytes become orphans, are
//! not served, and are swept when they are old enough.

use gate::{FileFacts, Permit, Target, TargetFacts};
use model::audit::Detail;
use model::audit::detail::Removal;
use model::mail::{Mail, MailField, MailKind};
use model::{Action, Caller, ProjectId, ReleaseId, ReleaseState, Version};
use storage::files::FileRow;
use storage::{StorageError, UnitOfWork};

use crate::Registry;
use crate::notices::{self, Owner};
use crate::targets::{KnownProject, KnownRelease, NoSuchProject, still_holds};

/// Longest reason, in characters.
const MAX_REASON: usize = model::limit::REASON.length();

/// Why a removal failed.
#[derive(Debug, thiserror::Error)]
pub enum RemovalError {
    #[error(transparent)]
    NoProject(#[from] NoSuchProject),
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
    /// Its status or the caller's role changed since the decision was prepared: 409. Try again.
    #[error(
        "project '{0}' changed at this very moment, and nothing was done; look at it again and then try again"
    )]
    Overtaken(String),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Yank a release.
#[derive(Debug)]
pub struct YankRelease(OfRelease);

/// Undo a yank.
#[derive(Debug)]
pub struct UnyankRelease(OfRelease);

/// Delete a release with all its files.
#[derive(Debug)]
pub struct DeleteRelease(OfRelease);

/// Delete one file.
#[derive(Debug)]
pub struct DeleteFile {
    /// As it was requested.
    name: String,
    found: FoundFile,
}

#[derive(Debug)]
enum FoundFile {
    Yes(Box<(OfRelease, FileRow)>),
    /// The project that its name belongs to has no such file that the caller may know of.
    No(Box<KnownProject>),
}

/// Delete a project with all its releases.
#[derive(Debug)]
pub struct DeleteProject {
    project: KnownProject,
    reason: String,
}

/// A release, which may not exist, and the reason for the action.
#[derive(Debug)]
struct OfRelease {
    project: KnownProject,
    release: KnownRelease,
    reason: String,
}

/// The result of a removal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Normalized name of the project.
    pub project: String,
    /// Names of the deleted files.
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
        let project = self.project.existing()?;
        let release = self.release.row.as_ref().ok_or_else(|| self.gone())?;
        Ok((project.id, release.id))
    }

    fn gone(&self) -> RemovalError {
        RemovalError::NoRelease {
            project: self.project.normalized.clone(),
            version: self.release.version.to_string(),
        }
    }

    fn check_published(&self) -> Result<(), RemovalError> {
        match &self.release.row {
            Some(row) if row.state != ReleaseState::Published => Err(RemovalError::NotPublished {
                project: self.project.normalized.clone(),
                version: self.release.version.to_string(),
            }),
            _ => Ok(()),
        }
    }
}

macro_rules! check_of_release {
    ($($name:ident),*) => {$(
        impl $name {
            /// Whether it exists: checked after the decision, or on the command line.
            pub fn check(&self) -> Result<(), RemovalError> {
                self.0.ids().map(drop)
            }
        }
    )*};
}

check_of_release!(YankRelease, UnyankRelease, DeleteRelease);

impl DeleteFile {
    /// Whether the file exists: checked after the decision, or on the command line.
    pub fn check(&self) -> Result<(), RemovalError> {
        self.found().map(drop)
    }

    fn found(&self) -> Result<(&OfRelease, &FileRow), RemovalError> {
        match &self.found {
            FoundFile::Yes(found) => Ok((&found.0, &found.1)),
            FoundFile::No(_) => Err(RemovalError::NoFile(self.name.clone())),
        }
    }
}

impl DeleteProject {
    /// Whether the project exists: checked after the decision, or on the command line.
    pub fn check(&self) -> Result<(), RemovalError> {
        Ok(self.project.existing().map(drop)?)
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
        match &self.found {
            FoundFile::Yes(found) => {
                let (of, file) = &**found;
                TargetFacts {
                    file: Some(FileFacts {
                        name: &file.name,
                        kind: file.kind,
                        size: file.size,
                        digests: file.digests,
                    }),
                    ..of.facts(Action::FileDelete)
                }
            }
            FoundFile::No(project) => TargetFacts {
                project: Some(project.facts()),
                ..TargetFacts::of(Action::FileDelete)
            },
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

/// Loaders find a target for every name: only after the decision does a missing project, release or
/// file show, so that strangers learn nothing. `caller` is none for the command line.
impl Registry {
    /// The target of a decision about a yank.
    pub async fn load_yank(
        &self,
        caller: Option<&Caller>,
        project: &str,
        version: &Version,
        reason: &str,
    ) -> Result<YankRelease, RemovalError> {
        Ok(YankRelease(
            self.load_of_release(caller, project, version, reason)
                .await?,
        ))
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
        let name = file.to_owned();
        let Some(file) = row else {
            checked(reason)?;
            let project = crate::filename::project_of(&name).unwrap_or_default();
            let project = self.load_project(caller, &project).await?;
            return Ok(DeleteFile {
                name,
                found: FoundFile::No(Box::new(project)),
            });
        };
        let of = self
            .load_of_release(caller, &file.project_name, &file.version, reason)
            .await?;
        let found = match of.project.hides_from_caller(caller) {
            false => FoundFile::Yes(Box::new((of, file))),
            true => FoundFile::No(Box::new(of.project)),
        };
        Ok(DeleteFile { name, found })
    }

    pub async fn load_delete_project(
        &self,
        caller: Option<&Caller>,
        project: &str,
        reason: &str,
    ) -> Result<DeleteProject, RemovalError> {
        Ok(DeleteProject {
            project: self.load_project(caller, project).await?,
            reason: checked(reason)?,
        })
    }

    /// Yanks the release; readers see the reason. The owners get a mail, here and below.
    pub async fn yank_release(&self, permit: Permit<YankRelease>) -> Result<(), RemovalError> {
        let of = &permit.target().0;
        let (project, release) = of.ids()?;
        of.check_published()?;
        let owners = notices::owners(&self.inner.storage, project).await?;
        let mut unit = self.begin_removal(&permit, &of.project).await?;
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
            |what, version| Detail::ReleaseYanked { what, version },
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
        let mut unit = self.begin_removal(&permit, &of.project).await?;
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
            |what, version| Detail::ReleaseUnyanked { what, version },
            of,
            &owners,
            &what,
            &[],
        )
        .await
    }

    /// Deletes the release with all its files; their names can never be used again.
    pub async fn delete_release(
        &self,
        permit: Permit<DeleteRelease>,
    ) -> Result<Removed, RemovalError> {
        let of = &permit.target().0;
        let (project, release) = of.ids()?;
        let owners = notices::owners(&self.inner.storage, project).await?;
        let mut unit = self.begin_removal(&permit, &of.project).await?;
        let files = names(
            unit.delete_release(release, permit.at())
                .await?
                .ok_or_else(|| of.gone())?,
        );
        let what = format!("release {} was deleted", of.release.version);
        self.removed(
            unit,
            &permit,
            |what, version| Detail::ReleaseDeleted { what, version },
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

    /// Deletes the file; its name can never be used again if readers saw it.
    pub async fn delete_file(&self, permit: Permit<DeleteFile>) -> Result<Removed, RemovalError> {
        let (of, file) = permit.target().found()?;
        let (project, _) = of.ids()?;
        let owners = notices::owners(&self.inner.storage, project).await?;
        let mut unit = self.begin_removal(&permit, &of.project).await?;
        let deleted = unit
            .delete_file(file.id, permit.at())
            .await?
            .ok_or_else(|| RemovalError::NoFile(file.name.clone()))?;
        let files = names(vec![deleted]);
        let what = format!("the file {} was deleted", file.name);
        self.removed(
            unit,
            &permit,
            |what, version| Detail::FileDeleted { what, version },
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
        let gone = || NoSuchProject(project.normalized.clone());
        let id = project.existing()?.id;
        let owners = notices::owners(&self.inner.storage, id).await?;
        let mut unit = self.begin_removal(&permit, project).await?;
        let files = names(
            unit.delete_project(id, permit.at())
                .await?
                .ok_or_else(gone)?
                .files,
        );
        let told = Told {
            project,
            id,
            reason,
            owners: &owners,
            what: "it was deleted with all its releases",
            files: &files,
        };
        self.tell_and_commit(unit, &permit, told, |what| Detail::ProjectDeleted { what })
            .await?;
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
        let project = self.load_project(caller, project).await?;
        let release = if project.hides_from_caller(caller) {
            KnownRelease::absent(version.clone(), None)
        } else {
            let now = self.inner.clock.now();
            KnownRelease::load(&self.inner.storage, project.id(), version, now).await?
        };
        Ok(OfRelease {
            project,
            release,
            reason,
        })
    }

    /// Begins the unit of work, in which the project's status and the caller's role stay as they
    /// were at the decision.
    async fn begin_removal<T>(
        &self,
        permit: &Permit<T>,
        project: &KnownProject,
    ) -> Result<UnitOfWork, RemovalError> {
        let mut unit = permit.begin(&self.inner.storage).await?;
        match still_holds(&mut unit, project).await? {
            true => Ok(unit),
            false => Err(RemovalError::Overtaken(project.normalized.clone())),
        }
    }

    #[allow(clippy::too_many_arguments)]
    async fn removed<T>(
        &self,
        unit: UnitOfWork,
        permit: &Permit<T>,
        detail: impl FnOnce(Removal, String) -> Detail,
        of: &OfRelease,
        owners: &[Owner],
        what: &str,
        files: &[String],
    ) -> Result<(), RemovalError> {
        let (id, _) = of.ids()?;
        let told = Told {
            project: &of.project,
            id,
            reason: &of.reason,
            owners,
            what,
            files,
        };
        self.tell_and_commit(unit, permit, told, |what| {
            detail(what, of.release.version.to_string())
        })
        .await
    }

    async fn tell_and_commit<T>(
        &self,
        mut unit: UnitOfWork,
        permit: &Permit<T>,
        told: Told<'_>,
        detail: impl FnOnce(Removal) -> Detail,
    ) -> Result<(), RemovalError> {
        let Told {
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
        let removed = detail(Removal {
            project: project.normalized.clone(),
            reason: reason.to_owned(),
            files: files.to_vec(),
        });
        unit.commit(&permit.event(removed).in_project(id)).await?;
        self.inner.cache.forget(&project.normalized);
        Ok(())
    }
}

/// The details for the log and the owners.
struct Told<'a> {
    project: &'a KnownProject,
    id: ProjectId,
    reason: &'a str,
    owners: &'a [Owner],
    what: &'a str,
    files: &'a [String],
}

/// The reason without surrounding white space, if it is valid.
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
