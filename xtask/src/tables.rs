//! `cargo xtask decision-table` writes `policies/*/decisions.md`, `cargo xtask limit-table` the
//! limits in `docs/operators.md`, and `cargo xtask bindings` the policy SDK's bindings to the
//! contract, `plugins/policy-sdk/src/bindings.rs`.
//!
//! The test that compares a table also generates it, so that the build tool needs no engine and
//! there is one way to generate it.

use std::process::Command;

use anyhow::{Context, ensure};

/// Builds the modules, then writes the tables of decisions.
pub(crate) fn write_decisions() -> anyhow::Result<()> {
    crate::plugins::build(&crate::program::build(crate::program::For::Tests)?)?;
    write("policies", "committed_decision_table")?;
    println!("wrote policies/*/decisions.md; see what changed with `git diff policies`");
    Ok(())
}

/// Writes the table of limits.
pub(crate) fn write_limits() -> anyhow::Result<()> {
    write("server", "the_documentation_has_the_table_of_limits")?;
    println!("wrote docs/operators.md; see what changed with `git diff docs`");
    Ok(())
}

/// Writes the bindings of the policy SDK.
pub(crate) fn write_bindings() -> anyhow::Result<()> {
    write(
        "policies",
        "the_committed_bindings_are_those_of_the_contract",
    )?;
    println!("wrote plugins/policy-sdk/src/bindings.rs");
    Ok(())
}

/// Runs the test that compares a table, with permission to overwrite it.
fn write(program: &str, test: &str) -> anyhow::Result<()> {
    let status = Command::new(crate::plugins::cargo())
        .current_dir(crate::plugins::workspace())
        // The selection `cargo xtask test` builds too, so that no dependency is built twice.
        .args([
            "test",
            "--quiet",
            "--workspace",
            "--exclude",
            "bench",
            "--test",
            program,
            test,
        ])
        .env("UPDATE_TABLES", "1")
        .status()
        .context("cargo test did not start")?;
    ensure!(
        status.success(),
        "the table could not be written, see above"
    );
    Ok(())
}
