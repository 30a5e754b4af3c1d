//! Row 32: the blob, then the rows in one transaction with their audit events.

use gate::{Permit, Reason};
use model::audit::{Actor, AuditEvent, EventKind};
use model::{DecisionId, FileId, ProjectId, ReleaseId, ReleaseState, Role, Timestamp};
use sha2::{Digest, Sha256};
use storage::files::NewFile;
use storage::projects::NewProject;
use storage::releases::NewRelease;
use storage::{StorageError, UnitOfWork};

use super::{UploadError, Uploaded};
use crate::Registry;
use crate::archive::Inspected;
use crate::spool::blocking;
use crate::targets::{CreateProject, UploadFile, still_holds};

/// What storing came to.
pub(super) enum Outcome {
    Stored(Box<Uploaded>),
    /// Somebody else wrote in between, and what was decided may not hold any more.
    Overtaken(Box<UploadFile>),
}

/// What is left of a permit once its target is taken out of it.
struct Granted {
    decision: DecisionId,
    set_number: u64,
    at: Timestamp,
    state: ReleaseState,
    actor: Actor,
    messages: Vec<String>,
}

impl Registry {
    pub(super) async fn store(&self, permit: Permit<UploadFile>, create: Option<Permit<CreateProject>>) -> Result<Outcome, UploadError> {
        let granted = Granted::of(&permit, &self.inner.config.public_url);
        let mut upload = permit.into_target();
        let Some(Ok(inspected)) = upload.inspected.clone() else { return Err(UploadError::Unavailable("the file was not inspected".to_owned())) };
        if let Some(create) = &create {
            self.take_new_project(create.target().owner).await?;
        }
        self.put_blob(&mut upload, &inspected).await?;
        match self.write(&granted, &upload, &inspected, create.as_ref()).await {
            Ok(Written::Committed) => {}
            Ok(Written::Overtaken) => return Ok(Outcome::Overtaken(Box::new(upload))),
            Err(error) if error.conflict().is_some() => {
                // Which rule it was shows when everything is loaded and checked again.
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

    /// Invariant: when this returns, the blob survives a crash. Rows come after it.
    async fn put_blob(&self, upload: &mut UploadFile, inspected: &Inspected) -> Result<(), UploadError> {
        // Overtaken uploads come here again; their file is in place.
        let Some(file) = upload.file.take() else { return Ok(()) };
        let (inner, digest, metadata) = (self.inner.clone(), upload.submission.digests.blake2_256, inspected.metadata_file.clone());
        blocking(move || inner.blobs.put(file.into_path(), &digest, metadata.as_deref())).await.map_err(|error| UploadError::Unavailable(error.to_string()))
    }

    async fn write(
        &self,
        granted: &Granted,
        upload: &UploadFile,
        inspected: &Inspected,
        create: Option<&Permit<CreateProject>>,
    ) -> Result<Written, StorageError> {
        let mut unit = self.inner.storage.begin().await?;
        let project = match (create, upload.project.id()) {
            (Some(create), _) => create_project(&mut unit, create).await?,
            (None, Some(id)) => {
                if !still_holds(&mut unit, &upload.project, upload.uploader).await? {
                    return Ok(Written::Overtaken);
                }
                id
            }
            (None, None) => return Ok(Written::Overtaken),
        };
        let metadata = inspected.metadata.to_json();
        let release = NewRelease { id: ReleaseId::new(), project, version: &upload.submission.version, metadata: &metadata, created_at: granted.at };
        let release = unit.ensure_release(&release).await?;
        let submission = &upload.submission;
        // The checks let no name without a key come this far; its own text is one as well.
        let name_key = crate::filename::key(&submission.file_name).unwrap_or_else(|| submission.file_name.clone());
        unit.add_file(&NewFile {
            id: FileId::new(),
            release: release.id,
            name: &submission.file_name,
            name_key: &name_key,
            kind: submission.kind,
            size: submission.size,
            digests: submission.digests,
            requires_python: inspected.metadata.one("requires_python"),
            metadata_sha256: inspected.metadata_file.as_ref().map(|bytes| Sha256::digest(bytes).into()),
            python_version: &submission.python_version,
            comment: submission.comment.as_deref(),
            uploaded_at: granted.at,
            uploaded_by: upload.uploader,
            uploaded_with: upload.token,
            state: granted.state,
        })
        .await?;
        unit.commit(&file_event(granted, upload, project)).await?;
        Ok(Written::Committed)
    }
}

enum Written {
    Committed,
    Overtaken,
}

impl Granted {
    fn of(permit: &Permit<UploadFile>, public_url: &str) -> Self {
        let state = if permit.is_staged() { ReleaseState::Staged } else { ReleaseState::Published };
        let mut messages: Vec<String> = Vec::new();
        if permit.is_staged() {
            messages.push(format!("'{}' is stored and staged: nobody sees it until the release is published.", permit.target().submission.file_name));
            messages.extend(permit.reasons().iter().map(|reason| sentence(reason, public_url)));
        }
        messages.extend(permit.warnings().iter().map(|reason| format!("Warning: {}", sentence(reason, public_url))));
        Self { decision: permit.decision(), set_number: permit.set_number(), at: permit.at(), state, actor: permit.actor().clone(), messages }
    }
}

/// A reason in one line, with the address of the page that helps.
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

async fn create_project(unit: &mut UnitOfWork, permit: &Permit<CreateProject>) -> Result<ProjectId, StorageError> {
    let CreateProject { name, owner, .. } = permit.target();
    let id = ProjectId::new();
    unit.create_project(&NewProject { id, name, created_at: permit.at() }).await?;
    unit.grant_role(id, *owner, Role::Owner, permit.at()).await?;
    unit.also(&AuditEvent {
        at: permit.at(),
        kind: EventKind::ProjectCreated,
        actor: permit.actor().clone(),
        user: Some(*owner),
        project: Some(id),
        decision: Some(permit.decision()),
        detail: serde_json::json!({ "name": name.as_written(), "owner": owner.to_string(), "set": permit.set_number() }),
    });
    Ok(id)
}

fn file_event(granted: &Granted, upload: &UploadFile, project: ProjectId) -> AuditEvent {
    let submission = &upload.submission;
    AuditEvent {
        at: granted.at,
        kind: if granted.state == ReleaseState::Staged { EventKind::FileStaged } else { EventKind::FileUploaded },
        actor: granted.actor.clone(),
        user: upload.uploader,
        project: Some(project),
        decision: Some(granted.decision),
        detail: serde_json::json!({
            "file": submission.file_name,
            "version": submission.version.to_string(),
            "size": submission.size,
            "sha256": submission.digests.sha256_hex(),
            "blake2_256": submission.digests.blake2_256_hex(),
            "set": granted.set_number,
        }),
    }
}
