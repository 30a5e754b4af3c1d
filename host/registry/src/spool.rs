//! Receiving bytes, up to the size limit and the limit of simultaneous uploads.

use blobs::{Incoming, Received, WriteError};
use bytes::Bytes;
use model::Digests;
use tokio::sync::OwnedSemaphorePermit;

use crate::Registry;

/// A file that is being received. Dropping it deletes the written bytes.
#[derive(Debug)]
pub struct Spool {
    incoming: Incoming,
    limit: u64,
    received: u64,
    _slot: OwnedSemaphorePermit,
}

/// Why bytes could not be received.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    #[error("cannot store the uploaded file: {0}")]
    Write(#[from] WriteError),
    /// Far beyond the limit: stop reading the request.
    #[error("the uploaded file is larger than twice the limit of {limit} bytes")]
    FarTooLarge { limit: u64 },
}

impl Spool {
    /// Starts to receive a file. Waits while too many uploads are under way.
    pub async fn create(registry: &Registry) -> Result<Self, SpoolError> {
        let slot = registry.inner.upload_slots.clone().acquire_owned();
        let slot = slot.await.expect("the slots are never closed");
        Ok(Self {
            incoming: registry.inner.blobs.receive().await?,
            limit: registry.inner.config.max_file_bytes,
            received: 0,
            _slot: slot,
        })
    }

    /// Adds bytes. Bytes beyond the size limit are counted but not stored, so that the refusal can
    /// name the project; twice the limit is an error.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), SpoolError> {
        self.received = self.received.saturating_add(chunk.len() as u64);
        if self.received <= self.limit {
            return Ok(self.incoming.write(chunk).await?);
        }
        if self.received <= self.limit.saturating_mul(2) {
            return Ok(());
        }
        self.incoming.discard().await;
        Err(SpoolError::FarTooLarge { limit: self.limit })
    }

    /// The whole file with its digests.
    pub async fn finish(self) -> Result<SpooledFile, SpoolError> {
        Ok(SpooledFile {
            bytes: self.incoming.finish().await?,
            size: self.received,
            limit: self.limit,
            _slot: self._slot,
        })
    }
}

/// A received file, deleted on drop unless it became a blob.
#[derive(Debug)]
pub struct SpooledFile {
    bytes: Received,
    size: u64,
    limit: u64,
    _slot: OwnedSemaphorePermit,
}

impl SpooledFile {
    /// Digests of everything received; only of the beginning if it is too large.
    pub fn digests(&self) -> Digests {
        self.bytes.digests()
    }

    /// Bytes received.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether it exceeded the size limit; then the bytes are incomplete.
    pub fn is_too_large(&self) -> bool {
        self.size > self.limit
    }

    /// The bytes, which become a blob if they are stored.
    pub(crate) fn bytes(&self) -> &Received {
        &self.bytes
    }

    /// The same, no longer tied to the upload.
    pub(crate) fn into_bytes(self) -> Received {
        self.bytes
    }
}
