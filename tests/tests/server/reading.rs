//! Reads by pip, uv and poetry, and by `uv publish` before it uploads, with any credential: a valid
//! token, a revoked one, a malformed one, a password for another site; on a public registry, and on
//! one that only members can read.

use std::fs;
use std::path::{Path, PathBuf};

use tests::clients::Printed;
use tests::postgres::new_database;
use tests::{Clients, Package, Request, Server, Setup, User, basic, basic_token, shipped_set};

use crate::tools::{log_in, upload_ok};

/// A user name and a password as people configure them.
struct Credential {
    name: &'static str,
    user: &'static str,
    password: String,
    is_valid: bool,
}

/// A registry with one project on it.
struct Registry {
    server: Server,
    alice: User,
    credentials: Vec<Credential>,
    is_open: bool,
}

impl Registry {
    fn start(set: &str) -> Self {
        let server = Setup::default().policies(shipped_set(set)).start();
        let alice = server.user("alice");
        let (valid, (revoked, id)) = (
            server.setup.token(&alice, &["--account"]),
            server.setup.token_with_id(&alice, &["--account"]),
        );
        upload_ok(&server, &Package::new("hello-read", "1.0").wheel(), &valid);
        server.command_line(&["token", "revoke", "alice", &id]).ok();
        let of = |name, user, password: &str| Credential {
            name,
            user,
            password: password.to_owned(),
            is_valid: name == "valid",
        };
        let credentials = vec![
            of("valid", "__token__", &valid),
            of("revoked", "__token__", &revoked),
            of("malformed", "__token__", "pypi-not-a-token"),
            of("foreign", "somebody", "of-another-host"),
        ];
        Self {
            server,
            alice,
            credentials,
            is_open: set == "default",
        }
    }

    /// A public one, and one that only members can read.
    fn both() -> [Self; 2] {
        [Self::start("default"), Self::start("private")]
    }

    fn valid(&self) -> &Credential {
        &self.credentials[0]
    }

    /// The public address: tools send their credential to its host and to no other, and the files
    /// are there.
    fn url(&self) -> String {
        format!("http://localhost:{}", self.server.address.port())
    }

    fn index(&self) -> String {
        format!("{}/simple/", self.url())
    }

    /// The index's address with the credential in it.
    fn index_of(&self, credential: &Credential) -> String {
        self.index().replace(
            "://",
            &format!("://{}:{}@", credential.user, credential.password),
        )
    }

    #[track_caller]
    fn check(&self, how: &str, credential: &Credential, printed: &Printed) {
        let expected = self.is_open || credential.is_valid;
        assert_eq!(
            printed.success, expected,
            "{how}, {}, open: {}\n{}",
            credential.name, self.is_open, printed.raw
        );
    }
}

/// A folder for one run of a tool.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

/// The `~/.netrc` for tools in this folder.
fn write_netrc(folder: &Path, credential: &Credential) {
    let home = folder.join(".home");
    let line = format!(
        "machine localhost login {} password {}\n",
        credential.user, credential.password
    );
    fs::create_dir_all(&home)
        .and_then(|()| fs::write(home.join(".netrc"), line))
        .expect("the file can be written");
}

fn pip(clients: &Clients, folder: &Path, more: &[&str], variables: &[(&str, &str)]) -> Printed {
    let fixed = [
        "install",
        "--no-cache-dir",
        "--no-deps",
        "--no-input",
        "--target",
        "installed",
        "hello-read",
    ];
    let all: Vec<&str> = fixed.iter().chain(more).copied().collect();
    clients.run("pip", folder, &all, variables)
}

fn uv(clients: &Clients, folder: &Path, more: &[&str], variables: &[(&str, &str)]) -> Printed {
    let all: Vec<&str> = [
        "pip",
        "install",
        "--no-cache",
        "--no-deps",
        "--target",
        "installed",
        "hello-read",
    ]
    .iter()
    .chain(more)
    .copied()
    .collect();
    clients.run("uv", folder, &all, variables)
}

#[test]
fn pip_installs_with_any_credential_what_anybody_reads_and_with_a_valid_one_what_members_read() {
    let Some(clients) = Clients::find() else {
        return;
    };
    for registry in Registry::both() {
        for credential in &registry.credentials {
            let by_address = folder();
            let printed = pip(
                &clients,
                by_address.path(),
                &["--index-url", &registry.index_of(credential)],
                &[],
            );
            registry.check("pip, in the address", credential, &printed);

            let by_netrc = folder();
            write_netrc(by_netrc.path(), credential);
            let printed = pip(
                &clients,
                by_netrc.path(),
                &["--index-url", &registry.index()],
                &[],
            );
            registry.check("pip, from ~/.netrc", credential, &printed);
        }
        let printed = pip(
            &clients,
            folder().path(),
            &["--index-url", &registry.index()],
            &[],
        );
        assert_eq!(
            printed.success, registry.is_open,
            "without a credential: {}",
            printed.raw
        );
    }
}

/// A keyring backend that knows one credential, and creates a file when it is asked.
const KEYRING: &str = r#"
import os, pathlib
from keyring.backend import KeyringBackend
from keyring.credentials import SimpleCredential

class Backend(KeyringBackend):
    priority = 1

    def set_password(self, service, username, password):
        raise NotImplementedError

    def get_password(self, service, username):
        pathlib.Path(os.environ["ASKED"]).touch()
        return os.environ["KEPT_PASSWORD"]

    def get_credential(self, service, username):
        pathlib.Path(os.environ["ASKED"]).touch()
        return SimpleCredential(os.environ["KEPT_USER"], os.environ["KEPT_PASSWORD"])
"#;

/// pip asks keyring after a 401.
#[test]
fn pip_asks_keyring_where_only_members_read_and_nowhere_else() {
    let Some(clients) = Clients::find() else {
        return;
    };
    for registry in Registry::both() {
        for credential in &registry.credentials {
            let top = folder();
            let asked = top.path().join("asked");
            fs::write(top.path().join("kept_in_a_test.py"), KEYRING)
                .expect("the backend can be written");
            let (path, asked_text) = (
                top.path().display().to_string(),
                asked.display().to_string(),
            );
            let variables = [
                ("PYTHONPATH", path.as_str()),
                ("PYTHON_KEYRING_BACKEND", "kept_in_a_test.Backend"),
                ("ASKED", &asked_text),
                ("KEPT_USER", credential.user),
                ("KEPT_PASSWORD", &credential.password),
            ];
            let printed = pip(
                &clients,
                top.path(),
                &[
                    "--keyring-provider",
                    "import",
                    "--index-url",
                    &registry.index(),
                ],
                &variables,
            );
            registry.check("pip, from keyring", credential, &printed);
            assert_eq!(asked.exists(), !registry.is_open, "{}", printed.raw);
        }
    }
}

#[test]
fn uv_installs_with_any_credential_what_anybody_reads_and_with_a_valid_one_what_members_read() {
    let Some(clients) = Clients::find() else {
        return;
    };
    for registry in Registry::both() {
        let named = format!("portcullis={}", registry.index());
        for credential in &registry.credentials {
            let by_address = folder();
            let printed = uv(
                &clients,
                by_address.path(),
                &["--default-index", &registry.index_of(credential)],
                &[],
            );
            registry.check("uv, in the address", credential, &printed);

            let variables = [
                ("UV_INDEX_PORTCULLIS_USERNAME", credential.user),
                ("UV_INDEX_PORTCULLIS_PASSWORD", &credential.password),
            ];
            let printed = uv(
                &clients,
                folder().path(),
                &["--default-index", &named],
                &variables,
            );
            registry.check("uv, UV_INDEX_…", credential, &printed);

            let by_netrc = folder();
            write_netrc(by_netrc.path(), credential);
            let printed = uv(
                &clients,
                by_netrc.path(),
                &["--default-index", &registry.index()],
                &[],
            );
            registry.check("uv, from ~/.netrc", credential, &printed);
        }
        let printed = uv(
            &clients,
            folder().path(),
            &["--default-index", &registry.index()],
            &[],
        );
        assert_eq!(
            printed.success, registry.is_open,
            "without a credential: {}",
            printed.raw
        );
    }
}

#[test]
fn poetry_resolves_with_any_http_basic_what_anybody_reads_and_with_a_valid_one_what_members_read() {
    let Some(clients) = Clients::find() else {
        return;
    };
    for registry in Registry::both() {
        for credential in &registry.credentials {
            let top = folder();
            let project = top.path().join("project");
            let manifest = format!(
                "[project]\nname = \"reader\"\nversion = \"1.0\"\nrequires-python = \">=3.9\"\ndependencies = [\"hello-read\"]\n\n\
                 [tool.poetry]\npackage-mode = false\n\n\
                 [[tool.poetry.source]]\nname = \"portcullis\"\nurl = \"{}\"\npriority = \"primary\"\n",
                registry.index()
            );
            fs::create_dir_all(&project)
                .and_then(|()| fs::write(project.join("pyproject.toml"), manifest))
                .expect("the project can be written");
            let variables = [
                ("POETRY_HTTP_BASIC_PORTCULLIS_USERNAME", credential.user),
                (
                    "POETRY_HTTP_BASIC_PORTCULLIS_PASSWORD",
                    &credential.password,
                ),
            ];
            let printed = clients.run(
                "poetry",
                &project,
                &["lock", "--no-interaction", "--no-cache"],
                &variables,
            );
            registry.check("poetry lock", credential, &printed);
            let locked = fs::read_to_string(project.join("poetry.lock")).unwrap_or_default();
            assert_eq!(
                locked.contains("name = \"hello-read\""),
                printed.success,
                "{locked}"
            );
        }
    }
}

/// A project whose next version is in `dist`, with the registry as a named index.
fn to_publish(registry: &Registry, top: &Path, version: &str) -> PathBuf {
    let project = top.join("project");
    let wheel = Package::new("hello-read", version).wheel();
    let manifest = format!(
        "[project]\nname = \"hello-read\"\nversion = \"{version}\"\n\n[[tool.uv.index]]\nname = \"portcullis\"\nurl = \"{}\"\npublish-url = \"{}/legacy/\"\n",
        registry.index(),
        registry.url()
    );
    fs::create_dir_all(project.join("dist"))
        .and_then(|()| fs::write(project.join("pyproject.toml"), manifest))
        .and_then(|()| fs::write(project.join("dist").join(&wheel.file_name), &wheel.bytes))
        .expect("the project can be written");
    project
}

/// Whether a version is on the index, as its member sees it.
fn is_listed(registry: &Registry, version: &str) -> bool {
    let request = Request::get("/simple/hello-read/")
        .authorization(Some(&basic_token(&registry.valid().password)));
    registry
        .server
        .send(&request)
        .text()
        .contains(&format!("hello_read-{version}-"))
}

/// Before it uploads, `uv publish` reads the index with the credential for uploads, or with that of
/// the index.
#[test]
fn uv_publish_looks_for_what_is_there_already_on_both_registries() {
    let Some(clients) = Clients::find() else {
        return;
    };
    for registry in Registry::both() {
        for (number, credential) in registry.credentials.iter().enumerate() {
            let of_index = [
                ("UV_INDEX_PORTCULLIS_USERNAME", credential.user),
                ("UV_INDEX_PORTCULLIS_PASSWORD", &credential.password),
            ];
            let (upload_to, index) = (format!("{}/legacy/", registry.url()), registry.index());
            let by_url: Vec<&str> = vec!["--publish-url", &upload_to, "--check-url", &index];
            for (way, arguments) in [("check", by_url), ("index", vec!["--index", "portcullis"])] {
                let how = format!(
                    "uv publish --{way}, {}, open: {}",
                    credential.name, registry.is_open
                );
                let (top, version) = (
                    folder(),
                    format!("2.{number}.{}", if way == "index" { 1 } else { 2 }),
                );
                let project = to_publish(&registry, top.path(), &version);
                let all = |user: &str, password: &str| {
                    let fixed = [
                        "publish",
                        "--no-cache",
                        "--trusted-publishing",
                        "never",
                        "--username",
                        user,
                        "--password",
                        password,
                    ];
                    let all: Vec<&str> = fixed.iter().chain(&arguments).copied().collect();
                    clients.run("uv", &project, &all, &of_index)
                };
                let printed = all(credential.user, &credential.password);
                assert_eq!(
                    printed.success, credential.is_valid,
                    "{how}\n{}",
                    printed.raw
                );
                assert_eq!(
                    is_listed(&registry, &version),
                    credential.is_valid,
                    "{how}\n{}",
                    printed.raw
                );
                if credential.is_valid {
                    all(credential.user, &credential.password)
                        .ok()
                        .says("already exists");
                }
            }
        }
    }
}

#[test]
fn who_is_asked_for_a_credential_is_told_how_to_give_one_and_nothing_of_what_there_is() {
    let registry = Registry::start("private");
    let server = &registry.server;
    let answer = |path: &str, authorization: Option<&str>| {
        let answer = server.send(&Request::get(path).authorization(authorization));
        let (reason, _) = answer
            .reason
            .split_once(" (decision ")
            .expect("a refusal names its decision");
        (
            answer.status,
            answer.header("WWW-Authenticate").map(str::to_owned),
            answer.header("Cache-Control").map(str::to_owned),
            reason.to_owned(),
        )
    };
    let (there, absent) = ("/simple/hello-read/", "/simple/nothing-here/");
    let nothing = answer(there, None);
    let realm = format!(
        "Basic realm=\"localhost:{}\", charset=\"UTF-8\"",
        server.address.port()
    );
    assert_eq!(
        (nothing.0, nothing.1.as_deref(), nothing.2.as_deref()),
        (401, Some(realm.as_str()), Some("no-store"))
    );
    assert!(
        nothing
            .3
            .contains("Use an API token as password with the user name __token__"),
        "{}",
        nothing.3
    );
    let right = basic("alice", &registry.alice.password);
    for authorization in [
        None,
        Some("Bearer pypi-x"),
        Some("Basic !!!"),
        Some(right.as_str()),
    ] {
        assert_eq!(
            answer(there, authorization),
            answer(absent, authorization),
            "{authorization:?}"
        );
    }
    assert_eq!(
        answer(there, Some(&right)),
        answer(there, Some(&basic("nobody-here", "x"))),
        "no password is looked at"
    );
    // A valid one that is not sufficient.
    let other = server
        .setup
        .token(&registry.alice, &["--project", "hello-read"]);
    assert_eq!(answer("/simple/", Some(&basic_token(&other))).0, 403);
    assert_eq!(
        server
            .send(&Request::get(there).authorization(Some(&basic_token(&other))))
            .status,
        200
    );
}

#[test]
fn nothing_is_looked_up_for_who_may_not_read_whatever_there_is() {
    let Some(database) = new_database() else {
        return;
    };
    let server = Setup::default()
        .database(&database.url)
        .policies(shipped_set("private"))
        .start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    let wheel = Package::new("hello-read", "1.0").wheel();
    upload_ok(&server, &wheel, &token);
    let file = wheel.path();

    // Every lookup of a project waits, as it may for pages that other requests build.
    let locked = database.lock("projects");
    for path in [
        "/simple/hello-read/",
        "/simple/Hello_Read/",
        "/simple/",
        "/pypi/hello-read/json",
        "/pypi/hello-read/1.0/json",
        "/project/hello-read/",
        "/projects/",
        "/",
        file.as_str(),
    ] {
        assert_eq!(server.get(path).status, 401, "{path}");
    }
    let staged = "/api/projects/hello-read/staged";
    assert_eq!(server.get(staged).status, 403);
    for path in [
        staged,
        "/api/projects/hello-read/releases/1.0/publish",
        "/api/projects/hello-read/releases/1.0/reject",
    ] {
        let call = Request::new("POST", path).body("application/json", b"{}".to_vec());
        assert_eq!(server.send(&call).status, 403, "{path}");
    }
    drop(locked);
    let answer = server.send(&Request::get(&file).authorization(Some(&basic_token(&token))));
    assert_eq!(answer.status, 200);
}

/// Whether the project is cached or not: a token for another project, one that has expired, and one
/// that was narrowed to nothing here can read public pages, and are decided about once.
#[test]
fn no_token_takes_a_file_away_that_anybody_may_read() {
    let mut server = Setup::default().policies(shipped_set("default")).start();
    let (alice, bob) = (server.user("alice"), server.user("bob"));
    let bobs = server.setup.token(&bob, &["--account"]);
    let of_other = server.setup.token(&alice, &["--project", "alpha"]);
    let expired = server
        .setup
        .token(&alice, &["--account", "--expires", "1s"]);
    let tried = Package::new("gamma", "1.0").wheel();
    server.wait_for("the token to expire", |server| {
        let answer = server.upload(&tried, Some(&basic_token(&expired)));
        (answer.status == 403 && answer.text().contains("expired")).then_some(())
    });
    for version in ["1.0", "1.1", "1.2", "1.3"] {
        // Drops the project from the cache.
        let wheel = Package::new("beta", version).wheel();
        upload_ok(&server, &wheel, &bobs);
        let file = wheel.path();
        let (token, suffix) = match version {
            "1.0" => (&of_other, ""),
            "1.1" => (&of_other, ".metadata"),
            "1.2" => (&expired, ""),
            _ => (&expired, ".metadata"),
        };
        let path = format!("{file}{suffix}");
        let before = decisions(&server);
        let authorization = basic_token(token);
        let answer = server.send(&Request::get(&path).authorization(Some(&authorization)));
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(decisions(&server), before + 1, "{path}");
        assert_eq!(server.get(&path).status, 200, "{path}");
    }
}

/// The number of decisions about downloads.
fn decisions(server: &Server) -> usize {
    let printed = server.get("/metrics").text();
    let counted = printed.lines().filter(|line| {
        line.starts_with("portcullis_decisions_total") && line.contains("file:download")
    });
    let number = |line: &str| line.rsplit(' ').next()?.parse::<usize>().ok();
    counted.filter_map(number).sum()
}

#[test]
fn people_are_led_to_the_login_and_read_with_their_session() {
    let registry = Registry::start("private");
    let server = &registry.server;
    let bob = server.setup.user_without_factor("bob");
    let browser = |path: &str| {
        Request::get(path)
            .header("Accept", "text/html,application/xhtml+xml")
            .header("Cookie", "portcullis-moved=1")
    };
    for path in [
        "/",
        "/projects/",
        "/project/hello-read/",
        "/project/nothing-here/",
    ] {
        let answer = server.send(&browser(path));
        let next = path.replace('/', "%2F");
        let location = answer.header("Location").unwrap_or_default().to_owned();
        assert_eq!(
            (answer.status, answer.header("WWW-Authenticate")),
            (303, None),
            "{path}"
        );
        assert!(
            location.ends_with(&format!("/login?next={next}&notice=log-in")),
            "{location}"
        );
        // A program gets a 401 there as well.
        assert_eq!(server.get(path).status, 401, "{path}");
    }
    // A link to a file or to the index of tools, opened in a browser.
    let opened = server.send(&browser("/simple/hello-read/").header("Sec-Fetch-Mode", "navigate"));
    assert_eq!(
        (opened.status, opened.header("WWW-Authenticate")),
        (303, None)
    );

    let cookies = log_in(server, &bob);
    let with_session = |request: Request| request.header("Cookie", &cookies);
    for path in ["/", "/projects/", "/project/hello-read/"] {
        let answer = server.send(&with_session(browser(path)));
        assert!(
            answer.status == 200 && answer.text().contains("bob"),
            "{path}: {}",
            answer.status
        );
    }
    let file = Package::new("hello-read", "1.0").wheel().path();
    assert_eq!(server.send(&with_session(Request::get(&file))).status, 200);
    // A header wins over the cookie: a sender of one acts with it and with nothing else, and the
    // cookie of a live session is not removed.
    let both = server
        .send(&with_session(browser("/project/hello-read/")).authorization(Some("Bearer pypi-x")));
    assert_eq!(both.status, 303);
    assert!(
        both.headers
            .iter()
            .all(|(name, value)| !name.eq_ignore_ascii_case("set-cookie")
                || !value.starts_with("portcullis-session")),
        "{both:?}"
    );
    // No one can become a member by themselves.
    let register = server.send(&browser("/register"));
    assert!(
        register.status == 403 && register.text().contains("the operators make the accounts"),
        "{}",
        register.text()
    );
    // Nor does a page link to it.
    for page in ["/login", "/help/", "/register"] {
        assert!(
            !server.send(&browser(page)).text().contains("/register\""),
            "{page}"
        );
    }
}

#[test]
fn a_session_stays_one_on_a_registry_that_anybody_reads() {
    let registry = Registry::start("default");
    let cookies = log_in(
        &registry.server,
        &registry.server.setup.user_without_factor("bob"),
    );
    let page = |authorization: Option<&str>| {
        let cookies = format!("{cookies}; portcullis-moved=1");
        let request = Request::get("/project/hello-read/")
            .header("Accept", "text/html")
            .header("Cookie", &cookies);
        registry.server.send(&request.authorization(authorization))
    };
    assert!(page(None).text().contains("bob"));
    // An address with a password that a browser remembers takes no page away, and does not identify
    // anyone.
    let with_password = page(Some(&basic("bob", "old password")));
    assert_eq!(with_password.status, 200);
    assert!(
        !with_password.text().contains("bob") && with_password.header("Set-Cookie").is_none(),
        "{with_password:?}"
    );
    assert!(page(None).text().contains("bob"));
}

#[test]
fn what_came_with_a_read_is_on_record_and_in_its_owners_history() {
    let registry = Registry::start("default");
    let server = &registry.server;
    let [valid, revoked, ..] = &registry.credentials[..] else {
        panic!("there are several")
    };
    for (credential, why) in [
        (valid, "credential-not-allowed"),
        (revoked, "revoked-token"),
    ] {
        let answer = server.send(
            &Request::get("/simple/hello-read/")
                .authorization(Some(&basic_token(&credential.password))),
        );
        assert_eq!(
            (answer.status, answer.header("Cache-Control")),
            (200, Some("private, max-age=600"))
        );
        let explained = server
            .command_line(&[
                "explain",
                answer.header("Portcullis-Decision").expect("a decision"),
            ])
            .ok()
            .stdout;
        let line = explained
            .lines()
            .find(|line| line.starts_with("set aside"))
            .unwrap_or_else(|| panic!("{explained}"));
        assert!(
            line.contains("api-token of alice") && line.contains(why),
            "{line}"
        );
    }
    let events = server
        .command_line(&["audit", "--kind", "authentication:set-aside", "--json"])
        .ok()
        .stdout;
    assert!(
        events.contains("revoked-token") && events.contains("credential-not-allowed"),
        "{events}"
    );
}
