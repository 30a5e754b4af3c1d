//! The storage used by projects and users, counted where it is written.
//!
//! The totals of a project change in the unit that changes its files, while the project's row is
//! held, so that simultaneous uploads see each other's: a limit that is compared with them in that
//! unit holds for any number of uploads.

use model::{ProjectId, ReleaseId, Timestamp, UserId};

use crate::database::Row;
use crate::files::FileRow;
use crate::statement::statements;
use crate::{Result, Storage, UnitOfWork};

/// A project's usage. A file costs its bytes and those of its stored core metadata; metadata that
/// several files share is in the cost of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Cost of all files, staged ones included.
    pub bytes: u64,
    /// Cost of the staged ones.
    pub staged_bytes: u64,
    /// Files, staged ones included.
    pub files: u64,
    /// Files that wait to be published; 0 if the added file does not.
    pub staged_files: u64,
    /// Files of the release that was just added to.
    pub files_of_release: u64,
}

/// Hours whose uploads of a user are counted together.
const HOURS: i64 = 24;
const HOUR_MS: i64 = 3_600_000;

/// The columns of one project's row, from its files.
macro_rules! summed {
    () => {
        "CAST(COALESCE(SUM(size + COALESCE(metadata_size, 0)), 0) AS BIGINT) AS bytes,
        CAST(COALESCE(SUM(CASE WHEN state = 'staged' THEN size + COALESCE(metadata_size, 0) ELSE 0 END), 0) AS BIGINT) AS staged_bytes,
        COUNT(*) AS files FROM files WHERE project_id = $1"
    };
}

statements! {
    OF_PROJECT = "SELECT bytes, staged_bytes, files FROM project_usage WHERE project_id = $1";
    SUMMED = concat!("SELECT ", summed!());
    /// For a project without a row. The project is held, so nothing is added meanwhile.
    BEGIN = concat!("INSERT INTO project_usage (project_id, bytes, staged_bytes, files) SELECT CAST($1 AS TEXT), ", summed!(), " ON CONFLICT (project_id) DO NOTHING");
    ADD = "UPDATE project_usage SET bytes = bytes + $2, staged_bytes = staged_bytes + $3, files = files + $4 WHERE project_id = $1";
    FILES_OF_RELEASE = "SELECT COUNT(*) AS files FROM files WHERE release_id = $1";
    STAGED_FILES = "SELECT COUNT(*) AS files FROM files WHERE project_id = $1 AND state = 'staged'";
    /// Projects that a user owns and that readers have never seen.
    UNPUBLISHED = "SELECT COUNT(*) AS projects FROM project_roles JOIN projects ON projects.id = project_roles.project_id
        WHERE user_id = $1 AND role = 'owner' AND published_at IS NULL";
    /// Locks the row: simultaneous uploads of one user take turns.
    COUNT_BYTES = "INSERT INTO uploaded_bytes (user_id, hour, bytes) VALUES ($1, $2, $3)
        ON CONFLICT (user_id, hour) DO UPDATE SET bytes = uploaded_bytes.bytes + excluded.bytes";
    BYTES_SINCE = "SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) AS bytes FROM uploaded_bytes WHERE user_id = $1 AND hour > $2";
    FORGET_BYTES = "DELETE FROM uploaded_bytes WHERE hour < $1";
}

impl Storage {
    /// The cost of a project's files, staged ones included, in bytes.
    pub async fn project_size(&self, project: ProjectId) -> Result<u64> {
        match self
            .database()
            .optional(&OF_PROJECT, &[project.into()])
            .await?
        {
            Some(row) => row.count("bytes"),
            None => self
                .database()
                .one(&SUMMED, &[project.into()])
                .await?
                .count("bytes"),
        }
    }

    /// Counts bytes that a user is about to store, unless that makes more than `limit` in a day;
    /// returns whether they are counted. Atomic for each user, across processes. Bookkeeping: bytes
    /// that are not stored in the end still count.
    pub async fn take_uploaded_bytes(
        &self,
        user: UserId,
        bytes: u64,
        at: Timestamp,
        limit: u64,
    ) -> Result<bool> {
        let (Ok(bytes), Ok(limit)) = (
            i64::try_from(bytes),
            i64::try_from(limit.min(i64::MAX as u64)),
        ) else {
            return Ok(false);
        };
        let mut transaction = self.database().begin().await?;
        transaction
            .execute(&COUNT_BYTES, &[user.into(), hour(at).into(), bytes.into()])
            .await?;
        let rows = transaction
            .all(&BYTES_SINCE, &[user.into(), (hour(at) - HOURS).into()])
            .await?;
        let total = rows.first().ok_or_else(Row::missing)?.integer("bytes")?;
        if total > limit {
            return Ok(false);
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Forgets how much was uploaded before `before`; returns how many rows.
    pub async fn forget_uploaded_bytes(&self, before: Timestamp) -> Result<u64> {
        self.database()
            .execute(&FORGET_BYTES, &[hour(before).into()])
            .await
    }
}

impl UnitOfWork {
    /// How many projects a user owns that readers have never seen. No one else can give that user a
    /// project until the unit ends, if [`grant_role`](Self::grant_role) was called before.
    pub async fn count_unpublished_projects(&mut self, user: UserId) -> Result<u64> {
        self.one(&UNPUBLISHED, &[user.into()])
            .await?
            .count("projects")
    }

    /// Adds a file that was just written.
    pub(crate) async fn add_usage(
        &mut self,
        project: ProjectId,
        release: ReleaseId,
        cost: i64,
        staged: i64,
    ) -> Result<Usage> {
        if !self.change_usage(project, cost, staged, 1).await? {
            // The sum includes the new file already.
            self.execute(&BEGIN, &[project.into()]).await?;
        }
        let row = self.one(&OF_PROJECT, &[project.into()]).await?;
        let files_of_release = self
            .one(&FILES_OF_RELEASE, &[release.into()])
            .await?
            .count("files")?;
        let staged_files = if staged > 0 {
            self.one(&STAGED_FILES, &[project.into()])
                .await?
                .count("files")?
        } else {
            0
        };
        Ok(Usage {
            bytes: row.count("bytes")?,
            staged_bytes: row.count("staged_bytes")?,
            files: row.count("files")?,
            staged_files,
            files_of_release,
        })
    }

    /// Subtracts files that were just removed.
    pub(crate) async fn take_usage(&mut self, project: ProjectId, files: &[FileRow]) -> Result<()> {
        let staged = files
            .iter()
            .filter(|file| file.state == model::ReleaseState::Staged)
            .map(cost)
            .sum::<i64>();
        self.change_usage(
            project,
            -files.iter().map(cost).sum::<i64>(),
            -staged,
            -(files.len() as i64),
        )
        .await
        .map(drop)
    }

    /// Counts staged files as published.
    pub(crate) async fn show_usage(&mut self, project: ProjectId, files: &[FileRow]) -> Result<()> {
        self.change_usage(project, 0, -files.iter().map(cost).sum::<i64>(), 0)
            .await
            .map(drop)
    }

    async fn change_usage(
        &mut self,
        project: ProjectId,
        bytes: i64,
        staged: i64,
        files: i64,
    ) -> Result<bool> {
        Ok(self
            .execute(
                &ADD,
                &[project.into(), bytes.into(), staged.into(), files.into()],
            )
            .await?
            == 1)
    }
}

fn cost(file: &FileRow) -> i64 {
    i64::try_from(
        file.size
            .saturating_add(file.metadata_size.unwrap_or_default()),
    )
    .unwrap_or(i64::MAX)
}

fn hour(at: Timestamp) -> i64 {
    at.0.div_euclid(HOUR_MS)
}
