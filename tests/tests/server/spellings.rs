//! Different spellings with the same meaning: passwords and email addresses.

use tests::{Clients, Request, Response, Server, Setup};

/// The first step of a login in a browser, with values as forms encode them.
fn log_in(server: &Server, user: &str, password: &str) -> Response {
    let origin = format!("http://localhost:{}", server.address.port());
    let request = Request::new("POST", "/login")
        .header("Origin", &origin)
        .header("Sec-Fetch-Site", "same-origin")
        .header("Accept", "text/html");
    server.send(&request.body(
        "application/x-www-form-urlencoded",
        format!("user={user}&password={password}").into_bytes(),
    ))
}

#[test]
fn a_password_set_on_one_keyboard_logs_in_from_another() {
    let server = Setup::default().start();
    let create = [
        "user",
        "create",
        "zoe",
        "--email",
        "zoe@example.org",
        "--verified",
        "--password-stdin",
    ];
    // Letters and accents apart, as some systems type them.
    server
        .setup
        .command_line_with_input(&create, "cre\u{300}me bru\u{302}le\u{301}e chaude\n", &[])
        .ok();
    let composed = log_in(&server, "zoe", "cr%C3%A8me+br%C3%BBl%C3%A9e%C2%A0chaude");
    assert_eq!(composed.status, 303, "{}", composed.text());
    let without = log_in(&server, "zoe", "creme+brulee+chaude");
    assert!(
        without.status >= 400
            && without
                .header("Set-Cookie")
                .is_none_or(|cookie| !cookie.contains("session")),
        "{}",
        without.status
    );
    assert!(!server.settled_log().contains("chaude"));
}

/// A row as the previous version wrote it.
#[test]
fn an_address_of_before_is_converted_at_the_start_and_its_owner_notices_nothing() {
    let Some(clients) = Clients::find() else {
        return;
    };
    let setup = Setup::default();
    setup.command_line(&["migrate"]).ok();
    let user = setup.user_without_factor("zoe");
    let program = "import sqlite3, sys\n\
        database = sqlite3.connect(sys.argv[1])\n\
        database.execute(\"UPDATE emails SET folded_address = 'zoe@ex\\u00e4mple.org', address = 'Zoe@ex\\u00e4mple.org'\")\n\
        database.commit()";
    let database = setup.data().join("portcullis.sqlite");
    let changed = clients
        .command("python", setup.folder.path())
        .args(["-c", program])
        .arg(&database)
        .status()
        .expect("python runs");
    assert!(changed.success());

    let server = setup.start();
    let listed = server
        .command_line(&["user", "email", "list", "zoe", "--json"])
        .ok()
        .json();
    assert_eq!(
        (&listed[0]["address"], &listed[0]["primary"]),
        (&"Zoe@xn--exmple-cua.org".into(), &true.into()),
        "{listed}"
    );
    let password = user.password.replace(' ', "+");
    for address in [
        "zoe%40ex%C3%A4mple.org",
        "ZOE%40EX%C3%84MPLE.ORG",
        "zoe%40xn--exmple-cua.org",
    ] {
        let answer = log_in(&server, address, &password);
        assert_eq!(answer.status, 303, "{address}: {}", answer.text());
    }
    let twice = server.command_line(&[
        "user",
        "create",
        "ben",
        "--email",
        "zoe@ex\u{e4}mple.org",
        "--no-password",
    ]);
    assert!(
        !twice.status.success() && twice.all().contains("the email address is taken"),
        "{}",
        twice.all()
    );
    let nowhere = server.command_line(&["user", "email", "add", "zoe", "zoe@[192.0.2.1]"]);
    assert!(
        !nowhere.status.success()
            && nowhere
                .all()
                .contains("mail cannot be sent to what follows the @"),
        "{}",
        nowhere.all()
    );
}
