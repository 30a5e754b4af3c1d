//! Downloads.

use std::net::IpAddr;

use blobs::BlobName;
pub use blobs::{Blob, ReadError, Reading};
use gate::Permit;
use model::{Caller, FileKind, ProjectStatus};
use storage::StorageError;

use crate::Registry;
use crate::index::{self, reader};
use crate::targets::{DownloadFile, Found, SeenProject};

/// A file to send.
#[derive(Clone, Debug)]
pub struct StoredFile {
    /// Its bytes. For the `.metadata` of a file from an earlier version, the size is unknown.
    pub blob: Blob,
    /// With quotes; the content never changes under this address.
    pub etag: String,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// The name to save it under.
    pub name: String,
}

/// The file, and whether its `.metadata` is wanted.
fn named(name: &str) -> (&str, bool) {
    name.strip_suffix(".metadata")
        .map_or((name, false), |file| (file, true))
}

impl Registry {
    /// The target of a decision about a download: `/files/{first}/{second}/{rest}/{name}`, where
    /// the three are the BLAKE2b-256 in hex and `name` may end in `.metadata`. There is always a
    /// target; whether the file exists is checked after the decision. The file is not looked up
    /// here unless the project is in memory: see [`with_file`](Self::with_file).
    pub async fn load_download(
        &self,
        caller: &Caller,
        digest: (&str, &str, &str),
        name: &str,
    ) -> Result<DownloadFile, index::ReadError> {
        let mut target = self.unseen_download(name);
        let has_shape = digest.0.len() == 2 && digest.1.len() == 2;
        let hex = [digest.0, digest.1, digest.2].concat();
        target.wanted = has_shape.then(|| (hex, named(name).0.to_owned()));
        if !target.project.normalized.is_empty() {
            target.project = self.load_seen(caller, &target.project.normalized).await?;
        }
        target.find();
        Ok(target)
    }

    /// The complete target: with the file, if the project is not in memory. `address` is the
    /// client's address.
    pub async fn with_file(
        &self,
        mut target: DownloadFile,
        address: IpAddr,
    ) -> Result<DownloadFile, index::ReadError> {
        if let Found::Row { .. } = target.project.found {
            let asker = reader(address);
            let entry = self.project_entry(&asker, &target.project).await?;
            target.project.found = entry.map_or(Found::Nothing, Found::Entry);
            target.find();
        }
        Ok(target)
    }

    /// The same without any lookup, like [`unseen_project`](Self::unseen_project).
    pub fn unseen_download(&self, name: &str) -> DownloadFile {
        let (file_name, wants_metadata) = named(name);
        let normalized = crate::filename::project_of(file_name).unwrap_or_default();
        DownloadFile {
            project: SeenProject::unseen(&normalized),
            wanted: None,
            file: None,
            wants_metadata,
            now: self.inner.clock.now(),
        }
    }

    /// The file to send; none is a 404. Files of a project in quarantine are not served.
    pub async fn open_file(
        &self,
        permit: Permit<DownloadFile>,
    ) -> Result<Option<StoredFile>, StorageError> {
        let target = permit.target();
        let in_quarantine = target
            .project
            .entry()
            .is_some_and(|entry| entry.project.status == ProjectStatus::Quarantined);
        let Some(file) = target.row().filter(|_| !in_quarantine) else {
            return Ok(None);
        };
        if !target.wants_metadata {
            let content_type = match file.kind {
                FileKind::Wheel => "application/zip",
                FileKind::Sdist => "application/gzip",
            };
            let etag = format!("\"{}\"", file.digests.blake2_256_hex());
            let name = BlobName::File(file.digests.blake2_256);
            return Ok(Some(StoredFile {
                blob: self.inner.blobs.blob(name, Some(file.size)),
                etag,
                content_type,
                name: file.name.clone(),
            }));
        }
        let Some(sha256) = file.metadata_sha256 else {
            return Ok(None);
        };
        let name = match file.metadata_size {
            Some(_) => BlobName::Metadata(sha256),
            None => BlobName::Metadata(file.digests.blake2_256),
        };
        Ok(Some(StoredFile {
            blob: self.inner.blobs.blob(name, file.metadata_size),
            etag: format!("\"{}\"", data_encoding::HEXLOWER.encode(&sha256)),
            content_type: "text/plain; charset=utf-8",
            name: format!("{}.metadata", file.name),
        }))
    }
}
