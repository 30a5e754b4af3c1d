//! Bytes on their way in: written to disk while three digests are computed.

use std::path::Path;

use bytes::Bytes;
use model::Digests;

use crate::Registry;

/// A file being received. Dropping it deletes what was written.
#[derive(Debug)]
pub struct Spool {}

/// Why bytes could not be received.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    #[error("cannot store the uploaded file: {0}")]
    Io(#[from] std::io::Error),
    /// Far beyond the limit: stop reading the request.
    #[error("the uploaded file is larger than twice the limit of {limit} bytes")]
    FarTooLarge { limit: u64 },
}

impl Spool {
    /// Starts to receive a file. Waits while too many uploads are under way.
    pub async fn create(registry: &Registry) -> Result<Self, SpoolError> {
        let _ = registry;
        todo!()
    }

    /// Adds bytes. What lies beyond the size limit is counted, not kept, so that the
    /// refusal can name the project; at twice the limit it is an error.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), SpoolError> {
        let _ = chunk;
        todo!()
    }

    /// The whole file with its digests.
    pub async fn finish(self) -> Result<SpooledFile, SpoolError> {
        todo!()
    }
}

/// A received file in the incoming folder, deleted on drop unless it became a blob.
#[derive(Debug)]
pub struct SpooledFile {
    digests: Digests,
    size: u64,
}

impl SpooledFile {
    /// Digests of everything received; of nothing useful when too large.
    pub fn digests(&self) -> Digests {
        self.digests
    }

    /// Bytes received.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Where the bytes are.
    pub fn path(&self) -> &Path {
        todo!()
    }
}
