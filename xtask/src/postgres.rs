//! The programs of PostgreSQL that tests make a throw-away cluster with.

use std::path::PathBuf;

use anyhow::Context;

/// Finds the folder of `initdb`, or installs PostgreSQL.
pub(crate) fn set_up() -> anyhow::Result<PathBuf> {
    if let Some(folder) = find() {
        println!("found {}", folder.join("initdb").display());
        return Ok(folder);
    }
    crate::debian::install(&["postgresql"]).context("there is no PostgreSQL")?;
    find().context("PostgreSQL was installed, and still there is no initdb in /usr/lib/postgresql/*/bin")
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    // Debian keeps the server's programs out of PATH, one folder for each version.
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        let mut found: Vec<PathBuf> = versions.flatten().map(|version| version.path().join("bin")).collect();
        found.sort();
        folders.extend(found.into_iter().rev());
    }
    folders.into_iter().find(|folder| folder.join("initdb").is_file() && folder.join("pg_ctl").exists())
}
