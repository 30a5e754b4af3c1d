//! Core metadata, from the upload form or from the file itself, in one shape.
//!
//! Source: <https://packaging.python.org/specifications/core-metadata>, to version 2.5.

pub(crate) mod checks;
pub(crate) mod fields;
mod headers;
pub(crate) mod license;
pub(crate) mod requirement;

use std::collections::BTreeMap;
use std::io;

use blobs::BlobName;
use gate::MetadataFacts;
use model::ReleaseId;
use serde_json::{Map, Value};
use storage::StorageError;
use storage::releases::ReleaseMetadata;

use crate::Registry;
use crate::blocking::blocking;
use crate::form::Fields;
use fields::{FIELDS, Field};
use headers::{Header, Headers};

/// Largest `METADATA` or `PKG-INFO` that is read, in bytes.
pub(crate) const MAX_METADATA_BYTES: u64 = model::limit::METADATA_BYTES.get();
/// Headers one such file may have.
const MAX_HEADERS: usize = model::limit::METADATA_FIELDS.length();

/// Core metadata. Keys are the first form names of [`FIELDS`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CoreMetadata {
    values: BTreeMap<&'static str, Vec<String>>,
}

/// The file is not valid core metadata.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MetadataError {
    #[error("the metadata is not UTF-8")]
    NotUtf8,
    #[error("line {line} of the metadata is not of the form 'Name: value'")]
    Malformed { line: usize },
    #[error("line {line} of the metadata {why}")]
    Characters { line: usize, why: &'static str },
    #[error("line {line} of the metadata has '{header}' without a value")]
    Empty { line: usize, header: &'static str },
    #[error("the metadata has more than {MAX_HEADERS} fields")]
    TooManyFields,
    #[error("the metadata has '{0}' more than once, and not the same")]
    Repeated(&'static str),
    #[error("the metadata has no '{0}'")]
    Missing(&'static str),
}

impl CoreMetadata {
    /// Takes the form's fields about the release.
    pub(crate) fn from_form(form: &Fields) -> Self {
        let mut values = BTreeMap::new();
        for field in FIELDS {
            let given: Vec<String> = field
                .form_names
                .iter()
                .flat_map(|name| form.all(name))
                .cloned()
                .collect();
            if !given.is_empty() {
                values.insert(field.form_names[0], given);
            }
        }
        Self { values }
    }

    /// Parses `METADATA` or `PKG-INFO`. Unknown headers are ignored, as the specification demands;
    /// a single-valued field with two values is an error, because readers disagree on which they
    /// take.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, MetadataError> {
        let text = std::str::from_utf8(bytes).map_err(|_| MetadataError::NotUtf8)?;
        let Headers { headers, body } = headers::read(text)?;
        if headers.len() > MAX_HEADERS {
            return Err(MetadataError::TooManyFields);
        }
        let mut values: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        let mut first: BTreeMap<&'static str, String> = BTreeMap::new();
        for Header { key, value, line } in headers {
            let Some(field) = field_of_header(key.as_bytes()) else {
                continue;
            };
            let value = unfold(field, value);
            check_characters(field, &value)
                .map_err(|why| MetadataError::Characters { line, why })?;
            if value.is_empty() && field.is_never_empty() {
                let header = field.header;
                return Err(MetadataError::Empty { line, header });
            }
            if field.is_nothing(&value) {
                continue;
            }
            // Readers take the first, even if it is empty, or the last.
            if !field.many {
                match first.get(field.header) {
                    Some(before) if *before == value => continue,
                    Some(_) => return Err(MetadataError::Repeated(field.header)),
                    None => drop(first.insert(field.header, value.clone())),
                }
            }
            if !value.is_empty() {
                values.entry(field.form_names[0]).or_default().push(value);
            }
        }
        if !body.trim().is_empty() {
            if values.contains_key("description") {
                return Err(MetadataError::Repeated("Description"));
            }
            values.insert("description", vec![body.to_owned()]);
        }
        for (key, header) in [
            ("metadata_version", "Metadata-Version"),
            ("name", "Name"),
            ("version", "Version"),
        ] {
            if !values.contains_key(key) {
                return Err(MetadataError::Missing(header));
            }
        }
        Ok(Self { values })
    }

    /// Every value of a field, by its first form name.
    pub(crate) fn all(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }

    /// The value of a field that has one.
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        self.all(name).first().map(String::as_str)
    }

    /// Files that must be in the distribution (PEP 639). Before metadata 2.4 the field was a
    /// convention of one tool and promised nothing.
    pub(crate) fn promised_license_files(&self) -> &[String] {
        if matches!(self.one("metadata_version"), Some("2.4" | "2.5")) {
            self.all("license_file")
        } else {
            &[]
        }
    }

    /// The facts for a decision.
    pub(crate) fn facts(&self) -> MetadataFacts {
        let text = |name: &str| self.one(name).unwrap_or_default().to_owned();
        MetadataFacts {
            version: text("metadata_version"),
            summary: text("summary"),
            license: self
                .one("license_expression")
                .or(self.one("license"))
                .unwrap_or_default()
                .to_owned(),
            requires_python: text("requires_python"),
            requires: self.all("requires_dist").to_vec(),
            classifiers: self.all("classifiers").to_vec(),
        }
    }

    /// The JSON object from which pages are built.
    pub(crate) fn to_json(&self) -> Value {
        let mut object = Map::new();
        for field in FIELDS {
            let name = field.form_names[0];
            let Some(given) = self.values.get(name) else {
                continue;
            };
            let value = if field.many {
                Value::from(given.clone())
            } else {
                Value::from(given[0].clone())
            };
            object.insert(name.to_owned(), value);
        }
        Value::Object(object)
    }
}

impl Registry {
    /// The core metadata of a release as a JSON object, by the first form names of [`FIELDS`].
    pub(crate) async fn release_metadata(&self, release: ReleaseId) -> Result<Value, StorageError> {
        let sha256 = match self.inner.storage.release_metadata(release).await? {
            Some(ReleaseMetadata::Row(metadata)) => return Ok(metadata),
            Some(ReleaseMetadata::Blob(sha256)) => sha256,
            None => return Ok(Value::Null),
        };
        let blob = self.inner.blobs.blob(BlobName::Metadata(sha256), None);
        let parsed = async {
            let bytes = blob.whole().await.map_err(io::Error::other)?;
            let parse = move || CoreMetadata::parse(&bytes).map_err(io::Error::other);
            Ok::<_, io::Error>(blocking(parse).await?.to_json())
        };
        // The release still exists: its files can be downloaded and installed.
        Ok(parsed.await.unwrap_or_else(|error| {
            tracing::error!(%release, sha256 = data_encoding::HEXLOWER.encode(&sha256), %error, "cannot read the core metadata of a release");
            Value::Null
        }))
    }
}

fn field_of_header(key: &[u8]) -> Option<&'static Field> {
    FIELDS
        .iter()
        .find(|field| field.header.as_bytes().eq_ignore_ascii_case(key))
}

/// Undoes the folding of a long value. Only descriptions and licenses have several lines, which may
/// be marked by `       |` or eight spaces.
fn unfold(field: &Field, value: &str) -> String {
    let mut lines = value.split('\n').map(|line| line.trim_end_matches('\r'));
    let mut out = lines.next().unwrap_or_default().trim().to_owned();
    let keeps_lines = matches!(field.form_names[0], "description" | "license");
    for line in lines {
        if keeps_lines {
            out.push('\n');
            out.push_str(
                line.strip_prefix("       |")
                    .or_else(|| line.strip_prefix("        "))
                    .unwrap_or_else(|| line.trim_start()),
            );
        } else {
            out.push(' ');
            out.push_str(line.trim());
        }
    }
    out.trim().to_owned()
}

/// Fields with text for people. Programs read all others.
const PROSE: &[&str] = &[
    "summary",
    "description",
    "keywords",
    "author",
    "author_email",
    "maintainer",
    "maintainer_email",
    "license",
];

/// Refuses text that only some readers take literally: control characters, and encoded words, which
/// only some decode.
fn check_characters(field: &Field, value: &str) -> Result<(), &'static str> {
    let has_lines = matches!(field.form_names[0], "description" | "license");
    if value.contains('\0') || !has_lines && value.chars().any(|c| c.is_control() && c != '\t') {
        return Err("has control characters");
    }
    if !PROSE.contains(&field.form_names[0]) && has_encoded_word(value) {
        return Err("has an encoded word ('=?utf-8?q?…?='), which only some readers decode");
    }
    Ok(())
}

/// Whether a text contains an encoded word: `=?charset?encoding?text?=` (RFC 2047), where the
/// encoding is B or Q. Readers are less strict than the standard about the inner text, so any text
/// is allowed here.
fn has_encoded_word(text: &str) -> bool {
    // Searched once: a text may contain a million beginnings.
    let Some(last_end) = text.rfind("?=") else {
        return false;
    };
    text.match_indices("=?").any(|(at, _)| {
        let mut parts = text[at + 2..].splitn(3, '?');
        let (_charset, encoding, encoded) = (parts.next(), parts.next(), parts.next());
        let is_ended = encoded.is_some_and(|encoded| text.len() - encoded.len() <= last_end);
        encoding.is_some_and(|encoding| matches!(encoding, "b" | "B" | "q" | "Q")) && is_ended
    })
}

#[cfg(test)]
mod tests;
