//! Rows 10 and 11: names that no new project may take, and limits on their number.

use std::collections::HashSet;
use std::sync::LazyLock;

use gate::{Attempt, Gate, Permit, Reason, RefusalKind};
use model::address::{NETWORK_BITS, neighbourhood, network_of};
use model::audit::{AuditEvent, Detail};
use model::limit::WIDER_NETWORK;
use model::{Action, Caller, Principal, ProjectId, ProjectName, Role, Timestamp, UserName};
use storage::projects::NewProject;
use storage::{Conflict, StorageError, UnitOfWork};

use super::error::UploadError;
use crate::Registry;
use crate::targets::{CreateProject, KnownProject};

/// Top-level modules of the standard library of Python 3.6 to 3.14, one a line. A project with such
/// a name is either a mistake or a trap.
const STANDARD_LIBRARY: &str = include_str!("standard_library.txt");

/// Window of the limits on new projects.
const HOUR_MS: i64 = 60 * 60 * 1000;

/// Why the command line could not create a project.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    #[error("there is no user '{0}'")]
    NoUser(String),
    /// A project has this name, or one that looks like it.
    #[error("the name '{name}' {problem}")]
    NameTaken { name: String, problem: &'static str },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Registry {
    /// The target of a decision about creating an empty project.
    pub async fn load_create(
        &self,
        name: &ProjectName,
        owner: &UserName,
    ) -> Result<CreateProject, CreateError> {
        let owner = self
            .inner
            .storage
            .user_by_name(owner)
            .await?
            .ok_or_else(|| CreateError::NoUser(owner.to_string()))?
            .id;
        Ok(CreateProject {
            project: KnownProject::absent(name.normalized()),
            name: name.clone(),
            owner,
        })
    }

    /// Creates an empty project, whose owner uploads to it later. A reserved name is allowed: this
    /// is how its rightful owner gets it, and only the command line calls this function. Names that
    /// are taken, or look like one that is, are still refused.
    pub async fn create_project(&self, permit: Permit<CreateProject>) -> Result<(), CreateError> {
        let taken = |error: StorageError| {
            let problem = match error.conflict() {
                Some(Conflict::ProjectNameTaken) => "is taken",
                Some(Conflict::ProjectNameSimilar) => "is too similar to that of another project",
                _ => return CreateError::Storage(error),
            };
            CreateError::NameTaken {
                name: permit.target().name.to_string(),
                problem,
            }
        };
        let mut unit = permit.begin(&self.inner.storage).await?;
        let (_, event) = create_project(&mut unit, &permit).await.map_err(taken)?;
        unit.commit(&event).await?;
        Ok(())
    }

    /// Row 10, and the rules of row 11 about the name.
    pub(crate) async fn check_new_project(
        &self,
        caller: &Caller,
        name: &ProjectName,
    ) -> Result<(), UploadError> {
        if matches!(caller.principal, Principal::Publisher { .. }) {
            return Err(UploadError::rejected(
                "publisher-creates-project",
                "Non-user identities cannot create new projects. Create the project by a first upload of a user with an API token.",
            ));
        }
        if self.inner.reserved_looks.contains(&name.looks()) {
            let see = format!(
                "See {}/help/#project-name for more information.",
                self.inner.config.public_url
            );
            return Err(UploadError::rejected(
                "reserved-name",
                format!("The name '{name}' isn't allowed. Choose another name. {see}"),
            ));
        }
        if is_standard_library(name) {
            return Err(UploadError::rejected(
                "standard-library-name",
                format!(
                    "The name '{name}' isn't allowed (conflict with the Python Standard Library module name). Choose another name."
                ),
            ));
        }
        // A database constraint decides if two are created at once; this check gives the later one
        // the reason.
        match self.inner.storage.project_that_looks_like(name).await? {
            // Just created by someone else: the upload is decided again.
            Some(existing) if existing.name.normalized() == name.normalized() => Ok(()),
            Some(existing) => {
                // A project that readers do not see is not named.
                let which = if existing.published_at.is_some() {
                    format!("the existing project '{}'", existing.name.normalized())
                } else {
                    "an existing project".to_owned()
                };
                Err(UploadError::rejected(
                    "similar-name",
                    format!("The name '{name}' is too similar to {which}. Choose another name."),
                ))
            }
            None => Ok(()),
        }
    }

    /// Row 11, the rate: counted only if a project is about to be created, for its owner and for
    /// the address. The owner first: a user beyond their own limit uses up nothing of the address's
    /// limit. Returns the counted attempts, to be given back if someone else created the project.
    pub(super) async fn take_new_project(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        caller: &Caller,
    ) -> Result<Vec<(String, Timestamp)>, UploadError> {
        let config = &self.inner.config;
        let mut taken = Vec::new();
        let address = attempt.remote_address;
        let neighbours = (
            format!("project:create:address:{}", neighbourhood(address)),
            config.new_projects_per_address,
            "from one address",
        );
        let wider = address.to_canonical().is_ipv6().then(|| {
            (
                format!(
                    "project:create:network:{}",
                    network_of(address, NETWORK_BITS)
                ),
                config
                    .new_projects_per_address
                    .saturating_mul(WIDER_NETWORK.get()),
                "from one network",
            )
        });
        let owner = caller.user().map(|user| {
            (
                format!("project:create:{}", user.id),
                config.new_projects_per_user,
                "for one user",
            )
        });
        for (key, limit, whose) in owner.into_iter().chain([neighbours]).chain(wider) {
            let now = self.inner.clock.now();
            let Err(retry) = self
                .inner
                .storage
                .take_attempt(&key, now, HOUR_MS, limit)
                .await?
            else {
                taken.push((key, now));
                continue;
            };
            let retry_after_seconds = now.age_at(retry.at).max(1);
            let reason = Reason {
                code: "too-many-new-projects".to_owned(),
                message: format!(
                    "Too many new projects created. Limit is {limit} in an hour {whose}."
                ),
                remedy: format!("Try again in {} minutes.", retry_after_seconds.div_ceil(60)),
                page: None,
            };
            let kind = RefusalKind::Limited {
                retry_after_seconds,
            };
            self.give_back_new_project(&mut taken).await?;
            return Err(gate
                .refuse_as(attempt, caller, Action::ProjectCreate, kind, reason)
                .await
                .into());
        }
        Ok(taken)
    }

    /// Several uploads to one new project at the same moment create one project.
    pub(super) async fn give_back_new_project(
        &self,
        taken: &mut Vec<(String, Timestamp)>,
    ) -> Result<(), UploadError> {
        for (key, at) in taken.drain(..) {
            self.inner.storage.give_back_attempt(&key, at).await?;
        }
        Ok(())
    }
}

/// Writes a project and its owner; returns its id and its event.
pub(super) async fn create_project(
    unit: &mut UnitOfWork,
    permit: &Permit<CreateProject>,
) -> Result<(ProjectId, AuditEvent), StorageError> {
    let CreateProject { name, owner, .. } = permit.target();
    let id = ProjectId::new();
    unit.create_project(&NewProject {
        id,
        name,
        created_at: permit.at(),
    })
    .await?;
    unit.grant_role(id, *owner, Role::Owner, permit.at())
        .await?;
    let created = Detail::ProjectCreated {
        name: name.as_written().to_owned(),
        owner: (*owner).into(),
        set: permit.set_number(),
    };
    Ok((id, permit.event(created).about(*owner).in_project(id)))
}

fn is_standard_library(name: &ProjectName) -> bool {
    static NAMES: LazyLock<HashSet<String>> = LazyLock::new(|| {
        STANDARD_LIBRARY
            .lines()
            .map(model::name::normalize)
            .collect()
    });
    NAMES.contains(name.normalized())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_of_the_standard_library_are_taken() {
        for name in [
            "json",
            "JSON",
            "asyncio",
            "distutils",
            "xml",
            "unittest",
            "concurrent",
        ] {
            assert!(
                is_standard_library(&ProjectName::parse(name).unwrap()),
                "{name}"
            );
        }
        assert!(!is_standard_library(
            &ProjectName::parse("requests").unwrap()
        ));
    }
}
