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
use storage::projects::{ListedProject, ProjectFacts as FoundProject};

use crate::Registry;
use crate::targets::{ReadIndex, ReadProject, settings_value};
use cache::{Epoch, Holds, KeptOr, Making, ProjectEntry, Work};
pub use list::page::{ListPage, Parts};
use page::LARGE;
pub use page::{Page, PageBytes};
pub use people::{FileView, ProjectView, ReleaseView};
use places::Asker;

/// Version of the Simple API (PEP 629).
pub const API_VERSION: &str = "1.4";

/// Why something cannot be read at this moment.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// More pages are asked for than can be made in the time that a request waits.
    #[error("too many pages are being made")]
    TooManyPages,
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("a page could not be made: {0}")]
    Page(#[from] io::Error),
}

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

    /// A decision about reading as [`load_read_index`](Self::load_read_index) makes it, of which
    /// nothing was looked up: for whom is never permitted to read, so that how long it takes tells
    /// nothing of what there is. A permit for it finds nothing.
    pub fn unseen_read_index(&self, address: IpAddr, project: Option<&str>) -> ReadIndex {
        ReadIndex {
            asker: Asker::at(address),
            project: project.map(ReadProject::unseen),
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
    ) -> Result<ReadIndex, ReadError> {
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
    ) -> Result<ReadProject, ReadError> {
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
    ) -> Result<Option<Arc<ProjectEntry>>, ReadError> {
        if let Some(entry) = self.inner.cache.project(normalized) {
            return Ok(Some(entry));
        }
        let (cache, storage) = (&self.inner.cache, &self.inner.storage);
        loop {
            // Before anything is loaded, so that little of it waits in memory.
            let place = cache.place(Making::Simple, &asker, Holds::Nothing).await?;
            if let Some(entry) = cache.project(normalized) {
                return Ok(Some(entry));
            }
            let epoch = cache.before_loading(normalized);
            // Names that nobody has are not kept: nobody waits for others who ask for them too.
            let Some(facts) = storage.project_facts(normalized, None).await? else {
                return Ok(None);
            };
            if facts.project.published_at.is_none() {
                return Ok(None);
            }
            let work = cache
                .begin(place, Making::Simple, normalized, &asker)
                .await?;
            if let Some(entry) = cache.project(normalized) {
                return Ok(Some(entry));
            }
            if let Some(work) = work {
                return self.make_entry(facts, epoch, work).await.map(Some);
            }
        }
    }

    async fn make_entry(
        &self,
        facts: FoundProject,
        epoch: Epoch,
        work: Work,
    ) -> Result<Arc<ProjectEntry>, ReadError> {
        // PEP 792: a project in quarantine offers no files.
        let files = match facts.project.status {
            ProjectStatus::Quarantined => Vec::new(),
            _ => {
                let storage = &self.inner.storage;
                storage.published_files(facts.project.id).await?
            }
        };
        let inner = self.inner.clone();
        let made = making(work, move || {
            let entry = Arc::new(ProjectEntry::new(
                facts.project,
                settings_value(facts.settings),
                files,
            ));
            inner.cache.keep(&entry, epoch);
            Ok(entry)
        });
        made.await
    }

    /// `/simple/` or `/simple/{project}/`; none is a 404.
    pub async fn simple_page(
        &self,
        permit: Permit<ReadIndex>,
        format: PageFormat,
    ) -> Result<Option<SimplePage>, ReadError> {
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
    ) -> Result<Page, ReadError> {
        let kept_or_work = self.inner.cache.kept_or_work(
            Making::Simple,
            entry.project.name.normalized(),
            &asker,
            Holds::Entry,
            || entry.page(format),
        );
        let work = match kept_or_work.await? {
            KeptOr::Kept(page) => return Ok(page),
            KeptOr::ToMake(work) => work,
        };
        let (entry, urls, inner) = (entry.clone(), self.urls(), self.inner.clone());
        making(work, move || {
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
        Asker::at([192, 0, 2, number].into())
    }

    /// A place for this project, or none once whoever was at work at it has ended.
    async fn begin(
        cache: &IndexCache,
        kind: Making,
        normalized: &str,
        asker: Asker,
    ) -> Result<Option<Work>, ReadError> {
        let place = cache.place(kind, &asker, Holds::Nothing).await?;
        cache.begin(place, kind, normalized, &asker).await
    }

    #[tokio::test]
    async fn few_pages_are_made_at_a_time_and_those_that_nobody_waits_for_count() {
        const SOON: Duration = Duration::from_millis(10);
        let cache = IndexCache::new(1 << 20);
        let (go_on, wait) = mpsc::channel();
        let wait = Arc::new(Mutex::new(wait));
        let place = async |kind| cache.place(kind, &asker(1), Holds::Nothing).await;
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
                let nothing = || None::<()>;
                let kept_or_work =
                    cache.kept_or_work(Making::Simple, &name, &asker, Holds::Nothing, nothing);
                let work = kept_or_work.await;
                tokio::time::sleep(MAKING).await;
                work.is_ok()
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

    #[tokio::test(start_paused = true)]
    async fn of_all_who_want_the_same_one_makes_it_and_nobody_waits_with_a_place() {
        let cache = Arc::new(IndexCache::new(1 << 20));
        let (made, kept) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(None)));
        let readers: Vec<_> = (0..50)
            .map(|number| {
                let (cache, made, kept) = (cache.clone(), made.clone(), kept.clone());
                tokio::spawn(async move {
                    let asker = asker(number % 5);
                    let look = || *kept.lock().unwrap();
                    let kept_or_work =
                        cache.kept_or_work(Making::Simple, "one", &asker, Holds::Nothing, look);
                    match kept_or_work.await.unwrap() {
                        KeptOr::Kept(page) => page,
                        KeptOr::ToMake(work) => {
                            *made.lock().unwrap() += 1;
                            tokio::time::sleep(Duration::from_secs(1)).await;
                            *kept.lock().unwrap() = Some(7);
                            drop(work);
                            7
                        }
                    }
                })
            })
            .collect();
        tokio::task::yield_now().await;
        let begun = tokio::time::Instant::now();
        let other = begin(&cache, Making::Simple, "other", asker(9)).await;
        drop(other.unwrap().unwrap());
        assert!(begun.elapsed().is_zero(), "a place is free for others");
        for reader in readers {
            assert_eq!(reader.await.unwrap(), 7);
        }
        assert_eq!(*made.lock().unwrap(), 1);
    }
}
