//! Receiving bytes: they are written to disk while three digests are computed.
//!
//! Chunks are collected into batches of [`BATCH_BYTES`]; a full batch is hashed and written on a
//! blocking thread while the next one is collected. A slow client therefore holds a buffer, never a
//! thread, and each upload needs memory for two batches only.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use md5::Md5;
use model::Digests;
use sha2::{Digest, Sha256};
use tempfile::{NamedTempFile, TempPath};
use tokio::task::JoinHandle;

use crate::folder::{Folder, blocking};
use crate::{BlobName, Blobs, ReadError};

type Blake2b256 = blake2::Blake2b<blake2::digest::consts::U32>;

/// Bytes that are hashed and written in one go.
const BATCH_BYTES: usize = 256 << 10;

/// Why bytes could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A file that is being received. Dropping it deletes the written bytes.
#[derive(Debug)]
pub struct Incoming {
    folder: Arc<Folder>,
    size: u64,
    batch: BytesMut,
    work: Work,
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

impl Blobs {
    /// Starts to receive a file.
    pub async fn receive(&self) -> Result<Incoming, WriteError> {
        let folder = self.folder.clone();
        let file = blocking(move || folder.create_incoming()).await?;
        let hashing = Hashing {
            file,
            md5: Md5::new(),
            sha256: Sha256::new(),
            blake2: Blake2b256::new(),
        };
        Ok(Incoming {
            folder: self.folder.clone(),
            size: 0,
            batch: BytesMut::new(),
            work: Work::Here(Box::new(hashing)),
        })
    }
}

impl Incoming {
    /// Adds bytes.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), WriteError> {
        self.size += chunk.len() as u64;
        self.batch.extend_from_slice(&chunk);
        if self.batch.len() < BATCH_BYTES {
            return Ok(());
        }
        let mut hashing = self.take_work().await?;
        let batch = self.batch.split().freeze();
        self.work = Work::Away(tokio::task::spawn_blocking(move || {
            hashing.absorb(&batch).map(|()| hashing)
        }));
        Ok(())
    }

    /// Deletes the file at once instead of after the last batch; every further call fails.
    pub async fn discard(&mut self) {
        self.batch = BytesMut::new();
        drop(self.take_work().await);
    }

    /// The complete file with its digests.
    pub async fn finish(mut self) -> Result<Received, WriteError> {
        let mut hashing = self.take_work().await?;
        let batch = self.batch.split().freeze();
        let (file, digests) = blocking(move || {
            hashing.absorb(&batch)?;
            let digests = Digests {
                md5: hashing.md5.finalize().into(),
                sha256: hashing.sha256.finalize().into(),
                blake2_256: hashing.blake2.finalize().into(),
            };
            Ok((hashing.file.into_temp_path(), digests))
        })
        .await?;
        Ok(Received {
            folder: self.folder,
            file,
            digests,
            size: self.size,
        })
    }

    /// Waits for the batch that is being written. After an error nothing more can be received, and
    /// every further call fails.
    async fn take_work(&mut self) -> io::Result<Box<Hashing>> {
        let gone = || {
            Work::Away(tokio::task::spawn_blocking(|| {
                Err(io::Error::other("an earlier write failed"))
            }))
        };
        match std::mem::replace(&mut self.work, gone()) {
            Work::Here(hashing) => Ok(hashing),
            Work::Away(handle) => handle.await.map_err(io::Error::other)?,
        }
    }
}

/// A received file, deleted on drop unless it became a blob.
#[derive(Debug)]
pub struct Received {
    folder: Arc<Folder>,
    file: TempPath,
    digests: Digests,
    size: u64,
}

impl Received {
    /// Digests of all its bytes.
    pub fn digests(&self) -> Digests {
        self.digests
    }

    /// Bytes received.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads the file from its beginning on a blocking thread. The work continues even if no one
    /// waits for it any longer.
    pub async fn look_through<T: Send + 'static>(
        &self,
        work: impl FnOnce(File) -> T + Send + 'static,
    ) -> Result<T, ReadError> {
        let path = self.file.to_path_buf();
        let place = path.display().to_string();
        blocking(move || File::open(path).map(work))
            .await
            .map_err(|cause| ReadError::Io { place, cause })
    }

    /// Makes it the blob [`BlobName::File`] of its BLAKE2b-256. When it returns, the blob survives
    /// a crash.
    pub async fn keep(self) -> Result<(), WriteError> {
        let Self {
            folder,
            file,
            digests,
            ..
        } = self;
        let name = BlobName::File(digests.blake2_256);
        Ok(blocking(move || folder.put(file, name)).await?)
    }
}
