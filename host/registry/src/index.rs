//! What pip, uv and people's tools read: the Simple API and the JSON API.
//!
//! Staged files are in none of it: pages are made of published files only.

pub(crate) mod cache;
mod follow;
mod html;
pub(crate) mod list;
pub(crate) mod page;
mod project_json;
mod simple_json;

use std::io;
use std::sync::Arc;

use gate::Permit;
use model::{Caller, ProjectStatus, ReleaseState, Version};
use storage::StorageError;
use storage::files::FileRow;
use storage::projects::ListedProject;

use crate::Registry;
use crate::targets::{ReadIndex, ReadProject, settings_value};
use cache::{JsonKey, JsonPage, Making, ProjectEntry};
pub use list::page::{ListPage, Parts};
use page::LARGE;
pub use page::{Page, PageBytes};

/// Version of the Simple API (PEP 629).
pub const API_VERSION: &str = "1.4";

/// How a page of the Simple API is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PageFormat {
    /// `text/html` and `application/vnd.pypi.simple.v1+html` (PEP 503).
    Html,
    /// `application/vnd.pypi.simple.v1+json` (PEP 691).
    Json,
}

/// A page of the Simple API.
#[derive(Clone, Debug)]
pub enum SimplePage {
    Project(Page),
    List(ListPage),
}

/// Where things are for clients.
#[derive(Clone, Debug)]
pub(crate) struct Urls {
    /// The registry's address, without a slash at the end.
    pub(crate) public: String,
}

impl Urls {
    /// The path within the host, without a slash at the end.
    fn path(&self) -> &str {
        let after_scheme = self.public.find("://").map_or(0, |at| at + 3);
        self.public[after_scheme..]
            .find('/')
            .map_or("", |at| &self.public[after_scheme + at..])
    }

    /// Where a file is downloaded.
    fn file(&self, file: &FileRow) -> String {
        let hex = file.digests.blake2_256_hex();
        format!(
            "{}/files/{}/{}/{}/{}",
            self.public,
            &hex[..2],
            &hex[2..4],
            &hex[4..],
            file.name
        )
    }
}

impl Registry {
    pub(crate) fn urls(&self) -> Urls {
        Urls {
            public: self.inner.config.public_url.clone(),
        }
    }

    /// What a decision about reading needs: the list of projects, or one project's pages.
    /// `project` is a normalized name. From memory for an anonymous caller and a cached page.
    pub async fn load_read_index(
        &self,
        caller: &Caller,
        project: Option<&str>,
    ) -> Result<ReadIndex, StorageError> {
        let project = match project {
            Some(normalized) => Some(self.load_read_project(caller, normalized).await?),
            None => None,
        };
        Ok(ReadIndex { project })
    }

    pub(crate) async fn load_read_project(
        &self,
        caller: &Caller,
        normalized: &str,
    ) -> Result<ReadProject, StorageError> {
        let entry = self.project_entry(normalized).await?;
        let role = match (&entry, caller.user()) {
            (Some(entry), Some(user)) => {
                self.inner
                    .storage
                    .role_of(user.id, entry.project.id)
                    .await?
            }
            _ => None,
        };
        Ok(ReadProject {
            normalized: normalized.to_owned(),
            entry,
            role,
        })
    }

    /// What a project's pages are made of; none if readers do not see it.
    pub(crate) async fn project_entry(
        &self,
        normalized: &str,
    ) -> Result<Option<Arc<ProjectEntry>>, StorageError> {
        if let Some(entry) = self.inner.cache.project(normalized) {
            return Ok(Some(entry));
        }
        let turn = self.inner.cache.turn(normalized).await;
        if let Some(entry) = self.inner.cache.project(normalized) {
            return Ok(Some(entry));
        }
        // Before anything is loaded, so that little of it waits in memory.
        let place = self.inner.cache.place(Making::Simple).await?;
        let epoch = self.inner.cache.before_loading(normalized);
        let Some(facts) = self.inner.storage.project_facts(normalized, None).await? else {
            return Ok(None);
        };
        if facts.project.published_at.is_none() {
            return Ok(None);
        }
        // PEP 792: a project in quarantine offers no files.
        let files = match facts.project.status {
            ProjectStatus::Quarantined => Vec::new(),
            _ => self.inner.storage.published_files(facts.project.id).await?,
        };
        let inner = self.inner.clone();
        let made = making((turn, place), move || {
            let entry = Arc::new(ProjectEntry::new(
                facts.project,
                settings_value(facts.settings),
                files,
            ));
            inner.cache.keep(&entry, epoch);
            Ok(entry)
        });
        made.await.map(Some)
    }

    /// `/simple/` or `/simple/{project}/`; none is a 404.
    pub async fn simple_page(
        &self,
        permit: Permit<ReadIndex>,
        format: PageFormat,
    ) -> Result<Option<SimplePage>, StorageError> {
        match &permit.target().project {
            Some(project) => match &project.entry {
                Some(entry) => Ok(Some(SimplePage::Project(
                    self.page_of(entry, format).await?,
                ))),
                None => Ok(None),
            },
            None => Ok(Some(SimplePage::List(ListPage {
                list: self.list().await?,
                format,
            }))),
        }
    }

    async fn page_of(
        &self,
        entry: &Arc<ProjectEntry>,
        format: PageFormat,
    ) -> Result<Page, StorageError> {
        if let Some(page) = entry.page(format) {
            return Ok(page);
        }
        let turn = self.inner.cache.turn(entry.project.name.normalized()).await;
        if let Some(page) = entry.page(format) {
            return Ok(page);
        }
        let place = self.inner.cache.place(Making::Simple).await?;
        let (entry, urls, inner) = (entry.clone(), self.urls(), self.inner.clone());
        making((turn, place), move || {
            entry.make_page(format, &urls, &inner.simple_files)
        })
        .await
    }

    /// Projects with this text in their normalized name: the name itself, then those that begin
    /// with it, then the others; those after the first `skip`, at most `limit`. None without a
    /// permit to read the list.
    pub async fn find_projects(
        &self,
        permit: Permit<ReadIndex>,
        text: &str,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<ListedProject>, StorageError> {
        if permit.target().project.is_some() {
            return Ok(Vec::new());
        }
        let (list, text) = (self.list().await?, text.to_owned());
        let search = move || list.search(&text, skip, limit);
        let names = tokio::task::spawn_blocking(search)
            .await
            .map_err(|error| StorageError::Unavailable(error.to_string()))?;
        let mut found = self.inner.storage.projects_named(&names).await?;
        found.sort_by_cached_key(|project| {
            names.iter().position(|name| *name == project.normalized)
        });
        Ok(found)
    }

    /// `/pypi/{project}/json`, or with `version` as it stands in the path
    /// `/pypi/{project}/{version}/json`; none is a 404.
    pub async fn json_page(
        &self,
        permit: Permit<ReadIndex>,
        version: Option<&str>,
    ) -> Result<Option<Page>, StorageError> {
        Ok(self
            .made_pages(permit, version)
            .await?
            .map(|made| made.page))
    }

    /// What people are shown of the same: `info` and `urls` as programs get them; of the newest
    /// 200 releases version, number of files and
    /// whether it is yanked, and whether there are more.
    pub async fn people_page(
        &self,
        permit: Permit<ReadIndex>,
        version: Option<&str>,
    ) -> Result<Option<Page>, StorageError> {
        Ok(self
            .made_pages(permit, version)
            .await?
            .map(|made| made.people))
    }

    async fn made_pages(
        &self,
        permit: Permit<ReadIndex>,
        version: Option<&str>,
    ) -> Result<Option<JsonPage>, StorageError> {
        let Some(entry) = permit
            .target()
            .project
            .as_ref()
            .and_then(|project| project.entry.clone())
        else {
            return Ok(None);
        };
        if !project_json::is_shown(entry.project.status) {
            return Ok(None);
        }
        let version = match version.map(Version::parse).transpose() {
            Ok(version) => version,
            Err(_) => return Ok(None),
        };
        // Only versions that exist become keys, so that asking for random ones fills no memory.
        if version
            .as_ref()
            .is_some_and(|version| !entry.versions.contains(version))
        {
            return Ok(None);
        }
        let key = (
            entry.project.name.normalized().to_owned(),
            version.as_ref().map(Version::to_string),
        );
        let kept = || {
            self.inner.cache.json.get(&key).filter(|kept| {
                kept.beside
                    .upgrade()
                    .is_some_and(|beside| Arc::ptr_eq(&beside, &entry))
            })
        };
        if let Some(kept) = kept() {
            return Ok(Some(kept));
        }
        let turn = self.inner.cache.turn(&key.0).await;
        if let Some(kept) = kept() {
            return Ok(Some(kept));
        }
        let place = self.inner.cache.place(Making::Release).await?;
        // To its end, also if nobody waits for it any more: reading what a release says of itself
        // takes as long as making pages of it.
        let registry = self.clone();
        let made = tokio::spawn(async move {
            registry
                .make_pages(entry, key, version, (turn, place))
                .await
        });
        made.await
            .map_err(|error| StorageError::Unavailable(error.to_string()))?
    }

    async fn make_pages(
        &self,
        entry: Arc<ProjectEntry>,
        key: JsonKey,
        version: Option<Version>,
        held: impl Send + 'static,
    ) -> Result<Option<JsonPage>, StorageError> {
        // The page of one version costs nothing for the thousands of others.
        let releases = match &version {
            Some(version) => Vec::from_iter(
                self.inner
                    .storage
                    .release(entry.project.id, version)
                    .await?
                    .filter(|found| found.state == ReleaseState::Published),
            ),
            None => {
                self.inner
                    .storage
                    .published_releases(entry.project.id)
                    .await?
            }
        };
        let roles = self.inner.storage.roles_on(entry.project.id).await?;
        let Some(id) = project_json::shown(&releases, version.as_ref()).map(|shown| shown.id)
        else {
            return Ok(None);
        };
        let metadata = self.release_metadata(id).await?;
        let (urls, beside, inner) = (self.urls(), Arc::downgrade(&entry), self.inner.clone());
        let made = making(held, move || {
            let Some(release) = releases.iter().find(|release| release.id == id) else {
                return Ok(None);
            };
            let shown = project_json::Shown {
                release,
                metadata: &metadata,
            };
            let page =
                project_json::page(&entry, &releases, &shown, &roles, version.is_none(), &urls);
            let people =
                project_json::people_page(&entry, &releases, &shown, version.is_none(), &urls);
            let (serial, files) = (entry.project.last_serial, &inner.release_files);
            let made = JsonPage {
                beside,
                page: Page::new(page, serial, files)?,
                people: Page::new(people, serial, files)?,
            };
            inner.cache.json.insert(key, made.clone());
            Ok(Some(made))
        });
        made.await
    }
}

/// Makes what may take a while, of a project with many files: no other request waits for it.
/// What is `held` is held until it is made, also if nobody waits for it any more.
async fn making<T: Send + 'static>(
    held: impl Send + 'static,
    make: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, StorageError> {
    let make = move || {
        let made = make();
        drop(held);
        made
    };
    crate::spool::blocking(make)
        .await
        .map_err(|error| StorageError::Unavailable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};
    use std::time::Duration;

    use model::limit::PAGES_AT_ONCE;
    use tokio::time::timeout;

    use super::*;
    use cache::IndexCache;

    #[tokio::test]
    async fn few_pages_are_made_at_a_time_and_those_that_nobody_waits_for_count() {
        const SOON: Duration = Duration::from_millis(10);
        let cache = IndexCache::new(1 << 20);
        let (go_on, wait) = mpsc::channel();
        let wait = Arc::new(Mutex::new(wait));
        for _ in 0..PAGES_AT_ONCE.get() / 2 {
            let (place, wait) = (cache.place(Making::Release).await.unwrap(), wait.clone());
            let made = making(place, move || {
                wait.lock().unwrap().recv().map_err(io::Error::other)
            });
            assert!(timeout(SOON, made).await.is_err(), "whoever asked is gone");
        }
        assert!(
            timeout(SOON, cache.place(Making::Release)).await.is_err(),
            "all are still being made"
        );
        assert!(
            timeout(SOON, cache.place(Making::Simple)).await.is_ok(),
            "what installers read has places of its own"
        );
        go_on.send(()).unwrap();
        drop(cache.place(Making::Release).await.unwrap());
        drop(go_on);
    }
}
