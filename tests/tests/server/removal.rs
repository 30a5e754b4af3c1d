//! Removals by operators on the server's host, as readers, owners and uploaders see them.

use serde_json::Value;
use tests::{Clients, Package, Request, Server, Setup, User, basic_token};

use crate::tools::{pip_install, upload_ok};

/// A server with a project of two releases, and the owner's token.
fn server_with_two_releases() -> (Server, User, String) {
    let server = Setup::default().start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    for version in ["1.0", "2.0"] {
        upload_ok(&server, &Package::new("sample", version).wheel(), &token);
    }
    (server, alice, token)
}

fn simple(server: &Server) -> Value {
    server
        .send(
            &Request::get("/simple/sample/")
                .header("Accept", "application/vnd.pypi.simple.v1+json"),
        )
        .json()
}

fn last_event(server: &Server, kind: &str) -> Value {
    server
        .command_line(&["audit", "--kind", kind, "--json"])
        .ok()
        .json()[0]
        .clone()
}

/// Waits until the server knows about another process's change.
fn until(server: &mut Server, what: &str, is_so: impl Fn(&Server) -> bool) {
    server.wait_for(what, |server| is_so(server).then_some(()));
}

fn yanks(server: &Server) -> Vec<Value> {
    simple(server)["files"]
        .as_array()
        .expect("files")
        .iter()
        .map(|file| file["yanked"].clone())
        .collect()
}

/// The text of the newest mail whose subject ends like this.
fn mail(server: &mut Server, subject: &str) -> String {
    server.wait_for(subject, |server| {
        let mut files: Vec<_> = std::fs::read_dir(server.setup.data().join("outbox"))
            .ok()?
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .collect();
        files.sort();
        files
            .into_iter()
            .rev()
            .filter_map(|path| std::fs::read_to_string(path).ok())
            .find(|text| text.contains(subject))
    })
}

#[test]
fn a_yanked_release_is_passed_over_until_the_yank_is_taken_back() {
    let (mut server, _, _) = server_with_two_releases();
    server
        .command_line(&[
            "release",
            "yank",
            "sample",
            "2.0",
            "--reason",
            "breaks on Mondays",
        ])
        .ok();
    until(&mut server, "the yank", |server| {
        yanks(server) == [Value::Bool(false), Value::from("breaks on Mondays")]
    });
    if let Some(clients) = Clients::find() {
        pip_install(&clients, &server, server.setup.folder.path(), "sample")
            .ok()
            .says("sample-1.0");
        pip_install(&clients, &server, server.setup.folder.path(), "sample==2.0")
            .ok()
            .says("breaks on Mondays");
    }
    let event = last_event(&server, "release:yanked");
    assert_eq!(
        (
            event["detail"]["reason"].as_str(),
            event["detail"]["version"].as_str()
        ),
        (Some("breaks on Mondays"), Some("2.0"))
    );
    let told = mail(
        &mut server,
        "The operators changed what your project offers",
    );
    assert!(told.contains("breaks on Mondays"), "{told}");
    let twice = server.command_line(&["release", "yank", "sample", "2.0", "--reason", "again"]);
    assert!(
        !twice.status.success() && twice.all().contains("yanked already"),
        "{}",
        twice.all()
    );
    server
        .command_line(&[
            "release",
            "unyank",
            "sample",
            "2.0",
            "--reason",
            "it is Tuesday",
        ])
        .ok();
    until(&mut server, "the yank to be taken back", |server| {
        yanks(server)
            .iter()
            .all(|yanked| *yanked == Value::Bool(false))
    });
}

#[test]
fn a_deleted_file_is_served_to_nobody_and_its_name_is_never_free_again() {
    let (mut server, _, token) = server_with_two_releases();
    let wheel = Package::new("sample", "2.0").wheel();
    assert_eq!(server.get(&wheel.path()).status, 200);
    let asked = server.command_line(&[
        "file",
        "delete",
        &wheel.file_name,
        "--reason",
        "a key is in it",
    ]);
    assert!(
        !asked.status.success() && asked.all().contains("--yes"),
        "nobody could be asked: {}",
        asked.all()
    );
    server
        .command_line(&[
            "file",
            "delete",
            &wheel.file_name,
            "--reason",
            "a key is in it",
            "--yes",
        ])
        .ok();
    until(&mut server, "the file to be gone", |server| {
        server.get(&wheel.path()).status == 404
    });
    assert_eq!(simple(&server)["files"].as_array().map(Vec::len), Some(1));
    let again = server.upload(
        &Package::new("sample", "2.0").with_payload(10).wheel(),
        Some(&basic_token(&token)),
    );
    assert_eq!(again.status, 400, "{}", again.text());
    assert_eq!(
        last_event(&server, "file:deleted")["detail"]["files"][0],
        wheel.file_name.as_str()
    );
    let missing = server.command_line(&[
        "file",
        "delete",
        &wheel.file_name,
        "--reason",
        "again",
        "--yes",
    ]);
    assert!(
        !missing.status.success() && missing.all().contains("there is no file"),
        "{}",
        missing.all()
    );
}

#[test]
fn a_deleted_release_leaves_the_others() {
    let (mut server, _, token) = server_with_two_releases();
    server
        .command_line(&[
            "release",
            "delete",
            "sample",
            "1.0",
            "--reason",
            "never worked",
            "--yes",
        ])
        .ok();
    until(&mut server, "the release to be gone", |server| {
        simple(server)["versions"] == serde_json::json!(["2.0"])
    });
    assert_eq!(server.get("/pypi/sample/1.0/json").status, 404);
    assert_eq!(
        server
            .upload(
                &Package::new("sample", "1.0").with_payload(10).wheel(),
                Some(&basic_token(&token))
            )
            .status,
        400
    );
}

#[test]
fn a_deleted_project_is_gone_and_nobody_takes_its_name() {
    let (mut server, alice, token) = server_with_two_releases();
    upload_ok(&server, &Package::new("other", "1.0").wheel(), &token);
    let refused =
        server.command_line(&["user", "delete", &alice.name, "--reason", "left", "--yes"]);
    assert!(
        !refused.status.success() && refused.all().contains("portcullis project delete")
            || refused.all().contains("project delete"),
        "{}",
        refused.all()
    );
    server
        .command_line(&[
            "project", "delete", "sample", "--reason", "malware", "--yes",
        ])
        .ok();
    until(&mut server, "the project to be gone", |server| {
        server.get("/simple/sample/").status == 404
    });
    for path in ["/project/sample/", "/pypi/sample/json"] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
    assert!(
        !server.get("/simple/").text().contains("sample")
            && !server
                .get("/projects/?q=sample")
                .text()
                .contains("/project/sample/")
    );
    let bob = server.user("bob");
    for user in [&alice, &bob] {
        let token = server.setup.token(user, &["--account"]);
        let taken = server.upload(
            &Package::new("sample", "3.0").wheel(),
            Some(&basic_token(&token)),
        );
        assert_eq!(taken.status, 403, "{}: {}", user.name, taken.text());
    }
    server
        .command_line(&["project", "role", "sample", "bob", "owner"])
        .ok();
    let token = server.setup.token(&bob, &["--account"]);
    assert_eq!(
        server
            .upload(
                &Package::new("sample", "1.0").wheel(),
                Some(&basic_token(&token))
            )
            .status,
        400,
        "readers saw this name"
    );
    upload_ok(&server, &Package::new("sample", "3.0").wheel(), &token);
    assert_eq!(server.get("/simple/sample/").status, 200);
    // Once they are the sole owner of nothing, the account can be deleted.
    server
        .command_line(&[
            "project",
            "delete",
            "other",
            "--reason",
            "its owner leaves",
            "--yes",
        ])
        .ok();
    server
        .command_line(&["user", "delete", &alice.name, "--reason", "left", "--yes"])
        .ok();
    assert_eq!(
        last_event(&server, "account:deleted")["detail"]["reason"],
        "left"
    );
}

#[test]
fn owners_get_one_mail_for_each_release_that_waits() {
    let mut server = Setup::default().start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    upload_ok(&server, &Package::new("waiting", "1.0").wheel(), &token);
    server
        .command_line(&[
            "project",
            "settings",
            "waiting",
            "staged-release",
            "mode=automation",
        ])
        .ok();
    for version in ["2.0", "3.0"] {
        for distribution in [
            Package::new("waiting", version).wheel(),
            Package::new("waiting", version).sdist(),
        ] {
            assert_eq!(
                server
                    .upload(&distribution, Some(&basic_token(&token)))
                    .status,
                200
            );
        }
    }
    let mails = server.command_line(&["mail", "list", "--json"]).ok().json();
    let waiting = mails
        .as_array()
        .expect("mails")
        .iter()
        .filter(|mail| mail["mail"] == "release-staged")
        .count();
    assert_eq!(waiting, 2, "{mails}");
    let told = mail(&mut server, "A release waits to be published");
    let plain = told.replace("=\r\n", "").replace("=\n", "");
    assert!(
        plain.contains("portcullis release publish waiting 3.0")
            || plain.contains("portcullis release publish waiting 2.0"),
        "{told}"
    );
}

#[test]
fn somebody_who_is_invited_chooses_the_password() {
    let mut server = Setup::default().start();
    server
        .command_line(&["user", "invite", "carol", "--email", "carol@example.org"])
        .ok();
    let told = mail(&mut server, "Your account is ready")
        .replace("=\r\n", "")
        .replace("=\n", "")
        .replace("=3D", "=");
    let link = told
        .split("/password/reset?link=")
        .nth(1)
        .expect("a link")
        .split(|c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c)))
        .next()
        .expect("a secret");
    let origin = server.url().replace("127.0.0.1", "localhost");
    let form = format!("link={link}&password=a+long+and+odd+phrase+of+carol");
    let request = Request::new("POST", "/password/reset")
        .header("Origin", &origin)
        .header("Cookie", "portcullis-moved=1");
    let answer = server.send(&request.body(
        "application/x-www-form-urlencoded",
        form.clone().into_bytes(),
    ));
    assert_eq!(
        (
            answer.status,
            answer.header("Location").map(|to| to.contains("/login"))
        ),
        (303, Some(true)),
        "{}",
        answer.text()
    );
    let again = Request::new("POST", "/password/reset")
        .header("Origin", &origin)
        .header("Cookie", "portcullis-moved=1");
    assert_ne!(
        server
            .send(&again.body("application/x-www-form-urlencoded", form.into_bytes()))
            .status,
        303,
        "a link works once"
    );
    let twice = server.command_line(&["user", "invite", "carol", "--email", "carol@example.net"]);
    assert!(
        !twice.status.success() && twice.all().contains("taken"),
        "{}",
        twice.all()
    );
}
