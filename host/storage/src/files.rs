//! Distribution files. Their bytes are blobs that `registry` keeps, named by BLAKE2b-256.

use model::{Digests, FileId, FileKind, ProjectId, ReleaseId, ReleaseState, Timestamp, TokenId, UserId, Version};

use crate::releases::Yank;
use crate::{Result, Storage, UnitOfWork};

/// A file to add to a release.
#[derive(Clone, Debug)]
pub struct NewFile<'a> {
    pub id: FileId,
    pub release: ReleaseId,
    pub name: &'a str,
    pub kind: FileKind,
    /// In bytes.
    pub size: u64,
    pub digests: Digests,
    pub requires_python: Option<&'a str>,
    /// SHA-256 of the core metadata file (PEP 658), if one is served beside the file.
    pub metadata_sha256: Option<[u8; 32]>,
    /// The form's `pyversion`; `source` for a source distribution.
    pub python_version: &'a str,
    pub comment: Option<&'a str>,
    pub uploaded_at: Timestamp,
    pub uploaded_by: Option<UserId>,
    pub uploaded_with: Option<TokenId>,
    pub state: ReleaseState,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRow {
    pub id: FileId,
    pub project: ProjectId,
    /// Normalized name of the project.
    pub project_name: String,
    pub release: ReleaseId,
    pub version: Version,
    pub name: String,
    pub kind: FileKind,
    /// In bytes.
    pub size: u64,
    pub digests: Digests,
    pub requires_python: Option<String>,
    pub metadata_sha256: Option<[u8; 32]>,
    pub python_version: String,
    pub comment: Option<String>,
    pub uploaded_at: Timestamp,
    pub uploaded_by: Option<UserId>,
    pub uploaded_with: Option<TokenId>,
    pub state: ReleaseState,
    pub published_at: Option<Timestamp>,
    /// Whether and why its release is yanked (PEP 592).
    pub yanked: Option<Yank>,
}

impl Storage {
    /// The file with this name, whatever its state.
    pub async fn file(&self, name: &str) -> Result<Option<FileRow>> {
        let _ = name;
        todo!()
    }

    /// The file with this content, whatever its state.
    pub async fn file_by_blake2(&self, blake2_256: &[u8; 32]) -> Result<Option<FileRow>> {
        let _ = blake2_256;
        todo!()
    }

    /// The published files of a project, in order of names: all a page is built from.
    pub async fn published_files(&self, project: ProjectId) -> Result<Vec<FileRow>> {
        let _ = project;
        todo!()
    }

    /// The files of a release, whatever their state, in order of names.
    pub async fn files_of(&self, release: ReleaseId) -> Result<Vec<FileRow>> {
        let _ = release;
        todo!()
    }

    /// Whether the name was used by a file that was deleted after it was public. Such a
    /// name is never free again.
    pub async fn is_burned(&self, name: &str) -> Result<bool> {
        let _ = name;
        todo!()
    }

    /// Bytes of all files of a project, staged ones included.
    pub async fn project_size(&self, project: ProjectId) -> Result<u64> {
        let _ = project;
        todo!()
    }

    /// Bytes of all files, staged ones included.
    pub async fn total_size(&self) -> Result<u64> {
        todo!()
    }

    /// Whether a file, staged or not, has this content.
    pub async fn is_blob_referenced(&self, blake2_256: &[u8; 32]) -> Result<bool> {
        let _ = blake2_256;
        todo!()
    }

    /// Digests of all blobs that files refer to, in order, those after `after`, at most `limit`.
    pub async fn blobs(&self, after: Option<&[u8; 32]>, limit: u32) -> Result<Vec<[u8; 32]>> {
        let _ = (after, limit);
        todo!()
    }
}

impl UnitOfWork {
    /// Adds a file to a release; a published file publishes the release with it, and readers
    /// see it. `Conflict::FileNameTaken` (burned names too), `Conflict::FileContentTaken`,
    /// `Conflict::SourceDistributionTaken`.
    pub async fn add_file(&mut self, file: &NewFile<'_>) -> Result<()> {
        let _ = file;
        todo!()
    }

    /// Deletes a file and returns it. The name of a published one is burned, and readers see it.
    pub async fn delete_file(&mut self, id: FileId, at: Timestamp) -> Result<Option<FileRow>> {
        let _ = (id, at);
        todo!()
    }
}
