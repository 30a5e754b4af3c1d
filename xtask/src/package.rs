//! `cargo xtask package`: the Debian package, `target/package/portcullis.deb`.
//! `cargo xtask package --test`: its life cycle on a separate machine, `packaging/test.sh`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::plugins::{self, cargo, workspace};
use crate::{clients, debian, program};

/// The version of the packaging tool, installed below `target/tools`.
const CARGO_DEB: &str = "3.8.0";

/// The build that a package contains.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Profile {
    /// Optimised: for users.
    Release,
    /// Like `cargo xtask serve`: minutes faster, for the test.
    Dev,
}

pub(crate) fn run(arguments: &[OsString]) -> anyhow::Result<()> {
    let arguments: Vec<&str> = arguments
        .iter()
        .map(|argument| argument.to_str().unwrap_or_default())
        .collect();
    match arguments[..] {
        [] => {
            let package = make(Profile::Release, 1, "portcullis.deb")?;
            println!("{}", package.display());
            Ok(())
        }
        ["--test"] => test(),
        _ => bail!("usage: cargo xtask package [--test]"),
    }
}

/// Builds everything and creates the package.
fn make(profile: Profile, revision: u32, name: &str) -> anyhow::Result<PathBuf> {
    let program = match profile {
        Profile::Dev => program::build(program::For::Tests)?,
        Profile::Release => {
            println!("building the program optimised (many minutes)");
            let status = Command::new(cargo())
                .current_dir(workspace())
                .args(["build", "--release", "--package", "server"])
                .status();
            ensure!(
                status.context("cargo build did not start")?.success(),
                "the program could not be built, see above"
            );
            workspace().join("target/release/portcullis")
        }
    };
    plugins::build(&program)?;
    let folder = workspace().join("target/package");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    fs::write(folder.join("portcullis.toml"), configuration(&program)?)
        .context("the configuration cannot be written")?;
    let package = folder.join(name);
    let mut command = Command::new(cargo_deb()?);
    command
        .current_dir(workspace())
        .args(["--package", "server", "--no-build", "--deb-revision"])
        .arg(revision.to_string())
        .arg("--output")
        .arg(&package);
    match profile {
        Profile::Release => {}
        Profile::Dev => drop(command.args(["--profile", "dev", "--fast"])),
    }
    ensure!(
        command
            .status()
            .context("cargo-deb did not start")?
            .success(),
        "cargo-deb could not make the package, see above"
    );
    Ok(package)
}

/// Every key with the program's own explanation, and the one that a service must set.
fn configuration(program: &Path) -> anyhow::Result<String> {
    let output = Command::new(program)
        .args(["config", "--template"])
        .output()
        .context("the program did not start")?;
    ensure!(
        output.status.success(),
        "the program explains no configuration: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let template = String::from_utf8(output.stdout).context("a configuration is text")?;
    let named = template.replace("\n#data = \"data\"\n", "\ndata = \"/var/lib/portcullis\"\n");
    ensure!(
        named != template,
        "the configuration names no data folder; see packaging"
    );
    Ok(format!(
        "# Secrets are better kept in /etc/portcullis/environment (mode 0600), as PORTCULLIS_DATABASE=…\n# and PORTCULLIS_SMTP_URL=…. After a change: systemctl restart portcullis\n\n{named}"
    ))
}

/// The path of cargo-deb; installs it if it is missing or has another version.
fn cargo_deb() -> anyhow::Result<PathBuf> {
    let tools = workspace().join("target/tools");
    let program = tools.join("bin/cargo-deb");
    let is_there = Command::new(&program)
        .arg("--version")
        .output()
        .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(CARGO_DEB));
    if !is_there {
        println!("installing cargo-deb {CARGO_DEB} into target/tools (a minute or two, once)");
        let mut install = Command::new(cargo());
        install.current_dir(workspace()).args([
            "install",
            "--debug",
            "--quiet",
            "--locked",
            "--force",
            "cargo-deb",
            "--version",
            CARGO_DEB,
            "--root",
        ]);
        let status = install
            .arg(&tools)
            .arg("--target-dir")
            .arg(tools.join("build"))
            .status()
            .context("cargo install did not start")?;
        ensure!(
            status.success(),
            "cargo-deb could not be installed, see above"
        );
    }
    Ok(program)
}

/// Creates two versions of a package from a dev build and tests them on a separate machine.
fn test() -> anyhow::Result<()> {
    let clients = clients::set_up()?;
    let first = make(Profile::Dev, 1, "first.deb")?;
    let next = make(Profile::Dev, 2, "next.deb")?;
    let base = base_system()?;
    let status = Command::new("unshare")
        .args(["--mount", "--net", "bash"])
        .arg(workspace().join("packaging/test.sh"))
        .args([base, first, next, clients])
        .status()
        .context("unshare did not start")?;
    ensure!(
        status.success(),
        "the package does not do what it should, see above; the test needs root"
    );
    Ok(())
}

/// A small Debian with systemd, as an archive that is created once.
fn base_system() -> anyhow::Result<PathBuf> {
    let archive = workspace().join("target/package/base-system.tar");
    if archive.exists() {
        return Ok(archive);
    }
    if Command::new("mmdebstrap")
        .arg("--version")
        .output()
        .is_err()
    {
        debian::install(&["mmdebstrap"]).context("what makes a base system is missing")?;
    }
    println!("making a base system (two minutes, once)");
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let suite = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .context("only on Debian, whose release is the machine's")?;
    // Renamed when it is complete.
    let part = archive.with_file_name("base-system.part.tar");
    let status = Command::new("mmdebstrap")
        .args([
            "--quiet",
            "--variant=minbase",
            "--include=systemd,systemd-sysv,dbus,procps,ca-certificates",
            suite,
        ])
        .arg(&part)
        .status();
    ensure!(
        status.context("mmdebstrap did not start")?.success(),
        "mmdebstrap could not make a base system, see above"
    );
    fs::rename(&part, &archive).with_context(|| archive.display().to_string())?;
    Ok(archive)
}
