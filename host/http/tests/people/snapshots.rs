//! Snapshots of the texts of pages: `page.check("name")` compares the shown text with
//! `tests/snapshots/name.snap`.
//!
//! To accept what has changed, run the tests with `INSTA_UPDATE=always` and read the difference. If
//! `CI` is set, nothing is accepted.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::browser::Answer;
use crate::shown::shown;

/// Texts that differ from run to run: what they are, a pattern for them, and their replacement.
const FILTERS: &[(&str, &str, &str)] = &[
    (
        "the id of a decision, which people quote",
        "Decision `[0-9a-f-]{36}`",
        "Decision `<decision>`",
    ),
    (
        "the id of a session, a key, a token or a recovery",
        "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        "<id>",
    ),
    (
        "the mark of a known browser or command line",
        r"\x22[0-9a-f]{64}\x22",
        "\"<mark>\"",
    ),
    ("an API token", "pypi-[A-Za-z0-9_-]{40,}", "<token>"),
    (
        "a link, a ceremony: 256 bits",
        r"([=/\x22 ])[A-Za-z0-9_-]{43}([&\x22\s]|$)",
        "${1}<secret>${2}",
    ),
    (
        "a recovery code",
        r"\b[a-z0-9]{4}(-[a-z0-9]{4}){3}\b",
        "<recovery code>",
    ),
    (
        "the key of an app",
        r"\b[A-Z2-7]{4}( [A-Z2-7]{4}){7}\b",
        "<key of the app>",
    ),
    (
        "the key of an app within its address",
        r"([?&]secret=)[A-Z2-7]{32}\b",
        "${1}<key of the app>",
    ),
];

impl Answer {
    /// Compares the shown text with the snapshot of this name. Names are literals, so that reading
    /// the tests finds unused snapshots.
    #[track_caller]
    pub(crate) fn check(&self, name: &str) {
        assert_snapshot(name, &shown(self));
    }
}

/// The same for several answers to similar requests.
#[track_caller]
pub(crate) fn check(name: &str, answers: &[(String, Answer)]) {
    let parts: Vec<String> = answers
        .iter()
        .map(|(question, answer)| format!("=== {question}\n\n{}", shown(answer)))
        .collect();
    assert_snapshot(name, &parts.join("\n\n"));
}

#[track_caller]
fn assert_snapshot(name: &str, text: &str) {
    if std::env::var_os("CI").is_some() {
        let update = std::env::var("INSTA_UPDATE").unwrap_or_else(|_| "no".to_owned());
        assert!(
            update == "no" && std::env::var_os("INSTA_FORCE_PASS").is_none(),
            "nothing is accepted where CI is set"
        );
    }
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder());
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for (_, pattern, replacement) in FILTERS {
        settings.add_filter(pattern, *replacement);
    }
    settings.bind(|| insta::assert_snapshot!(name, text));
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots")
}

#[test]
fn every_snapshot_is_named_by_exactly_one_check() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let (mut named, mut calls) = (BTreeSet::new(), 0);
    for folder in ["people", "pages"] {
        for entry in std::fs::read_dir(tests.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with("people/snapshots.rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for call in text.split("check(").skip(1) {
                let name = call.trim_start().strip_prefix('"');
                let name = name
                    .and_then(|rest| rest.split('"').next())
                    .unwrap_or_else(|| {
                        panic!("{}: the name of a snapshot is no literal", path.display())
                    });
                assert!(named.insert(name.to_owned()), "two tests name {name}");
                calls += 1;
            }
        }
    }
    assert!(calls > 50, "found only {calls}");
    let kept: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| Some(name.strip_suffix(".snap")?.to_owned()))
        .collect();
    // A name without a file already fails in its own check.
    let unnamed: Vec<&String> = kept.difference(&named).collect();
    assert!(unnamed.is_empty(), "no test names {unnamed:?} any more");
}
