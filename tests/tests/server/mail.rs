//! Mails: from a change on one side of the program to an SMTP server, or a file, on the other.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::Value;
use tests::postgres::new_database;
use tests::server::repository;
use tests::{Clients, Server, Setup, User};

/// A real SMTP server in a separate process, which can be stopped and started again.
struct Smtp {
    clients: Clients,
    folder: tempfile::TempDir,
    port: u16,
    /// Whether it uses TLS and demands a login.
    tls: bool,
    process: Option<Child>,
}

/// A port below those that the system assigns, so that nothing takes it while its server is down.
fn quiet_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    loop {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

impl Smtp {
    /// Starts a server. None if the Python clients were not set up.
    fn start() -> Option<Self> {
        Self::start_as(false)
    }

    /// The same, over TLS and with a login.
    fn start_with_tls() -> Option<Self> {
        Self::start_as(true)
    }

    fn start_as(tls: bool) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let mut smtp = Self {
            clients: Clients::find()?,
            folder,
            port: quiet_port(),
            tls,
            process: None,
        };
        std::fs::create_dir(smtp.mails_folder()).expect("the folder of mails can be made");
        smtp.run();
        Some(smtp)
    }

    fn mails_folder(&self) -> PathBuf {
        self.folder.path().join("mails")
    }

    /// Starts it, on its previous port.
    fn run(&mut self) {
        let mut process = self
            .clients
            .command("python", self.folder.path())
            .arg(repository().join("tests/clients/smtp_server.py"))
            .arg(self.port.to_string())
            .arg(self.mails_folder())
            .args(self.tls.then_some("tls"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("the SMTP server starts");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("standard output is piped");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("the SMTP server tells its port");
        self.port = line
            .trim()
            .parse()
            .unwrap_or_else(|_| panic!("the SMTP server tells its port: {line:?}"));
        self.process = Some(process);
    }

    fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("the SMTP server can be killed");
            process.wait().expect("a killed process ends");
        }
    }

    /// Every mail that it has accepted, the oldest first.
    fn mails(&self) -> Vec<Value> {
        let entries =
            std::fs::read_dir(self.mails_folder()).expect("the folder of mails can be read");
        let mut files: Vec<PathBuf> = entries
            .map(|entry| entry.expect("an entry can be read").path())
            .collect();
        files.retain(|file| {
            file.extension()
                .is_some_and(|extension| extension == "json")
        });
        files.sort();
        files
            .iter()
            .map(|file| {
                serde_json::from_slice(&std::fs::read(file).expect("a mail can be read"))
                    .expect("a mail is JSON")
            })
            .collect()
    }

    /// A portcullis that sends through it, and tries again after a second.
    fn setup(&self) -> Setup {
        Setup::default()
            .flag("--smtp-url", &format!("smtp://127.0.0.1:{}", self.port))
            .flag("--mail-retry", "1s")
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Creates a token, about which its owner gets a mail.
fn make_token(setup: &Setup, user: &User, description: &str) {
    setup
        .command_line(&[
            "token",
            "create",
            &user.name,
            "--description",
            description,
            "--account",
        ])
        .ok();
}

/// The mails of this kind in the outbox, the newest first.
fn outbox(setup: &Setup, kind: &str) -> Vec<Value> {
    let listed = setup
        .command_line(&["mail", "list", "--limit", "1000", "--json"])
        .ok()
        .json();
    listed
        .as_array()
        .expect("a list")
        .iter()
        .filter(|mail| mail["mail"] == kind)
        .cloned()
        .collect()
}

/// Waits until all mails of this kind are in this state.
#[track_caller]
fn wait_until_all(server: &mut Server, kind: &str, count: usize, state: &str) -> Vec<Value> {
    server.wait_for(&format!("{count} mails {kind} to be {state}"), |server| {
        let mails = outbox(&server.setup, kind);
        (mails.len() == count && mails.iter().all(|mail| mail["state"] == state)).then_some(mails)
    })
}

fn text<'a>(mail: &'a Value, part: &str) -> &'a str {
    mail[part]
        .as_str()
        .unwrap_or_else(|| panic!("{part} is a text: {mail}"))
}

#[test]
fn a_registry_with_a_name_goes_by_it_in_mails_and_on_pages() {
    let Some(smtp) = Smtp::start() else { return };
    let mut server = smtp
        .setup()
        .flag("--registry-name", "Müller, Söhne & Co")
        .start();
    let user = server.setup.user_without_factor("ana");
    make_token(&server.setup, &user, "laptop");
    wait_until_all(&mut server, "token-created", 1, "sent");
    let mails: Vec<Value> = smtp
        .mails()
        .into_iter()
        .filter(|mail| text(&mail["headers"], "Subject").contains("token"))
        .collect();
    let [mail] = mails.as_slice() else {
        panic!("exactly one mail: {mails:?}")
    };
    assert_eq!(
        text(&mail["headers"], "Subject"),
        "[Müller, Söhne & Co] An API token was created"
    );
    assert!(
        text(&mail["headers"], "From").contains("Müller, Söhne & Co"),
        "{mail}"
    );
    assert_eq!(text(mail, "from"), "noreply@localhost");
    let front = server
        .send(
            &tests::Request::get("/")
                .header("Accept", "text/html")
                .header("Cookie", "portcullis-moved=1"),
        )
        .text();
    assert!(
        front.contains("<h1>Müller, Söhne &#38; Co</h1>")
            && front.contains("· Müller, Söhne &#38; Co</title>"),
        "{front}"
    );
}

#[test]
fn a_mail_arrives_as_text_and_html_with_headers_that_say_what_it_is() {
    let Some(smtp) = Smtp::start() else { return };
    let mut server = smtp.setup().start();
    let user = server.setup.user_without_factor("ana");
    make_token(&server.setup, &user, "laptop & <desk>");
    let listed = wait_until_all(&mut server, "token-created", 1, "sent");
    let mails: Vec<Value> = smtp
        .mails()
        .into_iter()
        .filter(|mail| text(&mail["headers"], "Subject").contains("token"))
        .collect();
    let [mail] = mails.as_slice() else {
        panic!("exactly one mail: {mails:?}")
    };

    assert_eq!(
        (text(mail, "from"), &mail["to"]),
        ("noreply@localhost", &serde_json::json!(["ana@example.org"]))
    );
    let headers = &mail["headers"];
    assert_eq!(text(headers, "To"), "ana@example.org");
    assert_eq!(
        text(headers, "Subject"),
        format!(
            "[localhost:{}] An API token was created",
            server.address.port()
        )
    );
    assert_eq!(
        text(headers, "Message-ID"),
        format!(
            "<{}@localhost>",
            listed[0]["id"].as_str().expect("a mail has an id")
        )
    );
    assert_eq!(text(headers, "Auto-Submitted"), "auto-generated");
    assert!(text(mail, "text").contains("laptop & <desk>"), "{mail}");
    assert!(
        text(mail, "html").contains("laptop &#38; &#60;desk&#62;"),
        "{mail}"
    );
    let page = format!("http://localhost:{}/account/secure", server.address.port());
    for part in ["text", "html"] {
        assert!(text(mail, part).contains(&page), "{mail}");
    }
}

#[test]
fn mails_wait_for_a_server_that_is_down_and_each_arrives_once() {
    let Some(mut smtp) = Smtp::start() else {
        return;
    };
    smtp.stop();
    let mut server = smtp.setup().start();
    let user = server.setup.user_without_factor("ana");
    for number in 0..5 {
        make_token(&server.setup, &user, &format!("token {number}"));
    }
    server.wait_for("a mail to be tried in vain", |server| {
        outbox(&server.setup, "token-created")
            .iter()
            .find(|mail| mail["last-error"].is_string())
            .cloned()
    });
    assert_eq!(smtp.mails(), Vec::<Value>::new());

    smtp.run();
    wait_until_all(&mut server, "token-created", 5, "sent");
    all_five_arrived_once(&smtp);
}

#[test]
fn a_server_that_is_killed_while_mails_wait_sends_them_when_it_is_back() {
    let Some(mut smtp) = Smtp::start() else {
        return;
    };
    smtp.stop();
    // Between two tries the mailer rests for half a minute: the lease of a mail that it is sending
    // when it is killed would last three minutes.
    let setup = Setup::default()
        .flag("--smtp-url", &format!("smtp://127.0.0.1:{}", smtp.port))
        .flag("--mail-retry", "30s");
    let mut server = setup.clone().start();
    let user = setup.user_without_factor("ana");
    for number in 0..5 {
        make_token(&setup, &user, &format!("token {number}"));
    }
    server.wait_for("a mail to be tried in vain", |server| {
        outbox(&server.setup, "token-created")
            .iter()
            .find(|mail| mail["last-error"].is_string())
            .cloned()
    });
    server.kill();

    smtp.run();
    assert_eq!(smtp.mails(), Vec::<Value>::new());
    let mut server = setup.start();
    wait_until_all(&mut server, "token-created", 5, "sent");
    all_five_arrived_once(&smtp);
}

#[track_caller]
fn all_five_arrived_once(smtp: &Smtp) {
    let mails: Vec<Value> = smtp
        .mails()
        .into_iter()
        .filter(|mail| text(&mail["headers"], "Subject").contains("token"))
        .collect();
    let ids: BTreeSet<&str> = mails
        .iter()
        .map(|mail| text(&mail["headers"], "Message-ID"))
        .collect();
    assert_eq!((mails.len(), ids.len()), (5, 5), "{mails:?}");
    for number in 0..5 {
        assert!(
            mails
                .iter()
                .any(|mail| text(mail, "text").contains(&format!("token {number}"))),
            "token {number}"
        );
    }
}

#[test]
fn two_servers_on_one_database_send_each_mail_once() {
    let (Some(mut smtp), Some(database)) = (Smtp::start(), new_database()) else {
        return;
    };
    smtp.stop();
    let setup = smtp.setup().database(&database.url);
    let mut server = setup.clone().start();
    let _other = setup.clone().start();
    let user = setup.user_without_factor("ana");
    for number in 0..5 {
        make_token(&setup, &user, &format!("token {number}"));
    }
    // Both have mails waiting when the server comes back.
    smtp.run();
    wait_until_all(&mut server, "token-created", 5, "sent");
    all_five_arrived_once(&smtp);
}

#[test]
fn what_is_refused_for_now_is_tried_again_and_what_is_refused_for_good_is_on_record() {
    let Some(smtp) = Smtp::start() else { return };
    let mut server = smtp.setup().start();
    for name in ["later-2", "never"] {
        // The address is the user's name at example.org.
        let user = server.setup.user_without_factor(name);
        make_token(&server.setup, &user, "laptop");
    }
    let mails = server.wait_for("both mails to end", |server| {
        let mails = outbox(&server.setup, "token-created");
        (mails.len() == 2 && mails.iter().all(|mail| mail["state"] != "waiting")).then_some(mails)
    });
    let of = |recipient: &str| {
        mails
            .iter()
            .find(|mail| mail["recipient"] == recipient)
            .expect("the mail is listed")
    };
    let (later, never) = (of("later-2@example.org"), of("never@example.org"));
    assert_eq!(
        (&later["state"], &later["tries"]),
        (&Value::from("sent"), &Value::from(3))
    );
    assert_eq!(
        (&never["state"], &never["tries"]),
        (&Value::from("failed"), &Value::from(1))
    );
    assert!(
        text(never, "last-error").contains("there is nobody of this name"),
        "{never}"
    );

    let events = server
        .command_line(&["audit", "--kind", "mail:failed", "--json"])
        .ok()
        .json();
    let events = events
        .as_array()
        .expect("a list")
        .iter()
        .filter(|event| event["detail"]["mail"] == never["id"])
        .collect::<Vec<_>>();
    assert_eq!(events.len(), 1);
    assert_eq!(
        (&events[0]["about"], &events[0]["detail"]["kind"]),
        (&Value::from("user never"), &Value::from("token-created"))
    );
}

#[test]
fn without_an_smtp_server_mails_are_files_and_no_link_is_in_the_log() {
    let mut server = Setup::default().start();
    assert!(
        server.log().contains("no smtp-url is configured"),
        "{}",
        server.log()
    );
    server.setup.user_without_factor("ana");
    server
        .command_line(&[
            "user",
            "recover",
            "ana",
            "--reason",
            "lost the phone, identity was checked",
        ])
        .ok();
    let file = server.wait_for("the mail that announces the recovery", |server| {
        let files = std::fs::read_dir(server.setup.data().join("outbox")).ok()?;
        files
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .find(|path| path.to_string_lossy().ends_with(".eml"))
    });
    let mail = std::fs::read_to_string(&file).expect("a mail is text");
    // The whole link is on one line of the file: people copy it from there.
    let link = mail
        .lines()
        .find_map(|line| line.strip_prefix("http://"))
        .expect("the mail has a link");
    let secret = link.split("link=").nth(1).expect("the link has a secret");
    assert_eq!(secret.len(), 43, "{link}");
    // The command was given no address; the server recorded its own, with the port that it chose.
    assert!(
        link.starts_with(&format!("localhost:{}/", server.address.port())),
        "{link}"
    );
    let log = server.wait_for("the mail in the log", |server| {
        Some(server.log()).filter(|log| log.contains("mail written to a file"))
    });
    assert!(!log.contains(secret), "{log}");
    let listed = server.command_line(&["mail", "list", "--json"]).ok();
    assert!(
        !listed.all().contains(secret) && listed.all().contains("recovery-started"),
        "{}",
        listed.all()
    );
}

#[test]
fn an_operator_learns_at_once_whether_mail_leaves() {
    let Some(mut smtp) = Smtp::start() else {
        return;
    };
    let setup = Setup::default();
    setup.command_line(&["migrate"]).ok();
    let url = format!("smtp://127.0.0.1:{}", smtp.port);
    let test = |address: &str| {
        setup.command_line(&["mail", "test", address, "--smtp-url", &url, "--json"])
    };
    test("ana@example.org").ok();
    let mails = smtp.mails();
    assert_eq!(
        (mails.len(), &mails[0]["to"]),
        (1, &serde_json::json!(["ana@example.org"]))
    );

    let refused = test("never@example.org");
    assert!(
        !refused.status.success() && refused.all().contains("there is nobody of this name"),
        "{}",
        refused.all()
    );
    smtp.stop();
    let unreachable = test("ana@example.org");
    assert!(
        !unreachable.status.success() && unreachable.all().contains("takes nothing now"),
        "{}",
        unreachable.all()
    );

    let file = setup
        .command_line(&["mail", "test", "ana@example.org", "--json"])
        .ok()
        .json();
    assert!(
        std::fs::exists(file["file"].as_str().expect("the file is told")).expect("a path"),
        "{file}"
    );
    let events = setup
        .command_line(&["audit", "--kind", "mail:requested", "--json"])
        .ok()
        .json();
    assert_eq!(events.as_array().map(Vec::len), Some(4));
}

#[test]
fn mails_that_were_put_off_leave_at_an_operators_word() {
    let Some(mut smtp) = Smtp::start() else {
        return;
    };
    smtp.stop();
    let setup = Setup::default()
        .flag("--smtp-url", &format!("smtp://127.0.0.1:{}", smtp.port))
        .flag("--mail-retry", "30d");
    let mut server = setup.start();
    let user = server.setup.user_without_factor("ana");
    make_token(&server.setup, &user, "laptop");
    server.wait_for("the mail to be tried in vain", |server| {
        outbox(&server.setup, "token-created")
            .iter()
            .find(|mail| mail["last-error"].is_string())
            .cloned()
    });
    smtp.run();
    assert!(
        server
            .command_line(&["mail", "retry", "--json"])
            .ok()
            .json()["mails"]
            .as_u64()
            >= Some(1)
    );
    wait_until_all(&mut server, "token-created", 1, "sent");
}

#[test]
fn a_command_that_mails_links_says_what_they_begin_with_where_nobody_told_it() {
    let setup = Setup::default();
    setup.command_line(&["migrate"]).ok();
    let doubt = "Links begin with http://localhost:8080;";
    assert!(
        setup
            .command_line(&["mail", "test", "ana@example.org"])
            .ok()
            .all()
            .contains(doubt)
    );
    let told = setup
        .command_line(&[
            "mail",
            "test",
            "ana@example.org",
            "--public-url",
            "https://packages.example.org",
        ])
        .ok();
    assert!(!told.all().contains("Links begin with"), "{}", told.all());
}

#[test]
fn keys_of_a_user_without_any_are_an_empty_list_and_none_can_be_removed() {
    let setup = Setup::default();
    setup.command_line(&["migrate"]).ok();
    setup.user("ana");
    assert_eq!(
        setup
            .command_line(&["user", "keys", "list", "ana", "--json"])
            .ok()
            .json(),
        serde_json::json!([])
    );
    for arguments in [
        &["user", "keys", "remove", "ana"][..],
        &["user", "keys", "remove", "ana", "blue key"],
    ] {
        let refused = setup.command_line(arguments);
        assert!(
            !refused.status.success() && refused.all().contains("user keys list ana"),
            "{}",
            refused.all()
        );
    }
}

#[test]
fn a_recovery_is_announced_can_be_stopped_and_ends_with_a_link_that_only_the_owner_gets() {
    let setup = Setup::default();
    setup.command_line(&["migrate"]).ok();
    let user = setup.user("ana");
    let recover = |reason: &str| {
        setup.command_line(&[
            "user",
            "recover",
            &user.name,
            "--reason",
            reason,
            "--recovery-wait",
            "1s",
            "--json",
        ])
    };
    let reason = "lost the phone, identity was checked";
    assert!(
        !recover("lost").status.success(),
        "a reason has to say something"
    );
    recover(reason).ok();
    assert!(recover(reason).all().contains("running already"));
    let shown = setup
        .command_line(&["user", "show", "ana", "--json"])
        .ok()
        .json();
    assert_eq!(
        (
            &shown["recovery"]["reason"],
            shown["totp-enrolled"].is_string()
        ),
        (&Value::from(reason), true)
    );
    setup.command_line(&["user", "recover-cancel", "ana"]).ok();
    assert!(
        !setup
            .command_line(&["user", "recover-cancel", "ana"])
            .status
            .success(),
        "nothing is under way any more"
    );
    let begun = recover(reason).ok();

    let mut server = setup.start();
    let written = |server: &Server, kind: &str| {
        let files = std::fs::read_dir(server.setup.data().join("outbox")).ok()?;
        let mut files: Vec<PathBuf> = files
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .collect();
        files.retain(|file| file.to_string_lossy().contains(&format!("-{kind}-")));
        (!files.is_empty()).then_some(files)
    };
    let completed = server.wait_for("the link for a new password", |server| {
        written(server, "recovery-completed")
    });
    let mail = std::fs::read_to_string(&completed[0]).expect("a mail is text");
    let link = mail
        .lines()
        .find(|line| line.contains("/password/reset?link="))
        .expect("the mail has a link");
    assert!(mail.contains("To: ana@example.org"), "{mail}");
    for said in [
        &begun.all(),
        &server.settled_log(),
        &server
            .command_line(&["audit", "--user", "ana", "--json"])
            .ok()
            .stdout,
    ] {
        assert!(
            !said.contains(link.split("link=").nth(1).expect("the link has a secret")),
            "{said}"
        );
    }
    let announced = server.wait_for("both announcements", |server| {
        written(server, "recovery-started").filter(|files| files.len() == 2)
    });
    assert_eq!(announced.len(), 2);
    let shown = server
        .command_line(&["user", "show", "ana", "--json"])
        .ok()
        .json();
    assert!(
        shown["recovery"].is_null()
            && shown["totp-enrolled"].is_null()
            && text(&shown, "password").starts_with("disabled"),
        "{shown}"
    );
}

#[test]
fn an_operator_sees_and_ends_sessions() {
    let setup = Setup::default();
    setup.command_line(&["migrate"]).ok();
    setup.user_without_factor("ana");
    assert_eq!(
        setup
            .command_line(&["user", "sessions", "ana", "--json"])
            .ok()
            .json(),
        serde_json::json!([])
    );
    assert_eq!(
        setup
            .command_line(&["user", "end-sessions", "ana", "--json"])
            .ok()
            .json()["ended"],
        0
    );
    let broken = setup
        .command_line(&["decisions", "--outcome", "break-glass", "--json"])
        .ok()
        .json();
    let actions: BTreeSet<&str> = broken
        .as_array()
        .expect("a list")
        .iter()
        .map(|decision| text(decision, "action"))
        .collect();
    assert!(
        actions.contains("session:list") && actions.contains("session:end"),
        "{actions:?}"
    );
}

#[test]
fn a_mail_travels_in_tls_to_a_server_that_is_who_it_says_and_that_knows_us() {
    let Some(smtp) = Smtp::start_with_tls() else {
        return;
    };
    let setup = Setup::default();
    setup.command_line(&["migrate"]).ok();
    let certificate = smtp
        .folder
        .path()
        .join("certificate.pem")
        .display()
        .to_string();
    let url = |credentials: &str| format!("smtps://{credentials}localhost:{}", smtp.port);
    let test = |url: &str, trusted: &str| {
        let variables = [("PORTCULLIS_SMTP_URL", url), ("SSL_CERT_FILE", trusted)];
        setup.command_line_with_input(&["mail", "test", "ana@example.org"], "", &variables)
    };
    let robot = url("robot%40example.org:s%3Acr%40t%2F@");
    test(&robot, &certificate).ok();
    assert_eq!(smtp.mails().len(), 1);

    // An untrusted certificate; the wrong password; none at all.
    let strangers = Smtp::start_with_tls().expect("the clients are there");
    let elsewhere = strangers
        .folder
        .path()
        .join("certificate.pem")
        .display()
        .to_string();
    for (url, trusted) in [
        (robot.clone(), elsewhere.as_str()),
        (url("robot%40example.org:hunter2@"), &certificate),
        (url(""), &certificate),
    ] {
        let refused = test(&url, trusted);
        assert!(!refused.status.success(), "{url}: {}", refused.all());
        assert!(
            !refused.all().contains("hunter2")
                && !refused.all().contains("s%3Acr")
                && !refused.all().contains("s:cr"),
            "{}",
            refused.all()
        );
    }
    assert_eq!(smtp.mails().len(), 1);
}

/// A name that a stranger chose is shown in someone else's mail program.
#[test]
fn a_strangers_name_is_no_link_in_the_mail_to_another() {
    let Some(smtp) = Smtp::start() else { return };
    let mut server = smtp.setup().start();
    let form = "user-name=www.evil-site.example&email=ana%40ex%C3%A4mple.org&password=seven+lamps+under+the+bridge";
    let origin = format!("http://localhost:{}", server.address.port());
    let request = tests::Request::new("POST", "/register")
        .header("Origin", &origin)
        .header("Sec-Fetch-Site", "same-origin")
        .header("Accept", "text/html");
    let answer = server.send(&request.body("application/x-www-form-urlencoded", form.into()));
    assert!(answer.status < 400, "{} {}", answer.status, answer.text());
    wait_until_all(&mut server, "registration-confirm", 1, "sent");
    let mails = smtp.mails();
    let [mail] = mails.as_slice() else {
        panic!("exactly one mail: {mails:?}")
    };
    // The domain in the form that mail servers know, in the envelope and in the header.
    assert_eq!(
        (&mail["to"], text(&mail["headers"], "To")),
        (
            &serde_json::json!(["ana@xn--exmple-cua.org"]),
            "ana@xn--exmple-cua.org"
        )
    );
    assert!(
        !text(&mail["headers"], "Subject").contains("evil"),
        "{mail}"
    );
    for part in ["text", "html"] {
        let said = text(mail, part);
        assert!(said.contains("www[.]evil-site[.]example"), "{said}");
        assert!(
            !said.contains("evil-site.") && !said.contains("www."),
            "{said}"
        );
    }
}

#[test]
fn sixty_changes_are_a_few_mails_and_one_that_counts_the_rest() {
    let mut server = Setup::default().start();
    let user = server.setup.user_without_factor("ana");
    for number in 0..12 {
        make_token(&server.setup, &user, &format!("token {number}"));
    }
    server.command_line(&["user", "totp", "enroll", "ana"]).ok();
    wait_until_all(&mut server, "token-created", 5, "sent");
    // Other changes are reported at once.
    wait_until_all(&mut server, "factor-added", 1, "sent");
    let gathering = outbox(&server.setup, "changes-gathered");
    assert_eq!(
        (gathering.len(), &gathering[0]["state"]),
        (1, &Value::from("waiting"))
    );
    server.command_line(&["mail", "retry"]).ok();
    wait_until_all(&mut server, "changes-gathered", 1, "sent");
    let files = std::fs::read_dir(server.setup.data().join("outbox"))
        .expect("mails are files")
        .filter_map(Result::ok)
        .map(|entry| entry.path());
    let file = files
        .into_iter()
        .find(|file| file.to_string_lossy().contains("-changes-gathered-"))
        .expect("the mail is a file");
    let mail = std::fs::read_to_string(file).expect("a mail is text");
    assert!(
        mail.contains("There were 7 more changes") && mail.contains("API tokens created  7"),
        "{mail}"
    );
}
