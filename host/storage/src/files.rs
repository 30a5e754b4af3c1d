//! Distribution files. Their bytes are blobs that `registry` stores, named by BLAKE2b-256.

use model::{
    Digests, FileId, FileKind, ProjectId, ReleaseId, ReleaseState, Timestamp, TokenId, UserId,
    Version,
};

use crate::database::Row;
use crate::releases::{Yank, yank};
use crate::statement::statements;
use crate::usage::Usage;
use crate::{Conflict, Result, Storage, UnitOfWork};

/// A file to add to a release.
#[derive(Clone, Debug)]
pub struct NewFile<'a> {
    pub id: FileId,
    pub release: ReleaseId,
    pub name: &'a str,
    /// The key that all spellings of the name share; no two files may have the same.
    pub name_key: &'a str,
    pub kind: FileKind,
    /// In bytes.
    pub size: u64,
    pub digests: Digests,
    pub requires_python: Option<&'a str>,
    /// SHA-256 of the core metadata file (PEP 658), if one is served next to the file.
    pub metadata_sha256: Option<[u8; 32]>,
    /// Bytes of core metadata that are stored for this file; none if none are.
    pub metadata_size: Option<u64>,
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
    /// Bytes of core metadata that are stored for this file, under their digest. None for a file
    /// from an earlier version, whose metadata is next to its content.
    pub metadata_size: Option<u64>,
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

/// The columns that [`file_row`] reads, from `files`, `releases` and `projects`.
macro_rules! file_columns {
    () => {
        "files.id AS file_id, files.project_id AS file_project_id, projects.normalized AS file_project_name, files.release_id AS file_release_id,
        releases.version AS file_version, files.name AS file_name, files.kind AS file_kind, files.size AS file_size,
        files.md5 AS file_md5, files.sha256 AS file_sha256, files.blake2_256 AS file_blake2_256,
        files.requires_python AS file_requires_python, files.metadata_sha256 AS file_metadata_sha256, files.metadata_size AS file_metadata_size,
        files.python_version AS file_python_version, files.comment AS file_comment, files.uploaded_at AS file_uploaded_at,
        files.uploaded_by AS file_uploaded_by, files.uploaded_with AS file_uploaded_with, files.state AS file_state,
        files.published_at AS file_published_at, releases.yanked_at AS file_yanked_at, releases.yanked_reason AS file_yanked_reason"
    };
}
pub(crate) use file_columns;

macro_rules! files {
    ($condition:literal) => {
        concat!(
            "SELECT ",
            file_columns!(),
            " FROM files JOIN releases ON releases.id = files.release_id JOIN projects ON projects.id = files.project_id WHERE ",
            $condition
        )
    };
}

statements! {
    BY_ID = files!("files.id = $1");
    BY_NAME = files!("files.name = $1");
    BY_KEY = files!("files.name = (SELECT name FROM file_names WHERE name_key = $1)");
    BY_BLAKE2 = files!("files.blake2_256 = $1");
    PUBLISHED = files!("files.project_id = $1 AND files.state = 'published' ORDER BY files.name");
    OF_RELEASE = files!("files.release_id = $1 ORDER BY files.name");
    IS_BURNED = "SELECT name FROM file_names WHERE name_key = $1 AND burned_at IS NOT NULL";
    TOTAL_SIZE = "SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) AS size FROM files";
    HAS_BLOB = "SELECT id FROM files WHERE blake2_256 = $1";
    HAS_METADATA = "SELECT 1 AS found FROM files WHERE metadata_sha256 = $1 AND metadata_size IS NOT NULL
        UNION ALL SELECT 1 AS found FROM releases WHERE metadata_sha256 = $1 LIMIT 1";
    BLOBS = "SELECT blake2_256 FROM files WHERE blake2_256 > $1 ORDER BY blake2_256 LIMIT $2";
    METADATA_BLOBS = "SELECT DISTINCT metadata_sha256 FROM files WHERE metadata_size IS NOT NULL AND metadata_sha256 > $1 ORDER BY metadata_sha256 LIMIT $2";
    /// Names have a table of their own, so that one constraint covers used and burned names, even
    /// with concurrent writes.
    TAKE_NAME = "INSERT INTO file_names (name, name_key) VALUES ($1, $2)";
    CREATE = "INSERT INTO files (id, project_id, release_id, name, kind, size, md5, sha256, blake2_256, requires_python, metadata_sha256, python_version,
        comment, uploaded_at, uploaded_by, uploaded_with, state, published_at, metadata_size)
        SELECT CAST($1 AS TEXT), project_id, id, CAST($3 AS TEXT), CAST($4 AS TEXT), CAST($5 AS BIGINT), $6, $7, $8, CAST($9 AS TEXT), $10, CAST($11 AS TEXT),
        CAST($12 AS TEXT), CAST($13 AS BIGINT), CAST($14 AS TEXT), CAST($15 AS TEXT), CAST($16 AS TEXT), CAST($17 AS BIGINT), CAST($18 AS BIGINT)
        FROM releases WHERE id = $2 RETURNING project_id";
    DELETE = "DELETE FROM files WHERE id = $1";
    BURN_NAME = "UPDATE file_names SET burned_at = $2 WHERE name = $1";
    FREE_NAME = "DELETE FROM file_names WHERE name = $1";
}

impl Storage {
    /// The file with this name, in any state.
    pub async fn file(&self, name: &str) -> Result<Option<FileRow>> {
        self.database()
            .optional(&BY_NAME, &[name.into()])
            .await?
            .as_ref()
            .map(file_row)
            .transpose()
    }

    /// The file whose name is a spelling of this key, in any state.
    pub async fn file_by_key(&self, name_key: &str) -> Result<Option<FileRow>> {
        self.database()
            .optional(&BY_KEY, &[name_key.into()])
            .await?
            .as_ref()
            .map(file_row)
            .transpose()
    }

    /// The file with this content, in any state.
    pub async fn file_by_blake2(&self, blake2_256: &[u8; 32]) -> Result<Option<FileRow>> {
        self.database()
            .optional(&BY_BLAKE2, &[blake2_256.into()])
            .await?
            .as_ref()
            .map(file_row)
            .transpose()
    }

    /// The published files of a project, in order of names: everything that a page is built from.
    pub async fn published_files(&self, project: ProjectId) -> Result<Vec<FileRow>> {
        self.database()
            .each(&PUBLISHED, &[project.into()], file_row)
            .await
    }

    /// The files of a release, in any state, in order of names.
    pub async fn files_of(&self, release: ReleaseId) -> Result<Vec<FileRow>> {
        self.database()
            .all(&OF_RELEASE, &[release.into()])
            .await?
            .iter()
            .map(file_row)
            .collect()
    }

    /// Whether a spelling of this key was the name of a public file that was deleted. Such a name
    /// is never free again.
    pub async fn is_burned(&self, name_key: &str) -> Result<bool> {
        Ok(self
            .database()
            .optional(&IS_BURNED, &[name_key.into()])
            .await?
            .is_some())
    }

    /// Bytes of all files, staged ones included.
    pub async fn total_size(&self) -> Result<u64> {
        self.database().one(&TOTAL_SIZE, &[]).await?.count("size")
    }

    /// Whether a file, staged or not, has this content.
    pub async fn is_blob_referenced(&self, blake2_256: &[u8; 32]) -> Result<bool> {
        Ok(self
            .database()
            .optional(&HAS_BLOB, &[blake2_256.into()])
            .await?
            .is_some())
    }

    /// Whether a file or a release, staged or not, has this core metadata, stored by its digest.
    pub async fn is_metadata_referenced(&self, sha256: &[u8; 32]) -> Result<bool> {
        Ok(self
            .database()
            .optional(&HAS_METADATA, &[sha256.into()])
            .await?
            .is_some())
    }

    /// SHA-256 of core metadata that files refer to by digest, in order, those after `after`, at
    /// most `limit`.
    pub async fn metadata_blobs(&self, after: &[u8; 32], limit: u32) -> Result<Vec<[u8; 32]>> {
        let values = [after.into(), limit.into()];
        self.database()
            .all(&METADATA_BLOBS, &values)
            .await?
            .iter()
            .map(|row| row.array("metadata_sha256"))
            .collect()
    }

    /// Digests of all blobs that files refer to, in order, those after `after`, at most `limit`.
    pub async fn blobs(&self, after: Option<&[u8; 32]>, limit: u32) -> Result<Vec<[u8; 32]>> {
        let after: &[u8] = after.map_or(&[], |digest| digest);
        self.database()
            .all(&BLOBS, &[after.into(), limit.into()])
            .await?
            .iter()
            .map(|row| row.array("blake2_256"))
            .collect()
    }
}

impl UnitOfWork {
    /// Adds a file to a release; a published file publishes the release with it, and readers see
    /// it. Returns the project's new usage, for the caller to check against its limits before it
    /// commits: the project, which [`ensure_release`](Self::ensure_release) holds, does not change
    /// until the unit ends. `Conflict::FileNameTaken` (burned names too),
    /// `Conflict::FileContentTaken`, `Conflict::SourceDistributionTaken`.
    pub async fn add_file(&mut self, file: &NewFile<'_>) -> Result<Usage> {
        let (Ok(size), Ok(metadata_size)) = (
            i64::try_from(file.size),
            file.metadata_size.map(i64::try_from).transpose(),
        ) else {
            return self.refuse(Conflict::TextRefused);
        };
        let published_at = (file.state == ReleaseState::Published).then_some(file.uploaded_at);
        self.execute(&TAKE_NAME, &[file.name.into(), file.name_key.into()])
            .await?;
        let values = [
            file.id.into(),
            file.release.into(),
            file.name.into(),
            file.kind.as_str().into(),
            size.into(),
            (&file.digests.md5).into(),
            (&file.digests.sha256).into(),
            (&file.digests.blake2_256).into(),
            file.requires_python.into(),
            file.metadata_sha256.as_ref().into(),
            file.python_version.into(),
            file.comment.into(),
            file.uploaded_at.into(),
            file.uploaded_by.into(),
            file.uploaded_with.into(),
            file.state.as_str().into(),
            published_at.into(),
            metadata_size.into(),
        ];
        let Some(row) = self.optional(&CREATE, &values).await? else {
            return self.refuse(Conflict::ReferenceGone);
        };
        let project = row.parsed("project_id")?;
        let cost = size.saturating_add(metadata_size.unwrap_or_default());
        let usage = self
            .add_usage(
                project,
                file.release,
                cost,
                if published_at.is_none() { cost } else { 0 },
            )
            .await?;
        if let Some(at) = published_at {
            self.show_release(file.release, project, at, "add file")
                .await?;
        }
        Ok(usage)
    }

    /// Deletes a file and returns it. The name of a published one is burned, and readers see the
    /// change.
    pub async fn delete_file(&mut self, id: FileId, at: Timestamp) -> Result<Option<FileRow>> {
        let Some(row) = self.optional(&BY_ID, &[id.into()]).await? else {
            return Ok(None);
        };
        // Read again under the locks: it may have been published or rejected in between.
        let held = file_row(&row)?;
        self.hold_project(held.project, None).await?;
        self.lock_release(held.release).await?;
        let Some(row) = self.optional(&BY_ID, &[id.into()]).await? else {
            return Ok(None);
        };
        let file = file_row(&row)?;
        self.execute(&DELETE, &[id.into()]).await?;
        self.take_usage(file.project, std::slice::from_ref(&file))
            .await?;
        if file.state == ReleaseState::Published {
            self.execute(&BURN_NAME, &[(&file.name).into(), at.into()])
                .await?;
            self.readers_see(file.project, "remove file");
        } else {
            self.execute(&FREE_NAME, &[(&file.name).into()]).await?;
        }
        Ok(Some(file))
    }
}

/// Reads `file_columns!`.
pub(crate) fn file_row(row: &Row) -> Result<FileRow> {
    Ok(FileRow {
        id: row.parsed("file_id")?,
        project: row.parsed("file_project_id")?,
        project_name: row.text("file_project_name")?,
        release: row.parsed("file_release_id")?,
        version: row.read("file_version", |text| Version::parse(text).ok())?,
        name: row.text("file_name")?,
        kind: row.read("file_kind", FileKind::from_word)?,
        size: row.count("file_size")?,
        digests: Digests {
            md5: row.array("file_md5")?,
            sha256: row.array("file_sha256")?,
            blake2_256: row.array("file_blake2_256")?,
        },
        requires_python: row.optional_text("file_requires_python")?,
        metadata_sha256: row.optional_array("file_metadata_sha256")?,
        metadata_size: row.optional_count("file_metadata_size")?,
        python_version: row.text("file_python_version")?,
        comment: row.optional_text("file_comment")?,
        uploaded_at: row.time("file_uploaded_at")?,
        uploaded_by: row.optional_parsed("file_uploaded_by")?,
        uploaded_with: row.optional_parsed("file_uploaded_with")?,
        state: row.read("file_state", ReleaseState::from_word)?,
        published_at: row.optional_time("file_published_at")?,
        yanked: yank(row, "file_yanked_at", "file_yanked_reason")?,
    })
}
