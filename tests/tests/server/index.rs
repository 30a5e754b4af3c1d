//! The pages that pip, uv and browsers read: formats, caching, ranges.

use serde_json::Value;
use tests::{Clients, Distribution, Package, Request, Server, Setup};

use crate::tools::upload_ok;

const JSON: &str = "application/vnd.pypi.simple.v1+json";

fn server_with_demo() -> (Server, Distribution, Distribution) {
    let server = Setup::default().start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    let (wheel, sdist) = (
        Package::new("Demo.Project", "1.0").wheel(),
        Package::new("Demo.Project", "1.0").sdist(),
    );
    upload_ok(&server, &wheel, &token);
    upload_ok(&server, &sdist, &token);
    (server, wheel, sdist)
}

fn get(server: &Server, path: &str, accept: &str) -> tests::Response {
    server.send(&Request::get(path).header("Accept", accept))
}

#[test]
fn a_project_page_in_json_says_what_pep_691_and_700_ask_for() {
    let (server, wheel, sdist) = server_with_demo();
    let answer = get(&server, "/simple/demo-project/", JSON);
    assert_eq!(answer.header("Content-Type"), Some(JSON));
    assert!(
        answer
            .header("Vary")
            .is_some_and(|vary| vary.contains("Accept"))
    );
    let page = answer.json();
    assert_eq!(page["name"], "demo-project");
    assert_eq!(page["versions"], serde_json::json!(["1.0"]));
    assert_eq!(page["meta"]["api-version"], "1.4");
    assert_eq!(page["project-status"]["status"], "active");
    let files = page["files"].as_array().expect("files");
    assert_eq!(files.len(), 2);
    for distribution in [&wheel, &sdist] {
        let file = files
            .iter()
            .find(|file| file["filename"] == distribution.file_name)
            .unwrap_or_else(|| panic!("{} is missing", distribution.file_name));
        assert_eq!(file["hashes"]["sha256"], distribution.sha256());
        assert_eq!(file["size"], distribution.bytes.len());
        assert_eq!(file["requires-python"], ">=3.8");
        assert_eq!(file["yanked"], false);
        assert!(
            file["upload-time"]
                .as_str()
                .is_some_and(|time| time.ends_with('Z')),
            "{file}"
        );
    }
    let metadata = &files
        .iter()
        .find(|file| file["filename"] == wheel.file_name)
        .expect("the wheel")["core-metadata"];
    let separate = server.get(&format!("{}.metadata", wheel.path()));
    assert_eq!(separate.text(), wheel.metadata);
    assert_eq!(metadata["sha256"], sha256(&separate.body));

    let index = get(&server, "/simple/", JSON).json();
    assert_eq!(index["projects"][0]["name"], "Demo.Project");
}

fn sha256(bytes: &[u8]) -> Value {
    use sha2::Digest;
    data_encoding::HEXLOWER
        .encode(&sha2::Sha256::digest(bytes))
        .into()
}

#[test]
fn a_project_page_in_html_is_what_python_packaging_expects() {
    let Some(clients) = Clients::find() else {
        return;
    };
    let (server, wheel, sdist) = server_with_demo();
    let answer = get(&server, "/simple/demo-project/", "text/html");
    assert!(
        answer
            .header("Content-Type")
            .is_some_and(|kind| kind.starts_with("text/html"))
    );
    let script = r#"
import sys
from pip._internal.index.collector import parse_links, IndexContent
from packaging.utils import parse_wheel_filename, parse_sdist_filename
content = IndexContent(open(sys.argv[1], "rb").read(), "text/html; charset=utf-8", "utf-8", sys.argv[2])
for link in sorted(parse_links(content), key=lambda link: link.filename):
    name, version = (parse_wheel_filename(link.filename)[:2] if link.filename.endswith(".whl") else parse_sdist_filename(link.filename))
    print(link.filename, name, version, link.hash_name, link.hash, link.requires_python, link.is_yanked, bool(link.metadata_link()))
"#;
    let file = server.setup.folder.path().join("page.html");
    std::fs::write(&file, &answer.body).expect("the page can be kept");
    let url = format!("{}/simple/demo-project/", server.url());
    let printed = clients
        .python(
            server.setup.folder.path(),
            script,
            &[&file.display().to_string(), &url],
        )
        .ok();
    printed.says(&format!(
        "{} demo-project 1.0 sha256 {} >=3.8 False True",
        wheel.file_name,
        wheel.sha256()
    ));
    printed.says(&format!(
        "{} demo-project 1.0 sha256 {} >=3.8 False",
        sdist.file_name,
        sdist.sha256()
    ));
    let html = answer.text();
    assert!(
        html.contains("pypi:repository-version") && html.contains("1.4"),
        "{html}"
    );
}

#[test]
fn the_format_follows_the_accept_header_and_is_never_refused() {
    let (server, _, _) = server_with_demo();
    for (accept, expected) in [
        ("text/html", "text/html"),
        ("*/*", "text/html"),
        (
            "application/vnd.pypi.simple.v1+html",
            "application/vnd.pypi.simple.v1+html",
        ),
        (JSON, JSON),
        ("application/vnd.pypi.simple.latest+json", JSON),
        (
            "text/html;q=0.1, application/vnd.pypi.simple.v1+json;q=0.9",
            JSON,
        ),
        (
            "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01",
            JSON,
        ),
        ("image/png", "text/html"),
        (
            "application/vnd.pypi.simple.v1+json;q=0, text/html",
            "text/html",
        ),
    ] {
        let answer = get(&server, "/simple/demo-project/", accept);
        assert_eq!(answer.status, 200, "{accept}");
        assert!(
            answer
                .header("Content-Type")
                .is_some_and(|kind| kind.starts_with(expected)),
            "{accept}: {:?}",
            answer.header("Content-Type")
        );
    }
}

#[test]
fn other_spellings_of_a_name_lead_to_the_page_and_unknown_names_to_404() {
    let (server, _, _) = server_with_demo();
    for path in [
        "/simple/Demo.Project/",
        "/simple/demo_project/",
        "/simple/DEMO--PROJECT/",
        "/simple/demo-project",
    ] {
        let answer = server.get(path);
        assert_eq!(answer.status, 301, "{path}");
        assert!(
            answer
                .header("Location")
                .is_some_and(|location| location.ends_with("/simple/demo-project/")),
            "{path}: {:?}",
            answer.header("Location")
        );
    }
    let missing = server.get("/simple/not-there/");
    assert_eq!(
        (missing.status, missing.text().as_str()),
        (404, "404 Not Found")
    );
    assert_eq!(server.get("/pypi/not-there/json").status, 404);
    assert_eq!(
        server.get("/pypi/not-there/json").json()["message"],
        "Not Found"
    );
}

#[test]
fn a_page_that_did_not_change_is_not_sent_again() {
    let (server, _, _) = server_with_demo();
    let first = get(&server, "/simple/demo-project/", JSON);
    let etag = first.header("ETag").expect("a page has an ETag").to_owned();
    let again = server.send(
        &Request::get("/simple/demo-project/")
            .header("Accept", JSON)
            .header("If-None-Match", &etag),
    );
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert!(
        again.header("Portcullis-Decision").is_some(),
        "unchanged is a decision too"
    );

    let alice_token = server.setup.token(
        &tests::User {
            name: "alice".into(),
            password: String::new(),
            authenticator: None,
        },
        &["--account"],
    );
    upload_ok(
        &server,
        &Package::new("Demo.Project", "1.1").wheel(),
        &alice_token,
    );
    let changed = server.send(
        &Request::get("/simple/demo-project/")
            .header("Accept", JSON)
            .header("If-None-Match", &etag),
    );
    assert_eq!(changed.status, 200, "an upload shows at once");
    assert_eq!(changed.json()["files"].as_array().map(Vec::len), Some(3));
    let head = server.send(&Request::new("HEAD", "/simple/demo-project/").header("Accept", JSON));
    assert_eq!(
        head.header("Content-Length"),
        Some(changed.body.len().to_string().as_str())
    );
}

#[test]
fn the_list_of_projects_changes_with_their_names_and_not_with_their_files() {
    let (mut server, _, _) = server_with_demo();
    let token = server.setup.token(
        &tests::User {
            name: "alice".into(),
            password: String::new(),
            authenticator: None,
        },
        &["--account"],
    );
    let list = |server: &Server, etag: &str| {
        server.send(
            &Request::get("/simple/")
                .header("Accept", "text/html")
                .header("If-None-Match", etag),
        )
    };
    let first = list(&server, "");
    assert_eq!(
        first.header("Content-Length"),
        Some(first.body.len().to_string().as_str())
    );
    let etag = first
        .header("ETag")
        .expect("the list has an ETag")
        .to_owned();
    upload_ok(
        &server,
        &Package::new("Demo.Project", "1.1").wheel(),
        &token,
    );
    assert_eq!(list(&server, &etag).status, 304, "the same names");
    let json = get(&server, "/simple/", JSON).json();
    assert_eq!(json["meta"]["_last-serial"], 3);
    assert_eq!(json["projects"][0]["_last-serial"], 3);

    upload_ok(&server, &Package::new("another", "1.0").wheel(), &token);
    let second = list(&server, &etag);
    assert_eq!(
        (second.status, second.header("X-PyPI-Last-Serial")),
        (200, Some("4"))
    );
    assert!(
        second.text().contains("<a href=\"/simple/another/\">another</a><br />\n    <a href=\"/simple/demo-project/\">Demo.Project</a>"),
        "{}",
        second.text()
    );

    // The command line writes as another process, and the server follows.
    for (status, is_listed) in [("quarantined", false), ("active", true)] {
        server
            .command_line(&["project", "status", "another", status])
            .ok();
        server.wait_for("the status in the list", |server| {
            (list(server, "").text().contains(">another<") == is_listed).then_some(())
        });
    }
}

#[test]
fn downloads_are_immutable_and_come_in_parts() {
    let (server, wheel, _) = server_with_demo();
    let path = wheel.path();
    let whole = server.get(&path);
    assert_eq!((whole.status, &whole.body), (200, &wheel.bytes));
    assert!(
        whole
            .header("Cache-Control")
            .is_some_and(|control| control.contains("immutable"))
    );
    assert_eq!(whole.header("X-Content-Type-Options"), Some("nosniff"));
    let etag = whole.header("ETag").expect("a file has an ETag").to_owned();

    let part = |range: &str| server.send(&Request::get(&path).header("Range", range));
    let first = part("bytes=0-9");
    assert_eq!((first.status, &first.body[..]), (206, &wheel.bytes[..10]));
    assert_eq!(
        first.header("Content-Range"),
        Some(format!("bytes 0-9/{}", wheel.bytes.len()).as_str())
    );
    let last = part("bytes=-100");
    assert_eq!(
        (last.status, &last.body[..]),
        (206, &wheel.bytes[wheel.bytes.len() - 100..])
    );
    let rest = part("bytes=50-");
    assert_eq!((rest.status, &rest.body[..]), (206, &wheel.bytes[50..]));
    let beyond = part("bytes=999999999-");
    assert_eq!(beyond.status, 416);
    assert_eq!(
        beyond.header("Content-Range"),
        Some(format!("bytes */{}", wheel.bytes.len()).as_str())
    );
    assert_eq!(part("nonsense").status, 200);

    assert_eq!(
        server
            .send(&Request::get(&path).header("If-None-Match", &etag))
            .status,
        304
    );
    assert_eq!(
        server
            .send(
                &Request::get(&path)
                    .header("Range", "bytes=0-9")
                    .header("If-Range", "\"other\"")
            )
            .status,
        200
    );
    let head = server.send(&Request::new("HEAD", &path));
    assert_eq!(
        (head.status, head.header("Content-Length")),
        (200, Some(wheel.bytes.len().to_string().as_str()))
    );
    assert_eq!(
        server
            .get(&path.replace(&wheel.file_name, "another-1.0-py3-none-any.whl"))
            .status,
        404
    );
    assert_eq!(
        server
            .get(&format!(
                "/files/00/11/{}/{}",
                "2".repeat(60),
                wheel.file_name
            ))
            .status,
        404
    );
}

#[test]
fn the_json_api_tells_of_project_and_release() {
    let (server, wheel, _) = server_with_demo();
    for path in ["/pypi/demo-project/json", "/pypi/demo-project/1.0/json"] {
        let told = server.get(path).json();
        assert_eq!(told["info"]["version"], "1.0", "{path}");
        assert_eq!(told["info"]["summary"], "What Demo.Project is for");
        let urls = told["urls"].as_array().expect("urls");
        assert!(
            urls.iter()
                .any(|url| url["digests"]["sha256"] == wheel.sha256()),
            "{told}"
        );
    }
    assert!(server.get("/pypi/demo-project/json").json()["releases"]["1.0"].is_array());
    assert_eq!(server.get("/pypi/demo-project/9.9/json").status, 404);
}
