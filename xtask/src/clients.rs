//! The Python tools for uploading and installing, in a separate environment below `target/clients`,
//! at the versions of `tests/clients/requirements.txt`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::plugins::workspace;

/// Makes sure that the environment exists and matches the requirements. Returns its folder of
/// programs.
pub(crate) fn set_up() -> anyhow::Result<PathBuf> {
    let folder = workspace().join("target/clients");
    let requirements = workspace().join("tests/clients/requirements.txt");
    let wanted = fs::read_to_string(&requirements)
        .with_context(|| format!("cannot read {}", requirements.display()))?;
    let programs = folder.join("bin");
    // Written last: an environment whose setup was interrupted is created again.
    let stamp = folder.join("installed.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted)
        && programs.join("python").exists()
    {
        println!("{} holds what the requirements say", folder.display());
        return Ok(programs);
    }

    println!("making {} (about a minute)", folder.display());
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    if !make_environment(&folder)? {
        // Debian has the module in a separate package.
        crate::debian::install(&["python3", "python3-venv"])
            .context("python3 cannot make a virtual environment")?;
        let _ = fs::remove_dir_all(&folder);
        ensure!(
            make_environment(&folder)?,
            "python3 still cannot make a virtual environment"
        );
    }
    let status = Command::new(programs.join("python"))
        .args([
            "-m",
            "pip",
            "--disable-pip-version-check",
            "install",
            "--quiet",
            "--no-deps",
            "--requirement",
        ])
        .arg(&requirements)
        .status()
        .context("pip did not start")?;
    ensure!(
        status.success(),
        "pip could not install {}",
        requirements.display()
    );
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(programs)
}

fn make_environment(folder: &Path) -> anyhow::Result<bool> {
    match Command::new("python3")
        .args(["-m", "venv"])
        .arg(folder)
        .status()
    {
        Ok(status) => Ok(status.success()),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(cause).context("python3 did not start"),
    }
}
