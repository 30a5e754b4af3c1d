//! Where files stay: content-addressed by BLAKE2b-256, immutable, `ab/cd/<hex>`; and core
//! metadata, content-addressed by SHA-256, `ab/cd/<hex>.metadata`: once, however many files
//! of a release have the same. (Earlier it lay beside its wheel, under the wheel's digest.)
//!
//! A blob is durable before any row names it: its bytes are synced, then it is renamed
//! into place, then the folders are synced. What a crash leaves behind is a blob without
//! a row or a file in `incoming`, which [`crate::Registry::sweep_orphans`] removes.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use model::audit::{Actor, AuditEvent, EventKind};
use tempfile::{NamedTempFile, TempPath};

use crate::Registry;
use crate::spool::blocking;

/// Nothing younger than this is an orphan. Far longer than any upload may take.
const ORPHAN_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Digests that a sweep reads from the database at once.
const REFERENCES: u32 = 1000;

/// The folder of blobs.
pub(crate) struct BlobStore {
    root: PathBuf,
    incoming: PathBuf,
    /// Folders known to survive a crash; at most 65,792.
    durable_folders: Mutex<HashSet<PathBuf>>,
}

impl BlobStore {
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let incoming = root.join("incoming");
        create_private(root)?;
        create_private(&incoming)?;
        let root = fs::canonicalize(root)?;
        Ok(Self {
            incoming: root.join("incoming"),
            root,
            durable_folders: Mutex::default(),
        })
    }

    /// The folder of what is not a blob yet.
    pub(crate) fn incoming(&self) -> &Path {
        &self.incoming
    }

    /// A new file for an upload, deleted on drop.
    pub(crate) fn create_incoming(&self) -> io::Result<NamedTempFile> {
        tempfile::Builder::new()
            .prefix("upload-")
            .tempfile_in(&self.incoming)
    }

    /// Where a blob is, whether it exists or not.
    pub(crate) fn path(&self, blake2_256: &[u8; 32]) -> PathBuf {
        let hex = data_encoding::HEXLOWER.encode(blake2_256);
        self.root.join(&hex[0..2]).join(&hex[2..4]).join(&hex)
    }

    /// Where core metadata of this SHA-256 is, whether it exists or not; by the BLAKE2b-256 of
    /// a file of before, where its own is.
    pub(crate) fn metadata_path(&self, digest: &[u8; 32]) -> PathBuf {
        let mut path = self.path(digest).into_os_string();
        path.push(".metadata");
        path.into()
    }

    /// Makes a received file a blob. Blocking; when it returns, the blob survives a crash.
    ///
    /// A blob that exists already is replaced by the same bytes: that makes it young, so
    /// that a sweeper does not take an orphan away that is about to be referenced.
    pub(crate) fn put(&self, file: TempPath, blake2_256: &[u8; 32]) -> io::Result<()> {
        let target = self.path(blake2_256);
        let folder = target.parent().expect("a blob lies in a folder");
        self.make_folder(folder)?;
        File::open(&file)?.sync_all()?;
        file.persist(&target).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()
    }

    /// The same for core metadata.
    pub(crate) fn put_metadata(&self, metadata: &[u8], sha256: &[u8; 32]) -> io::Result<()> {
        let target = self.metadata_path(sha256);
        let folder = target.parent().expect("a blob lies in a folder");
        self.make_folder(folder)?;
        let mut file = self.create_incoming()?;
        file.write_all(metadata)?;
        file.as_file().sync_all()?;
        file.persist(&target).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()
    }

    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        if self
            .durable_folders
            .lock()
            .expect("not poisoned")
            .contains(folder)
        {
            return Ok(());
        }
        create_private(folder)?;
        let parent = folder.parent().expect("a blob's folder lies in a folder");
        File::open(parent)?.sync_all()?;
        File::open(&self.root)?.sync_all()?;
        self.durable_folders
            .lock()
            .expect("not poisoned")
            .insert(folder.to_owned());
        Ok(())
    }
}

fn create_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

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

/// Why a sweep ended early.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    #[error("cannot read the folder of blobs: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Storage(#[from] storage::StorageError),
}

impl Registry {
    /// Removes blobs that no file refers to and files of uploads that never ended, if they
    /// are older than a day; audited if it removed something.
    pub async fn sweep_orphans(&self) -> Result<Swept, SweepError> {
        self.sweep_older_than(ORPHAN_AGE).await
    }

    pub(crate) async fn sweep_older_than(&self, age: Duration) -> Result<Swept, SweepError> {
        let mut swept = Swept::default();
        let inner = self.inner.clone();
        (swept.incoming, swept.bytes) =
            blocking(move || sweep_incoming(&inner.blobs.incoming, age)).await?;
        let inner = self.inner.clone();
        // A folder of folders at a time: of a million files, four thousand, and one question to
        // the database for each thousand of them.
        for outer in blocking(move || hex_folders(&inner.blobs.root)).await? {
            let old = blocking(move || old_blobs_below(&outer, age)).await?;
            let referenced = self.referenced_among(&old).await?;
            for (digest, path) in old {
                let is_metadata = path.extension().is_some();
                // Asked again of the few that are left: it may have been uploaded meanwhile. Of a
                // file of before, metadata has the name of the file's content.
                if referenced.contains(&digest)
                    || self.inner.storage.is_blob_referenced(&digest).await?
                    || (is_metadata && self.inner.storage.is_metadata_referenced(&digest).await?)
                {
                    continue;
                }
                let inner = self.inner.clone();
                if let Some(bytes) =
                    blocking(move || remove_if_still_old(&inner.blobs, &path, age)).await?
                {
                    swept.blobs += 1;
                    swept.bytes += bytes;
                }
            }
        }
        if swept != Swept::default() {
            let detail = serde_json::json!({ "blobs": swept.blobs, "incoming": swept.incoming, "bytes": swept.bytes });
            let at = self.inner.clock.now();
            let event = AuditEvent {
                at,
                kind: EventKind::OrphansSwept,
                actor: Actor::System,
                user: None,
                project: None,
                decision: None,
                detail,
            };
            self.inner.storage.record_event(&event).await?;
        }
        Ok(swept)
    }
}

impl Registry {
    /// Those that files refer to, and others. The blobs are those of one folder of folders, so
    /// they are close together in the order of their digests.
    async fn referenced_among(
        &self,
        blobs: &[([u8; 32], PathBuf)],
    ) -> Result<HashSet<[u8; 32]>, SweepError> {
        let mut referenced = HashSet::new();
        let digests = || blobs.iter().map(|(digest, _)| digest);
        let (Some(first), Some(last)) = (digests().min(), digests().max()) else {
            return Ok(referenced);
        };
        if self.inner.storage.is_blob_referenced(first).await? {
            referenced.insert(*first);
        }
        for is_metadata in [false, true] {
            let mut after = *first;
            loop {
                let storage = &self.inner.storage;
                let found = if is_metadata {
                    storage.metadata_blobs(&after, REFERENCES).await?
                } else {
                    storage.blobs(Some(&after), REFERENCES).await?
                };
                let is_last = found.len() < REFERENCES as usize
                    || found.last().is_none_or(|digest| digest >= last);
                after = found.last().copied().unwrap_or(after);
                referenced.extend(found);
                if is_last {
                    break;
                }
            }
        }
        Ok(referenced)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "compared with times that the file system gave"
)]
fn is_old(metadata: &fs::Metadata, age: Duration) -> bool {
    // A file from the future is not old: the clock was set back.
    metadata.modified().is_ok_and(|modified| {
        SystemTime::now()
            .duration_since(modified)
            .is_ok_and(|since| since >= age)
    })
}

fn sweep_incoming(incoming: &Path, age: Duration) -> io::Result<(u64, u64)> {
    let (mut files, mut bytes) = (0, 0);
    for entry in fs::read_dir(incoming)? {
        let entry = entry?;
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        if metadata.is_file() && is_old(&metadata, age) && fs::remove_file(entry.path()).is_ok() {
            files += 1;
            bytes += metadata.len();
        }
    }
    Ok((files, bytes))
}

/// Blobs in the folders `ab/cd` of one folder `ab`.
fn old_blobs_below(outer: &Path, age: Duration) -> io::Result<Vec<([u8; 32], PathBuf)>> {
    let mut found = Vec::new();
    for folder in hex_folders(outer)? {
        found.extend(old_blobs(&folder, age)?);
    }
    Ok(found)
}

/// Folders named by two hexadecimal digits. Anything else in the blob folder is not ours and is
/// left alone.
fn hex_folders(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_hex = name.to_str().is_some_and(|name| {
            name.len() == 2 && name.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
        });
        if is_hex && entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn old_blobs(folder: &Path, age: Duration) -> io::Result<Vec<([u8; 32], PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let Ok(digest) = data_encoding::HEXLOWER
            .decode(name.strip_suffix(".metadata").unwrap_or(name).as_bytes())
        else {
            continue;
        };
        let Ok(digest) = <[u8; 32]>::try_from(digest) else {
            continue;
        };
        if entry
            .metadata()
            .is_ok_and(|metadata| metadata.is_file() && is_old(&metadata, age))
        {
            found.push((digest, entry.path()));
        }
    }
    Ok(found)
}

/// Takes the file aside before it is removed: if an upload has put the same content there
/// since it was looked at, what we took is young and goes back.
fn remove_if_still_old(store: &BlobStore, path: &Path, age: Duration) -> io::Result<Option<u64>> {
    let aside = store.create_incoming()?.into_temp_path();
    match fs::rename(path, &aside) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    let metadata = fs::metadata(&aside)?;
    if is_old(&metadata, age) {
        return Ok(Some(metadata.len()));
    }
    aside.persist(path).map_err(|error| error.error)?;
    Ok(None)
}
