//! People on the pages, in a real browser. Each test is a journey: a script of `tests/browser` that
//! walks it and checks every page that it visits (axe-core in light and dark, 320 px, the content
//! security policy, nothing loaded from elsewhere). Pictures of the pages are in
//! `target/screenshots`.

use std::path::Path;

use tests::browser::Breaches;
use tests::{Browser, Clients, Package, Server, Setup, User, shipped_set};

use crate::tools::upload_ok;

/// The input of all journeys, if this machine can run them.
struct Walker {
    browser: Browser,
    twine: String,
    python: String,
}

impl Walker {
    fn find() -> Option<Self> {
        let (browser, clients) = (Browser::find()?, Clients::find()?);
        let program = |name: &str| {
            clients
                .command(name, &std::env::temp_dir())
                .get_program()
                .to_string_lossy()
                .into_owned()
        };
        Some(Self {
            twine: program("twine"),
            python: program("python"),
            browser,
        })
    }

    #[track_caller]
    fn walk(&self, journey: &str, server: &Server, variables: &[(&str, &str)]) {
        let tools = [
            ("TWINE", self.twine.as_str()),
            ("PYTHON", self.python.as_str()),
        ];
        self.browser
            .walk(journey, server, &[&tools, variables].concat());
    }
}

/// The address that `Setup` gives a user.
fn email(user: &User) -> String {
    format!("{}@example.org", user.name)
}

/// A user and the secret of their app, as they would type it in.
fn user_with_app(setup: &Setup, name: &str) -> (User, String) {
    let user = setup.user_without_factor(name);
    let enrolled = setup
        .command_line(&["user", "totp", "enroll", name, "--json"])
        .ok()
        .json();
    (
        user,
        enrolled["secret"]
            .as_str()
            .expect("the secret is told")
            .to_owned(),
    )
}

/// A wheel on the person's disk.
fn wheel(folder: &Path, name: &str) -> String {
    let wheel = Package::new(name, "1.0").wheel();
    let path = folder.join(&wheel.file_name);
    std::fs::write(&path, &wheel.bytes).expect("the wheel can be written");
    path.display().to_string()
}

#[test]
fn a_stranger_registers_and_ends_up_uploading() {
    let Some(walker) = Walker::find() else { return };
    let server = Setup::default().start();
    let wheel = wheel(server.setup.folder.path(), "hello-browser");
    walker.walk("becoming_someone", &server, &[("WHEEL", &wheel)]);
    assert_eq!(server.get("/simple/hello-browser/").status, 200);
}

/// A server that checks for breaches, and a user with a breached password.
fn with_a_breached_password(breaches: &Breaches, set: &str) -> Server {
    let server = Setup::default()
        .policies(shipped_set(set))
        .flag("--breach-check-url", &breaches.url)
        .start();
    let arguments = [
        "user",
        "create",
        "carla",
        "--email",
        "carla@example.org",
        "--verified",
        "--password-stdin",
    ];
    server
        .setup
        .command_line_with_input(&arguments, &format!("{BREACHED}\n"), &[])
        .ok();
    server
}

const BREACHED: &str = "trombone lantern gravel 1994";

#[test]
fn a_breached_password_opens_nothing_and_a_reset_by_mail_leads_back() {
    let Some(walker) = Walker::find() else { return };
    let breaches = walker.browser.breaches();
    let server = with_a_breached_password(&breaches, "default");
    walker.walk(
        "breached_password",
        &server,
        &[
            ("NAME", "carla"),
            ("EMAIL", "carla@example.org"),
            ("BREACHES", &breaches.url),
        ],
    );
    assert!(
        !server.settled_log().contains(BREACHED),
        "no password in the log"
    );
}

#[test]
fn a_breached_password_that_is_only_observed_is_counted_and_nobody_is_held_up() {
    let Some(walker) = Walker::find() else { return };
    let breaches = walker.browser.breaches();
    let mut server = with_a_breached_password(&breaches, "observe");
    walker.walk("observed_breach", &server, &[("NAME", "carla")]);
    server.wait_for("the decisions on record", |server| {
        let told = server
            .command_line(&["decisions", "--would-refuse"])
            .ok()
            .stdout;
        (told.matches("refuse-breached-passwords").count() == 2).then_some(())
    });
}

#[test]
fn the_first_user_comes_by_the_printed_link_and_is_staff() {
    let Some(walker) = Walker::find() else { return };
    let mut server = Setup::default().start();
    let link = server.wait_for("the link for the first user", |server| {
        server
            .log()
            .split_whitespace()
            .find(|word| word.contains("/first-user?link="))
            .map(str::to_owned)
    });
    walker.walk("first_user", &server, &[("LINK", &link)]);
    // It is in the log of a terminal, so it must work only once.
    let shown = server
        .command_line(&["user", "show", "founder", "--json"])
        .ok()
        .json();
    assert_eq!(shown["staff"], true, "{shown}");
}

#[test]
fn who_says_it_was_not_them_ends_everything_and_gets_back_by_mail() {
    let Some(walker) = Walker::find() else { return };
    let server = Setup::default().start();
    let (dora, secret) = user_with_app(&server.setup, "dora");
    let token = server.setup.token(&dora, &["--account"]);
    let wheel = wheel(server.setup.folder.path(), "never-uploaded");
    let variables = [
        ("NAME", dora.name.as_str()),
        ("EMAIL", &email(&dora)),
        ("OLD_PASSWORD", &dora.password),
        ("SECRET", &secret),
        ("TOKEN", &token),
        ("WHEEL", &wheel),
    ];
    walker.walk("not_me", &server, &variables);
    assert_eq!(server.get("/simple/never-uploaded/").status, 404);
}

#[test]
fn an_account_is_deleted_for_good_unless_a_project_would_be_left_alone() {
    let Some(walker) = Walker::find() else { return };
    let server = Setup::default().start();
    let (owner, other) = (
        server.user("olga"),
        server.setup.user_without_factor("emil"),
    );
    upload_ok(
        &server,
        &Package::new("kept", "1.0").wheel(),
        &server.setup.token(&owner, &["--account"]),
    );
    // Without a factor the owner logs in with the password only.
    server
        .command_line(&["user", "totp", "remove", &owner.name])
        .ok();
    let variables = [
        ("OWNER", owner.name.as_str()),
        ("OWNER_PASSWORD", &owner.password),
        ("PROJECT", "kept"),
        ("NAME", &other.name),
        ("EMAIL", &email(&other)),
        ("OLD_PASSWORD", &other.password),
    ];
    walker.walk("deleting", &server, &variables);
    assert_eq!(server.get("/simple/kept/").status, 200);
}

#[test]
fn the_last_factor_stays_while_a_project_or_a_policy_demands_one() {
    let Some(walker) = Walker::find() else { return };
    let server = Setup::default().start();
    let (fay, secret) = user_with_app(&server.setup, "fay");
    upload_ok(
        &server,
        &Package::new("guarded", "1.0").wheel(),
        &server.setup.token(&fay, &["--account"]),
    );
    // The demands of the project's owners are shown next to those of the registry's policies.
    server
        .command_line(&[
            "project",
            "settings",
            "guarded",
            "owner-mandate",
            "second-factor=true",
        ])
        .ok();
    let variables = [
        ("NAME", fay.name.as_str()),
        ("EMAIL", &email(&fay)),
        ("OLD_PASSWORD", &fay.password),
        ("SECRET", &secret),
        ("PROJECT", "guarded"),
    ];
    walker.walk("last_factor", &server, &variables);
}

#[test]
fn staff_lets_somebody_back_in_who_lost_everything_and_the_person_can_stop_it() {
    let Some(walker) = Walker::find() else { return };
    let server = Setup::default().start();
    let (staff, staff_secret) = user_with_app(&server.setup, "sara");
    server
        .command_line(&["user", "staff", &staff.name, "on"])
        .ok();
    let (lost, _) = user_with_app(&server.setup, "leo");
    let variables = [
        ("STAFF", staff.name.as_str()),
        ("STAFF_EMAIL", &email(&staff)),
        ("STAFF_PASSWORD", &staff.password),
        ("STAFF_SECRET", &staff_secret),
        ("NAME", &lost.name),
        ("EMAIL", &email(&lost)),
        ("OLD_PASSWORD", &lost.password),
    ];
    walker.walk("staff_recovery", &server, &variables);
}

#[test]
fn a_keyboard_is_enough_to_log_in_and_out() {
    let Some(walker) = Walker::find() else { return };
    let server = Setup::default().start();
    let (kim, secret) = user_with_app(&server.setup, "kim");
    let variables = [
        ("NAME", kim.name.as_str()),
        ("EMAIL", &email(&kim)),
        ("OLD_PASSWORD", &kim.password),
        ("SECRET", &secret),
    ];
    walker.walk("keyboard", &server, &variables);
}

#[test]
fn nothing_but_security_keys_needs_script() {
    let Some(walker) = Walker::find() else { return };
    let server = Setup::default().start();
    walker.walk("without_script", &server, &[]);
}
