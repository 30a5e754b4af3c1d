//! Permanent removal of files, releases and projects. Files are removed by
//! [`UnitOfWork::delete_file`].
//!
//! Invariant: a name that readers saw is never free again. Names of files are burned, and the row
//! of a project stays, without files, roles and settings, so that no one can take its name; an
//! operator may give it to someone again.

use model::{ProjectId, ReleaseId, ReleaseState, Timestamp};

use crate::database::Row;
use crate::files::{FileRow, file_columns, file_row};
use crate::statement::statements;
use crate::{Result, UnitOfWork};

/// A project that was deleted.
#[derive(Clone, Debug, PartialEq)]
pub struct DeletedProject {
    /// Its files, staged ones included, in order of names.
    pub files: Vec<FileRow>,
    /// Whether readers saw it.
    pub was_published: bool,
}

macro_rules! files_of {
    ($condition:literal) => {
        concat!(
            "SELECT ",
            file_columns!(),
            " FROM files JOIN releases ON releases.id = files.release_id JOIN projects ON projects.id = files.project_id WHERE ",
            $condition,
            " ORDER BY files.name"
        )
    };
}

statements! {
    PROJECT_OF = "SELECT project_id, state FROM releases WHERE id = $1";
    FILES_OF_RELEASE = files_of!("files.release_id = $1");
    FILES_OF_PROJECT = files_of!("files.project_id = $1");
    BURN_OF_RELEASE = "UPDATE file_names SET burned_at = $2 WHERE name IN (SELECT name FROM files WHERE release_id = $1 AND state = 'published')";
    DROP_OF_RELEASE = "DELETE FROM files WHERE release_id = $1";
    DROP_RELEASE = "DELETE FROM releases WHERE id = $1";
    BURN_OF_PROJECT = "UPDATE file_names SET burned_at = $2 WHERE name IN (SELECT name FROM files WHERE project_id = $1 AND state = 'published')";
    DROP_OF_PROJECT = "DELETE FROM files WHERE project_id = $1";
    DROP_RELEASES = "DELETE FROM releases WHERE project_id = $1";
    DROP_ROLES = "DELETE FROM project_roles WHERE project_id = $1";
    DROP_SETTINGS = "DELETE FROM project_settings WHERE project_id = $1";
    WAS_PUBLISHED = "SELECT id FROM projects WHERE id = $1 AND published_at IS NOT NULL";
    EMPTY_PROJECT = "UPDATE projects SET published_at = NULL, status = 'active', status_reason = NULL WHERE id = $1";
    FREE_NAME = "DELETE FROM file_names WHERE name = $1 AND burned_at IS NULL";
}

impl UnitOfWork {
    /// Deletes a release with all its files, staged ones included, and returns these; none if there
    /// is no such release. Names that readers saw are burned.
    pub async fn delete_release(
        &mut self,
        release: ReleaseId,
        at: Timestamp,
    ) -> Result<Option<Vec<FileRow>>> {
        let Some(row) = self.optional(&PROJECT_OF, &[release.into()]).await? else {
            return Ok(None);
        };
        let project = row.parsed("project_id")?;
        // Read again under the locks: it may have been published or rejected in between.
        self.hold_project(project, None).await?;
        self.lock_release(release).await?;
        let Some(row) = self.optional(&PROJECT_OF, &[release.into()]).await? else {
            return Ok(None);
        };
        let files = read_files(&self.all(&FILES_OF_RELEASE, &[release.into()]).await?)?;
        self.execute(&BURN_OF_RELEASE, &[release.into(), at.into()])
            .await?;
        self.execute(&DROP_OF_RELEASE, &[release.into()]).await?;
        self.let_go(project, &files).await?;
        self.execute(&DROP_RELEASE, &[release.into()]).await?;
        if row.read("state", ReleaseState::from_word)? == ReleaseState::Published {
            self.readers_see(project, "remove release");
        }
        Ok(Some(files))
    }

    /// Deletes a project with its releases, files, roles and settings; none if it does not exist.
    /// Names that readers saw are burned, and so is its own: its row stays.
    pub async fn delete_project(
        &mut self,
        project: ProjectId,
        at: Timestamp,
    ) -> Result<Option<DeletedProject>> {
        if self.hold_project(project, None).await?.is_none() {
            return Ok(None);
        }
        let was_published = self
            .optional(&WAS_PUBLISHED, &[project.into()])
            .await?
            .is_some();
        let was_listed = self.is_listed(project).await?;
        let files = read_files(&self.all(&FILES_OF_PROJECT, &[project.into()]).await?)?;
        self.execute(&BURN_OF_PROJECT, &[project.into(), at.into()])
            .await?;
        self.execute(&DROP_OF_PROJECT, &[project.into()]).await?;
        self.let_go(project, &files).await?;
        for statement in [&DROP_RELEASES, &DROP_ROLES, &DROP_SETTINGS, &EMPTY_PROJECT] {
            self.execute(statement, &[project.into()]).await?;
        }
        if was_published {
            self.readers_see(project, "remove project");
            self.list_changes();
        }
        if was_listed {
            self.project_hidden();
        }
        Ok(Some(DeletedProject {
            files,
            was_published,
        }))
    }

    /// Frees the names that no one saw, and the files' share of the usage.
    async fn let_go(&mut self, project: ProjectId, files: &[FileRow]) -> Result<()> {
        for file in files
            .iter()
            .filter(|file| file.state == ReleaseState::Staged)
        {
            self.execute(&FREE_NAME, &[(&file.name).into()]).await?;
        }
        self.take_usage(project, files).await
    }
}

fn read_files(rows: &[Row]) -> Result<Vec<FileRow>> {
    rows.iter().map(file_row).collect()
}
