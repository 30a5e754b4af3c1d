//! Builds the program `portcullis` while a person waits: shows what is being built, the progress,
//! and an estimate of the time left.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::plugins::{cargo, workspace};

/// The whole workspace except the benchmark, whose dependencies take minutes to build. The same
/// selection everywhere, so that each dependency is built once with one set of features.
pub(crate) const EVERYTHING: [&str; 3] = ["--workspace", "--exclude", "bench"];

/// Processor seconds of slow crates, and the average of all others; measured with `cargo build
/// --timings` in the profile `dev`. They show how much of the work is done, so only their ratio
/// matters, and only roughly.
const HEAVY: &[(&str, u64)] = &[
    ("cranelift-codegen", 136),
    ("wasmtime", 51),
    ("libsqlite3-sys", 28),
    ("portcullis-http", 19),
    ("wasmparser", 14),
];
const OTHERS: u64 = 1;

/// The purpose of the build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    /// To run it, as soon as possible.
    People,
    /// Together with the tests, whose own dependencies need more features of some crates, so that
    /// nothing is built again for them.
    Tests,
}

/// Builds the program in the profile `dev` and returns its path.
pub(crate) fn build(purpose: For) -> anyhow::Result<PathBuf> {
    let program = workspace().join("target/debug/portcullis");
    let mut work = Work::of(crates()?);
    if !program.exists() {
        let processors =
            std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
        let estimate = Duration::from_secs(work.in_all / processors);
        println!(
            "{} crates, {} the first time on {processors} processors, seconds from then on",
            work.left.len(),
            in_words(estimate)
        );
    }
    let mut child = Command::new(cargo())
        .current_dir(workspace())
        .args([
            "build",
            "--quiet",
            "--message-format",
            "json-render-diagnostics",
        ])
        .args(EVERYTHING)
        .args(["--bin", "portcullis"])
        // Any test makes cargo include the dependencies of tests.
        .args(if purpose == For::Tests {
            &["--test", "structure"][..]
        } else {
            &[]
        })
        .stdout(Stdio::piped())
        .spawn()
        .context("cargo build did not start")?;
    let output = child.stdout.take().context("the output is piped")?;
    let (sender, built) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        for name in BufReader::new(output)
            .lines()
            .map_while(Result::ok)
            .filter_map(|line| crate_built(&line))
        {
            let _ = sender.send(name);
        }
    });
    let mut display = Display::new();
    loop {
        match built.recv_timeout(Duration::from_secs(1)) {
            Ok(name) => work.done(&name),
            Err(mpsc::RecvTimeoutError::Timeout) => display.show(&work),
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    display.end();
    let status = child.wait().context("cargo build got lost")?;
    let _ = reader.join();
    ensure!(
        status.success(),
        "the program could not be built, see above"
    );
    Ok(program)
}

/// Builds the tests' own packer of guests and returns its path.
pub(crate) fn build_packer() -> anyhow::Result<PathBuf> {
    let mut command = Command::new(cargo());
    command
        .current_dir(workspace())
        .arg("build")
        .args(EVERYTHING)
        .args(["--bin", "pack-guests", "--test", "structure"]);
    ensure!(
        command
            .status()
            .context("cargo build did not start")?
            .success(),
        "the packer could not be built, see above"
    );
    Ok(workspace().join("target/debug/pack-guests"))
}

/// Names of the crates in the program.
fn crates() -> anyhow::Result<BTreeSet<String>> {
    let output = Command::new(cargo())
        .current_dir(workspace())
        .args([
            "tree",
            "--package",
            "server",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .stderr(Stdio::inherit())
        .output()
        .context("cargo tree did not start")?;
    ensure!(
        output.status.success(),
        "cargo could not say what the program is made of, see above"
    );
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text
        .lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect())
}

/// The crate that a line of cargo's messages reports as built: its library, macros or program, and
/// not its build script.
fn crate_built(line: &str) -> Option<String> {
    let is_built = line.contains(r#""reason":"compiler-artifact""#)
        && !line.contains(r#""kind":["custom-build"]"#);
    let id = line.split_once(r#""package_id":""#)?.1.split('"').next()?;
    // `…/index#name@1.0`, or `…/folder#1.0` where the folder has the crate's name.
    let (place, rest) = id.split_once('#')?;
    let name = rest.split_once('@').map_or_else(
        || place.rsplit('/').next().unwrap_or(place),
        |(name, _)| name,
    );
    is_built.then(|| name.to_owned())
}

/// The crates to build, and how many are done.
struct Work {
    left: BTreeSet<String>,
    crates: usize,
    in_all: u64,
    is_left: u64,
    /// When the first crate was built: those that are up to date take no time.
    started: Instant,
}

impl Work {
    fn of(left: BTreeSet<String>) -> Self {
        let in_all = left.iter().map(|name| weight(name)).sum();
        Self {
            crates: left.len(),
            left,
            in_all,
            is_left: in_all,
            started: Instant::now(),
        }
    }

    fn done(&mut self, name: &str) {
        if self.left.remove(name) {
            self.is_left -= weight(name);
        }
    }

    /// One line for people.
    fn in_words(&self) -> String {
        let passed = self.started.elapsed();
        let done = self.in_all - self.is_left;
        let left = passed.as_secs_f64() * self.is_left as f64 / done.max(1) as f64;
        let to_go = if passed < Duration::from_secs(10) || done == 0 {
            String::new()
        } else {
            format!(", {} to go", in_words(Duration::from_secs_f64(left)))
        };
        format!(
            "  {} of {} crates after {}:{:02}{to_go}",
            self.crates - self.left.len(),
            self.crates,
            passed.as_secs() / 60,
            passed.as_secs() % 60
        )
    }
}

fn weight(name: &str) -> u64 {
    HEAVY
        .iter()
        .find(|(heavy, _)| *heavy == name)
        .map_or(OTHERS, |(_, seconds)| *seconds)
}

fn in_words(time: Duration) -> String {
    match time.as_secs() {
        0..50 => "less than a minute".to_owned(),
        50..90 => "about a minute".to_owned(),
        seconds => format!("about {} minutes", (seconds + 30) / 60),
    }
}

/// Where progress is shown: one changing line on a terminal, otherwise a line from time to time.
struct Display {
    is_terminal: bool,
    shown_at: Instant,
    is_open: bool,
}

impl Display {
    fn new() -> Self {
        Self {
            is_terminal: std::io::stdout().is_terminal(),
            shown_at: Instant::now(),
            is_open: false,
        }
    }

    fn show(&mut self, work: &Work) {
        let mut out = std::io::stdout().lock();
        // If it is closed, no one wants to read it.
        if self.is_terminal {
            self.is_open = true;
            let _ = write!(out, "\r\x1b[K{}", work.in_words()).and_then(|()| out.flush());
        } else if self.shown_at.elapsed() >= Duration::from_secs(15) {
            self.shown_at = Instant::now();
            let _ = writeln!(out, "{}", work.in_words());
        }
    }

    fn end(&self) {
        if self.is_open {
            println!();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_built_with_its_library_and_not_with_its_build_script() {
        let message = |id: &str, kind: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","package_id":"{id}","target":{{"kind":["{kind}"]}},"fresh":false}}"#
            )
        };
        let registry = "registry+https://github.com/rust-lang/crates.io-index#serde@1.0.229";
        assert_eq!(
            crate_built(&message(registry, "lib")).as_deref(),
            Some("serde")
        );
        assert_eq!(crate_built(&message(registry, "custom-build")), None);
        assert_eq!(
            crate_built(&message(
                "path+file:///src/host/http#portcullis-http@0.1.0",
                "lib"
            ))
            .as_deref(),
            Some("portcullis-http")
        );
        assert_eq!(
            crate_built(&message("path+file:///src/host/gate#0.1.0", "lib")).as_deref(),
            Some("gate")
        );
        assert_eq!(
            crate_built(r#"{"reason":"build-finished","success":true}"#),
            None
        );
    }

    #[test]
    fn what_is_left_goes_down_once_for_each_crate_of_the_program() {
        let mut work = Work::of(["a", "b"].map(str::to_owned).into());
        for name in ["a", "a", "of another program"] {
            work.done(name);
        }
        assert_eq!((work.left.len(), work.is_left), (1, OTHERS));
        assert!(
            work.in_words().contains("1 of 2 crates"),
            "{}",
            work.in_words()
        );
    }
}
