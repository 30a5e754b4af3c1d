//! The pages of a project and of its releases.

use askama::Template;
use axum::http::StatusCode;
use model::{FileKind, ProjectStatus};
use registry::index::{FileView, ProjectView, ReleaseView};

use crate::exchange::{Exchange, redirect};
use crate::frame::layout::Layout;
use crate::frame::page::pages;
use crate::index::json_api::making;
use crate::index::reading::read_named_project;
use crate::problem::{Answer, Problem};
use crate::url::quoted;

/// Everything here except numbers was uploaded by somebody: it is escaped, and none of it becomes
/// an address.
#[derive(Template)]
#[template(path = "index/project.html")]
struct ProjectPage {
    layout: Layout,
    name: String,
    normalized: String,
    version: String,
    /// What to name to an installer: the project, or one release of it.
    wanted: String,
    /// The project's status, if it is not the usual one.
    label: &'static str,
    summary: Option<String>,
    /// Why the release is yanked, if it is; empty if no reason was given.
    yank: Option<String>,
    requires_python: Option<String>,
    files: Vec<FileLine>,
    /// How many more there are than are listed.
    more_files: usize,
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

/// `GET /project/{project}/`
pub(crate) async fn project(exchange: Exchange) -> Answer {
    page(exchange, None, true).await
}

/// `GET /project/{project}`: redirects to the path with a slash.
pub(crate) async fn project_without_slash(exchange: Exchange) -> Answer {
    page(exchange, None, false).await
}

/// `GET /project/{project}/{version}/`
pub(crate) async fn release(exchange: Exchange) -> Answer {
    let version = version(&exchange);
    page(exchange, Some(version), true).await
}

/// `GET /project/{project}/{version}` and `GET /legacy/{project}/{version}/`, where hatch says a
/// release is.
pub(crate) async fn release_elsewhere(exchange: Exchange) -> Answer {
    let version = version(&exchange);
    page(exchange, Some(version), false).await
}

fn version(exchange: &Exchange) -> String {
    // No version is longer than this, and the answer is "not found" anyway.
    exchange
        .parameters
        .get("version")
        .chars()
        .take(128)
        .collect()
}

async fn page(exchange: Exchange, version: Option<String>, is_its_address: bool) -> Answer {
    let registry = &exchange.app.registry;
    let Ok(permit) = read_named_project(&exchange).await? else {
        return Err(not_found());
    };
    let (normalized, status) = (
        permit.target().normalized().to_owned(),
        permit.target().status(),
    );
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
    let view = making(&exchange, registry.project_view(permit, version.as_deref())).await?;
    let Some(view) = view else {
        return Err(not_found());
    };
    let title = if version.is_some() {
        format!("{} {}", view.name, view.version)
    } else {
        view.name.clone()
    };
    let layout = exchange.layout(&title).with_copying();
    let page = project_page(layout, &view, &normalized, version.is_some(), status);
    exchange.render(&page)
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
    view: &ProjectView,
    normalized: &str,
    is_of_release: bool,
    status: ProjectStatus,
) -> ProjectPage {
    let wanted = if is_of_release {
        format!("{normalized}=={}", view.version)
    } else {
        normalized.to_owned()
    };
    ProjectPage {
        layout,
        name: view.name.clone(),
        normalized: normalized.to_owned(),
        version: view.version.clone(),
        wanted,
        label: if status == ProjectStatus::Active {
            ""
        } else {
            status.as_str()
        },
        summary: view.summary.clone(),
        yank: view.yank.clone(),
        requires_python: view.requires_python.clone(),
        files: view.files.iter().map(FileLine::from).collect(),
        more_files: view.more_files,
        has_more: view.has_more,
        releases: view.releases.iter().map(ReleaseLine::from).collect(),
    }
}

impl From<&FileView> for FileLine {
    fn from(file: &FileView) -> Self {
        let time = file.uploaded_at.to_string();
        Self {
            url: file.url.clone(),
            name: file.name.clone(),
            yank: file.yank.clone(),
            kind: kind(file.kind),
            size: size(file.size),
            day: time.get(..10).unwrap_or("").to_owned(),
            sha256: file.sha256.clone(),
        }
    }
}

impl From<&ReleaseView> for ReleaseLine {
    fn from(release: &ReleaseView) -> Self {
        let count = match release.files {
            1 => "1 file".to_owned(),
            files => format!("{files} files"),
        };
        Self {
            path: quoted(&release.version),
            version: release.version.clone(),
            count,
            yanked: release.is_yanked,
        }
    }
}

/// People's word for a kind of file; rare kinds keep their own names.
fn kind(kind: FileKind) -> String {
    match kind.as_str() {
        "bdist_wheel" => "Wheel".to_owned(),
        "sdist" => "Source".to_owned(),
        other => other.to_owned(),
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
    use crate::frame::viewer::Viewer;
    use model::Timestamp;

    const URL: &str = "https://index.example";

    fn page(releases: &[(&str, usize, bool)]) -> String {
        page_of(releases, false)
    }

    fn page_of(releases: &[(&str, usize, bool)], is_of_release: bool) -> String {
        let file = FileView {
            name: "demo-1.0.tar.gz".to_owned(),
            url: "https://index.example/files/a/b/c/demo-1.0.tar.gz".to_owned(),
            kind: FileKind::Sdist,
            size: 2048,
            uploaded_at: Timestamp::from_seconds(1795395723),
            sha256: "ab".to_owned(),
            yank: Some(String::new()),
        };
        let release = |(version, files, is_yanked): &(&str, usize, bool)| ReleaseView {
            version: (*version).to_owned(),
            files: *files,
            is_yanked: *is_yanked,
        };
        let view = ProjectView {
            summary: Some("<script>alert(1)</script>".to_owned()),
            requires_python: Some(">=3.9".to_owned()),
            yank: Some("<b>".to_owned()),
            files: vec![file],
            releases: releases.iter().map(release).collect(),
            ..bare()
        };
        let layout = Layout::new(URL, "Demo 1.0", Viewer::Nobody);
        project_page(
            layout,
            &view,
            "demo",
            is_of_release,
            ProjectStatus::Archived,
        )
        .render()
        .unwrap()
    }

    fn bare() -> ProjectView {
        ProjectView {
            name: "Demo".to_owned(),
            version: "1.0".to_owned(),
            summary: None,
            requires_python: None,
            yank: None,
            files: Vec::new(),
            more_files: 0,
            releases: Vec::new(),
            has_more: false,
        }
    }

    #[test]
    fn a_page_tells_what_there_is_and_how_to_install_it() {
        let page = page(&[("1.10", 0, false), ("1.0", 1, true), ("0.9", 2, false)]);
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
            project_page(layout, &bare(), "demo", false, ProjectStatus::Active)
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

    /// The command copied from a project's page installs what is then the newest release.
    #[test]
    fn only_the_page_of_a_release_installs_that_release() {
        let release = page_of(&[], true);
        assert!(
            release.contains("/simple/ demo==1.0</code>")
                && !release.contains("/simple/ demo</code>"),
            "{release}"
        );
    }

    #[test]
    fn nothing_that_was_uploaded_becomes_markup() {
        let page = page(&[]);
        assert!(
            !page.contains("<script>") && !page.contains("<b>"),
            "{page}"
        );
        assert!(page.contains("All releases"));
    }
}
