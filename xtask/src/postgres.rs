//! The programs of PostgreSQL, for temporary clusters in tests.

use anyhow::Context;

/// Searches the places that the tests use, and installs PostgreSQL if it is missing.
pub(crate) fn set_up() -> anyhow::Result<()> {
    if std::env::var_os("PORTCULLIS_TEST_POSTGRES").is_some() {
        println!("the tests use the server that PORTCULLIS_TEST_POSTGRES names");
        return Ok(());
    }
    if let Some(programs) = find() {
        println!("found {programs}");
        return Ok(());
    }
    crate::debian::install(&["postgresql"]).context("there is no PostgreSQL")?;
    find().context(
        "PostgreSQL was installed, and still there is no /usr/lib/postgresql/*/bin/initdb",
    )?;
    Ok(())
}

/// Debian keeps the server's programs outside PATH, in one folder for each version.
fn find() -> Option<String> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    versions
        .map(|version| version.path().join("bin/initdb"))
        .find(|path| path.exists())
        .map(|path| path.display().to_string())
}
