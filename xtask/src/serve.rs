//! `cargo xtask serve [arguments…]`: builds everything and becomes the server.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::plugins;

/// Builds policy modules and server, then replaces this process by `portcullis serve`, so
/// that Ctrl-C and the exit code are the server's own.
pub(crate) fn run(arguments: &[OsString]) -> anyhow::Result<()> {
    plugins::build()?;
    println!("building the server (minutes the first time, seconds from then on)");
    let status = Command::new(plugins::cargo())
        .current_dir(plugins::workspace())
        // The selection `cargo xtask test` builds too: with a smaller one, dependencies would
        // get other features and all be built a second time.
        .args(["build", "--workspace", "--exclude", "bench", "--bin", "portcullis"])
        .status()
        .context("cargo build did not start")?;
    ensure!(status.success(), "the server could not be built, see above");

    let program = plugins::workspace().join("target/debug/portcullis");
    let cause = Command::new(&program).current_dir(plugins::workspace()).arg("serve").args(arguments).exec();
    Err(cause).with_context(|| format!("cannot start {}", program.display()))
}
