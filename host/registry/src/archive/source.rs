//! Source distributions: a gzipped tar archive with one folder and a `PKG-INFO` in it (PEP 625, PEP 643).

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use super::{ArchiveError, Inspected, io_error, tar_gz};
use crate::metadata::CoreMetadata;

/// How much of a file's end is searched for the end record of a ZIP archive.
const ZIP_TAIL: u64 = 66_000;

pub(super) fn inspect(mut file: File) -> Result<Inspected, ArchiveError> {
    let length = file.seek(SeekFrom::End(0)).map_err(io_error)?;
    check_not_zip(&mut file, length)?;
    file.seek(SeekFrom::Start(0)).map_err(io_error)?;
    let metadata_file = tar_gz::read_pkg_info(std::io::BufReader::new(file), length)?;
    let metadata = CoreMetadata::parse(&metadata_file).map_err(|error| ArchiveError::archive(format!("Its PKG-INFO is invalid: {error}.")))?;
    Ok(Inspected { metadata, metadata_file, warnings: Vec::new() })
}

/// A file that is a ZIP archive as well means something else to a reader that looks at its end.
fn check_not_zip(file: &mut File, length: u64) -> Result<(), ArchiveError> {
    let start = length.saturating_sub(ZIP_TAIL);
    file.seek(SeekFrom::Start(start)).map_err(io_error)?;
    let mut tail = Vec::new();
    file.take(ZIP_TAIL).read_to_end(&mut tail).map_err(io_error)?;
    let is_end = |at: usize| {
        let comment = tail.get(at + 20..at + 22).map(|bytes| usize::from(u16::from_le_bytes([bytes[0], bytes[1]])));
        comment.is_some_and(|comment| at + 22 + comment == tail.len())
    };
    let is_zip = tail.windows(4).enumerate().any(|(at, window)| window == b"PK\x05\x06" && is_end(at));
    if is_zip { Err(ArchiveError::archive("The file is a ZIP archive too.")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::archive::samples;

    fn inspect_bytes(bytes: &[u8]) -> Result<Inspected, String> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        inspect(file).map_err(|error| error.to_string())
    }

    #[test]
    fn a_source_distribution_gives_its_metadata() {
        let inspected = inspect_bytes(&samples::sdist("sample", "1.0", "Requires-Python: >=3.9\n")).unwrap();
        assert_eq!(inspected.metadata.one("requires_python"), Some(">=3.9"));
        assert!(inspected.metadata_file.starts_with(b"Metadata-Version: 2.1"));
    }

    #[test]
    fn a_file_that_is_two_archives_is_refused() {
        let both = [samples::sdist("sample", "1.0", ""), samples::zip(&[("a", b"b")])].concat();
        assert!(inspect_bytes(&both).unwrap_err().contains("ZIP archive too"));
    }

    #[test]
    fn metadata_that_does_not_parse_is_refused() {
        assert!(inspect_bytes(&samples::tar_gz(&[("sample-1.0/PKG-INFO", b"Name: sample\n")])).unwrap_err().contains("PKG-INFO is invalid"));
    }
}
