//! The Simple API in JSON (PEP 691, 592, 700, 714, 740, 792), version 1.4.

use std::collections::BTreeMap;

use model::{ProjectStatus, Timestamp, Version};
use serde::Serialize;
use storage::files::FileRow;
use storage::projects::ProjectRow;

use super::{API_VERSION, Urls};

#[derive(Serialize)]
struct Meta {
    #[serde(rename = "_last-serial")]
    last_serial: i64,
    #[serde(rename = "api-version")]
    api_version: &'static str,
}

#[derive(Serialize)]
struct Project<'a> {
    files: Vec<File<'a>>,
    meta: Meta,
    name: &'a str,
    #[serde(rename = "project-status")]
    project_status: Status<'a>,
    versions: Vec<String>,
}

#[derive(Serialize)]
struct Status<'a> {
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct File<'a> {
    core_metadata: MetadataHashes,
    data_dist_info_metadata: MetadataHashes,
    filename: &'a str,
    hashes: BTreeMap<&'static str, String>,
    provenance: Option<&'a str>,
    requires_python: Option<&'a str>,
    size: u64,
    upload_time: String,
    url: String,
    yanked: Yanked<'a>,
}

/// The hashes of the metadata file, or false.
#[derive(Serialize)]
#[serde(untagged)]
enum MetadataHashes {
    None(bool),
    Sha256 { sha256: String },
}

/// Why it was yanked; true without a reason, false if it was not.
#[derive(Serialize)]
#[serde(untagged)]
enum Yanked<'a> {
    Flag(bool),
    Reason(&'a str),
}

/// `/simple/{project}/`.
pub(super) fn project(
    project: &ProjectRow,
    files: &[FileRow],
    versions: &[Version],
    urls: &Urls,
) -> Vec<u8> {
    to_bytes(&Project {
        files: files.iter().map(|row| file(row, urls)).collect(),
        meta: Meta {
            last_serial: project.last_serial,
            api_version: API_VERSION,
        },
        name: project.name.normalized(),
        project_status: Status {
            status: ProjectStatus::as_str(project.status),
            reason: project.status_reason.as_deref(),
        },
        versions: versions.iter().map(Version::to_string).collect(),
    })
}

fn file<'a>(row: &'a FileRow, urls: &Urls) -> File<'a> {
    let metadata = || {
        row.metadata_sha256
            .map_or(MetadataHashes::None(false), |sha256| {
                MetadataHashes::Sha256 {
                    sha256: data_encoding::HEXLOWER.encode(&sha256),
                }
            })
    };
    File {
        core_metadata: metadata(),
        data_dist_info_metadata: metadata(),
        filename: &row.name,
        hashes: BTreeMap::from([("sha256", row.digests.sha256_hex())]),
        provenance: None,
        requires_python: row.requires_python.as_deref(),
        size: row.size,
        upload_time: time(row.uploaded_at),
        url: urls.file(row),
        yanked: match &row.yanked {
            None => Yanked::Flag(false),
            Some(yank) if yank.reason.is_empty() => Yanked::Flag(true),
            Some(yank) => Yanked::Reason(&yank.reason),
        },
    }
}

/// PEP 700: ISO 8601 in UTC with `Z`.
pub(super) fn time(at: Timestamp) -> String {
    at.to_string()
}

pub(super) fn to_bytes(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("pages are made of text and numbers")
}
