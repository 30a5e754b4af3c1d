//! `cargo xtask decision-table` writes `policies/*/decisions.md`, and `cargo xtask limit-table`
//! the limits in `docs/operators.md`, and `cargo xtask bindings` what the policy SDK says of the
//! contract, `plugins/policy-sdk/src/bindings.rs`.
//!
//! The tables are made by the test that compares them, so that the build tool needs no
//! engine and there is one way to make a table.

use std::process::Command;

use anyhow::{Context, ensure};

/// Builds the modules, then has the tables of decisions written.
pub(crate) fn write_decisions() -> anyhow::Result<()> {
    crate::plugins::build(&crate::program::build(crate::program::For::Tests)?)?;
    write("policies", "committed_decision_table")?;
    println!("wrote policies/*/decisions.md; see what changed with `git diff policies`");
    Ok(())
}

/// Has the table of limits written.
pub(crate) fn write_limits() -> anyhow::Result<()> {
    write("server", "the_documentation_has_the_table_of_limits")?;
    println!("wrote docs/operators.md; see what changed with `git diff docs`");
    Ok(())
}

/// Has the bindings of the policy SDK written.
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
