//! The programs that drive a real browser: Chromium, Node, and the packages of
//! `tests/browser/package.json`, installed into `target/browser` from its lock file.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::plugins::workspace;

/// Searches the places that the tests use, and installs what is missing.
pub(crate) fn set_up() -> anyhow::Result<()> {
    if !runs("node") || !runs("npm") {
        crate::debian::install(&["nodejs", "npm"]).context("there is no Node")?;
    }
    match std::env::var_os("PORTCULLIS_TEST_CHROMIUM") {
        Some(program) => ensure!(
            Path::new(&program).exists(),
            "PORTCULLIS_TEST_CHROMIUM names {}, which is not there",
            program.display()
        ),
        None if Path::new(CHROMIUM).exists() => println!("found {CHROMIUM}"),
        None => {
            crate::debian::install(&["chromium"]).context("there is no Chromium")?;
            ensure!(
                Path::new(CHROMIUM).exists(),
                "Chromium was installed, and still there is no {CHROMIUM}"
            );
        }
    }
    install_packages()
}

/// Debian's path; `PORTCULLIS_TEST_CHROMIUM` overrides it.
const CHROMIUM: &str = "/usr/bin/chromium";

fn install_packages() -> anyhow::Result<()> {
    let from = workspace().join("tests/browser");
    let folder = workspace().join("target/browser");
    let wanted = fs::read_to_string(from.join("package-lock.json"))
        .context("cannot read tests/browser/package-lock.json")?;
    // Written last: packages whose installation was interrupted are installed again.
    let stamp = folder.join("installed.json");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        println!("{} holds what the lock file says", folder.display());
        return Ok(());
    }
    println!("filling {} (seconds)", folder.display());
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    for file in ["package.json", "package-lock.json"] {
        fs::copy(from.join(file), folder.join(file))
            .with_context(|| format!("cannot copy {file} to {}", folder.display()))?;
    }
    // Package scripts do not run: neither of the two needs one.
    let status = Command::new("npm")
        .args([
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
        ])
        .current_dir(&folder)
        .status()
        .context("npm did not start")?;
    ensure!(
        status.success(),
        "npm could not install what tests/browser/package-lock.json says"
    );
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}

fn runs(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
}
