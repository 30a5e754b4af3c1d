//! The pages for pip, uv and other tools: the Simple API and the JSON API.
//!
//! They never contain staged files: pages are built only from published files.

pub(crate) mod cache;
mod follow;
mod html;
pub(crate) mod list;
pub(crate) mod overview;
pub(crate) mod page;
mod people;
mod project_json;
mod release;
mod simple_json;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use gate::Permit;
use model::limit::PAGE_WAIT;
use model::{Caller, ProjectStatus};
use storage::StorageError;
use storage::files::FileRow;
use turns::{Asker, Place};

use crate::Registry;
use crate::targets::{Found, ReadList, ReadProject, SeenProject, settings_value};
use cache::{Making, ProjectEntry, Work};
pub use list::page::{ListPage, Parts};
pub use overview::{ListedProject, Overview};
use page::LARGE;
pub use page::{Page, PageBytes};
pub use people::{FileView, ProjectView, ReleaseView};

/// Somebody at this address who reads, and waits for a page as long as any may.
pub(crate) fn reader(address: IpAddr) -> Asker {
    Asker::at(address, Duration::from_millis(PAGE_WAIT.milliseconds()))
}

/// Version of the Simple API (PEP 629).
pub const API_VERSION: &str = "1.4";

/// Why something cannot be read at the moment.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// More pages are requested than can be built while a request waits.
    #[error("too many pages are being made")]
    TooManyPages,
    /// More searches are requested than can run at once.
    #[error("too many searches")]
    TooManySearches,
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("a page could not be made: {0}")]
    Page(#[from] io::Error),
}

/// The format of a page of the Simple API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PageFormat {
    /// `text/html` and `application/vnd.pypi.simple.v1+html` (PEP 503).
    Html,
    /// `application/vnd.pypi.simple.v1+json` (PEP 691).
    Json,
}

/// Addresses for clients.
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

    /// The download address of a file.
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

    /// The target of a decision about the list of projects.
    pub fn list_to_read(&self) -> ReadList {
        ReadList(())
    }

    /// The target of a decision about reading a project; there is always one, and none of its files
    /// is loaded for it. The name is normalized; `address` is the client's address, since addresses
    /// take turns when something has to be built. Comes from memory for an anonymous caller and a
    /// cached project.
    pub async fn load_read_project(
        &self,
        caller: &Caller,
        address: IpAddr,
        normalized: &str,
    ) -> Result<ReadProject, ReadError> {
        Ok(ReadProject {
            asker: reader(address),
            project: self.load_seen(caller, normalized).await?,
        })
    }

    /// The same without any lookup: for callers who are never permitted to read, so that timing
    /// reveals nothing about existing projects. A permit for it finds nothing.
    pub fn unseen_project(&self, address: IpAddr, normalized: &str) -> ReadProject {
        ReadProject {
            asker: reader(address),
            project: SeenProject::unseen(normalized),
        }
    }

    pub(crate) async fn load_seen(
        &self,
        caller: &Caller,
        normalized: &str,
    ) -> Result<SeenProject, ReadError> {
        let (storage, user) = (&self.inner.storage, caller.user().map(|user| user.id));
        if let Some(entry) = self.inner.cache.project(normalized) {
            let role = match user {
                Some(user) => storage.role_of(user, entry.project.id).await?,
                None => None,
            };
            return Ok(SeenProject {
                normalized: normalized.to_owned(),
                found: Found::Entry(entry),
                role,
            });
        }
        let facts = storage.published_project_facts(normalized, user).await?;
        Ok(match facts {
            Some(facts) => SeenProject {
                normalized: normalized.to_owned(),
                found: Found::Row {
                    row: Box::new(facts.project),
                    settings: settings_value(facts.settings),
                    files: facts.files,
                },
                role: facts.role,
            },
            None => SeenProject::unseen(normalized),
        })
    }

    /// The data of a project's pages; none if readers do not see it.
    pub(crate) async fn project_entry(
        &self,
        asker: &Asker,
        project: &SeenProject,
    ) -> Result<Option<Arc<ProjectEntry>>, ReadError> {
        let normalized = project.normalized.as_str();
        if let Some(entry) = self.inner.cache.project(normalized) {
            return Ok(Some(entry));
        }
        // Before anything is loaded, so that no loaded data waits in memory.
        let place = self
            .inner
            .cache
            .place(Making::Simple, project.is_small(), asker)
            .await?;
        let found = self.entry_beside(place, asker, normalized).await?;
        Ok(found.map(|(_, entry)| entry))
    }

    /// The same for callers that have a place of either kind, which is held until everything is
    /// loaded, and then returned as well.
    pub(crate) async fn entry_beside(
        &self,
        place: Place,
        asker: &Asker,
        normalized: &str,
    ) -> Result<Option<(Place, Arc<ProjectEntry>)>, ReadError> {
        loop {
            if let Some(entry) = self.inner.cache.project(normalized) {
                return Ok(Some((place, entry)));
            }
            match self.inner.cache.begin(Making::Simple, normalized) {
                // Another request has begun the work, and so has a place as well.
                Err(begun) => begun.ended(asker).await?,
                Ok(work) => {
                    if let Some(entry) = self.inner.cache.project(normalized) {
                        return Ok(Some((place, entry)));
                    }
                    let keep = |entry: &Arc<ProjectEntry>, place| Ok((place, entry.clone()));
                    return self.make_entry(place, work, normalized, keep).await;
                }
            }
        }
    }

    /// Loads the data of a project's pages, caches it, and continues with it off the serving
    /// threads.
    async fn make_entry<T: Send + 'static>(
        &self,
        place: Place,
        work: Work,
        normalized: &str,
        then: impl FnOnce(&Arc<ProjectEntry>, Place) -> io::Result<T> + Send + 'static,
    ) -> Result<Option<T>, ReadError> {
        let (registry, normalized) = (self.clone(), normalized.to_owned());
        // Runs to the end even if no one waits any longer: others may, and the result is cached.
        let made = tokio::spawn(async move {
            let (inner, storage) = (registry.inner.clone(), &registry.inner.storage);
            let epoch = inner.cache.before_loading(&normalized);
            let facts = storage.published_project_facts(&normalized, None).await?;
            let Some(facts) = facts else {
                return Ok(None);
            };
            // PEP 792: a project in quarantine offers no files.
            let files = match facts.project.status {
                ProjectStatus::Quarantined => Vec::new(),
                _ => storage.published_files(facts.project.id).await?,
            };
            let made = making(work, move || {
                let settings = settings_value(facts.settings);
                let entry = Arc::new(ProjectEntry::new(facts.project, settings, files));
                inner.cache.keep(&entry, epoch);
                then(&entry, place)
            });
            made.await.map(Some)
        });
        made.await
            .map_err(|error| ReadError::Page(io::Error::other(error)))?
    }

    /// `/simple/`
    pub async fn simple_list(
        &self,
        _permit: Permit<ReadList>,
        format: PageFormat,
    ) -> Result<ListPage, ReadError> {
        Ok(ListPage {
            list: self.list().await?,
            format,
        })
    }

    /// `/simple/{project}/`; none is a 404.
    pub async fn simple_page(
        &self,
        permit: Permit<ReadProject>,
        format: PageFormat,
    ) -> Result<Option<Page>, ReadError> {
        let ReadProject { asker, project } = permit.target();
        match &project.found {
            Found::Nothing => return Ok(None),
            Found::Row { .. } => {}
            Found::Entry(entry) => {
                if let Some(page) = entry.page(format) {
                    return Ok(Some(page));
                }
            }
        }
        let (cache, name) = (&self.inner.cache, project.normalized.as_str());
        loop {
            // One place for all of it: no loaded data waits in memory.
            let place = cache
                .place(Making::Simple, project.is_small(), asker)
                .await?;
            let work = match cache.begin(Making::Simple, name) {
                Ok(work) => work,
                Err(begun) => {
                    drop(place);
                    begun.ended(asker).await?;
                    if let Some(page) = cache.project(name).and_then(|entry| entry.page(format)) {
                        return Ok(Some(page));
                    }
                    continue;
                }
            };
            let (urls, inner) = (self.urls(), self.inner.clone());
            let make = move |entry: &Arc<ProjectEntry>, _place: Place| match entry.page(format) {
                Some(page) => Ok(page),
                None => entry.make_page(format, &urls, &inner.simple_files),
            };
            return match cache.project(name) {
                Some(entry) => making(work, move || make(&entry, place)).await.map(Some),
                None => self.make_entry(place, work, name, make).await,
            };
        }
    }
}

/// Builds something that may take a while for a project with many files, without holding up other
/// requests. `held` is held until it is done, even if no one waits any longer.
async fn making<T: Send + 'static>(
    held: impl Send + 'static,
    make: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ReadError> {
    let make = move || {
        let made = make();
        drop(held);
        made
    };
    Ok(crate::blocking::blocking(make).await?)
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};
    use std::time::Duration;

    use model::limit::{PAGE_WAIT, PAGES_AT_ONCE};
    use tokio::time::timeout;

    use super::*;
    use cache::IndexCache;

    fn asker(number: u8) -> Asker {
        reader([192, 0, 2, number].into())
    }

    /// A place and the work on this project, or none once another request has finished that work.
    async fn begin(
        cache: &IndexCache,
        kind: Making,
        normalized: &str,
        asker: Asker,
    ) -> Result<Option<(Place, Work)>, ReadError> {
        let place = cache.place(kind, false, &asker).await?;
        match cache.begin(kind, normalized) {
            Ok(work) => Ok(Some((place, work))),
            Err(begun) => {
                drop(place);
                begun.ended(&asker).await.map(|()| None)
            }
        }
    }

    #[tokio::test]
    async fn few_pages_are_made_at_a_time_and_those_that_nobody_waits_for_count() {
        const SOON: Duration = Duration::from_millis(10);
        let cache = IndexCache::new(1 << 20);
        let (go_on, wait) = mpsc::channel();
        let wait = Arc::new(Mutex::new(wait));
        let place = async |kind| cache.place(kind, false, &asker(1)).await;
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
        let first = asker(1);
        let small = cache.place(Making::Release, true, &first);
        assert!(timeout(SOON, small).await.is_ok(), "so has what is small");
        go_on.send(()).unwrap();
        drop(place(Making::Release).await.unwrap());
        drop(go_on);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_at_work_is_waited_for_no_longer_than_for_a_place() {
        let cache = IndexCache::new(1 << 20);
        let begin = async |kind| begin(&cache, kind, "one", asker(1)).await;
        let work = begin(Making::Release).await.unwrap().unwrap();
        let begun = tokio::time::Instant::now();
        assert!(begin(Making::Release).await.is_err());
        assert_eq!(begun.elapsed().as_millis() as u64, PAGE_WAIT.milliseconds());
        let begun = tokio::time::Instant::now();
        drop(begin(Making::Simple).await.unwrap().unwrap());
        assert!(begun.elapsed().is_zero(), "another kind waits for nothing");
        let mut waits = std::pin::pin!(begin(Making::Release));
        assert!(timeout(Duration::ZERO, &mut waits).await.is_err());
        drop(work);
        assert!(waits.await.unwrap().is_none(), "to look what is kept now");
        drop(begin(Making::Release).await.unwrap().unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_for_many_pages_keeps_nobody_from_those_they_ask_for() {
        const MAKING: Duration = Duration::from_secs(1);
        let cache = Arc::new(IndexCache::new(1 << 20));
        let mut all = Vec::new();
        for number in 0..PAGES_AT_ONCE.get() / 2 {
            let name = format!("held-{number}");
            let work = begin(&cache, Making::Simple, &name, asker(1)).await;
            all.push(work.unwrap().unwrap());
        }
        let wait = |name: String, asker| {
            let cache = cache.clone();
            tokio::spawn(async move {
                loop {
                    match begin(&cache, Making::Simple, &name, asker).await {
                        Ok(Some(_work)) => {
                            tokio::time::sleep(MAKING).await;
                            return true;
                        }
                        Ok(None) => {}
                        Err(_) => return false,
                    }
                }
            })
        };
        let greedy: Vec<_> = (0..100)
            .map(|number| wait(format!("wanted-{number}"), asker(1)))
            .collect();
        tokio::task::yield_now().await;
        let other = wait("wanted-99".to_owned(), asker(2));
        tokio::task::yield_now().await;
        let begun = tokio::time::Instant::now();
        drop(all);
        assert!(other.await.unwrap(), "the other address has its page");
        assert!(begun.elapsed() <= 2 * MAKING, "{:?}", begun.elapsed());
        let mut served = 0;
        for waits in greedy {
            served += usize::from(waits.await.unwrap());
        }
        assert!((20..100).contains(&served), "{served} of theirs");
    }
}
