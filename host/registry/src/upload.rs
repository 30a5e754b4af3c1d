//! An upload: a form and a spooled file become a file of a release.

use gate::{Attempt, Gate, Refusal};
use model::{Caller, DecisionId};
use storage::StorageError;

use crate::Registry;
use crate::form::{FormBuilder, UploadForm};

/// Why an upload did not happen.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The request is wrong; nothing was decided or stored.
    #[error("{message}")]
    Rejected {
        /// HTTP status.
        status: u16,
        /// Stable code for programs.
        code: &'static str,
        /// For the person, and for clients that match on it: reason phrase and body.
        message: String,
    },
    /// A decision refused it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Something of ours failed: 503, worth trying again.
    #[error("the registry cannot store files right now: {0}")]
    Unavailable(String),
}

impl From<StorageError> for UploadError {
    fn from(error: StorageError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

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
    /// The very same file was there already; nothing changed.
    pub unchanged: bool,
    /// The project is new and the caller owns it now.
    pub created_project: bool,
    /// What to tell the person: why the file is held back, warnings of policies. Lines.
    pub messages: Vec<String>,
    /// The decision.
    pub decision: DecisionId,
    /// Number of the policy set that decided.
    pub set_number: u64,
}

impl Registry {
    /// Checks as early as the form allows (before the file is read, when it is the last
    /// part as with every usual client) whether the caller could upload to the project at
    /// all. Not a decision; [`Registry::upload`] decides.
    pub async fn check_uploader(&self, gate: &Gate, attempt: &Attempt, caller: &Caller, so_far: &FormBuilder) -> Result<(), UploadError> {
        let _ = (gate, attempt, caller, so_far);
        todo!()
    }

    /// The whole use case: every check in the order of PyPI, the decision, the blob, the rows.
    pub async fn upload(&self, gate: &Gate, attempt: &Attempt, caller: &Caller, form: UploadForm) -> Result<Uploaded, UploadError> {
        let _ = (gate, attempt, caller, form);
        todo!()
    }
}
