//! What people are shown of a project and of its releases: what the JSON API tells programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use askama::Template;
use axum::http::StatusCode;
use model::Version;
use serde::Deserialize;

use super::layout::{Layout, pages};
use crate::exchange::{Exchange, redirect};
use crate::json_api::quoted;
use crate::problem::{Answer, Problem, escape};

#[derive(Template)]
#[template(source = "{% extends \"layout.html\" %}{% block main %}{{ main|safe }}{% endblock %}", ext = "html")]
struct ProjectPage {
    layout: Layout,
    main: String,
}

pages!(ProjectPage);

/// Releases listed at most, the newest first; programs read all of them.
const LISTED_RELEASES: usize = 200;

/// The part of a page of the JSON API that is shown.
#[derive(Deserialize)]
struct Page {
    info: Info,
    /// Files by version; only in the page of a project.
    #[serde(default)]
    releases: BTreeMap<String, Vec<ReleaseFile>>,
    urls: Vec<File>,
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
struct ReleaseFile {
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
    exchange.parameters.get("version").chars().take(128).collect()
}

async fn page(exchange: Exchange, version: Option<String>, is_its_address: bool) -> Answer {
    let name = exchange.project();
    let normalized = name.as_ref().map(|name| name.normalized());
    let registry = &exchange.app.registry;
    let target = registry.load_read_index(&exchange.caller, normalized).await.map_err(|error| exchange.unavailable(error))?;
    let permit = exchange.decide(target).await?;
    let Some(normalized) = normalized else { return Err(not_found()) };
    if !is_its_address || normalized != exchange.parameters.get("project") {
        let rest = version.map(|version| format!("{}/", quoted(&version))).unwrap_or_default();
        return redirect(&exchange.app, StatusCode::MOVED_PERMANENTLY, &format!("/project/{normalized}/{rest}"));
    }
    let Some(page) = registry.json_page(permit, version.as_deref()).await.map_err(|error| exchange.unavailable(error))? else {
        return Err(not_found());
    };
    let page: Page = serde_json::from_slice(&page.body).map_err(|error| exchange.unavailable(error))?;
    let layout = exchange.layout(&format!("{} {}", page.info.name, page.info.version));
    let main = main(&page, normalized, exchange.app.public_url());
    exchange.render(&ProjectPage { layout, main })
}

fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not-found", "There is no such project or release here.")
}

/// Everything here but numbers was uploaded by somebody: it is escaped, and nothing of it
/// becomes an address.
fn main(page: &Page, normalized: &str, public_url: &str) -> String {
    let Info { name, version, summary, requires_python, yanked, yanked_reason } = &page.info;
    let mut out = format!("<h1>{} {}</h1>\n", escape(name), escape(version));
    if let Some(summary) = summary {
        let _ = writeln!(out, "<p>{}</p>", escape(summary));
    }
    if *yanked {
        let _ = writeln!(out, "<p>{}</p>", yank(yanked_reason.as_deref()));
    }
    if let Some(requires_python) = requires_python {
        let _ = writeln!(out, "<p>Requires Python {}</p>", escape(requires_python));
    }
    let (url, requirement) = (escape(public_url), format!("{normalized}=={}", escape(version)));
    let _ = writeln!(
        out,
        "<h2>Install</h2>\n<pre><code>pip install --index-url {url}/simple/ {requirement}\nuv pip install --default-index {url}/simple/ {requirement}</code></pre>"
    );
    out.push_str("<h2>Files</h2>\n<ul>\n");
    for file in &page.urls {
        let _ = write!(out, "<li><a href=\"{}\">{}</a>", escape(&file.url), escape(&file.filename));
        if file.yanked {
            let _ = write!(out, " {}", yank(file.yanked_reason.as_deref()));
        }
        let day = file.upload_time_iso_8601.get(..10).unwrap_or("");
        let _ = writeln!(
            out,
            "<br><span class=\"small\">{}, {}, {}<br>SHA-256 <code class=\"digest\">{}</code></span></li>",
            escape(&file.packagetype),
            size(file.size),
            escape(day),
            escape(&file.digests.sha256)
        );
    }
    out.push_str("</ul>\n");
    releases(&mut out, page, normalized, public_url);
    out
}

/// All versions of a project, the newest first; on the page of one release the way to them.
fn releases(out: &mut String, page: &Page, normalized: &str, public_url: &str) {
    let project = format!("{}/project/{normalized}/", escape(public_url));
    if page.releases.is_empty() {
        let _ = writeln!(out, "<p><a href=\"{project}\">All releases</a></p>");
        return;
    }
    let mut versions: Vec<(Version, &str, &Vec<ReleaseFile>)> =
        page.releases.iter().filter_map(|(text, files)| Some((Version::parse(text).ok()?, text.as_str(), files))).collect();
    versions.sort_by(|a, b| b.0.cmp(&a.0));
    out.push_str("<h2>Releases</h2>\n<ul>\n");
    for (_, text, files) in versions.iter().take(LISTED_RELEASES) {
        let yanked = if !files.is_empty() && files.iter().all(|file| file.yanked) { " <strong>yanked</strong>" } else { "" };
        let count = if files.len() == 1 { "1 file".to_owned() } else { format!("{} files", files.len()) };
        let _ = writeln!(out, "<li><a href=\"{project}{}/\">{}</a> <span class=\"small\">{count}{yanked}</span></li>", quoted(text), escape(text));
    }
    out.push_str("</ul>\n");
    if versions.len() > LISTED_RELEASES {
        let _ = writeln!(out, "<p><a href=\"{}/simple/{normalized}/\">All files</a></p>", escape(public_url));
    }
}

fn yank(reason: Option<&str>) -> String {
    reason.map_or("<strong>yanked</strong>".to_owned(), |reason| format!("<strong>yanked:</strong> {}", escape(reason)))
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
    use serde_json::json;

    const URL: &str = "https://index.example";

    fn page(releases: serde_json::Value) -> String {
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
        main(&serde_json::from_value(page).unwrap(), "demo", URL)
    }

    #[test]
    fn a_page_tells_what_there_is_and_how_to_install_it() {
        let page = page(json!({ "1.0": [{ "yanked": true }], "0.9": [{ "yanked": false }, { "yanked": false }], "1.10": [] }));
        for part in [
            "<h1>Demo 1.0</h1>",
            "pip install --index-url https://index.example/simple/ demo==1.0",
            "Requires Python &gt;=3.9",
            "sdist, 2.0 KiB, 2026-11-23",
            "<code class=\"digest\">ab</code>",
            "<strong>yanked:</strong> &lt;b&gt;",
            "/project/demo/0.9/\">0.9</a> <span class=\"small\">2 files</span>",
        ] {
            assert!(page.contains(part), "{part}\n{page}");
        }
        let place = |version: &str| page.find(&format!("/project/demo/{version}/\"")).unwrap();
        assert!(place("1.10") < place("1.0") && place("1.0") < place("0.9"), "{page}");
    }

    #[test]
    fn nothing_that_was_uploaded_becomes_markup() {
        let page = page(json!({}));
        assert!(!page.contains("<script>") && !page.contains("<b>"), "{page}");
        assert!(page.contains("All releases"));
    }
}
