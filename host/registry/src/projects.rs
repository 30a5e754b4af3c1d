//! Roles, settings and status of projects.

use gate::Permit;
use model::{Caller, ProjectStatus, Role, UserName};
use serde_json::{Map, Value};
use storage::StorageError;

use crate::Registry;
use crate::targets::{ConfigureProject, GrantRole, RevokeRole, SetProjectStatus};

/// Why a project could not be managed.
#[derive(Debug, thiserror::Error)]
pub enum ManageError {
    /// No such project: 404.
    #[error("there is no project '{0}'")]
    NoProject(String),
    /// No such user.
    #[error("there is no user '{0}'")]
    NoUser(String),
    /// The user has no role on the project.
    #[error("user '{user}' has no role on project '{project}'")]
    NoRole { user: String, project: String },
    /// Nobody would own the project.
    #[error("'{0}' is the last owner; make somebody else an owner first")]
    LastOwner(String),
    /// The policy offers no such setting, or not such a value.
    #[error("settings of policy '{policy}': {message}")]
    InvalidSettings { policy: String, message: String },
    /// Quarantine is set and lifted on the command line only.
    #[error("only the operators of the registry can put a project into quarantine or take it out")]
    Quarantine,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Registry {
    /// What a decision about a role needs. `caller` is none for the command line.
    pub async fn load_grant_role(&self, caller: Option<&Caller>, project: &str, user: &UserName, role: Role) -> Result<GrantRole, ManageError> {
        let _ = (caller, project, user, role);
        todo!()
    }

    pub async fn load_revoke_role(&self, caller: Option<&Caller>, project: &str, user: &UserName) -> Result<RevokeRole, ManageError> {
        let _ = (caller, project, user);
        todo!()
    }

    /// `settings` replaces what the owners chose for `policy`; empty takes it all back.
    pub async fn load_configure(
        &self,
        caller: Option<&Caller>,
        project: &str,
        policy: &str,
        settings: Map<String, Value>,
    ) -> Result<ConfigureProject, ManageError> {
        let _ = (caller, project, policy, settings);
        todo!()
    }

    pub async fn load_set_status(
        &self,
        caller: Option<&Caller>,
        project: &str,
        status: ProjectStatus,
        reason: Option<&str>,
    ) -> Result<SetProjectStatus, ManageError> {
        let _ = (caller, project, status, reason);
        todo!()
    }

    /// Gives the role; returns the one before.
    pub async fn grant_role(&self, permit: Permit<GrantRole>) -> Result<Option<Role>, ManageError> {
        let _ = permit;
        todo!()
    }

    /// Takes the role away; never the last owner's.
    pub async fn revoke_role(&self, permit: Permit<RevokeRole>) -> Result<Role, ManageError> {
        let _ = permit;
        todo!()
    }

    /// Stores what the owners chose, after `check` (usually `gate.check_owner_settings`, its
    /// errors as one text) accepted it.
    pub async fn configure_project(&self, permit: Permit<ConfigureProject>, check: impl FnOnce(&str, &Value) -> Result<(), String>) -> Result<(), ManageError> {
        let _ = (permit, check);
        todo!()
    }

    /// Sets the status; readers see it.
    pub async fn set_project_status(&self, permit: Permit<SetProjectStatus>) -> Result<(), ManageError> {
        let _ = permit;
        todo!()
    }
}
