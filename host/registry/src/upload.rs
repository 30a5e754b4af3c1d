//! An upload: a form and a spooled file become a file of a release.
//!
//! The checks are PyPI's, in PyPI's order, so that every client behaves as it does there. Before
//! the decision: the form ([`submission`], rows 6 to 9), names of new projects ([`new_project`],
//! rows 10 and 11). The decision: caveats and roles by the core (rows 12 to 14), everything about
//! the person by policies (rows 15 and 16). After it: [`CHECKS`], one line for each row, then
//! [`store`].

mod bounds;
mod content_checks;
mod error;
mod existing;
mod file_checks;
pub(crate) mod inspections;
mod new_project;
mod store;
pub(crate) mod submission;

use gate::{Attempt, Gate, Permit};
use model::{Action, Caller, CredentialKind, DecisionId, FileKind};

use crate::form::{FormBuilder, UploadForm};
use crate::spool::SpooledFile;
use crate::targets::{CreateProject, KnownProject, KnownRelease, UploadFile, UploadSomething};
use crate::{Registry, RegistryConfig, archive};
use existing::Existing;
use submission::{Header, Submission};

pub use error::UploadError;
pub use new_project::CreateError;

/// How often an upload is decided and tried again if others write at the same moment.
const MAX_TRIES: usize = 4;

/// An upload that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// Normalized name of the project.
    pub project: String,
    /// Canonical version.
    pub version: String,
    /// File name.
    pub file: String,
    /// The file is stored, and readers do not see it until the release is published.
    pub staged: bool,
    /// The same file existed already; nothing changed.
    pub unchanged: bool,
    /// The project is new and the caller owns it now.
    pub created_project: bool,
    /// Messages for the person: why the file is held back, warnings of policies. Lines.
    pub messages: Vec<String>,
    /// The decision.
    pub decision: DecisionId,
    /// Number of the policy set that decided.
    pub set_number: u64,
}

/// The input of the checks after the decision.
struct Subject<'a> {
    upload: &'a UploadFile,
    existing: Existing,
    config: &'a RegistryConfig,
}

/// The result of a check.
enum Step {
    /// Continue.
    Next,
    /// The same file exists: a success, and nothing changes.
    Unchanged { staged: bool },
}

type Check = fn(&Subject<'_>) -> Result<Step, UploadError>;

/// The checks after the decision. The number is PyPI's order; an earlier row wins. Row 17
/// (organizations) and 18 (rendering of descriptions) have no counterpart here yet.
const CHECKS: &[(u8, Check)] = &[
    (19, file_checks::file_name),
    (20, file_checks::content_type),
    (21, file_checks::size),
    (22, file_checks::digests),
    (23, existing::same_file), // and 24
    (25, existing::burned_name),
    (26, existing::release_age),
    (27, existing::one_source_distribution),
    (28, content_checks::archive),
    (29, content_checks::name_of_kind), // and the name's part of 30
    (30, content_checks::content),      // and of 29
    (31, content_checks::attestations),
];

impl Registry {
    /// Checks as early as the form allows (before the file is read, if it is the last part, as with
    /// every usual client) whether the caller could upload to the project at all. Not a decision;
    /// [`Registry::upload`] decides.
    pub async fn check_uploader(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        caller: &Caller,
        so_far: &FormBuilder,
    ) -> Result<(), UploadError> {
        require_credential(gate, attempt, caller).await?;
        // An incomplete form proves nothing; the complete one is checked later.
        let Ok(header) = Header::parse(so_far.fields(), self.inner.config.older_files) else {
            return Ok(());
        };
        let project =
            KnownProject::load(&self.inner.storage, header.name.normalized(), Some(caller)).await?;
        gate.check_core(attempt, caller, &UploadSomething { project })
            .await?;
        Ok(())
    }

    /// The whole use case: every check in the order of PyPI, the decision, the blob, the rows.
    pub async fn upload(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        caller: &Caller,
        form: UploadForm,
    ) -> Result<Uploaded, UploadError> {
        require_credential(gate, attempt, caller).await?;
        let (submission, file) = Submission::parse(form, self.inner.config.older_files)?;
        let mut upload = self.load_upload(caller, submission, file).await?;
        let mut counted_as_new = Vec::new();
        let mut attempt = attempt.clone();
        for number in 0..MAX_TRIES {
            if number > 0 {
                attempt = gate.renew(&attempt);
            }
            let is_new = upload.project.row.is_none();
            if is_new {
                self.check_new_project(caller, &upload.submission.name)
                    .await?;
            } else {
                self.give_back_new_project(&mut counted_as_new).await?;
            }
            // No archive is opened for a stranger.
            gate.check_core(&attempt, caller, &upload).await?;
            self.inspect(&mut upload).await?;
            let permit = gate.decide(&attempt, caller, upload).await?;
            let create = match (is_new, caller.user()) {
                (false, _) => None,
                (true, Some(user)) => {
                    let (project, name) = (
                        permit.target().project.clone(),
                        permit.target().submission.name.clone(),
                    );
                    Some(
                        gate.decide(
                            &attempt,
                            caller,
                            CreateProject {
                                project,
                                name,
                                owner: user.id,
                            },
                        )
                        .await?,
                    )
                }
                (true, None) => {
                    return Err(UploadError::rejected(
                        "no-user",
                        "Only a user can create a project by a first upload.",
                    ));
                }
            };
            match self.run_checks(permit.target()).await? {
                Step::Next => {}
                Step::Unchanged { staged } => {
                    return Ok(unchanged(&permit, staged, &self.inner.config.public_url));
                }
            }
            // Counted once, however often it is tried, and before anything is stored.
            if create.is_some() && counted_as_new.is_empty() {
                counted_as_new = self.take_new_project(gate, &attempt, caller).await?;
            }
            if permit.target().file.is_some() {
                self.take_uploaded_bytes(gate, &attempt, caller, permit.target().cost())
                    .await?;
            }
            match self.store(permit, create).await? {
                store::Outcome::Stored(uploaded) => return Ok(*uploaded),
                // Another write, or the activation of another policy set, came in between: the
                // decision may no longer hold.
                store::Outcome::Overtaken(target) => {
                    upload = self.reload_upload(caller, *target).await?
                }
            }
        }
        Err(UploadError::Unavailable(
            "others upload to this project at the same moment; try again".to_owned(),
        ))
    }

    async fn load_upload(
        &self,
        caller: &Caller,
        submission: Submission,
        file: SpooledFile,
    ) -> Result<UploadFile, UploadError> {
        let (project, release) = self.load_project_and_release(caller, &submission).await?;
        let (uploader, token) = (caller.user().map(|user| user.id), caller.token_id());
        Ok(UploadFile {
            project,
            release,
            submission,
            file: Some(file),
            uploader,
            token,
            inspected: None,
            metadata: None,
        })
    }

    async fn reload_upload(
        &self,
        caller: &Caller,
        mut upload: UploadFile,
    ) -> Result<UploadFile, UploadError> {
        (upload.project, upload.release) = self
            .load_project_and_release(caller, &upload.submission)
            .await?;
        Ok(upload)
    }

    async fn load_project_and_release(
        &self,
        caller: &Caller,
        submission: &Submission,
    ) -> Result<(KnownProject, KnownRelease), UploadError> {
        let project = KnownProject::load(
            &self.inner.storage,
            submission.name.normalized(),
            Some(caller),
        )
        .await?;
        let release = KnownRelease::load(
            &self.inner.storage,
            project.id(),
            &submission.version,
            self.inner.clock.now(),
        )
        .await?;
        Ok((project, release))
    }

    /// Inspects the file once, unless its name or size is refused anyway. An error is stored: the
    /// decision comes first, and the error is reported in its row.
    async fn inspect(&self, upload: &mut UploadFile) -> Result<(), UploadError> {
        let submission = &upload.submission;
        let is_worth_it = !submission.is_too_large
            && crate::filename::check_shape(&submission.file_name, submission.kind).is_ok()
            && (submission.kind == FileKind::Wheel || submission.file_name.ends_with(".tar.gz"));
        let Some(file) = upload
            .file
            .as_ref()
            .filter(|_| upload.inspected.is_none() && is_worth_it)
        else {
            return Ok(());
        };
        let turn = self.inner.inspections.turn(upload.uploader).await;
        let turn = turn.ok_or_else(|| {
            UploadError::Unavailable(
                "many archives are looked into at this moment; try again in a minute".to_owned(),
            )
        })?;
        let (kind, file_name, name, version) = (
            submission.kind,
            submission.file_name.clone(),
            submission.name.clone(),
            submission.version.clone(),
        );
        let inspected = file.bytes().look_through(move |file| {
            // Held to the end, even if the client has disconnected meanwhile.
            let _turn = turn;
            archive::inspect(file, kind, &file_name, &name, &version)
        });
        let inspected = inspected
            .await
            .map_err(|error| UploadError::Unavailable(error.to_string()))?;
        upload.metadata = inspected
            .as_ref()
            .ok()
            .map(|inspected| inspected.metadata.facts());
        upload.inspected = Some(inspected);
        Ok(())
    }

    async fn run_checks(&self, upload: &UploadFile) -> Result<Step, UploadError> {
        let existing = Existing::load(&self.inner.storage, upload).await?;
        let subject = Subject {
            upload,
            existing,
            config: &self.inner.config,
        };
        for (row, check) in CHECKS {
            match check(&subject) {
                Ok(Step::Next) => {}
                Ok(unchanged) => return Ok(unchanged),
                Err(error) => {
                    tracing::debug!(row, %error, "upload rejected");
                    return Err(error);
                }
            }
        }
        Ok(Step::Next)
    }
}

/// Row 5, for callers without a credential.
async fn require_credential(
    gate: &Gate,
    attempt: &Attempt,
    caller: &Caller,
) -> Result<(), UploadError> {
    if caller.credential != CredentialKind::None {
        return Ok(());
    }
    let refusal = gate
        .refuse(
            attempt,
            caller,
            Action::FileUpload,
            "no-credential",
            "Invalid or non-existent authentication information.",
            "Upload with an API token: the user name is __token__, the password is the token.",
            Some(gate::Page::Tokens),
        )
        .await;
    Err(refusal.into())
}

fn unchanged(permit: &Permit<UploadFile>, staged: bool, public_url: &str) -> Uploaded {
    let upload = permit.target();
    let mut messages = vec![format!(
        "'{}' was uploaded before and is the same; nothing changed.",
        upload.submission.file_name
    )];
    if staged {
        messages.push("It is staged: no one can see it until the release is published.".to_owned());
    }
    messages.extend(
        permit
            .warnings()
            .iter()
            .map(|reason| store::sentence(reason, public_url)),
    );
    Uploaded {
        project: upload.project.normalized.clone(),
        version: upload.release.version.to_string(),
        file: upload.submission.file_name.clone(),
        staged,
        unchanged: true,
        created_project: false,
        messages,
        decision: permit.decision(),
        set_number: permit.set_number(),
    }
}
