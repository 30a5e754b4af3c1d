//! The view of a project or of one release for people: bounded, whatever was uploaded.

use std::collections::HashMap;

use model::{FileKind, ReleaseId, Timestamp};
use serde_json::Value;
use storage::files::FileRow;
use storage::releases::{ReleaseRow, Yank};

use super::Urls;
use super::cache::ProjectEntry;
use super::project_json::Shown;

/// Most releases that people see, newest first, and most files of one release; programs read all of
/// them.
const LISTED: usize = 200;

/// The view for people. Texts are as they were uploaded: none of them is markup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectView {
    /// The project's name as its owners spell it.
    pub name: String,
    /// The release that is shown.
    pub version: String,
    pub summary: Option<String>,
    pub requires_python: Option<String>,
    /// Why the release is yanked, if it is; empty if no reason was given.
    pub yank: Option<String>,
    /// Files of the release, at most 200.
    pub files: Vec<FileView>,
    /// How many more there are.
    pub more_files: usize,
    /// The newest 200 releases, the newest first; none in the view of one release.
    pub releases: Vec<ReleaseView>,
    /// Whether there are more.
    pub has_more: bool,
}

/// One file of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileView {
    pub name: String,
    /// Its download address.
    pub url: String,
    pub kind: FileKind,
    /// In bytes.
    pub size: u64,
    pub uploaded_at: Timestamp,
    /// In hex.
    pub sha256: String,
    /// Why it is yanked, if it is; empty if no reason was given.
    pub yank: Option<String>,
}

/// One release of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseView {
    pub version: String,
    /// How many files it has.
    pub files: usize,
    pub is_yanked: bool,
}

impl ProjectView {
    /// For a project, with all its releases if `with_all`, or for one release.
    pub(super) fn new(
        entry: &ProjectEntry,
        releases: &[ReleaseRow],
        shown: &Shown<'_>,
        with_all: bool,
        urls: &Urls,
    ) -> Self {
        let text = |name: &str| {
            let text = shown.metadata.get(name).and_then(Value::as_str);
            text.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let mut counts: HashMap<ReleaseId, usize> = HashMap::new();
        for file in &entry.files {
            *counts.entry(file.release).or_default() += 1;
        }
        let count = |release: ReleaseId| counts.get(&release).copied().unwrap_or(0);
        let of_release = entry
            .files
            .iter()
            .filter(|file| file.release == shown.release.id);
        let mut sorted: Vec<&ReleaseRow> = releases.iter().filter(|_| with_all).collect();
        sorted.sort_by(|a, b| b.version.cmp(&a.version));
        let line = |release: &&ReleaseRow| ReleaseView {
            version: release.version.to_string(),
            files: count(release.id),
            is_yanked: release.yanked.is_some(),
        };
        Self {
            name: entry.project.name.as_written().to_owned(),
            version: shown.release.version.to_string(),
            summary: text("summary"),
            requires_python: text("requires_python"),
            yank: shown.release.yanked.as_ref().map(reason),
            files: of_release.take(LISTED).map(|row| file(row, urls)).collect(),
            more_files: count(shown.release.id).saturating_sub(LISTED),
            has_more: sorted.len() > LISTED,
            releases: sorted.iter().take(LISTED).map(line).collect(),
        }
    }

    /// Bytes in memory, roughly.
    pub(super) fn weight(&self) -> usize {
        let of = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let file = |file: &FileView| 200 + file.name.len() + file.url.len() + of(&file.yank);
        let release = |release: &ReleaseView| 60 + release.version.len();
        500 + of(&self.summary)
            + of(&self.requires_python)
            + of(&self.yank)
            + self.files.iter().map(file).sum::<usize>()
            + self.releases.iter().map(release).sum::<usize>()
    }
}

fn file(row: &FileRow, urls: &Urls) -> FileView {
    FileView {
        name: row.name.clone(),
        url: urls.file(row),
        kind: row.kind,
        size: row.size,
        uploaded_at: row.uploaded_at,
        sha256: row.digests.sha256_hex(),
        yank: row.yanked.as_ref().map(reason),
    }
}

fn reason(yank: &Yank) -> String {
    yank.reason.clone()
}
