//! The folder of blobs: content-addressed and immutable, `ab/cd/<hex>` and `ab/cd/<hex>.metadata`;
//! and in it `incoming`, the folder of files that are not blobs yet.
//!
//! A blob is durable before any row names it: its bytes are synced, then it is renamed into place,
//! then the folders are synced. A crash can leave a blob without a row, which [`crate::OldBlobs`]
//! finds, or a file in `incoming`, which [`Blobs::remove_old_incoming`] removes.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tempfile::{NamedTempFile, TempPath};

use crate::{BlobName, WriteError};

/// All blobs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Blobs {
    pub(crate) folder: Arc<Folder>,
}

/// Why blobs cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot use {path} as the folder of blobs: {cause}")]
    Folder { path: PathBuf, cause: io::Error },
}

impl Blobs {
    /// Opens the blobs in a folder, created if missing, readable by its owner only. Blocking.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let opened = Folder::open(folder).map_err(|cause| OpenError::Folder {
            path: folder.to_owned(),
            cause,
        })?;
        Ok(Self {
            folder: Arc::new(opened),
        })
    }

    /// Stores core metadata, whose SHA-256 the caller knows. When it returns, the blob survives a
    /// crash.
    pub async fn keep_metadata(
        &self,
        metadata: Vec<u8>,
        sha256: [u8; 32],
    ) -> Result<(), WriteError> {
        let folder = self.folder.clone();
        let name = BlobName::Metadata(sha256);
        Ok(blocking(move || folder.write(&metadata, name)).await?)
    }

    /// An unnamed file for temporary data, gone when it is last closed. Blocking.
    pub fn nameless_file(&self) -> io::Result<File> {
        tempfile::tempfile_in(&self.folder.incoming)
    }
}

#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) root: PathBuf,
    pub(crate) incoming: PathBuf,
    /// Folders known to survive a crash; at most 65,792.
    durable: Mutex<HashSet<PathBuf>>,
}

impl Folder {
    fn open(root: &Path) -> io::Result<Self> {
        create_private(root)?;
        create_private(&root.join("incoming"))?;
        let root = fs::canonicalize(root)?;
        Ok(Self {
            incoming: root.join("incoming"),
            root,
            durable: Mutex::default(),
        })
    }

    /// A new file for received bytes, deleted on drop.
    pub(crate) fn create_incoming(&self) -> io::Result<NamedTempFile> {
        tempfile::Builder::new()
            .prefix("upload-")
            .tempfile_in(&self.incoming)
    }

    /// Where a blob is, whether it exists or not.
    pub(crate) fn path(&self, name: BlobName) -> PathBuf {
        let file = name.to_file_name();
        self.root.join(&file[0..2]).join(&file[2..4]).join(&file)
    }

    /// Turns a received file into a blob. When it returns, the blob survives a crash.
    ///
    /// An existing blob is replaced by the same bytes: that makes it young, so that a sweeper does
    /// not remove an orphan that is about to be referenced.
    pub(crate) fn put(&self, file: TempPath, name: BlobName) -> io::Result<()> {
        let target = self.path(name);
        let folder = target.parent().expect("a blob lies in a folder");
        self.make_durable(folder)?;
        File::open(&file)?.sync_all()?;
        file.persist(&target).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()
    }

    /// The same for bytes that are in memory.
    fn write(&self, bytes: &[u8], name: BlobName) -> io::Result<()> {
        let target = self.path(name);
        let folder = target.parent().expect("a blob lies in a folder");
        self.make_durable(folder)?;
        let mut file = self.create_incoming()?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(&target).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()
    }

    fn make_durable(&self, folder: &Path) -> io::Result<()> {
        if self.durable.lock().expect("not poisoned").contains(folder) {
            return Ok(());
        }
        create_private(folder)?;
        let parent = folder.parent().expect("a blob's folder lies in a folder");
        File::open(parent)?.sync_all()?;
        File::open(&self.root)?.sync_all()?;
        self.durable
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

/// Runs file work off the async workers.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}
