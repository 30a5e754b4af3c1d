//! `cargo xtask test [filter]`: all tests and checks, in one run.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};

use crate::plugins::{self, cargo, workspace};
use crate::program::EVERYTHING;
use crate::steps::Steps;
use crate::{browser, clients, documentation, postgres};

/// Sets up what is needed, checks the sources, runs every test. Parts that cannot be set up are
/// named and skipped, except with `CI=true`, where this fails.
pub(crate) fn run(filter: &[OsString]) -> anyhow::Result<()> {
    let mut steps = Steps::default();
    let programs = steps.set_up("Python clients", clients::set_up);
    steps.set_up("PostgreSQL", postgres::set_up);
    steps.set_up("browser", browser::set_up);
    steps.set_up("documentation", documentation::set_up);
    steps.take("formatting", || {
        cargo_run(&["fmt", "--all", "--", "--check"]).context("run `cargo fmt --all`")
    });
    // Its warnings are errors, and it checks every target, including benchmarks.
    steps.take("clippy", || {
        cargo_run(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ])
    });
    let arguments: Vec<&str> = ["build"]
        .into_iter()
        .chain(EVERYTHING)
        .chain(["--bins", "--lib", "--tests"])
        .collect();
    let built = steps.take("build", || cargo_run(&arguments));
    let programs_in = |name| workspace().join("target/debug").join(name);
    let built = built.and_then(|()| {
        steps.take("policy modules", || {
            plugins::build(&programs_in("portcullis"))
        })
    });
    let built = built.and_then(|()| {
        steps.take("guests", || {
            plugins::build_guests(&programs_in("pack-guests"))
        })
    });
    let mut counted = Counted::default();
    if built.is_some() {
        let mut command = Command::new(cargo());
        command
            .current_dir(workspace())
            .arg("test")
            .args(EVERYTHING)
            .arg("--no-fail-fast")
            .args(filter);
        // The caller's configuration must not reach the servers under test.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("PORTCULLIS_") && !name.starts_with("PORTCULLIS_TEST_") {
                command.env_remove(name.as_ref());
            }
        }
        if let Some(programs) = programs {
            command.env("PORTCULLIS_TEST_CLIENTS", programs);
        }
        steps.take("tests", || counted.run(&mut command));
    }
    steps.print();
    println!("\n{} passed, {} failed", counted.passed, counted.failed);
    if steps.failed() {
        bail!("not everything was proven, see the summary");
    }
    Ok(())
}

fn cargo_run(arguments: &[&str]) -> anyhow::Result<()> {
    let status = Command::new(cargo())
        .current_dir(workspace())
        .args(arguments)
        .status()
        .context("cargo did not start")?;
    ensure!(status.success(), "cargo {} failed, see above", arguments[0]);
    Ok(())
}

/// The test counts of `cargo test`, over all its programs.
#[derive(Default)]
struct Counted {
    passed: u64,
    failed: u64,
}

impl Counted {
    /// Runs `cargo test`, passes its output on and counts.
    fn run(&mut self, command: &mut Command) -> anyhow::Result<()> {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .context("cargo test did not start")?;
        let output = child.stdout.take().context("the output is piped")?;
        for line in BufReader::new(output).lines() {
            let line = line.context("cannot read what cargo test says")?;
            println!("{line}");
            self.count(&line);
        }
        let status = child.wait().context("cargo test got lost")?;
        ensure!(status.success(), "{} tests failed, see above", self.failed);
        ensure!(self.passed > 0, "no test ran");
        Ok(())
    }

    /// Reads a line like `test result: ok. 12 passed; 0 failed; …`.
    fn count(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        let number = |word: &str| -> u64 {
            let words: Vec<&str> = result
                .split([' ', ';'])
                .filter(|word| !word.is_empty())
                .collect();
            words
                .windows(2)
                .find(|pair| pair[1] == word)
                .and_then(|pair| pair[0].parse().ok())
                .unwrap_or(0)
        };
        self.passed += number("passed");
        self.failed += number("failed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_all_programs_are_added_up() {
        let mut counted = Counted::default();
        for line in [
            "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 0.01s",
            "test a ... ok",
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
        ] {
            counted.count(line);
        }
        assert_eq!((counted.passed, counted.failed), (13, 2));
    }
}
