//! Uploads that wait: stored, invisible, released by a person with a second factor.

use std::collections::BTreeSet;
use std::time::Instant;

use tests::server::PATIENCE;
use tests::{Clients, Package, Request, Server, Setup, User, basic_token};

use crate::tools::{pip_install, upload_ok, uv_install};

/// A server with a project whose uploads wait; its owner and a token of theirs.
fn staging_server() -> (Server, User, String) {
    let server = Setup::default().start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    upload_ok(&server, &Package::new("waiting", "1.0").wheel(), &token);
    server.command_line(&["project", "settings", "waiting", "staged-release", "mode=automation"]).ok();
    (server, alice, token)
}

fn stage(server: &Server, token: &str, version: &str) {
    for distribution in [Package::new("waiting", version).wheel(), Package::new("waiting", version).sdist()] {
        let answer = server.upload(&distribution, Some(&basic_token(token)));
        assert!((200..300).contains(&answer.status), "{} {}", answer.reason, answer.text());
        let told = format!("{} {}", answer.reason, answer.text());
        assert!(told.contains("held until somebody publishes it"), "a staged upload says so: {told}");
    }
}

/// Releases with password and code, over the command line.
fn release(server: &Server, verb: &str, version: &str, user: &User, code: &str) -> tests::server::Output {
    server.setup.command_line_with_input(
        &["release", verb, "waiting", version, "--user", &user.name, "--url", &server.url()],
        "",
        &[("PORTCULLIS_PASSWORD", &user.password), ("PORTCULLIS_TOTP", code)],
    )
}

fn files_on_page(server: &Server) -> Vec<String> {
    let page = server.send(&Request::get("/simple/waiting/").header("Accept", "application/vnd.pypi.simple.v1+json")).json();
    page["files"].as_array().expect("files").iter().filter_map(|file| file["filename"].as_str().map(str::to_owned)).collect()
}

#[test]
fn a_staged_release_exists_for_nobody_until_a_person_publishes_it() {
    let (server, alice, token) = staging_server();
    let wheel = Package::new("waiting", "2.0").wheel();
    stage(&server, &token, "2.0");

    // Not on any page, not by its address, not in the JSON API.
    assert_eq!(files_on_page(&server), ["waiting-1.0-py3-none-any.whl"]);
    // As a version or in a file name: times and digests may hold any digits by chance.
    let tells = |text: &str| text.contains("waiting-2.0") || text.contains("\"2.0\"");
    for accept in ["text/html", "application/vnd.pypi.simple.v1+json"] {
        assert!(!tells(&server.send(&Request::get("/simple/waiting/").header("Accept", accept)).text()));
    }
    assert!(!tells(&server.get("/pypi/waiting/json").text()));
    assert_eq!(server.get("/pypi/waiting/2.0/json").status, 404);
    let path = wheel.path();
    assert_eq!(server.get(&path).status, 404, "the address can be computed, and leads nowhere");
    assert_eq!(server.get(&format!("{path}.metadata")).status, 404);
    if let Some(clients) = Clients::find() {
        let top = server.setup.folder.path();
        pip_install(&clients, &server, top, "waiting==2.0").refused();
        uv_install(&clients, &server, top, "waiting==2.0").refused();
        pip_install(&clients, &server, top, "waiting").ok().says("waiting-1.0");
    }

    let listed = server.command_line(&["release", "list", "--json"]).ok().json();
    assert_eq!(listed[0]["version"], "2.0");
    assert_eq!(listed[0]["files"].as_array().map(Vec::len), Some(2));

    let code = alice.authenticator.as_ref().expect("alice has an app").code();
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
        for authorization in [basic_token(token), format!("token {token}"), format!("Bearer {token}")] {
            let answer = server.send(&Request::new("POST", path).authorization(Some(&authorization)));
            assert_eq!(answer.status, 403, "{}", answer.text());
        }
    }
    let answer = server.send(&Request::new("POST", path).authorization(Some(&tests::basic("alice", &alice.password))));
    assert_eq!(answer.status, 403, "{}", answer.text());

    // A person without the code, with a wrong one, with one that was used.
    let person = |totp: serde_json::Value| {
        let body = serde_json::json!({"user": "alice", "password": alice.password, "totp": totp}).to_string();
        server.send(&Request::new("POST", path).body("application/json", body.into_bytes()))
    };
    let without = person(serde_json::Value::Null);
    assert_eq!(without.status, 403, "{}", without.text());
    let app = alice.authenticator.as_ref().expect("alice has an app");
    let right = app.code();
    assert_eq!(person(app.wrong_code().into()).status, 403);
    // What cannot be done, as was known before, costs no code.
    let answer = server.send(
        &Request::new("POST", "/api/projects/waiting/releases/9.9/publish")
            .body("application/json", serde_json::json!({"user": "alice", "password": alice.password, "totp": right}).to_string().into_bytes()),
    );
    assert_eq!(answer.status, 404, "{}", answer.text());

    // A stranger with everything proven has no role.
    let mallory = server.user("mallory");
    let code = mallory.authenticator.as_ref().expect("mallory has an app").code();
    let refused = release(&server, "publish", "2.0", &mallory, &code);
    assert!(!refused.status.success());
    assert_eq!(files_on_page(&server), ["waiting-1.0-py3-none-any.whl"], "nothing of all this published anything");

    release(&server, "publish", "2.0", &alice, &right).ok();
    assert_eq!(files_on_page(&server).len(), 3);
    stage(&server, &token, "2.1");
    assert!(!release(&server, "publish", "2.1", &alice, &right).status.success(), "a code authorises one action");
    assert_eq!(files_on_page(&server).len(), 3);
    release(&server, "publish", "2.1", &alice, &app.code_steps_from_now(1)).ok();
    assert_eq!(files_on_page(&server).len(), 5);
}

#[test]
fn a_rejected_release_is_gone_and_its_files_may_come_again() {
    let (server, alice, token) = staging_server();
    stage(&server, &token, "3.0");
    let code = alice.authenticator.as_ref().expect("alice has an app").code();
    release(&server, "reject", "3.0", &alice, &code).ok();
    assert_eq!(server.command_line(&["release", "list", "--json"]).ok().json(), serde_json::json!([]));
    stage(&server, &token, "3.0");
    assert_eq!(files_on_page(&server), ["waiting-1.0-py3-none-any.whl"]);
}

#[test]
fn all_files_of_a_release_appear_at_once() {
    let (server, alice, token) = staging_server();
    for number in 0..8 {
        // The same content under another name is refused, so each build has its own.
        let wheel = Package::new("waiting", "4.0").with_payload(100 + number).wheel().named(&format!("waiting-4.0-{number}-py3-none-any.whl"));
        let answer = server.upload(&wheel, Some(&basic_token(&token)));
        assert!((200..300).contains(&answer.status), "{} {}", answer.reason, answer.text());
    }
    let before = files_on_page(&server).len();
    let code = alice.authenticator.as_ref().expect("alice has an app").code();
    let seen = std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let deadline = Instant::now() + PATIENCE;
            let mut seen = BTreeSet::from([before]);
            // The scope waits for this thread also where publishing failed.
            while !seen.contains(&9) && Instant::now() < deadline {
                seen.insert(files_on_page(&server).len());
            }
            seen
        });
        release(&server, "publish", "4.0", &alice, &code).ok();
        watching.join().expect("the watcher ends")
    });
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [1, 9], "a page shows none or all of them");
}
