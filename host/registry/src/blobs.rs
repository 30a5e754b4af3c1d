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

use tempfile::{NamedTempFile, TempPath};

/// The folder of blobs.
pub(crate) struct BlobStore {
    pub(crate) root: PathBuf,
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

pub(crate) fn sweep_incoming(incoming: &Path, age: Duration) -> io::Result<(u64, u64)> {
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
pub(crate) fn old_blobs_below(outer: &Path, age: Duration) -> io::Result<Vec<([u8; 32], PathBuf)>> {
    let mut found = Vec::new();
    for folder in hex_folders(outer)? {
        found.extend(old_blobs(&folder, age)?);
    }
    Ok(found)
}

/// Folders named by two hexadecimal digits. Anything else in the blob folder is not ours and is
/// left alone.
pub(crate) fn hex_folders(folder: &Path) -> io::Result<Vec<PathBuf>> {
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
pub(crate) fn remove_if_still_old(
    store: &BlobStore,
    path: &Path,
    age: Duration,
) -> io::Result<Option<u64>> {
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
