//! The list of projects in memory: names in order, in chunks that versions of the list
//! share. A change makes one chunk again and leaves all others alone, whatever their number.
//!
//! A chunk keeps names, serials, which runs of three characters its names hold (what a search
//! passes over chunks by), and its part of the page compressed, once somebody wanted it so.
//! Pages are written from it chunk by chunk while they are sent ([`page`]): at a million
//! projects a page has 70 MB, the names 20.
//!
//! The page in HTML holds names only: a file more of a project that is listed leaves it as
//! it is, to the byte. In JSON each project has its last serial, which mirrors go by, so there
//! one number changes.

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

/// Projects in a chunk that is made new, and the most that one grows to. Making a chunk again
/// takes some 50 µs; a list has 2,000 of them at a million projects.
const CHUNK: usize = 512;

/// One version of the list. Cheap to make from the one before.
#[derive(Debug)]
pub(crate) struct List {
    /// None is empty. Each begins after the last name of the one before.
    chunks: Vec<Arc<Chunk>>,
    /// Path of the list within the host, with a slash at the end, as it stands in HTML.
    path: Arc<str>,
    /// Every change with this serial or a smaller one is in it.
    pub(crate) serial: i64,
    /// Serial of the last change of a name in it.
    pub(crate) list_serial: i64,
    html: Form,
    json: Form,
}

/// What is known of a page before it is written.
#[derive(Debug)]
struct Form {
    /// In bytes.
    length: u64,
    /// With its quotes.
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

/// What became of a project.
#[derive(Debug)]
pub(crate) enum Change {
    /// It has another serial and is the same otherwise.
    Touched(i64),
    /// It is listed, and this is what the database says of it.
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
            // Pages of one form and serial have the same names; the rest is for a database
            // that was put back to an earlier state.
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

    /// The list with these projects after its last one; they are in order, too.
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

    /// Whether a project with this normalized name is in it, hidden or not.
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

    /// Position of the chunk that holds this name or would.
    fn place_of(&self, normalized: &str) -> usize {
        self.chunks
            .partition_point(|chunk| chunk.first() <= normalized)
            .saturating_sub(1)
    }
}

/// What a chunk becomes: none when it lost its last project, two when it outgrew itself.
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
