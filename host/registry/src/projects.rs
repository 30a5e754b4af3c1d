//! Roles, settings and status of projects.

mod notices;

use gate::{Permit, SettingError};
use model::audit::Detail;
use model::{Caller, Factors, Principal, ProjectStatus, Role, UserId, UserName};
use serde_json::{Map, Value};
use storage::{Conflict, StorageError, UnitOfWork};

use self::notices::RoleChange;
use crate::Registry;
use crate::targets::{
    ConfigureProject, GrantRole, KnownProject, NoSuchProject, RevokeRole, SetProjectStatus,
    still_holds,
};

/// Longest reason for a status, in characters.
const MAX_REASON: usize = model::limit::REASON.length();

/// Why a project could not be managed.
#[derive(Debug, thiserror::Error)]
pub enum ManageError {
    /// 404.
    #[error(transparent)]
    NoProject(#[from] NoSuchProject),
    /// No such user.
    #[error("there is no user '{0}'")]
    NoUser(String),
    /// The user has no role on the project.
    #[error("user '{user}' has no role on project '{project}'")]
    NoRole { user: String, project: String },
    /// The project would have no owner.
    #[error("'{0}' is the last owner; make someone else an owner first")]
    LastOwner(String),
    /// The policy does not offer these settings or values.
    #[error("settings of policy '{policy}': {}", in_one_line(problems))]
    InvalidSettings {
        policy: String,
        /// Each with its setting; with an empty name if it is about all of them.
        problems: Vec<SettingError>,
    },
    /// Only the command line sets and lifts quarantine.
    #[error("only the operators of the registry can put a project into quarantine or take it out")]
    Quarantine,
    /// The reason is too long.
    #[error("a reason has at most {MAX_REASON} characters")]
    ReasonTooLong,
    /// Its status or a role changed since the decision was prepared: 409. Try again.
    #[error(
        "project '{0}' changed at this very moment, and nothing was done; look at it again and then try again"
    )]
    Overtaken(String),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

fn in_one_line(problems: &[SettingError]) -> String {
    let problem = |SettingError { setting, message }: &SettingError| match setting.as_str() {
        "" => message.clone(),
        setting => format!("{setting}: {message}"),
    };
    problems.iter().map(problem).collect::<Vec<_>>().join("; ")
}

impl GrantRole {
    /// Whether the project and the user exist: checked after the decision, or on the command line;
    /// the same applies below.
    pub fn check(&self) -> Result<(), ManageError> {
        self.project.existing()?;
        existing_user(&self.user_name, self.user).map(drop)
    }
}

impl RevokeRole {
    pub fn check(&self) -> Result<(), ManageError> {
        self.project.existing()?;
        existing_user(&self.user_name, self.user)?;
        self.had().map(drop)
    }

    fn had(&self) -> Result<Role, ManageError> {
        self.before.ok_or_else(|| ManageError::NoRole {
            user: self.user_name.to_string(),
            project: self.project.normalized.clone(),
        })
    }
}

impl ConfigureProject {
    pub fn check(&self) -> Result<(), ManageError> {
        Ok(self.project.existing().map(drop)?)
    }
}

impl SetProjectStatus {
    pub fn check(&self) -> Result<(), ManageError> {
        self.project.existing()?;
        let is_too_long = |reason: &String| reason.chars().count() > MAX_REASON;
        match self.reason.as_ref().is_some_and(is_too_long) {
            true => Err(ManageError::ReasonTooLong),
            false => Ok(()),
        }
    }
}

/// Loaders find a target for every name: only after the decision does a missing project, user or
/// role show, so that strangers learn nothing. `caller` is none for the command line.
impl Registry {
    /// The target of a decision about a role.
    pub async fn load_grant_role(
        &self,
        caller: Option<&Caller>,
        project: &str,
        user: &UserName,
        role: Role,
    ) -> Result<GrantRole, ManageError> {
        let project = self.load_project(caller, project).await?;
        let on = self.load_user_on(caller, &project, user).await?;
        Ok(GrantRole {
            project,
            user_name: on.name,
            user: on.user,
            before: on.role,
            after: Some(role),
        })
    }

    /// The same for removing a role.
    pub async fn load_revoke_role(
        &self,
        caller: Option<&Caller>,
        project: &str,
        user: &UserName,
    ) -> Result<RevokeRole, ManageError> {
        let project = self.load_project(caller, project).await?;
        let on = self.load_user_on(caller, &project, user).await?;
        Ok(RevokeRole {
            project,
            user_name: on.name,
            user: on.user,
            before: on.role,
            after: None,
        })
    }

    /// `settings` replaces the owners' choices for `policy`; empty resets them all.
    pub async fn load_configure(
        &self,
        caller: Option<&Caller>,
        project: &str,
        policy: &str,
        settings: Map<String, Value>,
    ) -> Result<ConfigureProject, ManageError> {
        Ok(ConfigureProject {
            project: self.load_project(caller, project).await?,
            policy: policy.to_owned(),
            settings,
        })
    }

    /// The target of a decision about a status. `reason` is shown to readers (PEP 792).
    pub async fn load_set_status(
        &self,
        caller: Option<&Caller>,
        project: &str,
        status: ProjectStatus,
        reason: Option<&str>,
    ) -> Result<SetProjectStatus, ManageError> {
        Ok(SetProjectStatus {
            project: self.load_project(caller, project).await?,
            status,
            reason: reason.map(str::to_owned),
        })
    }

    /// Grants the role; returns the previous one.
    pub async fn grant_role(&self, permit: Permit<GrantRole>) -> Result<Option<Role>, ManageError> {
        let GrantRole {
            project,
            user_name,
            user,
            before,
            after,
        } = permit.target();
        let (row, user) = (project.existing()?, existing_user(user_name, *user)?);
        let role = after.unwrap_or(Role::Maintainer);
        let change = RoleChange {
            project: row.id,
            project_name: &project.normalized,
            user,
            user_name,
            role: Some(role),
            actor: permit.actor(),
            at: permit.at(),
        };
        let notices = change.notices(&self.inner.storage).await?;
        let mut unit = self.begin(&permit, project).await?;
        let replaced = unit
            .grant_role(row.id, user, role, permit.at())
            .await
            .map_err(|error| last_owner(error, user_name))?;
        if replaced != *before {
            return Err(overtaken(project));
        }
        if replaced != Some(role) {
            notices.enqueue(&mut unit, permit.at()).await?;
        }
        let granted = Detail::RoleGranted {
            user: user_name.as_written().to_owned(),
            before: replaced.map(Into::into),
            after: role.into(),
        };
        unit.commit(&permit.event(granted).about(user).in_project(row.id))
            .await?;
        Ok(replaced)
    }

    /// Removes the role; never the last owner's.
    pub async fn revoke_role(&self, permit: Permit<RevokeRole>) -> Result<Role, ManageError> {
        let RevokeRole {
            project,
            user_name,
            user,
            ..
        } = permit.target();
        let (row, user) = (project.existing()?, existing_user(user_name, *user)?);
        let had = permit.target().had()?;
        let change = RoleChange {
            project: row.id,
            project_name: &project.normalized,
            user,
            user_name,
            role: None,
            actor: permit.actor(),
            at: permit.at(),
        };
        let notices = change.notices(&self.inner.storage).await?;
        let mut unit = self.begin(&permit, project).await?;
        let taken = unit
            .revoke_role(row.id, user)
            .await
            .map_err(|error| last_owner(error, user_name))?;
        if taken != Some(had) {
            return Err(overtaken(project));
        }
        notices.enqueue(&mut unit, permit.at()).await?;
        let revoked = Detail::RoleRevoked {
            user: user_name.as_written().to_owned(),
            before: had.into(),
        };
        unit.commit(&permit.event(revoked).about(user).in_project(row.id))
            .await?;
        Ok(had)
    }

    /// Stores the owners' choices, after `check` (usually `gate.check_owner_settings`) accepted
    /// them. A full reset needs no check: settings must not outlive a policy that is gone.
    pub async fn configure_project(
        &self,
        permit: Permit<ConfigureProject>,
        check: impl FnOnce(&str, &Value) -> Result<(), Vec<SettingError>>,
    ) -> Result<(), ManageError> {
        let ConfigureProject {
            project,
            policy,
            settings,
        } = permit.target();
        let row = project.existing()?;
        if !settings.is_empty() {
            let chosen = Value::Object(settings.clone());
            check(policy, &chosen).map_err(|problems| ManageError::InvalidSettings {
                policy: policy.clone(),
                problems,
            })?;
        }
        let mut unit = self.begin(&permit, project).await?;
        unit.set_project_settings(row.id, policy, settings, permit.at())
            .await?;
        let configured = Detail::ProjectConfigured {
            policy: policy.clone(),
            settings: Value::Object(settings.clone()),
            before: project.settings.get(policy).cloned(),
        };
        unit.commit(&permit.event(configured).in_project(row.id))
            .await?;
        self.inner.cache.forget(&project.normalized);
        Ok(())
    }

    /// Sets the status; readers see it.
    pub async fn set_project_status(
        &self,
        permit: Permit<SetProjectStatus>,
    ) -> Result<(), ManageError> {
        let SetProjectStatus {
            project,
            status,
            reason,
        } = permit.target();
        permit.target().check()?;
        let row = project.existing()?;
        let touches_quarantine =
            row.status == ProjectStatus::Quarantined || *status == ProjectStatus::Quarantined;
        if touches_quarantine && !matches!(permit.actor(), model::audit::Actor::CommandLine { .. })
        {
            return Err(ManageError::Quarantine);
        }
        let mut unit = self.begin(&permit, project).await?;
        unit.set_project_status(row.id, *status, reason.as_deref())
            .await?;
        let changed = Detail::ProjectStatusChanged {
            before: row.status.into(),
            after: (*status).into(),
            reason: reason.clone(),
        };
        unit.commit(&permit.event(changed).in_project(row.id))
            .await?;
        self.inner.cache.forget(&project.normalized);
        Ok(())
    }

    /// Begins the unit of work, in which the project's status and the caller's role stay as they
    /// were at the decision.
    async fn begin<T>(
        &self,
        permit: &Permit<T>,
        project: &KnownProject,
    ) -> Result<UnitOfWork, ManageError> {
        let mut unit = permit.begin(&self.inner.storage).await?;
        match still_holds(&mut unit, project).await? {
            true => Ok(unit),
            false => Err(overtaken(project)),
        }
    }

    /// A project that somebody manages. Nothing is looked up for anonymous callers: they have no
    /// role anywhere, and the time of an answer must not show them what exists.
    pub(crate) async fn load_project(
        &self,
        caller: Option<&Caller>,
        project: &str,
    ) -> Result<KnownProject, StorageError> {
        let normalized = model::name::normalize(project);
        if caller.is_some_and(|caller| caller.principal == Principal::Anonymous) {
            return Ok(KnownProject::absent(&normalized));
        }
        KnownProject::load(&self.inner.storage, &normalized, caller).await
    }

    async fn load_user_on(
        &self,
        caller: Option<&Caller>,
        project: &KnownProject,
        user: &UserName,
    ) -> Result<UserOn, StorageError> {
        let storage = &self.inner.storage;
        let nobody = UserOn {
            name: user.clone(),
            user: None,
            role: None,
        };
        if project.hides_from_caller(caller) {
            return Ok(nobody);
        }
        let Some(row) = storage.user_by_name(user).await? else {
            return Ok(nobody);
        };
        let role = match project.id() {
            Some(id) => storage.role_of(row.id, id).await?,
            None => None,
        };
        let factors = row.facts().factors;
        Ok(UserOn {
            name: row.name,
            user: Some((row.id, factors)),
            role,
        })
    }
}

/// A user, who may not exist, and their role on a project.
struct UserOn {
    name: UserName,
    user: Option<(UserId, Factors)>,
    role: Option<Role>,
}

fn existing_user(name: &UserName, user: Option<(UserId, Factors)>) -> Result<UserId, ManageError> {
    user.map(|(id, _)| id)
        .ok_or_else(|| ManageError::NoUser(name.to_string()))
}

fn overtaken(project: &KnownProject) -> ManageError {
    ManageError::Overtaken(project.normalized.clone())
}

fn last_owner(error: StorageError, user: &UserName) -> ManageError {
    match error.conflict() {
        Some(Conflict::LastOwner) => ManageError::LastOwner(user.to_string()),
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_named_where_there_is_one() {
        let problem = |setting: &str, message: &str| SettingError {
            setting: setting.to_owned(),
            message: message.to_owned(),
        };
        let error = ManageError::InvalidSettings {
            policy: "staged-release".to_owned(),
            problems: vec![
                problem("mode", "must be a word"),
                problem("", "no such policy"),
            ],
        };
        assert_eq!(
            error.to_string(),
            "settings of policy 'staged-release': mode: must be a word; no such policy"
        );
    }
}
