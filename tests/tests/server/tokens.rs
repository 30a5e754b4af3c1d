//! API tokens: narrowed offline by pypitoken, refused if tampered with, useless beyond their
//! caveats.

use tests::{Clients, Package, Request, Server, Setup, User, basic_token, shipped_set};

use crate::tools::{SetFolder, binding, log_in, upload_ok};

fn server_with_two_projects() -> (Server, User, String) {
    let server = Setup::default().start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    for name in ["first", "second"] {
        upload_ok(&server, &Package::new(name, "1.0").wheel(), &token);
    }
    (server, alice, token)
}

/// Adds a caveat with pypitoken, without the server.
fn narrowed(clients: &Clients, server: &Server, token: &str, restriction: &str) -> String {
    let script = format!(
        "import sys, pypitoken\ntoken = pypitoken.Token.load(sys.argv[1])\ntoken.restrict({restriction})\nprint(token.dump())"
    );
    clients
        .python(server.setup.folder.path(), &script, &[token])
        .ok()
        .raw
        .trim()
        .to_owned()
}

#[test]
fn a_token_narrowed_offline_to_a_project_uploads_there_and_nowhere_else() {
    let Some(clients) = Clients::find() else {
        return;
    };
    let (server, _, token) = server_with_two_projects();
    let narrow = narrowed(&clients, &server, &token, "project_names=[\"first\"]");
    upload_ok(&server, &Package::new("first", "1.1").wheel(), &narrow);
    let refused = server.upload(
        &Package::new("second", "1.1").wheel(),
        Some(&basic_token(&narrow)),
    );
    assert_eq!(refused.status, 403);
    assert!(
        refused
            .reason
            .contains("project-scoped token is not valid for project: 'second'"),
        "{}",
        refused.reason
    );

    // Narrowing again cannot widen.
    let wider = narrowed(
        &clients,
        &server,
        &narrow,
        "project_names=[\"first\", \"second\"]",
    );
    assert_eq!(
        server
            .upload(
                &Package::new("second", "1.1").wheel(),
                Some(&basic_token(&wider))
            )
            .status,
        403
    );
    upload_ok(&server, &Package::new("first", "1.2").wheel(), &wider);
}

/// The answer to an account-wide token that was narrowed to this name.
#[track_caller]
fn refused_as_account_wide(server: &Server, name: &str, token: &str) -> String {
    let refused = server.upload(
        &Package::new(name, "3.0").wheel(),
        Some(&basic_token(token)),
    );
    assert_eq!(refused.status, 403, "{}", refused.reason);
    assert!(
        refused
            .reason
            .contains("does not accept account-wide tokens"),
        "{}",
        refused.reason
    );
    refused
        .header("Portcullis-Decision")
        .expect("a refusal names its decision")
        .to_owned()
}

/// A thief of an account-wide token can also write the restriction.
#[test]
fn an_account_token_narrowed_offline_passes_for_no_project_token_under_the_strict_set() {
    let Some(clients) = Clients::find() else {
        return;
    };
    let server = Setup::default().policies(shipped_set("strict")).start();
    let alice = server.user("alice");
    let app = alice.authenticator.as_ref().expect("alice has an app");
    let account = server
        .setup
        .token(&alice, &["--account", "--second-factor-code", &app.code()]);
    let scope = [
        "--project",
        "first",
        "--project",
        "second",
        "--expires",
        "1h",
        "--second-factor-code",
        &app.code_steps_from_now(1),
    ];
    let projects = server.setup.token(&alice, &scope);
    upload_ok(&server, &Package::new("first", "1.0").wheel(), &projects);

    // For an existing project, and for a missing one.
    for name in ["first", "brand-new"] {
        refused_as_account_wide(&server, name, &account);
        let narrow = narrowed(
            &clients,
            &server,
            &account,
            &format!("project_names=[\"{name}\"]"),
        );
        let decision = refused_as_account_wide(&server, name, &narrow);
        let explained = server
            .command_line(&["explain", &decision, "--json"])
            .ok()
            .all();
        assert!(
            explained.contains("narrowed-to"),
            "an operator sees what the holder added: {explained}"
        );
    }
    let waiting = server
        .command_line(&["release", "list", "--json"])
        .ok()
        .json();
    assert_eq!(waiting.as_array().map(Vec::len), Some(1), "{waiting}");

    // A token that was created for projects still works, and so do its narrowed forms.
    let narrow = narrowed(&clients, &server, &projects, "project_names=[\"first\"]");
    upload_ok(&server, &Package::new("first", "1.1").wheel(), &narrow);
    let elsewhere = server.upload(
        &Package::new("second", "1.0").wheel(),
        Some(&basic_token(&narrow)),
    );
    assert!(
        elsewhere
            .reason
            .contains("project-scoped token is not valid for project: 'second'"),
        "{}",
        elsewhere.reason
    );
    upload_ok(&server, &Package::new("second", "1.0").wheel(), &projects);
}

#[test]
fn an_account_token_narrowed_offline_is_refused_where_owners_want_project_tokens() {
    let Some(clients) = Clients::find() else {
        return;
    };
    let (server, alice, account) = server_with_two_projects();
    server
        .command_line(&[
            "project",
            "settings",
            "first",
            "owner-mandate",
            "project-tokens-only=true",
        ])
        .ok();
    let narrow = narrowed(
        &clients,
        &server,
        &account,
        "project_names=[\"first\", \"second\"]",
    );
    refused_as_account_wide(&server, "first", &account);
    refused_as_account_wide(&server, "first", &narrow);
    upload_ok(&server, &Package::new("second", "1.1").wheel(), &narrow);
    let for_project = server.setup.token(&alice, &["--project", "first"]);
    upload_ok(&server, &Package::new("first", "1.1").wheel(), &for_project);
    upload_ok(
        &server,
        &Package::new("first", "1.2").wheel(),
        &narrowed(&clients, &server, &for_project, "project_names=[\"first\"]"),
    );
}

#[test]
fn a_token_narrowed_offline_in_time_expires() {
    let Some(clients) = Clients::find() else {
        return;
    };
    let (server, _, token) = server_with_two_projects();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("past 1970")
        .as_secs();
    let valid = narrowed(
        &clients,
        &server,
        &token,
        &format!("not_before={}, not_after={}", now - 60, now + 3600),
    );
    upload_ok(&server, &Package::new("first", "1.1").wheel(), &valid);
    for (not_before, not_after) in [(now - 3600, now - 60), (now + 600, now + 3600)] {
        let restriction = format!("not_before={not_before}, not_after={not_after}");
        let outside = narrowed(&clients, &server, &token, &restriction);
        let refused = server.upload(
            &Package::new("first", "1.2").wheel(),
            Some(&basic_token(&outside)),
        );
        assert_eq!(refused.status, 403, "{restriction}");
        assert!(
            refused.reason.contains("token is expired"),
            "{}",
            refused.reason
        );
    }
}

#[test]
fn a_token_with_a_caveat_nobody_knows_or_of_somebody_else_is_refused() {
    let Some(clients) = Clients::find() else {
        return;
    };
    let (server, _, token) = server_with_two_projects();
    for caveat in [
        "[9999999]",
        "\"foo\"",
        "[0, 5]",
        "{\"version\": 1}",
        "[]",
        "null",
        "[3, \"00000000-0000-4000-8000-000000000000\"]",
        "[2, [\"00000000-0000-4000-8000-000000000000\"]]",
        "not json",
    ] {
        let script = "import sys, pymacaroons\nprefix, _, raw = sys.argv[1].partition('-')\nmacaroon = pymacaroons.Macaroon.deserialize(raw)\nmacaroon.add_first_party_caveat(sys.argv[2])\nprint(prefix + '-' + macaroon.serialize())";
        let bent = clients
            .python(server.setup.folder.path(), script, &[&token, caveat])
            .ok()
            .raw
            .trim()
            .to_owned();
        let refused = server.upload(
            &Package::new("first", "1.1").wheel(),
            Some(&basic_token(&bent)),
        );
        assert_eq!(refused.status, 403, "{caveat}: {}", refused.text());
    }
    upload_ok(&server, &Package::new("first", "1.1").wheel(), &token);
}

#[test]
fn every_other_spelling_of_a_token_is_refused() {
    let server = Setup::default()
        .flag("--trusted-proxies", "127.0.0.1")
        .start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    upload_ok(&server, &Package::new("first", "1.0").wheel(), &token);
    let body = &token["pypi-".len()..];
    let bytes = data_encoding::BASE64URL_NOPAD
        .decode(body.as_bytes())
        .expect("a token is base64 without padding");
    let encode = |bytes: &[u8]| format!("pypi-{}", data_encoding::BASE64URL_NOPAD.encode(bytes));
    assert_eq!(encode(&bytes), token);

    let mut bent: Vec<(String, String)> = vec![
        ("padding".into(), format!("{token}=")),
        ("more after the end".into(), format!("{token}AAAA")),
        ("another prefix".into(), format!("test-{body}")),
        ("no prefix".into(), body.to_owned()),
        ("upper case prefix".into(), format!("PYPI-{body}")),
        (
            "blank inside".into(),
            format!("{} {}", &token[..40], &token[40..]),
        ),
        ("cut".into(), token[..token.len() - 4].to_owned()),
    ];
    // The last character carries bits that a lenient decoder ignores.
    for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/".chars() {
        let other = format!("{}{last}", &token[..token.len() - 1]);
        if other != token {
            bent.push((format!("last character {last}"), other));
        }
    }
    // The first field after the version is the location: a hint for people, which the format leaves
    // unsigned. It identifies nothing and grants nothing.
    let location_end = 3 + usize::from(bytes[2]);
    for position in (0..3).chain(location_end..bytes.len()) {
        let mut flipped = bytes.clone();
        flipped[position] ^= 1;
        bent.push((format!("bit of byte {position}"), encode(&flipped)));
    }
    let upload = tests::upload_request(&Package::new("first", "2.0").wheel(), None);
    for (number, (what, token)) in bent.iter().enumerate() {
        // From many addresses: too many failures from one are answered without a check.
        let from = format!("198.51.100.{}", number % 250);
        let answer = server.send(
            &upload
                .clone()
                .header("Authorization", &basic_token(token))
                .header("X-Forwarded-For", &from),
        );
        assert_eq!(answer.status, 403, "{what}: {}", answer.reason);
    }
    assert_eq!(
        server.get("/pypi/first/2.0/json").status,
        404,
        "none of them uploaded anything"
    );

    // White space around it is ignored: secrets are often stored with a line's end.
    let fresh = server.setup.token(&alice, &["--account"]);
    upload_ok(
        &server,
        &Package::new("first", "2.1").wheel(),
        &format!(" {fresh}\n"),
    );
}

#[test]
fn a_token_is_the_same_in_every_header_form_and_dies_when_revoked() {
    let (server, alice, _) = server_with_two_projects();
    let (token, id) = server.setup.token_with_id(&alice, &["--project", "first"]);
    for (number, authorization) in [
        basic_token(&token),
        format!("token {token}"),
        format!("Bearer {token}"),
        format!("bEaReR {token}"),
        format!("TOKEN {token}"),
    ]
    .iter()
    .enumerate()
    {
        let answer = server.upload(
            &Package::new("first", &format!("1.{}", number + 1)).wheel(),
            Some(authorization),
        );
        assert_eq!(answer.status, 200, "{authorization}: {}", answer.text());
    }
    server.command_line(&["token", "revoke", "alice", &id]).ok();
    for authorization in [
        basic_token(&token),
        format!("token {token}"),
        format!("Bearer {token}"),
    ] {
        let answer = server.upload(&Package::new("first", "9.0").wheel(), Some(&authorization));
        assert_eq!(answer.status, 403);
        assert!(
            answer
                .reason
                .contains("Invalid or non-existent authentication information"),
            "{}",
            answer.reason
        );
    }
}

#[test]
fn several_authorization_headers_are_refused_even_when_one_would_do() {
    let (server, _, token) = server_with_two_projects();
    let upload = tests::upload_request(
        &Package::new("first", "5.0").wheel(),
        Some(&basic_token(&token)),
    );
    assert_eq!(
        server
            .send(
                &upload
                    .clone()
                    .header("Authorization", "Bearer pypi-nonsense")
            )
            .status,
        403
    );
    assert_eq!(
        server
            .send(&upload.clone().header("authorization", &basic_token(&token)))
            .status,
        403
    );
    let several = |path| {
        server
            .send(
                &Request::get(path)
                    .header("Authorization", "Bearer a")
                    .header("Authorization", "Bearer b"),
            )
            .status
    };
    assert_eq!(
        (several("/account/tokens/"), several("/simple/")),
        (403, 200),
        "what everybody may read is not taken away"
    );
    assert_eq!(server.send(&upload).status, 200);
}

/// The `~/.pypirc` lines from the page of a new token, in a person's browser.
fn pypirc_of_a_new_token(server: &Server, user: &User) -> String {
    let send = |path: &str, form: &str, cookies: &str| {
        let request = Request::new("POST", path)
            .header("Origin", &server.url().replace("127.0.0.1", "localhost"))
            .header("Cookie", cookies);
        server.send(&request.body(
            "application/x-www-form-urlencoded",
            form.replace(' ', "+").into_bytes(),
        ))
    };
    let cookies = log_in(server, user);
    let page = send(
        "/account/tokens/create",
        "description=laptop&scope=project&project=hello-rc&expires=7",
        &cookies,
    );
    assert_eq!(page.status, 200, "{}", page.text());
    let text = page.text();
    let between = |begin: &str| {
        text.split(begin)
            .nth(1)
            .and_then(|rest| rest.split("</code>").next())
            .expect("the page shows it")
            .to_owned()
    };
    // The token is on the page once; the lines have a placeholder.
    between("data-copy=\"the lines for ~/.pypirc\"><pre><code>")
        .replace("&lt;token&gt;", &between("aria-label=\"The token\"><code>"))
}

#[test]
fn twine_uploads_with_the_lines_of_the_page_and_nothing_else() {
    let Some(clients) = Clients::find() else {
        return;
    };
    let settings = "[binding.settings]\nnone = [\"index:read\", \"session:start\"]\n";
    let set = SetFolder::new(
        "lax",
        &binding("restrict-routes", "restrict-routes.wasm", settings),
    );
    let server = Setup::default().policies(set.path()).start();
    let user = server.setup.user_without_factor("alice");
    let pypirc = pypirc_of_a_new_token(&server, &user);

    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let wheel = Package::new("hello-rc", "1.0").wheel();
    std::fs::write(folder.path().join(&wheel.file_name), &wheel.bytes)
        .expect("the wheel can be written");
    let home = folder.path().join(".home");
    std::fs::create_dir_all(&home)
        .and_then(|()| std::fs::write(home.join(".pypirc"), pypirc))
        .expect("the file can be written");
    clients
        .run(
            "twine",
            folder.path(),
            &[
                "upload",
                "--non-interactive",
                "--repository",
                "portcullis",
                &wheel.file_name,
            ],
            &[],
        )
        .ok();
    assert_eq!(server.get("/simple/hello-rc/").status, 200);
}
