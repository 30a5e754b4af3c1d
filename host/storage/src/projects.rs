//! Projects, users' roles on them, and their owners' settings.

use model::{ProjectId, ProjectName, ProjectStatus, Role, Timestamp, UserId, UserName};
use serde_json::{Map, Value};

use crate::database::Row;
use crate::statement::statements;
use crate::{Conflict, Result, Storage, StorageError, UnitOfWork};

/// A project to create.
#[derive(Clone, Debug)]
pub struct NewProject<'a> {
    pub id: ProjectId,
    pub name: &'a ProjectName,
    pub created_at: Timestamp,
}

/// A project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectRow {
    pub id: ProjectId,
    pub name: ProjectName,
    pub status: ProjectStatus,
    /// Why it has that status, for readers (PEP 792); none if no reason was given.
    pub status_reason: Option<String>,
    pub created_at: Timestamp,
    /// When its first file was published. Without that, the project does not exist for readers.
    pub published_at: Option<Timestamp>,
    /// Serial of the last change that readers see; 0 if there was none.
    pub last_serial: i64,
}

/// One line of the list of projects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    pub normalized: String,
    /// The name as written.
    pub written: String,
    pub status: ProjectStatus,
    pub last_serial: i64,
}

/// A project in a list for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedProject {
    pub normalized: String,
    /// The name as written.
    pub written: String,
    pub status: ProjectStatus,
    /// When a visible change last happened.
    pub changed_at: Option<Timestamp>,
}

/// A role that a user has on a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleRow {
    pub project: ProjectId,
    pub user: UserId,
    pub user_name: UserName,
    pub role: Role,
    pub granted_at: Timestamp,
}

/// The data of a project for a decision, from one query.
#[derive(Clone, Debug, PartialEq)]
pub struct ProjectFacts {
    pub project: ProjectRow,
    /// The role of the requested user.
    pub role: Option<Role>,
    /// How many files it has, staged ones included; none if they have not been counted yet.
    pub files: Option<u64>,
    /// The owners' choices: policy name and a JSON object of setting names and values.
    pub settings: Vec<(String, Map<String, Value>)>,
}

fn facts_of(rows: &[Row]) -> Result<Option<ProjectFacts>> {
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let mut facts = ProjectFacts {
        project: project_row(first)?,
        role: first.optional_read("role", Role::from_word)?,
        files: first.optional_count("files")?,
        settings: Vec::new(),
    };
    for row in rows {
        if row.optional_text("policy")?.is_some() {
            facts.settings.push(settings_row(row)?);
        }
    }
    Ok(Some(facts))
}

/// The columns that [`project_row`] reads.
macro_rules! project_columns {
    () => {
        "projects.id AS project_id, projects.written AS project_written, projects.status AS project_status, projects.status_reason AS project_status_reason,
        projects.created_at AS project_created_at, projects.published_at AS project_published_at,
        COALESCE((SELECT serial FROM project_serials WHERE project_serials.project_id = projects.id), 0) AS project_last_serial"
    };
}

/// The columns that [`listed_project`] reads, for projects that people see: one in quarantine has
/// no page.
macro_rules! listed {
    ($condition:literal) => {
        concat!(
            "SELECT normalized, written, status, journal.at AS changed_at
            FROM projects LEFT JOIN project_serials ON project_serials.project_id = projects.id LEFT JOIN journal ON journal.serial = project_serials.serial
            WHERE published_at IS NOT NULL AND status <> 'quarantined'",
            $condition
        )
    };
}

/// The columns that [`index_entry`] reads, for those of these names that readers see.
macro_rules! index_of {
    ($names:literal) => {
        concat!(
            "SELECT normalized, written, status, COALESCE(serial, 0) AS serial
            FROM projects LEFT JOIN project_serials ON project_serials.project_id = projects.id
            WHERE published_at IS NOT NULL AND normalized IN ",
            $names
        )
    };
}

/// The columns that [`facts_of`] reads: one row for each policy with settings, or one row if there
/// is none.
macro_rules! facts {
    ($condition:literal) => {
        concat!("SELECT ", project_columns!(), ",
        (SELECT role FROM project_roles WHERE project_roles.project_id = projects.id AND project_roles.user_id = $2) AS role,
        (SELECT files FROM project_usage WHERE project_usage.project_id = projects.id) AS files,
        project_settings.policy AS policy, project_settings.settings AS settings
        FROM projects LEFT JOIN project_settings ON project_settings.project_id = projects.id WHERE normalized = $1", $condition, " ORDER BY project_settings.policy")
    };
}

statements! {
    BY_NAME = concat!("SELECT ", project_columns!(), " FROM projects WHERE normalized = $1");
    BY_ID = concat!("SELECT ", project_columns!(), " FROM projects WHERE id = $1");
    BY_LOOKS = concat!("SELECT ", project_columns!(), " FROM projects WHERE looks = $1");
    FACTS = facts!("");
    READ_FACTS = facts!(" AND published_at IS NOT NULL");
    /// One row with a line for each project: a row for each would take most of the time. The serial
    /// is not joined, because PostgreSQL might then read all serials for each part.
    INDEX = "SELECT STRING_AGG(line, ',' ORDER BY normalized) AS lines FROM (
        SELECT normalized, written || ' ' || status || ' ' || CAST(COALESCE(
            (SELECT serial FROM project_serials WHERE project_serials.project_name = projects.normalized), 0) AS TEXT) AS line
        FROM projects WHERE published_at IS NOT NULL AND normalized > $1 ORDER BY normalized LIMIT $2) AS listed";
    INDEX_OF = index_of!("(SELECT value FROM json_each($1))"), index_of!("(SELECT json_array_elements_text(CAST(CAST($1 AS TEXT) AS JSON)))");
    LISTED = listed!(" AND normalized > $1 ORDER BY normalized LIMIT $2");
    NEWEST = listed!(" ORDER BY published_at DESC, normalized LIMIT $1");
    NAMED = listed!(" AND normalized IN (SELECT value FROM json_each($1))"),
        listed!(" AND normalized IN (SELECT json_array_elements_text(CAST(CAST($1 AS TEXT) AS JSON)))");
    IS_LISTED = "SELECT id FROM projects WHERE id = $1 AND published_at IS NOT NULL AND status <> 'quarantined'";
    PUBLISHED_COUNT = "SELECT projects AS count FROM registry_state WHERE only_row = 1";
    ROLE = "SELECT role FROM project_roles WHERE project_id = $1 AND user_id = $2";
    ROLE_OF_ENABLED = "SELECT role FROM project_roles JOIN users ON users.id = user_id
        WHERE project_id = $1 AND user_id = $2 AND users.disabled_at IS NULL";
    ROLES = "SELECT project_id, user_id, users.name AS user_name, role, granted_at
        FROM project_roles JOIN users ON users.id = user_id WHERE project_id = $1 ORDER BY users.folded_name";
    OF_USER = concat!("SELECT ", project_columns!(), ", role
        FROM project_roles JOIN projects ON projects.id = project_roles.project_id WHERE user_id = $1 ORDER BY normalized");
    SETTINGS = "SELECT policy, settings FROM project_settings WHERE project_id = $1 ORDER BY policy";
    CREATE = "INSERT INTO projects (id, normalized, looks, written, status, created_at) VALUES ($1, $2, $3, $4, $5, $6)";
    SET_STATUS = "UPDATE projects SET status = $2, status_reason = $3 WHERE id = $1";
    /// Changes of roles and of status, uploads and publishing take turns on a project: two owners
    /// who leave at once must not both succeed, and no one may upload after losing the role. Always
    /// locked before a release, to avoid deadlocks; not shared, because the first published file
    /// updates the row. `NO KEY`, so that references from new rows do not have to wait.
    LOCK = "SELECT status FROM projects WHERE id = $1", "SELECT status FROM projects WHERE id = $1 FOR NO KEY UPDATE";
    GRANT = "INSERT INTO project_roles (project_id, user_id, role, granted_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (project_id, user_id) DO UPDATE SET role = excluded.role, granted_at = excluded.granted_at";
    REVOKE = "DELETE FROM project_roles WHERE project_id = $1 AND user_id = $2";
    OTHER_OWNER = "SELECT user_id FROM project_roles WHERE project_id = $1 AND user_id <> $2 AND role = 'owner' LIMIT 1";
    SET_SETTINGS = "INSERT INTO project_settings (project_id, policy, settings, updated_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (project_id, policy) DO UPDATE SET settings = excluded.settings, updated_at = excluded.updated_at";
    REMOVE_SETTINGS = "DELETE FROM project_settings WHERE project_id = $1 AND policy = $2";
}

impl Storage {
    /// The project with this normalized name, visible to readers or not.
    pub async fn project(&self, normalized: &str) -> Result<Option<ProjectRow>> {
        self.database()
            .optional(&BY_NAME, &[normalized.into()])
            .await?
            .as_ref()
            .map(project_row)
            .transpose()
    }

    /// The project with this id.
    pub async fn project_by_id(&self, id: ProjectId) -> Result<Option<ProjectRow>> {
        self.database()
            .optional(&BY_ID, &[id.into()])
            .await?
            .as_ref()
            .map(project_row)
            .transpose()
    }

    /// The project whose name people could confuse with this one, visible to readers or not.
    pub async fn project_that_looks_like(&self, name: &ProjectName) -> Result<Option<ProjectRow>> {
        self.database()
            .optional(&BY_LOOKS, &[name.looks().into()])
            .await?
            .as_ref()
            .map(project_row)
            .transpose()
    }

    /// A project by normalized name with the role of `user` and the owners' settings.
    pub async fn project_facts(
        &self,
        normalized: &str,
        user: Option<UserId>,
    ) -> Result<Option<ProjectFacts>> {
        let values = [normalized.into(), user.into()];
        facts_of(&self.database().all(&FACTS, &values).await?)
    }

    /// The same for a project that readers may know of, which means that it ever published
    /// something: for any other not even a row is read.
    pub async fn published_project_facts(
        &self,
        normalized: &str,
        user: Option<UserId>,
    ) -> Result<Option<ProjectFacts>> {
        let values = [normalized.into(), user.into()];
        facts_of(&self.database().all(&READ_FACTS, &values).await?)
    }

    /// Projects that have published something, in order of normalized names, after this one, or
    /// from the first for an empty one; at most `limit`. All data for the list.
    pub async fn index(&self, after: &str, limit: u32) -> Result<Vec<IndexEntry>> {
        let row = self
            .database()
            .one(&INDEX, &[after.into(), limit.into()])
            .await?;
        let lines = row.optional_text("lines")?.unwrap_or_default();
        lines.split_terminator(',').map(index_line).collect()
    }

    /// The same for those of these normalized names that exist, in no order.
    pub async fn index_of(&self, names: &[&str]) -> Result<Vec<IndexEntry>> {
        self.database()
            .all(&INDEX_OF, &[Value::from(names).to_string().into()])
            .await?
            .iter()
            .map(index_entry)
            .collect()
    }

    /// Projects that readers see, in order of normalized names, after this one, or from the first
    /// for an empty one.
    pub async fn list_projects(&self, after: &str, limit: u32) -> Result<Vec<ListedProject>> {
        self.database()
            .all(&LISTED, &[after.into(), limit.into()])
            .await?
            .iter()
            .map(listed_project)
            .collect()
    }

    /// The projects that were most recently published for the first time.
    pub async fn newest_projects(&self, limit: u32) -> Result<Vec<ListedProject>> {
        self.database()
            .all(&NEWEST, &[limit.into()])
            .await?
            .iter()
            .map(listed_project)
            .collect()
    }

    /// Those of these normalized names that readers see, in no order.
    pub async fn projects_named(&self, names: &[String]) -> Result<Vec<ListedProject>> {
        self.database()
            .all(&NAMED, &[Value::from(names).to_string().into()])
            .await?
            .iter()
            .map(listed_project)
            .collect()
    }

    /// How many projects readers can find. Stored, not counted: one read of one row.
    pub async fn count_projects(&self) -> Result<u64> {
        let row = self.database().optional(&PUBLISHED_COUNT, &[]).await?;
        row.map_or(Ok(0), |row| row.count("count"))
    }

    /// The role of a user on a project.
    pub async fn role_of(&self, user: UserId, project: ProjectId) -> Result<Option<Role>> {
        let row = self
            .database()
            .optional(&ROLE, &[project.into(), user.into()])
            .await?;
        row.map(|row| row.read("role", Role::from_word)).transpose()
    }

    /// All roles on a project, in order of names.
    pub async fn roles_on(&self, project: ProjectId) -> Result<Vec<RoleRow>> {
        self.database()
            .all(&ROLES, &[project.into()])
            .await?
            .iter()
            .map(role_row)
            .collect()
    }

    /// The projects that a user has a role on, in order of normalized names.
    pub async fn projects_of(&self, user: UserId) -> Result<Vec<(ProjectRow, Role)>> {
        let rows = self.database().all(&OF_USER, &[user.into()]).await?;
        rows.iter()
            .map(|row| Ok((project_row(row)?, row.read("role", Role::from_word)?)))
            .collect()
    }

    /// The owners' choices: policy name and a JSON object of setting names and values.
    pub async fn project_settings(
        &self,
        project: ProjectId,
    ) -> Result<Vec<(String, Map<String, Value>)>> {
        self.database()
            .all(&SETTINGS, &[project.into()])
            .await?
            .iter()
            .map(settings_row)
            .collect()
    }
}

impl UnitOfWork {
    /// Creates a project, active and without roles. `Conflict::ProjectNameTaken`,
    /// `Conflict::ProjectNameSimilar`.
    pub async fn create_project(&mut self, project: &NewProject<'_>) -> Result<()> {
        let name = project.name;
        let status = ProjectStatus::Active.as_str();
        let values = [
            project.id.into(),
            name.normalized().into(),
            name.looks().into(),
            name.as_written().into(),
            status.into(),
            project.created_at.into(),
        ];
        self.execute(&CREATE, &values).await.map(drop)
    }

    /// Status of a project and the role of `user` on it, which do not change until the unit ends;
    /// none if the project does not exist. A disabled user has no role here.
    pub async fn hold_project(
        &mut self,
        project: ProjectId,
        user: Option<UserId>,
    ) -> Result<Option<(ProjectStatus, Option<Role>)>> {
        let Some(held) = self.optional(&LOCK, &[project.into()]).await? else {
            return Ok(None);
        };
        let role = self
            .optional(&ROLE_OF_ENABLED, &[project.into(), user.into()])
            .await?;
        let role = role
            .map(|row| row.read("role", Role::from_word))
            .transpose()?;
        Ok(Some((held.read("status", ProjectStatus::from_word)?, role)))
    }

    /// Sets the status. Readers see the change.
    pub async fn set_project_status(
        &mut self,
        project: ProjectId,
        status: ProjectStatus,
        reason: Option<&str>,
    ) -> Result<()> {
        self.hold_project(project, None).await?;
        let was_listed = self.is_listed(project).await?;
        self.must_touch(
            &SET_STATUS,
            &[project.into(), status.as_str().into(), reason.into()],
        )
        .await?;
        self.readers_see(project, "change status");
        self.list_changes();
        match (was_listed, self.is_listed(project).await?) {
            (true, false) => self.project_hidden(),
            (false, true) => self.project_shown(),
            _ => {}
        }
        Ok(())
    }

    /// Whether readers find the project: it is published, and not in quarantine.
    pub(crate) async fn is_listed(&mut self, project: ProjectId) -> Result<bool> {
        Ok(self
            .optional(&IS_LISTED, &[project.into()])
            .await?
            .is_some())
    }

    /// Gives a user a role that replaces the previous one, which is returned. `Conflict::LastOwner`
    /// if the only owner would become a maintainer.
    pub async fn grant_role(
        &mut self,
        project: ProjectId,
        user: UserId,
        role: Role,
        at: Timestamp,
    ) -> Result<Option<Role>> {
        let before = self.lock_role(project, user).await?;
        if before == Some(Role::Owner) && role != Role::Owner {
            self.keep_an_owner(project, user).await?;
        }
        // After the project, as everywhere: a user who is being deleted gets no role.
        if !self.lock_user(user).await? {
            return self.refuse(Conflict::ReferenceGone);
        }
        self.execute(
            &GRANT,
            &[project.into(), user.into(), role.as_str().into(), at.into()],
        )
        .await?;
        Ok(before)
    }

    /// Removes a user's role and returns it. `Conflict::LastOwner` if the project would have no
    /// owner.
    pub async fn revoke_role(&mut self, project: ProjectId, user: UserId) -> Result<Option<Role>> {
        let before = self.lock_role(project, user).await?;
        if before == Some(Role::Owner) {
            self.keep_an_owner(project, user).await?;
        }
        self.execute(&REVOKE, &[project.into(), user.into()])
            .await?;
        Ok(before)
    }

    async fn lock_role(&mut self, project: ProjectId, user: UserId) -> Result<Option<Role>> {
        if self.optional(&LOCK, &[project.into()]).await?.is_none() {
            return self.refuse(Conflict::ReferenceGone);
        }
        let row = self.optional(&ROLE, &[project.into(), user.into()]).await?;
        row.map(|row| row.read("role", Role::from_word)).transpose()
    }

    async fn keep_an_owner(&mut self, project: ProjectId, leaving: UserId) -> Result<()> {
        match self
            .optional(&OTHER_OWNER, &[project.into(), leaving.into()])
            .await?
        {
            Some(_) => Ok(()),
            None => self.refuse(Conflict::LastOwner),
        }
    }

    /// Replaces the owners' choices for one policy. An empty object removes them.
    pub async fn set_project_settings(
        &mut self,
        project: ProjectId,
        policy: &str,
        settings: &Map<String, Value>,
        at: Timestamp,
    ) -> Result<()> {
        if settings.is_empty() {
            return self
                .execute(&REMOVE_SETTINGS, &[project.into(), policy.into()])
                .await
                .map(drop);
        }
        let text = Value::Object(settings.clone()).to_string();
        self.execute(
            &SET_SETTINGS,
            &[project.into(), policy.into(), text.into(), at.into()],
        )
        .await
        .map(drop)
    }
}

fn project_row(row: &Row) -> Result<ProjectRow> {
    Ok(ProjectRow {
        id: row.parsed("project_id")?,
        name: row.read("project_written", |text| ProjectName::parse(text).ok())?,
        status: row.read("project_status", ProjectStatus::from_word)?,
        status_reason: row.optional_text("project_status_reason")?,
        created_at: row.time("project_created_at")?,
        published_at: row.optional_time("project_published_at")?,
        last_serial: row.integer("project_last_serial")?,
    })
}

fn listed_project(row: &Row) -> Result<ListedProject> {
    Ok(ListedProject {
        normalized: row.text("normalized")?,
        written: row.text("written")?,
        status: row.read("status", ProjectStatus::from_word)?,
        changed_at: row.optional_time("changed_at")?,
    })
}

fn index_entry(row: &Row) -> Result<IndexEntry> {
    Ok(IndexEntry {
        normalized: row.text("normalized")?,
        written: row.text("written")?,
        status: row.read("status", ProjectStatus::from_word)?,
        last_serial: row.integer("serial")?,
    })
}

/// A line of `INDEX`. No name, status or number contains a space or a comma.
fn index_line(line: &str) -> Result<IndexEntry> {
    let mut words = line.split(' ');
    let mut word = || {
        words.next().ok_or_else(|| {
            StorageError::Corrupt("a line of the list of projects lacks a word".to_owned())
        })
    };
    let (written, status, serial) = (word()?, word()?, word()?);
    match (ProjectStatus::from_word(status), serial.parse()) {
        (Some(status), Ok(last_serial)) => Ok(IndexEntry {
            normalized: model::name::normalize(written),
            written: written.to_owned(),
            status,
            last_serial,
        }),
        _ => Err(StorageError::Corrupt(
            "a line of the list of projects holds what this version cannot read".to_owned(),
        )),
    }
}

fn role_row(row: &Row) -> Result<RoleRow> {
    Ok(RoleRow {
        project: row.parsed("project_id")?,
        user: row.parsed("user_id")?,
        user_name: row.read("user_name", |text| UserName::parse(text).ok())?,
        role: row.read("role", Role::from_word)?,
        granted_at: row.time("granted_at")?,
    })
}

fn settings_row(row: &Row) -> Result<(String, Map<String, Value>)> {
    Ok((
        row.text("policy")?,
        row.read("settings", |text| serde_json::from_str(text).ok())?,
    ))
}
