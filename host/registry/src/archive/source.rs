//! Source distributions: a gzipped tar archive with one folder and a `PKG-INFO` in it (PEP 625, PEP
//! 643).

use std::io::{Read, Seek, SeekFrom};

use super::tar_gz::{self, Contents};
use super::{ArchiveError, Inspected, io_error};
use crate::metadata::CoreMetadata;
use crate::metadata::checks::excerpt;

/// How much of a file's end is searched for the end record of a ZIP archive.
const ZIP_TAIL: u64 = 66_000;

pub(super) fn inspect(
    mut file: impl Read + Seek,
    file_name: &str,
) -> Result<Inspected, ArchiveError> {
    let length = file.seek(SeekFrom::End(0)).map_err(io_error)?;
    check_not_zip(&mut file, length)?;
    file.seek(SeekFrom::Start(0)).map_err(io_error)?;
    let contents = tar_gz::read(std::io::BufReader::new(file), length)?;
    let metadata = CoreMetadata::parse(&contents.pkg_info)
        .map_err(|error| ArchiveError::archive(format!("Its PKG-INFO is invalid: {error}.")))?;
    check_license_files(&contents, file_name, &metadata)?;
    Ok(Inspected {
        metadata,
        metadata_file: contents.pkg_info,
        warnings: Vec::new(),
    })
}

/// PEP 639: the files that `License-File` names exist, relative to the archive's one folder.
fn check_license_files(
    contents: &Contents,
    file_name: &str,
    metadata: &CoreMetadata,
) -> Result<(), ArchiveError> {
    for license in metadata.promised_license_files() {
        let path = format!("{}/{license}", contents.top);
        if !contents.names.contains(&path) {
            return Err(ArchiveError::Sdist(format!(
                "License-File {} does not exist in distribution file {file_name} at {}",
                excerpt(license),
                excerpt(&path)
            )));
        }
    }
    Ok(())
}

/// A file that is also a ZIP archive means something else to a reader that starts at its end.
fn check_not_zip(file: &mut (impl Read + Seek), length: u64) -> Result<(), ArchiveError> {
    let start = length.saturating_sub(ZIP_TAIL);
    file.seek(SeekFrom::Start(start)).map_err(io_error)?;
    let mut tail = Vec::new();
    file.take(ZIP_TAIL)
        .read_to_end(&mut tail)
        .map_err(io_error)?;
    let is_end = |at: usize| {
        let comment = tail
            .get(at + 20..at + 22)
            .map(|bytes| usize::from(u16::from_le_bytes([bytes[0], bytes[1]])));
        comment.is_some_and(|comment| at + 22 + comment == tail.len())
    };
    let is_zip = tail
        .windows(4)
        .enumerate()
        .any(|(at, window)| window == b"PK\x05\x06" && is_end(at));
    if is_zip {
        Err(ArchiveError::archive("The file is a ZIP archive too."))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::archive::samples;

    fn inspect_bytes(bytes: &[u8]) -> Result<Inspected, String> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        inspect(file, "sample-1.0.tar.gz").map_err(|error| error.to_string())
    }

    #[test]
    fn a_source_distribution_gives_its_metadata() {
        let inspected =
            inspect_bytes(&samples::sdist("sample", "1.0", "Requires-Python: >=3.9\n")).unwrap();
        assert_eq!(inspected.metadata.one("requires_python"), Some(">=3.9"));
        assert!(
            inspected
                .metadata_file
                .starts_with(b"Metadata-Version: 2.1")
        );
    }

    #[test]
    fn a_file_that_is_two_archives_is_refused() {
        let both = [
            samples::sdist("sample", "1.0", ""),
            samples::zip(&[("a", b"b")]),
        ]
        .concat();
        assert!(
            inspect_bytes(&both)
                .unwrap_err()
                .contains("ZIP archive too")
        );
    }

    #[test]
    fn the_license_files_it_names_are_in_it() {
        let with = |version: &str| {
            let metadata = format!(
                "Metadata-Version: {version}\nName: sample\nVersion: 1.0\nLicense-File: LICENSE\nLicense-File: doc/COPYING\n"
            );
            move |more: &str| {
                samples::tar_gz(&[
                    ("sample-1.0/PKG-INFO", metadata.as_bytes()),
                    ("sample-1.0/LICENSE", b""),
                    (more, b""),
                ])
            }
        };
        assert!(inspect_bytes(&with("2.4")("sample-1.0/doc/COPYING")).is_ok());
        let error = inspect_bytes(&with("2.4")("sample-1.0/COPYING")).unwrap_err();
        assert_eq!(
            error,
            "License-File doc/COPYING does not exist in distribution file sample-1.0.tar.gz at sample-1.0/doc/COPYING"
        );
        // Before 2.4 the field was a convention of one tool, without a defined meaning.
        assert!(inspect_bytes(&with("2.1")("sample-1.0/COPYING")).is_ok());
    }

    #[test]
    fn metadata_that_does_not_parse_is_refused() {
        assert!(
            inspect_bytes(&samples::tar_gz(&[(
                "sample-1.0/PKG-INFO",
                b"Name: sample\n"
            )]))
            .unwrap_err()
            .contains("PKG-INFO is invalid")
        );
    }
}
