//! The list of projects in memory: names in order, in chunks that versions of the list share. A
//! change rebuilds one chunk and leaves all others unchanged, however many there are.
//!
//! A chunk has names, serials, the trigrams of its names (with which a search skips chunks), and
//! its part of the page, compressed when first requested. Pages are written from it chunk by chunk
//! while they are sent ([`page`]): at a million projects a page has 70 MB, the names 20.
//!
//! The HTML page contains only names: a new file of a listed project does not change a byte of it.
//! In JSON each project has its last serial, which mirrors rely on, so there one number changes.

pub(crate) mod current;
pub(super) mod page;
mod search;

use std::collections::BTreeMap;
use std::sync::Arc;

use model::ProjectStatus;
use sha2::{Digest, Sha256};
use storage::projects::IndexEntry;
use tokio::sync::OnceCell;

use super::{API_VERSION, PageFormat, Urls};
use page::Deflated;

/// Projects in a new chunk, and the most that one grows to. Rebuilding a chunk takes some 50 µs; a
/// list has 2,000 of them at a million projects.
const CHUNK: usize = 512;

/// One version of the list. Cheap to build from the previous one.
#[derive(Debug)]
pub(crate) struct List {
    /// None is empty. Each begins after the last name of the previous one.
    chunks: Vec<Arc<Chunk>>,
    /// Path of the list within the host, with a slash at the end, escaped for HTML.
    path: Arc<str>,
    /// It contains every change with this serial or a smaller one.
    pub(crate) serial: i64,
    /// Serial of the last change of a name in it.
    pub(crate) list_serial: i64,
    html: Form,
    json: Form,
}

/// Properties of a page before it is written.
#[derive(Debug)]
struct Form {
    /// In bytes.
    length: u64,
    /// With quotes.
    etag: Arc<str>,
}

/// A run of projects.
#[derive(Debug)]
struct Chunk {
    /// Normalized names, each ended with a line feed.
    normalized: Box<str>,
    /// Names as written, each ended with a line feed; empty for one that is written normalized.
    written: Box<str>,
    /// Last serial of each, doubled; odd for a project in quarantine, which no page lists.
    marks: Box<[i64]>,
    /// Normalized names of the projects in quarantine; few, if any.
    hidden: Box<[Box<str>]>,
    grams: search::Grams,
    html: Part,
    json: Part,
}

/// A chunk's part of a page.
#[derive(Debug, Default)]
struct Part {
    /// In bytes; 0 if all its projects are hidden.
    length: u64,
    deflated: OnceCell<Arc<Deflated>>,
}

/// A project in the list.
#[derive(Clone, Copy, Debug)]
struct Entry<'a> {
    normalized: &'a str,
    written: &'a str,
    serial: i64,
    /// In quarantine: neither listed for installers nor found by people.
    is_hidden: bool,
}

impl<'a> From<&'a IndexEntry> for Entry<'a> {
    fn from(entry: &'a IndexEntry) -> Self {
        let is_hidden = entry.status == ProjectStatus::Quarantined;
        Self {
            normalized: &entry.normalized,
            written: &entry.written,
            serial: entry.last_serial,
            is_hidden,
        }
    }
}

/// A change to a project.
#[derive(Debug)]
pub(crate) enum Change {
    /// It has another serial and is otherwise unchanged.
    Touched(i64),
    /// It is listed, with this data from the database.
    Is(IndexEntry),
    /// Readers do not see it.
    IsNot,
}

impl List {
    /// An empty list, to be extended and then finished.
    pub(crate) fn new(urls: &Urls, serial: i64, list_serial: i64) -> Self {
        let path = format!("{}/simple/", super::html::Escaped(urls.path())).into();
        Self::of(Vec::new(), path, serial, list_serial)
    }

    fn of(chunks: Vec<Arc<Chunk>>, path: Arc<str>, serial: i64, list_serial: i64) -> Self {
        let form = |format| {
            let length = page::length(&chunks, format, serial, list_serial);
            let shown_serial = if format == PageFormat::Html {
                list_serial
            } else {
                serial
            };
            // Pages of one format and serial have the same names; the length tells them apart after
            // a database was restored to an earlier state.
            let text = format!("{format:?} {API_VERSION} {path} {shown_serial} {length}");
            Form {
                length,
                etag: format!(
                    "\"{}\"",
                    data_encoding::HEXLOWER.encode(&Sha256::digest(text)[..16])
                )
                .into(),
            }
        };
        let (html, json) = (form(PageFormat::Html), form(PageFormat::Json));
        Self {
            chunks,
            path,
            serial,
            list_serial,
            html,
            json,
        }
    }

    /// The list extended by these projects, which are in order and come after its last one.
    pub(crate) fn extended(mut self, entries: &[IndexEntry]) -> Self {
        for entries in entries.chunks(CHUNK) {
            let entries: Vec<Entry<'_>> = entries.iter().map(Entry::from).collect();
            self.chunks.push(Arc::new(Chunk::new(&entries, &self.path)));
        }
        self
    }

    /// The list with its pages measured, after it was extended.
    pub(crate) fn finished(self) -> Self {
        Self::of(self.chunks, self.path, self.serial, self.list_serial)
    }

    /// Whether it contains a project with this normalized name, hidden or not.
    pub(crate) fn holds(&self, normalized: &str) -> bool {
        let Some(chunk) = self.chunks.get(self.place_of(normalized)) else {
            return false;
        };
        chunk.entries().any(|entry| entry.normalized == normalized)
    }

    /// The list after these changes, by normalized name.
    pub(crate) fn with(
        &self,
        changes: &BTreeMap<String, Change>,
        serial: i64,
        list_serial: i64,
    ) -> Self {
        let mut by_place: BTreeMap<usize, Vec<(&str, &Change)>> = BTreeMap::new();
        for (name, change) in changes {
            by_place
                .entry(self.place_of(name))
                .or_default()
                .push((name, change));
        }
        let mut chunks = Vec::with_capacity(self.chunks.len() + by_place.len());
        for place in 0..self.chunks.len().max(1) {
            let before = self.chunks.get(place);
            match (before, by_place.get(&place)) {
                (Some(chunk), None) => chunks.push(chunk.clone()),
                (_, changes) => chunks.extend(changed(
                    before.map(|chunk| &**chunk),
                    changes.map_or(&[], Vec::as_slice),
                    &self.path,
                )),
            }
        }
        Self::of(chunks, self.path.clone(), serial, list_serial)
    }

    /// Position of the chunk that contains this name or would contain it.
    fn place_of(&self, normalized: &str) -> usize {
        self.chunks
            .partition_point(|chunk| chunk.first() <= normalized)
            .saturating_sub(1)
    }
}

/// The chunks after a change: none when it lost its last project, two when it grew too large.
fn changed(before: Option<&Chunk>, changes: &[(&str, &Change)], path: &str) -> Vec<Arc<Chunk>> {
    let mut entries: Vec<Entry<'_>> = before.into_iter().flat_map(Chunk::entries).collect();
    for (name, change) in changes {
        match (
            entries.binary_search_by(|entry| entry.normalized.cmp(name)),
            change,
        ) {
            (Ok(at), Change::Touched(serial)) => entries[at].serial = *serial,
            (Ok(at), Change::Is(entry)) => entries[at] = entry.into(),
            (Ok(at), Change::IsNot) => drop(entries.remove(at)),
            (Err(at), Change::Is(entry)) => entries.insert(at, entry.into()),
            (Err(_), Change::Touched(_) | Change::IsNot) => {}
        }
    }
    let parts = entries.len().div_ceil(CHUNK * 2);
    entries
        .chunks(entries.len().div_ceil(parts.max(1)).max(1))
        .map(|entries| Arc::new(Chunk::new(entries, path)))
        .collect()
}

impl Chunk {
    fn new(entries: &[Entry<'_>], path: &str) -> Self {
        let (mut normalized, mut written) = (
            String::with_capacity(entries.len() * 24),
            String::with_capacity(entries.len()),
        );
        for entry in entries {
            normalized.push_str(entry.normalized);
            normalized.push('\n');
            if entry.written != entry.normalized {
                written.push_str(entry.written);
            }
            written.push('\n');
        }
        let marks = entries
            .iter()
            .map(|entry| entry.serial << 1 | i64::from(entry.is_hidden))
            .collect();
        let part = |format| Part {
            length: page::part_length(entries, format, path),
            deflated: OnceCell::new(),
        };
        let grams = search::Grams::of(&normalized);
        let hidden = entries
            .iter()
            .filter(|entry| entry.is_hidden)
            .map(|entry| entry.normalized.into())
            .collect();
        Self {
            normalized: normalized.into(),
            written: written.into(),
            marks,
            hidden,
            grams,
            html: part(PageFormat::Html),
            json: part(PageFormat::Json),
        }
    }

    fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let names = self
            .normalized
            .split_terminator('\n')
            .zip(self.written.split_terminator('\n'));
        names
            .zip(&self.marks)
            .map(|((normalized, written), mark)| Entry {
                normalized,
                written: if written.is_empty() {
                    normalized
                } else {
                    written
                },
                serial: mark >> 1,
                is_hidden: mark & 1 == 1,
            })
    }

    fn first(&self) -> &str {
        self.normalized.split('\n').next().unwrap_or_default()
    }

    fn part(&self, format: PageFormat) -> &Part {
        match format {
            PageFormat::Html => &self.html,
            PageFormat::Json => &self.json,
        }
    }
}

#[cfg(test)]
mod tests;
