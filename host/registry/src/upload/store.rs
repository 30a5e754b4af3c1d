//! Row 32: the blob, then the rows in one transaction with their audit events.

use blobs::WriteError;
use gate::{Permit, Reason};
use model::audit::{Actor, AuditEvent, Detail};
use model::mail::{Mail, MailField, MailKind};
use model::{DecisionId, FileId, FileKind, ProjectId, ReleaseId, ReleaseState, Timestamp};
use sha2::{Digest, Sha256};
use storage::files::NewFile;
use storage::releases::NewRelease;
use storage::{Conflict, StorageError};

use super::bounds::{self, Stored};
use super::new_project::create_project;
use super::{UploadError, Uploaded};
use crate::Registry;
use crate::archive::Inspected;
use crate::notices::{self, Owner};
use crate::targets::{CreateProject, UploadFile, still_holds};

/// The result of storing.
pub(super) enum Outcome {
    Stored(Box<Uploaded>),
    /// Another write came in between, and the decision may no longer hold.
    Overtaken(Box<UploadFile>),
}

/// The rest of a permit after its target was taken out.
struct Granted {
    decision: DecisionId,
    set_number: u64,
    at: Timestamp,
    state: ReleaseState,
    actor: Actor,
    messages: Vec<String>,
    permit: Permit<()>,
}

impl Registry {
    pub(super) async fn store(
        &self,
        permit: Permit<UploadFile>,
        create: Option<Permit<CreateProject>>,
    ) -> Result<Outcome, UploadError> {
        let (mut upload, granted) = Granted::of(permit, &self.inner.config.public_url);
        let Some(Ok(inspected)) = upload.inspected.clone() else {
            return Err(UploadError::Unavailable(
                "the file was not inspected".to_owned(),
            ));
        };
        let metadata = Metadata {
            sha256: Sha256::digest(&inspected.metadata_file).into(),
            inspected: &inspected,
        };
        self.put_blobs(&mut upload, &metadata).await?;
        match self
            .write(&granted, &upload, &metadata, create.as_ref())
            .await
        {
            Ok(Written::Committed) => {}
            Ok(Written::Beyond(error)) => return Err(error),
            Ok(Written::Overtaken) => return Ok(Outcome::Overtaken(Box::new(upload))),
            Err(error) if error.conflict() == Some(Conflict::TokenRevoked) => {
                let message = "Invalid API Token: it was revoked during the upload.";
                return Err(UploadError::with_status(403, "token-revoked", message));
            }
            Err(error) if error.conflict().is_some() => {
                // Reloading and checking everything again shows which rule it was.
                tracing::debug!(%error, file = upload.submission.file_name, "upload overtaken");
                return Ok(Outcome::Overtaken(Box::new(upload)));
            }
            Err(error) => return Err(error.into()),
        }
        if granted.state == ReleaseState::Published {
            self.inner.cache.forget(&upload.project.normalized);
        }
        let mut messages = granted.messages;
        messages.extend(inspected.warnings);
        Ok(Outcome::Stored(Box::new(Uploaded {
            project: upload.project.normalized,
            version: upload.release.version.to_string(),
            file: upload.submission.file_name,
            staged: granted.state == ReleaseState::Staged,
            unchanged: false,
            created_project: create.is_some(),
            messages,
            decision: granted.decision,
            set_number: granted.set_number,
        })))
    }

    /// Invariant: when this returns, the blobs survive a crash. Rows come afterwards.
    async fn put_blobs(
        &self,
        upload: &mut UploadFile,
        metadata: &Metadata<'_>,
    ) -> Result<(), UploadError> {
        let unavailable = |error: WriteError| UploadError::Unavailable(error.to_string());
        if upload.keeps_metadata() {
            let bytes = metadata.inspected.metadata_file.clone();
            let kept = self.inner.blobs.keep_metadata(bytes, metadata.sha256);
            kept.await.map_err(unavailable)?;
        }
        // Overtaken uploads come here again; their file is in place. Metadata may be needed now
        // that was not needed before.
        match upload.file.take() {
            Some(file) => file.into_bytes().keep().await.map_err(unavailable),
            None => Ok(()),
        }
    }

    async fn write(
        &self,
        granted: &Granted,
        upload: &UploadFile,
        metadata: &Metadata<'_>,
        create: Option<&Permit<CreateProject>>,
    ) -> Result<Written, StorageError> {
        let (owners, uploader) = match granted.state {
            ReleaseState::Staged => self.who_is_told(upload, create).await?,
            ReleaseState::Published => (Vec::new(), String::new()),
        };
        let mut unit = granted.permit.begin(&self.inner.storage).await?;
        if let Some(create) = create {
            create.bind(&mut unit);
        }
        let project = match (create, upload.project.id()) {
            (Some(create), _) => {
                let (project, event) = create_project(&mut unit, create).await?;
                unit.also(&event);
                project
            }
            (None, Some(id)) => {
                if !still_holds(&mut unit, &upload.project).await? {
                    return Ok(Written::Overtaken);
                }
                id
            }
            (None, None) => return Ok(Written::Overtaken),
        };
        let Metadata { sha256, inspected } = *metadata;
        let new = NewRelease {
            id: ReleaseId::new(),
            project,
            version: &upload.submission.version,
            metadata_sha256: upload.keeps_metadata().then_some(sha256),
            created_at: granted.at,
        };
        let release = unit.ensure_release(&new).await?;
        let is_new_release = release.id == new.id;
        let speaks_for_release = is_new_release
            || release.state == ReleaseState::Staged && granted.state == ReleaseState::Published;
        if speaks_for_release && !upload.keeps_metadata() {
            // The release was rejected in between, and its metadata would now be this file's.
            return Ok(Written::Overtaken);
        }
        if speaks_for_release && !is_new_release {
            unit.set_release_metadata(release.id, &sha256).await?;
        }
        let keeps_metadata = speaks_for_release || upload.submission.kind == FileKind::Wheel;
        let submission = &upload.submission;
        // The checks let no name without a key get this far; the name itself is also a valid key.
        let name_key = crate::filename::key(&submission.file_name)
            .unwrap_or_else(|| submission.file_name.clone());
        let usage = unit
            .add_file(&NewFile {
                id: FileId::new(),
                release: release.id,
                name: &submission.file_name,
                name_key: &name_key,
                kind: submission.kind,
                size: submission.size,
                digests: submission.digests,
                requires_python: inspected.metadata.one("requires_python"),
                metadata_sha256: (submission.kind == FileKind::Wheel).then_some(sha256),
                metadata_size: keeps_metadata.then_some(inspected.metadata_file.len() as u64),
                python_version: &submission.python_version,
                comment: submission.comment.as_deref(),
                uploaded_at: granted.at,
                uploaded_by: upload.uploader,
                uploaded_with: upload.token,
                state: granted.state,
            })
            .await?;
        let stored = Stored {
            usage,
            is_staged: granted.state == ReleaseState::Staged,
            releases: if is_new_release {
                Some(unit.count_releases(project).await?)
            } else {
                None
            },
            unpublished: match create {
                Some(create) => Some(
                    unit.count_unpublished_projects(create.target().owner)
                        .await?,
                ),
                None => None,
            },
        };
        if let Err(error) = bounds::check(&self.inner.config, &upload.project.normalized, &stored) {
            return Ok(Written::Beyond(error));
        }
        // One mail for each waiting release: clients do not show that it waits, so otherwise no one
        // would publish it.
        if granted.state == ReleaseState::Staged && unit.count_staged_files(release.id).await? == 1
        {
            notices::tell(
                &mut unit,
                &owners,
                |owner| waits(owner, upload, &uploader, granted.at),
                granted.at,
            )
            .await?;
        }
        unit.commit(&file_event(granted, upload, project)).await?;
        Ok(Written::Committed)
    }

    /// The owners who get the mail that a release waits, and the name of its uploader.
    async fn who_is_told(
        &self,
        upload: &UploadFile,
        create: Option<&Permit<CreateProject>>,
    ) -> Result<(Vec<Owner>, String), StorageError> {
        let storage = &self.inner.storage;
        let uploader = match upload.uploader {
            Some(user) => storage.user(user).await?,
            None => None,
        };
        let name = uploader.as_ref().map_or_else(
            || "A trusted publisher".to_owned(),
            |user| user.name.to_string(),
        );
        let owners = match (create, upload.project.id(), uploader) {
            // The uploader is about to own it.
            (Some(_), _, Some(user)) => notices::reachable(storage, user.id, user.name)
                .await?
                .into_iter()
                .collect(),
            (None, Some(project), _) => notices::owners(storage, project).await?,
            _ => Vec::new(),
        };
        Ok((owners, name))
    }
}

fn waits(owner: &Owner, upload: &UploadFile, uploader: &str, at: Timestamp) -> Mail {
    Mail::new(
        MailKind::ReleaseStaged,
        [
            (MailField::UserName, owner.name.to_string()),
            (MailField::Project, upload.project.normalized.clone()),
            (MailField::Version, upload.submission.version.to_string()),
            (MailField::Actor, uploader.to_owned()),
            (MailField::At, at.to_the_second()),
        ],
    )
}

enum Written {
    Committed,
    Overtaken,
    /// It exceeds a limit: nothing was stored.
    Beyond(UploadError),
}

/// The core metadata of a file, and the name of its blob.
struct Metadata<'a> {
    sha256: [u8; 32],
    inspected: &'a Inspected,
}

impl Granted {
    fn of(permit: Permit<UploadFile>, public_url: &str) -> (UploadFile, Self) {
        let state = if permit.is_staged() {
            ReleaseState::Staged
        } else {
            ReleaseState::Published
        };
        let mut messages: Vec<String> = Vec::new();
        if permit.is_staged() {
            messages.push(format!(
                "'{}' is stored and staged: no one can see it until the release is published.",
                permit.target().submission.file_name
            ));
            messages.extend(
                permit
                    .reasons()
                    .iter()
                    .map(|reason| sentence(reason, public_url)),
            );
        }
        messages.extend(
            permit
                .warnings()
                .iter()
                .map(|reason| format!("Warning: {}", sentence(reason, public_url))),
        );
        let (upload, permit) = permit.split();
        let (decision, set_number, at, actor) = (
            permit.decision(),
            permit.set_number(),
            permit.at(),
            permit.actor().clone(),
        );
        (
            upload,
            Self {
                decision,
                set_number,
                at,
                state,
                actor,
                messages,
                permit,
            },
        )
    }
}

/// A reason on one line, with the address of the page that helps.
pub(super) fn sentence(reason: &Reason, public_url: &str) -> String {
    let mut text = reason.message.clone();
    if !reason.remedy.is_empty() {
        text = format!("{text} {}", reason.remedy);
    }
    match reason.page {
        Some(page) => format!("{text} See {public_url}/help/#{page}"),
        None => text,
    }
}

fn file_event(granted: &Granted, upload: &UploadFile, project: ProjectId) -> AuditEvent {
    let submission = &upload.submission;
    let file = submission.file_name.to_string();
    let version = submission.version.to_string();
    let size = submission.size;
    let sha256 = submission.digests.sha256_hex();
    let blake2_256 = submission.digests.blake2_256_hex();
    let set = granted.set_number;
    let detail = match granted.state {
        ReleaseState::Staged => Detail::FileStaged {
            file,
            version,
            size,
            sha256,
            blake2_256,
            set,
        },
        ReleaseState::Published => Detail::FileUploaded {
            file,
            version,
            size,
            sha256,
            blake2_256,
            set,
        },
    };
    AuditEvent::new(granted.at, granted.actor.clone(), detail)
        .about(upload.uploader)
        .in_project(project)
        .decided_by(granted.decision)
}
