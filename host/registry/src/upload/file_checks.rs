//! Rows 19 to 22: the file as it arrived, before it is compared with existing ones.

use model::limit::bytes_in_words;

use super::error::UploadError;
use super::{Step, Subject, bounds};
use crate::filename;

/// Row 19.
pub(super) fn file_name(subject: &Subject<'_>) -> Result<Step, UploadError> {
    let submission = &subject.upload.submission;
    filename::check_shape(&submission.file_name, submission.kind)
        .map_err(|message| UploadError::rejected("invalid-filename", message))?;
    Ok(Step::Next)
}

/// Row 20. A part without a content type is fine: uv and flit send none.
pub(super) fn content_type(subject: &Subject<'_>) -> Result<Step, UploadError> {
    let is_image = subject
        .upload
        .submission
        .content_type
        .as_deref()
        .is_some_and(|text| text.trim().to_ascii_lowercase().starts_with("image/"));
    if is_image {
        Err(UploadError::rejected(
            "invalid-content-type",
            "Invalid distribution file.",
        ))
    } else {
        Ok(Step::Next)
    }
}

/// Row 21.
pub(super) fn size(subject: &Subject<'_>) -> Result<Step, UploadError> {
    let (submission, config) = (&subject.upload.submission, subject.config);
    let project = &subject.upload.project.normalized;
    if submission.is_too_large || submission.size > config.max_file_bytes {
        return Err(UploadError::rejected(
            "file-too-large",
            format!(
                "File too large. Limit for project '{project}' is {}. Ask the operators of the registry for more.",
                bytes_in_words(config.max_file_bytes)
            ),
        ));
    }
    // Only to save work: others may upload at this moment, so the write checks it again.
    let size = subject
        .existing
        .project_size
        .saturating_add(subject.upload.cost());
    bounds::check_size(config, project, size)?;
    Ok(Step::Next)
}

/// Row 22.
pub(super) fn digests(subject: &Subject<'_>) -> Result<Step, UploadError> {
    let submission = &subject.upload.submission;
    if submission.stated.agree_with(&submission.digests) {
        return Ok(Step::Next);
    }
    Err(UploadError::rejected(
        "digest-mismatch",
        "The digest supplied does not match a digest calculated from the uploaded file.",
    ))
}
