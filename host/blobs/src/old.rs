//! Possible orphans: blobs and received files that are old. The caller knows which of the blobs are
//! referenced.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::folder::{Folder, blocking};
use crate::{BlobName, Blobs};

/// Why the sweep cannot continue.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The number and size of removed files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    pub files: u64,
    pub bytes: u64,
}

/// Old blobs, one group at a time: of a million blobs, a group has about four thousand.
#[derive(Debug)]
pub struct OldBlobs {
    folder: Arc<Folder>,
    age: Duration,
    outer: std::vec::IntoIter<PathBuf>,
}

impl Blobs {
    /// Blobs that were stored at least this long ago.
    pub async fn old_blobs(&self, age: Duration) -> Result<OldBlobs, SweepError> {
        let folder = self.folder.clone();
        let outer = blocking(move || hex_folders(&folder.root)).await?;
        Ok(OldBlobs {
            folder: self.folder.clone(),
            age,
            outer: outer.into_iter(),
        })
    }

    /// Removes files whose receipt began at least this long ago and that never became blobs.
    pub async fn remove_old_incoming(&self, age: Duration) -> Result<Removed, SweepError> {
        let folder = self.folder.clone();
        Ok(blocking(move || remove_incoming(&folder.incoming, age)).await?)
    }
}

/// An old blob.
#[derive(Debug)]
pub struct OldBlob {
    name: BlobName,
    path: PathBuf,
}

impl OldBlob {
    pub fn name(&self) -> BlobName {
        self.name
    }
}

impl OldBlobs {
    /// The next group, which may be empty, in the order of their digests; none at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<OldBlob>>, SweepError> {
        let Some(outer) = self.outer.next() else {
            return Ok(None);
        };
        let age = self.age;
        Ok(Some(blocking(move || old_blobs_below(&outer, age)).await?))
    }

    /// Removes a blob if it is still as old: a new upload of it makes it young. Returns its bytes,
    /// if it was removed.
    pub async fn remove(&self, blob: OldBlob) -> Result<Option<u64>, SweepError> {
        let (folder, age) = (self.folder.clone(), self.age);
        Ok(blocking(move || remove_if_still_old(&folder, &blob.path, age)).await?)
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

fn remove_incoming(incoming: &Path, age: Duration) -> io::Result<Removed> {
    let mut removed = Removed::default();
    for entry in fs::read_dir(incoming)? {
        let entry = entry?;
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        if metadata.is_file() && is_old(&metadata, age) && fs::remove_file(entry.path()).is_ok() {
            removed.files += 1;
            removed.bytes += metadata.len();
        }
    }
    Ok(removed)
}

/// Blobs in the folders `ab/cd` of one folder `ab`.
fn old_blobs_below(outer: &Path, age: Duration) -> io::Result<Vec<OldBlob>> {
    let mut found = Vec::new();
    for inner in hex_folders(outer)? {
        for entry in fs::read_dir(inner)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str().and_then(BlobName::of_file_name) else {
                continue;
            };
            if entry
                .metadata()
                .is_ok_and(|metadata| metadata.is_file() && is_old(&metadata, age))
            {
                let path = entry.path();
                found.push(OldBlob { name, path });
            }
        }
    }
    Ok(found)
}

/// Folders named by two hexadecimal digits. Other files in the blob folder are not ours and are
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

/// Moves the file aside before it is removed: if an upload has stored the same content since the
/// check, the moved file is young and is put back.
fn remove_if_still_old(folder: &Folder, path: &Path, age: Duration) -> io::Result<Option<u64>> {
    let aside = folder.create_incoming()?.into_temp_path();
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
