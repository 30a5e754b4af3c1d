//! What pages are made of, kept in memory. Never a decision.
//!
//! An entry is everything one project's pages are made of, with the pages rendered. A
//! write of this process drops the entry before the writer is answered; writes of other
//! processes are followed through the journal, 100 ms late at most
//! ([`crate::Registry::follow_changes`]). Projects that do not exist are not kept, so
//! asking for random names fills no memory. The list of projects is kept apart
//! ([`super::list`]).

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::Version;
use serde_json::Value;
use storage::files::FileRow;
use storage::projects::ProjectRow;

use super::{Page, PageFormat};

/// What one project's pages are made of.
#[derive(Debug)]
pub(crate) struct ProjectEntry {
    pub(crate) project: ProjectRow,
    /// What the owners chose: `{policy: {setting: value}}`.
    pub(crate) settings: Value,
    /// Published files in order of version, then name.
    pub(crate) files: Vec<FileRow>,
    /// Versions that have files, in order.
    pub(crate) versions: Vec<Version>,
    by_name: HashMap<String, usize>,
    html: Page,
    json: Page,
}

impl ProjectEntry {
    pub(crate) fn new(project: ProjectRow, settings: Value, mut files: Vec<FileRow>, urls: &super::Urls) -> Self {
        files.sort_by(|a, b| a.version.cmp(&b.version).then_with(|| a.name.cmp(&b.name)));
        let mut versions: Vec<Version> = files.iter().map(|file| file.version.clone()).collect();
        versions.dedup();
        let by_name = files.iter().enumerate().map(|(position, file)| (file.name.clone(), position)).collect();
        let html = Page::new(super::html::project(&project, &files, urls), project.last_serial);
        let json = Page::new(super::simple_json::project(&project, &files, &versions, urls), project.last_serial);
        Self { project, settings, files, versions, by_name, html, json }
    }

    /// The newest version, pre-releases included.
    pub(crate) fn newest(&self) -> Option<&Version> {
        self.versions.last()
    }

    pub(crate) fn page(&self, format: PageFormat) -> &Page {
        match format {
            PageFormat::Html => &self.html,
            PageFormat::Json => &self.json,
        }
    }

    /// Position of the file with this name and BLAKE2b-256 in hex.
    pub(crate) fn position(&self, name: &str, blake2_256: &str) -> Option<usize> {
        let position = *self.by_name.get(name)?;
        (self.files[position].digests.blake2_256_hex() == blake2_256).then_some(position)
    }

    /// Bytes in memory, roughly.
    fn weight(&self) -> u32 {
        let files: usize = self.files.iter().map(|file| 600 + 2 * file.name.len()).sum();
        let settings = if self.settings.as_object().is_none_or(|settings| settings.is_empty()) { 0 } else { self.settings.to_string().len() };
        u32::try_from(1000 + files + settings + self.html.weight() + self.json.weight()).unwrap_or(u32::MAX)
    }
}

/// Name of a project and, for one release's page, its version.
pub(crate) type JsonKey = (String, Option<String>);

/// A page of the JSON API and the entry it was made beside. The page is good as long as
/// that entry is.
#[derive(Clone)]
pub(crate) struct JsonPage {
    pub(crate) beside: std::sync::Weak<ProjectEntry>,
    pub(crate) page: Page,
}

/// Counters of invalidations. A loader that reads while somebody writes must not keep
/// what it read: it compares the counter from before with the one after.
const EPOCHS: usize = 1024;

/// The cache. Bounded by the bytes of what it holds.
pub(crate) struct IndexCache {
    projects: moka::sync::Cache<String, Arc<ProjectEntry>>,
    pub(crate) json: moka::sync::Cache<JsonKey, JsonPage>,
    epochs: Vec<AtomicU64>,
    hasher: RandomState,
}

/// What a loader saw before it began to read.
#[derive(Clone, Copy)]
pub(crate) struct Epoch(u64);

impl IndexCache {
    pub(crate) fn new(bytes: u64) -> Self {
        Self {
            projects: moka::sync::Cache::builder().max_capacity(bytes).weigher(|_: &String, entry: &Arc<ProjectEntry>| entry.weight()).build(),
            json: moka::sync::Cache::builder()
                .max_capacity(bytes / 4)
                .weigher(|_: &JsonKey, page: &JsonPage| u32::try_from(page.page.weight() + 500).unwrap_or(u32::MAX))
                .build(),
            epochs: (0..EPOCHS).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
        }
    }

    fn epoch_of(&self, normalized: &str) -> &AtomicU64 {
        &self.epochs[self.hasher.hash_one(normalized) as usize % EPOCHS]
    }

    pub(crate) fn project(&self, normalized: &str) -> Option<Arc<ProjectEntry>> {
        self.projects.get(normalized)
    }

    /// To be called before reading what [`keep`](Self::keep) will be given.
    pub(crate) fn before_loading(&self, normalized: &str) -> Epoch {
        Epoch(self.epoch_of(normalized).load(Ordering::SeqCst))
    }

    /// Keeps an entry, unless somebody wrote since `epoch`.
    pub(crate) fn keep(&self, entry: &Arc<ProjectEntry>, epoch: Epoch) {
        let normalized = entry.project.name.normalized();
        let counter = self.epoch_of(normalized);
        if counter.load(Ordering::SeqCst) != epoch.0 {
            return;
        }
        self.projects.insert(normalized.to_owned(), entry.clone());
        // Somebody may have written between the look and the insert.
        if counter.load(Ordering::SeqCst) != epoch.0 {
            self.projects.invalidate(normalized);
        }
    }

    /// Drops what is known of a project.
    pub(crate) fn forget(&self, normalized: &str) {
        self.epoch_of(normalized).fetch_add(1, Ordering::SeqCst);
        self.projects.invalidate(normalized);
    }

    /// Another process, or this one, wrote what has this serial. An entry that was loaded
    /// since then stays.
    pub(crate) fn changed(&self, normalized: &str, serial: i64) {
        self.epoch_of(normalized).fetch_add(1, Ordering::SeqCst);
        if self.project(normalized).is_none_or(|entry| entry.project.last_serial < serial) {
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
