//! Rows 28 to 31: the contents of the file, and whether they agree with the form.

use model::{FileKind, ProjectName, Version};

use super::error::UploadError;
use super::{Step, Subject};
use crate::archive::{ArchiveError, Inspected};
use crate::filename;
use crate::metadata::checks::{self, excerpt};

/// Row 28.
pub(super) fn archive(subject: &Subject<'_>) -> Result<Step, UploadError> {
    match &subject.upload.inspected {
        Some(Err(error @ (ArchiveError::Archive(_) | ArchiveError::Io(_)))) => {
            Err(error.clone().into())
        }
        _ => Ok(Step::Next),
    }
}

/// Row 29, and the part of row 30 about the name.
pub(super) fn name_of_kind(subject: &Subject<'_>) -> Result<Step, UploadError> {
    let (submission, older_files) = (&subject.upload.submission, subject.config.older_files);
    let checked = match submission.kind {
        FileKind::Sdist => filename::check_sdist(
            &submission.file_name,
            &submission.name,
            &submission.version,
            older_files,
        ),
        FileKind::Wheel => filename::check_wheel(
            &submission.file_name,
            &submission.name,
            &submission.version,
            older_files,
        ),
    };
    checked
        .map(|()| Step::Next)
        .map_err(|message| UploadError::rejected("invalid-filename", message))
}

/// The rest of rows 29 and 30.
pub(super) fn content(subject: &Subject<'_>) -> Result<Step, UploadError> {
    match &subject.upload.inspected {
        Some(Err(error)) => Err(error.clone().into()),
        Some(Ok(inspected)) => agreement(subject, inspected),
        // The file is not inspected only if its name or size was refused before.
        None => Err(UploadError::Unavailable(
            "the file was not inspected".to_owned(),
        )),
    }
}

/// Installers read the file's own metadata, so that is also used for decisions, stored and shown,
/// under the same rules as the form's. The form must agree with it on the fields that identify the
/// file and its audience; the rest of the form is ignored. `Metadata-Version` is not compared: flit
/// declares one and writes another.
fn agreement(subject: &Subject<'_>, inspected: &Inspected) -> Result<Step, UploadError> {
    let submission = &subject.upload.submission;
    let metadata = &inspected.metadata;
    let name = metadata.one("name").unwrap_or_default();
    if !ProjectName::parse(name).is_ok_and(|name| name.normalized() == submission.name.normalized())
    {
        return Err(contradiction("Name", submission.name.as_written(), name));
    }
    let version = metadata.one("version").unwrap_or_default();
    if !Version::parse(version).is_ok_and(|version| version == submission.version) {
        return Err(contradiction(
            "Version",
            &submission.version.to_string(),
            version,
        ));
    }
    let (stated, found) = (
        submission.metadata.one("requires_python"),
        metadata.one("requires_python"),
    );
    if specifiers(stated) != specifiers(found) {
        return Err(contradiction(
            "Requires-Python",
            stated.unwrap_or_default(),
            found.unwrap_or_default(),
        ));
    }
    checks::check(metadata, subject.config.older_files).map_err(|message| {
        UploadError::rejected(
            "invalid-metadata",
            format!("The file's own metadata is invalid: {message}"),
        )
    })?;
    Ok(Step::Next)
}

/// Version specifiers in a normal order and spelling, for comparison.
fn specifiers(text: Option<&str>) -> Vec<String> {
    let mut parts: Vec<String> = text
        .unwrap_or_default()
        .split(',')
        .map(|part| {
            part.chars()
                .filter(|c| !c.is_whitespace())
                .collect::<String>()
        })
        .filter(|part| !part.is_empty())
        .collect();
    parts.sort();
    parts.dedup();
    parts
}

fn contradiction(field: &str, stated: &str, found: &str) -> UploadError {
    UploadError::rejected(
        "metadata-contradiction",
        format!(
            "The upload form says {field} '{}', the file itself says '{}'. Build the distribution again and upload what was built.",
            excerpt(stated),
            excerpt(found)
        ),
    )
}

/// Row 31. Attestations are not verified here, and storing them would suggest that they were.
pub(super) fn attestations(subject: &Subject<'_>) -> Result<Step, UploadError> {
    if subject.upload.submission.attestations.is_none() {
        return Ok(Step::Next);
    }
    Err(UploadError::rejected(
        "attestations-not-accepted",
        "Invalid attestations supplied during upload: this registry does not accept attestations. Upload without them.",
    ))
}
