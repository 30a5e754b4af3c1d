//! The most that one token, account or stranger can make the registry store: each row of the table
//! of limits is exceeded, and rows and bytes are measured.

use std::io::{Read, Write};
use std::process::Command;
use std::time::Duration;

use model::limit::{self, Bound, Group, Name, Rate};
use tests::package::tar_gz_of;
use tests::server::repository;
use tests::{Connection, Package, Request, Server, Setup, basic, basic_token, shipped_set};

use crate::tools::upload_ok;

/// The numbers in one row of a query on the server's database.
fn numbers(server: &Server, sql: &str) -> Vec<i64> {
    const SCRIPT: &str = "import sqlite3, sys\n\
        rows = sqlite3.connect(f'file:{sys.argv[1]}?mode=ro', uri=True, timeout=60).execute(sys.argv[2]).fetchall()\n\
        print(*[0 if value is None else int(value) for value in rows[0]])";
    let database = server.setup.data().join("portcullis.sqlite");
    let output = Command::new("python3")
        .args(["-c", SCRIPT])
        .arg(&database)
        .arg(sql)
        .output()
        .expect("python3 starts");
    assert!(
        output.status.success(),
        "{sql}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout)
        .split_whitespace()
        .map(|number| number.parse().expect("a number"))
        .collect()
}

/// Bytes of the database that are in use.
fn kept_bytes(server: &Server) -> i64 {
    numbers(
        server,
        "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size",
    )[0]
}

fn count(server: &Server, table: &str) -> i64 {
    numbers(server, &format!("SELECT COUNT(*) FROM {table}"))[0]
}

/// How many minutes, by number, a test may have touched.
fn minutes_since(start: std::time::Instant) -> i64 {
    i64::try_from(start.elapsed().as_secs() / 60).unwrap() + 2
}

fn in_a_minute(rate: Rate) -> i64 {
    i64::from(rate.in_window(60))
}

/// A small wheel with 4 MB of metadata.
fn bomb(name: &str, version: &str) -> Package {
    let mut package = Package::new(name, version);
    package.requires = (0..19_000)
        .map(|number| format!("dependency-{number}-{}>=1.0 ; python_version < '3.9' and extra == 'a-long-name-of-an-extra-{}'", "x".repeat(80), number % 10))
        .collect();
    package
}

#[test]
fn a_refused_upload_leaves_a_record_of_bounded_size_whatever_its_metadata_says() {
    // For a token without a second factor: the policies refuse it only after they have seen all of
    // it.
    let server = Setup::default().policies(shipped_set("strict")).start();
    let alice = server.user("alice");
    let token = basic_token(&server.setup.token(&alice, &["--account"]));
    let mut wheel = bomb("bomb", "1.0").wheel();
    // The form's value is ignored.
    wheel.fields.retain(|(name, _)| name != "requires_dist");
    assert!(
        wheel.metadata.len() > 3_400_000 && wheel.bytes.len() < 400_000,
        "{} {}",
        wheel.metadata.len(),
        wheel.bytes.len()
    );
    // The first one pays for the schema's pages.
    let refused = server.upload(&wheel, Some(&token));
    assert_eq!(refused.status, 403, "{}", refused.text());
    let before = kept_bytes(&server);
    for _ in 0..8 {
        assert_eq!(server.upload(&wheel, Some(&token)).status, 403);
    }
    let bound = 8 * i64::try_from(limit::RECORD_BYTES.get() + limit::EVENT_DETAIL_BYTES.get())
        .unwrap()
        + 64 * 1024;
    let grown = kept_bytes(&server) - before;
    assert!(
        grown <= bound,
        "eight refused uploads added {grown} bytes, {bound} are allowed"
    );
    let longest = numbers(&server, "SELECT MAX(LENGTH(record)) FROM decisions")[0];
    assert!(
        longest <= i64::try_from(limit::RECORD_BYTES.get()).unwrap(),
        "{longest}"
    );
}

#[test]
fn a_valid_token_that_is_refused_thousands_of_times_leaves_a_bounded_number_of_rows() {
    let server = Setup::default().start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    upload_ok(&server, &Package::new("first", "1.0").wheel(), &token);
    let start = std::time::Instant::now();
    let (events, decisions) = (count(&server, "audit_events"), count(&server, "decisions"));
    let mut connection = Connection::to(server.address);
    for _ in 0..2000 {
        let refused = connection
            .send(&Request::get("/account/tokens/").authorization(Some(&basic_token(&token))))
            .expect("an answer");
        assert_eq!(refused.status, 403, "{}", refused.text());
    }
    let minutes = minutes_since(start);
    let refusals = in_a_minute(limit::RECORDED_REFUSALS) * minutes;
    // One for each action in an hour beyond the rate, and one count for each kind in a minute.
    let authentications = in_a_minute(limit::RECORDED_AUTHENTICATIONS) * minutes + 2;
    let grown = count(&server, "audit_events") - events;
    assert!(
        grown <= refusals + authentications + 3 * minutes,
        "{grown} events in {minutes} minutes"
    );
    let grown = count(&server, "decisions") - decisions;
    assert!(grown <= refusals, "{grown} decisions in {minutes} minutes");
}

/// Tools send their credential with every file that they fetch.
#[test]
fn credentials_that_come_with_reads_leave_a_few_rows_however_often_they_come() {
    let server = Setup::default()
        .flag("--recorded-reads-per-second", "1")
        .start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    let (revoked, id) = server.setup.token_with_id(&alice, &["--account"]);
    server.command_line(&["token", "revoke", "alice", &id]).ok();
    let start = std::time::Instant::now();
    let (events, decisions) = (count(&server, "audit_events"), count(&server, "decisions"));
    let mut connection = Connection::to(server.address);
    let presented = [
        basic_token(&token),
        basic_token(&revoked),
        basic("alice", "guess"),
        basic("nobody-here", "guess"),
        "Bearer x".to_owned(),
    ];
    for authorization in presented.iter().cycle().take(2000) {
        let answer = connection
            .send(&Request::get("/simple/").authorization(Some(authorization)))
            .expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let seconds = i64::try_from(start.elapsed().as_secs()).unwrap() + 2;
    let hours = seconds / 3600 + 2;
    // Two tokens and the name of an existing user, and the sender of the rest.
    let grown = count(&server, "audit_events") - events;
    assert!((1..=3 * hours).contains(&grown), "{grown} events");
    let grown = count(&server, "decisions") - decisions;
    assert!(
        (1..=seconds + 3 * hours).contains(&grown),
        "{grown} decisions in {seconds} seconds"
    );
}

/// A thief with a token must not be able to hide their actions from the owner.
#[test]
fn a_change_is_on_record_whatever_flood_came_before_it() {
    let server = Setup::default().start();
    let alice = server.user("alice");
    let token = basic_token(&server.setup.token(&alice, &["--account"]));
    assert_eq!(
        server
            .upload(&Package::new("first", "1.0").wheel(), Some(&token))
            .status,
        200
    );
    // Permitted each time, and refused afterwards: a file with this name and other content exists.
    let other = Package::new("first", "1.0").with_payload(100).wheel();
    for _ in 0..=limit::RECORDED_SUCCESSES.in_window(60) {
        assert_eq!(server.upload(&other, Some(&token)).status, 400);
    }
    let uploaded = server.upload(&Package::new("first", "2.0").wheel(), Some(&token));
    assert_eq!(uploaded.status, 200, "{}", uploaded.text());
    let explained = server
        .command_line(&[
            "explain",
            uploaded.header("Portcullis-Decision").expect("a decision"),
        ])
        .ok();
    assert!(
        explained.stdout.contains("first-2.0-py3-none-any.whl"),
        "{}",
        explained.stdout
    );
}

#[test]
fn what_goes_beyond_the_rate_is_counted_with_its_source() {
    let mut server = Setup::default()
        .flag("--recorded-refusals-per-minute", "5")
        .start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    let mut connection = Connection::to(server.address);
    for _ in 0..200 {
        connection
            .send(&Request::get("/account/tokens/").authorization(Some(&basic_token(&token))))
            .expect("an answer");
    }
    for kind in ["request:refusals:counted", "authentication:counted"] {
        let counted = server.wait_for(kind, |server| {
            let events = server
                .command_line(&["audit", "--kind", kind, "--json"])
                .ok()
                .json();
            events.as_array().and_then(|events| events.first()).cloned()
        });
        assert!(counted.to_string().contains("user "), "{counted}");
    }
}

#[test]
fn permitted_looks_of_one_session_are_recorded_up_to_a_rate() {
    let server = Setup::default().start();
    let alice = server.setup.user_without_factor("alice");
    let start = std::time::Instant::now();
    let cookie = crate::tools::log_in(&server, &alice);
    let decisions = count(&server, "decisions");
    let mut connection = Connection::to(server.address);
    for _ in 0..500 {
        let page = connection
            .send(&Request::get("/account/").header("Cookie", &cookie))
            .expect("an answer");
        assert_eq!(page.status, 200);
    }
    let grown = count(&server, "decisions") - decisions;
    let bound = in_a_minute(limit::RECORDED_SUCCESSES) * minutes_since(start);
    assert!(grown <= bound, "{grown} decisions, {bound} are allowed");
}

#[test]
fn looks_of_anonymous_callers_are_recorded_up_to_a_rate_of_all() {
    let server = Setup::default().start();
    let start = std::time::Instant::now();
    let decisions = count(&server, "decisions");
    let mut connection = Connection::to(server.address);
    for _ in 0..1000 {
        connection
            .send(&Request::get("/simple/"))
            .expect("an answer");
    }
    let grown = count(&server, "decisions") - decisions;
    let bound = i64::from(limit::RECORDED_READS.in_window(1))
        * (i64::try_from(start.elapsed().as_secs()).unwrap() + 2);
    assert!(grown <= bound, "{grown} decisions, {bound} are allowed");
}

#[test]
fn many_addresses_together_leave_no_more_than_all_may() {
    let server = Setup::default()
        .flag("--trusted-proxies", "127.0.0.1")
        .flag("--recorded-refusals-per-minute", "3")
        .start();
    let start = std::time::Instant::now();
    let events = count(&server, "audit_events");
    let mut connection = Connection::to(server.address);
    for number in 0..400 {
        let refused = Request::new("POST", "/legacy/").header(
            "X-Forwarded-For",
            &format!("192.0.{}.{}", number / 200, number % 200 + 1),
        );
        connection
            .send(&refused.authorization(Some("Bearer pypi-nonsense")))
            .expect("an answer");
    }
    let grown = count(&server, "audit_events") - events;
    // Each refused credential is two events: the failure, and the refused action.
    let bound = 3 * i64::from(limit::RECORDED_OF_ALL.get()) * minutes_since(start) + 3;
    assert!(grown <= bound, "{grown} events, {bound} are allowed");
}

#[test]
fn the_client_of_a_request_can_make_no_text_of_a_record_long() {
    let server = Setup::default().start();
    let agent = "a".repeat(20_000);
    server.send(
        &Request::new("POST", "/legacy/")
            .header("User-Agent", &agent)
            .authorization(Some("Bearer pypi-nonsense")),
    );
    let longest = numbers(
        &server,
        "SELECT MAX(LENGTH(actor_user_agent)), MAX(LENGTH(detail)) FROM audit_events",
    );
    assert!(
        longest[0] <= i64::from(limit::LOGGED_TEXT.get())
            && longest[1] <= i64::try_from(limit::EVENT_DETAIL_BYTES.get()).unwrap(),
        "{longest:?}"
    );
}

/// Reasons, descriptions and the like, from people and operators.
#[test]
fn texts_that_people_send_are_refused_when_they_are_too_long() {
    let server = Setup::default().start();
    let alice = server.user("alice");
    let long = "x".repeat(limit::REASON.length() + 1);
    let events = count(&server, "audit_events");
    assert!(
        !server
            .command_line(&["user", "disable", &alice.name, "--reason", &long])
            .status
            .success()
    );
    let long = "x".repeat(limit::DESCRIPTION.length() + 1);
    assert!(
        !server
            .command_line(&[
                "token",
                "create",
                &alice.name,
                "--account",
                "--description",
                &long
            ])
            .status
            .success()
    );
    assert_eq!(count(&server, "audit_events"), events);
}

#[test]
fn parts_of_a_request_that_are_too_large_are_refused_and_leave_nothing() {
    let server = Setup::default().start();
    let before = kept_bytes(&server);
    let letters = |length: usize| "a".repeat(length);
    let form = |body: String| {
        let origin = server.url().replace("127.0.0.1", "localhost");
        let request = Request::new("POST", "/login")
            .header("Origin", &origin)
            .header("Cookie", "portcullis-moved=1");
        request.body("application/x-www-form-urlencoded", body.into_bytes())
    };
    let fields: Vec<String> = (0..=limit::FORM_FIELDS.get())
        .map(|number| format!("field{number}=x"))
        .collect();
    let requests = [
        Request::get("/simple/").header("X-Long", &letters(limit::HEADER_BYTES.length())),
        Request::new("POST", "/legacy/").authorization(Some(&format!(
            "Bearer {}",
            letters(limit::CREDENTIAL_BYTES.length())
        ))),
        Request::new("POST", "/legacy/").authorization(Some(&format!(
            "Bearer pypi-{}",
            letters(limit::TOKEN_BYTES.length())
        ))),
        form(format!(
            "user=a&password={}",
            letters(limit::SMALL_BODY_BYTES.length())
        )),
        form(fields.join("&")),
        form(format!(
            "user=a&password={}",
            letters(4 * limit::PASSWORD.length() + 1)
        )),
    ];
    for request in requests {
        // A server may also close the connection of a client that sends too much.
        if let Ok(answer) = server.try_send(&request) {
            assert!(
                (400..500).contains(&answer.status),
                "{} {}: {}",
                request.method,
                request.path,
                answer.status
            );
        }
    }
    let grown = kept_bytes(&server) - before;
    assert!(
        grown
            <= 12
                * i64::try_from(limit::RECORD_BYTES.get() + limit::EVENT_DETAIL_BYTES.get())
                    .unwrap(),
        "{grown}"
    );
}

#[test]
fn files_beyond_a_limit_are_refused_and_leave_nothing() {
    let server = Setup::default().start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    upload_ok(&server, &Package::new("sample", "1.0").wheel(), &token);
    let files = count(&server, "files");
    let mut talkative = Package::new("sample", "1.1");
    talkative.summary = "s".repeat(limit::METADATA_BYTES.length() + 1);
    let crowd: Vec<(String, Vec<u8>)> = (0..=limit::ARCHIVE_ENTRIES.get())
        .map(|number| (format!("sample-1.2/file{number}"), Vec::new()))
        .chain([(
            "sample-1.2/PKG-INFO".to_owned(),
            b"Metadata-Version: 2.1\nName: sample\nVersion: 1.2\n".to_vec(),
        )])
        .collect();
    for distribution in [
        talkative.wheel(),
        Package::new("sample", "1.2")
            .sdist()
            .with_bytes(tar_gz_of(&crowd)),
    ] {
        let refused = server.upload(&distribution, Some(&basic_token(&token)));
        assert_eq!(
            refused.status,
            400,
            "{}: {}",
            distribution.file_name,
            refused.text()
        );
    }
    assert_eq!(count(&server, "files"), files);
}

#[test]
fn a_policy_module_that_is_too_large_is_not_even_read() {
    let set =
        crate::tools::SetFolder::new("large", &crate::tools::binding("large", "large.wasm", ""));
    let module =
        std::fs::File::create(set.path().join("large.wasm")).expect("the module can be made");
    module
        .set_len(limit::POLICY_MODULE_BYTES.get() + 1)
        .expect("it can be made long");
    let checked =
        Setup::default().command_line(&["policy", "check", &set.path().display().to_string()]);
    assert!(
        !checked.status.success()
            && checked
                .all()
                .contains(&limit::POLICY_MODULE_BYTES.get().to_string()),
        "{}",
        checked.all()
    );
}

/// Otherwise a session could fill the audit log, which is kept permanently.
#[test]
fn an_account_changes_so_much_in_a_minute_and_its_owner_can_still_end_it() {
    let settings = "[binding.settings]\nnone = [\"index:read\", \"session:start\"]\n";
    let set = crate::tools::SetFolder::new(
        "lax",
        &crate::tools::binding("restrict-routes", "restrict-routes.wasm", settings),
    );
    let server = Setup::default().policies(set.path()).start();
    let alice = server.setup.user_without_factor("alice");
    let cookies = crate::tools::log_in(&server, &alice);
    let (events, start) = (count(&server, "audit_events"), std::time::Instant::now());
    let origin = server.url().replace("127.0.0.1", "localhost");
    let mut connection = Connection::to(server.address);
    let mut limited = 0;
    for number in 0..400 {
        let form = format!("description=token+{number}&scope=project&project=sample&expires=7");
        let request = Request::new("POST", "/account/tokens/create")
            .header("Origin", &origin)
            .header("Cookie", &cookies);
        let answer = connection
            .send(&request.body("application/x-www-form-urlencoded", form.into_bytes()))
            .expect("an answer");
        limited += u32::from(answer.status == 429);
    }
    assert!(limited > 0, "nothing was limited");
    let changes = in_a_minute(limit::CHANGES) * minutes_since(start);
    let refusals = in_a_minute(limit::RECORDED_REFUSALS) * minutes_since(start);
    let grown = count(&server, "audit_events") - events;
    assert!(grown <= changes + refusals + 10, "{grown} events");
    let request = Request::new("POST", "/logout")
        .header("Origin", &origin)
        .header("Cookie", &cookies);
    let ended = connection
        .send(&request.body("application/x-www-form-urlencoded", Vec::new()))
        .expect("an answer");
    assert_eq!(ended.status, 303, "{}", ended.text());
}

/// Otherwise a client that disconnects and returns could hold as many requests in memory as it can
/// begin while one waits.
/// while one waits.
#[test]
fn uploads_whose_client_is_gone_wait_no_longer() {
    let mut server = Setup::default().start();
    let alice = server.user("alice");
    let token = basic_token(&server.setup.token(&alice, &["--account"]));
    let connect = || std::net::TcpStream::connect(server.address).expect("the server listens");
    let head = |length: usize| {
        format!(
            "POST /legacy/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: {token}\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let held: Vec<_> = (0..limit::UPLOADS_AT_A_TIME.get())
        .map(|_| {
            let mut stream = connect();
            stream
                .write_all(head(1 << 20).as_bytes())
                .expect("the head is sent");
            stream
        })
        .collect();
    let under_way = format!("portcullis_uploads_in_flight {}", held.len());
    server.wait_for("all places of the uploader to be taken", |server| {
        server
            .get("/metrics")
            .text()
            .contains(&under_way)
            .then_some(())
    });
    let address = server.address;
    for gone in 1..=3 {
        let mut stream = std::net::TcpStream::connect(address).expect("the server listens");
        stream
            .write_all(head(0).as_bytes())
            .expect("the head is sent");
        stream
            .set_read_timeout(Some(Duration::from_millis(300)))
            .expect("a socket has timeouts");
        assert!(stream.read(&mut [0]).is_err(), "it waits for a place");
        drop(stream);
        server.wait_for("the end of the request", |server| {
            (server.log().matches("path=/legacy/ status=503").count() == gone).then_some(())
        });
    }
    drop(held);
}

const BEGIN: &str = "<!-- limits: written by `cargo xtask limit-table` -->\n";
const END: &str = "<!-- end of limits -->\n";

/// The table in the documentation's format.
fn in_markdown() -> String {
    let mut text = String::new();
    for group in Group::ALL {
        text.push_str(&format!(
            "\n### {}\n\n| limit | of what | beyond | key |\n| --- | --- | --- | --- |\n",
            group.title()
        ));
        for row in limit::table().iter().filter(|row| row.group == *group) {
            let key = row.key.map(|key| format!("`{key}`")).unwrap_or_default();
            text.push_str(&format!(
                "| {} | {} | {} | {key} |\n",
                row.bound, row.what, row.beyond
            ));
        }
    }
    text.push('\n');
    text.push_str(&worst_cases());
    text
}

/// Actions of an account whose changes are counted separately; twenty to be on the safe side.
const KINDS_OF_CHANGE: u64 = 20;

/// The total of the rows in a day, at the very most: every record and event of the longest kind.
fn worst_cases() -> String {
    let megabytes = |bytes: u64| format!("{} MiB", bytes.div_ceil(1 << 20));
    let (record, event) = (limit::RECORD_BYTES.get(), limit::EVENT_DETAIL_BYTES.get());
    let in_a_day = |rate: Rate| u64::from(rate.in_window(86_400));
    // A failed authentication is an event too, in addition to that of the refusal.
    let of_stranger = in_a_day(limit::RECORDED_REFUSALS) * (record + 2 * event);
    // Each upload leaves at most a record and two events.
    let uploads = limit::UPLOADED_BYTES_PER_DAY.get() / limit::LEAST_UPLOADED.get();
    let firsts = 4 * in_a_day(limit::RECORDED_FIRSTS) * (record + 2 * event);
    let of_user = of_stranger
        + firsts
        + uploads * (record + 2 * event)
        + 2 * in_a_day(limit::RECORDED_SUCCESSES) * record
        + (in_a_day(limit::RECORDED_AUTHENTICATIONS)
            + 2 * KINDS_OF_CHANGE * in_a_day(limit::CHANGES))
            * event;
    let all = u64::from(limit::RECORDED_OF_ALL.get());
    let mails = u64::from(limit::CHANGE_MAILS.in_window(3600)) * 24;
    let project_mails = 2 * u64::from(limit::PROJECT_MAILS.in_window(3600)) * 24;
    let cause = limit::REGISTRATIONS_PER_ADDRESS.in_window(86_400)
        + limit::RESETS_PER_ADDRESS.in_window(86_400);
    // A file that is too large is read up to twice the limit, so that the refusal can name it.
    let arriving = u64::from(limit::UPLOADS_OF_ALL.get()) * 2 * limit::FILE_BYTES.get();
    let texts = u64::from(limit::UPLOADS_OF_ALL.get()) * limit::FORM_TEXT_BYTES.get();
    let pages = u64::from(limit::CONNECTIONS_PER_ADDRESS.get()) * limit::PAGE_IN_MEMORY.get();
    // Measured: the memory of a project of 20,000 files, without its pages.
    let made =
        u64::from(limit::PAGES_AT_ONCE.get()) * u64::from(limit::FILES_OF_PROJECT.get()) * 2500;
    let long_bodies = u64::from(limit::LONG_BODIES_AT_ONCE.get()) * limit::RELEASE_BODY_BYTES.get();
    // The list of a wheel's files; names as they are, in the form for lookups, and with their data;
    // the metadata as text, parsed, and in the form for pages.
    let inspected = limit::WHEEL_RECORD_BYTES.get()
        + 3 * limit::ARCHIVE_NAMES.get()
        + 3 * limit::METADATA_BYTES.get();
    format!(
        "### What that comes to\n\nIn a day, at the very most, if every record and event is as long as it may be; usual ones take a tenth of it or less. Decisions are forgotten after `decision-retention`.\n\n\
        | who | keeps | does |\n| --- | --- | --- |\n\
        | a stranger, from one address | {} of records and events | {cause} mails; {} of a body read after its answer |\n\
        | an account with all its tokens, sessions and command lines | {} of files and metadata, counted by project as well; {} of records and events; {} sessions, {} known devices, {} tokens | {mails} mails about changes to one address, the first of each kind, and 96 that count the rest; {project_mails} more about releases that wait and removals; {} new projects |\n\
        | all strangers and accounts together | {all} times what one may of records and events; the files of all projects | |\n\n\
        At one moment, all together: {} on disk of files that arrive and are not stored yet, and {} of large pages; {} of memory for long bodies, {} for the texts of upload forms, {} for pages that one address reads slowly, {} for the projects that pages are being made of, and {} for each archive that is looked into. What was made is kept within `page-cache`.\n\n",
        megabytes(of_stranger),
        megabytes(limit::REST_OF_STRANGERS.get()),
        Bound::from(limit::UPLOADED_BYTES_PER_DAY),
        megabytes(of_user),
        limit::SESSIONS.get(),
        limit::DEVICES.get(),
        limit::TOKENS.get(),
        limit::NEW_PROJECTS_PER_USER.in_window(3600) * 24,
        megabytes(arriving),
        megabytes(limit::LARGE_PAGES_BYTES.get() + limit::LARGE_RELEASE_PAGES_BYTES.get()),
        megabytes(long_bodies),
        megabytes(texts),
        megabytes(pages),
        megabytes(made),
        megabytes(inspected),
    )
}

/// Regenerated with `UPDATE_TABLES=1`.
#[test]
fn the_documentation_has_the_table_of_limits() {
    let path = repository().join("docs/operators.md");
    let page = std::fs::read_to_string(&path).expect("the documentation is there");
    let (before, rest) = page.split_once(BEGIN).expect("the table begins");
    let (written, after) = rest.split_once(END).expect("the table ends");
    if std::env::var_os("UPDATE_TABLES").is_some() {
        std::fs::write(
            &path,
            format!("{before}{BEGIN}{}{END}{after}", in_markdown()),
        )
        .expect("the documentation can be written");
    } else {
        assert_eq!(written, in_markdown(), "run `cargo xtask limit-table`");
    }
}

/// The defaults of the configuration are those of the table.
#[test]
fn keys_that_change_a_limit_have_the_default_of_the_table() {
    let printed = Setup::default().command_line(&["config"]).ok();
    for row in limit::table() {
        let Some(key) = row.key else { continue };
        let line = printed
            .stdout
            .lines()
            .find(|line| line.starts_with(&format!("{key} = ")))
            .unwrap_or_else(|| panic!("there is no key {key}"));
        let value = line
            .split(" = ")
            .nth(1)
            .and_then(|rest| rest.split('#').next())
            .unwrap_or_default()
            .trim()
            .trim_matches('"')
            .to_owned();
        let number = match row.bound {
            Bound::Bytes(_) => row.bound.to_string(),
            Bound::Count(count) => count.get().to_string(),
            Bound::Rate(rate) => rate.windows()[0].attempts.to_string(),
            Bound::Span(span) => span.milliseconds().to_string(),
        };
        assert_eq!(value, number, "{key}");
    }
}

/// The test that exceeds the limit of a row. A new row does not compile without one.
fn driven_by(name: Name) -> (&'static str, &'static str) {
    const HERE: &str = "tests/tests/server/limits.rs";
    const PASSWORDS: &str = "host/identity/tests/identity/passwords.rs";
    const LOGIN: &str = "host/identity/tests/identity/login.rs";
    const DEVICES: &str = "host/identity/tests/identity/devices.rs";
    const RESETS: &str = "host/identity/tests/identity/password_reset.rs";
    const QUOTAS: &str = "host/registry/tests/suite/quotas.rs";
    const LONG_BODIES: &str = "host/http/src/proof/long_bodies.rs";
    const EMAILS: &str = "host/identity/tests/identity/emails.rs";
    let (folder, test) = match name {
        Name::RECORD_BYTES => (
            HERE,
            "a_refused_upload_leaves_a_record_of_bounded_size_whatever_its_metadata_says",
        ),
        Name::SECTION_BYTES => (
            "host/gate/src/recorder/record.rs",
            "of_a_long_section_its_beginning_and_its_digest_are_kept",
        ),
        Name::CUT_SECTION_BYTES => (
            "host/gate/src/recorder/record.rs",
            "thirty_two_talkative_policies_fit_as_well",
        ),
        Name::EVENT_DETAIL_BYTES | Name::LOGGED_TEXT => (
            HERE,
            "the_client_of_a_request_can_make_no_text_of_a_record_long",
        ),
        Name::RECORDED_READS => (
            HERE,
            "looks_of_anonymous_callers_are_recorded_up_to_a_rate_of_all",
        ),
        Name::RECORDED_REFUSALS | Name::RECORDED_AUTHENTICATIONS => (
            HERE,
            "a_valid_token_that_is_refused_thousands_of_times_leaves_a_bounded_number_of_rows",
        ),
        Name::RECORDED_SUCCESSES => (
            HERE,
            "permitted_looks_of_one_session_are_recorded_up_to_a_rate",
        ),
        Name::READERS => (
            HERE,
            "credentials_that_come_with_reads_leave_a_few_rows_however_often_they_come",
        ),
        Name::READERS_OF_ALL => (
            "host/gate/src/recorder/rate.rs",
            "what_is_noted_of_credentials_that_come_with_reads_is_bounded_for_all_together",
        ),
        Name::RECORDED_OF_ALL => (HERE, "many_addresses_together_leave_no_more_than_all_may"),
        Name::RECORDED_FIRSTS => (
            "host/gate/src/recorder/rate.rs",
            "first_ones_of_one_account_have_a_bound",
        ),
        Name::NAMED_FAILURES | Name::NAMED_WAITS => (
            "host/gate/src/recorder/rate.rs",
            "failures_that_name_an_account_are_recorded_up_to_a_number_of_their_own",
        ),
        Name::SESSIONS => (
            "host/storage/tests/suite/sessions.rs",
            "of_more_than_100_sessions_of_a_user_the_oldest_end",
        ),
        Name::DEVICES => (
            "host/storage/tests/suite/devices.rs",
            "a_user_has_200_devices_and_loses_those_first_that_nobody_confirmed",
        ),
        Name::EMAILS => (
            EMAILS,
            "an_account_has_few_addresses_and_asks_for_few_mails",
        ),
        Name::SECURITY_KEYS => (
            "host/identity/src/factors/tests/keys.rs",
            "nobody_has_more_than_twenty_keys_and_all_of_them_fit_a_challenge",
        ),
        Name::TOKENS => (
            "host/storage/tests/suite/tokens.rs",
            "a_user_has_at_most_so_many_live_tokens",
        ),
        Name::TOKEN_PROJECTS => (
            "host/identity/tests/identity/tokens.rs",
            "what_a_token_cannot_be_is_refused_before_it_is_made",
        ),
        Name::DESCRIPTION => (
            "host/storage/tests/suite/tokens.rs",
            "a_description_has_at_most_100_characters",
        ),
        Name::REASON => (
            HERE,
            "texts_that_people_send_are_refused_when_they_are_too_long",
        ),
        Name::CEREMONY_BYTES => (
            "host/storage/tests/suite/ceremonies.rs",
            "a_ceremony_has_a_known_user_a_new_secret_and_a_bounded_state",
        ),
        Name::LINK_BYTES => (
            "host/storage/tests/suite/links.rs",
            "a_link_has_a_known_user_a_new_secret_and_bounded_data",
        ),
        Name::MAIL_BYTES => (
            "host/storage/tests/suite/outbox.rs",
            "a_mail_has_a_bounded_length",
        ),
        Name::STAGED_BYTES => (QUOTAS, "what_waits_to_be_published_is_bounded"),
        Name::UPLOADED_BYTES_PER_DAY | Name::LEAST_UPLOADED => {
            (QUOTAS, "a_user_uploads_so_much_in_a_day_and_no_more")
        }
        Name::NEW_PROJECTS_PER_USER => (QUOTAS, "new_projects_of_one_user_are_bounded"),
        Name::NEW_PROJECTS_PER_ADDRESS => (QUOTAS, "new_projects_from_one_address_are_bounded"),
        Name::STAGED_FILES
        | Name::UNPUBLISHED_PROJECTS
        | Name::FILES_OF_RELEASE
        | Name::FILES_OF_PROJECT
        | Name::RELEASES_OF_PROJECT => (
            "host/registry/src/upload/bounds.rs",
            "what_is_at_its_bound_stays_and_one_more_of_anything_does_not",
        ),
        Name::CHANGES => (
            HERE,
            "an_account_changes_so_much_in_a_minute_and_its_owner_can_still_end_it",
        ),
        Name::RELEASE_BODY_BYTES => (
            HERE,
            "parts_of_a_request_that_are_too_large_are_refused_and_leave_nothing",
        ),
        Name::REST_OF_STRANGERS
        | Name::REST_TIME_OF_STRANGERS
        | Name::REST_OF_CALLERS
        | Name::REST_TIME_OF_CALLERS => (
            "host/http/src/body.rs",
            "of_an_endless_body_so_much_is_drained_and_no_more",
        ),
        Name::PROJECT_MAILS | Name::LISTED_CHANGES => (
            "host/storage/tests/suite/mail_rates.rs",
            "mails_about_projects_have_a_bound_of_their_own_and_beyond_it_each_is_listed",
        ),
        Name::CHANGE_MAILS => (
            "host/storage/tests/suite/mail_rates.rs",
            "a_flood_of_changes_is_a_few_mails_and_one_that_counts_the_rest",
        ),
        Name::RELEASE_AGE_DAYS => (
            "host/registry/tests/suite/staging.rs",
            "what_was_staged_in_time_is_not_published_on_a_release_that_is_too_old_by_then",
        ),
        Name::POLICY_TIME => (
            "host/policy-engine/tests/hostile/decide.rs",
            "an_endless_loop_runs_out_of_time_where_fuel_is_off",
        ),
        Name::POLICY_FUEL => (
            "host/policy-engine/tests/hostile/decide.rs",
            "an_endless_loop_runs_out_of_fuel",
        ),
        Name::POLICY_MEMORY => (
            "host/policy-engine/tests/hostile/decide.rs",
            "a_memory_grabber_gets_no_more_than_its_budget",
        ),
        Name::RECOVERIES_PER_ACCOUNT | Name::RECOVERIES_PER_STAFF => (
            "host/identity/tests/identity/recovery.rs",
            "one_of_the_staff_cannot_fill_a_mailbox_by_starting_and_stopping_recoveries",
        ),
        Name::POLICY_MODULE_BYTES => (HERE, "a_policy_module_that_is_too_large_is_not_even_read"),
        Name::CONNECTIONS => (
            "host/http/src/listener.rs",
            "connections_leave_half_of_the_open_files_to_others",
        ),
        Name::CONNECTIONS_PER_ADDRESS => (
            "host/http/src/crowd.rs",
            "an_address_has_so_many_and_no_more",
        ),
        Name::HEADER_BYTES
        | Name::CREDENTIAL_BYTES
        | Name::TOKEN_BYTES
        | Name::SMALL_BODY_BYTES
        | Name::FORM_FIELDS => (
            HERE,
            "parts_of_a_request_that_are_too_large_are_refused_and_leave_nothing",
        ),
        Name::PASSWORD => (
            "host/identity/src/passwords.rs",
            "a_new_password_has_8_to_1024_characters_and_is_not_the_user_name",
        ),
        Name::FILE_BYTES => (
            "host/registry/tests/suite/rows.rs",
            "sizes_of_files_and_projects_are_bounded",
        ),
        Name::PROJECT_BYTES => (
            QUOTAS,
            "of_uploads_at_the_same_moment_only_those_stay_that_fit",
        ),
        Name::METADATA_BYTES | Name::ARCHIVE_ENTRIES => {
            (HERE, "files_beyond_a_limit_are_refused_and_leave_nothing")
        }
        Name::UPLOADS_AT_A_TIME => (
            "host/http/src/upload/places.rs",
            "one_uploader_never_holds_the_places_of_others",
        ),
        Name::ENDED_CREDENTIAL => (
            "host/http/tests/connections.rs",
            "uploads_of_a_revoked_token_give_back_their_places_before_their_bodies_end",
        ),
        Name::UPLOADS_WAITING => (
            "host/http/src/upload/places.rs",
            "of_one_uploader_few_uploads_wait",
        ),
        Name::UPLOAD_WAIT => (HERE, "uploads_whose_client_is_gone_wait_no_longer"),
        Name::PAGE_IN_MEMORY => (
            "host/registry/src/index/page.rs",
            "a_page_is_sent_as_it_was_written_from_memory_and_from_a_file",
        ),
        Name::LARGE_PAGES_PER_ADDRESS => (
            "host/http/src/crowd.rs",
            "what_is_heavy_counts_by_its_weight",
        ),
        Name::LARGE_PAGES_BYTES | Name::LARGE_RELEASE_PAGES_BYTES => (
            "host/registry/src/index/page.rs",
            "large_pages_have_room_together_and_give_it_back",
        ),
        Name::PAGES_AT_ONCE => (
            "host/registry/src/index.rs",
            "few_pages_are_made_at_a_time_and_those_that_nobody_waits_for_count",
        ),
        Name::PAGE_WAIT => (
            "host/registry/src/index.rs",
            "who_is_at_work_is_waited_for_no_longer_than_for_a_place",
        ),
        Name::PAGES_WAITED_FOR => (
            "host/http/src/crowd.rs",
            "of_one_address_few_wait_and_what_is_ready_is_not_waited_for",
        ),
        Name::UPLOADS_OF_ALL => (
            "host/http/src/upload/places.rs",
            "one_uploader_never_holds_the_places_of_others",
        ),
        Name::INSPECTIONS_PER_UPLOADER => (
            "host/registry/src/upload/inspections.rs",
            "one_uploader_has_one_archive_looked_into_at_a_time",
        ),
        Name::SMALL_BODIES_PER_ADDRESS | Name::SMALL_BODY_TIME => (
            "host/http/src/small_bodies.rs",
            "of_one_address_few_bodies_are_awaited_and_not_for_long",
        ),
        Name::LONG_BODIES_AT_ONCE | Name::LONG_BODY_WAIT => {
            (LONG_BODIES, "of_long_bodies_few_are_held_at_a_time")
        }
        Name::LONG_BODIES_PER_ADDRESS => (LONG_BODIES, "one_address_keeps_no_place_from_others"),
        Name::LONG_BODY_TIME => (
            LONG_BODIES,
            "a_long_body_arrives_soon_or_gives_its_place_back",
        ),
        Name::HASHES_AT_ONCE | Name::HASHES_WAITING | Name::HASHES_WAITING_OF_ONE => (
            "host/identity/src/passwords.rs",
            "more_than_may_wait_are_sent_away",
        ),
        Name::HASH_WAIT => (
            "host/identity/src/passwords.rs",
            "a_hash_is_waited_for_as_long_as_the_table_says",
        ),
        Name::SMALL_PROJECT => (
            "host/registry/src/index.rs",
            "few_pages_are_made_at_a_time_and_those_that_nobody_waits_for_count",
        ),
        Name::SEARCHES_AT_ONCE | Name::SEARCH_WAIT => (
            "host/registry/src/index/overview.rs",
            "a_search_counts_until_it_has_ended_and_waits_for_its_turn_not_for_long",
        ),
        Name::DRAINS_AT_ONCE => (
            "host/http/src/body.rs",
            "of_more_bodies_than_are_drained_at_once_the_connection_ends",
        ),
        Name::RECORDS_WAITING => (
            "host/gate/src/recorder/tests.rs",
            "reads_are_left_out_when_too_much_waits_and_nothing_else_is",
        ),
        Name::SPARED_UPLOAD | Name::SPARED_TIME => (
            "host/http/src/upload/places.rs",
            "an_upload_that_brings_nothing_gives_way_to_one_that_waits",
        ),
        Name::SLOWEST_UPLOAD => ("host/http/src/body.rs", "a_body_that_trickles_is_given_up"),
        Name::EXPORT_BYTES => (
            "host/http/tests/people/account.rs",
            "a_long_history_is_exported_in_several_answers",
        ),
        Name::INSPECTION_WAIT => (
            "host/registry/src/upload/inspections.rs",
            "nobody_waits_for_a_turn_for_ever",
        ),
        Name::HEADER_TIME => (
            "host/http/tests/connections.rs",
            "headers_that_do_not_end_in_time_or_size_end_the_connection",
        ),
        Name::BODY_SILENCE => (
            "host/http/tests/connections.rs",
            "a_body_that_stops_arriving_is_given_up",
        ),
        Name::BODY_TIME => (
            "host/http/src/body.rs",
            "a_body_that_never_ends_is_given_up_however_fast_it_is",
        ),
        Name::FORM_PARTS | Name::FORM_FIELD_BYTES | Name::FORM_TEXT_BYTES => {
            ("host/registry/src/form.rs", "counts_and_sizes_are_bounded")
        }
        Name::REQUIRES_PYTHON => (
            "host/registry/src/metadata/checks.rs",
            "what_stands_beside_every_file_is_short",
        ),
        Name::METADATA_FIELDS => ("host/registry/src/metadata/tests.rs", "fields_are_bounded"),
        Name::WHEEL_RECORD_BYTES => (
            "host/registry/src/archive/wheel.rs",
            "a_record_of_millions_of_lines_is_refused",
        ),
        Name::ARCHIVE_NAMES => (
            "host/registry/src/archive/tar_gz/tests.rs",
            "names_are_bounded_together",
        ),
        Name::ARCHIVE_RATIO | Name::ARCHIVE_FREE => (
            "host/registry/src/archive/tar_gz/tests.rs",
            "a_bomb_is_refused",
        ),
        Name::PASSWORDS_PER_NAME => (
            PASSWORDS,
            "after_too_many_failures_even_the_right_password_has_to_wait",
        ),
        Name::PASSWORDS_PER_KNOWN | Name::OF_KNOWN => (
            DEVICES,
            "wrong_codes_of_a_thief_keep_nobody_out_of_a_known_browser",
        ),
        Name::PASSWORDS_PER_ADDRESS => (
            PASSWORDS,
            "failures_for_many_users_count_against_their_one_address_and_no_other",
        ),
        Name::PASSWORDS_OF_ALL => (
            PASSWORDS,
            "guesses_from_many_addresses_for_many_accounts_are_limited_together",
        ),
        Name::PASSWORD_CHECKS => (
            PASSWORDS,
            "right_passwords_are_limited_for_one_name_from_one_address",
        ),
        Name::CODES_PER_ACCOUNT | Name::CODES_PER_ADDRESS => (
            LOGIN,
            "codes_are_limited_and_the_answer_says_how_long_to_wait",
        ),
        Name::CODES_OF_ALL => (
            LOGIN,
            "codes_are_limited_for_all_accounts_and_addresses_together",
        ),
        Name::CHALLENGES => (
            "host/identity/src/factors/tests/challenges.rs",
            "challenges_are_limited_for_each_address",
        ),
        Name::REFUSED_CREDENTIALS => (
            "host/identity/tests/identity/tokens.rs",
            "invalid_tokens_are_limited_by_address_and_valid_ones_never",
        ),
        Name::WIDER_NETWORK => (
            "host/identity/src/limits.rs",
            "a_wider_ipv6_network_has_a_limit_of_its_own_and_an_ipv4_address_has_one",
        ),
        Name::REGISTRATIONS_PER_ADDRESS => (
            "host/identity/tests/identity/registration.rs",
            "registrations_are_limited_whether_what_they_name_is_taken_or_not",
        ),
        Name::RESETS_PER_ACCOUNT => (
            RESETS,
            "of_many_who_ask_beyond_the_limit_at_once_one_has_a_link_mailed",
        ),
        Name::RESETS_PER_ADDRESS => (
            RESETS,
            "asking_is_limited_whether_there_is_an_account_or_not",
        ),
        Name::ADDED_EMAILS | Name::VERIFICATIONS => (
            EMAILS,
            "an_account_has_few_addresses_and_asks_for_few_mails",
        ),
        Name::MAILBOX_OF_ALL => (
            "host/identity/tests/identity/registration.rs",
            "registrations_of_an_address_are_limited_for_each_who_asks",
        ),
        Name::DEVICE_MAILS_PER_DEVICE => {
            (DEVICES, "the_mail_for_one_browser_is_not_repeated_at_once")
        }
        Name::DEVICE_MAILS_PER_ADDRESS | Name::DEVICE_MAILS_PER_ACCOUNT => (
            DEVICES,
            "who_has_asked_for_other_browsers_does_not_keep_one_from_confirming_ones_own",
        ),
    };
    (folder, test)
}

#[test]
fn every_limit_has_a_test_that_drives_it_beyond_its_bound() {
    for row in limit::table() {
        let (file, test) = driven_by(row.name);
        let text = std::fs::read_to_string(repository().join(file))
            .unwrap_or_else(|cause| panic!("{file}: {cause}"));
        assert!(
            text.contains(&format!("fn {test}(")),
            "{:?} has no test {test} in {file}",
            row.name
        );
    }
}
