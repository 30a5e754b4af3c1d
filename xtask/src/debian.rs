//! Debian packages that tests and benchmarks use, installed when that is possible.

use std::process::Command;

use anyhow::{Context, ensure};

/// Installs packages if this is root on Debian; otherwise says what to install.
pub(crate) fn install(packages: &[&str]) -> anyhow::Result<()> {
    let names = packages.join(" ");
    ensure!(is_root(), "install it with: apt-get install {names}");
    println!("installing {names}");
    let _asleep = Asleep::begin()?;
    let apt = |arguments: &[&str]| {
        Command::new("apt-get")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .status()
            .with_context(|| format!("apt-get did not start; install {names} by other means"))
    };
    ensure!(apt(&["update", "-qq"])?.success(), "apt-get update failed");
    let arguments: Vec<&str> = ["install", "-y", "-qq", "--no-install-recommends"]
        .into_iter()
        .chain(packages.iter().copied())
        .collect();
    ensure!(apt(&arguments)?.success(), "apt-get install {names} failed");
    Ok(())
}

/// While it lives, Debian starts none of the services that it installs: tests need no web server
/// that listens on every address.
struct Asleep {
    /// Whether the file is ours.
    is_ours: bool,
}

/// Debian asks this program whether to start a service; 101 is no.
const POLICY: &str = "/usr/sbin/policy-rc.d";

impl Asleep {
    fn begin() -> anyhow::Result<Self> {
        let is_ours = !std::path::Path::new(POLICY).exists();
        if is_ours {
            std::fs::write(POLICY, "#!/bin/sh\nexit 101\n")
                .with_context(|| format!("cannot write {POLICY}"))?;
            let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(POLICY, executable)
                .with_context(|| format!("cannot make {POLICY} a program"))?;
        }
        Ok(Self { is_ours })
    }
}

impl Drop for Asleep {
    fn drop(&mut self) {
        if self.is_ours {
            let _ = std::fs::remove_file(POLICY);
        }
    }
}

fn is_root() -> bool {
    // The owner of a process's folder in /proc is the user it runs as.
    std::fs::metadata("/proc/self")
        .is_ok_and(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata) == 0)
}
