//! Uploads that wait: stored, invisible, released by a person with a second factor.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Instant;

use serde_json::{Value, json};

use tests::server::PATIENCE;
use tests::{Clients, Package, Request, Server, Setup, User, basic_token};

use crate::tools::{pip_install, upload_ok, uv_install};

/// A server with a project whose uploads wait; its owner, whose command line is known, and one of
/// their tokens.
fn staging_server() -> (Server, User, String) {
    let (server, alice, token) = staging_server_without_command_line();
    server.know_own_command_line(&alice, &server.url());
    (server, alice, token)
}

fn staging_server_without_command_line() -> (Server, User, String) {
    let server = Setup::default().start();
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
    (server, alice, token)
}

fn stage(server: &Server, token: &str, version: &str) {
    for distribution in [
        Package::new("waiting", version).wheel(),
        Package::new("waiting", version).sdist(),
    ] {
        let answer = server.upload(&distribution, Some(&basic_token(token)));
        assert!(
            (200..300).contains(&answer.status),
            "{} {}",
            answer.reason,
            answer.text()
        );
        let told = format!("{} {}", answer.reason, answer.text());
        assert!(
            told.contains("held until a maintainer publishes it"),
            "a staged upload says so: {told}"
        );
    }
}

/// Name and SHA-256 of a version's waiting files.
fn waiting_files(server: &Server, version: &str) -> Value {
    let listed = server
        .command_line(&["release", "list", "waiting", "--json"])
        .ok()
        .json();
    let releases = listed.as_array().expect("a list");
    let files = releases
        .iter()
        .filter(|release| release["version"] == version)
        .flat_map(|release| release["files"].as_array().expect("files"));
    files
        .map(|file| {
            (
                file["name"].as_str().expect("a name").to_owned(),
                file["sha256"].clone(),
            )
        })
        .collect()
}

/// Publishes the waiting files with password and code, on the command line.
fn release(
    server: &Server,
    verb: &str,
    version: &str,
    user: &User,
    code: &str,
) -> tests::server::Output {
    release_files(
        server,
        verb,
        version,
        user,
        code,
        &waiting_files(server, version),
    )
}

fn release_files(
    server: &Server,
    verb: &str,
    version: &str,
    user: &User,
    code: &str,
    files: &Value,
) -> tests::server::Output {
    let files = files
        .as_object()
        .expect("files")
        .iter()
        .map(|(name, sha256)| format!("--file={name}={}", sha256.as_str().expect("a digest")));
    let files: Vec<String> = files.collect();
    let url = server.url();
    let mut arguments = vec![
        "release", verb, "waiting", version, "--user", &user.name, "--url", &url,
    ];
    arguments.extend(files.iter().map(String::as_str));
    server.setup.command_line_with_input(
        &arguments,
        "",
        &[
            ("PORTCULLIS_PASSWORD", &user.password),
            ("PORTCULLIS_TOTP", code),
        ],
    )
}

/// Calls the API as a person, with additional fields.
fn ask(server: &Server, path: &str, user: &User, code: &str, further: Value) -> tests::Response {
    let mut body = json!({ "user": user.name, "password": user.password, "totp": code });
    for (name, value) in further.as_object().expect("fields") {
        body[name] = value.clone();
    }
    let request = Request::new("POST", &format!("/api/projects/waiting/{path}"))
        .header("Accept", "application/json");
    server.send(&request.body("application/json", body.to_string().into_bytes()))
}

fn reason(answer: &tests::Response) -> String {
    answer.json()["reasons"][0]["code"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn code_of(user: &User, steps: i64) -> String {
    user.authenticator
        .as_ref()
        .expect("an app")
        .code_steps_from_now(steps)
}

fn files_on_page(server: &Server) -> Vec<String> {
    let page = server
        .send(
            &Request::get("/simple/waiting/")
                .header("Accept", "application/vnd.pypi.simple.v1+json"),
        )
        .json();
    page["files"]
        .as_array()
        .expect("files")
        .iter()
        .filter_map(|file| file["filename"].as_str().map(str::to_owned))
        .collect()
}

#[test]
fn a_staged_release_exists_for_nobody_until_a_person_publishes_it() {
    let (server, alice, token) = staging_server();
    let wheel = Package::new("waiting", "2.0").wheel();
    stage(&server, &token, "2.0");

    // Not on any page, not by its address, not in the JSON API.
    assert_eq!(files_on_page(&server), ["waiting-1.0-py3-none-any.whl"]);
    // As a version or in a file name: times and digests may contain any digits by chance.
    let tells = |text: &str| text.contains("waiting-2.0") || text.contains("\"2.0\"");
    for accept in ["text/html", "application/vnd.pypi.simple.v1+json"] {
        assert!(!tells(
            &server
                .send(&Request::get("/simple/waiting/").header("Accept", accept))
                .text()
        ));
    }
    assert!(!tells(&server.get("/pypi/waiting/json").text()));
    assert_eq!(server.get("/pypi/waiting/2.0/json").status, 404);
    let path = wheel.path();
    assert_eq!(
        server.get(&path).status,
        404,
        "the address can be computed, and leads nowhere"
    );
    assert_eq!(server.get(&format!("{path}.metadata")).status, 404);
    if let Some(clients) = Clients::find() {
        let top = server.setup.folder.path();
        pip_install(&clients, &server, top, "waiting==2.0").refused();
        uv_install(&clients, &server, top, "waiting==2.0").refused();
        pip_install(&clients, &server, top, "waiting")
            .ok()
            .says("waiting-1.0");
    }

    let listed = server
        .command_line(&["release", "list", "--json"])
        .ok()
        .json();
    assert_eq!(listed[0]["version"], "2.0");
    assert_eq!(listed[0]["files"].as_array().map(Vec::len), Some(2));

    let code = alice
        .authenticator
        .as_ref()
        .expect("alice has an app")
        .code();
    release(&server, "publish", "2.0", &alice, &code).ok();
    assert_eq!(files_on_page(&server).len(), 3);
    assert!(tells(&server.get("/pypi/waiting/json").text()));
    assert_eq!(server.get(&path).status, 200);
    if let Some(clients) = Clients::find() {
        let top = server.setup.folder.path();
        pip_install(&clients, &server, top, "waiting==2.0").ok();
        uv_install(&clients, &server, top, "waiting==2.0").ok();
    }
}

#[test]
fn nobody_publishes_with_a_token_a_password_alone_or_a_used_code() {
    let (server, alice, token) = staging_server();
    stage(&server, &token, "2.0");
    let path = "/api/projects/waiting/releases/2.0/publish";

    // The token that staged, another token of the same person, in every header form.
    let other = server.setup.token(&alice, &["--project", "waiting"]);
    for token in [&token, &other] {
        for authorization in [
            basic_token(token),
            format!("token {token}"),
            format!("Bearer {token}"),
        ] {
            let answer =
                server.send(&Request::new("POST", path).authorization(Some(&authorization)));
            assert_eq!(answer.status, 403, "{}", answer.text());
        }
    }
    let answer = server.send(
        &Request::new("POST", path).authorization(Some(&tests::basic("alice", &alice.password))),
    );
    assert_eq!(answer.status, 403, "{}", answer.text());

    // A person without the code, with a wrong one, with one that was used.
    let device = server.known_command_line(&alice);
    let person = |totp: serde_json::Value| {
        let body =
            json!({"user": "alice", "password": alice.password, "totp": totp, "device": device})
                .to_string();
        server.send(&Request::new("POST", path).body("application/json", body.into_bytes()))
    };
    let without = person(serde_json::Value::Null);
    assert_eq!(without.status, 403, "{}", without.text());
    let app = alice.authenticator.as_ref().expect("alice has an app");
    let right = app.code();
    assert_eq!(person(app.wrong_code().into()).status, 403);
    // A request that is known to be impossible costs no code.
    let answer = server.send(
        &Request::new("POST", "/api/projects/waiting/releases/9.9/publish").body(
            "application/json",
            json!({"user": "alice", "password": alice.password, "totp": right, "device": device})
                .to_string()
                .into_bytes(),
        ),
    );
    assert_eq!(answer.status, 404, "{}", answer.text());

    // A stranger with all factors confirmed has no role.
    let mallory = server.user("mallory");
    let code = mallory
        .authenticator
        .as_ref()
        .expect("mallory has an app")
        .code();
    server.know_own_command_line(&mallory, &server.url());
    let refused = release(&server, "publish", "2.0", &mallory, &code);
    assert!(!refused.status.success());
    assert_eq!(
        files_on_page(&server),
        ["waiting-1.0-py3-none-any.whl"],
        "nothing of all this published anything"
    );

    release(&server, "publish", "2.0", &alice, &right).ok();
    assert_eq!(files_on_page(&server).len(), 3);
    stage(&server, &token, "2.1");
    assert!(
        !release(&server, "publish", "2.1", &alice, &right)
            .status
            .success(),
        "a code authorises one action"
    );
    assert_eq!(files_on_page(&server).len(), 3);
    release(
        &server,
        "publish",
        "2.1",
        &alice,
        &app.code_steps_from_now(1),
    )
    .ok();
    assert_eq!(files_on_page(&server).len(), 5);
}

#[test]
fn a_rejected_release_is_gone_and_its_files_may_come_again() {
    let (server, alice, token) = staging_server();
    stage(&server, &token, "3.0");
    let code = alice
        .authenticator
        .as_ref()
        .expect("alice has an app")
        .code();
    release(&server, "reject", "3.0", &alice, &code).ok();
    assert_eq!(
        server
            .command_line(&["release", "list", "--json"])
            .ok()
            .json(),
        serde_json::json!([])
    );
    stage(&server, &token, "3.0");
    assert_eq!(files_on_page(&server), ["waiting-1.0-py3-none-any.whl"]);
}

#[test]
fn all_files_of_a_release_appear_at_once() {
    let (server, alice, token) = staging_server();
    for number in 0..8 {
        // The same content under another name is refused, so each build has its own.
        let wheel = Package::new("waiting", "4.0")
            .with_payload(100 + number)
            .wheel()
            .named(&format!("waiting-4.0-{number}-py3-none-any.whl"));
        let answer = server.upload(&wheel, Some(&basic_token(&token)));
        assert!(
            (200..300).contains(&answer.status),
            "{} {}",
            answer.reason,
            answer.text()
        );
    }
    let before = files_on_page(&server).len();
    let code = alice
        .authenticator
        .as_ref()
        .expect("alice has an app")
        .code();
    let seen = std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let deadline = Instant::now() + PATIENCE;
            let mut seen = BTreeSet::from([before]);
            // The scope waits for this thread even if publishing failed.
            while !seen.contains(&9) && Instant::now() < deadline {
                seen.insert(files_on_page(&server).len());
            }
            seen
        });
        release(&server, "publish", "4.0", &alice, &code).ok();
        watching.join().expect("the watcher ends")
    });
    assert_eq!(
        seen.into_iter().collect::<Vec<_>>(),
        [1, 9],
        "a page shows none or all of them"
    );
}

#[test]
fn nothing_is_published_or_rejected_that_was_not_named() {
    let (server, alice, token) = staging_server();
    let device = server.known_command_line(&alice);
    stage(&server, &token, "2.0");
    let looked_at = waiting_files(&server, "2.0");
    let code = code_of(&alice, 0);
    // A thief of the token adds another wheel.
    let wheel = Package::new("waiting", "2.0")
        .with_payload(99)
        .wheel()
        .named("waiting-2.0-1-py3-none-any.whl");
    assert_eq!(
        server.upload(&wheel, Some(&basic_token(&token))).status,
        200
    );
    let all = waiting_files(&server, "2.0");
    let mut other = all.clone();
    other["waiting-2.0.tar.gz"] = "0".repeat(64).into();
    for verb in ["publish", "reject"] {
        let path = format!("releases/2.0/{verb}");
        let answer = ask(&server, &path, &alice, &code, json!({ "device": device }));
        assert_eq!(
            (answer.status, reason(&answer).as_str()),
            (400, "files-missing"),
            "{}",
            answer.text()
        );
        assert!(
            answer.text().contains("/api/projects/waiting/staged"),
            "it says where to look: {}",
            answer.text()
        );
        for files in [&looked_at, &other, &json!({})] {
            let answer = ask(
                &server,
                &path,
                &alice,
                &code,
                json!({ "device": device, "files": files }),
            );
            assert_eq!(
                (answer.status, reason(&answer).as_str()),
                (409, "other-files"),
                "{}",
                answer.text()
            );
        }
        assert!(
            !release_files(&server, verb, "2.0", &alice, &code, &looked_at)
                .status
                .success()
        );
        // No terminal, and no file is named: no password is sent.
        let before = server.settled_log().len();
        for yes in [&[][..], &["--yes"]] {
            let url = server.url();
            let arguments = [
                &[
                    "release", verb, "waiting", "2.0", "--user", "alice", "--url", &url,
                ][..],
                yes,
            ]
            .concat();
            let said = server.setup.command_line_with_input(
                &arguments,
                "",
                &[
                    ("PORTCULLIS_PASSWORD", &alice.password),
                    ("PORTCULLIS_TOTP", &code),
                ],
            );
            assert!(
                !said.status.success() && said.all().contains("--file"),
                "{}",
                said.all()
            );
        }
        let log = server.settled_log_since(before);
        assert!(!log.contains("/api/"), "{log}");
        // A stranger to the project learns nothing about this.
        let mallory = server.user(&format!("mallory-{verb}"));
        let known = server.known_command_line(&mallory);
        let answer = ask(
            &server,
            &path,
            &mallory,
            &code_of(&mallory, 0),
            json!({ "device": known }),
        );
        assert!(
            answer.status == 403 && !answer.text().contains("staged files"),
            "{}",
            answer.text()
        );
    }
    assert_eq!(files_on_page(&server).len(), 1);
    let answer = ask(
        &server,
        "releases/2.0/publish",
        &alice,
        &code,
        json!({ "device": device, "files": all }),
    );
    assert_eq!(
        answer.status,
        200,
        "none of it used the code up: {}",
        answer.text()
    );
    assert_eq!(files_on_page(&server).len(), 4);
}

#[test]
fn what_is_staged_is_listed_with_who_staged_it_and_the_code_is_left() {
    let (server, alice, token) = staging_server();
    let device = server.known_command_line(&alice);
    let (other, id) = server
        .setup
        .token_with_id(&alice, &["--project", "waiting"]);
    stage(&server, &token, "2.0");
    let wheel = Package::new("waiting", "2.0")
        .with_payload(99)
        .wheel()
        .named("waiting-2.0-1-py3-none-any.whl");
    assert_eq!(
        server.upload(&wheel, Some(&basic_token(&other))).status,
        200
    );
    let code = code_of(&alice, 0);
    for _ in 0..2 {
        let answer = ask(
            &server,
            "staged",
            &alice,
            &code,
            json!({ "device": device }),
        );
        assert_eq!(answer.status, 200, "{}", answer.text());
        let listed = answer.json();
        let files = listed["staged"][0]["files"]
            .as_array()
            .expect("files")
            .clone();
        assert_eq!(files.len(), 3);
        let of = |name: &str| {
            files
                .iter()
                .find(|file| file["filename"] == name)
                .expect("it is listed")
        };
        let (added, expected) = (
            of("waiting-2.0-1-py3-none-any.whl"),
            of("waiting-2.0.tar.gz"),
        );
        assert_eq!(
            (
                &added["staged_by"]["user"],
                &added["staged_by"]["token"]["id"]
            ),
            (&json!("alice"), &json!(id))
        );
        assert!(
            added["staged_by"]["token"]["description"]
                .as_str()
                .is_some_and(|text| text.starts_with("test ")),
            "{added}"
        );
        assert_ne!(
            added["staged_by"]["token"]["id"],
            expected["staged_by"]["token"]["id"]
        );
        for field in ["size", "sha256", "blake2b_256", "uploaded_at"] {
            assert!(!added[field].is_null(), "{added}");
        }
        for secret in [&token, &other] {
            assert!(!answer.text().contains(&secret[5..20]));
        }
    }
    let printed = server
        .command_line(&["release", "list", "waiting"])
        .ok()
        .stdout;
    assert!(
        printed.contains("alice, token \"test ") && printed.contains(&id),
        "{printed}"
    );
    release(&server, "publish", "2.0", &alice, &code).ok();
    let again = ask(
        &server,
        "staged",
        &alice,
        &code,
        json!({ "device": device }),
    );
    assert_eq!(
        again.status,
        403,
        "a code that was used up shows nothing: {}",
        again.text()
    );
}

#[test]
fn a_phished_code_opens_nothing_from_an_unknown_command_line() {
    let (server, alice, token) = staging_server();
    stage(&server, &token, "2.0");
    let files = waiting_files(&server, "2.0");
    let code = code_of(&alice, 0);
    let mut devices = BTreeSet::new();
    for (path, further) in [
        ("staged", json!({})),
        ("releases/2.0/publish", json!({ "files": files })),
        ("releases/2.0/reject", json!({ "files": files })),
    ] {
        let answer = ask(&server, path, &alice, &code, further.clone());
        assert_eq!(
            (answer.status, reason(&answer).as_str()),
            (403, "device-unknown"),
            "{}",
            answer.text()
        );
        assert!(
            !answer.text().contains(".whl") && !answer.text().contains("2.0.tar.gz"),
            "{}",
            answer.text()
        );
        let device = answer.json()["device"]
            .as_str()
            .expect("a secret")
            .to_owned();
        let mut with_device = further;
        with_device["device"] = device.clone().into();
        let again = ask(&server, path, &alice, &code, with_device);
        assert_eq!(
            (again.status, reason(&again).as_str()),
            (403, "device-unknown"),
            "nobody opened the mail: {}",
            again.text()
        );
        assert!(
            !server.settled_log().contains(&device),
            "no secret is in the log"
        );
        devices.insert(device);
    }
    assert_eq!(devices.len(), 3);
    // Without the password or the code, the answer is the same as before.
    let wrong = ask(
        &server,
        "staged",
        &alice,
        &alice.authenticator.as_ref().expect("an app").wrong_code(),
        json!({ "device": devices.first() }),
    );
    assert_eq!(
        (wrong.status, reason(&wrong).as_str()),
        (403, "wrong-credentials")
    );
    assert!(wrong.json()["device"].is_null());
    assert_eq!(files_on_page(&server).len(), 1);
    release(&server, "publish", "2.0", &alice, &code).ok();
    assert_eq!(files_on_page(&server).len(), 3);
}

#[test]
fn a_stranger_who_fails_locks_no_owner_out_of_her_command_line() {
    let (server, alice, token) = staging_server();
    stage(&server, &token, "2.0");
    let guesser = User {
        password: "guess".to_owned(),
        ..alice.clone()
    };
    let mut limited = false;
    for _ in 0..12 {
        limited |= ask(&server, "staged", &guesser, "123456", json!({})).status == 429;
    }
    assert!(limited, "strangers are told to wait");
    let code = code_of(&alice, 0);
    assert_eq!(
        ask(&server, "staged", &alice, &code, json!({})).status,
        429,
        "and so is an unknown command line with all that is right"
    );
    release(&server, "publish", "2.0", &alice, &code).ok();
    assert_eq!(files_on_page(&server).len(), 3);
}

/// The one file in which this test's command line stores its secret.
fn device_files(server: &Server) -> Vec<PathBuf> {
    let folder = server.setup.folder.path().join("config/portcullis");
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .collect()
}

#[test]
fn the_password_goes_to_the_address_that_the_server_noted_and_its_owner_is_told_to_whom() {
    let (server, alice, token) = staging_server_without_command_line();
    stage(&server, &token, "2.0");
    let code = code_of(&alice, 0);
    let variables = [
        ("PORTCULLIS_PASSWORD", alice.password.as_str()),
        ("PORTCULLIS_TOTP", &code),
    ];
    let files: Vec<String> = waiting_files(&server, "2.0")
        .as_object()
        .expect("files")
        .iter()
        .map(|(name, sha256)| format!("--file={name}={}", sha256.as_str().expect("a digest")))
        .collect();
    let publish = |further: &[&str]| {
        let mut arguments = vec![
            "release", "publish", "waiting", "2.0", "--user", "alice", "--json",
        ];
        arguments.extend(files.iter().map(String::as_str));
        arguments.extend(further);
        server
            .setup
            .command_line_with_input(&arguments, "", &variables)
    };
    let clear = publish(&["--url", "http://packages.example.org"]);
    assert!(
        !clear.status.success() && clear.all().contains("clear text"),
        "{}",
        clear.all()
    );
    let refused = server.confirm_command_line(&alice, || publish(&[]));
    assert!(!refused.status.success());
    let to = format!("to http://localhost:{}/, as alice", server.address.port());
    assert!(refused.stderr.contains(&to), "{}", refused.all());
    let kept = device_files(&server);
    assert_eq!(kept.len(), 1);
    assert_eq!(
        std::fs::metadata(&kept[0])
            .expect("it is there")
            .permissions()
            .mode()
            & 0o777,
        0o600
    );
    let secret = std::fs::read_to_string(&kept[0]).expect("a secret");
    assert!(
        !refused.all().contains(secret.trim()),
        "it is shown to nobody"
    );
    publish(&[]).ok();
    assert_eq!(files_on_page(&server).len(), 3);
}

/// Runs a command on a terminal and types the answers.
const TERMINAL: &str = r#"
import json, os, pty, sys
arguments, answers = json.loads(sys.argv[1]), json.loads(sys.argv[2])
child, terminal = pty.fork()
if child == 0:
    os.execv(arguments[0], arguments)
said = b""
while True:
    try:
        part = os.read(terminal, 4096)
    except OSError:
        break
    if not part:
        break
    said += part
    if answers and said.rstrip().endswith(answers[0][0].encode()):
        os.write(terminal, answers.pop(0)[1].encode() + b"\n")
sys.stdout.write(said.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"#;

#[test]
fn a_person_sees_every_file_and_is_asked_before_anything_is_published() {
    let Some(clients) = Clients::find() else {
        return;
    };
    let (server, alice, token) = staging_server();
    stage(&server, &token, "2.0");
    let (url, data, config) = (
        server.url(),
        server.setup.data().display().to_string(),
        server
            .setup
            .folder
            .path()
            .join("config")
            .display()
            .to_string(),
    );
    let run = |answer: &str, code: &str| {
        let program = tests::server::program().display().to_string();
        let arguments = json!([
            program, "release", "publish", "waiting", "2.0", "--user", "alice", "--url", url,
            "--data", data
        ])
        .to_string();
        let answers = json!([
            ["Password:", alice.password],
            ["(empty if you have none):", code],
            ["Publish these 2 files? [y/N]:", answer]
        ])
        .to_string();
        let variables = [("XDG_CONFIG_HOME", config.as_str())];
        clients.run(
            "python",
            server.setup.folder.path(),
            &["-c", TERMINAL, &arguments, &answers],
            &variables,
        )
    };
    let code = code_of(&alice, 0);
    let refused = run("", &code);
    assert!(
        !refused.success && refused.text.contains("nothing was done"),
        "{}",
        refused.raw
    );
    for (name, sha256) in waiting_files(&server, "2.0").as_object().expect("files") {
        let (name, sha256) = (name.as_str(), sha256.as_str().expect("a digest"));
        assert!(
            refused.text.contains(name) && refused.text.contains(sha256),
            "{}",
            refused.raw
        );
    }
    assert!(
        refused.text.contains("by alice, token \"test "),
        "{}",
        refused.raw
    );
    assert!(!refused.text.contains(&alice.password));
    let told = refused
        .text
        .find(&format!("to {url}/, as alice"))
        .expect("it says to whom");
    assert!(
        told < refused.text.find("Password:").expect("it asks"),
        "before it asks: {}",
        refused.raw
    );
    assert_eq!(files_on_page(&server).len(), 1);
    let done = run("y", &code);
    assert!(
        done.success && done.text.contains("is published"),
        "one code for the look and for what is done: {}",
        done.raw
    );
    assert_eq!(files_on_page(&server).len(), 3);
}
