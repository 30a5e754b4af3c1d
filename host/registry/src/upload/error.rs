//! Why an upload failed.

use gate::Refusal;
use model::limit::bytes_in_words;
use storage::StorageError;

use crate::archive::ArchiveError;
use crate::spool::SpoolError;

/// Why an upload failed.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The request is wrong; nothing was stored.
    #[error("{message}")]
    Rejected {
        /// HTTP status.
        status: u16,
        /// Stable code for programs.
        code: &'static str,
        /// For the person, and for clients that match on it: reason phrase and body. One line, at
        /// most [`UploadError::MAX_MESSAGE`] characters.
        message: String,
    },
    /// A decision refused it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A failure on our side: 503, worth a retry.
    #[error("the registry cannot store files right now: {0}")]
    Unavailable(String),
}

impl UploadError {
    /// Longest message, in characters.
    pub const MAX_MESSAGE: usize = 1000;

    /// A 400.
    pub(crate) fn rejected(code: &'static str, message: impl AsRef<str>) -> Self {
        Self::with_status(400, code, message)
    }

    /// The message may repeat uploaded text; here, in one place, it is made safe for a header line.
    pub(crate) fn with_status(status: u16, code: &'static str, message: impl AsRef<str>) -> Self {
        let message = message
            .as_ref()
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(Self::MAX_MESSAGE)
            .collect();
        Self::Rejected {
            status,
            code,
            message,
        }
    }
}

impl From<StorageError> for UploadError {
    fn from(error: StorageError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<SpoolError> for UploadError {
    fn from(error: SpoolError) -> Self {
        match error {
            SpoolError::FarTooLarge { limit } => Self::rejected(
                "file-too-large",
                format!("File too large. The limit is {}.", bytes_in_words(limit)),
            ),
            SpoolError::Write(cause) => Self::Unavailable(cause.to_string()),
        }
    }
}

impl From<ArchiveError> for UploadError {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Archive(_) => Self::rejected("invalid-archive", error.to_string()),
            ArchiveError::Sdist(_) => Self::rejected("invalid-sdist", error.to_string()),
            ArchiveError::Wheel(_) => Self::rejected("invalid-wheel", error.to_string()),
            ArchiveError::Io(cause) => Self::Unavailable(cause),
        }
    }
}
