//! The contents of a distribution file, read without trusting it.
//!
//! Blocking; called on a blocking thread. Every read is bounded: entries, sizes, the ratio
//! of unpacked to packed bytes, the length of names.

mod source;
mod tar_gz;
mod wheel;
mod zip_frame;

use std::collections::HashSet;
use std::collections::hash_map::{DefaultHasher, RandomState};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Read, Seek};

use model::{FileKind, ProjectName, Version};
use unicode_normalization::UnicodeNormalization as _;

use crate::metadata::CoreMetadata;

/// Entries an archive may have.
pub(crate) const MAX_ENTRIES: usize = model::limit::ARCHIVE_ENTRIES.length();
/// Longest path of an entry, in bytes.
const MAX_PATH_BYTES: usize = 1024;
/// An archive that unpacks to more than this may grow at most [`MAX_RATIO`] times.
const FREE_UNPACKED_BYTES: u64 = model::limit::ARCHIVE_FREE.get();
/// Unpacked bytes per packed byte.
const MAX_RATIO: u64 = model::limit::ARCHIVE_RATIO.get() as u64;

/// The result of an inspection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inspected {
    pub(crate) metadata: CoreMetadata,
    /// `METADATA` or `PKG-INFO`, unchanged; a wheel's is served next to it (PEP 658).
    pub(crate) metadata_file: Vec<u8>,
    /// Minor problems, for the uploader.
    pub(crate) warnings: Vec<String>,
}

/// Why a file is not a valid distribution.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ArchiveError {
    /// Row 28: the archive itself.
    #[error("Invalid distribution file. {0}")]
    Archive(String),
    /// Row 29: a tar archive that is not a source distribution.
    #[error("{0}")]
    Sdist(String),
    /// Row 30: a ZIP archive that is not a wheel.
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
pub(crate) fn inspect(
    file: impl Read + Seek,
    kind: FileKind,
    file_name: &str,
    project: &ProjectName,
    version: &Version,
) -> Result<Inspected, ArchiveError> {
    match kind {
        FileKind::Sdist => source::inspect(file, file_name),
        FileKind::Wheel => wheel::inspect(file, file_name, project, version),
    }
}

fn io_error(error: io::Error) -> ArchiveError {
    ArchiveError::Io(error.to_string())
}

/// The error for an archive that unpacks to more.
fn bomb() -> ArchiveError {
    let free = FREE_UNPACKED_BYTES >> 20;
    ArchiveError::archive(format!(
        "The archive unpacks to more than {free} MiB and more than {MAX_RATIO} times its size: it looks like a bomb."
    ))
}

/// The most an archive of this size may unpack to.
fn unpacked_limit(packed: u64) -> u64 {
    FREE_UNPACKED_BYTES.max(packed.saturating_mul(MAX_RATIO))
}

/// The form in which case-insensitive file systems compare paths: letters with several lower-case
/// forms are one, and so are letters that are written as one character or as two. Parts that
/// Windows drops at the end of a name (dots, spaces, a stream) and that HFS+ drops anywhere
/// (invisible characters) are removed.
fn without_case(path: &str) -> String {
    let parts = path.split('/').map(|part| {
        let name = part.split(':').next().unwrap_or_default();
        name.trim_end_matches(['.', ' '])
    });
    let name = parts.collect::<Vec<_>>().join("/");
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    name.nfd()
        .filter(|c| !shows_nothing(*c))
        .collect::<String>()
        .to_uppercase()
        .to_lowercase()
        .nfc()
        .collect()
}

/// Default_Ignorable_Code_Point of Unicode 16 (DerivedCoreProperties.txt).
fn shows_nothing(c: char) -> bool {
    matches!(
        u32::from(c),
        0xAD | 0x34F
            | 0x61C
            | 0x115F..=0x1160
            | 0x17B4..=0x17B5
            | 0x180B..=0x180F
            | 0x200B..=0x200F
            | 0x202A..=0x202E
            | 0x2060..=0x206F
            | 0x3164
            | 0xFE00..=0xFE0F
            | 0xFEFF
            | 0xFFA0
            | 0xFFF0..=0xFFF8
            | 0x1BCA0..=0x1BCA3
            | 0x1D173..=0x1D17A
            | 0xE0000..=0xE0FFF
    )
}

/// A path that stays inside the folder where it is unpacked: relative, plain, without tricks for
/// other systems (backslashes, drive letters, hidden control characters).
fn check_path(path: &str) -> Result<(), ArchiveError> {
    let invalid = |why: &str| {
        ArchiveError::archive(format!(
            "The entry '{}' {why}.",
            crate::metadata::checks::excerpt(path)
        ))
    };
    if path.is_empty() {
        return Err(ArchiveError::archive("An entry has an empty path."));
    }
    if path.len() > MAX_PATH_BYTES {
        return Err(invalid(&format!(
            "has a path longer than {MAX_PATH_BYTES} bytes"
        )));
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
        let mut depth = 0_i32;
        let leaves = path.split('/').any(|part| {
            depth += if part == ".." { -1 } else { 1 };
            depth < 0
        });
        return Err(invalid(if leaves {
            "leads out of the archive"
        } else {
            "has '..' in its path"
        }));
    }
    // `a//b` and `a/./b` are `a/b` once unpacked: a second name for the same file.
    if path
        .strip_suffix('/')
        .unwrap_or(path)
        .split('/')
        .any(|part| part.is_empty() || part == ".")
    {
        return Err(invalid("has an empty part or '.' in its path"));
    }
    Ok(())
}

/// Refuses `a` together with `a/b`: the result of unpacking depends on which comes first. Folders
/// may end in `/`; `files` are the paths that are not folders.
///
/// Every folder above every path is looked up by a hash that grows with the path: comparing whole
/// names would take the square of their length, and sorting them nearly as much.
fn check_no_file_is_a_folder<'a>(
    paths: impl Iterator<Item = &'a str>,
    files: &HashSet<&str>,
) -> Result<(), ArchiveError> {
    let keys = RandomState::new();
    let mut hashes = HashSet::new();
    for file in files {
        let mut hasher = keys.build_hasher();
        folders_above(file, &mut hasher, |_, _| true);
        hashes.insert(hasher.finish());
    }
    for path in paths {
        let mut hasher = keys.build_hasher();
        let file = folders_above(path, &mut hasher, |folder, hash| {
            !(hashes.contains(&hash) && files.contains(folder))
        });
        if let Some(file) = file {
            return Err(ArchiveError::archive(format!(
                "'{}' is a file and a folder.",
                crate::metadata::checks::excerpt(file)
            )));
        }
    }
    Ok(())
}

/// Hashes a path part by part, and passes each folder above it, with its hash, to a check, until
/// one is refused, which is returned.
fn folders_above<'a>(
    path: &'a str,
    hasher: &mut DefaultHasher,
    passes: impl Fn(&str, u64) -> bool,
) -> Option<&'a str> {
    let mut start = 0;
    for (at, _) in path.match_indices('/') {
        hasher.write(&path.as_bytes()[start..at]);
        start = at;
        if !passes(&path[..at], hasher.clone().finish()) {
            return Some(&path[..at]);
        }
    }
    hasher.write(&path.as_bytes()[start..]);
    None
}

#[cfg(test)]
pub(crate) mod samples;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_is_a_folder_as_well() {
        let check = |paths: &[&str]| {
            let files = paths
                .iter()
                .copied()
                .filter(|path| !path.ends_with('/'))
                .collect();
            check_no_file_is_a_folder(paths.iter().copied(), &files)
                .map_err(|error| error.to_string())
        };
        for paths in [
            ["a/b", "a/b-c", "a/b.c"].as_slice(),
            &["a/", "a/b"],
            &["a", "ab/c"],
            &["a/b/", "a/b/c/"],
        ] {
            assert_eq!(check(paths), Ok(()), "{paths:?}");
        }
        for paths in [
            ["a", "a/b"].as_slice(),
            &["a/b/c/d", "a/b"],
            &["a/b/", "a/b"],
            &["a-b", "a", "a.b", "a/b"],
        ] {
            assert!(
                check(paths).unwrap_err().contains("is a file and a folder"),
                "{paths:?}"
            );
        }
    }

    #[test]
    fn only_what_leads_out_is_said_to() {
        for (path, why) in [
            ("a/../../b", "leads out of the archive"),
            ("..", "leads out"),
            ("a/../b", "has '..' in its path"),
            ("a/b/..", "has '..' in its path"),
        ] {
            assert!(
                check_path(path).unwrap_err().to_string().contains(why),
                "{path}"
            );
        }
    }

    #[test]
    fn paths_that_leave_the_archive_are_refused() {
        for path in [
            "",
            "/etc/passwd",
            "../a",
            "a/../../b",
            "a\\b",
            "C:/a",
            "a\0b",
            "a\nb",
            "./a",
            "a/./b",
            "a//b",
            "a//",
            ".",
        ] {
            assert!(check_path(path).is_err(), "{path:?}");
        }
        for path in ["a", "a/b.py", "a/..b", "a/b/", "ä/b"] {
            assert_eq!(check_path(path), Ok(()), "{path:?}");
        }
    }
}
