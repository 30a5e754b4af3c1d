//! What is inside a distribution file, read without trusting it.
//!
//! Blocking; called on a blocking thread. Every read is bounded: entries, sizes, the ratio
//! of unpacked to packed bytes, the length of names.

mod source;
mod tar_gz;
mod wheel;
mod zip_frame;

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::Path;

use model::{FileKind, ProjectName, Version};

use crate::metadata::CoreMetadata;

/// Entries an archive may have.
pub(crate) const MAX_ENTRIES: usize = model::limit::ARCHIVE_ENTRIES.length();
/// Longest path of an entry, in bytes.
const MAX_PATH_BYTES: usize = 1024;
/// An archive that unpacks to more than this must not be larger than [`MAX_RATIO`] times itself.
const FREE_UNPACKED_BYTES: u64 = 64 << 20;
/// Unpacked bytes per packed byte.
const MAX_RATIO: u64 = model::limit::ARCHIVE_RATIO.get() as u64;

/// What was found in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inspected {
    pub(crate) metadata: CoreMetadata,
    /// `METADATA` or `PKG-INFO` as it stands in the file; a wheel's is served beside it (PEP 658).
    pub(crate) metadata_file: Vec<u8>,
    /// What is not quite right, for the person who uploads.
    pub(crate) warnings: Vec<String>,
}

/// Why a file is no distribution.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ArchiveError {
    /// Row 28: the archive as such.
    #[error("Invalid distribution file. {0}")]
    Archive(String),
    /// Row 30: a wheel that is an archive but no wheel.
    #[error("{0}")]
    Wheel(String),
    /// Our disk failed, not the file.
    #[error("cannot read the uploaded file: {0}")]
    Io(String),
}

impl ArchiveError {
    fn archive(why: impl Into<String>) -> Self {
        Self::Archive(why.into())
    }
}

/// Reads a distribution file and finds its core metadata.
pub(crate) fn inspect(path: &Path, kind: FileKind, file_name: &str, project: &ProjectName, version: &Version) -> Result<Inspected, ArchiveError> {
    let file = File::open(path).map_err(io_error)?;
    match kind {
        FileKind::Sdist => source::inspect(file),
        FileKind::Wheel => wheel::inspect(file, file_name, project, version),
    }
}

fn io_error(error: io::Error) -> ArchiveError {
    ArchiveError::Io(error.to_string())
}

/// The most an archive of this size may unpack to.
fn unpacked_limit(packed: u64) -> u64 {
    FREE_UNPACKED_BYTES.max(packed.saturating_mul(MAX_RATIO))
}

/// A path that stays where it is unpacked: relative, plain, without tricks for other
/// systems (backslashes, drive letters, hidden control characters).
fn check_path(path: &str) -> Result<(), ArchiveError> {
    let invalid = |why: &str| ArchiveError::archive(format!("The entry '{}' {why}.", crate::metadata::checks::excerpt(path)));
    if path.is_empty() || path.len() > MAX_PATH_BYTES {
        return Err(ArchiveError::archive(format!("An entry has a path that is empty or longer than {MAX_PATH_BYTES} bytes.")));
    }
    if path.chars().any(char::is_control) {
        return Err(invalid("has control characters in its path"));
    }
    if path.contains('\\') {
        return Err(invalid("has a backslash in its path"));
    }
    if path.starts_with('/') || path.as_bytes().get(1) == Some(&b':') {
        return Err(invalid("has an absolute path"));
    }
    if path.split('/').any(|part| part == "..") {
        return Err(invalid("leads out of the archive"));
    }
    // `a//b` and `a/./b` are `a/b` once unpacked: a second name for the same file.
    if path.strip_suffix('/').unwrap_or(path).split('/').any(|part| part.is_empty() || part == ".") {
        return Err(invalid("has an empty part or '.' in its path"));
    }
    Ok(())
}

/// Refuses `a` beside `a/b`: what is unpacked depends on which comes first. Folders may end
/// in `/`; `files` are the paths that are no folders.
fn check_no_file_is_a_folder(mut paths: Vec<&str>, files: &HashSet<&str>) -> Result<(), ArchiveError> {
    // With `/` before every other byte, what lies in a folder follows it directly.
    let order = |byte: u8| if byte == b'/' { 0 } else { byte };
    paths.sort_unstable_by(|left, right| left.bytes().map(order).cmp(right.bytes().map(order)));
    for pair in paths.windows(2) {
        let (above, below) = (pair[0], pair[1]);
        if below.strip_prefix(above).is_some_and(|rest| rest.starts_with('/')) && files.contains(above) {
            return Err(ArchiveError::archive(format!("'{}' is a file and a folder.", crate::metadata::checks::excerpt(above))));
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod samples;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_leave_the_archive_are_refused() {
        for path in ["", "/etc/passwd", "../a", "a/../../b", "a\\b", "C:/a", "a\0b", "a\nb", "./a", "a/./b", "a//b", "a//", "."] {
            assert!(check_path(path).is_err(), "{path:?}");
        }
        for path in ["a", "a/b.py", "a/..b", "a/b/", "ä/b"] {
            assert_eq!(check_path(path), Ok(()), "{path:?}");
        }
    }
}
