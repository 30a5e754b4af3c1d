//! What people are shown of a project and of its releases: what the JSON API tells programs.

use askama::Template;
use axum::http::StatusCode;
use gate::Target as _;
use model::ProjectStatus;
use serde::Deserialize;

use super::layout::{Layout, pages};
use crate::exchange::{Exchange, redirect};
use crate::json_api::quoted;
use crate::problem::{Answer, Problem};

/// Everything here but numbers was uploaded by somebody: it is escaped, and nothing of it
/// becomes an address.
#[derive(Template)]
#[template(path = "registry/project.html")]
struct ProjectPage {
    layout: Layout,
    name: String,
    normalized: String,
    version: String,
    /// What an installer is asked for: the project, or one release of it.
    wanted: String,
    /// The project's status, where it is not the usual one.
    label: &'static str,
    summary: Option<String>,
    /// Why the release is yanked, if it is; empty if nobody said.
    yank: Option<String>,
    requires_python: Option<String>,
    files: Vec<FileLine>,
    /// How many there are besides those that are listed.
    more_files: u64,
    /// The newest first; empty on the page of one release.
    releases: Vec<ReleaseLine>,
    /// Whether there are more than are listed.
    has_more: bool,
}

struct FileLine {
    url: String,
    name: String,
    yank: Option<String>,
    kind: String,
    size: String,
    day: String,
    sha256: String,
}

struct ReleaseLine {
    version: String,
    path: String,
    count: String,
    yanked: bool,
}

pages!(ProjectPage);

/// What the registry has for people of a project or a release.
#[derive(Deserialize)]
struct Page {
    info: Info,
    /// The newest first; only in the page of a project.
    #[serde(default)]
    releases: Vec<Release>,
    #[serde(default)]
    has_more: bool,
    urls: Vec<File>,
    #[serde(default)]
    more_files: u64,
}

#[derive(Deserialize)]
struct Info {
    name: String,
    version: String,
    summary: Option<String>,
    requires_python: Option<String>,
    yanked: bool,
    yanked_reason: Option<String>,
}

#[derive(Deserialize)]
struct Release {
    version: String,
    files: u64,
    yanked: bool,
}

#[derive(Deserialize)]
struct File {
    filename: String,
    packagetype: String,
    size: u64,
    upload_time_iso_8601: String,
    url: String,
    digests: Digests,
    yanked: bool,
    yanked_reason: Option<String>,
}

#[derive(Deserialize)]
struct Digests {
    sha256: String,
}

/// `GET /project/{project}/`
pub(crate) async fn project(exchange: Exchange) -> Answer {
    page(exchange, None, true).await
}

/// `GET /project/{project}`: the page lies one slash further.
pub(crate) async fn project_without_slash(exchange: Exchange) -> Answer {
    page(exchange, None, false).await
}

/// `GET /project/{project}/{version}/`
pub(crate) async fn release(exchange: Exchange) -> Answer {
    let version = version(&exchange);
    page(exchange, Some(version), true).await
}

/// `GET /project/{project}/{version}` and `GET /legacy/{project}/{version}/`, where hatch
/// says that a release is.
pub(crate) async fn release_elsewhere(exchange: Exchange) -> Answer {
    let version = version(&exchange);
    page(exchange, Some(version), false).await
}

fn version(exchange: &Exchange) -> String {
    // A version has no use for more than this, and the answer to it is not found anyway.
    exchange
        .parameters
        .get("version")
        .chars()
        .take(128)
        .collect()
}

async fn page(exchange: Exchange, version: Option<String>, is_its_address: bool) -> Answer {
    let name = exchange.project();
    let normalized = name.as_ref().map(|name| name.normalized());
    let registry = &exchange.app.registry;
    let target = registry
        .load_read_index(&exchange.caller, normalized)
        .await
        .map_err(|error| exchange.unavailable(error))?;
    let status = target
        .facts()
        .project
        .map_or(ProjectStatus::Active, |project| project.status);
    let permit = exchange.decide(target).await?;
    let Some(normalized) = normalized else {
        return Err(not_found());
    };
    if !is_its_address || normalized != exchange.parameters.get("project") {
        let rest = version
            .map(|version| format!("{}/", quoted(&version)))
            .unwrap_or_default();
        return redirect(
            &exchange.app,
            StatusCode::MOVED_PERMANENTLY,
            &format!("/project/{normalized}/{rest}"),
        );
    }
    let Some(page) = registry
        .people_page(permit, version.as_deref())
        .await
        .map_err(|error| exchange.unavailable(error))?
    else {
        return Err(not_found());
    };
    let bytes = page
        .body
        .whole()
        .await
        .map_err(|error| exchange.unavailable(error))?;
    let page: Page = serde_json::from_slice(&bytes).map_err(|error| exchange.unavailable(error))?;
    let title = if version.is_some() {
        format!("{} {}", page.info.name, page.info.version)
    } else {
        page.info.name.clone()
    };
    let layout = exchange.layout(&title).with_copying();
    exchange.render(&project_page(
        layout,
        page,
        normalized,
        version.is_some(),
        status,
    ))
}

fn not_found() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "not-found",
        "There is no such project or release here.",
    )
}

fn project_page(
    layout: Layout,
    page: Page,
    normalized: &str,
    is_of_release: bool,
    status: ProjectStatus,
) -> ProjectPage {
    let Page {
        info,
        releases,
        has_more,
        urls,
        more_files,
    } = page;
    let wanted = if is_of_release {
        format!("{normalized}=={}", info.version)
    } else {
        normalized.to_owned()
    };
    let files = urls.into_iter().map(|file| FileLine {
        url: file.url,
        name: file.filename,
        yank: file.yanked.then(|| file.yanked_reason.unwrap_or_default()),
        kind: kind(file.packagetype),
        size: size(file.size),
        day: file.upload_time_iso_8601.get(..10).unwrap_or("").to_owned(),
        sha256: file.digests.sha256,
    });
    ProjectPage {
        layout,
        name: info.name,
        normalized: normalized.to_owned(),
        version: info.version,
        wanted,
        label: if status == ProjectStatus::Active {
            ""
        } else {
            status.as_str()
        },
        summary: info.summary.filter(|summary| !summary.is_empty()),
        yank: info.yanked.then(|| info.yanked_reason.unwrap_or_default()),
        requires_python: info.requires_python.filter(|range| !range.is_empty()),
        files: files.collect(),
        more_files,
        has_more,
        releases: releases.into_iter().map(ReleaseLine::from).collect(),
    }
}

impl From<Release> for ReleaseLine {
    fn from(release: Release) -> Self {
        let Release {
            version,
            files,
            yanked,
        } = release;
        let count = if files == 1 {
            "1 file".to_owned()
        } else {
            format!("{files} files")
        };
        Self {
            path: quoted(&version),
            version,
            count,
            yanked,
        }
    }
}

/// What a kind of file is called by people; others are as rare as their names are strange.
fn kind(packagetype: String) -> String {
    match packagetype.as_str() {
        "bdist_wheel" => "Wheel".to_owned(),
        "sdist" => "Source".to_owned(),
        _ => packagetype,
    }
}

/// Bytes as people read them.
fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::layout::Viewer;
    use serde_json::json;

    const URL: &str = "https://index.example";

    fn page(releases: serde_json::Value) -> String {
        page_of(releases, false)
    }

    fn page_of(releases: serde_json::Value, is_of_release: bool) -> String {
        let page = json!({
            "info": {
                "name": "Demo", "version": "1.0", "summary": "<script>alert(1)</script>", "requires_python": ">=3.9",
                "yanked": true, "yanked_reason": "<b>", "author": "not shown",
            },
            "releases": releases,
            "urls": [{
                "filename": "demo-1.0.tar.gz", "packagetype": "sdist", "size": 2048, "upload_time_iso_8601": "2026-11-23T01:02:03Z",
                "url": "https://index.example/files/a/b/c/demo-1.0.tar.gz", "digests": { "sha256": "ab", "md5": "cd" }, "yanked": true, "yanked_reason": null,
            }],
        });
        let layout = Layout::new(URL, "Demo 1.0", Viewer::Nobody);
        project_page(
            layout,
            serde_json::from_value(page).unwrap(),
            "demo",
            is_of_release,
            ProjectStatus::Archived,
        )
        .render()
        .unwrap()
    }

    #[test]
    fn a_page_tells_what_there_is_and_how_to_install_it() {
        let page = page(json!([
            { "version": "1.10", "files": 0, "yanked": false }, { "version": "1.0", "files": 1, "yanked": true }, { "version": "0.9", "files": 2, "yanked": false }
        ]));
        for part in [
            "<h1>Demo 1.0 <span class=\"label\">archived</span></h1>",
            "pip install --index-url https://index.example/simple/ demo</code>",
            "Requires Python <bdi>&gt;=3.9</bdi>",
            "Source, 2.0 KiB, 2026-11-23",
            "<code class=\"digest\">ab</code>",
            "This release is yanked</strong>: <bdi>&lt;b&gt;</bdi>",
            "<strong>yanked</strong>",
            "/project/demo/0.9/\">0.9</a> <span class=\"small\">2 files</span></li>",
        ] {
            assert!(page.contains(part), "{part}\n{page}");
        }
        let place = |version: &str| page.find(&format!("/project/demo/{version}/\"")).unwrap();
        assert!(
            place("1.10") < place("1.0") && place("1.0") < place("0.9"),
            "{page}"
        );
    }

    #[test]
    fn where_only_members_read_a_page_says_how_installers_send_a_token() {
        let page = |is_open| {
            let layout = Layout {
                is_open,
                ..Layout::new("https://index.example:8443/sub", "Demo 1.0", Viewer::Nobody)
            };
            let view = serde_json::from_value(json!({ "info": { "name": "Demo", "version": "1.0", "yanked": false }, "releases": [], "urls": [] })).unwrap();
            project_page(layout, view, "demo", false, ProjectStatus::Active)
                .render()
                .unwrap()
        };
        assert!(!page(true).contains("netrc"));
        let closed = page(false);
        for part in [
            "machine index.example login __token__ password &lt;token&gt;</code>",
            "https://index.example:8443/sub/account/tokens/create\"",
            "pip install --index-url",
        ] {
            assert!(closed.contains(part), "{part}\n{closed}");
        }
    }

    /// Who copies from the page of a project gets what is newest then.
    #[test]
    fn only_the_page_of_a_release_installs_that_release() {
        let release = page_of(json!([]), true);
        assert!(
            release.contains("/simple/ demo==1.0</code>")
                && !release.contains("/simple/ demo</code>"),
            "{release}"
        );
    }

    #[test]
    fn nothing_that_was_uploaded_becomes_markup() {
        let page = page(json!([]));
        assert!(
            !page.contains("<script>") && !page.contains("<b>"),
            "{page}"
        );
        assert!(page.contains("All releases"));
    }
}
