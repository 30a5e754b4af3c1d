//! Projects, the roles people have on them, and the settings their owners chose.

use model::{ProjectId, ProjectName, ProjectStatus, Role, Timestamp, UserId, UserName};
use serde_json::{Map, Value};

use crate::{Result, Storage, UnitOfWork};

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
    /// Why it has that status, for readers (PEP 792); none if nobody said.
    pub status_reason: Option<String>,
    pub created_at: Timestamp,
    /// When its first file was published. A project without is not there for readers.
    pub published_at: Option<Timestamp>,
    /// Serial of the last change that readers see; 0 if there was none.
    pub last_serial: i64,
}

/// One line of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    pub normalized: String,
    /// The name as written.
    pub written: String,
    pub status: ProjectStatus,
    pub last_serial: i64,
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

/// What a decision needs to know about a project, from one query.
#[derive(Clone, Debug, PartialEq)]
pub struct ProjectFacts {
    pub project: ProjectRow,
    /// The role of the user who was asked about.
    pub role: Option<Role>,
    /// What the owners chose: policy name and a JSON object of setting names and values.
    pub settings: Vec<(String, Map<String, Value>)>,
}

impl Storage {
    /// The project with this normalized name, whether readers see it or not.
    pub async fn project(&self, normalized: &str) -> Result<Option<ProjectRow>> {
        let _ = normalized;
        todo!()
    }

    /// The project with this id.
    pub async fn project_by_id(&self, id: ProjectId) -> Result<Option<ProjectRow>> {
        let _ = id;
        todo!()
    }

    /// A project by normalized name with the role of `user` and the owners' settings.
    pub async fn project_facts(&self, normalized: &str, user: Option<UserId>) -> Result<Option<ProjectFacts>> {
        let _ = (normalized, user);
        todo!()
    }

    /// Every project that has published something, in order of normalized names.
    pub async fn index(&self) -> Result<Vec<IndexEntry>> {
        todo!()
    }

    /// The role of a user on a project.
    pub async fn role_of(&self, user: UserId, project: ProjectId) -> Result<Option<Role>> {
        let _ = (user, project);
        todo!()
    }

    /// Everybody's roles on a project, in order of names.
    pub async fn roles_on(&self, project: ProjectId) -> Result<Vec<RoleRow>> {
        let _ = project;
        todo!()
    }

    /// The projects a user has a role on, in order of normalized names.
    pub async fn projects_of(&self, user: UserId) -> Result<Vec<(ProjectRow, Role)>> {
        let _ = user;
        todo!()
    }

    /// What the owners chose: policy name and a JSON object of setting names and values.
    pub async fn project_settings(&self, project: ProjectId) -> Result<Vec<(String, Map<String, Value>)>> {
        let _ = project;
        todo!()
    }
}

impl UnitOfWork {
    /// Creates a project, active and without roles. `Conflict::ProjectNameTaken`.
    pub async fn create_project(&mut self, project: &NewProject<'_>) -> Result<()> {
        let _ = project;
        todo!()
    }

    /// Sets the status. Readers see it.
    pub async fn set_project_status(&mut self, project: ProjectId, status: ProjectStatus, reason: Option<&str>) -> Result<()> {
        let _ = (project, status, reason);
        todo!()
    }

    /// Gives a user a role, in place of the one before, which is returned.
    /// `Conflict::LastOwner` when the only owner would become a maintainer.
    pub async fn grant_role(&mut self, project: ProjectId, user: UserId, role: Role, at: Timestamp) -> Result<Option<Role>> {
        let _ = (project, user, role, at);
        todo!()
    }

    /// Takes a user's role away and returns it. `Conflict::LastOwner` when nobody would own the project.
    pub async fn revoke_role(&mut self, project: ProjectId, user: UserId) -> Result<Option<Role>> {
        let _ = (project, user);
        todo!()
    }

    /// Replaces what the owners chose for one policy. An empty object removes it.
    pub async fn set_project_settings(&mut self, project: ProjectId, policy: &str, settings: &Map<String, Value>, at: Timestamp) -> Result<()> {
        let _ = (project, policy, settings, at);
        todo!()
    }
}
