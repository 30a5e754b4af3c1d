//! Whether response times reveal to a stranger that an account exists: logging in with a wrong
//! password, requesting a new password, registering. Known and unknown accounts alternate, 200 runs
//! of each, against one server.
//!
//! The difference of the two medians is compared with pure chance on the same runs: their labels
//! are shuffled many times, and the difference is computed each time. Fails if it distinguishes
//! known from unknown, or if status or text differ.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks")]

use std::time::{Duration, Instant};

use anyhow::ensure;
use bench::measure::print_table;
use serde_json::json;
use tests::{Connection, Request, Response, Server, Setup};

/// Runs for known and as many for unknown accounts.
const RUNS: usize = 200;
/// How often labels are shuffled.
const SHUFFLES: usize = 10_000;
/// Share of the shuffled differences that may exceed the noise level.
const CHANCE: f64 = 0.001;

fn main() -> anyhow::Result<()> {
    let as_json = std::env::args().any(|argument| argument == "--json");
    // A stranger has to wait after a few attempts, so these come from many addresses.
    let server = Setup::default()
        .flag("--trusted-proxies", "127.0.0.1")
        .start();
    eprintln!("creating {RUNS} users");
    for number in 0..RUNS {
        server.setup.user_without_factor(&known(number));
    }
    let mut asked = Vec::new();
    for question in [
        Question {
            what: "log in, wrong password",
            path: "/login",
            form: |account| format!("user={account}&password=not-the-right-one"),
        },
        // In a form other than the one for comparing passwords: one more hash, for known and
        // unknown alike.
        Question {
            what: "log in, wrong password, decomposed letters",
            path: "/login",
            form: |account| format!("user={account}&password=not-the-right-one-cre%CC%80me"),
        },
        Question {
            what: "ask for a new password",
            path: "/password/forgot",
            form: |account| format!("user={account}%40example.org"),
        },
        Question {
            what: "register an address",
            path: "/register",
            form: |account| {
                format!(
                    "user-name=new-{account}&email={account}%40example.org&password=seven+lamps+under+the+bridge"
                )
            },
        },
    ] {
        eprintln!("{}: {} runs", question.what, 2 * RUNS);
        asked.push((question.what, question.ask(&server)?));
    }

    if as_json {
        let rows: Vec<_> = asked
            .iter()
            .map(|(what, Told { known_ms, unknown_ms, difference_ms, noise_ms })| {
                json!({"what": what, "known_ms": known_ms, "unknown_ms": unknown_ms, "difference_ms": difference_ms, "noise_ms": noise_ms})
            })
            .collect();
        println!(
            "{}",
            json!({"bench": "timing", "runs": RUNS, "compared": rows})
        );
    } else {
        println!(
            "\nanswers for known and unknown accounts, {RUNS} runs each, medians in milliseconds"
        );
        let mut table = vec![
            ["", "known", "unknown", "difference", "noise"]
                .map(str::to_owned)
                .to_vec(),
        ];
        table.extend(asked.iter().map(|(what, told)| {
            vec![
                (*what).to_owned(),
                format!("{:.2}", told.known_ms),
                format!("{:.2}", told.unknown_ms),
                format!("{:.2}", told.difference_ms),
                format!("{:.2}", told.noise_ms),
            ]
        }));
        print_table(&table);
    }
    let telling: Vec<&str> = asked
        .iter()
        .filter(|(_, told)| told.difference_ms > told.noise_ms)
        .map(|(what, _)| *what)
        .collect();
    ensure!(
        telling.is_empty(),
        "the time tells known from unknown accounts: {}",
        telling.join(", ")
    );
    Ok(())
}

fn known(number: usize) -> String {
    format!("known{number:03}")
}

fn unknown(number: usize) -> String {
    format!("other{number:03}")
}

/// A stranger's request about an account.
struct Question {
    what: &'static str,
    path: &'static str,
    /// The form, for the name of an account.
    form: fn(&str) -> String,
}

/// The result of the timings.
struct Told {
    known_ms: f64,
    unknown_ms: f64,
    difference_ms: f64,
    /// The difference stays below this by chance.
    noise_ms: f64,
}

impl Question {
    fn ask(&self, server: &Server) -> anyhow::Result<Told> {
        let mut connection = Connection::to(server.address);
        let origin = format!("http://localhost:{}", server.address.port());
        let mut times = [Vec::with_capacity(RUNS), Vec::with_capacity(RUNS)];
        let mut said: Option<String> = None;
        for number in 0..RUNS {
            // The order alternates, so that neither profits from the other.
            for turn in 0..2 {
                let side = (turn + number) % 2;
                let account = if side == 0 {
                    known(number)
                } else {
                    unknown(number)
                };
                let place = format!("10.{}.{}.{}", 1 + self.what.len(), number % 250, 1 + side);
                let request = Request::new("POST", self.path)
                    .header("Origin", &origin)
                    .header("Sec-Fetch-Site", "same-origin")
                    .header("Accept", "text/html")
                    .header("X-Forwarded-For", &place)
                    .body(
                        "application/x-www-form-urlencoded",
                        (self.form)(&account).into_bytes(),
                    );
                let start = Instant::now();
                let answer = connection.send(&request)?;
                times[side].push(start.elapsed());
                let text = without_names(&answer, &account);
                ensure!(
                    said.get_or_insert_with(|| text.clone()) == &text,
                    "{}: answers differ:\n{}\n{text}",
                    self.what,
                    said.unwrap_or_default()
                );
            }
        }
        Ok(Told::of(&times))
    }
}

/// Status and page, without the typed text and the ids of decisions.
fn without_names(answer: &Response, account: &str) -> String {
    let text = answer.text().replace(account, "…");
    let words: Vec<&str> = text
        .split_whitespace()
        .map(|word| {
            if word.matches('-').count() >= 4 && word.len() > 30 {
                "…"
            } else {
                word
            }
        })
        .collect();
    format!(
        "{} {} {}",
        answer.status,
        answer.header("Location").unwrap_or(""),
        words.join(" ")
    )
}

impl Told {
    fn of([known, unknown]: &[Vec<Duration>; 2]) -> Self {
        let milliseconds = |times: &[Duration]| -> Vec<f64> {
            times
                .iter()
                .map(|time| time.as_secs_f64() * 1000.0)
                .collect()
        };
        let (known, unknown) = (milliseconds(known), milliseconds(unknown));
        let mut together = [known.clone(), unknown.clone()].concat();
        let mut random = Shuffle(0x9e37_79b9_7f4a_7c15);
        let mut differences: Vec<f64> = (0..SHUFFLES)
            .map(|_| {
                random.shuffle(&mut together);
                let (one, other) = together.split_at(known.len());
                (median(one) - median(other)).abs()
            })
            .collect();
        differences.sort_by(f64::total_cmp);
        let noise_ms = differences[((SHUFFLES as f64) * (1.0 - CHANCE)) as usize];
        let (known_ms, unknown_ms) = (median(&known), median(&unknown));
        Self {
            known_ms,
            unknown_ms,
            difference_ms: (known_ms - unknown_ms).abs(),
            noise_ms,
        }
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// A small generator (xorshift) with a fixed seed: shuffles are reproducible.
struct Shuffle(u64);

impl Shuffle {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn shuffle(&mut self, values: &mut [f64]) {
        for last in (1..values.len()).rev() {
            let other = (self.next() % (last as u64 + 1)) as usize;
            values.swap(last, other);
        }
    }
}
