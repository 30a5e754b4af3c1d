//! `cargo xtask decision-table`: writes `policies/*/decisions.md` anew.
//!
//! The tables are made by the test that compares them, so that the build tool needs no
//! engine and there is one way to make a table.

use std::process::Command;

use anyhow::{Context, ensure};

/// Builds the modules, then runs the test with permission to overwrite the tables.
pub(crate) fn write() -> anyhow::Result<()> {
    crate::plugins::build()?;
    let status = Command::new(crate::plugins::cargo())
        .current_dir(crate::plugins::workspace())
        .args(["test", "--quiet", "--package", "tests", "--test", "policies", "committed_decision_table"])
        .env("UPDATE_TABLES", "1")
        .status()
        .context("cargo test did not start")?;
    ensure!(status.success(), "the decision tables could not be written, see above");
    println!("wrote policies/*/decisions.md; see what changed with `git diff policies`");
    Ok(())
}
