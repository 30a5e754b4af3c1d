//! Releases: staged, published, yanked.

use model::{ProjectId, ProjectName, ReleaseId, ReleaseState, Timestamp, UserId, Version};
use serde_json::Value;

use crate::database::Row;
use crate::files::{FileRow, file_columns, file_row};
use crate::statement::statements;
use crate::{Conflict, Result, Storage, UnitOfWork};

/// A release to create, or to find if its version exists already.
#[derive(Clone, Debug)]
pub struct NewRelease<'a> {
    /// Used only if the release does not exist yet.
    pub id: ReleaseId,
    pub project: ProjectId,
    pub version: &'a Version,
    /// SHA-256 of the core metadata of its first file, which is stored as a blob. Used only if the
    /// release does not exist yet.
    pub metadata_sha256: Option<[u8; 32]>,
    pub created_at: Timestamp,
}

/// A release.
#[derive(Clone, Debug, PartialEq)]
pub struct ReleaseRow {
    pub id: ReleaseId,
    pub project: ProjectId,
    /// As first uploaded, in canonical form.
    pub version: Version,
    /// Staged until its first file is published.
    pub state: ReleaseState,
    pub created_at: Timestamp,
    pub published_at: Option<Timestamp>,
    pub yanked: Option<Yank>,
}

/// Where the core metadata of a release is: up to megabytes, so it is read separately and only
/// where it is shown.
#[derive(Clone, Debug, PartialEq)]
pub enum ReleaseMetadata {
    /// A blob with this SHA-256.
    Blob([u8; 32]),
    /// In the row, as a JSON object: a release from an earlier version.
    Row(Value),
}

/// The yank of a release (PEP 592).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Yank {
    pub at: Timestamp,
    /// Empty if no reason was given.
    pub reason: String,
}

/// A release with files that wait to be published. The release itself may already be public.
#[derive(Clone, Debug, PartialEq)]
pub struct StagedRelease {
    pub project_name: ProjectName,
    pub release: ReleaseRow,
    /// The staged files only, in order of names.
    pub files: Vec<FileRow>,
    /// Who staged each of these files, in the same order.
    pub staged_by: Vec<StagedBy>,
}

/// The person or token that staged a file, as shown to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagedBy {
    /// Name of the user; none if it was not a user.
    pub user: Option<String>,
    /// Description of the token that it was staged with; none if there was no token.
    pub token_description: Option<String>,
}

/// The result of rejecting a release.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejected {
    /// The staged files whose rows are gone; their names are free again and their blobs are
    /// unreferenced.
    pub files: Vec<FileRow>,
    /// Whether the release was removed with them, because it was never published.
    pub release_removed: bool,
}

/// The columns that [`release_row`] reads.
macro_rules! release_columns {
    () => {
        "releases.id AS release_id, releases.project_id AS release_project_id, releases.version AS release_version, releases.state AS release_state,
        releases.created_at AS release_created_at, releases.published_at AS release_published_at,
        releases.yanked_at AS release_yanked_at, releases.yanked_reason AS release_yanked_reason"
    };
}

/// Staged files with their releases, one row for each file, so that a list is one snapshot.
macro_rules! staged {
    ($condition:literal) => {
        concat!(
            "SELECT ",
            release_columns!(),
            ", ",
            file_columns!(),
            ", projects.written AS project_written, stagers.name AS staged_by_name, tokens.description AS staged_with_description
            FROM files JOIN releases ON releases.id = files.release_id JOIN projects ON projects.id = files.project_id
            LEFT JOIN users AS stagers ON stagers.id = files.uploaded_by LEFT JOIN tokens ON tokens.id = files.uploaded_with
            WHERE files.state = 'staged' AND ",
            $condition,
            " ORDER BY releases.created_at, releases.id, files.name"
        )
    };
}

statements! {
    BY_VERSION = concat!("SELECT ", release_columns!(), " FROM releases WHERE project_id = $1 AND version_key = $2");
    BY_ID = concat!("SELECT ", release_columns!(), " FROM releases WHERE id = $1");
    METADATA = "SELECT metadata, metadata_sha256 FROM releases WHERE id = $1";
    SET_METADATA = "UPDATE releases SET metadata_sha256 = $2 WHERE id = $1 AND state = 'staged'";
    COUNT = "SELECT COUNT(*) AS releases FROM releases WHERE project_id = $1";
    VERSIONS = "SELECT version FROM releases WHERE project_id = $1 AND state = 'published'";
    PUBLISHED = concat!("SELECT ", release_columns!(), " FROM releases WHERE project_id = $1 AND state = 'published'");
    STAGED_ON = staged!("files.project_id = $1");
    STAGED_FOR = staged!("files.project_id IN (SELECT project_id FROM project_roles WHERE user_id = $1)");
    STAGED = staged!("TRUE");
    CREATE = "INSERT INTO releases (id, project_id, version_key, version, state, metadata, metadata_sha256, created_at)
        VALUES ($1, $2, $3, $4, 'staged', '{}', $5, $6)
        ON CONFLICT (project_id, version_key) DO NOTHING";
    /// Uploads, publishing and rejecting of one release take turns. `NO KEY`, so that the reference
    /// from a new file, which shares the key, does not have to wait.
    LOCK_BY_VERSION = concat!("SELECT ", release_columns!(), " FROM releases WHERE project_id = $1 AND version_key = $2"),
        concat!("SELECT ", release_columns!(), " FROM releases WHERE project_id = $1 AND version_key = $2 FOR NO KEY UPDATE");
    PROJECT_OF = "SELECT project_id FROM releases WHERE id = $1";
    LOCK = "SELECT project_id FROM releases WHERE id = $1", "SELECT project_id FROM releases WHERE id = $1 FOR NO KEY UPDATE";
    COUNT_STAGED = "SELECT COUNT(*) AS files FROM files WHERE release_id = $1 AND state = 'staged'";
    STAGED_FILES = concat!("SELECT ", file_columns!(), "
        FROM files JOIN releases ON releases.id = files.release_id JOIN projects ON projects.id = files.project_id
        WHERE files.release_id = $1 AND files.state = 'staged' ORDER BY files.name");
    PUBLISH_FILES = "UPDATE files SET state = 'published', published_at = $2 WHERE release_id = $1 AND state = 'staged'";
    PUBLISH = "UPDATE releases SET state = 'published', published_at = $2 WHERE id = $1 AND state = 'staged'";
    PUBLISH_PROJECT = "UPDATE projects SET published_at = $2 WHERE id = $1 AND published_at IS NULL";
    REJECT_FILES = "DELETE FROM files WHERE release_id = $1 AND state = 'staged'";
    FREE_NAME = "DELETE FROM file_names WHERE name = $1 AND burned_at IS NULL";
    REMOVE = "DELETE FROM releases WHERE id = $1 AND state = 'staged'";
    YANK = "UPDATE releases SET yanked_at = $2, yanked_reason = $3 WHERE id = $1 AND state = 'published' AND yanked_at IS NULL RETURNING project_id";
    UNYANK = "UPDATE releases SET yanked_at = NULL, yanked_reason = NULL WHERE id = $1 AND yanked_at IS NOT NULL RETURNING project_id";
}

impl Storage {
    /// The release of this version (by PEP 440: `1.0` finds `1.0.0`), in any state.
    pub async fn release(
        &self,
        project: ProjectId,
        version: &Version,
    ) -> Result<Option<ReleaseRow>> {
        self.database()
            .optional(&BY_VERSION, &[project.into(), version.key().into()])
            .await?
            .as_ref()
            .map(release_row)
            .transpose()
    }

    /// The release with this id.
    pub async fn release_by_id(&self, id: ReleaseId) -> Result<Option<ReleaseRow>> {
        self.database()
            .optional(&BY_ID, &[id.into()])
            .await?
            .as_ref()
            .map(release_row)
            .transpose()
    }

    /// Where the core metadata of a release is.
    pub async fn release_metadata(&self, id: ReleaseId) -> Result<Option<ReleaseMetadata>> {
        let Some(row) = self.database().optional(&METADATA, &[id.into()]).await? else {
            return Ok(None);
        };
        Ok(Some(match row.optional_array("metadata_sha256")? {
            Some(sha256) => ReleaseMetadata::Blob(sha256),
            None => {
                ReleaseMetadata::Row(row.read("metadata", |text| serde_json::from_str(text).ok())?)
            }
        }))
    }

    /// Versions of the published releases of a project, in no order.
    pub async fn published_versions(&self, project: ProjectId) -> Result<Vec<Version>> {
        let rows = self.database().all(&VERSIONS, &[project.into()]).await?;
        rows.iter()
            .map(|row| row.read("version", |text| Version::parse(text).ok()))
            .collect()
    }

    /// The published releases of a project, in no order.
    pub async fn published_releases(&self, project: ProjectId) -> Result<Vec<ReleaseRow>> {
        self.database()
            .all(&PUBLISHED, &[project.into()])
            .await?
            .iter()
            .map(release_row)
            .collect()
    }

    /// Releases of a project that have staged files, oldest first.
    pub async fn staged_releases(&self, project: ProjectId) -> Result<Vec<StagedRelease>> {
        staged_releases(&self.database().all(&STAGED_ON, &[project.into()]).await?)
    }

    /// The same, for all projects that a user has a role on.
    pub async fn staged_releases_for(&self, user: UserId) -> Result<Vec<StagedRelease>> {
        staged_releases(&self.database().all(&STAGED_FOR, &[user.into()]).await?)
    }

    /// The same, for all projects; for the command line.
    pub async fn all_staged_releases(&self) -> Result<Vec<StagedRelease>> {
        staged_releases(&self.database().all(&STAGED, &[]).await?)
    }
}

impl UnitOfWork {
    /// The release of this version: the existing one, or a new staged one. The row is locked until
    /// the unit ends, so that it cannot be rejected in between, and so is its project (see
    /// [`hold_project`](Self::hold_project)). It becomes published with its first published file.
    pub async fn ensure_release(&mut self, release: &NewRelease<'_>) -> Result<ReleaseRow> {
        let key = release.version.key();
        self.hold_project(release.project, None).await?;
        // A release that is rejected between the two statements is found by neither: try again.
        for _ in 0..3 {
            let values = [
                release.id.into(),
                release.project.into(),
                (&key).into(),
                release.version.to_string().into(),
                release.metadata_sha256.as_ref().into(),
                release.created_at.into(),
            ];
            self.execute(&CREATE, &values).await?;
            if let Some(row) = self
                .optional(&LOCK_BY_VERSION, &[release.project.into(), (&key).into()])
                .await?
            {
                return release_row(&row);
            }
        }
        self.refuse(Conflict::Raced)
    }

    /// Gives a release that was never published the core metadata of the file that is about to
    /// publish it: readers must not see the metadata of a staged file, which may be rejected.
    pub async fn set_release_metadata(
        &mut self,
        release: ReleaseId,
        sha256: &[u8; 32],
    ) -> Result<()> {
        self.execute(&SET_METADATA, &[release.into(), sha256.into()])
            .await
            .map(drop)
    }

    /// How many releases a project has, staged ones included.
    pub async fn count_releases(&mut self, project: ProjectId) -> Result<u64> {
        self.one(&COUNT, &[project.into()]).await?.count("releases")
    }

    /// How many files of a release wait to be published.
    pub async fn count_staged_files(&mut self, release: ReleaseId) -> Result<u64> {
        self.one(&COUNT_STAGED, &[release.into()])
            .await?
            .count("files")
    }

    /// Publishes all staged files of a release at once and returns them, in order of names; empty
    /// if there are none, or no longer. Readers see the change.
    pub async fn publish_release(
        &mut self,
        release: ReleaseId,
        at: Timestamp,
    ) -> Result<Vec<FileRow>> {
        let Some(row) = self.optional(&PROJECT_OF, &[release.into()]).await? else {
            return Ok(Vec::new());
        };
        let project = row.parsed("project_id")?;
        self.hold_project(project, None).await?;
        self.lock_release(release).await?;
        let mut files = self
            .all(&STAGED_FILES, &[release.into()])
            .await?
            .iter()
            .map(file_row)
            .collect::<Result<Vec<_>>>()?;
        if files.is_empty() {
            return Ok(files);
        }
        self.execute(&PUBLISH_FILES, &[release.into(), at.into()])
            .await?;
        self.show_usage(project, &files).await?;
        self.show_release(release, project, at, "publish release")
            .await?;
        for file in &mut files {
            file.state = ReleaseState::Published;
            file.published_at = Some(at);
        }
        Ok(files)
    }

    /// Removes the staged files of a release, and the release if it was never published. The names
    /// are free again, since no one can have seen them.
    pub async fn reject_release(&mut self, release: ReleaseId) -> Result<Rejected> {
        let Some(row) = self.optional(&PROJECT_OF, &[release.into()]).await? else {
            return Ok(Rejected {
                files: Vec::new(),
                release_removed: false,
            });
        };
        let project = row.parsed("project_id")?;
        self.hold_project(project, None).await?;
        self.lock_release(release).await?;
        let files = self
            .all(&STAGED_FILES, &[release.into()])
            .await?
            .iter()
            .map(file_row)
            .collect::<Result<Vec<_>>>()?;
        self.execute(&REJECT_FILES, &[release.into()]).await?;
        self.take_usage(project, &files).await?;
        for file in &files {
            self.execute(&FREE_NAME, &[(&file.name).into()]).await?;
        }
        let release_removed = self.execute(&REMOVE, &[release.into()]).await? == 1;
        Ok(Rejected {
            files,
            release_removed,
        })
    }

    /// Yanks a published release. Returns whether it was published and not yanked. Readers see the
    /// change.
    pub async fn yank_release(
        &mut self,
        release: ReleaseId,
        reason: &str,
        at: Timestamp,
    ) -> Result<bool> {
        let row = self
            .optional(&YANK, &[release.into(), at.into(), reason.into()])
            .await?;
        self.readers_see_row(row, "yank release")
    }

    /// Undoes the yank. Returns whether it was yanked. Readers see the change.
    pub async fn unyank_release(&mut self, release: ReleaseId) -> Result<bool> {
        let row = self.optional(&UNYANK, &[release.into()]).await?;
        self.readers_see_row(row, "unyank release")
    }

    /// Makes a release, and its project, visible to readers: its first file is published.
    pub(crate) async fn show_release(
        &mut self,
        release: ReleaseId,
        project: ProjectId,
        at: Timestamp,
        action: &'static str,
    ) -> Result<()> {
        self.execute(&PUBLISH, &[release.into(), at.into()]).await?;
        let is_first = self
            .execute(&PUBLISH_PROJECT, &[project.into(), at.into()])
            .await?
            == 1;
        self.readers_see(project, action);
        if is_first && self.is_listed(project).await? {
            self.project_shown();
        }
        Ok(())
    }

    /// Waits for other units that work on the release. Returns whether it exists.
    pub(crate) async fn lock_release(&mut self, release: ReleaseId) -> Result<bool> {
        Ok(self.optional(&LOCK, &[release.into()]).await?.is_some())
    }

    fn readers_see_row(&mut self, row: Option<Row>, action: &'static str) -> Result<bool> {
        let Some(row) = row else {
            return Ok(false);
        };
        self.readers_see(row.parsed("project_id")?, action);
        Ok(true)
    }
}

fn release_row(row: &Row) -> Result<ReleaseRow> {
    Ok(ReleaseRow {
        id: row.parsed("release_id")?,
        project: row.parsed("release_project_id")?,
        version: row.read("release_version", |text| Version::parse(text).ok())?,
        state: row.read("release_state", ReleaseState::from_word)?,
        created_at: row.time("release_created_at")?,
        published_at: row.optional_time("release_published_at")?,
        yanked: yank(row, "release_yanked_at", "release_yanked_reason")?,
    })
}

pub(crate) fn yank(row: &Row, at: &str, reason: &str) -> Result<Option<Yank>> {
    let Some(at) = row.optional_time(at)? else {
        return Ok(None);
    };
    Ok(Some(Yank {
        at,
        reason: row.optional_text(reason)?.unwrap_or_default(),
    }))
}

/// Groups the rows of `staged!`, in which the files of a release are adjacent.
fn staged_releases(rows: &[Row]) -> Result<Vec<StagedRelease>> {
    let mut releases: Vec<StagedRelease> = Vec::new();
    for row in rows {
        let file = file_row(row)?;
        let by = StagedBy {
            user: row.optional_text("staged_by_name")?,
            token_description: row.optional_text("staged_with_description")?,
        };
        match releases.last_mut() {
            Some(last) if last.release.id == file.release => {
                last.files.push(file);
                last.staged_by.push(by);
            }
            _ => releases.push(StagedRelease {
                project_name: row.read("project_written", |text| ProjectName::parse(text).ok())?,
                release: release_row(row)?,
                files: vec![file],
                staged_by: vec![by],
            }),
        }
    }
    Ok(releases)
}
