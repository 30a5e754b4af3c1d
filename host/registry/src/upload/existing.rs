//! Rows 23 to 27: comparison with existing files.

use model::{FileKind, ReleaseState};
use storage::files::FileRow;
use storage::{Storage, StorageError};

use super::error::UploadError;
use super::{Step, Subject};
use crate::targets::UploadFile;

/// Existing data related to a file.
#[derive(Debug)]
pub(super) struct Existing {
    same_name: Option<FileRow>,
    same_content: Option<FileRow>,
    is_burned: bool,
    pub(super) project_size: u64,
}

impl Existing {
    pub(super) async fn load(storage: &Storage, upload: &UploadFile) -> Result<Self, StorageError> {
        let submission = &upload.submission;
        let own = upload.project.id();
        // A staged file of another project must not be revealed here, neither its name nor its
        // bytes. Neither can be this project's file: a later row refuses both.
        let is_visible_here =
            |file: &FileRow| file.state != ReleaseState::Staged || Some(file.project) == own;
        let same_content = storage
            .file_by_blake2(&submission.digests.blake2_256)
            .await?
            .filter(is_visible_here);
        // In any spelling: `1.0` and `1.0.0`, `Sample` and `sample` are one file. A name without a
        // key is not a distribution's name, which a later row reports.
        let key = crate::filename::key(&submission.file_name);
        let (same_name, is_burned) = match &key {
            Some(key) => (
                storage.file_by_key(key).await?,
                storage.is_burned(key).await?,
            ),
            None => (None, false),
        };
        // A second source distribution of a release has its own row.
        let is_wheel_or_named = |file: &FileRow| {
            submission.kind == FileKind::Wheel || file.name == submission.file_name
        };
        Ok(Self {
            same_name: same_name.filter(is_visible_here).filter(is_wheel_or_named),
            same_content,
            is_burned,
            project_size: match own {
                Some(id) => storage.project_size(id).await?,
                None => 0,
            },
        })
    }
}

/// Rows 23 and 24. A file name of another project cannot be this one's: rows 29 and 30 bind names
/// to projects, so an existing name belongs to this project or is refused as taken.
pub(super) fn same_file(subject: &Subject<'_>) -> Result<Step, UploadError> {
    let submission = &subject.upload.submission;
    let Existing {
        same_name,
        same_content,
        ..
    } = &subject.existing;
    if let Some(file) = same_name {
        let is_same = file.name == submission.file_name
            && file.digests == submission.digests
            && subject.upload.project.id() == Some(file.project);
        if is_same {
            return Ok(Step::Unchanged {
                staged: file.state == ReleaseState::Staged,
            });
        }
    }
    let exists = |name: &str, digests: &model::Digests| {
        exists(&subject.config.public_url, name, &digests.blake2_256_hex())
    };
    match (same_name, same_content) {
        (None, None) => Ok(Step::Next),
        (_, Some(other)) if same_name.as_ref().is_none_or(|file| file.id != other.id) => {
            Err(exists(&other.name, &other.digests))
        }
        (Some(other), _) if other.name != submission.file_name => {
            Err(exists(&other.name, &other.digests))
        }
        _ => Err(exists(&submission.file_name, &submission.digests)),
    }
}

/// The text must start with these words, because clients recognise it by them.
fn exists(public_url: &str, name: &str, blake2_256: &str) -> UploadError {
    UploadError::rejected(
        "file-exists",
        format!(
            "File already exists ('{name}', with blake2_256 hash '{blake2_256}'). A file name is never used again: upload a new version. See {public_url}/help/#file-names"
        ),
    )
}

/// Row 25.
pub(super) fn burned_name(subject: &Subject<'_>) -> Result<Step, UploadError> {
    if !subject.existing.is_burned {
        return Ok(Step::Next);
    }
    Err(UploadError::rejected(
        "filename-burned",
        format!(
            "This filename was previously used by a file that has since been deleted. Use a different version. See {}/help/#file-names",
            subject.config.public_url
        ),
    ))
}

/// Row 26. Checked again when staged files are published (`staging`).
pub(super) fn release_age(subject: &Subject<'_>) -> Result<Step, UploadError> {
    match subject
        .upload
        .release
        .closed_after_days(subject.config.max_release_age_days)
    {
        Some(days) => Err(UploadError::rejected(
            "release-too-old",
            format!(
                "Uploading new files to releases older than {days} days is not allowed. Upload a new version."
            ),
        )),
        None => Ok(Step::Next),
    }
}

/// Row 27.
pub(super) fn one_source_distribution(subject: &Subject<'_>) -> Result<Step, UploadError> {
    if subject.upload.submission.kind == FileKind::Sdist
        && subject.upload.release.source_distribution.is_some()
    {
        return Err(UploadError::rejected(
            "second-sdist",
            "Only one sdist may be uploaded per release.",
        ));
    }
    Ok(Step::Next)
}
