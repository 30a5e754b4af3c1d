//! The programs that readers of the documentation run, and that its walks run (`tests/tests/docs`).

use anyhow::Context;

/// Programs, and Debian's packages of them.
const PROGRAMS: &[(&str, &str)] = &[
    ("curl", "curl"),
    ("git", "git"),
    ("nginx", "nginx-light"),
    ("openssl", "openssl"),
    ("pgrep", "procps"),
    ("rsync", "rsync"),
    ("runuser", "util-linux"),
    ("sqlite3", "sqlite3"),
    ("unshare", "util-linux"),
];

/// Checks whether they are there, and installs what is missing.
pub(crate) fn set_up() -> anyhow::Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there =
        |program: &str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    let missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| !is_there(program))
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        println!(
            "found {}",
            PROGRAMS
                .iter()
                .map(|(program, _)| *program)
                .collect::<Vec<_>>()
                .join(", ")
        );
        return Ok(());
    }
    crate::debian::install(&missing).context("programs of the documentation are missing")
}
