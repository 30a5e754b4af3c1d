//! Sending bytes, in parts. What the system has in memory is read at once; anything else is read
//! on a thread that may block.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

use crate::folder::{Folder, blocking};
use crate::{BlobName, Blobs, at_hand};

/// Bytes read from disk at a time, and the most that one slow client holds in memory.
const PART: u64 = 64 << 10;

/// A blob to read, which may not exist: that shows only when it is read.
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
    /// The blob of this name. It must have `known_size` bytes, if that is known.
    pub fn blob(&self, name: BlobName, known_size: Option<u64>) -> Blob {
        Blob {
            folder: self.folder.clone(),
            name,
            known_size,
        }
    }
}

impl Blob {
    /// The required number of bytes; none if only [`size`](Self::size) can tell.
    pub fn known_size(&self) -> Option<u64> {
        self.known_size
    }

    /// The actual size; an error if it differs from the known size.
    pub async fn size(&self) -> Result<u64, ReadError> {
        self.off_thread(|blob| blob.open().map(|(_, size)| size))
            .await
    }

    /// The bytes of a range within its size. A blob whose size differs from the known one is an
    /// error before any byte is read.
    pub async fn read(&self, range: Range<u64>) -> Result<Reading, ReadError> {
        if let Some(reading) = self.read_at_hand(&range) {
            return Ok(reading);
        }
        self.off_thread(move |blob| {
            let (file, _) = blob.open()?;
            let (first, rest) = Rest { blob, file, range }.read()?;
            Ok(Reading { first, rest })
        })
        .await
    }

    /// The same without waiting for a disk; none if that cannot be, or something is wrong.
    fn read_at_hand(&self, range: &Range<u64>) -> Option<Reading> {
        let file = at_hand::open(&self.folder.path(self.name))?;
        let size = file.metadata().ok()?.len();
        if self.known_size.is_some_and(|known| known != size) {
            return None;
        }
        let rest = Rest {
            blob: self.clone(),
            file,
            range: range.clone(),
        };
        let first = rest.at_hand()?;
        Some(Reading {
            rest: rest.after(&first),
            first,
        })
    }

    /// All bytes at once, for small blobs.
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

    /// The blob's location, for operators.
    fn place(&self) -> String {
        self.folder.path(self.name).display().to_string()
    }
}

/// A part of a blob, being read.
#[derive(Debug)]
pub struct Reading {
    /// The first bytes, read in the same step: the whole file in most cases.
    pub first: Bytes,
    /// The bytes after them.
    pub rest: Option<Rest>,
}

/// Bytes that are not read yet, at least one.
#[derive(Debug)]
pub struct Rest {
    blob: Blob,
    file: File,
    range: Range<u64>,
}

impl Rest {
    /// The next bytes, and the rest after them; an error if the file ends before the range does, so
    /// that a truncated file is never taken for a whole one.
    pub async fn next(self) -> Result<(Bytes, Option<Self>), ReadError> {
        if let Some(part) = self.at_hand() {
            let rest = self.after(&part);
            return Ok((part, rest));
        }
        let blob = self.blob.clone();
        blob.off_thread(|_| self.read()).await
    }

    /// Bytes of the next part.
    fn length(&self) -> usize {
        self.range.end.saturating_sub(self.range.start).min(PART) as usize
    }

    /// The next part, if it need not be waited for.
    fn at_hand(&self) -> Option<Bytes> {
        let mut part = vec![0; self.length()];
        at_hand::read(&self.file, &mut part, self.range.start).then(|| part.into())
    }

    fn read(self) -> Result<(Bytes, Option<Self>), ReadError> {
        let mut part = vec![0; self.length()];
        self.file
            .read_exact_at(&mut part, self.range.start)
            .map_err(|cause| self.blob.unreadable(cause))?;
        let part = part.into();
        let rest = self.after(&part);
        Ok((part, rest))
    }

    /// What comes after this part.
    fn after(mut self, part: &Bytes) -> Option<Self> {
        self.range.start += part.len() as u64;
        (self.range.start < self.range.end).then_some(self)
    }
}
