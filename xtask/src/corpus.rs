//! `cargo xtask corpus`: real distributions through a running server, and back with pip.
//!
//! Not part of `cargo xtask test`: it fetches some 170 MB. The small part is: `--build` builds one
//! small project with every current build backend and puts the results into `tests/cases/built`,
//! where each test run uploads them.

mod build;

use std::ffi::OsString;
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::clients;
use crate::plugins::{self, cargo, workspace};

pub(crate) fn run(arguments: &[OsString]) -> anyhow::Result<()> {
    match arguments
        .iter()
        .map(|argument| argument.to_str().unwrap_or_default())
        .collect::<Vec<_>>()[..]
    {
        [] => upload_all(),
        ["--build"] => build::all(),
        _ => bail!("usage: cargo xtask corpus [--build]"),
    }
}

fn upload_all() -> anyhow::Result<()> {
    let programs = clients::set_up()?;
    let (corpus, target) = (
        workspace().join("tests/corpus"),
        workspace().join("target/corpus"),
    );
    let (list, files, report) = (
        corpus.join("list.txt"),
        target.join("files"),
        target.join("report.txt"),
    );
    let fetched = Command::new(programs.join("python"))
        .arg(corpus.join("fetch.py"))
        .arg(&list)
        .arg(&files)
        .status()
        .context("python did not start")?;
    ensure!(
        fetched.success(),
        "not every file could be fetched, see above"
    );
    // The same selection as for tests, so that no dependency is built twice.
    let arguments = [
        "build",
        "--workspace",
        "--exclude",
        "bench",
        "--bins",
        "--lib",
        "--tests",
    ];
    let built = Command::new(cargo())
        .current_dir(workspace())
        .args(arguments)
        .status()
        .context("cargo did not start")?;
    ensure!(built.success(), "cargo build failed, see above");
    plugins::build(&workspace().join("target/debug/portcullis"))?;
    let ran = Command::new(workspace().join("target/debug/corpus"))
        .arg(&list)
        .arg(&files)
        .arg(&report)
        .env("PORTCULLIS_TEST_CLIENTS", &programs)
        .status()
        .context("the corpus did not start")?;
    println!("the report is {}", report.display());
    ensure!(
        ran.success(),
        "not every file was accepted and read back, see above"
    );
    Ok(())
}
