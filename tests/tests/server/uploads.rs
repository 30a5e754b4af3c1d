//! The checks of an upload, and the answers to invalid ones.

use tests::package::{tar_gz_of, zip_of};
use tests::{Distribution, Package, Server, Setup, basic_token};

use crate::tools::upload_ok;

struct Uploads {
    server: Server,
    token: String,
}

impl Uploads {
    fn start() -> Self {
        let server = Setup::default().flag("--max-file-size", "1 MiB").start();
        let alice = server.user("alice");
        let token = server.setup.token(&alice, &["--account"]);
        Self { server, token }
    }

    /// The upload is answered with this status and a text that begins with or contains this.
    #[track_caller]
    fn check(&self, distribution: &Distribution, status: u16, text: &str) {
        let answer = self
            .server
            .upload(distribution, Some(&basic_token(&self.token)));
        assert_eq!(
            answer.status,
            status,
            "{}: {} {}",
            distribution.file_name,
            answer.reason,
            answer.text()
        );
        assert!(
            answer.reason.contains(text),
            "{}: expected `{text}` in `{}`",
            distribution.file_name,
            answer.reason
        );
    }
}

fn wheel() -> Distribution {
    Package::new("demo", "1.0").wheel()
}

#[test]
fn a_form_that_is_wrong_is_refused_in_the_words_clients_know() {
    let uploads = Uploads::start();
    let with = |field: &str, value: Option<&str>| wheel().with_field(field, value);
    uploads.check(
        &with("protocol_version", Some("2")),
        400,
        "Unknown protocol version.",
    );
    uploads.check(
        &with("name", Some("demo-")),
        400,
        "'demo-' is an invalid value for Name.",
    );
    uploads.check(&with("name", None), 400, "");
    uploads.check(&with("version", Some("one")), 400, "");
    uploads.check(
        &with("version", Some("1.0+local")),
        400,
        "The use of local versions in",
    );
    uploads.check(
        &with("filetype", Some("bdist_egg")),
        400,
        "Invalid value for filetype. Error: Use a known file type.",
    );
    uploads.check(
        &with("metadata_version", Some("9.9")),
        400,
        "is not a valid metadata version",
    );
    uploads.check(
        &with("summary", Some(&"x".repeat(513))),
        400,
        "'summary' field must be 512 characters or less.",
    );
    uploads.check(
        &with("sha256_digest", Some("nonsense")),
        400,
        "Invalid value for sha256_digest. Error: Use a valid, hex-encoded, SHA256 message digest.",
    );
    uploads.check(
        &with("sha256_digest", None).with_field("blake2_256_digest", None),
        400,
        "Error: Include at least one message digest.",
    );
    uploads.check(
        &with("sha256_digest", Some(&"0".repeat(64))),
        400,
        "The digest supplied does not match a digest calculated from the uploaded file.",
    );
    uploads.check(
        &Package::new("demo", "1.0")
            .sdist()
            .with_field("pyversion", Some("py3")),
        400,
        "Use 'source' as Python version for an sdist.",
    );
    uploads.check(
        &with("pyversion", None),
        400,
        "Python version is required for binary distribution uploads.",
    );
    assert_eq!(
        uploads.server.get("/simple/demo/").status,
        404,
        "nothing of all this made the project"
    );
    uploads.check(&wheel(), 200, "OK");
}

#[test]
fn a_file_that_is_wrong_is_refused_in_the_words_clients_know() {
    let uploads = Uploads::start();
    uploads.check(
        &wheel().named("demo-1.0-py3-none-linux_x86_64.whl"),
        400,
        "unsupported platform tag 'linux_x86_64'",
    );
    uploads.check(&wheel().named("other-1.0-py3-none-any.whl"), 400, "");
    uploads.check(&wheel().named("demo-2.0-py3-none-any.whl"), 400, "");
    uploads.check(&wheel().named("../demo-1.0-py3-none-any.whl"), 400, "");
    uploads.check(&wheel().named("demo-1.0.tar.gz"), 400, "");
    uploads.check(
        &Package::new("demo", "1.0").sdist().named("Demo-1.0.tar.gz"),
        400,
        "should be 'demo-1.0.tar.gz'",
    );
    uploads.check(
        &wheel().with_bytes(b"PK\x03\x04 and then nothing".to_vec()),
        400,
        "Invalid distribution file.",
    );
    uploads.check(&wheel().with_bytes(Vec::new()), 400, "");
    uploads.check(
        &Package::new("demo", "1.0")
            .sdist()
            .with_bytes(wheel().bytes),
        400,
        "Invalid distribution file.",
    );
    // Too large for this server.
    uploads.check(
        &Package::new("demo", "1.0").with_payload(2 << 20).wheel(),
        400,
        "File too large.",
    );
    // A bomb: a megabyte of nothing in a kilobyte, times the limit.
    let bomb = vec![
        ("demo/__init__.py".to_owned(), vec![0; 80 << 20]),
        (
            "demo-1.0.dist-info/METADATA".to_owned(),
            wheel().metadata.into_bytes(),
        ),
        (
            "demo-1.0.dist-info/WHEEL".to_owned(),
            b"Wheel-Version: 1.0\n".to_vec(),
        ),
        ("demo-1.0.dist-info/RECORD".to_owned(), Vec::new()),
    ];
    uploads.check(
        &wheel().with_bytes(zip_of(&bomb)),
        400,
        "Invalid distribution file.",
    );
    // Two top folders, and no metadata.
    let scattered = tar_gz_of(&[
        ("demo-1.0/PKG-INFO".into(), wheel().metadata.into_bytes()),
        ("elsewhere/x".into(), vec![1]),
    ]);
    uploads.check(
        &Package::new("demo", "1.0").sdist().with_bytes(scattered),
        400,
        "Invalid distribution file.",
    );
    let bare = tar_gz_of(&[("demo-1.0/setup.py".into(), vec![b'\n'])]);
    uploads.check(
        &Package::new("demo", "1.0").sdist().with_bytes(bare),
        400,
        "Invalid distribution file.",
    );
    assert_eq!(
        uploads.server.get("/simple/demo/").status,
        404,
        "nothing of all this made the project"
    );
}

#[test]
fn what_the_file_says_of_itself_must_agree_with_the_form() {
    let uploads = Uploads::start();
    // The file belongs to another project or version than form and file name claim.
    let other = Package::new("other", "1.0").wheel();
    uploads.check(&wheel().with_bytes(other.bytes), 400, "");
    let mut requires = Package::new("demo", "1.0");
    requires.requires_python = Some(">=3.12".to_owned());
    uploads.check(&wheel().with_bytes(requires.wheel().bytes), 400, "");
    assert_eq!(uploads.server.get("/simple/demo/").status, 404);
}

#[test]
fn a_name_is_used_once_and_the_same_file_may_come_again() {
    let uploads = Uploads::start();
    uploads.check(&wheel(), 200, "OK");
    uploads.check(&wheel(), 200, "OK");
    uploads.check(
        &Package::new("demo", "1.0").with_payload(10).wheel(),
        400,
        "File already exists",
    );
    uploads.check(
        &wheel().named("demo-1.0-1-py3-none-any.whl"),
        400,
        "File already exists",
    );
    uploads.check(&Package::new("demo", "1.0").sdist(), 200, "OK");
    let second = Package::new("demo", "1.0").with_payload(10).sdist();
    uploads.check(&second, 400, "");
    let page = uploads.server.get("/simple/demo/").text();
    assert_eq!(page.matches("</a>").count(), 2, "{page}");
}

#[test]
fn names_that_normalize_alike_are_one_project_of_one_owner() {
    let uploads = Uploads::start();
    uploads.check(&Package::new("Some.Project", "1.0").wheel(), 200, "OK");
    uploads.check(&Package::new("some-project", "1.1").wheel(), 200, "OK");
    let mallory = uploads.server.user("mallory");
    let token = uploads.server.setup.token(&mallory, &["--account"]);
    let answer = uploads.server.upload(
        &Package::new("SOME_project", "6.6").wheel(),
        Some(&basic_token(&token)),
    );
    assert_eq!(answer.status, 403);
    assert!(
        answer
            .reason
            .contains("The user 'mallory' isn't allowed to upload to project 'some-project'."),
        "{}",
        answer.reason
    );
    // Too similar to an existing project, or part of Python itself.
    for name in ["s0me-project", "sys", "urllib"] {
        let answer = uploads.server.upload(
            &Package::new(name, "1.0").wheel(),
            Some(&basic_token(&token)),
        );
        assert_eq!(answer.status, 400, "{name}: {}", answer.reason);
    }
    let bob = uploads.server.user("bob");
    uploads
        .server
        .command_line(&["project", "role", "some-project", "bob", "maintainer"])
        .ok();
    upload_ok(
        &uploads.server,
        &Package::new("some-project", "1.2").wheel(),
        &uploads
            .server
            .setup
            .token(&bob, &["--project", "some-project"]),
    );
    assert_eq!(
        uploads
            .server
            .get("/simple/some-project/")
            .text()
            .matches("</a>")
            .count(),
        3
    );
}

#[test]
fn an_archived_project_takes_no_files_and_is_still_read() {
    let uploads = Uploads::start();
    uploads.check(&wheel(), 200, "OK");
    uploads
        .server
        .command_line(&["project", "status", "demo", "archived"])
        .ok();
    uploads.check(
        &Package::new("demo", "1.1").wheel(),
        403,
        "Project 'demo' is archived",
    );
    assert_eq!(uploads.server.get("/simple/demo/").status, 200);
    uploads
        .server
        .command_line(&["project", "status", "demo", "active"])
        .ok();
    uploads.check(&Package::new("demo", "1.1").wheel(), 200, "OK");
}

#[test]
fn requests_of_another_time_are_told_so() {
    let uploads = Uploads::start();
    uploads.check(&wheel().with_field(":action", Some("submit")), 410, "");
    uploads.check(&wheel().with_field(":action", Some("doc_upload")), 410, "");
    let (content_type, body) = wheel().multipart();
    let answer = uploads
        .server
        .send(&tests::Request::new("POST", "/legacy").body(&content_type, body));
    assert_eq!(answer.status, 308);
    assert!(
        answer
            .header("Location")
            .is_some_and(|location| location.starts_with("http") && location.ends_with("/legacy/")),
        "uv needs an absolute address"
    );
}

#[test]
fn a_body_that_is_no_upload_is_refused_and_harms_nobody() {
    let uploads = Uploads::start();
    let authorization = basic_token(&uploads.token);
    let post = |content_type: &str, body: &[u8]| {
        uploads.server.send(
            &tests::Request::new("POST", "/legacy/")
                .header("Authorization", &authorization)
                .body(content_type, body.to_vec()),
        )
    };
    for (content_type, body) in [
        ("multipart/form-data; boundary=x", &b""[..]),
        ("multipart/form-data; boundary=x", b"--x\r\n"),
        ("multipart/form-data; boundary=x", b"--x--\r\n"),
        ("multipart/form-data", b"--x--\r\n"),
        ("application/json", b"{}"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\n\xff\xfe\r\n--x--\r\n"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=\"content\"; filename=\"\"\r\n\r\n\r\n--x--\r\n"),
    ] {
        let answer = post(content_type, body);
        assert!((400..500).contains(&answer.status), "{content_type} {body:?}: {} {}", answer.status, answer.reason);
    }
    // Thousands of fields.
    let mut many = Vec::new();
    for number in 0..20_000 {
        many.extend_from_slice(
            format!(
                "--x\r\nContent-Disposition: form-data; name=\"classifiers\"\r\n\r\n{number}\r\n"
            )
            .as_bytes(),
        );
    }
    many.extend_from_slice(b"--x--\r\n");
    assert_eq!(post("multipart/form-data; boundary=x", &many).status, 400);
    uploads.check(&wheel(), 200, "OK");
}
