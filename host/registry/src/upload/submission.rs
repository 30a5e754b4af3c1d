//! Rows 6 to 9: the form, parsed for the rest of an upload.

use model::{Digests, FileKind, ProjectName, Version};

use super::error::UploadError;
use crate::form::{Content, Fields, UploadForm};
use crate::metadata::checks::excerpt;
use crate::metadata::{CoreMetadata, checks};
use crate::spool::SpooledFile;

const SPECIFICATION: &str =
    "See https://packaging.python.org/specifications/core-metadata for more information.";

/// A consistent form. Its claims about the file are still unverified.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) name: ProjectName,
    pub(crate) version: Version,
    pub(crate) kind: FileKind,
    pub(crate) python_version: String,
    pub(crate) stated: StatedDigests,
    pub(crate) comment: Option<String>,
    pub(crate) attestations: Option<String>,
    pub(crate) metadata: CoreMetadata,
    /// As it was sent; row 19 checks it.
    pub(crate) file_name: String,
    pub(crate) content_type: Option<String>,
    /// Of the received bytes.
    pub(crate) size: u64,
    pub(crate) is_too_large: bool,
    pub(crate) digests: Digests,
}

/// Digests from the form.
#[derive(Debug, Default)]
pub(crate) struct StatedDigests {
    pub(crate) md5: Option<[u8; 16]>,
    pub(crate) sha256: Option<[u8; 32]>,
    pub(crate) blake2_256: Option<[u8; 32]>,
}

/// The data of the text fields alone.
pub(crate) struct Header {
    pub(crate) name: ProjectName,
    version: Version,
    kind: FileKind,
    python_version: String,
    stated: StatedDigests,
    metadata: CoreMetadata,
}

impl Header {
    /// Checks the text fields: rows 6 to 8.
    pub(crate) fn parse(fields: &Fields, older_files: bool) -> Result<Self, UploadError> {
        check_action(fields)?;
        if fields.one("protocol_version").unwrap_or("1") != "1" {
            return Err(UploadError::rejected(
                "unknown-protocol",
                "Unknown protocol version.",
            ));
        }
        let name = parse_name(fields)?;
        let version = parse_version(fields)?;
        let kind = fields
            .one("filetype")
            .and_then(FileKind::from_word)
            .ok_or_else(|| {
                UploadError::rejected(
                    "invalid-filetype",
                    "Invalid value for filetype. Error: Use a known file type.",
                )
            })?;
        let python_version = parse_python_version(fields, kind)?;
        let stated = StatedDigests::parse(fields)?;
        let metadata = CoreMetadata::from_form(fields);
        checks::check(&metadata, older_files)
            .map_err(|message| UploadError::rejected("invalid-metadata", message))?;
        Ok(Self {
            name,
            version,
            kind,
            python_version,
            stated,
            metadata,
        })
    }
}

impl Submission {
    /// Checks the form: rows 6 to 9. Also returns the received file.
    pub(crate) fn parse(
        form: UploadForm,
        older_files: bool,
    ) -> Result<(Self, SpooledFile), UploadError> {
        let UploadForm { fields, content } = form;
        let Header {
            name,
            version,
            kind,
            python_version,
            stated,
            metadata,
        } = Header::parse(&fields, older_files)?;
        let Some(Content {
            file_name: Some(file_name),
            content_type,
            file,
        }) = content
        else {
            return Err(UploadError::rejected(
                "no-file",
                "Upload payload does not have a file.",
            ));
        };
        let submission = Self {
            name,
            version,
            kind,
            python_version,
            stated,
            comment: fields
                .one("comment")
                .map(|comment| comment.chars().take(500).collect()),
            attestations: fields.one("attestations").map(str::to_owned),
            metadata,
            file_name,
            content_type,
            size: file.size(),
            is_too_large: file.is_too_large(),
            digests: file.digests(),
        };
        Ok((submission, file))
    }
}

fn check_action(fields: &Fields) -> Result<(), UploadError> {
    match fields.one(":action") {
        Some("file_upload") => Ok(()),
        Some("submit" | "submit_pkg_info" | "doc_upload") => Err(UploadError::with_status(
            410,
            "action-gone",
            "Project pre-registration and documentation uploads are no longer supported, upload a distribution instead: creating a project is part of the first upload.",
        )),
        Some(other) => Err(UploadError::rejected(
            "unknown-action",
            format!("Unknown action '{}'; use file_upload.", excerpt(other)),
        )),
        None => Err(UploadError::rejected(
            "no-action",
            "Missing field ':action'; use file_upload.",
        )),
    }
}

fn parse_name(fields: &Fields) -> Result<ProjectName, UploadError> {
    let text = fields.one("name").unwrap_or_default();
    ProjectName::parse(text).map_err(|cause| {
        UploadError::rejected(
            "invalid-name",
            format!(
                "'{}' is an invalid value for Name. Error: {}. {SPECIFICATION}",
                excerpt(text),
                sentence(&cause)
            ),
        )
    })
}

fn parse_version(fields: &Fields) -> Result<Version, UploadError> {
    let text = fields.one("version").unwrap_or_default();
    Version::parse(text.trim()).map_err(|cause| {
        UploadError::rejected(
            "invalid-version",
            format!(
                "'{}' is an invalid value for Version. Error: {}. {SPECIFICATION}",
                excerpt(text),
                sentence(&cause)
            ),
        )
    })
}

/// An error as the beginning of a sentence.
fn sentence(cause: &impl std::fmt::Display) -> String {
    let text = cause.to_string();
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(characters).collect()
    })
}

fn parse_python_version(fields: &Fields, kind: FileKind) -> Result<String, UploadError> {
    let invalid = |why: &str| {
        UploadError::rejected(
            "invalid-pyversion",
            format!("Invalid value for pyversion. Error: {why}"),
        )
    };
    match (kind, fields.one("pyversion")) {
        (FileKind::Sdist, None | Some("source")) => Ok("source".to_owned()),
        (FileKind::Sdist, Some(_)) => Err(invalid("Use 'source' as Python version for an sdist.")),
        (FileKind::Wheel, None) => Err(invalid(
            "Python version is required for binary distribution uploads.",
        )),
        (FileKind::Wheel, Some(text))
            if text.len() <= 100
                && text
                    .bytes()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_')) =>
        {
            Ok(text.to_owned())
        }
        (FileKind::Wheel, Some(_)) => Err(invalid("Use tags like py3 or cp312 joined by '.'.")),
    }
}

impl StatedDigests {
    fn parse(fields: &Fields) -> Result<Self, UploadError> {
        let stated = Self {
            md5: hex(fields, "md5_digest", "MD5")?,
            sha256: hex(fields, "sha256_digest", "SHA256")?,
            blake2_256: hex(fields, "blake2_256_digest", "BLAKE2")?,
        };
        if stated.md5.is_none() && stated.sha256.is_none() && stated.blake2_256.is_none() {
            return Err(UploadError::rejected(
                "no-digest",
                "Error: Include at least one message digest.",
            ));
        }
        Ok(stated)
    }

    /// Whether every given digest matches the received bytes.
    pub(crate) fn agree_with(&self, digests: &Digests) -> bool {
        self.md5.is_none_or(|md5| md5 == digests.md5)
            && self.sha256.is_none_or(|sha256| sha256 == digests.sha256)
            && self
                .blake2_256
                .is_none_or(|blake2| blake2 == digests.blake2_256)
    }
}

fn hex<const N: usize>(
    fields: &Fields,
    field: &'static str,
    name: &str,
) -> Result<Option<[u8; N]>, UploadError> {
    let Some(text) = fields.one(field) else {
        return Ok(None);
    };
    let bytes = data_encoding::HEXLOWER_PERMISSIVE
        .decode(text.trim().as_bytes())
        .ok()
        .and_then(|bytes| bytes.try_into().ok());
    let invalid = || {
        UploadError::rejected(
            "invalid-digest",
            format!(
                "Invalid value for {field}. Error: Use a valid, hex-encoded, {name} message digest."
            ),
        )
    };
    bytes.map(Some).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::FormBuilder;

    /// The message for a valid form with some fields changed; an empty value removes the field.
    fn message(changes: &[(&str, &str)]) -> String {
        let md5 = "0".repeat(32);
        let good = [
            (":action", "file_upload"),
            ("protocol_version", "1"),
            ("metadata_version", "2.1"),
            ("name", "sample"),
            ("version", "1.0"),
            ("filetype", "bdist_wheel"),
            ("pyversion", "py3"),
            ("md5_digest", md5.as_str()),
        ];
        let mut builder = FormBuilder::new();
        for (name, value) in good
            .iter()
            .filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name))
            .chain(changes)
        {
            builder.text(name, value.as_bytes()).unwrap();
        }
        Header::parse(builder.fields(), false)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn a_good_form_passes() {
        assert_eq!(message(&[]), "");
        assert_eq!(message(&[("filetype", "sdist"), ("pyversion", "")]), "");
    }

    #[test]
    fn texts_are_those_that_clients_know() {
        for (changes, expected) in [
            (vec![("protocol_version", "2")], "Unknown protocol version."),
            (
                vec![("name", "foo-")],
                "'foo-' is an invalid value for Name. Error: Start and end with a letter or numeral containing only ASCII numeric and '.', '_' and '-'. See https://packaging.python.org/specifications/core-metadata for more information.",
            ),
            (
                vec![("filetype", "bdist_egg")],
                "Invalid value for filetype. Error: Use a known file type.",
            ),
            (
                vec![("pyversion", "")],
                "Invalid value for pyversion. Error: Python version is required for binary distribution uploads.",
            ),
            (
                vec![("filetype", "sdist")],
                "Invalid value for pyversion. Error: Use 'source' as Python version for an sdist.",
            ),
            (
                vec![("md5_digest", "")],
                "Error: Include at least one message digest.",
            ),
            (
                vec![("sha256_digest", "abc")],
                "Invalid value for sha256_digest. Error: Use a valid, hex-encoded, SHA256 message digest.",
            ),
        ] {
            assert_eq!(message(&changes), expected);
        }
        assert!(
            message(&[("metadata_version", "3.0")])
                .contains("'3.0' is not a valid metadata version")
        );
        assert!(
            message(&[("version", "1.0+local")])
                .starts_with("The use of local versions in '1.0+local' is not allowed.")
        );
        assert!(
            message(&[("version", "one")]).starts_with("'one' is an invalid value for Version.")
        );
    }

    #[test]
    fn an_earlier_row_wins() {
        assert_eq!(
            message(&[("protocol_version", "2"), ("name", "-")]),
            "Unknown protocol version."
        );
        assert!(
            message(&[("name", "-"), ("metadata_version", "9")]).contains("invalid value for Name")
        );
    }

    #[test]
    fn old_actions_are_gone() {
        assert!(message(&[(":action", "submit")]).contains("no longer supported"));
        assert!(message(&[(":action", "")]).contains("Missing field ':action'"));
    }
}
