//! What pip, uv and people's tools read: the Simple API and the JSON API.
//!
//! Staged files are in none of it: pages are made of published files only.

pub(crate) mod cache;
mod follow;
mod html;
pub(crate) mod list;
mod project_json;
mod simple_json;

use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use gate::Permit;
use model::{Caller, ProjectStatus, Version};
use sha2::{Digest, Sha256};
use storage::StorageError;
use storage::files::FileRow;
use storage::projects::ListedProject;

use crate::Registry;
use crate::targets::{ReadIndex, ReadProject, settings_value};
use cache::{JsonPage, ProjectEntry};
pub use list::page::{ListPage, Parts};

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

/// A rendered page, shared with the cache.
#[derive(Clone, Debug)]
pub struct Page {
    pub body: Bytes,
    /// With its quotes.
    pub etag: Arc<str>,
    /// `X-PyPI-Last-Serial`.
    pub last_serial: i64,
    /// The body compressed, once somebody wanted it so.
    gzip: Arc<tokio::sync::OnceCell<Bytes>>,
}

/// A page of the Simple API.
#[derive(Clone, Debug)]
pub enum SimplePage {
    Project(Page),
    List(ListPage),
}

/// Bytes from which on a page is worth compressing.
const LARGE: usize = 16 << 10;

impl Page {
    fn new(body: Vec<u8>, last_serial: i64) -> Self {
        let digest = Sha256::digest(&body);
        Self { etag: format!("\"{}\"", data_encoding::HEXLOWER.encode(&digest[..16])).into(), body: body.into(), last_serial, gzip: Arc::default() }
    }

    /// Whether the page is worth compressing.
    pub fn is_large(&self) -> bool {
        self.body.len() >= LARGE
    }

    /// The body compressed with gzip: once, away from the threads that serve, and then kept
    /// beside it. None for a page that is not large, or if the work was cut short.
    pub async fn gzip(&self) -> Option<Bytes> {
        if !self.is_large() {
            return None;
        }
        let body = self.body.clone();
        let compress = async move { tokio::task::spawn_blocking(move || compressed(&body)).await? };
        self.gzip.get_or_try_init(|| compress).await.ok().cloned()
    }

    /// Bytes in memory, those of the compressed body among them.
    pub(crate) fn weight(&self) -> usize {
        self.body.len() + if self.is_large() { self.body.len() / 2 } else { 0 }
    }
}

fn compressed(body: &[u8]) -> io::Result<Bytes> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(body.len() / 4), flate2::Compression::new(5));
    encoder.write_all(body)?;
    Ok(encoder.finish()?.into())
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
        self.public[after_scheme..].find('/').map_or("", |at| &self.public[after_scheme + at..])
    }

    /// Where a file is downloaded.
    fn file(&self, file: &FileRow) -> String {
        let hex = file.digests.blake2_256_hex();
        format!("{}/files/{}/{}/{}/{}", self.public, &hex[..2], &hex[2..4], &hex[4..], file.name)
    }
}

impl Registry {
    pub(crate) fn urls(&self) -> Urls {
        Urls { public: self.inner.config.public_url.clone() }
    }

    /// What a decision about reading needs: the list of projects, or one project's pages.
    /// `project` is a normalized name. From memory for an anonymous caller and a cached page.
    pub async fn load_read_index(&self, caller: &Caller, project: Option<&str>) -> Result<ReadIndex, StorageError> {
        let project = match project {
            Some(normalized) => Some(self.load_read_project(caller, normalized).await?),
            None => None,
        };
        Ok(ReadIndex { project })
    }

    pub(crate) async fn load_read_project(&self, caller: &Caller, normalized: &str) -> Result<ReadProject, StorageError> {
        let entry = self.project_entry(normalized).await?;
        let role = match (&entry, caller.user()) {
            (Some(entry), Some(user)) => self.inner.storage.role_of(user.id, entry.project.id).await?,
            _ => None,
        };
        Ok(ReadProject { normalized: normalized.to_owned(), entry, role })
    }

    /// What a project's pages are made of; none if readers do not see it.
    pub(crate) async fn project_entry(&self, normalized: &str) -> Result<Option<Arc<ProjectEntry>>, StorageError> {
        if let Some(entry) = self.inner.cache.project(normalized) {
            return Ok(Some(entry));
        }
        let epoch = self.inner.cache.before_loading(normalized);
        let Some(facts) = self.inner.storage.project_facts(normalized, None).await? else { return Ok(None) };
        if facts.project.published_at.is_none() {
            return Ok(None);
        }
        // PEP 792: a project in quarantine offers no files.
        let files = match facts.project.status {
            ProjectStatus::Quarantined => Vec::new(),
            _ => self.inner.storage.published_files(facts.project.id).await?,
        };
        let entry = Arc::new(ProjectEntry::new(facts.project, settings_value(facts.settings), files, &self.urls()));
        self.inner.cache.keep(&entry, epoch);
        Ok(Some(entry))
    }

    /// `/simple/` or `/simple/{project}/`; none is a 404.
    pub async fn simple_page(&self, permit: Permit<ReadIndex>, format: PageFormat) -> Result<Option<SimplePage>, StorageError> {
        match &permit.target().project {
            Some(project) => Ok(project.entry.as_ref().map(|entry| SimplePage::Project(entry.page(format).clone()))),
            None => Ok(Some(SimplePage::List(ListPage { list: self.list().await?, format }))),
        }
    }

    /// Projects with this text in their normalized name: the name itself, then those that begin
    /// with it, then the others; those after the first `skip`, at most `limit`. None without a
    /// permit to read the list.
    pub async fn find_projects(&self, permit: Permit<ReadIndex>, text: &str, skip: usize, limit: usize) -> Result<Vec<ListedProject>, StorageError> {
        if permit.target().project.is_some() {
            return Ok(Vec::new());
        }
        let (list, text) = (self.list().await?, text.to_owned());
        let search = move || list.search(&text, skip, limit);
        let names = tokio::task::spawn_blocking(search).await.map_err(|error| StorageError::Unavailable(error.to_string()))?;
        let mut found = self.inner.storage.projects_named(&names).await?;
        found.sort_by_cached_key(|project| names.iter().position(|name| *name == project.normalized));
        Ok(found)
    }

    /// `/pypi/{project}/json`, or with `version` as it stands in the path
    /// `/pypi/{project}/{version}/json`; none is a 404.
    pub async fn json_page(&self, permit: Permit<ReadIndex>, version: Option<&str>) -> Result<Option<Page>, StorageError> {
        let Some(entry) = permit.target().project.as_ref().and_then(|project| project.entry.clone()) else { return Ok(None) };
        if !project_json::is_shown(entry.project.status) {
            return Ok(None);
        }
        let version = match version.map(Version::parse).transpose() {
            Ok(version) => version,
            Err(_) => return Ok(None),
        };
        // Only versions that exist become keys, so that asking for random ones fills no memory.
        if version.as_ref().is_some_and(|version| !entry.versions.contains(version)) {
            return Ok(None);
        }
        let key = (entry.project.name.normalized().to_owned(), version.as_ref().map(Version::to_string));
        let known = self.inner.cache.json.get(&key);
        if let Some(known) = known.filter(|known| known.beside.upgrade().is_some_and(|beside| Arc::ptr_eq(&beside, &entry))) {
            return Ok(Some(known.page));
        }
        let releases = self.inner.storage.published_releases(entry.project.id).await?;
        let roles = self.inner.storage.roles_on(entry.project.id).await?;
        let Some(shown) = project_json::shown(&releases, version.as_ref()) else { return Ok(None) };
        let metadata = self.release_metadata(shown.id).await?;
        let body = project_json::page(&entry, &releases, &project_json::Shown { release: shown, metadata: &metadata }, &roles, version.is_none(), &self.urls());
        let page = Page::new(body, entry.project.last_serial);
        self.inner.cache.json.insert(key, JsonPage { beside: Arc::downgrade(&entry), page: page.clone() });
        Ok(Some(page))
    }
}
