//! `cargo xtask bench [decision|server|timing|scale] [--json]`: what Portcullis costs compared with
//! alternatives, what its response times reveal, and what it costs as the registry grows, in one
//! run on one machine. `scale` takes long and is run only by name.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::plugins::{self, cargo, workspace};
use crate::{clients, debian};

/// Builds everything optimised, then runs the programs of `tests/bench`. Each fails if one of its
/// bounds is violated.
pub(crate) fn run(arguments: &[OsString]) -> anyhow::Result<()> {
    let mut wanted = vec!["decision", "server", "timing"];
    let mut passed_on = Vec::new();
    for argument in arguments {
        match argument.to_str() {
            Some("decision") => wanted = vec!["decision"],
            Some("server") => wanted = vec!["server"],
            Some("timing") => wanted = vec!["timing"],
            Some("scale") => wanted = vec!["scale"],
            Some("--json") => passed_on.push("--json"),
            Some(option) if wanted == ["scale"] => passed_on.push(option),
            _ => bail!(
                "usage: cargo xtask bench [decision|server|timing] [--json]\n       cargo xtask bench scale [--projects 1000,100000,1000000] [--database sqlite|postgres] [--json]"
            ),
        }
    }
    let programs = clients::set_up()?;
    for (program, role) in [("wrk", "the load generator"), ("nginx", "the ceiling")] {
        if !on_path(program) && !Path::new("/usr/sbin").join(program).is_file() {
            debian::install(&[program])
                .with_context(|| format!("{role}, {program}, is missing"))?;
        }
    }
    eprintln!("building optimised (several minutes the first time)");
    let status = Command::new(cargo())
        .current_dir(workspace())
        .args([
            "build",
            "--release",
            "--package",
            "server",
            "--package",
            "bench",
        ])
        .status()
        .context("cargo build did not start")?;
    ensure!(status.success(), "the build failed, see above");
    plugins::build(&workspace().join("target/release/portcullis"))?;

    let mut broken = Vec::new();
    for name in wanted {
        let program = workspace()
            .join("target/release")
            .join(format!("bench-{name}"));
        let status = Command::new(&program)
            .current_dir(workspace())
            .args(&passed_on)
            .env("PORTCULLIS_TEST_CLIENTS", &programs)
            .env(
                "PORTCULLIS_TEST_PROGRAM",
                workspace().join("target/release/portcullis"),
            )
            .status()
            .with_context(|| format!("cannot start {}", program.display()))?;
        if !status.success() {
            broken.push(name);
        }
    }
    ensure!(
        broken.is_empty(),
        "bounds are broken in: {}",
        broken.join(", ")
    );
    Ok(())
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
