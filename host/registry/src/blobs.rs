//! Where files stay: content-addressed, immutable.

use crate::Registry;

/// What a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Blobs that no file refers to.
    pub blobs: u64,
    /// Files of uploads that never ended.
    pub incoming: u64,
    /// Bytes freed.
    pub bytes: u64,
}

impl Registry {
    /// Removes blobs that no file refers to and files of uploads that never ended, if they
    /// are older than a day; audited if it removed something.
    pub async fn sweep_orphans(&self) -> Result<Swept, SweepError> {
        todo!()
    }
}

/// Why a sweep ended early.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    #[error("cannot read the folder of blobs: {0}")]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Storage(#[from] storage::StorageError),
}
