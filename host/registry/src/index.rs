//! What pip, uv and people's tools read: the Simple API and the JSON API.
//!
//! Staged files are in none of it: pages are made of published files only.

pub(crate) mod cache;
mod follow;
mod html;
pub(crate) mod list;
pub(crate) mod page;
mod people;
pub(crate) mod places;
mod project_json;
mod release;
mod simple_json;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use gate::Permit;
use model::{Caller, ProjectStatus};
use storage::StorageError;
use storage::files::FileRow;
use storage::projects::ListedProject;

use crate::Registry;
use crate::targets::{ReadIndex, ReadProject, settings_value};
use cache::{Holds, Making, ProjectEntry};
pub use list::page::{ListPage, Parts};
use page::LARGE;
pub use page::{Page, PageBytes};
pub use people::{FileView, ProjectView, ReleaseView};
use places::Asker;

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
    /// `project` is a normalized name; `address` is where the request comes from, since addresses
    /// take turns where something has to be made. From memory for an anonymous caller and a cached page.
    pub async fn load_read_index(
        &self,
        caller: &Caller,
        address: IpAddr,
        project: Option<&str>,
    ) -> Result<ReadIndex, StorageError> {
        let asker = Asker::at(address);
        let project = match project {
            Some(normalized) => Some(self.load_read_project(caller, asker, normalized).await?),
            None => None,
        };
        Ok(ReadIndex { asker, project })
    }

    pub(crate) async fn load_read_project(
        &self,
        caller: &Caller,
        asker: Asker,
        normalized: &str,
    ) -> Result<ReadProject, StorageError> {
        let entry = self.project_entry(asker, normalized).await?;
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
        asker: Asker,
        normalized: &str,
    ) -> Result<Option<Arc<ProjectEntry>>, StorageError> {
        if let Some(entry) = self.inner.cache.project(normalized) {
            return Ok(Some(entry));
        }
        let turn = self
            .inner
            .cache
            .turn(Making::Simple, normalized, asker)
            .await?;
        if let Some(entry) = self.inner.cache.project(normalized) {
            return Ok(Some(entry));
        }
        // Before anything is loaded, so that little of it waits in memory.
        let place = self.inner.cache.place(&turn, Holds::Nothing).await?;
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
                    self.page_of(permit.target().asker, entry, format).await?,
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
        asker: Asker,
        entry: &Arc<ProjectEntry>,
        format: PageFormat,
    ) -> Result<Page, StorageError> {
        if let Some(page) = entry.page(format) {
            return Ok(page);
        }
        let name = entry.project.name.normalized();
        let turn = self.inner.cache.turn(Making::Simple, name, asker).await?;
        if let Some(page) = entry.page(format) {
            return Ok(page);
        }
        let place = self.inner.cache.place(&turn, Holds::Entry).await?;
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
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Mutex, mpsc};
    use std::time::Duration;

    use model::limit::{PAGE_WAIT, PAGES_AT_ONCE};
    use tokio::time::timeout;

    use super::*;
    use cache::IndexCache;

    fn asker() -> Asker {
        Asker::at([192, 0, 2, 1].into())
    }

    #[tokio::test]
    async fn few_pages_are_made_at_a_time_and_those_that_nobody_waits_for_count() {
        const SOON: Duration = Duration::from_millis(10);
        let cache = IndexCache::new(1 << 20);
        let names = AtomicUsize::new(0);
        let (go_on, wait) = mpsc::channel();
        let wait = Arc::new(Mutex::new(wait));
        let place = async |kind| {
            let name = format!("project-{}", names.fetch_add(1, Ordering::Relaxed));
            let turn = cache.turn(kind, &name, asker()).await?;
            cache.place(&turn, Holds::Nothing).await
        };
        for _ in 0..PAGES_AT_ONCE.get() / 2 {
            let (place, wait) = (place(Making::Release).await.unwrap(), wait.clone());
            let made = making(place, move || {
                wait.lock().unwrap().recv().map_err(io::Error::other)
            });
            assert!(timeout(SOON, made).await.is_err(), "whoever asked is gone");
        }
        assert!(
            timeout(SOON, place(Making::Release)).await.is_err(),
            "all are still being made"
        );
        assert!(
            timeout(SOON, place(Making::Simple)).await.is_ok(),
            "what installers read has places of its own"
        );
        go_on.send(()).unwrap();
        drop(place(Making::Release).await.unwrap());
        drop(go_on);
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_is_waited_for_no_longer_than_for_a_place_and_keeps_no_other_kind_waiting() {
        let cache = IndexCache::new(1 << 20);
        let held = cache.turn(Making::Release, "one", asker()).await.unwrap();
        let begun = tokio::time::Instant::now();
        assert!(cache.turn(Making::Release, "one", asker()).await.is_err());
        assert_eq!(begun.elapsed().as_millis() as u64, PAGE_WAIT.milliseconds());
        let begun = tokio::time::Instant::now();
        drop(cache.turn(Making::Simple, "one", asker()).await.unwrap());
        for number in 0..5000 {
            let other = cache
                .turn(Making::Release, &format!("other-{number}"), asker())
                .await;
            drop(other.unwrap());
        }
        assert!(
            cache.turn(Making::Release, "one", asker()).await.is_err(),
            "its turn is remembered"
        );
        assert_eq!(begun.elapsed().as_millis() as u64, PAGE_WAIT.milliseconds());
        drop(held);
        drop(cache.turn(Making::Release, "one", asker()).await.unwrap());
    }
}
