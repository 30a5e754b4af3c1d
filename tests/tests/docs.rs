//! Runs every command block of `README.md` and `docs/` exactly as written, page by page, in
//! separate namespaces and folders (`unshare`, overlays). Commands that cannot be run are in
//! [`NOT_RUN`] with a reason; a new block is run with its page, and fails there or is listed.

#![allow(clippy::print_stderr, reason = "tests that are skipped say so")]

#[path = "docs/blocks.rs"]
mod blocks;
#[path = "docs/pages.rs"]
mod pages;
#[path = "docs/walk.rs"]
mod walk;

use std::collections::BTreeSet;

use blocks::{Block, all};
use tests::server::repository;

/// Commands that are not run, by their beginnings, with the reason.
const NOT_RUN: &[(&str, &str, &str)] = &[
    (
        "README.md",
        "cargo xtask serve",
        "builds for minutes and serves until it is ended; the page's walk starts the same program",
    ),
    ("README.md", "cargo xtask test", "runs this test"),
    (
        "docs/operators.md",
        "cargo xtask serve",
        "builds for minutes and serves until it is ended",
    ),
    (
        "docs/operators.md",
        "cargo xtask package",
        "a release build; `cargo xtask package --test` installs, upgrades and purges the package",
    ),
    ("docs/operators.md", "apt install", "needs that package"),
    (
        "docs/operators.md",
        "cargo build --release",
        "a release build; the walk installs the program of the tests",
    ),
    (
        "docs/operators.md",
        "cargo xtask build-plugins target/release",
        "needs the release build; the walk installs the modules of the tests",
    ),
    (
        "docs/operators.md",
        "systemctl",
        "there is no systemd in a test; `cargo xtask package --test` verifies the unit",
    ),
    (
        "docs/operators.md",
        "podman",
        "needs an image that is built from scratch for minutes",
    ),
];

/// Languages of blocks that hold commands.
const COMMANDS: &[&str] = &["sh", "console"];

/// Languages of all other blocks.
const OTHERS: &[&str] = &[
    "ini",
    "json",
    "nginx",
    "rust",
    "rust,ignore",
    "toml",
    "yaml",
];

fn reason_not_to_run(page: &str, command: &str) -> Option<&'static str> {
    NOT_RUN
        .iter()
        .find(|(of, begin, _)| *of == page && command.starts_with(begin))
        .map(|(_, _, reason)| *reason)
}

#[test]
fn every_command_block_is_run_or_listed_with_its_reason() {
    let blocks = all();
    let commands: Vec<&Block> = blocks
        .iter()
        .filter(|block| COMMANDS.contains(&block.language.as_str()))
        .collect();
    assert!(commands.len() > 20, "{}", commands.len());
    for block in &blocks {
        let is_known = COMMANDS
            .iter()
            .chain(OTHERS)
            .any(|known| *known == block.language);
        assert!(
            is_known,
            "{}:{}: say what the block is; `{}` is no language of the list",
            block.page, block.line, block.language
        );
    }
    // Every page must be walked, or its blocks would not run.
    let walked: BTreeSet<&str> = pages::WALKED.iter().copied().collect();
    for block in &commands {
        let runs = block
            .commands()
            .iter()
            .any(|command| reason_not_to_run(&block.page, &command.text).is_none());
        assert!(
            !runs || walked.contains(block.page.as_str()),
            "{}:{} is run by no test",
            block.page,
            block.line
        );
    }
    for (page, begin, reason) in NOT_RUN {
        let is_there = commands.iter().any(|block| {
            block.page == *page
                && block
                    .commands()
                    .iter()
                    .any(|command| command.text.starts_with(begin))
        });
        assert!(is_there, "{page} has no command `{begin}…` ({reason})");
    }
}

#[test]
fn a_command_is_a_line_with_its_continuations_and_output_is_none() {
    let console = Block {
        page: String::new(),
        line: 1,
        language: "console".into(),
        text: "$ one \\\n    more\nsaid\n$ two   # why\n".into(),
    };
    assert_eq!(
        console
            .commands()
            .iter()
            .map(|command| command.text.as_str())
            .collect::<Vec<_>>(),
        ["one \\\n    more", "two   # why"]
    );
    let sh = Block {
        language: "sh".into(),
        text: "# why\none\n\ntwo\n".into(),
        ..console
    };
    assert_eq!(
        sh.commands()
            .iter()
            .map(|command| command.text.as_str())
            .collect::<Vec<_>>(),
        ["one", "two"]
    );
}

#[test]
fn links_within_the_repository_lead_somewhere() {
    let mut links = 0;
    for page in blocks::pages().iter().map(String::as_str).chain([
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "SECURITY.md",
    ]) {
        let path = repository().join(page);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|cause| panic!("{page}: {cause}"));
        for target in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let file = target.split('#').next().unwrap_or_default();
            if !file.is_empty() && !target.contains("://") {
                links += 1;
                assert!(
                    path.with_file_name(file).exists(),
                    "{page} links to {target}, which is not there"
                );
            }
        }
    }
    assert!(links > 15, "{links}");
}
