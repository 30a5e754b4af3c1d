//! The handle for all use cases.

use std::collections::HashSet;
use std::sync::Arc;

use blobs::Blobs;
use model::limit::SEARCHES_AT_ONCE;
use model::limit::{Bytes, LARGE_PAGES_BYTES, LARGE_RELEASE_PAGES_BYTES};
use model::{Clock, ProjectName};
use storage::{Storage, StorageError};
use tokio::sync::Semaphore;

use crate::index::cache::IndexCache;
use crate::index::list::current::CurrentList;
use crate::index::page::PageFiles;
use crate::upload::inspections::Inspections;

/// Default reserved names: words that people type by mistake after `pip install` (`-r
/// requirements.txt` with a typo, the language, a module of another project), and the tools that
/// installing itself depends on.
pub const RESERVED_NAMES: &[&str] = &[
    "pip",
    "setuptools",
    "wheel",
    "distribute",
    "easy-install",
    "pkg-resources",
    "python",
    "python2",
    "python3",
    "requirements.txt",
    "rrequirements.txt",
    "requirements-dev.txt",
    "dev-requirements.txt",
    "requirements",
    "unknown",
];

/// The registry's address and size limits.
#[derive(Clone, Debug)]
pub struct RegistryConfig {
    /// The registry's address as clients see it, without a slash at the end.
    pub public_url: String,
    /// Largest file in bytes.
    pub max_file_bytes: u64,
    /// Largest total size of a project's files in bytes, with the stored core metadata of each.
    pub max_project_bytes: u64,
    /// The same, for files that wait to be published.
    pub max_staged_bytes: u64,
    /// Bytes that one user may store in a day, in all projects together.
    pub max_uploaded_bytes_per_day: u64,
    /// Files are refused on releases published longer ago than this; none for never.
    pub max_release_age_days: Option<u32>,
    /// Projects that one user may create in an hour.
    pub new_projects_per_user: u32,
    /// Projects that may be created from one address in an hour.
    pub new_projects_per_address: u32,
    /// Names that no new project may take, including names that look like them.
    pub reserved_names: Vec<ProjectName>,
    /// Whether files that follow conventions from before 2025 are accepted.
    pub older_files: bool,
    /// Uploads that may be spooled at the same time; more wait.
    pub max_concurrent_uploads: usize,
    /// Bytes of rendered pages kept in memory.
    pub page_cache_bytes: u64,
}

impl RegistryConfig {
    /// The defaults: 100 MiB for a file, 10 GiB for a project, 2 GiB of it staged, 50 GiB for one
    /// user in a day, 14 days, 20 new projects of one user and 40 from one address in an hour, the
    /// names of [`RESERVED_NAMES`], 64 uploads at a time, 64 MiB of pages.
    pub fn new(public_url: impl Into<String>) -> Self {
        let public_url: String = public_url.into();
        Self {
            public_url: public_url.trim_end_matches('/').to_owned(),
            max_file_bytes: 100 << 20,
            max_project_bytes: 10 << 30,
            max_staged_bytes: 2 << 30,
            max_uploaded_bytes_per_day: 50 << 30,
            max_release_age_days: Some(14),
            new_projects_per_user: 20,
            new_projects_per_address: 40,
            reserved_names: RESERVED_NAMES
                .iter()
                .map(|name| ProjectName::parse(name).expect("a reserved name is a name"))
                .collect(),
            older_files: false,
            max_concurrent_uploads: model::limit::UPLOADS_OF_ALL.length(),
            page_cache_bytes: 64 << 20,
        }
    }
}

/// The registry. Cheap to clone.
#[derive(Clone)]
pub struct Registry {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) storage: Storage,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) config: RegistryConfig,
    /// The look-alike keys of reserved names.
    pub(crate) reserved_looks: HashSet<String>,
    pub(crate) blobs: Blobs,
    /// One permit for each upload that is being received.
    pub(crate) upload_slots: Arc<Semaphore>,
    pub(crate) inspections: Inspections,
    pub(crate) cache: IndexCache,
    /// Room for large pages of the Simple API, and for those of the JSON API.
    pub(crate) overview: crate::index::overview::Known,
    pub(crate) searches: turns::Places,
    pub(crate) simple_files: PageFiles,
    pub(crate) release_files: PageFiles,
    pub(crate) list: CurrentList,
}

impl Registry {
    /// A registry with this database and these blobs.
    pub fn new(
        storage: Storage,
        blobs: Blobs,
        clock: Arc<dyn Clock>,
        config: RegistryConfig,
    ) -> Self {
        let upload_slots = Arc::new(Semaphore::new(
            config
                .max_concurrent_uploads
                .clamp(1, Semaphore::MAX_PERMITS),
        ));
        let inspections =
            Inspections::new(2 * std::thread::available_parallelism().map_or(1, usize::from));
        let cache = IndexCache::new(config.page_cache_bytes);
        let room = |bytes: Bytes| PageFiles::with_room(blobs.clone(), bytes.get());
        let (simple_files, release_files) =
            (room(LARGE_PAGES_BYTES), room(LARGE_RELEASE_PAGES_BYTES));
        let reserved_looks = config
            .reserved_names
            .iter()
            .map(ProjectName::looks)
            .collect();
        let list = CurrentList::default();
        Self {
            inner: Arc::new(Inner {
                storage,
                clock,
                config,
                reserved_looks,
                blobs,
                upload_slots,
                inspections,
                cache,
                overview: Default::default(),
                searches: turns::Places::new(SEARCHES_AT_ONCE.length()),
                simple_files,
                release_files,
                list,
            }),
        }
    }

    /// The registry's address and size limits.
    pub fn config(&self) -> &RegistryConfig {
        &self.inner.config
    }

    /// Sends the database a small query; an error if it does not answer.
    pub async fn database_answers(&self) -> Result<(), StorageError> {
        self.inner.storage.change_marker().await.map(drop)
    }

    /// The database.
    pub fn storage(&self) -> &Storage {
        &self.inner.storage
    }

    /// The clock.
    pub fn clock(&self) -> &dyn Clock {
        &*self.inner.clock
    }
}
