//! One rendered page: in memory, or, if it is large, in a temporary file.
//!
//! A client may read as slowly as it likes, and its page must not be dropped meanwhile. So a page
//! of megabytes, of which token holders can create many, is kept in an unnamed file and sent from
//! there; the total size of such files is limited.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use blobs::Blobs;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use model::limit::{PAGE_IN_MEMORY, PAGE_WAIT, PAGES_AT_ONCE};
use sha2::{Digest, Sha256};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::blocking::blocking;

/// Minimum size of a page that is worth compressing.
pub(crate) const LARGE: usize = 16 << 10;
/// Bytes of a file that are read and sent at a time.
const PART: u64 = 64 << 10;
/// Bytes of space that one permit represents.
const ROOM_UNIT: u64 = 64 << 10;
/// The weight of a page in a file in the cache: a quarter of its length, so that pages that are
/// only cached leave most of the space to those being read, and at least this much, since it holds
/// files open.
const LEAST_WEIGHT: usize = 512 << 10;

/// A rendered page, shared with the cache.
#[derive(Clone, Debug)]
pub struct Page {
    pub body: PageBytes,
    /// With quotes.
    pub etag: Arc<str>,
    /// `X-PyPI-Last-Serial`.
    pub last_serial: i64,
    files: PageFiles,
    /// The compressed body, once it was requested.
    gzip: Arc<OnceCell<PageBytes>>,
}

impl Page {
    /// Writes a large page to a file: do not call it on the serving threads.
    pub(crate) fn new(body: Vec<u8>, last_serial: i64, files: &PageFiles) -> io::Result<Self> {
        let digest = Sha256::digest(&body);
        let etag = format!("\"{}\"", data_encoding::HEXLOWER.encode(&digest[..16])).into();
        Ok(Self {
            body: files.keep(body)?,
            etag,
            last_serial,
            files: files.clone(),
            gzip: Arc::default(),
        })
    }

    /// Whether the page is worth compressing.
    pub fn is_large(&self) -> bool {
        self.body.length() >= LARGE as u64
    }

    /// The body compressed with gzip: once, off the serving threads, and then cached with it, even
    /// if the requester is gone. None for a page that is not large, and if the work was interrupted
    /// or waited too long for a place: then the page is sent uncompressed.
    pub async fn gzip(&self) -> Option<PageBytes> {
        if !self.is_large() {
            return None;
        }
        if let Some(compressed) = self.gzip.get() {
            return Some(compressed.clone());
        }
        let page = self.clone();
        let compressed = tokio::spawn(async move {
            let compress = async {
                let wait = Duration::from_millis(PAGE_WAIT.milliseconds());
                let place = timeout(wait, page.files.compressing.clone().acquire_owned());
                let place = place.await?.map_err(io::Error::other)?;
                let (body, files) = (page.body.clone(), page.files.clone());
                blocking(move || {
                    let _place = place;
                    body.compressed(&files)
                })
                .await
            };
            page.gzip.get_or_try_init(|| compress).await.ok().cloned()
        });
        compressed.await.ok().flatten()
    }

    /// Bytes in memory, including the compressed body; only a part for a page in a file.
    pub(crate) fn weight(&self) -> usize {
        page_weight(usize::try_from(self.body.length()).unwrap_or(usize::MAX))
    }
}

/// The same for a page of this length.
pub(crate) fn page_weight(length: usize) -> usize {
    match length {
        0..LARGE => length,
        _ if length <= PAGE_IN_MEMORY.length() => length + length / 2,
        _ => (length / 4).max(LEAST_WEIGHT),
    }
}

/// The bytes of a page.
#[derive(Clone, Debug)]
pub enum PageBytes {
    Memory(Bytes),
    File(PageFile),
}

/// An unnamed file, and its share of the space.
#[derive(Clone, Debug)]
pub struct PageFile {
    file: Arc<File>,
    length: u64,
    _room: Arc<OwnedSemaphorePermit>,
}

impl PageBytes {
    pub fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(file) => file.length,
        }
    }

    /// The bytes from `position`, as many as are sent at a time; none at the end.
    pub async fn part(&self, position: u64) -> io::Result<Option<Bytes>> {
        if position >= self.length() {
            return Ok(None);
        }
        match self {
            Self::Memory(bytes) => Ok(Some(bytes.slice(position as usize..))),
            Self::File(file) => {
                let file = file.clone();
                blocking(move || file.read(position, PART).map(Some)).await
            }
        }
    }

    fn compressed(&self, files: &PageFiles) -> io::Result<Self> {
        let level = Compression::new(5);
        match self {
            Self::Memory(bytes) => {
                let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), level);
                encoder.write_all(bytes)?;
                files.keep(encoder.finish()?)
            }
            Self::File(page) => {
                // Incompressible data grows by a few bytes in each block.
                let mut written = files.create(page.length + page.length / 1000 + ROOM_UNIT)?;
                let mut encoder = GzEncoder::new(io::BufWriter::new(&mut written), level);
                let mut position = 0;
                while position < page.length {
                    let part = page.read(position, PART)?;
                    encoder.write_all(&part)?;
                    position += part.len() as u64;
                }
                encoder.finish()?.flush()?;
                written.finish()
            }
        }
    }
}

impl PageFile {
    fn read(&self, position: u64, most: u64) -> io::Result<Bytes> {
        let mut part = vec![0; self.length.saturating_sub(position).min(most) as usize];
        self.file.read_exact_at(&mut part, position)?;
        Ok(part.into())
    }
}

/// Where large pages are written, and how much space is left for them.
#[derive(Clone, Debug)]
pub(crate) struct PageFiles {
    blobs: Blobs,
    room: Arc<Semaphore>,
    /// Places for compressing.
    compressing: Arc<Semaphore>,
}

/// A file that is being written.
struct Written {
    file: File,
    length: u64,
    room: OwnedSemaphorePermit,
}

impl PageFiles {
    pub(crate) fn with_room(blobs: Blobs, bytes: u64) -> Self {
        let compressing = Arc::new(Semaphore::new(PAGES_AT_ONCE.length() / 2));
        Self {
            blobs,
            room: Arc::new(Semaphore::new(units(bytes) as usize)),
            compressing,
        }
    }

    /// Keeps a short body in memory and writes a longer one to a file.
    fn keep(&self, body: Vec<u8>) -> io::Result<PageBytes> {
        if body.len() <= PAGE_IN_MEMORY.length() {
            return Ok(PageBytes::Memory(body.into()));
        }
        let mut written = self.create(body.len() as u64)?;
        written.write_all(&body)?;
        written.finish()
    }

    /// A file for this many bytes, gone when it is last closed.
    fn create(&self, bytes: u64) -> io::Result<Written> {
        let no_room =
            |_| io::Error::other("too many large pages are being read; try again in a minute");
        let room = self
            .room
            .clone()
            .try_acquire_many_owned(units(bytes))
            .map_err(no_room)?;
        Ok(Written {
            file: self.blobs.nameless_file()?,
            length: 0,
            room,
        })
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Written {
    /// A result that is short enough is kept in memory; unneeded space is returned.
    fn finish(mut self) -> io::Result<PageBytes> {
        let spare = self
            .room
            .num_permits()
            .saturating_sub(units(self.length) as usize);
        drop(self.room.split(spare));
        let file = PageFile {
            file: Arc::new(self.file),
            length: self.length,
            _room: Arc::new(self.room),
        };
        match file.length <= PAGE_IN_MEMORY.get() {
            true => Ok(PageBytes::Memory(file.read(0, file.length)?)),
            false => Ok(PageBytes::File(file)),
        }
    }
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(ROOM_UNIT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn page(length: usize, files: &PageFiles) -> io::Result<Page> {
        // From pseudo-random bytes, which do not compress.
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        Page::new((0..length).map(|_| next()).collect(), 1, files)
    }

    async fn sent(bytes: &PageBytes) -> Vec<u8> {
        let mut sent = Vec::new();
        while let Some(part) = bytes.part(sent.len() as u64).await.unwrap() {
            assert!(matches!(bytes, PageBytes::Memory(_)) || part.len() as u64 <= PART);
            sent.extend_from_slice(&part);
        }
        sent
    }

    #[tokio::test]
    async fn a_page_is_sent_as_it_was_written_from_memory_and_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let files = PageFiles::with_room(Blobs::open(folder.path()).unwrap(), 64 << 20);
        let bound = PAGE_IN_MEMORY.length();
        for (length, is_in_memory) in [
            (0, true),
            (LARGE, true),
            (bound, true),
            (bound + 1, false),
            (3 * bound, false),
        ] {
            let page = page(length, &files).unwrap();
            assert_eq!(
                matches!(page.body, PageBytes::Memory(_)),
                is_in_memory,
                "{length}"
            );
            let plain = sent(&page.body).await;
            assert_eq!(plain.len(), length);
            let Some(compressed) = page.gzip().await else {
                assert!(length < LARGE);
                continue;
            };
            let mut again = Vec::new();
            flate2::read::GzDecoder::new(&sent(&compressed).await[..])
                .read_to_end(&mut again)
                .unwrap();
            assert!(again == plain, "{length}");
        }
        assert_eq!(
            std::fs::read_dir(folder.path().join("incoming"))
                .unwrap()
                .count(),
            0,
            "files without a name"
        );
    }

    #[tokio::test]
    async fn a_page_is_compressed_once_though_whoever_wanted_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let files = PageFiles::with_room(Blobs::open(folder.path()).unwrap(), 64 << 20);
        let page = page(8 * PAGE_IN_MEMORY.length(), &files).unwrap();
        let held = files
            .compressing
            .clone()
            .acquire_many_owned(PAGES_AT_ONCE.get() / 2)
            .await
            .unwrap();
        for _ in 0..20 {
            let wanted = tokio::time::timeout(std::time::Duration::from_millis(1), page.gzip());
            assert!(wanted.await.is_err(), "it is not compressed yet");
        }
        drop(held);
        let compressed = page.gzip().await.unwrap();
        assert_eq!(compressed.length(), page.gzip().await.unwrap().length());
        let taken = units(page.body.length()) + units(compressed.length());
        assert_eq!(
            files.room.available_permits(),
            (64 << 20) / ROOM_UNIT as usize - taken as usize,
            "once"
        );
    }

    #[tokio::test]
    async fn large_pages_have_room_together_and_give_it_back() {
        let folder = tempfile::tempdir().unwrap();
        let bound = PAGE_IN_MEMORY.length();
        let files = PageFiles::with_room(
            Blobs::open(folder.path()).unwrap(),
            4 * PAGE_IN_MEMORY.get(),
        );
        let whole = files.room.available_permits();
        let held = page(2 * bound, &files).unwrap();
        assert!(
            held.gzip().await.is_none(),
            "there is no room for it compressed as well"
        );
        assert!(page(3 * bound, &files).is_err());
        assert!(
            page(bound, &files).is_ok(),
            "what is not large needs no room"
        );
        let reader = held.body.clone();
        drop(held);
        assert!(page(3 * bound, &files).is_err(), "somebody reads it still");
        drop(reader);
        assert_eq!(files.room.available_permits(), whole);
        assert!(page(3 * bound, &files).is_ok());
        // A file that gets shorter only takes up its length.
        let blank = Page::new(
            vec![b' '; 3 * bound],
            1,
            &PageFiles::with_room(Blobs::open(folder.path()).unwrap(), 16 * bound as u64),
        )
        .unwrap();
        let before = blank.files.room.available_permits();
        assert!(matches!(blank.gzip().await, Some(PageBytes::Memory(_))));
        assert_eq!(blank.files.room.available_permits(), before);
    }
}
