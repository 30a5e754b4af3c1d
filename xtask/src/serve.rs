//! `cargo xtask serve [arguments…]`: builds everything that a registry needs and becomes the
//! server.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::Context;

use crate::{plugins, program};

/// Builds the program and the policy modules, then replaces this process with `portcullis serve`,
/// so that Ctrl-C and the exit code are the server's own.
pub(crate) fn run(arguments: &[OsString]) -> anyhow::Result<()> {
    println!("1 of 2: the program");
    let program = program::build(program::For::People)?;
    println!("2 of 2: the policies");
    plugins::build(&program)?;
    let cause = Command::new(&program)
        .current_dir(plugins::workspace())
        .arg("serve")
        .args(arguments)
        .exec();
    Err(cause).with_context(|| format!("cannot start {}", program.display()))
}
