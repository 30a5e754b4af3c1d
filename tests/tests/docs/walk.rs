//! A page's commands, one after the other, as a reader would type them.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use tests::Clients;
use tests::server::{program, repository};

use crate::blocks::{self, Block};
use crate::{COMMANDS, reason_not_to_run};

/// Additions to a command that the page leaves to prose or to the reader.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hint {
    /// The beginning of the command.
    pub(crate) command: &'static str,
    /// Commands to run before it.
    pub(crate) before: &'static str,
    /// The reader's replacements for parts of it.
    pub(crate) replace: &'static [(&'static str, &'static str)],
    /// Its exit code.
    pub(crate) exit: u8,
    /// If set, it keeps running while the next ones are typed, and must print this first.
    pub(crate) until: Option<&'static str>,
    /// A check to run after it.
    pub(crate) after: &'static str,
}

impl Hint {
    pub(crate) const NONE: Self = Self {
        command: "",
        before: "",
        replace: &[],
        exit: 0,
        until: None,
        after: "",
    };
}

/// The functions for hints, and the separate environment of a walk.
const PRELUDE: &str = include_str!("../../docs/prelude.sh");

/// Programs that the documentation and the walks use, besides ours and the Python clients.
const PROGRAMS: &[&str] = &[
    "curl", "git", "nginx", "openssl", "pgrep", "rsync", "runuser", "sqlite3", "unshare",
];

/// Walks a page: `begin` first, then each command with its hint, then `end`.
pub(crate) fn walk(page: &str, begin: &str, hints: &[Hint], end: &str) {
    let mut script = String::from(begin);
    let mut used = vec![false; hints.len()];
    for block in blocks::of(page)
        .iter()
        .filter(|block| COMMANDS.contains(&block.language.as_str()))
    {
        script.push_str(&of_block(block, hints, &mut used));
    }
    for (hint, used) in hints.iter().zip(used) {
        assert!(used, "{page} has no command `{}…`", hint.command);
    }
    script.push_str(end);
    run(page, &script);
}

fn of_block(block: &Block, hints: &[Hint], used: &mut [bool]) -> String {
    let mut script = String::new();
    for command in block.commands() {
        if reason_not_to_run(&block.page, &command.text).is_some() {
            continue;
        }
        // Of several hints for commands with the same beginning, each is used for one.
        let is_its = |(position, hint): (usize, &Hint)| {
            !used[position] && command.text.starts_with(hint.command)
        };
        let position = hints.iter().enumerate().position(is_its);
        let hint = position.map_or(Hint::NONE, |position| hints[position]);
        if let Some(position) = position {
            used[position] = true;
        }
        let place = format!("{}:{}", block.page, command.line);
        let mut typed = command.text.clone();
        for (from, to) in hint.replace {
            assert!(typed.contains(from), "{place} has no `{from}`");
            typed = typed.replace(from, to);
        }
        script.push_str(&format!("{}\nat {place}\n", hint.before));
        script.push_str(&match hint.until {
            // In a separate shell, whose changes end with it.
            Some(until) => {
                format!("( {typed}\n) > \"$LOGS/background\" 2>&1 &\nuntil_said '{until}'\n")
            }
            None => format!("{typed}\nends_with $? {}\n", hint.exit),
        });
        script.push_str(&format!("{}\n", hint.after));
    }
    script
}

/// Runs a script in a separate environment, on a terminal with scripted answers. If that is not
/// possible here, it is skipped, except with `CI=true`.
pub(crate) fn run(name: &str, script: &str) {
    let Some(clients) = Clients::find() else {
        return;
    };
    let folder = tempfile::Builder::new()
        .prefix("portcullis-docs-")
        .tempdir()
        .expect("a temporary folder can be made");
    let isolated = [
        "--mount",
        "--net",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_missing = |program: &&&str| {
        !std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    };
    let missing: Vec<_> = PROGRAMS.iter().filter(is_missing).collect();
    if !missing.is_empty() {
        assert!(
            std::env::var("CI").is_err(),
            "{missing:?} are not installed; `cargo xtask test` installs them"
        );
        eprintln!("skipped: {missing:?} are not installed; `cargo xtask test` installs them");
        return;
    }
    let may = Command::new("unshare")
        .args(isolated)
        .arg("true")
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !may {
        assert!(
            std::env::var("CI").is_err(),
            "only root can have places of its own (unshare), and CI=true asks for them"
        );
        eprintln!(
            "skipped: commands of the documentation need root, for folders and a network of their own"
        );
        return;
    }
    let path = folder.path().join("script.sh");
    std::fs::write(
        &path,
        format!("{PRELUDE}\n{script}\necho EVERYTHING WAS RUN\n"),
    )
    .expect("the script can be written");
    let mut command = clients.command("python", folder.path());
    let python = command.get_program().to_owned();
    let mut isolated_command = Command::new("unshare");
    isolated_command
        .args(isolated)
        .arg(python)
        .arg(repository().join("tests/docs/terminal.py"))
        .arg(&path);
    for (name, value) in command.env("FOLDER", folder.path()).get_envs() {
        match value {
            Some(value) => isolated_command.env(name, value),
            None => isolated_command.env_remove(name),
        };
    }
    let cargo = std::env::var_os("CARGO_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").expect("there is a home")).join(".cargo"),
        PathBuf::from,
    );
    let rustup = std::env::var_os("RUSTUP_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").expect("there is a home")).join(".rustup"),
        PathBuf::from,
    );
    let output = isolated_command
        .current_dir(folder.path())
        .env("REPOSITORY", repository())
        .env("PROGRAM", program())
        .env("CARGO_HOME", cargo)
        .env("RUSTUP_HOME", rustup)
        .env("CARGO_NET_OFFLINE", "true")
        .stdin(Stdio::null())
        .output()
        .expect("unshare starts");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        output.status.success() && said.contains("EVERYTHING WAS RUN"),
        "{name}: {}\n{said}",
        output.status
    );
}
