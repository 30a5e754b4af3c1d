//! The flaws of 2020 stay fixed: every credential, in every form that a header can have, at every
//! route of the table, does what the committed decision table says and nothing more. Nor less:
//! public reads work with any credential.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use portcullis_http::{Access, Audience, Credentials, Route, Verb, routes};
use tests::{Package, Request, Response, Server, Setup, User, basic, basic_token, shipped_set};

use crate::tools::upload_ok;

/// A credential in a request.
struct Presented {
    /// For the message of a failure.
    name: String,
    authorization: Option<String>,
    /// The column of the decision table with its permissions; none if it has none of its own.
    column: Option<&'static str>,
    /// Whether reads accept it, so that a refusal is final. They accept no password.
    reads_as_somebody: bool,
    /// The one project that it is for.
    project: Option<&'static str>,
}

impl Presented {
    fn new(name: &str, authorization: Option<String>, column: Option<&'static str>) -> Self {
        Self {
            name: name.to_owned(),
            authorization,
            column,
            reads_as_somebody: false,
            project: None,
        }
    }

    /// A token that is valid, for all projects or one.
    fn valid(self, project: Option<&'static str>) -> Self {
        Self {
            reads_as_somebody: true,
            project,
            ..self
        }
    }
}

/// The committed decision tables: action -> caller -> whether it is permitted.
fn decision_table(set: &str) -> BTreeMap<String, BTreeMap<String, bool>> {
    let path = shipped_set(set).join("decisions.md");
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|cause| panic!("{}: {cause}", path.display()));
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().trim_matches('`').to_owned())
            .collect()
    };
    let mut table = BTreeMap::new();
    let mut head = Vec::new();
    // A table for each area of the registry, then the settings of owners.
    for line in text
        .lines()
        .take_while(|line| *line != "## What owners may switch on")
    {
        if line.starts_with("| action |") {
            head = cells(line);
        } else if line.starts_with("| `") {
            let row = cells(line);
            let decisions = head
                .iter()
                .zip(&row)
                .skip(1)
                .map(|(caller, decision)| (caller.clone(), decision.starts_with("permit")))
                .collect();
            table.insert(row[0].clone(), decisions);
        }
    }
    table
}

fn forms(name: &str, token: &str, column: Option<&'static str>) -> Vec<Presented> {
    [
        ("Basic", basic_token(token)),
        (
            "basic in lower case",
            basic_token(token).replace("Basic", "basic"),
        ),
        ("token", format!("token {token}")),
        ("TOKEN", format!("TOKEN {token}")),
        ("Bearer", format!("Bearer {token}")),
        ("bEARER", format!("bEARER {token}")),
    ]
    .into_iter()
    .map(|(form, authorization)| {
        Presented::new(&format!("{name} as {form}"), Some(authorization), column)
    })
    .collect()
}

fn credentials(server: &Server, alice: &User) -> Vec<Presented> {
    let setup = &server.setup;
    let one = Presented::new;
    let valid = |name, token: &str, column, project| {
        forms(name, token, column)
            .into_iter()
            .map(move |form| form.valid(project))
    };
    let mut all = vec![
        one("nothing", None, Some("anonymous")),
        one(
            "right password",
            Some(basic("alice", &alice.password)),
            Some("basic-password"),
        ),
        one(
            "right password, name in upper case",
            Some(basic("ALICE", &alice.password)),
            Some("basic-password"),
        ),
        one("wrong password", Some(basic("alice", "not it")), None),
        one("unknown user", Some(basic("nobody-here", "not it")), None),
        one("empty user", Some(basic("", "")), None),
        one(
            "token as password of a user",
            Some(basic("alice", &setup.token(alice, &["--account"]))),
            Some("basic-password"),
        ),
        one(
            "token user in upper case",
            Some(basic("__TOKEN__", &setup.token(alice, &["--account"]))),
            None,
        ),
        one("another scheme", Some("Digest username=alice".into()), None),
        one("scheme alone", Some("Basic".into()), None),
        one("no base64", Some("Basic !!!".into()), None),
        one("empty header", Some(String::new()), None),
    ];
    all.extend(forms("garbage", "pypi-AgEIcHlwaS5vcmc", None));
    all.extend(forms("nonsense", "not-a-token-at-all", None));
    all.extend(valid(
        "account token",
        &setup.token(alice, &["--account"]),
        Some("account-token"),
        None,
    ));
    all.extend(valid(
        "project token",
        &setup.token(alice, &["--project", "demo"]),
        Some("project-token"),
        Some("demo"),
    ));
    let (revoked, id) = setup.token_with_id(alice, &["--account"]);
    server.command_line(&["token", "revoke", "alice", &id]).ok();
    all.extend(forms("revoked token", &revoked, None));
    let elsewhere = setup.token(alice, &["--project", "elsewhere"]);
    // Valid, but for another project: allowed only what no project is involved in.
    all.extend(valid(
        "token of another project",
        &elsewhere,
        None,
        Some("elsewhere"),
    ));
    all
}

fn fill(route: &Route, file: &str) -> String {
    if route.path.starts_with("/files/") {
        return file.to_owned();
    }
    // Other routes have an identifier in their path: use an unknown one.
    let nothing = "00000000-0000-4000-8000-000000000000";
    let known = route
        .path
        .replace("{project}", "demo")
        .replace("{version}", "1.0");
    known
        .split('/')
        .map(|segment| {
            if segment.starts_with('{') {
                nothing
            } else {
                segment
            }
        })
        .collect::<Vec<_>>()
        .join("/")
}

/// The expected result of one request to a decided route.
struct Expected<'a> {
    route: &'static Route,
    presented: &'a Presented,
    /// Whether its column permits it.
    permitted: bool,
    /// Whether everyone may.
    open: bool,
}

impl Expected<'_> {
    fn is_read(&self) -> bool {
        self.route.action().is_some_and(|action| action.is_read())
    }

    /// Whether it is answered instead of refused.
    fn is_answered(&self) -> bool {
        // A token for one project is for nothing else, whatever the policies permit to tokens.
        let is_of_project =
            self.route.path.contains("{project}") || self.route.path.starts_with("/files/");
        let in_scope = self.presented.project.is_none() || is_of_project || !self.is_read();
        self.permitted && in_scope || self.open && self.is_read()
    }

    fn is_met_by(&self, answer: &Response) -> bool {
        let Self {
            route, presented, ..
        } = self;
        let challenges = answer
            .header("WWW-Authenticate")
            .is_some_and(|challenge| challenge.starts_with("Basic realm=\""));
        if challenges != (answer.status == 401) {
            return false;
        }
        match (self.is_answered(), route.credentials) {
            // There is no session to end, which is the requested state.
            (false, _) if route.path == "/logout" && presented.authorization.is_none() => {
                answer.status == 303
            }
            (true, Credentials::Form) => {
                (200..500).contains(&answer.status) && answer.status != 401
            }
            // The page behind a link that does not exist says so.
            (true, _) if route.audience == Audience::People => {
                (200..400).contains(&answer.status) || answer.status == 404
            }
            (true, _) => (200..400).contains(&answer.status),
            (false, _) if self.is_read() && !presented.reads_as_somebody => answer.status == 401,
            (false, _) => answer.status == 403,
        }
    }
}

/// Answers for shared caches are the same for everyone; a read with a credential gets none.
fn is_for_this_caller(presented: &Presented, answer: &Response) -> bool {
    let control = answer.header("Cache-Control").unwrap_or("");
    let is_public = control.starts_with("public");
    let varies = answer
        .headers
        .iter()
        .any(|(name, value)| name.eq_ignore_ascii_case("vary") && value.contains("Authorization"));
    varies && (presented.authorization.is_none() || !is_public)
}

#[test]
fn every_credential_in_every_form_does_on_every_route_what_the_table_says() {
    check_every_route("default");
}

/// Where only members can read, a credential that is not accepted gets 401, and a valid one that is
/// not sufficient gets 403; a token that reads can do nothing else because of that.
#[test]
fn where_only_members_read_every_credential_does_what_the_table_says() {
    check_every_route("private");
}

fn check_every_route(set: &str) {
    let table = decision_table(set);
    // Each request comes from a separate address, so that limits on failures do not interfere.
    let setup = Setup::default()
        .policies(shipped_set(set))
        .flag("--trusted-proxies", "127.0.0.1")
        .flag("--metrics-allow", "0.0.0.0/0");
    let server = setup.start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    let wheel = Package::new("demo", "1.0").wheel();
    upload_ok(&server, &wheel, &token);
    upload_ok(&server, &Package::new("elsewhere", "1.0").wheel(), &token);
    let credentials = credentials(&server, &alice);

    let (wrong, requests, uploads) = (
        Mutex::new(Vec::new()),
        AtomicU32::new(0),
        Mutex::new(Vec::new()),
    );
    let check_route = |route: &'static Route| {
        for &method in route.verb.methods() {
            let mut anonymous = None;
            for presented in &credentials {
                let number = requests.fetch_add(1, Ordering::Relaxed) + 1;
                let mut request = Request::new(method, &fill(route, &wheel.path()));
                if route.verb == Verb::Post && route.path == "/legacy/" {
                    let version = format!("2.{number}");
                    let (content_type, body) = Package::new("demo", &version).wheel().multipart();
                    request = request.body(&content_type, body);
                    uploads
                        .lock()
                        .unwrap()
                        .push((version, presented.name.clone()));
                }
                if route.credentials == Credentials::Form {
                    // A form without any field: a caller who may not send it does not learn what is
                    // missing.
                    let origin = format!("http://localhost:{}", server.address.port());
                    request = request
                        .header("Origin", &origin)
                        .body("application/x-www-form-urlencoded", b"nothing=".to_vec());
                }
                let from = format!(
                    "10.{}.{}.{}",
                    number >> 16 & 255,
                    number >> 8 & 255,
                    number & 255
                );
                let answer = server.send(
                    &request
                        .authorization(presented.authorization.as_deref())
                        .header("X-Forwarded-For", &from),
                );
                let said = format!(
                    "{method} {} with {}: {} {}",
                    route.path, presented.name, answer.status, answer.reason
                );
                let note = |what: &str| wrong.lock().unwrap().push(format!("{said} ({what})"));

                let Access::Decided(action) = route.access else {
                    // Open: the credential makes no difference, and nothing is decided.
                    if matches!(answer.status, 401 | 403)
                        || answer.header("Portcullis-Decision").is_some()
                    {
                        note("an open route");
                    }
                    continue;
                };
                let row = &table[action.as_str()];
                let permitted = presented.column.is_some_and(|column| row[column]);
                let expected = Expected {
                    route,
                    presented,
                    permitted,
                    open: row["anonymous"],
                };
                if !expected.is_met_by(&answer) {
                    note(if permitted {
                        "the table says permit"
                    } else {
                        "the table says no"
                    });
                }
                if answer.header("Portcullis-Decision").is_none() || answer.policy_set() != Some(1)
                {
                    note("names no decision or no set");
                }
                if !is_for_this_caller(presented, &answer) {
                    note("may be cached for others");
                }
                // A public read has the same result with any credential: `nothing` is the first.
                if action.is_read() && row["anonymous"] {
                    let same = (
                        answer.status,
                        answer.body.clone(),
                        answer.header("ETag").map(str::to_owned),
                    );
                    if *anonymous.get_or_insert(same.clone()) != same {
                        note("another answer than anonymous callers get");
                    }
                }
            }
        }
    };
    // Uploads come last, since they change the results of reads.
    for verb in [Verb::Get, Verb::Post] {
        let all: Vec<&'static Route> = routes().iter().filter(|route| route.verb == verb).collect();
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            // Refused reads are answered at full time steps, so these mostly wait.
            for _ in 0..8 {
                scope.spawn(|| {
                    while let Some(route) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                        check_route(route);
                    }
                });
            }
        });
    }
    let (wrong, requests) = (wrong.into_inner().unwrap(), requests.into_inner());
    assert!(
        wrong.is_empty(),
        "{} of {requests} requests:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(requests > 500, "only {requests} requests were made");

    // Refused requests did nothing: only the tokens that may upload have left files.
    let page = server
        .send(&Request::get("/simple/demo/").authorization(Some(&basic_token(&token))))
        .text();
    for (version, name) in uploads.into_inner().unwrap() {
        let may = name.starts_with("account token") || name.starts_with("project token");
        assert_eq!(
            page.contains(&format!("demo-{version}-py3")),
            may,
            "{version} was uploaded with {name}"
        );
    }
}

#[test]
fn a_token_opens_no_route_that_the_table_does_not_name() {
    let server = Setup::default().start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    for path in [
        "/account",
        "/account/tokens/create/",
        "/manage/account/",
        "/manage/projects/",
        "/admin/",
        "/api/projects/",
        "/api/projects/demo/releases/1.0",
        "/simple/demo/../../etc/passwd",
        "/files/",
    ] {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
            let answer = server
                .send(&Request::new(method, path).header("Authorization", &basic_token(&token)));
            // A missing or extra slash redirects to the right address, which then decides.
            assert!(
                matches!(answer.status, 308 | 400 | 404 | 405),
                "{method} {path}: {} {}",
                answer.status,
                answer.reason
            );
            assert!(
                answer.header("Portcullis-Decision").is_none() && answer.body.len() < 500,
                "{method} {path}: {}",
                answer.text()
            );
        }
    }
}
