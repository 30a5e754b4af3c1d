//! Storage limits of a project and a user, enforced where the file is written: these rules use the
//! totals of the same unit of work that stores the file, so that no other upload to the project can
//! come in between. [`super::file_checks::size`] checks the same earlier, to save work, and may be
//! wrong.

use gate::{Attempt, Gate, Reason, RefusalKind};
use model::limit::bytes_in_words;
use model::{Action, Caller};
use storage::usage::Usage;

use super::error::UploadError;
use crate::{Registry, RegistryConfig};

/// Files of one release. Limits the list on a project's page, and the files that each further
/// upload to the release checks; the largest releases of pypi.org have some three hundred.
pub(super) const MAX_FILES_OF_RELEASE: u64 = model::limit::FILES_OF_RELEASE.get() as u64;

/// Files of one project. Limits its page (about 500 bytes a file) and, with the size limit, the
/// rows of a project; the largest projects of pypi.org have some twenty thousand.
pub(super) const MAX_FILES_OF_PROJECT: u64 = model::limit::FILES_OF_PROJECT.get() as u64;

/// Files of one project that wait to be published. Limits the list that its owners have to check,
/// and the answer that contains it.
pub(super) const MAX_STAGED_FILES: u64 = model::limit::STAGED_FILES.get() as u64;

/// Releases of one project. Limits the versions that each upload to it is compared with.
pub(super) const MAX_RELEASES_OF_PROJECT: u64 = model::limit::RELEASES_OF_PROJECT.get() as u64;

/// Projects that one user owns and that never published anything. Limits the names taken by uploads
/// that only wait, however long someone keeps creating them.
pub(super) const MAX_UNPUBLISHED_PROJECTS: u64 = model::limit::UNPUBLISHED_PROJECTS.get() as u64;

/// The least that each upload counts for in the daily limit of its user: whatever its size, it
/// leaves rows, a journal entry, a decision and an audit event. With the default of that limit,
/// 200,000 uploads of one user in a day.
const LEAST_UPLOADED: u64 = model::limit::LEAST_UPLOADED.get();

/// The retry time for a user's daily limit, which is counted by the hour.
const RETRY_AFTER_SECONDS: u64 = 60 * 60;

/// The totals after a file was stored, for its project and its owner.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored {
    pub(super) usage: Usage,
    pub(super) is_staged: bool,
    /// If the release is new: the project's number of releases.
    pub(super) releases: Option<u64>,
    /// If the project is new: how many unpublished projects its owner has.
    pub(super) unpublished: Option<u64>,
}

/// Whether the file fits the limits. `project` is the normalized name.
pub(super) fn check(
    config: &RegistryConfig,
    project: &str,
    stored: &Stored,
) -> Result<(), UploadError> {
    let Stored {
        usage,
        is_staged,
        releases,
        unpublished,
    } = *stored;
    check_size(config, project, usage.bytes)?;
    if is_staged && usage.staged_bytes > config.max_staged_bytes {
        return Err(UploadError::rejected(
            "too-much-staged",
            format!(
                "Too much waits to be published. Limit for the staged files of project '{project}' is {}. Publish or reject what waits, then upload again.",
                bytes_in_words(config.max_staged_bytes)
            ),
        ));
    }
    if is_staged && usage.staged_files > MAX_STAGED_FILES {
        return Err(UploadError::rejected(
            "too-much-staged",
            format!(
                "Too many files of project '{project}' wait to be published. Limit is {MAX_STAGED_FILES}. Publish or reject what waits, then upload again."
            ),
        ));
    }
    let too_many = |what: &str, most: u64, remedy: &str| {
        Err(UploadError::rejected(
            "too-many-files",
            format!("Too many {what}. Limit is {most}. {remedy}"),
        ))
    };
    if usage.files_of_release > MAX_FILES_OF_RELEASE {
        return too_many(
            "files in this release",
            MAX_FILES_OF_RELEASE,
            "Upload a new version.",
        );
    }
    if usage.files > MAX_FILES_OF_PROJECT {
        return too_many(
            &format!("files in project '{project}'"),
            MAX_FILES_OF_PROJECT,
            "Ask the operators of the registry.",
        );
    }
    if releases.is_some_and(|releases| releases > MAX_RELEASES_OF_PROJECT) {
        return too_many(
            &format!("releases in project '{project}'"),
            MAX_RELEASES_OF_PROJECT,
            "Ask the operators of the registry.",
        );
    }
    if unpublished.is_some_and(|projects| projects > MAX_UNPUBLISHED_PROJECTS) {
        return Err(UploadError::rejected(
            "too-many-unpublished-projects",
            format!(
                "You own {MAX_UNPUBLISHED_PROJECTS} projects of which nothing was ever published. Publish a release of one of them first."
            ),
        ));
    }
    Ok(())
}

/// The size limit of a project, for this total of its files.
pub(super) fn check_size(
    config: &RegistryConfig,
    project: &str,
    bytes: u64,
) -> Result<(), UploadError> {
    if bytes <= config.max_project_bytes {
        return Ok(());
    }
    Err(UploadError::rejected(
        "project-too-large",
        format!(
            "Project size too large. Limit for project '{project}' total size is {}. Ask the operators of the registry for more.",
            bytes_in_words(config.max_project_bytes)
        ),
    ))
}

impl Registry {
    /// Counts the bytes to be stored for the caller, before they use the disk: if the upload fails
    /// later, they stay on disk for at most a day, and still count.
    pub(super) async fn take_uploaded_bytes(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        caller: &Caller,
        bytes: u64,
    ) -> Result<(), UploadError> {
        let limit = self.inner.config.max_uploaded_bytes_per_day;
        let Some(user) = caller.user() else {
            return Ok(());
        };
        if self
            .inner
            .storage
            .take_uploaded_bytes(
                user.id,
                bytes.max(LEAST_UPLOADED),
                self.inner.clock.now(),
                limit,
            )
            .await?
        {
            return Ok(());
        }
        let reason = Reason {
            code: "too-much-uploaded".to_owned(),
            message: format!(
                "You uploaded too much today; the limit of one user is {} in 24 hours.",
                bytes_in_words(limit)
            ),
            remedy: "Try again in some hours, or ask the operators of the registry for more."
                .to_owned(),
            page: None,
        };
        let kind = RefusalKind::Limited {
            retry_after_seconds: RETRY_AFTER_SECONDS,
        };
        Err(gate
            .refuse_as(attempt, caller, Action::FileUpload, kind, reason)
            .await
            .into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(change: impl FnOnce(&mut Stored)) -> Option<String> {
        let mut config = RegistryConfig::new("https://example.org");
        (config.max_project_bytes, config.max_staged_bytes) = (2 << 30, 3 << 20);
        let usage = Usage {
            bytes: 2 << 30,
            staged_bytes: 3 << 20,
            files: MAX_FILES_OF_PROJECT,
            staged_files: MAX_STAGED_FILES,
            files_of_release: MAX_FILES_OF_RELEASE,
        };
        let mut stored = Stored {
            usage,
            is_staged: true,
            releases: Some(MAX_RELEASES_OF_PROJECT),
            unpublished: Some(MAX_UNPUBLISHED_PROJECTS),
        };
        change(&mut stored);
        check(&config, "demo", &stored)
            .err()
            .map(|error| error.to_string())
    }

    #[test]
    fn what_is_at_its_bound_stays_and_one_more_of_anything_does_not() {
        assert_eq!(check_one(|_| ()), None);
        for (error, expected) in [
            (
                check_one(|stored| stored.usage.bytes += 1),
                "Project size too large. Limit for project 'demo' total size is 2 GiB.",
            ),
            (
                check_one(|stored| stored.usage.staged_bytes += 1),
                "Too much waits to be published. Limit for the staged files of project 'demo' is 3 MiB.",
            ),
            (
                check_one(|stored| stored.usage.staged_files += 1),
                "Too many files of project 'demo' wait to be published. Limit is 5000.",
            ),
            (
                check_one(|stored| stored.usage.files_of_release += 1),
                "Too many files in this release. Limit is 1000. Upload a new version.",
            ),
            (
                check_one(|stored| stored.usage.files += 1),
                "Too many files in project 'demo'. Limit is 50000.",
            ),
            (
                check_one(|stored| stored.releases = Some(MAX_RELEASES_OF_PROJECT + 1)),
                "Too many releases in project 'demo'. Limit is 20000.",
            ),
            (
                check_one(|stored| stored.unpublished = Some(MAX_UNPUBLISHED_PROJECTS + 1)),
                "You own 100 projects of which nothing was ever published.",
            ),
        ] {
            assert!(
                error
                    .as_ref()
                    .is_some_and(|error| error.starts_with(expected)),
                "{expected}: {error:?}"
            );
        }
        // Files that are published at once are not subject to the limit on waiting ones.
        assert_eq!(
            check_one(|stored| (stored.is_staged, stored.usage.staged_bytes) = (false, 4 << 20)),
            None
        );
    }
}
