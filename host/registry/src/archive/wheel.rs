//! Wheels: the frame of a ZIP archive, and the required contents of a wheel (PEP 427).

mod entry_points;

use std::collections::HashSet;
use std::io::{BufRead, Read, Seek};

use model::{ProjectName, Version};

use super::zip_frame::ZipFrame;
use super::{ArchiveError, Inspected, without_case};
use crate::metadata::{CoreMetadata, MAX_METADATA_BYTES};

/// Largest `WHEEL` and `entry_points.txt`.
const MAX_SMALL_BYTES: u64 = 1 << 20;
/// Largest `RECORD`.
const MAX_RECORD_BYTES: u64 = model::limit::WHEEL_RECORD_BYTES.get();

pub(super) fn inspect(
    file: impl Read + Seek,
    file_name: &str,
    project: &ProjectName,
    version: &Version,
) -> Result<Inspected, ArchiveError> {
    let frame = ZipFrame::open(std::io::BufReader::new(file))?;
    inspect_frame(frame, file_name, project, version)
}

fn inspect_frame<R: BufRead + Seek>(
    mut frame: ZipFrame<R>,
    file_name: &str,
    project: &ProjectName,
    version: &Version,
) -> Result<Inspected, ArchiveError> {
    let folder = dist_info(&frame, file_name, project, version)?;
    check_unambiguous(&frame, file_name)?;
    let find = |frame: &ZipFrame<R>, name: &str| {
        let path = format!("{folder}/{name}");
        frame.entries.iter().position(|entry| entry.name == path)
    };
    let need = |frame: &ZipFrame<R>, name: &str| {
        find(frame, name).ok_or_else(|| {
            ArchiveError::Wheel(format!(
                "Wheel '{file_name}' does not contain the required {name} file: {folder}/{name}"
            ))
        })
    };
    let wheel_at = need(&frame, "WHEEL")?;
    let record_at = need(&frame, "RECORD")?;
    let metadata_at = need(&frame, "METADATA")?;

    check_wheel_file(file_name, &frame.read(wheel_at, MAX_SMALL_BYTES)?)?;
    let metadata_file = frame.read(metadata_at, MAX_METADATA_BYTES)?;
    let metadata = CoreMetadata::parse(&metadata_file).map_err(|error| {
        ArchiveError::Wheel(format!(
            "Wheel '{file_name}' has an invalid METADATA file: {error}."
        ))
    })?;
    check_license_files(&frame, file_name, &folder, &metadata)?;
    if let Some(at) = find(&frame, "entry_points.txt") {
        check_entry_points(file_name, &frame.read(at, MAX_SMALL_BYTES)?)?;
    }
    let record = frame.read(record_at, MAX_RECORD_BYTES)?;
    let warnings = compare_record(&frame, &folder, file_name, &record)?;
    Ok(Inspected {
        metadata,
        metadata_file,
        warnings,
    })
}

/// The one `.dist-info` folder, which must be of this project and version.
fn dist_info<R: BufRead + Seek>(
    frame: &ZipFrame<R>,
    file_name: &str,
    project: &ProjectName,
    version: &Version,
) -> Result<String, ArchiveError> {
    // A file of such a name counts as well, and so does another case: installers disagree on what
    // they take for the folder, and file systems on whether they are two.
    let folders: HashSet<&str> = frame
        .entries
        .iter()
        .map(|entry| first_part(&entry.name))
        .filter(|top| is_dist_info(top))
        .collect();
    let mut folders = folders.into_iter();
    let (Some(folder), None) = (folders.next(), folders.next()) else {
        return Err(ArchiveError::Wheel(format!(
            "Wheel '{file_name}' must have exactly one .dist-info folder."
        )));
    };
    let agrees = folder
        .strip_suffix(".dist-info")
        .and_then(|stem| stem.rsplit_once('-'))
        .is_some_and(|(name, text)| {
            ProjectName::parse(name).is_ok_and(|name| name.normalized() == project.normalized())
                && Version::parse(text).is_ok_and(|found| found == *version)
        });
    if agrees {
        Ok(folder.to_owned())
    } else {
        Err(ArchiveError::Wheel(format!(
            "Wheel '{file_name}' has the folder '{folder}', which is not of project '{}' and version {version}.",
            project.as_written()
        )))
    }
}

fn first_part(path: &str) -> &str {
    path.split('/').next().unwrap_or_default()
}

fn is_dist_info(part: &str) -> bool {
    without_case(part)
        .trim_end_matches(['.', ' '])
        .ends_with(".dist-info")
}

/// Files of the `.dist-info` folder that are read here.
const READ: [&str; 4] = ["METADATA", "WHEEL", "RECORD", "entry_points.txt"];

/// The installed `.dist-info` folder must have exactly the files that were read here: no other
/// entry may replace one of them, neither by a name that some file systems treat as the same, nor
/// from a `.data` folder, whose parts are unpacked next to it.
fn check_unambiguous<R: BufRead + Seek>(
    frame: &ZipFrame<R>,
    file_name: &str,
) -> Result<(), ArchiveError> {
    let mut folded = HashSet::new();
    for entry in &frame.entries {
        let name = &entry.name;
        let mut parts = name.split('/');
        let top = parts.next().unwrap_or_default();
        if is_dist_info(top) {
            let is_odd = name.contains(':')
                || name
                    .trim_end_matches('/')
                    .split('/')
                    .any(|part| part.ends_with(['.', ' ']));
            let file = name.rsplit('/').next().unwrap_or_default();
            // A file that an installer would read and we did not, on case-insensitive file systems.
            let is_read = READ
                .iter()
                .any(|read| file != *read && without_case(file) == without_case(read));
            if is_odd || is_read || !folded.insert(without_case(name)) {
                return Err(ArchiveError::Wheel(format!(
                    "Wheel '{file_name}' has a file in its .dist-info folder that may take the place of another: {name}"
                )));
            }
        } else if without_case(top).ends_with(".data") && parts.any(is_dist_info) {
            return Err(ArchiveError::Wheel(format!(
                "Wheel '{file_name}' has a .dist-info folder inside its .data folder: {name}"
            )));
        }
    }
    Ok(())
}

fn check_wheel_file(file_name: &str, bytes: &[u8]) -> Result<(), ArchiveError> {
    let text = std::str::from_utf8(bytes).map_err(|_| {
        ArchiveError::Wheel(format!(
            "Wheel '{file_name}' has a WHEEL file that is not UTF-8."
        ))
    })?;
    let version = text
        .lines()
        .find_map(|line| line.strip_prefix("Wheel-Version:"))
        .map(str::trim);
    match version.and_then(|version| version.split_once('.')) {
        Some(("1", minor)) if minor.parse::<u32>().is_ok() => Ok(()),
        _ => Err(ArchiveError::Wheel(format!(
            "Wheel '{file_name}' has no 'Wheel-Version: 1.x' in its WHEEL file."
        ))),
    }
}

/// PEP 639: the files that `License-File` names are in `licenses`.
fn check_license_files<R: BufRead + Seek>(
    frame: &ZipFrame<R>,
    file_name: &str,
    folder: &str,
    metadata: &CoreMetadata,
) -> Result<(), ArchiveError> {
    let names: HashSet<&str> = frame
        .entries
        .iter()
        .map(|entry| entry.name.as_str())
        .collect();
    for license in metadata.promised_license_files() {
        let path = format!("{folder}/licenses/{license}");
        if !names.contains(path.as_str()) {
            return Err(ArchiveError::Wheel(format!(
                "License-File {license} does not exist in distribution file {file_name} at expected path {path}"
            )));
        }
    }
    Ok(())
}

fn check_entry_points(file_name: &str, bytes: &[u8]) -> Result<(), ArchiveError> {
    let invalid = |why: &str| {
        ArchiveError::Wheel(format!(
            "Wheel '{file_name}' has an invalid entry_points.txt: {why}."
        ))
    };
    let text = std::str::from_utf8(bytes).map_err(|_| invalid("it is not UTF-8"))?;
    entry_points::check(text).map_err(|why| invalid(&why))
}

/// `RECORD` should list every file. Installers disagree on what a difference means, so it is a
/// warning for the uploader and no reason to refuse.
fn compare_record<R: BufRead + Seek>(
    frame: &ZipFrame<R>,
    folder: &str,
    file_name: &str,
    record: &[u8],
) -> Result<Vec<String>, ArchiveError> {
    let text = std::str::from_utf8(record).map_err(|_| {
        ArchiveError::Wheel(format!(
            "Wheel '{file_name}' has a RECORD file that is not UTF-8."
        ))
    })?;
    let own = ["", ".jws", ".p7s"].map(|end| format!("{folder}/RECORD{end}"));
    let is_expected = |name: &&str| !name.ends_with('/') && !own.iter().any(|own| own == name);
    // The archive's paths are kept, not those in the file, which may have millions of lines.
    let mut unlisted: HashSet<&str> = frame
        .entries
        .iter()
        .map(|entry| entry.name.as_str())
        .filter(is_expected)
        .collect();
    for line in text.lines() {
        unlisted.remove(record_path(line).replace('\\', "/").as_str());
    }
    let unlisted = frame
        .entries
        .iter()
        .find(|entry| unlisted.contains(entry.name.as_str()));
    Ok(unlisted
        .map(|entry| format!("The RECORD file of '{file_name}' does not list '{}'; build the wheel again with a current tool.", entry.name))
        .into_iter()
        .collect())
}

/// The first field of a CSV line.
fn record_path(line: &str) -> String {
    match line.strip_prefix('"') {
        Some(quoted) => {
            let mut out = String::new();
            let mut rest = quoted.chars().peekable();
            while let Some(c) = rest.next() {
                match c {
                    '"' if rest.peek() == Some(&'"') => {
                        rest.next();
                        out.push('"');
                    }
                    '"' => break,
                    c => out.push(c),
                }
            }
            out
        }
        None => line.split(',').next().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::archive::samples;

    fn inspect_bytes(bytes: Vec<u8>) -> Result<Inspected, String> {
        let frame = ZipFrame::open(Cursor::new(bytes)).map_err(|error| error.to_string())?;
        inspect_frame(
            frame,
            "f.whl",
            &ProjectName::parse("sample").unwrap(),
            &Version::parse("1.0").unwrap(),
        )
        .map_err(|error| error.to_string())
    }

    fn with(replace: &str, content: Option<&[u8]>) -> Result<Inspected, String> {
        let parts: Vec<(&str, &[u8])> = vec![
            ("sample/__init__.py", b""),
            ("sample-1.0.dist-info/METADATA", b"Metadata-Version: 2.4\nName: sample\nVersion: 1.0\nLicense-File: LICENSE\n"),
            ("sample-1.0.dist-info/WHEEL", b"Wheel-Version: 1.0\n"),
            ("sample-1.0.dist-info/licenses/LICENSE", b"free"),
            ("sample-1.0.dist-info/entry_points.txt", b"[console_scripts]\nsample = sample:main\n"),
            ("sample-1.0.dist-info/RECORD", b"sample/__init__.py,,\nsample-1.0.dist-info/METADATA,,\n\"sample-1.0.dist-info/WHEEL\",,\nsample-1.0.dist-info/licenses/LICENSE,,\nsample-1.0.dist-info/entry_points.txt,,\n"),
        ];
        let path = format!("sample-1.0.dist-info/{replace}");
        let parts: Vec<(&str, &[u8])> = parts
            .into_iter()
            .filter_map(|(name, old)| {
                if name == path {
                    content.map(|new| (name, new))
                } else {
                    Some((name, old))
                }
            })
            .collect();
        inspect_bytes(samples::zip(&parts))
    }

    #[test]
    fn a_wheel_gives_its_metadata() {
        let inspected = with("", None).unwrap();
        assert_eq!(inspected.metadata.one("name"), Some("sample"));
        assert!(
            inspected
                .metadata_file
                .starts_with(b"Metadata-Version: 2.4")
        );
        assert_eq!(inspected.warnings, Vec::<String>::new());
    }

    #[test]
    fn what_a_wheel_must_have_is_asked_for() {
        for name in ["WHEEL", "METADATA", "RECORD"] {
            assert!(
                with(name, None)
                    .unwrap_err()
                    .contains(&format!("does not contain the required {name} file")),
                "{name}"
            );
        }
        assert!(
            with("licenses/LICENSE", None)
                .unwrap_err()
                .starts_with("License-File LICENSE does not exist")
        );
        assert!(with("WHEEL", Some(b"Wheel-Version: 2.0\n")).is_err());
        assert!(
            with("METADATA", Some(b"Name: sample\n"))
                .unwrap_err()
                .contains("invalid METADATA")
        );
        assert!(
            with("entry_points.txt", Some(b"[console_scripts]\nrm -rf\n"))
                .unwrap_err()
                .contains("line 2")
        );
        assert!(
            with(
                "entry_points.txt",
                Some(b"[console_scripts]\n../../bin/sh = a:b\n")
            )
            .is_err()
        );
    }

    #[test]
    fn a_file_that_record_forgets_is_a_warning() {
        assert_eq!(with("RECORD", Some(b"")).unwrap().warnings.len(), 1);
    }

    #[test]
    fn a_record_of_millions_of_lines_is_refused() {
        assert!(with("RECORD", Some(&vec![b'\n'; 32 << 20])).is_ok());
        assert!(
            with("RECORD", Some(&vec![b'\n'; (32 << 20) + 1]))
                .unwrap_err()
                .contains("is larger than 33554432 bytes")
        );
    }

    #[test]
    fn the_dist_info_folder_must_be_the_projects_and_the_only_one() {
        assert!(
            inspect_bytes(samples::wheel("other", "1.0", ""))
                .unwrap_err()
                .contains("not of project 'sample'")
        );
        assert!(
            inspect_bytes(samples::wheel("sample", "1.1", ""))
                .unwrap_err()
                .contains("not of project 'sample'")
        );
        assert!(
            inspect_bytes(samples::zip(&[
                ("a-1.0.dist-info/X", b""),
                ("sample-1.0.dist-info/X", b"")
            ]))
            .unwrap_err()
            .contains("exactly one")
        );
        assert!(
            inspect_bytes(samples::zip(&[("a", b"")]))
                .unwrap_err()
                .contains("exactly one")
        );
    }

    #[test]
    fn nothing_takes_the_place_of_what_was_read() {
        let parts = |more: &'static str| {
            let mut bytes = Vec::from([
                (
                    "sample-1.0.dist-info/METADATA",
                    b"Metadata-Version: 2.1\nName: sample\nVersion: 1.0\n".as_slice(),
                ),
                ("sample-1.0.dist-info/WHEEL", b"Wheel-Version: 1.0\n"),
                ("sample-1.0.dist-info/RECORD", b""),
            ]);
            bytes.push((more, b"evil"));
            inspect_bytes(samples::zip(&bytes)).unwrap_err()
        };
        assert!(parts("sample-1.0.dist-info/metadata").contains("may take the place of another"));
        assert!(parts("sample-1.0.dist-info/METADATA.").contains("may take the place of another"));
        assert!(
            parts("sample-1.0.dist-info/METADATA::$DATA").contains("may take the place of another")
        );
        for other in [
            "ENTRY_POINTS.TXT",
            "Entry_points.txt",
            "entry_point\u{17f}.txt",
        ] {
            let name: &'static str = format!("sample-1.0.dist-info/{other}").leak();
            assert!(
                parts(name).contains("may take the place of another"),
                "{other}"
            );
        }
        assert!(parts("sample-1.0.di\u{17f}t-info/METADATA").contains("exactly one .dist-info"));
        assert!(
            parts("sample-1.0.data/purelib/sample-1.0.di\u{17f}t-info/METADATA")
                .contains("inside its .data folder")
        );
        for odd in [
            "sample-1.0.data/purelib/sample-1.0.dist\u{200d}-info/METADATA",
            "sample-1.0.data/purelib/sample-1.0.dist-info./METADATA",
            "sample-1.0.data/purelib/sample-1.0.dist-info::$INDEX_ALLOCATION/METADATA",
        ] {
            assert!(parts(odd).contains("inside its .data folder"), "{odd}");
        }
        assert!(parts("sample-1.0.DIST-INFO/METADATA").contains("exactly one .dist-info"));
        assert!(parts("other-1.0.dist-info").contains("exactly one .dist-info"));
        assert!(
            parts("sample-1.0.data/purelib/sample-1.0.dist-info/METADATA")
                .contains("inside its .data folder")
        );
    }
}
