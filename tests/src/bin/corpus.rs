//! Uploads the files of a list to a real server and reads each back with pip. Started by
//! `cargo xtask corpus`; prints a line for each file and a table of the kinds.
//!
//! ```text
//! corpus LIST FILES REPORT
//! ```

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tests::server::repository;
use tests::{Clients, Distribution, Server, Setup, basic_token};

/// One file of the list.
struct Item {
    kind: String,
    project: String,
    file: String,
}

impl Item {
    /// A line of the list: kind, project, version, file name, SHA-256.
    fn parse(line: &str) -> Self {
        let parts: Vec<&str> = line.split('\t').collect();
        let [kind, project, _, file, _] = parts[..] else {
            panic!("`{line}` is no line of the list")
        };
        Self {
            kind: kind.to_owned(),
            project: project.to_owned(),
            file: file.to_owned(),
        }
    }
}

/// The result for a file.
enum Outcome {
    ReadBack {
        installed: bool,
    },
    Refused(String),
    /// Accepted, but pip cannot read it.
    Unreadable(String),
}

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [list, files, report] = &arguments[..] else {
        eprintln!("usage: corpus LIST FILES REPORT");
        return ExitCode::from(2);
    };
    let Some(clients) = Clients::find() else {
        return ExitCode::FAILURE;
    };
    let text = std::fs::read_to_string(list).expect("the list can be read");
    let items: Vec<Item> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(Item::parse)
        .collect();

    let setup = Setup::default()
        .flag("--max-file-size", "1 GiB")
        .flag("--accept-older-files", "true");
    let registry = Registry::start(setup, &items);
    // With PyPI's own rules about names and metadata versions, to find out which files need the
    // switch.
    let strict = Registry::start(Setup::default().flag("--max-file-size", "1 GiB"), &items);
    let mut out = String::new();
    let mut kinds: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    let mut by_switch = Vec::new();
    for item in &items {
        let distribution = Distribution::of_file(&files.join(&item.file));
        if let Some(why) = strict.refusal(&distribution) {
            by_switch.push(format!("{}: {why}", item.file));
        }
        let outcome = match registry.refusal(&distribution) {
            Some(why) => Outcome::Refused(why),
            None => read_back(&clients, &registry.server, item),
        };
        let counts = kinds.entry(&item.kind).or_default();
        counts[0] += 1;
        let line = match outcome {
            Outcome::ReadBack { installed } => {
                counts[1] += 1;
                counts[2] += usize::from(installed);
                if installed {
                    "installed by pip".to_owned()
                } else {
                    "read back by pip".to_owned()
                }
            }
            Outcome::Refused(why) => format!("REFUSED: {why}"),
            Outcome::Unreadable(why) => format!("ACCEPTED, AND NOT READ BACK: {why}"),
        };
        println!("{}: {line}", item.file);
        let _ = writeln!(out, "{}\t{}\t{line}", item.kind, item.file);
    }
    let _ = writeln!(out, "\nkind\tfiles\tread back\tof those installed");
    for (kind, [all, read, installed]) in &kinds {
        let _ = writeln!(out, "{kind}\t{all}\t{read}\t{installed}");
    }
    let sum = |at: usize| kinds.values().map(|counts| counts[at]).sum::<usize>();
    let _ = writeln!(out, "all\t{}\t{}\t{}", sum(0), sum(1), sum(2));
    let _ = writeln!(
        out,
        "\nrefused without accept-older-files, {}:\n{}",
        by_switch.len(),
        by_switch.join("\n")
    );
    std::fs::write(report, &out).expect("the report can be written");
    println!(
        "\n{}",
        out.split_once("\n\n").map_or("", |(_, table)| table)
    );
    if sum(1) == sum(0) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

struct Registry {
    server: Server,
    token: String,
}

impl Registry {
    /// A server on which every project of the list exists, as if it had been imported.
    fn start(setup: Setup, items: &[Item]) -> Self {
        let server = setup.start();
        let alice = server.user("alice");
        let token = server.setup.token(&alice, &["--account"]);
        for project in items
            .iter()
            .map(|item| item.project.as_str())
            .collect::<BTreeSet<_>>()
        {
            server
                .command_line(&["project", "create", project, "--owner", "alice"])
                .ok();
        }
        Self { server, token }
    }

    /// Why an upload is refused; none if it is accepted.
    fn refusal(&self, distribution: &Distribution) -> Option<String> {
        let answer = self
            .server
            .upload(distribution, Some(&basic_token(&self.token)));
        (answer.status != 200).then(|| format!("{} {}", answer.status, answer.reason))
    }
}

/// Reads a file back with pip; a wheel for this Python is installed as well.
fn read_back(clients: &Clients, server: &Server, item: &Item) -> Outcome {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let script = repository()
        .join("tests/corpus/read_back.py")
        .display()
        .to_string();
    let index = format!("{}/simple/", server.url());
    let at = folder.path().display().to_string();
    let read = clients.run(
        "python",
        folder.path(),
        &[&script, &index, &item.project, &item.file, &at],
        &[],
    );
    if !read.success {
        return Outcome::Unreadable(read.text);
    }
    let is_for_this_python =
        item.file.ends_with(".whl") && is_supported(clients, folder.path(), &item.file);
    if !is_for_this_python {
        return Outcome::ReadBack { installed: false };
    }
    let file = folder.path().join(&item.file).display().to_string();
    let target = folder.path().join("installed").display().to_string();
    let installed = clients.run(
        "pip",
        folder.path(),
        &[
            "install",
            "--no-deps",
            "--no-index",
            "--ignore-requires-python",
            "--target",
            &target,
            &file,
        ],
        &[],
    );
    if installed.success {
        Outcome::ReadBack { installed: true }
    } else {
        Outcome::Unreadable(installed.text)
    }
}

/// Whether pip accepts a wheel of this name here.
fn is_supported(clients: &Clients, folder: &Path, file: &str) -> bool {
    let script = "import sys\n\
        from packaging.tags import sys_tags\n\
        from packaging.utils import parse_wheel_filename\n\
        sys.exit(0 if parse_wheel_filename(sys.argv[1])[3] & set(sys_tags()) else 1)";
    clients.python(folder, script, &[file]).success
}
