//! Rows 10 and 11: names that no new project may take.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use model::{Caller, Principal, ProjectName};
use storage::StorageError;

use super::error::UploadError;
use crate::Registry;

/// Top-level modules of the standard library of Python 3.6 to 3.14, one a line. A project
/// of such a name is either a mistake or a trap.
const STANDARD_LIBRARY: &str = include_str!("standard_library.txt");

/// Changes read from the journal at once.
const JOURNAL_PAGE: u32 = 1000;

/// Names that look alike, of every project readers see. Brought up to date from the
/// journal before each look, so it is right across processes.
#[derive(Debug, Default)]
pub(crate) struct SimilarNames {
    by_looks: HashMap<String, String>,
    serial: Option<i64>,
}

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
        if let Some(existing) = self.similar_project(name).await? {
            return Err(UploadError::rejected(
                "similar-name",
                format!("The name '{name}' is too similar to the existing project '{existing}'. Choose another name."),
            ));
        }
        Ok(())
    }

    /// Row 11, the rate: counted only when a project is about to be created.
    pub(crate) async fn take_new_project(&self, owner: model::UserId) -> Result<(), UploadError> {
        let limit = self.inner.config.max_new_projects_per_hour;
        let taken = self.inner.storage.take_attempt(&format!("project:create:{owner}"), self.inner.clock.now(), 60 * 60 * 1000, limit).await?;
        taken.map_err(|_| UploadError::with_status(429, "too-many-new-projects", "Too many new projects created. Try again in an hour."))
    }

    /// A project whose name a person could take for this one.
    async fn similar_project(&self, name: &ProjectName) -> Result<Option<String>, StorageError> {
        let mut similar = self.inner.similar_names.lock().await;
        let mut serial = match similar.serial {
            Some(serial) => serial,
            None => {
                let serial = self.inner.storage.last_serial().await?;
                for entry in self.inner.storage.index().await? {
                    similar.by_looks.insert(looks(&entry.normalized), entry.normalized);
                }
                serial
            }
        };
        loop {
            let rows = self.inner.storage.journal(serial, JOURNAL_PAGE).await?;
            for row in &rows {
                similar.by_looks.entry(looks(&row.project_name)).or_insert_with(|| row.project_name.clone());
                serial = row.serial;
            }
            if rows.len() < JOURNAL_PAGE as usize {
                break;
            }
        }
        similar.serial = Some(serial);
        Ok(similar.by_looks.get(&looks(name.normalized())).cloned())
    }
}

/// What a name looks like at a glance: separators gone, `l`, `i` and `1` alike, `o` and `0` alike.
fn looks(normalized: &str) -> String {
    normalized
        .chars()
        .filter(|c| !matches!(c, '.' | '-' | '_'))
        .map(|c| match c.to_ascii_lowercase() {
            'l' | 'i' => '1',
            'o' => '0',
            c => c,
        })
        .collect()
}

fn is_standard_library(name: &ProjectName) -> bool {
    static NAMES: LazyLock<HashSet<String>> = LazyLock::new(|| STANDARD_LIBRARY.lines().map(model::name::normalize).collect());
    NAMES.contains(name.normalized())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_alike_look_alike() {
        for (a, b) in [("pip", "p1p"), ("pil-low", "pi1low"), ("flo-od", "fl00d"), ("a-b", "ab"), ("a.b", "a_b")] {
            assert_eq!(looks(a), looks(b), "{a} {b}");
        }
        assert_ne!(looks("pip"), looks("pop"));
    }

    #[test]
    fn modules_of_the_standard_library_are_taken() {
        for name in ["json", "JSON", "asyncio", "distutils", "xml", "unittest", "concurrent"] {
            assert!(is_standard_library(&ProjectName::parse(name).unwrap()), "{name}");
        }
        assert!(!is_standard_library(&ProjectName::parse("requests").unwrap()));
    }
}
