//! Debian packages that tests and benchmarks use, installed when that is possible.

use std::process::Command;

use anyhow::{Context, ensure};

/// Installs packages when this is root on Debian; else says what to install.
pub(crate) fn install(packages: &[&str]) -> anyhow::Result<()> {
    let names = packages.join(" ");
    ensure!(is_root(), "install it with: apt-get install {names}");
    println!("installing {names}");
    let apt = |arguments: &[&str]| {
        Command::new("apt-get")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .status()
            .with_context(|| format!("apt-get did not start; install {names} by other means"))
    };
    ensure!(apt(&["update", "-qq"])?.success(), "apt-get update failed");
    let arguments: Vec<&str> = ["install", "-y", "-qq", "--no-install-recommends"].into_iter().chain(packages.iter().copied()).collect();
    ensure!(apt(&arguments)?.success(), "apt-get install {names} failed");
    Ok(())
}

fn is_root() -> bool {
    // The owner of a process's folder in /proc is the user it runs as.
    std::fs::metadata("/proc/self").is_ok_and(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata) == 0)
}
