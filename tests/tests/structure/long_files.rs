//! Files that exceed 500 lines at 100 columns, each with the reason why it is one file.
//!
//! Beyond that, ask which two things are in the file. Add a row here for a file that becomes so
//! long; remove the row when it becomes shorter.

use super::{GENERATED, files, top};

const MOST_LINES: usize = 500;

const LONG: &[(&str, &str)] = &[
    (
        "host/gate/src/decide.rs",
        "The one function that makes permits, and what it needs; to be taken apart.",
    ),
    (
        "host/gate/src/generations.rs",
        "Loading, swapping and following sets, around one lock.",
    ),
    (
        "host/gate/src/recorder/rate.rs",
        "One table of sources and what each has used up; half is tests.",
    ),
    (
        "host/gate/tests/decide.rs",
        "The gate as a whole, one fixture for all of it.",
    ),
    (
        "host/http/src/body.rs",
        "One reader of bodies with three bounds; a third is tests.",
    ),
    (
        "host/http/src/problem.rs",
        "Each problem with its status and its forms; a third is tests.",
    ),
    (
        "host/http/src/upload.rs",
        "The upload form as twine and others send it, in the order of its checks.",
    ),
    (
        "host/http/src/upload/places.rs",
        "One queue of uploads and who gives way to whom; half is tests.",
    ),
    (
        "host/http/tests/connections.rs",
        "HTTP to the letter, over one kind of fixture.",
    ),
    (
        "host/http/tests/people/account.rs",
        "What people do to their accounts, page by page.",
    ),
    (
        "host/identity/src/accounts/emails.rs",
        "The life of an email address.",
    ),
    (
        "host/identity/src/devices.rs",
        "Browsers and command lines, which one rule confirms.",
    ),
    (
        "host/identity/src/factors/tests/apps.rs",
        "Tests of one noun.",
    ),
    (
        "host/identity/src/factors/tests/challenges.rs",
        "Tests of one noun.",
    ),
    (
        "host/identity/src/history/sentences.rs",
        "A sentence for each kind of event, each kind named.",
    ),
    (
        "host/identity/src/limits.rs",
        "What is counted for whom, around one table.",
    ),
    ("host/identity/src/login.rs", "Logging in, step by step."),
    (
        "host/identity/src/passwords.rs",
        "Hashing and what may become a password; a third is tests.",
    ),
    (
        "host/identity/src/prove_person.rs",
        "One call proven, step by step.",
    ),
    (
        "host/identity/src/recovery.rs",
        "One recovery from its start to its end.",
    ),
    (
        "host/identity/src/registration.rs",
        "Registering and the first user, which share their checks.",
    ),
    ("host/identity/src/tokens/tests.rs", "Tests of one noun."),
    (
        "host/identity/tests/identity/command_lines.rs",
        "Tests of one noun.",
    ),
    (
        "host/identity/tests/identity/devices.rs",
        "Tests of one noun.",
    ),
    (
        "host/identity/tests/identity/emails.rs",
        "Tests of one noun.",
    ),
    (
        "host/identity/tests/identity/fixture.rs",
        "What the tests of identity share.",
    ),
    (
        "host/identity/tests/identity/history.rs",
        "Tests of one noun.",
    ),
    ("host/identity/tests/identity/keys.rs", "Tests of one noun."),
    (
        "host/identity/tests/identity/login.rs",
        "Tests of one noun.",
    ),
    (
        "host/identity/tests/identity/password_reset.rs",
        "Tests of one noun.",
    ),
    (
        "host/identity/tests/identity/passwords.rs",
        "Tests of one noun.",
    ),
    (
        "host/identity/tests/identity/registration.rs",
        "Tests of one noun.",
    ),
    (
        "host/identity/tests/identity/sessions.rs",
        "Tests of one noun.",
    ),
    (
        "host/identity/tests/identity/tokens.rs",
        "Tests of one noun.",
    ),
    (
        "host/policy-engine/src/cases.rs",
        "One parser of case files and its errors.",
    ),
    (
        "host/policy-engine/src/policy_set.rs",
        "A set that decides: assembling, evaluating, combining.",
    ),
    (
        "host/registry/src/archive/tar_gz/tests.rs",
        "Archives that lie, one for each lie.",
    ),
    (
        "host/registry/src/archive/zip_frame.rs",
        "One strict reader of the ZIP frame, in the order of its records.",
    ),
    (
        "host/registry/src/archive/zip_frame/tests.rs",
        "Archives that lie, one for each lie.",
    ),
    (
        "host/registry/src/filename.rs",
        "The grammar of file names; half is tests.",
    ),
    (
        "host/registry/src/removal.rs",
        "Yanking and deleting, which share their targets.",
    ),
    (
        "host/registry/src/targets.rs",
        "What decisions of the registry are about.",
    ),
    (
        "host/registry/tests/suite/fixture.rs",
        "What the tests of the registry share.",
    ),
    ("host/registry/tests/suite/pages.rs", "Pages to the letter."),
    ("host/registry/tests/suite/quotas.rs", "Tests of one noun."),
    ("host/registry/tests/suite/staging.rs", "Tests of one noun."),
    (
        "host/server/src/commands/project.rs",
        "One subcommand for each thing done to a project.",
    ),
    (
        "host/server/src/commands/user.rs",
        "One subcommand for each thing done to a user.",
    ),
    (
        "host/server/src/configuration.rs",
        "One table of settings and where each comes from; a third is tests.",
    ),
    (
        "host/server/src/configuration/value.rs",
        "What a value can be, a type for each.",
    ),
    (
        "host/storage/src/projects.rs",
        "The statements of one noun.",
    ),
    ("host/storage/src/users.rs", "The statements of one noun."),
    (
        "host/storage/tests/suite/migration.rs",
        "From the tables of each earlier version, a test for each step.",
    ),
    (
        "host/storage/tests/suite/releases.rs",
        "Tests of one noun, on both databases.",
    ),
    (
        "host/storage/tests/suite/sessions.rs",
        "Tests of one noun, on both databases.",
    ),
    (
        "host/storage/tests/suite/users.rs",
        "Tests of one noun, on both databases.",
    ),
    ("tests/src/server.rs", "A running server as tests see it."),
    (
        "tests/tests/server/limits.rs",
        "Each row of the table of limits, driven.",
    ),
    (
        "tests/tests/server/mail.rs",
        "Mails from the deed to the mailbox.",
    ),
    (
        "tests/tests/server/reading.rs",
        "Each client with each credential.",
    ),
    (
        "tests/tests/server/staging.rs",
        "Staged releases with real clients.",
    ),
    (
        "tests/tests/structure.rs",
        "The rules of the design and the checker of them.",
    ),
];

#[test]
fn a_file_passes_500_lines_only_with_a_reason() {
    let mut paths = Vec::new();
    files(top(), "rs", &mut paths);
    let mut wrong = Vec::new();
    let mut long = Vec::new();
    for path in paths {
        let name = path
            .strip_prefix(top())
            .expect("found below the top")
            .display()
            .to_string();
        let text = std::fs::read_to_string(&path).expect("a source can be read");
        if text.lines().count() > MOST_LINES && !GENERATED.contains(&name.as_str()) {
            long.push(name);
        }
    }
    for name in &long {
        if !LONG
            .iter()
            .any(|(listed, reason)| listed == name && !reason.is_empty())
        {
            wrong.push(format!(
                "{name} has more than {MOST_LINES} lines: what two things live there?"
            ));
        }
    }
    for (listed, _) in LONG {
        if !long.iter().any(|name| name == listed) {
            wrong.push(format!("{listed} is listed and not long any more"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
