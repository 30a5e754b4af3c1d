//! Roles, settings and status of projects.

mod notices;

use gate::Permit;
use model::audit::{AuditEvent, EventKind};
use model::{Caller, ProjectStatus, Role, UserName};
use serde_json::{Map, Value};
use storage::{Conflict, StorageError};

use self::notices::RoleChange;
use crate::Registry;
use crate::targets::{ConfigureProject, GrantRole, KnownProject, RevokeRole, SetProjectStatus};

/// Longest reason for a status, in characters.
const MAX_REASON: usize = model::limit::REASON.length();

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
    #[error("'{0}' is the last owner; make someone else an owner first")]
    LastOwner(String),
    /// The policy offers no such setting, or not such a value.
    #[error("settings of policy '{policy}': {message}")]
    InvalidSettings { policy: String, message: String },
    /// Quarantine is set and lifted on the command line only.
    #[error("only the operators of the registry can put a project into quarantine or take it out")]
    Quarantine,
    /// The reason is too long.
    #[error("a reason has at most {MAX_REASON} characters")]
    ReasonTooLong,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Registry {
    /// What a decision about a role needs. `caller` is none for the command line.
    pub async fn load_grant_role(
        &self,
        caller: Option<&Caller>,
        project: &str,
        user: &UserName,
        role: Role,
    ) -> Result<GrantRole, ManageError> {
        let project = self.load_existing(caller, project).await?;
        let (row, before) = self.load_user_on(&project, user).await?;
        let factors = row.facts().factors;
        Ok(GrantRole {
            project,
            user: row.id,
            user_name: row.name,
            factors,
            before,
            after: Some(role),
        })
    }

    /// The same for taking a role away.
    pub async fn load_revoke_role(
        &self,
        caller: Option<&Caller>,
        project: &str,
        user: &UserName,
    ) -> Result<RevokeRole, ManageError> {
        let project = self.load_existing(caller, project).await?;
        let (row, before) = self.load_user_on(&project, user).await?;
        let factors = row.facts().factors;
        Ok(RevokeRole {
            project,
            user: row.id,
            user_name: row.name,
            factors,
            before,
            after: None,
        })
    }

    /// `settings` replaces what the owners chose for `policy`; empty takes it all back.
    pub async fn load_configure(
        &self,
        caller: Option<&Caller>,
        project: &str,
        policy: &str,
        settings: Map<String, Value>,
    ) -> Result<ConfigureProject, ManageError> {
        let project = self.load_existing(caller, project).await?;
        Ok(ConfigureProject {
            project,
            policy: policy.to_owned(),
            settings,
        })
    }

    /// What a decision about a status needs. `reason` is shown to readers (PEP 792).
    pub async fn load_set_status(
        &self,
        caller: Option<&Caller>,
        project: &str,
        status: ProjectStatus,
        reason: Option<&str>,
    ) -> Result<SetProjectStatus, ManageError> {
        if reason.is_some_and(|reason| reason.chars().count() > MAX_REASON) {
            return Err(ManageError::ReasonTooLong);
        }
        let project = self.load_existing(caller, project).await?;
        Ok(SetProjectStatus {
            project,
            status,
            reason: reason.map(str::to_owned),
        })
    }

    /// Gives the role; returns the one before.
    pub async fn grant_role(&self, permit: Permit<GrantRole>) -> Result<Option<Role>, ManageError> {
        let target = permit.target();
        let (project, role) = (
            existing_id(&target.project)?,
            target.after.unwrap_or(Role::Maintainer),
        );
        let change = RoleChange {
            project,
            project_name: &target.project.normalized,
            user: target.user,
            user_name: &target.user_name,
            role: Some(role),
            actor: permit.actor(),
            at: permit.at(),
        };
        let notices = change.notices(&self.inner.storage).await?;
        let mut unit = permit.begin(&self.inner.storage).await?;
        let before = unit
            .grant_role(project, target.user, role, permit.at())
            .await
            .map_err(|error| last_owner(error, &target.user_name))?;
        if before != Some(role) {
            notices.enqueue(&mut unit, permit.at()).await?;
        }
        let event = AuditEvent {
            at: permit.at(),
            kind: EventKind::RoleGranted,
            actor: permit.actor().clone(),
            user: Some(target.user),
            project: Some(project),
            decision: Some(permit.decision()),
            detail: serde_json::json!({ "user": target.user_name.as_written(), "before": before.map(Role::as_str), "after": role.as_str() }),
        };
        unit.commit(&event).await?;
        Ok(before)
    }

    /// Takes the role away; never the last owner's.
    pub async fn revoke_role(&self, permit: Permit<RevokeRole>) -> Result<Role, ManageError> {
        let target = permit.target();
        let project = existing_id(&target.project)?;
        let change = RoleChange {
            project,
            project_name: &target.project.normalized,
            user: target.user,
            user_name: &target.user_name,
            role: None,
            actor: permit.actor(),
            at: permit.at(),
        };
        let notices = change.notices(&self.inner.storage).await?;
        let mut unit = permit.begin(&self.inner.storage).await?;
        let before = unit
            .revoke_role(project, target.user)
            .await
            .map_err(|error| last_owner(error, &target.user_name))?;
        let before = before.ok_or_else(|| ManageError::NoRole {
            user: target.user_name.to_string(),
            project: target.project.normalized.clone(),
        })?;
        notices.enqueue(&mut unit, permit.at()).await?;
        let event = AuditEvent {
            at: permit.at(),
            kind: EventKind::RoleRevoked,
            actor: permit.actor().clone(),
            user: Some(target.user),
            project: Some(project),
            decision: Some(permit.decision()),
            detail: serde_json::json!({ "user": target.user_name.as_written(), "before": before.as_str() }),
        };
        unit.commit(&event).await?;
        Ok(before)
    }

    /// Stores what the owners chose, after `check` (usually `gate.check_owner_settings`, its
    /// errors as one text) accepted it. Taking everything back needs no check: a policy
    /// that is gone must not keep its settings alive.
    pub async fn configure_project(
        &self,
        permit: Permit<ConfigureProject>,
        check: impl FnOnce(&str, &Value) -> Result<(), String>,
    ) -> Result<(), ManageError> {
        let target = permit.target();
        let project = existing_id(&target.project)?;
        if !target.settings.is_empty() {
            let chosen = Value::Object(target.settings.clone());
            check(&target.policy, &chosen).map_err(|message| ManageError::InvalidSettings {
                policy: target.policy.clone(),
                message,
            })?;
        }
        let mut unit = permit.begin(&self.inner.storage).await?;
        unit.set_project_settings(project, &target.policy, &target.settings, permit.at())
            .await?;
        let event = AuditEvent {
            at: permit.at(),
            kind: EventKind::ProjectConfigured,
            actor: permit.actor().clone(),
            user: None,
            project: Some(project),
            decision: Some(permit.decision()),
            detail: serde_json::json!({ "policy": target.policy, "settings": target.settings, "before": target.project.settings.get(&target.policy) }),
        };
        unit.commit(&event).await?;
        self.inner.cache.forget(&target.project.normalized);
        Ok(())
    }

    /// Sets the status; readers see it.
    pub async fn set_project_status(
        &self,
        permit: Permit<SetProjectStatus>,
    ) -> Result<(), ManageError> {
        let target = permit.target();
        let project = existing_id(&target.project)?;
        let before = target
            .project
            .row
            .as_ref()
            .map_or(ProjectStatus::Active, |row| row.status);
        let touches_quarantine =
            before == ProjectStatus::Quarantined || target.status == ProjectStatus::Quarantined;
        if touches_quarantine && !matches!(permit.actor(), model::audit::Actor::CommandLine { .. })
        {
            return Err(ManageError::Quarantine);
        }
        let mut unit = permit.begin(&self.inner.storage).await?;
        unit.set_project_status(project, target.status, target.reason.as_deref())
            .await?;
        let event = AuditEvent {
            at: permit.at(),
            kind: EventKind::ProjectStatusChanged,
            actor: permit.actor().clone(),
            user: None,
            project: Some(project),
            decision: Some(permit.decision()),
            detail: serde_json::json!({ "before": before.as_str(), "after": target.status.as_str(), "reason": target.reason }),
        };
        unit.commit(&event).await?;
        self.inner.cache.forget(&target.project.normalized);
        Ok(())
    }

    async fn load_existing(
        &self,
        caller: Option<&Caller>,
        project: &str,
    ) -> Result<KnownProject, ManageError> {
        let known = KnownProject::load(
            &self.inner.storage,
            &model::name::normalize(project),
            caller,
        )
        .await?;
        if known.row.is_some() {
            Ok(known)
        } else {
            Err(ManageError::NoProject(project.to_owned()))
        }
    }

    async fn load_user_on(
        &self,
        project: &KnownProject,
        user: &UserName,
    ) -> Result<(storage::users::UserRow, Option<Role>), ManageError> {
        let row = self
            .inner
            .storage
            .user_by_name(user)
            .await?
            .ok_or_else(|| ManageError::NoUser(user.to_string()))?;
        let before = match project.id() {
            Some(id) => self.inner.storage.role_of(row.id, id).await?,
            None => None,
        };
        Ok((row, before))
    }
}

fn existing_id(project: &KnownProject) -> Result<model::ProjectId, ManageError> {
    project
        .id()
        .ok_or_else(|| ManageError::NoProject(project.normalized.clone()))
}

fn last_owner(error: StorageError, user: &UserName) -> ManageError {
    match error.conflict() {
        Some(Conflict::LastOwner) => ManageError::LastOwner(user.to_string()),
        _ => error.into(),
    }
}
