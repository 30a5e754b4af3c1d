//! One-time codes, sent to two server processes that share a PostgreSQL database: by a browser's
//! log-in and by the call with password and code, in any order and at the same moment.

use std::cell::Cell;
use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tests::postgres::new_database;
use tests::{Connection, Distribution, Package, Request, Server, Setup, User};

use crate::tools::upload_ok;

/// One submission of a code.
#[derive(Clone, Debug)]
struct Submission {
    /// The server that it is sent to.
    server: usize,
    /// Whether a browser logs in with it; otherwise a call with password and code.
    by_browser: bool,
    /// The code's time step, counted from now.
    step: i64,
    /// Whether it is sent at the same moment as the one before it.
    at_once: bool,
}

fn submission() -> impl Strategy<Value = Submission> {
    // One of the three valid steps, most often the current one.
    let step = prop_oneof![3 => Just(0_i64), 1 => Just(-1_i64), 1 => Just(1_i64)];
    (0..2_usize, any::<bool>(), step, prop::bool::weighted(0.7)).prop_map(
        |(server, by_browser, step, at_once)| Submission {
            server,
            by_browser,
            step,
            at_once,
        },
    )
}

#[test]
fn no_sequence_of_submissions_to_two_processes_accepts_a_time_step_twice() {
    let Some(database) = new_database() else {
        return;
    };
    let setup = Setup::default()
        .database(&database.url)
        .flag("--trusted-proxies", "127.0.0.1");
    let servers = [setup.clone().start(), setup.start()];
    let owner = servers[0].user("owner");
    let token = servers[0].setup.token(&owner, &["--account"]);
    upload_ok(&servers[0], &Package::new("shared", "1.0").wheel(), &token);
    servers[0]
        .command_line(&[
            "project",
            "settings",
            "shared",
            "staged-release",
            "mode=automation",
        ])
        .ok();

    let (persons, accepted_in_all) = (Cell::new(0), Cell::new(0));
    let mut runner = TestRunner::new(Config {
        cases: 16,
        max_shrink_iters: 0,
        failure_persistence: None,
        ..Config::default()
    });
    // Fewer than a person may get wrong in five minutes.
    runner
        .run(&prop::collection::vec(submission(), 2..=5), |submissions| {
            // A new person for each sequence, so that codes used by others do not matter.
            let person = persons.get() + 1;
            persons.set(person);
            let user = servers[0].user(&format!("person{person}"));
            servers[0]
                .command_line(&["project", "role", "shared", &user.name, "maintainer"])
                .ok();
            // Only an action uses up a code, so each call has something to reject.
            for (number, _) in submissions
                .iter()
                .enumerate()
                .filter(|(_, submission)| !submission.by_browser)
            {
                let wheel = staged_for(person, number);
                let answer = servers[0].upload(&wheel, Some(&tests::basic_token(&token)));
                assert_eq!(answer.status, 200, "{}", answer.text());
            }
            let device = servers[0].known_command_line(&user);
            let accepted = accepted_steps(&servers, &user, person, &submissions, &device);
            for (step, times) in &accepted {
                prop_assert!(
                    *times <= 1,
                    "the step {step} was accepted {times} times: {submissions:?}"
                );
            }
            accepted_in_all.set(accepted_in_all.get() + accepted.len());
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    // Otherwise the test would prove nothing: everything may have been refused for another reason.
    let accepted = accepted_in_all.get();
    assert!(
        accepted >= 16,
        "of 16 sequences each has a code that counts, and {accepted} were accepted"
    );
}

/// How often each time step was accepted.
fn accepted_steps(
    servers: &[Server; 2],
    user: &User,
    person: u32,
    submissions: &[Submission],
    device: &str,
) -> BTreeMap<i64, usize> {
    let authenticator = user.authenticator.as_ref().expect("the person has an app");
    // Computed before anything is sent: a code belongs to one step whenever it arrives.
    let codes = authenticator.codes_from_now(submissions.iter().map(|submission| submission.step));
    let mut accepted = BTreeMap::new();
    let mut next = 0;
    while next < submissions.len() {
        let together = 1 + submissions[next + 1..]
            .iter()
            .take_while(|submission| submission.at_once)
            .count();
        let group: Vec<(i64, bool)> = std::thread::scope(|scope| {
            let sent: Vec<_> = (next..next + together)
                .map(|number| {
                    let (submission, code) = (&submissions[number], &codes[number]);
                    let wheel = staged_for(person, number);
                    scope.spawn(move || {
                        (
                            submission.step,
                            submission.is_accepted(
                                &servers[submission.server],
                                user,
                                person,
                                code,
                                device,
                                &wheel,
                            ),
                        )
                    })
                })
                .collect();
            sent.into_iter()
                .map(|sent| sent.join().expect("a submission ends"))
                .collect()
        });
        for (step, _) in group.into_iter().filter(|(_, is_accepted)| *is_accepted) {
            *accepted.entry(step).or_default() += 1;
        }
        next += together;
    }
    accepted
}

/// The release that a call of this person rejects.
fn staged_for(person: u32, number: usize) -> Distribution {
    Package::new("shared", &format!("2.{person}.{number}")).wheel()
}

impl Submission {
    fn is_accepted(
        &self,
        server: &Server,
        user: &User,
        person: u32,
        code: &str,
        device: &str,
        wheel: &Distribution,
    ) -> bool {
        // An address for each person, so that failures of one do not count for another.
        let place = format!("10.9.{}.{}", person / 250, 1 + person % 250);
        if !self.by_browser {
            let version = wheel.file_name.split('-').nth(1).expect("a version");
            let sha256 = wheel.sha256();
            let files = serde_json::json!({ wheel.file_name.as_str(): sha256 });
            let proof = serde_json::json!({ "user": user.name, "password": user.password, "totp": code, "device": device, "files": files });
            let request = Request::new(
                "POST",
                &format!("/api/projects/shared/releases/{version}/reject"),
            )
            .header("X-Forwarded-For", &place);
            return server
                .send(&request.body("application/json", proof.to_string().into_bytes()))
                .status
                == 200;
        }
        let mut connection = Connection::to(server.address);
        let origin = format!("http://localhost:{}", server.address.port());
        let mut post = |path: &str, form: String, cookie: &str| {
            let request = Request::new("POST", path)
                .header("Origin", &origin)
                .header("X-Forwarded-For", &place)
                .header("Cookie", cookie);
            connection
                .send(&request.body("application/x-www-form-urlencoded", form.into_bytes()))
                .expect("the server answers")
        };
        let first = post(
            "/login",
            format!(
                "user={}&password={}",
                user.name,
                user.password.replace(' ', "+")
            ),
            "none=none",
        );
        assert_eq!(
            first.status,
            303,
            "the password alone leads to the second step: {}",
            first.text()
        );
        let cookie = first
            .header("Set-Cookie")
            .and_then(|cookie| cookie.split(';').next())
            .expect("the second step has a cookie")
            .to_owned();
        // A valid code from an unknown browser is answered with a page: check your mail.
        let second = post("/login/factor", format!("factor=totp&code={code}"), &cookie);
        matches!(second.status, 200 | 303)
    }
}
