//! The same on PostgreSQL, with two servers that share a database.

use tests::postgres::new_database;
use tests::{Clients, Package, Setup, basic_token};

use crate::tools::{SetFolder, Tool, binding, pip_install, upload_ok};

#[test]
fn two_servers_on_one_postgresql_database_are_one_registry() {
    let Some(database) = new_database() else {
        return;
    };
    let setup = Setup::default().database(&database.url);
    let first = setup.clone().start();
    let mut second = setup.clone().start();
    let alice = first.user("alice");
    let token = first.setup.token(&alice, &["--account"]);

    // Uploaded here, visible there, at once.
    let wheel = Package::new("shared", "1.0").wheel();
    upload_ok(&first, &wheel, &token);
    assert_eq!(second.get("/simple/shared/").status, 200);
    assert_eq!(second.get(&wheel.path()).body, wheel.bytes);
    upload_ok(&second, &Package::new("shared", "1.1").wheel(), &token);
    second.wait_for("both files on the other server", |_| {
        (first.get("/simple/shared/").text().matches("</a>").count() == 2).then_some(())
    });

    // A new project is in both lists, and both find it.
    upload_ok(&second, &Package::new("listed", "1.0").wheel(), &token);
    assert!(
        second.get("/simple/").text().contains(">listed</a>"),
        "at once where it was uploaded"
    );
    second.wait_for("the project in the list of the other server", |_| {
        first
            .get("/simple/")
            .text()
            .contains(">listed</a>")
            .then_some(())
    });

    // The same name on both at the same moment: one wins.
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let uploads: Vec<_> = [(&first, 11), (&second, 12)]
            .map(|(server, size)| {
                let token = &token;
                scope.spawn(move || {
                    server
                        .upload(
                            &Package::new("shared", "2.0").with_payload(size).wheel(),
                            Some(&basic_token(token)),
                        )
                        .status
                })
            })
            .into_iter()
            .collect();
        uploads
            .into_iter()
            .map(|upload| upload.join().expect("an upload ends"))
            .collect()
    });
    assert!(
        statuses.contains(&200) && statuses.contains(&400),
        "{statuses:?}"
    );

    // A swap reaches both before `apply` returns.
    let closed = SetFolder::new(
        "closed",
        &binding(
            "restrict-routes",
            "restrict-routes.wasm",
            "[binding.settings]\nnone = [\"session:start\"]\n",
        ),
    );
    let applied = first
        .command_line(&["policy", "apply", &closed.text(), "--json"])
        .ok()
        .json();
    assert_eq!(
        applied["servers"].as_array().map(Vec::len),
        Some(2),
        "{applied}"
    );
    for server in [&first, &second] {
        let answer = server.get("/simple/");
        assert_eq!((answer.status, answer.policy_set()), (401, Some(2)));
    }
    second.command_line(&["policy", "rollback"]).ok();
    for server in [&first, &second] {
        let answer = server.get("/simple/");
        assert_eq!((answer.status, answer.policy_set()), (200, Some(1)));
    }

    // Staging on one, publishing on the other.
    first
        .command_line(&[
            "project",
            "settings",
            "shared",
            "staged-release",
            "mode=automation",
        ])
        .ok();
    let staged = first.upload(
        &Package::new("shared", "3.0").wheel(),
        Some(&basic_token(&token)),
    );
    assert!((200..300).contains(&staged.status), "{}", staged.reason);
    for server in [&first, &second] {
        assert!(!server.get("/simple/shared/").text().contains("shared-3.0"));
    }
    let code = alice
        .authenticator
        .as_ref()
        .expect("alice has an app")
        .code();
    second.know_own_command_line(&alice, &second.url());
    let listed = second
        .command_line(&["release", "list", "shared", "--json"])
        .ok()
        .json();
    let sha256 = listed[0]["files"][0]["sha256"].as_str().expect("a digest");
    let file = format!("shared-3.0-py3-none-any.whl={sha256}");
    second
        .setup
        .command_line_with_input(
            &[
                "release",
                "publish",
                "shared",
                "3.0",
                "--user",
                "alice",
                "--url",
                &second.url(),
                "--file",
                &file,
            ],
            "",
            &[
                ("PORTCULLIS_PASSWORD", &alice.password),
                ("PORTCULLIS_TOTP", &code),
            ],
        )
        .ok();
    second.wait_for("the release on both", |second| {
        [&first, second]
            .iter()
            .all(|server| server.get("/simple/shared/").text().contains("shared-3.0"))
            .then_some(())
    });
}

#[test]
fn twine_and_pip_work_on_postgresql() {
    let (Some(database), Some(clients)) = (new_database(), Clients::find()) else {
        return;
    };
    let server = Setup::default().database(&database.url).start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    let top = server.setup.folder.path();
    Tool::Twine
        .project(&clients, top, "on-postgres", "1.0")
        .publish(&clients, &server, "__token__", &token)
        .ok();
    pip_install(&clients, &server, top, "on-postgres")
        .ok()
        .says("Successfully installed on-postgres-1.0");
}
