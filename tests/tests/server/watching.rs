//! `serve --watch-policies` follows whatever is at the path of the folder.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tests::postgres::new_database;
use tests::{Server, Setup};

use crate::tools::{SetFolder, binding, default_bindings};

/// A set under which only people can read: the index is closed to strangers.
fn closed_bindings() -> String {
    binding(
        "restrict-routes",
        "restrict-routes.wasm",
        "[binding.settings]\nnone = [\"session:start\"]\n",
    )
}

fn set_file(bindings: &str) -> String {
    format!("name = \"watched\"\nsummary = \"A set of the tests.\"\n\n{bindings}")
}

/// Whether strangers can read the index under the active set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Index {
    Open,
    Closed,
}
use Index::{Closed, Open};

fn index(server: &Server) -> Option<Index> {
    match server.get("/simple/").status {
        200 => Some(Open),
        401 | 403 => Some(Closed),
        _ => None,
    }
}

#[track_caller]
fn wait_for_index(server: &mut Server, wanted: Index, what: &str) {
    server.wait_for(what, |server| (index(server) == Some(wanted)).then_some(()));
}

/// The report of `policy status` about the only server.
fn status_of(server: &Server) -> Value {
    server.command_line(&["policy", "status", "--json"]).json()["servers"][0].clone()
}

/// Waits until `policy status` shows this of the watched folder.
#[track_caller]
fn wait_for_watched(server: &mut Server, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    server.wait_for(what, |server| {
        Some(status_of(server)["watched"].clone()).filter(|watched| is_so(watched))
    })
}

fn git(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new("git");
    command
        .current_dir(folder)
        .args([
            "-c",
            "user.name=Tests",
            "-c",
            "user.email=tests@example.org",
            "-c",
            "core.hooksPath=/dev/null",
        ])
        .args(arguments);
    // Without the configuration of the user who runs the tests.
    let output = command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .expect("git runs");
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn watched_policies_follow_their_files_and_the_last_good_set_stays() {
    let set = SetFolder::new("watched", &default_bindings());
    let mut server = Setup::default().watching(&set.path()).start();
    wait_for_index(&mut server, Open, "the watched set");
    let number = server.get("/simple/").policy_set();

    set.rewrite(&closed_bindings());
    wait_for_index(&mut server, Closed, "the changed set");
    assert_ne!(server.get("/simple/").policy_set(), number);

    set.rewrite("nonsense");
    server.wait_for("the complaint", |server| {
        server
            .log()
            .contains("refused, the last good set goes on serving")
            .then_some(())
    });
    assert_eq!(index(&server), Some(Closed), "the last good set serves");
    set.rewrite(&default_bindings());
    wait_for_index(&mut server, Open, "the mended set");
}

#[test]
fn a_folder_that_is_moved_away_and_replaced_is_followed_and_so_is_every_later_edit() {
    let set = SetFolder::new("watched", &default_bindings());
    let mut server = Setup::default().watching(&set.path()).start();
    wait_for_index(&mut server, Open, "the first set");

    let next = set.path().with_file_name("next");
    fs::create_dir(&next).expect("a folder can be made");
    fs::write(next.join("set.toml"), set_file(&closed_bindings())).expect("a set can be written");
    fs::rename(set.path(), set.path().with_file_name("previous")).expect("a folder can be moved");
    let gone = wait_for_watched(
        &mut server,
        "the complaint about the missing folder",
        |watched| watched["error"].is_string(),
    );
    assert!(
        gone["error"]
            .as_str()
            .is_some_and(|error| error.contains("set.toml")),
        "{gone}"
    );
    assert_eq!(index(&server), Some(Open), "the last good set serves");
    fs::rename(&next, set.path()).expect("a folder can be moved");
    wait_for_index(&mut server, Closed, "the set that replaced it");
    wait_for_watched(&mut server, "the end of the complaint", |watched| {
        watched["error"].is_null()
    });

    set.rewrite(&default_bindings());
    wait_for_index(&mut server, Open, "an edit in the folder that replaced it");
}

#[test]
fn a_checkout_of_another_commit_is_followed() {
    let set = SetFolder::new("watched", &default_bindings());
    let top = set
        .path()
        .parent()
        .expect("a set is in a folder")
        .to_owned();
    git(&top, &["init", "--quiet", "--initial-branch=open"]);
    git(&top, &["add", "watched"]);
    git(&top, &["commit", "--quiet", "--message", "open"]);
    git(&top, &["checkout", "--quiet", "-b", "closed"]);
    set.rewrite(&closed_bindings());
    git(&top, &["commit", "--quiet", "--all", "--message", "closed"]);
    // A commit without the folder: a checkout removes it, and the next one creates it again.
    git(&top, &["checkout", "--quiet", "-b", "empty"]);
    git(&top, &["rm", "--quiet", "-r", "watched"]);
    git(&top, &["commit", "--quiet", "--message", "empty"]);
    git(&top, &["checkout", "--quiet", "open"]);

    let mut server = Setup::default().watching(&set.path()).start();
    wait_for_index(&mut server, Open, "the first commit");
    for (commit, wanted) in [("closed", Closed), ("open", Open)] {
        git(&top, &["checkout", "--quiet", "empty"]);
        wait_for_watched(&mut server, "the complaint", |watched| {
            watched["error"].is_string()
        });
        git(&top, &["checkout", "--quiet", commit]);
        wait_for_index(&mut server, wanted, commit);
    }
    // Without stopping in between, as in a deployment.
    for (commit, wanted) in [("closed", Closed), ("open", Open)] {
        git(&top, &["checkout", "--quiet", commit]);
        wait_for_index(&mut server, wanted, commit);
    }
}

#[test]
fn a_config_map_that_kubernetes_replaces_is_followed_each_time() {
    let source = SetFolder::new("watched", "");
    let modules = source.path().with_file_name("modules");
    // Like a mounted ConfigMap: every file is a link through `..data`, which changes.
    let volume = tempfile::tempdir().expect("a temporary folder can be made");
    let write = |number: u32, bindings: &str| {
        let real = volume.path().join(format!("..2026_{number}"));
        fs::create_dir(&real).expect("a folder can be made");
        fs::write(real.join("set.toml"), set_file(bindings)).expect("a set can be written");
        for policy in [
            "restrict-routes",
            "require-second-factor",
            "owner-mandate",
            "staged-release",
        ] {
            let name = format!("{policy}.wasm");
            fs::copy(modules.join(&name), real.join(&name)).expect("a module can be copied");
            if number == 1 {
                symlink(format!("..data/{name}"), volume.path().join(&name))
                    .expect("a link can be made");
            }
        }
        let link = volume.path().join("..data_tmp");
        symlink(real.file_name().expect("it has a name"), &link).expect("a link can be made");
        fs::rename(&link, volume.path().join("..data")).expect("a link can be moved");
        if number > 1 {
            fs::remove_dir_all(volume.path().join(format!("..2026_{}", number - 1)))
                .expect("what was there before is removed");
        }
    };
    write(1, &default_bindings());
    symlink("..data/set.toml", volume.path().join("set.toml")).expect("a link can be made");
    let mut server = Setup::default().watching(volume.path()).start();
    wait_for_index(&mut server, Open, "the first map");
    for (number, bindings, wanted) in [
        (2, closed_bindings(), Closed),
        (3, default_bindings(), Open),
        (4, closed_bindings(), Closed),
    ] {
        write(number, &bindings);
        wait_for_index(&mut server, wanted, &format!("map {number}"));
    }
}

#[test]
fn the_status_tells_the_folder_the_last_look_and_the_last_error() {
    let set = SetFolder::new("watched", &default_bindings());
    let mut server = Setup::default().watching(&set.path()).start();
    let first = wait_for_watched(&mut server, "a look", |watched| watched["set"] == 1);
    assert_eq!(
        (&first["folder"], &first["error"]),
        (&set.text().into(), &Value::Null)
    );
    // RFC 3339 in UTC sorts as text.
    let looked = first["looked"].as_str().expect("a time").to_owned();
    wait_for_watched(&mut server, "the next look", |watched| {
        watched["looked"].as_str().is_some_and(|now| *now > *looked)
    });
    let status = server.command_line(&["policy", "status"]).ok().stdout;
    assert!(
        status.contains(&format!("watches {}, last looked at ", set.text()))
            && status.contains("holds the active set"),
        "{status}"
    );

    set.rewrite(&binding(
        "restrict-routes",
        "restrict-routes.wasm",
        "[binding.settings]\nno-such-setting = 1\n",
    ));
    wait_for_watched(&mut server, "the error", |watched| {
        watched["error"]
            .as_str()
            .is_some_and(|error| error.contains("no-such-setting"))
    });
    let status = server.command_line(&["policy", "status"]);
    assert_eq!(status.status.code(), Some(2), "{}", status.all());
    assert!(
        status.stdout.contains("refused: ") && status.stdout.contains("no-such-setting"),
        "{}",
        status.stdout
    );
    assert!(
        server
            .get("/metrics")
            .text()
            .contains("\nportcullis_watched_policies_refused 1")
    );
    assert_eq!(
        server
            .settled_log()
            .matches("the last good set goes on serving")
            .count(),
        1,
        "told once: {}",
        server.log()
    );

    set.rewrite(&default_bindings());
    wait_for_watched(&mut server, "the end of the error", |watched| {
        watched["error"].is_null()
    });
    assert!(
        server
            .get("/metrics")
            .text()
            .contains("\nportcullis_watched_policies_refused 0")
    );
    assert_eq!(server.get("/simple/").policy_set(), Some(1));
}

#[test]
fn a_watched_set_that_locks_everybody_out_is_refused_unless_somebody_insists() {
    let set = SetFolder::new("watched", &default_bindings());
    let mut server = Setup::default().watching(&set.path()).start();
    wait_for_index(&mut server, Open, "the first set");
    set.rewrite(&binding(
        "restrict-routes",
        "restrict-routes.wasm",
        "[binding.settings]\nnone = []\nsession = []\napi-token = []\n",
    ));
    let refused = wait_for_watched(&mut server, "the refusal", |watched| {
        watched["error"].is_string()
    });
    let error = refused["error"].as_str().unwrap_or_default();
    assert!(
        error.contains("nobody could read the index") && error.contains("--allow-lockout"),
        "{error}"
    );
    assert_eq!(server.get("/simple/").policy_set(), Some(1));
    server
        .command_line(&["policy", "apply", &set.text(), "--allow-lockout"])
        .ok();
    assert_eq!(index(&server), Some(Closed));
    set.rewrite(&default_bindings());
    wait_for_index(&mut server, Open, "the mended set");
}

#[test]
fn a_set_that_somebody_took_back_stays_back_until_the_folder_changes() {
    let set = SetFolder::new("watched", &default_bindings());
    let mut server = Setup::default().watching(&set.path()).start();
    wait_for_index(&mut server, Open, "the first set");
    set.rewrite(&closed_bindings());
    wait_for_index(&mut server, Closed, "the changed set");
    server
        .command_line(&["policy", "rollback", "--reason", "too strict"])
        .ok();
    assert_eq!(index(&server), Some(Open));
    // Written again with the same content: no change.
    set.rewrite(&closed_bindings());
    let setup = server.setup.clone();
    assert!(server.stop().success());
    let mut server = setup.start();
    wait_for_watched(&mut server, "a look after the start", |watched| {
        watched["set"] == 2
    });
    assert_eq!(index(&server), Some(Open), "not undone by a start either");
    let status = server.command_line(&["policy", "status"]).ok().stdout;
    assert!(
        status.contains("holds set 2, in whose place someone made another one active"),
        "{status}"
    );

    set.rewrite(&default_bindings());
    wait_for_watched(&mut server, "the earlier set in the folder", |watched| {
        watched["set"] == 1
    });
    set.rewrite(&closed_bindings());
    wait_for_index(&mut server, Closed, "the set that came back in a change");
}

#[test]
fn a_server_starts_without_its_watched_folder_and_serves_once_it_is_there() {
    let set = SetFolder::new("watched", &default_bindings());
    let late = set.path().with_file_name("late");
    let mut server = Setup::default().watching(&late).start();
    assert_eq!(server.get("/simple/").status, 503);
    let status = server.command_line(&["policy", "status"]);
    assert_eq!(status.status.code(), Some(1), "{}", status.all());
    assert!(
        status.stdout.contains("refused: cannot read") && status.stdout.contains("late/set.toml"),
        "{}",
        status.stdout
    );
    fs::rename(set.path(), &late).expect("a folder can be moved");
    wait_for_index(&mut server, Open, "the folder");
}

#[test]
fn servers_that_watch_one_folder_make_each_of_its_sets_active_once() {
    let Some(database) = new_database() else {
        return;
    };
    let set = SetFolder::new("watched", &default_bindings());
    let setup = Setup::default()
        .database(&database.url)
        .watching(&set.path());
    let mut servers = [setup.clone().start(), setup.clone().start()];
    for (bindings, wanted) in [
        (closed_bindings(), Closed),
        (default_bindings(), Open),
        (closed_bindings(), Closed),
    ] {
        set.rewrite(&bindings);
        for server in &mut servers {
            wait_for_index(server, wanted, "the change");
        }
        let number = servers[0].get("/simple/").policy_set();
        servers[0].wait_for("both to have read it", |server| {
            let status = server.command_line(&["policy", "status", "--json"]).json();
            let all = status["servers"].as_array().expect("a list");
            all.iter()
                .all(|server| server["watched"]["set"].as_u64() == number)
                .then_some(())
        });
    }
    let history = servers[0]
        .command_line(&["policy", "history", "--json"])
        .ok()
        .json();
    let sets: Vec<_> = history
        .as_array()
        .expect("a list")
        .iter()
        .rev()
        .map(|row| (row["set"].as_u64(), row["kind"].as_str()))
        .collect();
    assert_eq!(
        sets,
        [1, 2, 1, 2].map(|set| (Some(set), Some("watched folder"))),
        "{history}"
    );
}
