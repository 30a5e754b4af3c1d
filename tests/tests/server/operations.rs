//! The operator's view: health, numbers, the log, explained decisions.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;

use serde_json::{Value, json};
use tests::server::{PATIENCE, command};
use tests::{Package, Request, Setup, basic_token, shipped_set};

use crate::tools::upload_ok;

#[test]
fn health_says_alive_and_ready() {
    let server = Setup::default().start();
    assert_eq!(server.get("/health").json()["status"], "alive");
    let ready = server.get("/health?ready").json();
    assert_eq!(ready["status"], "ready");
    assert_eq!(ready["policy_set"], 1);
}

/// As a service of `Type=notify` notifies systemd.
#[test]
fn a_service_manager_is_told_when_the_server_serves_and_when_it_stops() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).expect("a socket can be made");
    manager
        .set_read_timeout(Some(PATIENCE))
        .expect("a socket has a time limit");
    let hear = || {
        let mut text = [0; 64];
        let length = manager.recv(&mut text).expect("the server says something");
        String::from_utf8_lossy(&text[..length]).into_owned()
    };
    let setup = Setup::default().variable("NOTIFY_SOCKET", &path.display().to_string());
    let server = setup.start();
    assert_eq!(hear(), "READY=1\n");
    assert!(server.stop().success());
    assert_eq!(hear(), "STOPPING=1\n");

    // A server that never serves never reports that it does.
    let refused = command(folder.path())
        .args(["serve", "--no-such-flag"])
        .env("NOTIFY_SOCKET", &path)
        .output()
        .expect("the program starts");
    assert!(!refused.status.success());
    manager
        .set_nonblocking(true)
        .expect("a socket can be asked at once");
    assert!(manager.recv(&mut [0; 64]).is_err());
}

#[test]
fn metrics_count_requests_and_decisions_and_are_not_for_strangers() {
    let server = Setup::default()
        .flag("--trusted-proxies", "127.0.0.1")
        .start();
    for _ in 0..5 {
        server.get("/simple/");
    }
    let text = server.get("/metrics").text();
    let counted = text.lines().find(|line| {
        line.starts_with("portcullis_requests_total")
            && line.contains("\"/simple/\"")
            && line.contains("200")
    });
    assert!(counted.is_some_and(|line| line.ends_with(" 5")), "{text}");
    assert!(
        text.lines().any(|line| line.contains("decision")
            && line.ends_with(" 5")
            && !line.starts_with('#')),
        "decisions are counted:\n{text}"
    );
    let stranger = server.send(&Request::get("/metrics").header("X-Forwarded-For", "203.0.113.9"));
    assert_eq!(stranger.status, 403);
}

#[test]
fn each_request_leaves_one_line_and_its_decision_can_be_explained() {
    let mut server = Setup::default().start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    let answer = server.upload(
        &Package::new("demo", "1.0").wheel(),
        Some(&basic_token(&token)),
    );
    assert_eq!(answer.status, 200);
    let id = answer
        .header("Portcullis-Decision")
        .expect("an upload names its decision")
        .to_owned();
    let line = server.wait_for("the log line", |server| {
        server
            .log()
            .lines()
            .find(|line| line.contains(&id) && line.contains("/legacy/"))
            .map(str::to_owned)
    });
    for part in ["POST", "200", "api-token", "deciding_us"] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    assert_eq!(
        server
            .settled_log()
            .lines()
            .filter(|line| line.contains("POST"))
            .count(),
        1,
        "one line for one request"
    );
    assert!(
        !server.settled_log().contains(&token[..60]),
        "no token in the log"
    );

    // Permitted requests are recorded after they were answered.
    let explained = server.wait_for("the decision on record", |server| {
        let explained = server.command_line(&["explain", &id]);
        explained.status.success().then_some(explained.stdout)
    });
    for part in [
        "file:upload",
        "permitted",
        "restrict-routes",
        "require-second-factor",
        "owner-mandate",
        "staged-release",
        "alice",
        "api-token",
        "demo-1.0-py3-none-any.whl",
        "127.0.0.1",
    ] {
        assert!(explained.contains(part), "{part} is not in\n{explained}");
    }
    let json = server.command_line(&["explain", &id, "--json"]).ok().json();
    assert_eq!(json["record"]["context"]["action"], "file:upload");
    assert_eq!(
        json["record"]["decision"]["policies"]
            .as_array()
            .map(Vec::len),
        Some(4)
    );
    let text = json.to_string();
    assert!(!text.contains(&token[20..60]), "no token in the record");

    let missing = server.command_line(&["explain", "01890a5d-ac96-774b-bcce-b302099a8057"]);
    assert_eq!(missing.status.code(), Some(1));
    // It may be one of many refusals: those beyond a rate are only counted.
    assert!(
        missing.stderr.contains("audit --kind request:refusals"),
        "{}",
        missing.stderr
    );
}

#[test]
fn explain_shows_the_settings_that_decided_then_and_who_chose_them() {
    let mut server = Setup::default().start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    upload_ok(&server, &Package::new("demo", "1.0").wheel(), &token);
    let settings = |more: &[&str]| {
        server
            .command_line(&[&["project", "settings", "demo", "staged-release"][..], more].concat())
            .ok()
    };
    settings(&["mode=automation"]);
    let answer = server.upload(
        &Package::new("demo", "1.1").wheel(),
        Some(&basic_token(&token)),
    );
    assert_eq!(answer.status, 200, "{}", answer.reason);
    let id = answer
        .header("Portcullis-Decision")
        .expect("an upload names its decision")
        .to_owned();
    // A later change decided nothing.
    settings(&["mode=all"]);
    settings(&["--clear"]);
    server
        .command_line(&[
            "policy",
            "apply",
            &shipped_set("strict").display().to_string(),
        ])
        .ok();

    let json = server.wait_for("the decision on record", |server| {
        let explained = server.command_line(&["explain", &id, "--json"]);
        explained
            .status
            .success()
            .then(|| explained.json()["settings"].clone())
    });
    let find = |list: &str, policy: &str, setting: &str| {
        let found = json[list].as_array().and_then(|list| {
            list.iter()
                .find(|one| one["policy"] == policy && one["setting"] == setting)
        });
        found
            .unwrap_or_else(|| panic!("{policy}.{setting} is not in {json:#}"))
            .clone()
    };
    let mode = find("owners", "staged-release", "mode");
    assert_eq!(mode["value"], "automation");
    assert!(
        mode["chosen"].as_str().is_some_and(
            |chosen| chosen.starts_with("chosen 20") && chosen.ends_with("on the command line")
        ),
        "{mode}"
    );
    assert_eq!(
        find("owners", "owner-mandate", "second-factor")["chosen"],
        Value::Null
    );
    assert_eq!(
        find("operators", "restrict-routes", "basic-password")["value"],
        json!([])
    );
    let of_set = json["set"].to_string();
    assert!(
        of_set.contains("set 1 (default) was stored")
            && of_set.contains("was activated")
            && of_set.contains("by the server"),
        "{of_set}"
    );

    let text = server.command_line(&["explain", &id]).ok().stdout;
    assert!(
        text.contains("settings of the project's owners, as they were then"),
        "{text}"
    );
    assert!(
        text.lines().any(|line| line.contains("staged-release")
            && line.contains("chosen 20")
            && line.ends_with("automation")),
        "{text}"
    );
}

#[test]
fn refusals_and_changes_are_in_the_audit_and_the_decisions() {
    let server = Setup::default().start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    upload_ok(&server, &Package::new("demo", "1.0").wheel(), &token);
    let listed = server
        .send(&Request::get("/account/tokens/").header("Authorization", &basic_token(&token)));
    assert_eq!(listed.status, 403, "a token lists no tokens");
    let guess = server.send(
        &Request::get("/account/tokens/").header("Authorization", &tests::basic("alice", "guess")),
    );
    assert_eq!(guess.status, 403);

    let audit = server.command_line(&["audit", "--json"]).ok().stdout;
    for kind in [
        "account:created",
        "account:totp:enrolled",
        "token:created",
        "project:created",
        "file:uploaded",
        "request:refused",
        "policy-set:activated",
    ] {
        assert!(audit.contains(kind), "{kind} is not in the audit:\n{audit}");
    }
    let denied = server
        .command_line(&["decisions", "--outcome", "denied", "--json"])
        .ok()
        .stdout;
    let id = listed
        .header("Portcullis-Decision")
        .expect("a refusal names its decision");
    assert!(denied.contains(id), "{denied}");
    for secret in [&token[20..60], alice.password.as_str(), "guess"] {
        assert!(
            !audit.contains(secret) && !denied.contains(secret),
            "a secret is in the records"
        );
    }
}

#[test]
fn a_password_is_not_looked_at_where_no_policy_could_permit_it() {
    let server = Setup::default().start();
    let alice = server.user("alice");
    // Right and wrong get the same answer: it reveals nothing, and nothing was hashed. Only the
    // decision's id differs, as it does between any two answers.
    let answer = |user: &str, password: &str| {
        let answer = server.send(
            &Request::get("/account/").header("Authorization", &tests::basic(user, password)),
        );
        let (reason, _id) = answer
            .reason
            .split_once(" (decision ")
            .expect("a refusal names its decision");
        (answer.status, reason.to_owned())
    };
    let (right, wrong) = (answer("alice", &alice.password), answer("alice", "wrong"));
    assert_eq!(right, wrong);
    assert_eq!(right.0, 403);
    assert_eq!(answer("nobody", "wrong"), right);
}

#[test]
fn bytes_that_are_no_http_harm_nobody() {
    let server = Setup::default().start();
    for bytes in [
        &b"GET\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /legacy/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nzz\r\n",
    ] {
        if let Ok(answer) = tests::Connection::to(server.address).send_bytes(bytes, false) {
            assert!((400..500).contains(&answer.status), "{bytes:?}: {}", answer.status);
        }
    }
    let long = format!(
        "GET /simple/{} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "a".repeat(100_000)
    );
    if let Ok(answer) = tests::Connection::to(server.address).send_bytes(long.as_bytes(), false) {
        assert!((400..500).contains(&answer.status), "{}", answer.status);
    }
    for path in [
        "/simple/%00/",
        "/simple/%2e%2e%2f%2e%2e/",
        "/files/aa/bb/cc/%2fetc%2fpasswd",
        "/files/../../../../etc/passwd",
        "/simple/%ff%fe/",
        "//etc/passwd",
    ] {
        let answer = server.get(path);
        assert!(
            matches!(answer.status, 301 | 400 | 404),
            "{path}: {}",
            answer.status
        );
        assert!(!answer.text().contains("root:"), "{path}");
    }
    assert_eq!(server.get("/simple/").status, 200);
}

/// Answers each request with this, as the service for breached passwords would; returns its
/// address.
fn answering(body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                match stream.read(&mut byte) {
                    Ok(1) => head.push(byte[0]),
                    _ => break,
                }
            }
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    format!("http://{address}")
}

#[test]
fn the_command_line_sets_no_breached_password_unless_told_to() {
    let server = Setup::default().start();
    // The SHA-1 of the password below without its first five characters.
    let service = answering("09F6AEFF6DD7C2FACFDD027FA1B3833215B:12\r\n");
    let variables = [("PORTCULLIS_BREACH_CHECK_URL", service.as_str())];
    let run = |arguments: &[&str], password: &str| {
        server
            .setup
            .command_line_with_input(arguments, &format!("{password}\n"), &variables)
    };
    let breached = "trombone lantern gravel 1994";
    let create = ["user", "create", "carla", "--password-stdin"];
    let refused = run(&create, breached);
    assert!(
        !refused.status.success()
            && refused.stderr.contains("--allow-breached")
            && !refused.stderr.contains(breached),
        "{}",
        refused.stderr
    );
    run(&create, "marble otter canyon 64 sails").ok();
    let set = ["user", "set-password", "carla", "--password-stdin"];
    assert!(!run(&set, breached).status.success());
    run(&[&set[..], &["--allow-breached"]].concat(), breached).ok();
}

#[test]
fn a_server_without_staff_prints_a_link_at_each_start_whoever_registered() {
    let setup = Setup::default();
    let print = |is_expected: bool| {
        let mut server = setup.clone().start();
        // A server that answers `/health` has already printed all of this.
        server.get("/health");
        if is_expected {
            server.wait_for("the link", |server| {
                server.log().contains("/first-user?link=").then_some(())
            });
        }
        assert_eq!(
            server.log().contains("This registry has no staff yet."),
            is_expected,
            "{}",
            server.log()
        );
        server
    };
    let server = print(true);
    server
        .command_line(&["user", "create", "stranger", "--no-password"])
        .ok();
    assert!(server.stop().success());
    let server = print(true);
    server
        .command_line(&["user", "create", "operator", "--no-password", "--staff"])
        .ok();
    server
        .command_line(&["user", "staff", "operator", "off"])
        .ok();
    assert!(server.stop().success());
    print(false).stop();
}
