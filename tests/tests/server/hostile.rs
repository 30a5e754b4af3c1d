//! Policies that misbehave in a running server harm only the requests that they decide about.

use std::time::{Duration, Instant};

use tests::{Connection, Package, Request, Setup, basic_token};

use crate::tools::{SetFolder, binding, default_bindings};

/// Guests that cannot answer, and the text that the log must contain.
const BROKEN: [(&str, &str); 6] = [
    ("endless-loop", "endless_loop.wasm"),
    ("endless-recursion", "endless_recursion.wasm"),
    ("memory-grabber", "memory_grabber.wasm"),
    ("huge-output", "huge_output.wasm"),
    ("log-flood", "log_flood.wasm"),
    ("trap", "trap.wasm"),
];

#[test]
fn a_policy_that_misbehaves_fails_its_requests_and_no_others() {
    let server = Setup::default().start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    for (policy, module) in BROKEN {
        let set = SetFolder::new(
            policy,
            &format!(
                "{}{}",
                default_bindings(),
                binding(policy, module, "actions = [\"file:upload\"]\n")
            ),
        );
        server
            .command_line(&["policy", "apply", &set.text(), "--allow-lockout"])
            .ok();
        let before = server.settled_log().len();
        std::thread::scope(|scope| {
            let uploads: Vec<_> = (0..2)
                .map(|thread| {
                    let (server, token) = (&server, &token);
                    scope.spawn(move || {
                        for number in 0..5 {
                            let answer = server.upload(
                                &Package::new("victim", &format!("{thread}.{number}")).wheel(),
                                Some(&basic_token(token)),
                            );
                            assert_eq!(
                                answer.status,
                                503,
                                "{policy}: an error, not a refusal: {} {}",
                                answer.reason,
                                answer.text()
                            );
                            assert!(
                                answer.header("Retry-After").is_some(),
                                "{policy}: a client may try again"
                            );
                        }
                    })
                })
                .collect();
            let mut slowest = Duration::ZERO;
            let mut reads = 0;
            let mut connection = Connection::to(server.address);
            while reads < 20 || uploads.iter().any(|upload| !upload.is_finished()) {
                let start = Instant::now();
                assert_eq!(
                    connection
                        .send(&Request::get("/simple/"))
                        .expect("a page is served")
                        .status,
                    200,
                    "{policy}"
                );
                slowest = slowest.max(start.elapsed());
                reads += 1;
            }
            // Ten milliseconds of budget on each of two threads, on a very busy test machine;
            // behind an endless loop that is not stopped, a page would wait forever.
            assert!(
                slowest < Duration::from_secs(10),
                "{policy}: a page took {slowest:?}"
            );
        });
        let log = server.settled_log_since(before);
        assert!(
            log.contains(policy),
            "{policy} is not named in the log:\n{log}"
        );
        assert_eq!(
            server.get("/simple/victim/").status,
            404,
            "{policy}: nothing was stored"
        );
    }
    server
        .command_line(&["policy", "rollback", "--to", "1"])
        .ok();
    crate::tools::upload_ok(&server, &Package::new("victim", "1.0").wheel(), &token);
}

#[test]
fn an_obligation_nobody_knows_is_a_refusal() {
    let server = Setup::default().start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    let set = SetFolder::new(
        "unknown",
        &format!(
            "{}{}",
            default_bindings(),
            binding(
                "unknown-obligation",
                "unknown_obligation.wasm",
                "actions = [\"file:upload\"]\n"
            )
        ),
    );
    server.command_line(&["policy", "apply", &set.text()]).ok();
    let answer = server.upload(
        &Package::new("victim", "1.0").wheel(),
        Some(&basic_token(&token)),
    );
    assert_eq!(answer.status, 403, "{} {}", answer.reason, answer.text());
    assert_eq!(server.get("/simple/victim/").status, 404);
}

#[test]
fn a_policy_that_is_only_observed_refuses_nobody_however_it_fails() {
    let server = Setup::default().start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    let set = SetFolder::new(
        "observed",
        &format!(
            "{}{}{}",
            default_bindings(),
            binding("trap", "trap.wasm", "grade = \"observe\"\n"),
            binding("deny-all", "deny_all.wasm", "grade = \"warn\"\n")
        ),
    );
    server
        .command_line(&["policy", "apply", &set.text(), "--allow-lockout"])
        .ok();
    crate::tools::upload_ok(&server, &Package::new("free", "1.0").wheel(), &token);
    assert_eq!(server.get("/simple/free/").status, 200);
}

#[test]
fn a_set_in_which_nobody_permits_refuses_everything_decided() {
    let server = Setup::default().start();
    let set = SetFolder::new(
        "silent",
        &binding("staged-release", "staged-release.wasm", ""),
    );
    assert_eq!(server.get("/simple/").status, 200);
    server
        .command_line(&["policy", "apply", &set.text(), "--allow-lockout"])
        .ok();
    let answer = server.get("/simple/");
    assert_eq!(answer.status, 401, "{}", answer.reason);
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn check_a_dry_run_and_apply_refuse_the_same_sets_with_the_same_words() {
    let server = Setup::default().start();
    let routes = |settings: &str| {
        binding(
            "restrict-routes",
            "restrict-routes.wasm",
            &format!("[binding.settings]\n{settings}\n"),
        )
    };
    let with = |policy: &str, module: &str, more: &str| {
        format!("{}{}", default_bindings(), binding(policy, module, more))
    };
    for (name, bindings, why) in [
        (
            "traps",
            with("trap", "trap.wasm", ""),
            "policy `trap` (in grade enforce) trapped",
        ),
        (
            "traps-on-trial",
            with("trap", "trap.wasm", "grade = \"observe\"\n"),
            "policy `trap` (in grade observe) trapped",
        ),
        (
            "never-ends",
            with(
                "endless-loop",
                "endless_loop.wasm",
                "actions = [\"file:upload\"]\n",
            ),
            "every caller: file:upload",
        ),
        (
            "nobody-permits",
            binding("staged-release", "staged-release.wasm", ""),
            "nobody could read the index (index:read)",
        ),
        // Publishers are left, but no one can become one.
        (
            "publishers-alone",
            routes("none = []\nsession = []\napi-token = []"),
            "nobody could log in (session:start)",
        ),
        (
            "no-way-back",
            routes("session = [\"index:read\", \"file:download\", \"session:start\"]"),
            "nobody could activate the next policy set",
        ),
    ] {
        let set = SetFolder::new(name, &bindings);
        let commands: [&[&str]; 3] = [
            &["policy", "check"],
            &["policy", "apply", "--dry-run"],
            &["policy", "apply"],
        ];
        let said = commands.map(|command| {
            let output = server.command_line(&[command, &[&*set.text()]].concat());
            assert_eq!(
                output.status.code(),
                Some(1),
                "{name}: {command:?}: {}",
                output.all()
            );
            output.stderr
        });
        assert!(
            said[0].contains(why) && said[0].contains("--allow-lockout"),
            "{name}: expected `{why}` in {}",
            said[0]
        );
        assert!(
            said.iter().all(|text| *text == said[0]),
            "{name}: {said:#?}"
        );
        let json = server
            .command_line(&["policy", "check", &set.text(), "--json"])
            .json();
        assert_eq!(json["refused"], true, "{name}: {json}");
        assert!(
            ["failures", "lockouts"]
                .iter()
                .any(|list| json[list].as_array().is_some_and(|list| !list.is_empty())),
            "{name}: {json}"
        );
        for command in commands.into_iter().take(2) {
            let output = server
                .command_line(&[command, &[&*set.text(), "--allow-lockout"][..]].concat())
                .ok();
            assert!(
                output.stderr.contains(why) && output.stderr.contains("note: The set has no cases"),
                "{name}: {}",
                output.stderr
            );
        }
    }
    assert_eq!(
        server
            .command_line(&["policy", "status", "--json"])
            .ok()
            .json()["active"]["set"],
        1
    );
    // A freeze may be intended: it is reported, and applied.
    let frozen = SetFolder::new("frozen", &routes("api-token = []"));
    let output = server
        .command_line(&["policy", "apply", &frozen.text()])
        .ok();
    assert!(
        output
            .stderr
            .contains("note: Nobody could upload a file (file:upload) under this set."),
        "{}",
        output.stderr
    );
}
