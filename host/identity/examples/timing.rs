//! Whether the time that a login or a request for a new password takes tells that an account
//! exists. A report to read, no test: `cargo run -p identity --example timing [runs]`.
//!
//! Each case is run in turn with the others, so that what else the machine does falls on all
//! of them alike. The control is the known account once more: how far its median is from
//! itself is what cannot be told from nothing.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks")]

#[allow(dead_code)]
#[path = "../tests/identity/fixture.rs"]
mod fixture;

use std::time::{Duration, Instant};

use identity::{DisableUser, IdentityConfig, Limits, PasswordHashing, RequestContext, Secret};

use fixture::{Fixture, PASSWORD};

/// What is asked with a name that has an account, and with others.
const CASES: [(&str, &str); 5] = [
    ("known", "ana"),
    ("known again (control)", "ana"),
    ("unknown", "nobody"),
    ("unknown address", "nobody@example.org"),
    ("disabled", "ben"),
];

#[tokio::main]
async fn main() {
    let runs: usize = std::env::args()
        .nth(1)
        .map_or(200, |text| text.parse().expect("the number of runs"));
    let fixture = registry(Duration::ZERO).await;

    report("login with a wrong password", runs, async |name| {
        let password = Secret::new(format!("not {PASSWORD}"));
        let started = Instant::now();
        fixture
            .identity
            .logins()
            .with_password(
                RequestContext::new(&fixture.gate, &fixture.attempt()),
                name,
                password,
                None,
            )
            .await
            .expect_err("the password is wrong");
        started.elapsed()
    })
    .await;
    // In another form than passwords are compared in: one hash more, whoever it is.
    report(
        "login with a wrong password, decomposed letters",
        runs,
        async |name| {
            let password = Secret::new(format!("cre\u{300}me not {PASSWORD}"));
            let started = Instant::now();
            fixture
                .identity
                .logins()
                .with_password(
                    RequestContext::new(&fixture.gate, &fixture.attempt()),
                    name,
                    password,
                    None,
                )
                .await
                .expect_err("the password is wrong");
            started.elapsed()
        },
    )
    .await;
    report(
        "request for a new password, the work alone",
        runs,
        async |name| ask(&fixture, name).await,
    )
    .await;
    // Each takes a tenth of a second.
    let fixture = registry(IdentityConfig::for_host("pypi.example.org").even_answers).await;
    report(
        "request for a new password, as it is answered",
        runs / 5,
        async |name| ask(&fixture, name).await,
    )
    .await;
}

async fn registry(even_answers: Duration) -> Fixture {
    let fixture = Fixture::configured("", |config| {
        config.password_hashing = PasswordHashing::default();
        config.limits = unlimited();
        config.even_answers = even_answers;
    })
    .await;
    let ana = fixture.user("ana").await;
    fixture.enroll(ana).await;
    let ben = fixture.user("ben").await;
    let disable = DisableUser {
        user: ben,
        reason: "test".into(),
    };
    fixture
        .identity
        .accounts()
        .disable(fixture.permit(disable).await)
        .await
        .expect("an account can be disabled");
    fixture
}

async fn ask(fixture: &Fixture, name: &str) -> Duration {
    let started = Instant::now();
    fixture
        .identity
        .passwords()
        .request_reset(RequestContext::new(&fixture.gate, &fixture.attempt()), name)
        .await
        .expect("everybody is answered alike");
    started.elapsed()
}

async fn report(what: &str, runs: usize, run: impl AsyncFn(&str) -> Duration) {
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); CASES.len()];
    for round in 0..runs + 10 {
        for place in 0..CASES.len() {
            // Another one is first each time: whoever follows a slow one is not always the same.
            let case = (place + round) % CASES.len();
            let taken = run(CASES[case].1).await;
            // The first rounds warm up.
            if round >= 10 {
                times[case].push(taken);
            }
        }
    }
    let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
    println!("{what}, {runs} runs each, microseconds");
    println!(
        "{:24} {:>10} {:>10} {:>10} {:>16}",
        "", "quarter", "median", "3 quarters", "median - known"
    );
    let mut known = None;
    for ((name, _), times) in CASES.iter().zip(&mut times) {
        times.sort();
        let at = |quarter: usize| micros(times[(times.len() - 1) * quarter / 4]);
        let reference = *known.get_or_insert(at(2));
        println!(
            "{name:24} {:>10.0} {:>10.0} {:>10.0} {:>+16.0}",
            at(1),
            at(2),
            at(3),
            at(2) - reference
        );
    }
    println!();
}

fn unlimited() -> Limits {
    Limits {
        password_per_user: Vec::new(),
        password_per_address: Vec::new(),
        password_of_all: Vec::new(),
        password_checks: Vec::new(),
        resets_per_user: Vec::new(),
        resets_per_address: Vec::new(),
        refused_per_address: Vec::new(),
        ..Limits::default()
    }
}
