//! What an operator sees: health, numbers, the log, decisions explained.

use tests::{Package, Request, Setup, basic_token};

use crate::tools::upload_ok;

#[test]
fn health_says_alive_and_ready() {
    let server = Setup::default().start();
    assert_eq!(server.get("/health").json()["status"], "alive");
    let ready = server.get("/health?ready").json();
    assert_eq!(ready["status"], "ready");
    assert_eq!(ready["policy_set"], 1);
}

#[test]
fn metrics_count_requests_and_decisions_and_are_not_for_strangers() {
    let server = Setup::default().flag("--trusted-proxies", "127.0.0.1").start();
    for _ in 0..5 {
        server.get("/simple/");
    }
    let text = server.get("/metrics").text();
    let counted = text.lines().find(|line| line.starts_with("portcullis_requests_total") && line.contains("\"/simple/\"") && line.contains("200"));
    assert!(counted.is_some_and(|line| line.ends_with(" 5")), "{text}");
    assert!(text.lines().any(|line| line.contains("decision") && line.ends_with(" 5") && !line.starts_with('#')), "decisions are counted:\n{text}");
    let stranger = server.send(&Request::get("/metrics").header("X-Forwarded-For", "203.0.113.9"));
    assert_eq!(stranger.status, 403);
}

#[test]
fn each_request_leaves_one_line_and_its_decision_can_be_explained() {
    let mut server = Setup::default().start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    let answer = server.upload(&Package::new("demo", "1.0").wheel(), Some(&basic_token(&token)));
    assert_eq!(answer.status, 200);
    let id = answer.header("Portcullis-Decision").expect("an upload names its decision").to_owned();
    let line = server.wait_for("the log line", |server| server.log().lines().find(|line| line.contains(&id) && line.contains("/legacy/")).map(str::to_owned));
    for part in ["POST", "200", "api-token", "deciding_us"] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    assert_eq!(server.log().lines().filter(|line| line.contains("POST")).count(), 1, "one line for one request");
    assert!(!server.log().contains(&token[..60]), "no token in the log");

    let explained = server.command_line(&["explain", &id]).ok().stdout;
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
    assert_eq!(json["record"]["decision"]["policies"].as_array().map(Vec::len), Some(4));
    let text = json.to_string();
    assert!(!text.contains(&token[20..60]), "no token in the record");

    let missing = server.command_line(&["explain", "01890a5d-ac96-774b-bcce-b302099a8057"]);
    assert_eq!(missing.status.code(), Some(1));
}

#[test]
fn refusals_and_changes_are_in_the_audit_and_the_decisions() {
    let server = Setup::default().start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    upload_ok(&server, &Package::new("demo", "1.0").wheel(), &token);
    let read = server.send(&Request::get("/simple/demo/").header("Authorization", &basic_token(&token)));
    assert_eq!(read.status, 403, "a token reads nothing");
    let guess = server.send(&Request::get("/simple/demo/").header("Authorization", &tests::basic("alice", "guess")));
    assert_eq!(guess.status, 403);

    let audit = server.command_line(&["audit", "--json"]).ok().stdout;
    for kind in ["account:created", "account:totp:enrolled", "token:created", "project:created", "file:uploaded", "request:refused", "policy-set:activated"] {
        assert!(audit.contains(kind), "{kind} is not in the audit:\n{audit}");
    }
    let denied = server.command_line(&["decisions", "--outcome", "denied", "--json"]).ok().stdout;
    let id = read.header("Portcullis-Decision").expect("a refusal names its decision");
    assert!(denied.contains(id), "{denied}");
    for secret in [&token[20..60], alice.password.as_str(), "guess"] {
        assert!(!audit.contains(secret) && !denied.contains(secret), "a secret is in the records");
    }
}

#[test]
fn a_password_is_not_looked_at_where_no_policy_could_permit_it() {
    let server = Setup::default().start();
    let alice = server.user("alice");
    // Right and wrong get the same answer: nothing can be learned, and nothing was hashed.
    // Only the decision's id differs, as it does between any two answers.
    let answer = |user: &str, password: &str| {
        let answer = server.send(&Request::get("/simple/").header("Authorization", &tests::basic(user, password)));
        let (reason, _id) = answer.reason.split_once(" (decision ").expect("a refusal names its decision");
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
    let long = format!("GET /simple/{} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "a".repeat(100_000));
    if let Ok(answer) = tests::Connection::to(server.address).send_bytes(long.as_bytes(), false) {
        assert!((400..500).contains(&answer.status), "{}", answer.status);
    }
    for path in
        ["/simple/%00/", "/simple/%2e%2e%2f%2e%2e/", "/files/aa/bb/cc/%2fetc%2fpasswd", "/files/../../../../etc/passwd", "/simple/%ff%fe/", "//etc/passwd"]
    {
        let answer = server.get(path);
        assert!(matches!(answer.status, 301 | 400 | 404), "{path}: {}", answer.status);
        assert!(!answer.text().contains("root:"), "{path}");
    }
    assert_eq!(server.get("/simple/").status, 200);
}
