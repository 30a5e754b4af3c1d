//! Policy sets replaced while the server runs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tests::server::PATIENCE;
use tests::{
    Connection, Package, Request, Server, Setup, basic_token, shipped_set, upload_request,
};

use crate::tools::{SetFolder, binding, default_bindings, upload_ok};

/// A set under which no one reads without a credential and no token uploads.
fn closed_set() -> SetFolder {
    let settings = "[binding.settings]\nnone = [\"session:start\"]\napi-token = []\n";
    SetFolder::new(
        "closed",
        &binding("restrict-routes", "restrict-routes.wasm", settings),
    )
}

#[test]
fn swapping_sets_200_times_under_load_loses_and_misdecides_nothing() {
    const SWAPS: u64 = 200;
    let server = Setup::default().flag("--log", "warn").start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    upload_ok(&server, &Package::new("steady", "1.0").wheel(), &token);
    let file = Package::new("steady", "1.0").wheel().path();
    let closed = closed_set();
    let default = shipped_set("default").display().to_string();

    // Odd numbers of the history are the default set, even ones the closed set: equal sets
    // keep their number, so there are exactly two.
    let (open_set, closed_set) = (1, 2);
    let done = AtomicBool::new(false);
    let counts: [AtomicU64; 4] = Default::default();
    let check = |answer: &tests::Response, is_upload: bool, what: &str| {
        let set = answer
            .policy_set()
            .unwrap_or_else(|| panic!("{what} names no set: {} {}", answer.status, answer.reason));
        // Without a credential, a read that needs one is challenged.
        let expected = match (set == open_set, is_upload) {
            (true, _) => 200,
            (false, true) => 403,
            (false, false) => 401,
        };
        assert!(
            set == open_set || set == closed_set,
            "{what} names set {set}"
        );
        assert_eq!(
            answer.status,
            expected,
            "{what} under set {set}: {} {}",
            answer.reason,
            answer.text()
        );
        counts[usize::from(is_upload) * 2 + usize::from(set == closed_set)]
            .fetch_add(1, Ordering::Relaxed);
    };
    std::thread::scope(|scope| {
        for reader in 0..2 {
            let (done, check, file) = (&done, &check, &file);
            let address = server.address;
            scope.spawn(move || {
                let mut connection = Connection::to(address);
                let paths = [
                    "/simple/steady/",
                    file.as_str(),
                    "/simple/",
                    "/pypi/steady/json",
                ];
                for path in paths.iter().cycle().skip(reader) {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    check(
                        &connection
                            .send(&Request::get(path))
                            .expect("no request is lost"),
                        false,
                        path,
                    );
                }
            });
        }
        {
            let (done, check, token) = (&done, &check, &token);
            let address = server.address;
            scope.spawn(move || {
                let mut connection = Connection::to(address);
                for number in 0.. {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    let upload = upload_request(
                        &Package::new("moving", &format!("0.{number}"))
                            .with_payload(20_000)
                            .wheel(),
                        Some(&basic_token(token)),
                    );
                    check(
                        &connection.send(&upload).expect("no request is lost"),
                        true,
                        "an upload",
                    );
                }
            });
        }
        let swapping = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for swap in 0..SWAPS {
                let folder = if swap % 2 == 0 {
                    closed.text()
                } else {
                    default.clone()
                };
                server.command_line(&["policy", "apply", &folder]).ok();
            }
        }));
        done.store(true, Ordering::Relaxed);
        swapping.expect("every set is applied");
    });
    let counts: Vec<u64> = counts
        .iter()
        .map(|count| count.load(Ordering::Relaxed))
        .collect();
    assert!(
        counts.iter().all(|count| *count > 50),
        "reads and uploads met both sets: {counts:?}"
    );

    // Everything that was answered 200 is there, and nothing else.
    assert_eq!(
        server.get("/simple/moving/").text().matches("</a>").count() as u64,
        counts[2]
    );
    let history = server
        .command_line(&["policy", "history", "--limit", "1000", "--json"])
        .ok()
        .json();
    let activations = history
        .as_array()
        .or_else(|| history["activations"].as_array())
        .map_or(0, Vec::len);
    assert_eq!(activations as u64, SWAPS + 1);
    assert_every_row_was_written_under_the_set_that_decided(&server);
}

/// Audit events are written in the transaction of their change, and SQLite has one writer: their
/// order is that of the commits.
fn assert_every_row_was_written_under_the_set_that_decided(server: &Server) {
    let events = server
        .command_line(&["audit", "--limit", "1000000", "--json"])
        .ok()
        .json();
    let (mut active, mut stored) = (None, 0);
    for event in events.as_array().expect("a list of events").iter().rev() {
        match event["event"].as_str().expect("an event has a kind") {
            "policy-set:activated" | "policy-set:rolled-back" => {
                active = event["detail"]["set"].as_u64()
            }
            "file:uploaded" | "file:staged" | "project:created" => {
                stored += 1;
                assert_eq!(event["detail"]["set"].as_u64(), active, "{event}");
            }
            _ => {}
        }
    }
    assert!(stored > 0, "something was stored");
}

/// An upload of which the server has the first half.
struct Trickle {
    stream: std::net::TcpStream,
    rest: Vec<u8>,
}

impl Trickle {
    fn begin(server: &mut Server, package: &str, token: &str) -> Self {
        use std::io::Write;
        let upload = upload_request(
            &Package::new(package, "1.0").with_payload(50_000).wheel(),
            Some(&basic_token(token)),
        );
        let bytes = upload.header("Connection", "close").encode(server.address);
        let mut stream = std::net::TcpStream::connect(server.address).expect("the server listens");
        let (first, rest) = bytes.split_at(bytes.len() / 2);
        stream.write_all(first).expect("the first half is sent");
        // The server has the request's head before the set is replaced.
        server.wait_for("the upload to be under way", |server| {
            server
                .get("/metrics")
                .text()
                .lines()
                .any(|line| {
                    line.starts_with("portcullis_uploads_in_flight") && line.ends_with(" 1")
                })
                .then_some(())
        });
        Self {
            stream,
            rest: rest.to_vec(),
        }
    }

    /// The whole answer.
    fn end(mut self) -> String {
        use std::io::{Read, Write};
        self.stream
            .write_all(&self.rest)
            .expect("the second half is sent");
        let mut answer = String::new();
        self.stream
            .read_to_string(&mut answer)
            .expect("the answer is read");
        answer
    }
}

#[test]
fn an_upload_under_way_is_refused_by_a_set_that_denies_uploads_meanwhile() {
    let mut server = Setup::default().start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    let upload = Trickle::begin(&mut server, "slow", &token);
    let closed = closed_set();
    server
        .command_line(&["policy", "apply", &closed.text()])
        .ok();
    let answer = upload.end();
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(
        answer
            .to_ascii_lowercase()
            .contains("portcullis-policy-set: 2"),
        "{answer}"
    );
    server.command_line(&["policy", "rollback"]).ok();
    assert_eq!(
        server.get("/simple/slow/").status,
        404,
        "nothing was stored"
    );
    assert_eq!(
        server
            .command_line(&["audit", "--kind", "file:uploaded", "--json"])
            .ok()
            .json()
            .as_array()
            .map(Vec::len),
        Some(0)
    );
}

#[test]
fn an_upload_under_way_is_stored_under_the_set_that_serves_at_its_end() {
    let mut server = Setup::default().start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    let upload = Trickle::begin(&mut server, "slow", &token);
    server
        .command_line(&[
            "policy",
            "apply",
            &shipped_set("observe").display().to_string(),
        ])
        .ok();
    let answer = upload.end();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        answer
            .to_ascii_lowercase()
            .contains("portcullis-policy-set: 2"),
        "{answer}"
    );
    assert_eq!(server.get("/simple/slow/").status, 200);
    assert_every_row_was_written_under_the_set_that_decided(&server);
}

#[test]
fn what_the_set_never_permits_is_refused_before_its_body() {
    use std::io::{Read, Write};
    let server = Setup::default().start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    let closed = closed_set();
    server
        .command_line(&["policy", "apply", &closed.text()])
        .ok();
    let upload = upload_request(
        &Package::new("slow", "1.0").with_payload(50_000).wheel(),
        Some(&basic_token(&token)),
    );
    let bytes = upload.header("Connection", "close").encode(server.address);
    let head = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("a head")
        + 4;
    let mut stream = std::net::TcpStream::connect(server.address).expect("the server listens");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("a time can be set");
    stream.write_all(&bytes[..head]).expect("the head is sent");
    let mut answer = [0; 12];
    stream
        .read_exact(&mut answer)
        .expect("an answer, though no byte of the body was sent");
    assert_eq!(&answer, b"HTTP/1.1 403");
}

fn serves(server: &Server, set: u64) -> bool {
    server.get("/simple/").policy_set() == Some(set)
}

#[test]
fn a_set_that_fails_changes_nothing_and_says_why() {
    let server = Setup::default().start();
    for (name, bindings, why) in [
        (
            "no-module",
            binding("absent", "absent.wasm", ""),
            "absent.wasm",
        ),
        (
            "wrong-name",
            binding("another-name", "restrict-routes.wasm", ""),
            "restrict-routes",
        ),
        (
            "wrong-setting",
            binding(
                "restrict-routes",
                "restrict-routes.wasm",
                "[binding.settings]\nno-such-setting = 1\n",
            ),
            "no-such-setting",
        ),
        (
            "wrong-value",
            binding(
                "staged-release",
                "staged-release.wasm",
                "[binding.settings]\nmode = \"sometimes\"\n",
            ),
            "mode",
        ),
        ("no-toml", "this is not toml".to_owned(), "line"),
        (
            "imports-wasi",
            binding("imports-wasi", "imports_wasi.wasm", ""),
            "wasi",
        ),
        (
            "imports-network",
            binding("imports-network", "imports_network.wasm", ""),
            "import",
        ),
        (
            "wrong-world",
            binding("wrong-world", "wrong_world.wasm", ""),
            "wrong_world.wasm",
        ),
        (
            "bad-settings",
            binding("bad-settings", "bad_settings.wasm", ""),
            "bad_settings.wasm",
        ),
        (
            "slow-describe",
            binding("slow-describe", "slow_describe.wasm", ""),
            "slow_describe.wasm",
        ),
    ] {
        let set = SetFolder::new(name, &bindings);
        let output = server.command_line(&["policy", "apply", &set.text()]);
        assert_eq!(output.status.code(), Some(1), "{name}: {}", output.all());
        assert!(
            output.stderr.contains(why),
            "{name}: expected `{why}` in {}",
            output.stderr
        );
        assert!(serves(&server, 1), "{name}");
    }
    // A failing case is a reason, too.
    let set = SetFolder::new("wrong-case", &default_bindings());
    std::fs::create_dir(set.path().join("cases")).expect("a folder can be made");
    std::fs::write(
        set.path().join("cases/one.toml"),
        "[[case]]\nname = \"tokens read\"\ncaller = \"account-token\"\naction = \"index:read\"\nexpect = \"permit\"\n",
    )
    .expect("a case can be written");
    let output = server.command_line(&["policy", "apply", &set.text()]);
    assert_eq!(output.status.code(), Some(1), "{}", output.all());
    assert!(output.stderr.contains("tokens read"), "{}", output.stderr);
    assert!(serves(&server, 1));
    assert_eq!(
        server
            .command_line(&["policy", "status", "--json"])
            .ok()
            .json()["active"]["set"],
        1
    );
}

#[test]
fn a_rollback_brings_the_earlier_set_back_and_both_are_in_the_history() {
    let server = Setup::default().start();
    assert_eq!(server.get("/simple/").status, 200);
    let closed = closed_set();
    server
        .command_line(&["policy", "apply", &closed.text(), "--reason", "maintenance"])
        .ok();
    assert_eq!(server.get("/simple/").status, 401);
    server
        .command_line(&["policy", "rollback", "--reason", "enough"])
        .ok();
    assert_eq!(server.get("/simple/").status, 200);
    assert!(serves(&server, 1));
    server
        .command_line(&["policy", "rollback", "--to", "2"])
        .ok();
    assert!(serves(&server, 2));
    assert_eq!(
        server
            .command_line(&["policy", "rollback", "--to", "99"])
            .status
            .code(),
        Some(1)
    );
    // Nothing was done, so nothing says that it was.
    let decisions = server
        .command_line(&["decisions", "--outcome", "break-glass", "--json"])
        .ok()
        .json();
    let activations = decisions
        .as_array()
        .unwrap()
        .iter()
        .filter(|decision| decision["action"] == "policy-set:activate");
    assert_eq!(activations.count(), 3, "{decisions}");
    let history = server.command_line(&["policy", "history"]).ok().stdout;
    for word in ["maintenance", "enough", "rollback", "apply"] {
        assert!(history.contains(word), "{word} is not in {history}");
    }

    // The choice outlives the process.
    let setup = server.setup.clone();
    assert!(server.stop().success());
    let server = setup.start();
    assert!(serves(&server, 2));
    assert_eq!(server.get("/simple/").status, 401);
}

#[test]
fn the_strict_and_observing_sets_do_what_they_say() {
    let server = Setup::default().start();
    let alice = server.user("alice");
    let account = server.setup.token(&alice, &["--account"]);
    upload_ok(&server, &Package::new("demo", "1.0").wheel(), &account);

    server
        .command_line(&[
            "policy",
            "apply",
            &shipped_set("strict").display().to_string(),
        ])
        .ok();
    let refused = server.upload(
        &Package::new("demo", "1.1").wheel(),
        Some(&basic_token(&account)),
    );
    assert_eq!(
        refused.status, 403,
        "no account-wide tokens: {}",
        refused.reason
    );

    server
        .command_line(&[
            "policy",
            "apply",
            &shipped_set("observe").display().to_string(),
        ])
        .ok();
    upload_ok(&server, &Package::new("demo", "1.1").wheel(), &account);
    assert!(
        server.get("/simple/demo/").text().contains("demo-1.1"),
        "observing holds nothing back"
    );
}
