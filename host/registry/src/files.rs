//! Downloads.

use std::path::PathBuf;

use gate::Permit;
use model::Caller;
use storage::StorageError;

use crate::Registry;
use crate::targets::DownloadFile;

/// A file to send.
#[derive(Clone, Debug)]
pub struct StoredFile {
    /// Where its bytes are.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// With its quotes; the content never changes under this address.
    pub etag: String,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// The name to save it under.
    pub name: String,
}

impl Registry {
    /// What a decision about a download needs: `/files/{first}/{second}/{rest}/{name}` where
    /// the three are the BLAKE2b-256 in hex and `name` may end in `.metadata`. There is
    /// always a target; whether the file exists shows after the decision.
    pub async fn load_download(&self, caller: &Caller, digest: (&str, &str, &str), name: &str) -> Result<DownloadFile, StorageError> {
        let _ = (caller, digest, name);
        todo!()
    }

    /// The file to send; none is a 404.
    pub async fn open_file(&self, permit: Permit<DownloadFile>) -> Result<Option<StoredFile>, StorageError> {
        let _ = permit;
        todo!()
    }
}
