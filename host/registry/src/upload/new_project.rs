//! Rows 10 and 11: names that no new project may take.

use std::collections::HashSet;
use std::sync::LazyLock;

use model::{Caller, Principal, ProjectName};

use super::error::UploadError;
use crate::Registry;

/// Top-level modules of the standard library of Python 3.6 to 3.14, one a line. A project
/// of such a name is either a mistake or a trap.
const STANDARD_LIBRARY: &str = include_str!("standard_library.txt");

impl Registry {
    /// Row 10 and the rules of row 11 about the name.
    pub(crate) async fn check_new_project(&self, caller: &Caller, name: &ProjectName) -> Result<(), UploadError> {
        if matches!(caller.principal, Principal::Publisher { .. }) {
            return Err(UploadError::rejected(
                "publisher-creates-project",
                "Non-user identities cannot create new projects. Create the project by a first upload of a user with an API token, then use the trusted publisher.",
            ));
        }
        if is_standard_library(name) {
            return Err(UploadError::rejected(
                "standard-library-name",
                format!("The name '{name}' isn't allowed (conflict with the Python Standard Library module name). Choose another name."),
            ));
        }
        // A constraint of the database decides when two are created at once; then this says
        // to whoever came second why.
        match self.inner.storage.project_that_looks_like(name).await? {
            // Just created by somebody else: the upload is decided anew.
            Some(existing) if existing.name.normalized() == name.normalized() => Ok(()),
            Some(existing) => {
                // A project that readers do not see is not named.
                let which = if existing.published_at.is_some() {
                    format!("the existing project '{}'", existing.name.normalized())
                } else {
                    "an existing project".to_owned()
                };
                Err(UploadError::rejected("similar-name", format!("The name '{name}' is too similar to {which}. Choose another name.")))
            }
            None => Ok(()),
        }
    }

    /// Row 11, the rate: counted only when a project is about to be created.
    pub(crate) async fn take_new_project(&self, owner: model::UserId) -> Result<(), UploadError> {
        let limit = self.inner.config.max_new_projects_per_hour;
        let taken = self.inner.storage.take_attempt(&format!("project:create:{owner}"), self.inner.clock.now(), 60 * 60 * 1000, limit).await?;
        taken.map_err(|_| UploadError::with_status(429, "too-many-new-projects", "Too many new projects created. Try again in an hour."))
    }
}

fn is_standard_library(name: &ProjectName) -> bool {
    static NAMES: LazyLock<HashSet<String>> = LazyLock::new(|| STANDARD_LIBRARY.lines().map(model::name::normalize).collect());
    NAMES.contains(name.normalized())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_of_the_standard_library_are_taken() {
        for name in ["json", "JSON", "asyncio", "distutils", "xml", "unittest", "concurrent"] {
            assert!(is_standard_library(&ProjectName::parse(name).unwrap()), "{name}");
        }
        assert!(!is_standard_library(&ProjectName::parse("requests").unwrap()));
    }
}
