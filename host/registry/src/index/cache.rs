//! The data of pages, cached in memory. Never a decision.
//!
//! An entry has all data of one project's pages, and the rendered pages. A write of this process
//! drops the entry before the writer is answered; writes of other processes are followed through
//! the journal, at most 100 ms later ([`crate::Registry::follow_changes`]). Missing projects are
//! not cached, so requests for random names fill no memory. The list of projects is cached
//! separately ([`super::list`]).

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use model::Version;
use model::limit::PAGES_AT_ONCE;
use serde_json::Value;
use storage::files::FileRow;
use storage::projects::ProjectRow;
use tokio::sync::watch;
use tokio::time::timeout_at;
use turns::{Asker, Place, Places};

use super::page::{PageFiles, page_weight};
use super::{Page, PageFormat, ProjectView, ReadError};

/// The data of one project's pages.
#[derive(Debug)]
pub(crate) struct ProjectEntry {
    pub(crate) project: ProjectRow,
    /// The owners' choices: `{policy: {setting: value}}`.
    pub(crate) settings: Value,
    /// Published files in order of version, then name.
    pub(crate) files: Vec<FileRow>,
    /// Versions that have files, in order.
    pub(crate) versions: Vec<Version>,
    by_name: HashMap<String, usize>,
    /// Built when first read: a download needs neither.
    html: OnceLock<Page>,
    json: OnceLock<Page>,
}

impl ProjectEntry {
    pub(crate) fn new(project: ProjectRow, settings: Value, mut files: Vec<FileRow>) -> Self {
        files.sort_by(|a, b| a.version.cmp(&b.version).then_with(|| a.name.cmp(&b.name)));
        let mut versions: Vec<Version> = files.iter().map(|file| file.version.clone()).collect();
        versions.dedup();
        let by_name = files
            .iter()
            .enumerate()
            .map(|(position, file)| (file.name.clone(), position))
            .collect();
        Self {
            project,
            settings,
            files,
            versions,
            by_name,
            html: OnceLock::new(),
            json: OnceLock::new(),
        }
    }

    /// The newest version, pre-releases included.
    pub(crate) fn newest(&self) -> Option<&Version> {
        self.versions.last()
    }

    fn kept(&self, format: PageFormat) -> &OnceLock<Page> {
        match format {
            PageFormat::Html => &self.html,
            PageFormat::Json => &self.json,
        }
    }

    /// The page, if it was built already.
    pub(crate) fn page(&self, format: PageFormat) -> Option<Page> {
        self.kept(format).get().cloned()
    }

    /// Builds the page and caches it: do not call it on the serving threads.
    pub(crate) fn make_page(
        &self,
        format: PageFormat,
        urls: &super::Urls,
        room: &PageFiles,
    ) -> io::Result<Page> {
        let body = match format {
            PageFormat::Html => super::html::project(&self.project, &self.files, urls),
            PageFormat::Json => {
                super::simple_json::project(&self.project, &self.files, &self.versions, urls)
            }
        };
        let page = Page::new(body, self.project.last_serial, room)?;
        Ok(self.kept(format).get_or_init(|| page).clone())
    }

    /// Position of the file with this name and BLAKE2b-256 in hex.
    pub(crate) fn position(&self, name: &str, blake2_256: &str) -> Option<usize> {
        let position = *self.by_name.get(name)?;
        (self.files[position].digests.blake2_256_hex() == blake2_256).then_some(position)
    }

    /// Bytes in memory, roughly.
    fn weight(&self) -> u32 {
        let texts = |file: &FileRow| {
            2 * file.name.len() + file.requires_python.as_ref().map_or(0, String::len)
        };
        let texts: usize = self.files.iter().map(texts).sum();
        // The pages are not built yet.
        let page = page_weight(texts + 300 * self.files.len());
        let files = texts + 2000 * self.files.len();
        let settings = if self
            .settings
            .as_object()
            .is_none_or(|settings| settings.is_empty())
        {
            0
        } else {
            self.settings.to_string().len()
        };
        u32::try_from(1000 + files + settings + 2 * page).unwrap_or(u32::MAX)
    }
}

/// Name of a project and, for one release's page, its version.
pub(crate) type JsonKey = (String, Option<String>);

/// A page of the JSON API and the entry that it was built with. The page is valid as long as that
/// entry is.
#[derive(Clone)]
pub(crate) struct JsonPage {
    pub(crate) beside: Weak<ProjectEntry>,
    pub(crate) page: Page,
}

/// The view for people, and the entry that it was built with.
#[derive(Clone)]
pub(crate) struct PeopleView {
    pub(crate) beside: Weak<ProjectEntry>,
    pub(crate) view: Arc<ProjectView>,
}

/// Work in progress by project: each at most once at a time, however many requests wait for it.
#[derive(Clone, Default)]
struct AtWork(Arc<Mutex<HashMap<String, watch::Receiver<()>>>>);

impl AtWork {
    fn state(&self) -> MutexGuard<'_, HashMap<String, watch::Receiver<()>>> {
        // Its contents are never half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The work on one project. A waiting request holds none, and its holder is working: so it ends as
/// soon as possible, whoever waits for it.
pub(crate) struct Work {
    at_work: AtWork,
    normalized: String,
    _ends: watch::Sender<()>,
}

impl Drop for Work {
    fn drop(&mut self) {
        self.at_work.state().remove(&self.normalized);
    }
}

/// Another request has begun the same work.
pub(crate) struct Begun(watch::Receiver<()>);

impl Begun {
    /// Waits until that has ended; then check the cache. An error if it takes too long.
    pub(crate) async fn ended(mut self, asker: &Asker) -> Result<(), ReadError> {
        // Nothing is ever sent: this fails once the work is dropped.
        match timeout_at(asker.until, self.0.changed()).await {
            Ok(_) => Ok(()),
            Err(_) => Err(ReadError::TooManyPages),
        }
    }
}

/// Counters of invalidations. A loader that reads during a write must not cache the result: it
/// compares the counter from before with the one after.
const EPOCHS: usize = 1024;

/// The cache. Bounded by the size of its contents.
pub(crate) struct IndexCache {
    projects: moka::sync::Cache<String, Arc<ProjectEntry>>,
    pub(crate) json: moka::sync::Cache<JsonKey, JsonPage>,
    epochs: Vec<AtomicU64>,
    pub(crate) people: moka::sync::Cache<JsonKey, PeopleView>,
    at_work: [AtWork; 2],
    /// For each kind, the first is for small projects, which never wait for larger ones.
    places: [[Places; 2]; 2],
    hasher: RandomState,
}

/// The kinds of work: requests for one never hold up requests for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Making {
    /// Pages for installers, and the data of each decision about a project.
    Simple,
    /// Pages of the JSON API and those for people, with all metadata of a release.
    Release,
}

/// The state before a loader began to read.
#[derive(Clone, Copy)]
pub(crate) struct Epoch(u64);

impl IndexCache {
    pub(crate) fn new(bytes: u64) -> Self {
        // A project with the maximum number of files is cached as well, or each of its readers
        // would have all of it built again.
        let most = u32::try_from(bytes / 2).unwrap_or(u32::MAX);
        let weigher = move |_: &String, entry: &Arc<ProjectEntry>| entry.weight().min(most);
        Self {
            projects: moka::sync::Cache::builder()
                .max_capacity(bytes)
                .weigher(weigher)
                .build(),
            json: moka::sync::Cache::builder()
                .max_capacity(bytes / 4)
                .weigher(|_: &JsonKey, page: &JsonPage| {
                    u32::try_from(page.page.weight() + 500).unwrap_or(u32::MAX)
                })
                .build(),
            people: moka::sync::Cache::builder()
                .max_capacity(bytes / 8)
                .weigher(|_: &JsonKey, view: &PeopleView| {
                    u32::try_from(view.view.weight() + 500).unwrap_or(u32::MAX)
                })
                .build(),
            epochs: (0..EPOCHS).map(|_| AtomicU64::new(0)).collect(),
            at_work: Default::default(),
            places: std::array::from_fn(|_| {
                std::array::from_fn(|_| Places::new(PAGES_AT_ONCE.length() / 2))
            }),
            hasher: RandomState::new(),
        }
    }

    fn epoch_of(&self, normalized: &str) -> &AtomicU64 {
        &self.epochs[self.hasher.hash_one(normalized) as usize % EPOCHS]
    }

    /// One of the few places to load and build pages in. An error if it takes too long until one is
    /// free.
    pub(crate) async fn place(
        &self,
        kind: Making,
        is_small: bool,
        asker: &Asker,
    ) -> Result<Place, ReadError> {
        let place = self.places[kind as usize][usize::from(is_small)].acquire(asker);
        timeout_at(asker.until, place)
            .await
            .map_err(|_| ReadError::TooManyPages)
    }

    /// Begins the work on this project, within a place; check the cache again afterwards. If
    /// another request has begun already, give the place back and wait for that one.
    pub(crate) fn begin(&self, kind: Making, normalized: &str) -> Result<Work, Begun> {
        let at_work = &self.at_work[kind as usize];
        let mut state = at_work.state();
        if let Some(begun) = state.get(normalized) {
            return Err(Begun(begun.clone()));
        }
        let (ends, begun) = watch::channel(());
        state.insert(normalized.to_owned(), begun);
        Ok(Work {
            at_work: at_work.clone(),
            normalized: normalized.to_owned(),
            _ends: ends,
        })
    }

    pub(crate) fn project(&self, normalized: &str) -> Option<Arc<ProjectEntry>> {
        self.projects.get(normalized)
    }

    /// Must be called before reading the data for [`keep`](Self::keep).
    pub(crate) fn before_loading(&self, normalized: &str) -> Epoch {
        Epoch(self.epoch_of(normalized).load(Ordering::SeqCst))
    }

    /// Caches an entry, unless there was a write since `epoch`.
    pub(crate) fn keep(&self, entry: &Arc<ProjectEntry>, epoch: Epoch) {
        let normalized = entry.project.name.normalized();
        let counter = self.epoch_of(normalized);
        if counter.load(Ordering::SeqCst) != epoch.0 {
            return;
        }
        self.projects.insert(normalized.to_owned(), entry.clone());
        // There may have been a write between the check and the insert.
        if counter.load(Ordering::SeqCst) != epoch.0 {
            self.projects.invalidate(normalized);
        }
    }

    /// Drops everything about a project.
    pub(crate) fn forget(&self, normalized: &str) {
        self.epoch_of(normalized).fetch_add(1, Ordering::SeqCst);
        self.projects.invalidate(normalized);
    }

    /// Another process, or this one, wrote a change with this serial. An entry that was loaded
    /// since then stays.
    pub(crate) fn changed(&self, normalized: &str, serial: i64) {
        self.epoch_of(normalized).fetch_add(1, Ordering::SeqCst);
        if self
            .project(normalized)
            .is_none_or(|entry| entry.project.last_serial < serial)
        {
            self.projects.invalidate(normalized);
        }
    }

    /// Drops everything.
    pub(crate) fn forget_all(&self) {
        for epoch in &self.epochs {
            epoch.fetch_add(1, Ordering::SeqCst);
        }
        self.projects.invalidate_all();
    }
}
