//! The JSON API: `/pypi/{project}/json` and `/pypi/{project}/{version}/json`.
//! Source: <https://docs.pypi.org/api/json/>.

use std::collections::HashMap;

use model::{ProjectStatus, ReleaseId, Role, Version};
use serde_json::{Map, Value, json};
use storage::files::FileRow;
use storage::projects::RoleRow;
use storage::releases::ReleaseRow;

use super::Urls;
use super::cache::ProjectEntry;

/// The release that a page is about, and its core metadata by the first form names.
pub(super) struct Shown<'a> {
    pub(super) release: &'a ReleaseRow,
    pub(super) metadata: &'a Value,
}

/// The release of this version; without one, the release that represents the project. None if
/// readers see none.
pub(super) fn shown<'a>(
    releases: &'a [ReleaseRow],
    version: Option<&Version>,
) -> Option<&'a ReleaseRow> {
    match version {
        Some(version) => releases.iter().find(|release| release.version == *version),
        None => latest(releases),
    }
}

/// The page of a project, with all its releases if `with_all`, or of one release.
pub(super) fn page(
    entry: &ProjectEntry,
    releases: &[ReleaseRow],
    shown: &Shown<'_>,
    roles: &[RoleRow],
    with_all: bool,
    urls: &Urls,
) -> Vec<u8> {
    let by_release = by_release(entry, |release| with_all || release == shown.release.id);
    let files_of = |release: &ReleaseRow| {
        by_release
            .get(&release.id)
            .into_iter()
            .flatten()
            .map(|row| file(row, urls))
            .collect::<Vec<_>>()
    };
    let mut page = Map::new();
    page.insert("info".to_owned(), info(entry, shown, urls));
    page.insert("last_serial".to_owned(), entry.project.last_serial.into());
    page.insert("ownership".to_owned(), ownership(roles));
    if with_all {
        let mut sorted: Vec<&ReleaseRow> = releases.iter().collect();
        sorted.sort_by(|a, b| a.version.cmp(&b.version));
        let all: Map<String, Value> = sorted
            .into_iter()
            .map(|release| (release.version.to_string(), Value::Array(files_of(release))))
            .collect();
        page.insert("releases".to_owned(), Value::Object(all));
    }
    page.insert("urls".to_owned(), Value::Array(files_of(shown.release)));
    page.insert("vulnerabilities".to_owned(), json!([]));
    super::simple_json::to_bytes(&page)
}

/// The files of each requested release, found in one pass.
fn by_release(
    entry: &ProjectEntry,
    is_wanted: impl Fn(ReleaseId) -> bool,
) -> HashMap<ReleaseId, Vec<&FileRow>> {
    let mut releases: HashMap<ReleaseId, Vec<&FileRow>> = HashMap::new();
    for file in entry.files.iter().filter(|file| is_wanted(file.release)) {
        releases.entry(file.release).or_default().push(file);
    }
    releases
}

/// The release that represents the project: the newest that is neither yanked nor a pre-release;
/// failing that, the newest that is not yanked; failing that, the newest.
pub(super) fn latest(releases: &[ReleaseRow]) -> Option<&ReleaseRow> {
    releases.iter().max_by_key(|release| {
        (
            release.yanked.is_none(),
            !release.version.is_prerelease(),
            &release.version,
        )
    })
}

fn info(entry: &ProjectEntry, shown: &Shown<'_>, urls: &Urls) -> Value {
    let Shown { release, metadata } = *shown;
    let text = |name: &str| {
        metadata
            .get(name)
            .filter(|value| value.is_string())
            .cloned()
            .unwrap_or(Value::Null)
    };
    let texts = |name: &str| {
        metadata
            .get(name)
            .filter(|value| value.as_array().is_some_and(|list| !list.is_empty()))
            .cloned()
            .unwrap_or(Value::Null)
    };
    let written = entry.project.name.as_written();
    let project_url = format!(
        "{}/project/{}/",
        urls.public,
        entry.project.name.normalized()
    );
    let project_urls: Map<String, Value> = metadata
        .get("project_urls")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|line| line.as_str()?.split_once(','))
        .map(|(label, url)| (label.trim().to_owned(), url.trim().into()))
        .collect();
    let yanked_reason = release
        .yanked
        .as_ref()
        .map(|yank| yank.reason.as_str())
        .filter(|reason| !reason.is_empty());
    let platform = metadata
        .get("platform")
        .and_then(Value::as_array)
        .and_then(|list| list.first())
        .cloned();
    json!({
        "author": text("author"),
        "author_email": text("author_email"),
        "bugtrack_url": null,
        "classifiers": texts("classifiers").as_array().cloned().unwrap_or_default(),
        "description": text("description").as_str().unwrap_or_default(),
        "description_content_type": text("description_content_type"),
        "docs_url": null,
        "download_url": text("download_url"),
        "downloads": { "last_day": -1, "last_month": -1, "last_week": -1 },
        "dynamic": texts("dynamic"),
        "home_page": text("home_page"),
        "keywords": text("keywords"),
        "license": text("license"),
        "license_expression": text("license_expression"),
        "license_files": texts("license_file"),
        "maintainer": text("maintainer"),
        "maintainer_email": text("maintainer_email"),
        "name": written,
        "package_url": project_url,
        "platform": platform,
        "project_url": project_url,
        "project_urls": if project_urls.is_empty() { Value::Null } else { Value::Object(project_urls) },
        "provides_extra": texts("provides_extra"),
        "release_url": format!("{project_url}{}/", release.version),
        "requires_dist": texts("requires_dist"),
        "requires_python": text("requires_python"),
        "summary": text("summary"),
        "version": release.version.to_string(),
        "yanked": release.yanked.is_some(),
        "yanked_reason": yanked_reason,
    })
}

fn ownership(roles: &[RoleRow]) -> Value {
    let roles: Vec<Value> = roles
        .iter()
        .map(|role| {
            let word = match role.role {
                Role::Owner => "Owner",
                Role::Maintainer => "Maintainer",
            };
            json!({ "role": word, "user": role.user_name.as_written() })
        })
        .collect();
    json!({ "organization": null, "roles": roles })
}

fn file(row: &FileRow, urls: &Urls) -> Value {
    let time = super::simple_json::time(row.uploaded_at);
    // Without fraction and zone, as this one field has always been.
    let upload_time = time.get(..19).unwrap_or(&time);
    json!({
        "comment_text": row.comment,
        "digests": { "blake2b_256": row.digests.blake2_256_hex(), "md5": row.digests.md5_hex(), "sha256": row.digests.sha256_hex() },
        "downloads": -1,
        "filename": row.name,
        "has_sig": false,
        "md5_digest": row.digests.md5_hex(),
        "packagetype": row.kind.as_str(),
        "python_version": row.python_version,
        "requires_python": row.requires_python,
        "size": row.size,
        "upload_time": upload_time,
        "upload_time_iso_8601": time,
        "url": urls.file(row),
        "yanked": row.yanked.is_some(),
        "yanked_reason": row.yanked.as_ref().map(|yank| yank.reason.as_str()).filter(|reason| !reason.is_empty()),
    })
}

/// Whether the JSON API shows the project at all: not in quarantine.
pub(super) fn is_shown(status: ProjectStatus) -> bool {
    status != ProjectStatus::Quarantined
}
