//! The flaws of 2020 stay dead: every credential, in every form a header can carry it, at
//! every route of the table, does what the committed decision table says and nothing more.

use std::collections::BTreeMap;

use portcullis_http::routes::{Access, Audience, Credentials, Route, Verb, routes};
use tests::{Package, Request, Server, Setup, User, basic, basic_token, shipped_set};

use crate::tools::upload_ok;

/// A credential as it is sent.
struct Presented {
    /// For the message of a failure.
    name: String,
    authorization: Option<String>,
    /// Column of the decision table that says what it may do; none if it is not valid and
    /// may therefore do nothing at all.
    column: Option<&'static str>,
}

/// The committed decision table: action -> caller -> whether it is permitted.
fn decision_table() -> BTreeMap<String, BTreeMap<String, bool>> {
    let path = shipped_set("default").join("decisions.md");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|cause| panic!("{}: {cause}", path.display()));
    let cells = |line: &str| -> Vec<String> { line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect() };
    let mut rows = text.lines().skip_while(|line| !line.starts_with("| action |")).take_while(|line| line.starts_with('|'));
    let head = cells(rows.next().expect("the table has a head"));
    rows.skip(1)
        .map(|line| {
            let row = cells(line);
            let decisions = head.iter().zip(&row).skip(1).map(|(caller, decision)| (caller.clone(), decision.starts_with("permit"))).collect();
            (row[0].clone(), decisions)
        })
        .collect()
}

fn forms(name: &str, token: &str, column: Option<&'static str>) -> Vec<Presented> {
    [
        ("Basic", basic_token(token)),
        ("basic in lower case", basic_token(token).replace("Basic", "basic")),
        ("token", format!("token {token}")),
        ("TOKEN", format!("TOKEN {token}")),
        ("Bearer", format!("Bearer {token}")),
        ("bEARER", format!("bEARER {token}")),
    ]
    .into_iter()
    .map(|(form, authorization)| Presented { name: format!("{name} as {form}"), authorization: Some(authorization), column })
    .collect()
}

fn credentials(server: &Server, alice: &User) -> Vec<Presented> {
    let setup = &server.setup;
    let one = |name: &str, authorization: Option<String>, column| Presented { name: name.to_owned(), authorization, column };
    let mut all = vec![
        one("nothing", None, Some("anonymous")),
        one("right password", Some(basic("alice", &alice.password)), Some("basic-password")),
        one("right password, name in upper case", Some(basic("ALICE", &alice.password)), Some("basic-password")),
        one("wrong password", Some(basic("alice", "not it")), None),
        one("unknown user", Some(basic("nobody-here", "not it")), None),
        one("empty user", Some(basic("", "")), None),
        one("token as password of a user", Some(basic("alice", &setup.token(alice, &["--account"]))), Some("basic-password")),
        one("token user in upper case", Some(basic("__TOKEN__", &setup.token(alice, &["--account"]))), None),
        one("another scheme", Some("Digest username=alice".into()), None),
        one("scheme alone", Some("Basic".into()), None),
        one("no base64", Some("Basic !!!".into()), None),
        one("empty header", Some(String::new()), None),
    ];
    all.extend(forms("garbage", "pypi-AgEIcHlwaS5vcmc", None));
    all.extend(forms("nonsense", "not-a-token-at-all", None));
    all.extend(forms("account token", &setup.token(alice, &["--account"]), Some("account-token")));
    all.extend(forms("project token", &setup.token(alice, &["--project", "demo"]), Some("project-token")));
    let (revoked, id) = setup.token_with_id(alice, &["--account"]);
    server.command_line(&["token", "revoke", "alice", &id]).ok();
    all.extend(forms("revoked token", &revoked, None));
    let elsewhere = setup.token(alice, &["--project", "elsewhere"]);
    // Valid, and for something else: allowed only what its project is not asked about.
    all.extend(forms("token of another project", &elsewhere, None));
    all
}

fn fill(route: &Route, file: &str) -> String {
    if route.path.starts_with("/files/") {
        return file.to_owned();
    }
    // What else has an identifier in its path: one that nothing has.
    let nothing = "00000000-0000-4000-8000-000000000000";
    let known = route.path.replace("{project}", "demo").replace("{version}", "1.0");
    known.split('/').map(|segment| if segment.starts_with('{') { nothing } else { segment }).collect::<Vec<_>>().join("/")
}

#[test]
fn every_credential_in_every_form_does_on_every_route_what_the_table_says() {
    let table = decision_table();
    // Each request comes from an address of its own: limits on failures are another matter.
    let server = Setup::default().flag("--trusted-proxies", "127.0.0.1").flag("--metrics-allow", "0.0.0.0/0").start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    let wheel = Package::new("demo", "1.0").wheel();
    upload_ok(&server, &wheel, &token);
    upload_ok(&server, &Package::new("elsewhere", "1.0").wheel(), &token);
    let credentials = credentials(&server, &alice);

    let mut wrong = Vec::new();
    let mut requests = 0_u32;
    let mut uploads = Vec::new();
    for route in routes() {
        for presented in &credentials {
            for &method in route.verb.methods() {
                requests += 1;
                let mut request = Request::new(method, &fill(route, &wheel.path()));
                if route.verb == Verb::Post && route.path == "/legacy/" {
                    let version = format!("2.{requests}");
                    let (content_type, body) = Package::new("demo", &version).wheel().multipart();
                    request = request.body(&content_type, body);
                    uploads.push((version, presented.name.clone()));
                }
                if route.credentials == Credentials::Form {
                    // A form without a field in it: who may not send it is not told what is missing.
                    let origin = format!("http://localhost:{}", server.address.port());
                    request = request.header("Origin", &origin).body("application/x-www-form-urlencoded", b"nothing=".to_vec());
                }
                let from = format!("10.{}.{}.{}", requests >> 16 & 255, requests >> 8 & 255, requests & 255);
                let answer = server.send(&request.authorization(presented.authorization.as_deref()).header("X-Forwarded-For", &from));
                let said = format!("{method} {} with {}: {} {}", route.path, presented.name, answer.status, answer.reason);

                let Access::Decided(action) = route.access else {
                    // Open: the credential makes no difference, and nothing is decided.
                    if matches!(answer.status, 401 | 403) || answer.header("Portcullis-Decision").is_some() {
                        wrong.push(format!("{said} (an open route)"));
                    }
                    continue;
                };
                let permitted = presented.column.is_some_and(|column| table[action.as_str()][column]);
                let right = match (permitted, route.credentials) {
                    // There is no session to end, which is what was asked for.
                    (false, _) if route.path == "/logout" && presented.authorization.is_none() => answer.status == 303,
                    (true, Credentials::Form) => (200..500).contains(&answer.status),
                    // The page behind a link, of which there is none, says so.
                    (true, _) if route.audience == Audience::People => (200..400).contains(&answer.status) || answer.status == 404,
                    (true, _) => (200..400).contains(&answer.status),
                    (false, _) => answer.status == 403,
                };
                if !right {
                    wrong.push(format!("{said} (the table says {})", if permitted { "permit" } else { "no" }));
                }
                if answer.header("Portcullis-Decision").is_none() || answer.policy_set() != Some(1) {
                    wrong.push(format!("{said} (names no decision or no set)"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {requests} requests:\n{}", wrong.len(), wrong.join("\n"));
    assert!(requests > 500, "only {requests} requests were made");

    // What was refused did nothing: only the tokens that may upload have left files.
    let page = server.get("/simple/demo/").text();
    for (version, name) in uploads {
        let may = name.starts_with("account token") || name.starts_with("project token");
        assert_eq!(page.contains(&format!("demo-{version}-py3")), may, "{version} was uploaded with {name}");
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
            let answer = server.send(&Request::new(method, path).header("Authorization", &basic_token(&token)));
            // A slash too few or too many leads to the address with the right ones, and that one decides.
            assert!(matches!(answer.status, 308 | 400 | 404 | 405), "{method} {path}: {} {}", answer.status, answer.reason);
            assert!(answer.header("Portcullis-Decision").is_none() && answer.body.len() < 500, "{method} {path}: {}", answer.text());
        }
    }
}
