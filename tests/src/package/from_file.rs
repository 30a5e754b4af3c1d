//! The form that a client sends with a file, built from the file's contents.

use std::io::Read;
use std::path::Path;

use blake2::Blake2b256;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::Distribution;

/// Headers whose form fields have a name other than the header in lower case with `_`.
const PLURALS: &[(&str, &str)] = &[
    ("classifier", "classifiers"),
    ("project_url", "project_urls"),
];

impl Distribution {
    /// An existing wheel or source distribution.
    pub fn of_file(path: &Path) -> Self {
        let bytes = std::fs::read(path)
            .unwrap_or_else(|cause| panic!("cannot read {}: {cause}", path.display()));
        let file_name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let metadata = metadata_of(&file_name, &bytes)
            .unwrap_or_else(|| panic!("{file_name} has no core metadata"));
        let (file_type, python_version) = match file_name.strip_suffix(".whl") {
            Some(stem) => ("bdist_wheel", stem.rsplit('-').nth(2).unwrap_or_default()),
            None => ("sdist", "source"),
        };
        let mut fields: Vec<(String, String)> = [
            (":action", "file_upload"),
            ("protocol_version", "1"),
            ("filetype", file_type),
            ("pyversion", python_version),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        fields.extend(form_fields(&metadata));
        fields.push((
            "sha256_digest".to_owned(),
            HEXLOWER.encode(&Sha256::digest(&bytes)),
        ));
        fields.push((
            "blake2_256_digest".to_owned(),
            HEXLOWER.encode(&Blake2b256::digest(&bytes)),
        ));
        Self {
            file_name,
            bytes,
            fields,
            metadata,
        }
    }
}

/// `METADATA` or `PKG-INFO`, one folder down.
fn metadata_of(file_name: &str, bytes: &[u8]) -> Option<String> {
    let mut text = String::new();
    if file_name.ends_with(".whl") {
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).ok()?;
        let is_metadata =
            |name: &str| name.split('/').count() == 2 && name.ends_with(".dist-info/METADATA");
        let name = archive
            .file_names()
            .flatten()
            .find(|name| is_metadata(name))?
            .into_owned();
        archive
            .by_name(&name)
            .ok()?
            .read_to_string(&mut text)
            .ok()?;
        return Some(text);
    }
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes));
    for entry in archive.entries().ok()? {
        let mut entry = entry.ok()?;
        let path = entry.path().ok()?.into_owned();
        if path.components().count() == 2 && path.ends_with("PKG-INFO") {
            entry.read_to_string(&mut text).ok()?;
            return Some(text);
        }
    }
    None
}

/// The headers as fields, the body as the description.
fn form_fields(metadata: &str) -> Vec<(String, String)> {
    let metadata = metadata.replace("\r\n", "\n");
    let (headers, body) = metadata
        .split_once("\n\n")
        .unwrap_or((metadata.trim_end(), ""));
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in headers.lines() {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push('\n');
                value.push_str(line.trim());
            }
        } else if let Some((header, value)) = line.split_once(':') {
            let name = header.to_ascii_lowercase().replace('-', "_");
            let name = PLURALS
                .iter()
                .find(|(header, _)| *header == name)
                .map_or(name.clone(), |(_, plural)| (*plural).to_owned());
            fields.push((name, value.trim().to_owned()));
        }
    }
    if !body.trim().is_empty() {
        fields.push(("description".to_owned(), body.to_owned()));
    }
    fields
}
