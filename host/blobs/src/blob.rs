//! Bytes on their way out, in parts.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::folder::{Folder, blocking};
use crate::{BlobName, Blobs};

/// Bytes read from disk at a time, and the most that one slow client holds in memory.
const PART: u64 = 64 << 10;

/// A blob to read, which may have no bytes: that shows when it is read.
#[derive(Clone, Debug)]
pub struct Blob {
    folder: Arc<Folder>,
    name: BlobName,
    known_size: Option<u64>,
}

/// Why a blob cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("cannot read {place}: {cause}")]
    Io { place: String, cause: io::Error },
    #[error("{place} has not the size the database says")]
    OtherSize { place: String },
}

impl Blobs {
    /// The blob of this name. It must have `known_size` bytes, where that is known.
    pub fn blob(&self, name: BlobName, known_size: Option<u64>) -> Blob {
        Blob {
            folder: self.folder.clone(),
            name,
            known_size,
        }
    }
}

impl Blob {
    /// Bytes it must have; none if only [`size`](Self::size) can tell.
    pub fn known_size(&self) -> Option<u64> {
        self.known_size
    }

    /// Bytes it has; an error if that is not what is known.
    pub async fn size(&self) -> Result<u64, ReadError> {
        self.off_thread(|blob| blob.open().map(|(_, size)| size))
            .await
    }

    /// Its bytes in a range within its size. A blob that has another size than is known is an
    /// error before any byte is read.
    pub async fn read(&self, range: Range<u64>) -> Result<Reading, ReadError> {
        self.off_thread(move |blob| {
            let (mut file, _) = blob.open()?;
            if range.start > 0 {
                file.seek(SeekFrom::Start(range.start))
                    .map_err(|cause| blob.unreadable(cause))?;
            }
            let rest = Rest {
                file,
                left: range.end.saturating_sub(range.start),
                blob,
            };
            let (first, rest) = rest.read()?;
            Ok(Reading { first, rest })
        })
        .await
    }

    /// All its bytes at once: for what is small.
    pub async fn whole(&self) -> Result<Vec<u8>, ReadError> {
        self.off_thread(|blob| {
            let (mut file, size) = blob.open()?;
            let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
            file.read_to_end(&mut bytes)
                .map_err(|cause| blob.unreadable(cause))?;
            Ok(bytes)
        })
        .await
    }

    fn open(&self) -> Result<(File, u64), ReadError> {
        let open = || {
            let file = File::open(self.folder.path(self.name))?;
            let size = file.metadata()?.len();
            Ok((file, size))
        };
        let (file, size) = open().map_err(|cause| self.unreadable(cause))?;
        if self.known_size.is_some_and(|known| known != size) {
            return Err(ReadError::OtherSize {
                place: self.place(),
            });
        }
        Ok((file, size))
    }

    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(Self) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let blob = self.clone();
        blocking(move || Ok(work(blob)))
            .await
            .map_err(|cause| self.unreadable(cause))?
    }

    fn unreadable(&self, cause: io::Error) -> ReadError {
        ReadError::Io {
            place: self.place(),
            cause,
        }
    }

    /// Where it lies, for people who run the server.
    fn place(&self) -> String {
        self.folder.path(self.name).display().to_string()
    }
}

/// A part of a blob, being read.
#[derive(Debug)]
pub struct Reading {
    /// The first bytes, read in the same breath: all there is of most files.
    pub first: Bytes,
    /// What comes after them.
    pub rest: Option<Rest>,
}

/// Bytes that are not read yet, one at least.
#[derive(Debug)]
pub struct Rest {
    blob: Blob,
    file: File,
    left: u64,
}

impl Rest {
    /// The next bytes, and what comes after them; an error if the file ends before the range
    /// does, so that nobody takes a torn file for a whole one.
    pub async fn next(self) -> Result<(Bytes, Option<Self>), ReadError> {
        let blob = self.blob.clone();
        blob.off_thread(|_| self.read()).await
    }

    fn read(mut self) -> Result<(Bytes, Option<Self>), ReadError> {
        let mut part = vec![0; self.left.min(PART) as usize];
        self.file
            .read_exact(&mut part)
            .map_err(|cause| self.blob.unreadable(cause))?;
        self.left -= part.len() as u64;
        Ok((part.into(), (self.left > 0).then_some(self)))
    }
}
