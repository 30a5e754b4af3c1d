//! The most that one sender can make a server store and read, and the answers; and that every
//! accepted file can be downloaded again.

use std::collections::BTreeSet;

use tests::package::zip_of;
use tests::{Clients, Package, Request, Server, Setup, User, basic_token};

use crate::tools::upload_ok;

fn server_with_alice(setup: Setup) -> (Server, User, String) {
    let server = setup.start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    (server, alice, token)
}

#[test]
fn of_uploads_at_the_same_moment_only_those_stay_that_fit() {
    let (server, _, token) =
        server_with_alice(Setup::default().flag("--max-project-size", "16 MiB"));
    let file = |number: usize| {
        Package::new("crowd", &format!("1.{number}"))
            .with_payload(3 << 20)
            .wheel()
    };
    upload_ok(&server, &file(0), &token);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let uploads: Vec<_> = (1..24)
            .map(|number| {
                scope.spawn({
                    let (server, token) = (&server, &token);
                    move || server.upload(&file(number), Some(&basic_token(token)))
                })
            })
            .collect();
        uploads
            .into_iter()
            .map(|upload| upload.join().expect("an upload ends"))
            .collect()
    });
    for answer in &answers {
        let is_expected = answer.status == 200
            || answer.status == 400
                && answer.reason.contains(
                    "Project size too large. Limit for project 'crowd' total size is 16 MiB.",
                );
        assert!(is_expected, "{} {}", answer.status, answer.reason);
    }
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 200).count(),
        4,
        "with the first one, five of three megabytes fit into sixteen"
    );
    let shown = server
        .command_line(&["project", "show", "crowd", "--json"])
        .ok()
        .json();
    assert!(
        shown["bytes"].as_u64().expect("the size is told") <= 16 << 20,
        "{shown}"
    );
}

#[test]
fn metadata_costs_what_it_takes() {
    let (server, _, token) =
        server_with_alice(Setup::default().flag("--max-project-size", "5 MiB"));
    let large = |version: &str| {
        let lines: String = (0..19_000)
            .map(|number| format!("Requires-Dist: package-{number:0190}\n"))
            .collect();
        let metadata =
            format!("Metadata-Version: 2.1\nName: wordy\nVersion: {version}\n{lines}").into_bytes();
        let folder = format!("wordy-{version}.dist-info");
        let bytes = zip_of(&[
            (format!("{folder}/METADATA"), metadata),
            (format!("{folder}/WHEEL"), b"Wheel-Version: 1.0\n".to_vec()),
            (
                format!("{folder}/RECORD"),
                format!("{folder}/METADATA,,\n{folder}/WHEEL,,\n").into_bytes(),
            ),
        ]);
        let mut package = Package::new("wordy", version);
        package.requires_python = None;
        package.wheel().with_bytes(bytes)
    };
    let file = large("1.0");
    assert!(
        file.bytes.len() < 400_000,
        "a small file: {}",
        file.bytes.len()
    );
    upload_ok(&server, &file, &token);
    let bytes = server
        .command_line(&["project", "show", "wordy", "--json"])
        .ok()
        .json()["bytes"]
        .as_u64()
        .expect("the size is told");
    assert!(bytes > 3_900_000, "{bytes}");
    let answer = server.upload(&large("1.1"), Some(&basic_token(&token)));
    assert!(
        answer.status == 400 && answer.reason.contains("Project size too large."),
        "{} {}",
        answer.status,
        answer.reason
    );
    let metadata = server.get(&format!("{}.metadata", file.path()));
    assert_eq!(
        (metadata.status, metadata.body.len() > 3_900_000),
        (200, true)
    );
}

#[test]
fn new_projects_are_limited_and_the_refusals_are_on_record() {
    let (server, _, token) =
        server_with_alice(Setup::default().flag("--new-projects-per-user", "2"));
    for name in ["first", "second"] {
        upload_ok(&server, &Package::new(name, "1.0").wheel(), &token);
    }
    let answer = server.upload(
        &Package::new("third", "1.0").wheel(),
        Some(&basic_token(&token)),
    );
    assert_eq!(answer.status, 429, "{}", answer.reason);
    assert!(
        answer
            .reason
            .contains("Too many new projects created. Limit is 2 in an hour for one user."),
        "{}",
        answer.reason
    );
    let wait: u64 = answer
        .header("Retry-After")
        .and_then(|wait| wait.parse().ok())
        .expect("it says how long to wait");
    assert!((3000..=3600).contains(&wait), "{wait}");
    upload_ok(&server, &Package::new("first", "1.1").wheel(), &token);
    let decisions = server
        .command_line(&["decisions", "--outcome", "limited", "--json"])
        .ok()
        .stdout;
    assert!(
        decisions.contains("project:create")
            && decisions.contains(answer.header("Portcullis-Decision").expect("it is named")),
        "{decisions}"
    );
    let audit = server.command_line(&["audit", "--json"]).ok().stdout;
    assert!(audit.contains("too-many-new-projects"), "{audit}");
}

#[test]
fn a_reserved_name_is_refused_until_the_operator_gives_it() {
    let (server, alice, token) = server_with_alice(Setup::default());
    for name in [
        "pip",
        "P1P",
        "Requirements.txt",
        "requirements-txt",
        "python",
        "whee1",
    ] {
        let answer = server.upload(
            &Package::new(name, "1.0").wheel(),
            Some(&basic_token(&token)),
        );
        assert_eq!(answer.status, 400, "{name}: {}", answer.reason);
        assert!(
            answer
                .reason
                .contains(&format!("The name '{name}' isn't allowed."))
                && answer.reason.contains("/help/#project-name"),
            "{}",
            answer.reason
        );
    }
    assert!(server.get("/help/").text().contains("id=\"project-name\""));
    server
        .command_line(&["project", "create", "pip", "--owner", &alice.name])
        .ok();
    upload_ok(&server, &Package::new("pip", "1.0").wheel(), &token);
    assert!(
        !server
            .command_line(&["project", "create", "p-ip", "--owner", &alice.name])
            .status
            .success(),
        "it looks like one that is there"
    );

    let (server, _, token) =
        server_with_alice(Setup::default().flag("--reserved-names", "our-own"));
    upload_ok(&server, &Package::new("pip", "1.0").wheel(), &token);
    assert_eq!(
        server
            .upload(
                &Package::new("0ur.own", "1.0").wheel(),
                Some(&basic_token(&token))
            )
            .status,
        400
    );
}

#[test]
fn a_large_upload_that_is_refused_still_says_why() {
    let Some(clients) = Clients::find() else {
        return;
    };
    let (server, _, token) = server_with_alice(Setup::default());
    let bob = server.user("bob");
    let stranger = server.setup.token(&bob, &["--account"]);
    upload_ok(&server, &Package::new("large", "1.0").wheel(), &token);
    let folder = server.setup.folder.path().join("large");
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    let wheel = Package::new("large", "1.1").with_payload(48 << 20).wheel();
    std::fs::write(folder.join(&wheel.file_name), &wheel.bytes).expect("the wheel can be written");
    let url = format!("{}/legacy/", server.url());
    let check = |password: &str, expected: &str| {
        let twine = [
            "upload",
            "--non-interactive",
            "--repository-url",
            &url,
            "-u",
            "__token__",
            "-p",
            password,
            &wheel.file_name,
        ];
        clients
            .run("twine", &folder, &twine, &[])
            .refused()
            .says(expected);
        let uv = [
            "publish",
            "--trusted-publishing",
            "never",
            "--publish-url",
            &url,
            "--username",
            "__token__",
            "--password",
            password,
            &wheel.file_name,
        ];
        clients
            .run("uv", &folder, &uv, &[])
            .refused()
            .says(expected);
    };
    // An unknown token: a megabyte is read. Another user's token: some more.
    check(
        "pypi-nonsense",
        "Invalid or non-existent authentication information.",
    );
    check(&stranger, "isn't allowed to upload to project 'large'.");
}

/// File names of wheels with the version of the form, as tools and attackers write them.
fn names_of_wheels() -> Vec<(String, String)> {
    let mut names = Vec::new();
    let mut minor = 0;
    let mut add = |make: &dyn Fn(&str) -> (String, String)| {
        minor += 1;
        names.push(make(&format!("1.{minor}")));
    };
    for name in [
        "dotty_name",
        "Dotty.Name",
        "dotty.name",
        "DOTTY_NAME",
        "dotty._name",
        "dotty__name",
        "dotty-name",
        ".dotty_name",
        "_dotty_name",
        "dotty_name.",
        "dotty_name_",
        "._dotty_name",
        "..dotty_name",
        "dotty name",
        " dotty_name",
        "",
        ".",
        "_",
        "dotty",
        "dotty_name_x",
        "d\u{f6}tty_name",
    ] {
        add(&|version| {
            (
                format!("{name}-{version}-py3-none-any.whl"),
                version.to_owned(),
            )
        });
    }
    for spelled in ["v{}", "{}.0", "0{}", " {}", "{} ", "{}.", "{}\t"] {
        add(&|version| {
            (
                format!(
                    "dotty_name-{}-py3-none-any.whl",
                    spelled.replace("{}", version)
                ),
                version.to_owned(),
            )
        });
    }
    for (spelled, canonical) in [
        ("{}.RC1", "{}rc1"),
        ("{}_post1", "{}.post1"),
        ("1!{}", "1!{}"),
        ("{}a1.dev2", "{}a1.dev2"),
        ("{}+local", "{}"),
        ("{}", "{}.1"),
    ] {
        add(&|version| {
            (
                format!(
                    "dotty_name-{}-py3-none-any.whl",
                    spelled.replace("{}", version)
                ),
                canonical.replace("{}", version),
            )
        });
    }
    for build in ["1", "01a", "0", "1.2", "1_x", "b1", "", ".1", "1 "] {
        add(&|version| {
            (
                format!("dotty_name-{version}-{build}-py3-none-any.whl"),
                version.to_owned(),
            )
        });
    }
    for tags in [
        "py2.py3-none-any",
        "cp312-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64",
        "cp312-cp312-win_amd64",
        "PY3-NONE-ANY",
        "py3.-none-any",
        "py3..py2-none-any",
        "py3-none-",
        "--",
        "py3-none-any.linux_x86_64",
        "py3-none-any ",
    ] {
        add(&|version| {
            (
                format!("dotty_name-{version}-{tags}.whl"),
                version.to_owned(),
            )
        });
    }
    names
}

#[test]
fn every_file_that_is_accepted_is_listed_served_and_read_alike_by_python() {
    // Old names too: if they are accepted, installers can read them.
    let (server, _, token) =
        server_with_alice(Setup::default().flag("--accept-older-files", "true"));
    let names = names_of_wheels();
    let mut accepted = BTreeSet::new();
    for (file_name, version) in &names {
        let answer = server.upload(
            &Package::new("dotty-name", version).wheel().named(file_name),
            Some(&basic_token(&token)),
        );
        assert!(
            matches!(answer.status, 200 | 400),
            "{file_name}: {} {}",
            answer.status,
            answer.reason
        );
        if answer.status == 200 {
            accepted.insert(file_name.clone());
        }
    }
    let page = server
        .send(
            &Request::get("/simple/dotty-name/")
                .header("Accept", "application/vnd.pypi.simple.v1+json"),
        )
        .json();
    let mut listed = BTreeSet::new();
    for file in page["files"].as_array().expect("files are listed") {
        let (name, url) = (
            file["filename"].as_str().expect("a name"),
            file["url"].as_str().expect("an address"),
        );
        let path = url
            .splitn(4, '/')
            .nth(3)
            .map(|path| format!("/{path}"))
            .expect("a path");
        for suffix in ["", ".metadata"] {
            assert_eq!(
                server.get(&format!("{path}{suffix}")).status,
                200,
                "{path}{suffix}"
            );
        }
        listed.insert(name.to_owned());
    }
    assert_eq!(listed, accepted);

    let Some(clients) = Clients::find() else {
        return;
    };
    let script = r#"
import json, sys
from packaging.utils import parse_wheel_filename
from packaging.version import Version
out = {}
for name, version in json.load(open(sys.argv[1])):
    try:
        project, found, _, _ = parse_wheel_filename(name)
        out[name] = project == "dotty-name" and found == Version(version)
    except Exception:
        out[name] = False
print("RESULT" + json.dumps(out))
"#;
    let folder = server.setup.folder.path();
    std::fs::write(
        folder.join("names.json"),
        serde_json::to_string(&names).expect("names are text"),
    )
    .expect("a file can be written");
    let printed = clients.python(folder, script, &["names.json"]).ok();
    let result = printed
        .raw
        .split("RESULT")
        .nth(1)
        .expect("the script says what it found");
    let read: serde_json::Value =
        serde_json::from_str(result.trim()).expect("the script writes JSON");
    for (name, version) in &names {
        let by_python = read[name].as_bool().expect("each name is looked at");
        assert!(
            by_python || !accepted.contains(name),
            "{name} ({version}) is accepted, and installers cannot read it"
        );
        // Stricter than Python only where two readers could differ, or the index has a rule.
        let is_stricter = [
            " ",
            "\t",
            "linux_x86_64",
            "-ANY",
            "\u{f6}",
            "-py3.-",
            "..py2",
            "-none-.whl",
            "---",
        ]
        .iter()
        .any(|odd| name.contains(odd));
        assert!(
            accepted.contains(name) || !by_python || is_stricter,
            "{name} ({version}) is refused, and is a name for Python"
        );
    }
    assert!(accepted.len() >= 20, "{accepted:?}");
}
