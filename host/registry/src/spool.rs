//! Bytes on their way in: written to disk while three digests are computed.
//!
//! Chunks are gathered into batches of [`BATCH_BYTES`]; a full batch is hashed and written
//! on a blocking thread while the next one is gathered. A slow client therefore holds a
//! buffer and a slot, never a thread, and memory stays at two batches for each upload.

use std::io::{self, Write};
use std::path::Path;

use bytes::{Bytes, BytesMut};
use md5::Md5;
use model::Digests;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use crate::Registry;
use crate::blocking::blocking;

type Blake2b256 = blake2::Blake2b<blake2::digest::consts::U32>;

/// Bytes that are hashed and written in one go.
const BATCH_BYTES: usize = 256 << 10;

/// A file being received. Dropping it deletes what was written.
#[derive(Debug)]
pub struct Spool {
    limit: u64,
    received: u64,
    batch: BytesMut,
    work: Work,
    _slot: OwnedSemaphorePermit,
}

/// Where the file and its hashers are: here, or on a blocking thread with a batch.
#[derive(Debug)]
enum Work {
    Here(Box<Hashing>),
    Away(JoinHandle<io::Result<Box<Hashing>>>),
}

#[derive(Debug)]
struct Hashing {
    file: NamedTempFile,
    md5: Md5,
    sha256: Sha256,
    blake2: Blake2b256,
}

impl Hashing {
    fn absorb(&mut self, batch: &[u8]) -> io::Result<()> {
        self.md5.update(batch);
        self.sha256.update(batch);
        self.blake2.update(batch);
        self.file.write_all(batch)
    }
}

/// Why bytes could not be received.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    #[error("cannot store the uploaded file: {0}")]
    Io(#[from] io::Error),
    /// Far beyond the limit: stop reading the request.
    #[error("the uploaded file is larger than twice the limit of {limit} bytes")]
    FarTooLarge { limit: u64 },
}

impl Spool {
    /// Starts to receive a file. Waits while too many uploads are under way.
    pub async fn create(registry: &Registry) -> Result<Self, SpoolError> {
        let slot = registry
            .inner
            .upload_slots
            .clone()
            .acquire_owned()
            .await
            .map_err(io::Error::other)?;
        let inner = registry.inner.clone();
        let file = blocking(move || inner.blobs.create_incoming()).await?;
        let hashing = Hashing {
            file,
            md5: Md5::new(),
            sha256: Sha256::new(),
            blake2: Blake2b256::new(),
        };
        Ok(Self {
            limit: registry.inner.config.max_file_bytes,
            received: 0,
            batch: BytesMut::new(),
            work: Work::Here(Box::new(hashing)),
            _slot: slot,
        })
    }

    /// Adds bytes. What lies beyond the size limit is counted, not kept, so that the
    /// refusal can name the project; at twice the limit it is an error.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), SpoolError> {
        self.received = self.received.saturating_add(chunk.len() as u64);
        if self.received > self.limit {
            self.batch = BytesMut::new();
            if self.received <= self.limit.saturating_mul(2) {
                return Ok(());
            }
            // The file is deleted here and now, not when the last batch is written.
            drop(self.take_work().await);
            return Err(SpoolError::FarTooLarge { limit: self.limit });
        }
        self.batch.extend_from_slice(&chunk);
        if self.batch.len() >= BATCH_BYTES {
            self.send_batch().await
        } else {
            Ok(())
        }
    }

    /// The whole file with its digests.
    pub async fn finish(mut self) -> Result<SpooledFile, SpoolError> {
        let mut hashing = self.take_work().await?;
        let batch = self.batch.split().freeze();
        let (path, digests) = blocking(move || {
            hashing.absorb(&batch)?;
            let digests = Digests {
                md5: hashing.md5.finalize().into(),
                sha256: hashing.sha256.finalize().into(),
                blake2_256: hashing.blake2.finalize().into(),
            };
            Ok((hashing.file.into_temp_path(), digests))
        })
        .await?;
        Ok(SpooledFile {
            path,
            digests,
            size: self.received,
            limit: self.limit,
            _slot: self._slot,
        })
    }

    async fn send_batch(&mut self) -> Result<(), SpoolError> {
        let mut hashing = self.take_work().await?;
        let batch = self.batch.split().freeze();
        self.work = Work::Away(tokio::task::spawn_blocking(move || {
            hashing.absorb(&batch).map(|()| hashing)
        }));
        Ok(())
    }

    /// Waits for the batch that is being written. After an error the spool is useless, and
    /// every further call fails.
    async fn take_work(&mut self) -> Result<Box<Hashing>, SpoolError> {
        let gone = || {
            Work::Away(tokio::task::spawn_blocking(|| {
                Err(io::Error::other("an earlier write failed"))
            }))
        };
        match std::mem::replace(&mut self.work, gone()) {
            Work::Here(hashing) => Ok(hashing),
            Work::Away(handle) => Ok(handle.await.map_err(io::Error::other)??),
        }
    }
}

/// A received file in the incoming folder, deleted on drop unless it became a blob.
#[derive(Debug)]
pub struct SpooledFile {
    path: tempfile::TempPath,
    digests: Digests,
    size: u64,
    limit: u64,
    _slot: OwnedSemaphorePermit,
}

impl SpooledFile {
    /// Digests of everything received; of the beginning only when it is too large.
    pub fn digests(&self) -> Digests {
        self.digests
    }

    /// Bytes received.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether there was more than may be stored; then the bytes are incomplete.
    pub fn is_too_large(&self) -> bool {
        self.size > self.limit
    }

    /// The file itself, no longer tied to the upload.
    pub(crate) fn into_path(self) -> tempfile::TempPath {
        self.path
    }

    /// Where the bytes are.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
