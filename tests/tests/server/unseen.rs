//! For everyone without a role on it, a project that published nothing looks like a name that does
//! not exist.

use portcullis_http::{Verb, routes};
use tests::{Package, Request, Response, Server, Setup, User, basic, basic_token, shipped_set};

use crate::tools::upload_ok;

/// Names of the same length that occur on no page: one has only a staged release, the other
/// nothing.
const NAMES: [&str; 2] = ["quokka", "walrus"];

/// A server where all uploads with tokens wait, with a staged release of `quokka`.
fn server() -> (Server, User) {
    let server = Setup::default()
        .policies(shipped_set("strict"))
        .flag("--trusted-proxies", "127.0.0.1")
        .start();
    let alice = server.user("alice");
    let code = alice
        .authenticator
        .as_ref()
        .expect("alice has an app")
        .code();
    let token = server.setup.token(
        &alice,
        &["--project", "quokka", "--second-factor-code", &code],
    );
    upload_ok(&server, &Package::new("quokka", "1.0").wheel(), &token);
    (server, alice)
}

/// The answer without the parts that differ between any two requests, and without the name.
fn told(answer: &Response, name: &str) -> String {
    let decision = answer
        .header("Portcullis-Decision")
        .unwrap_or("-")
        .to_owned();
    let headers = answer
        .headers
        .iter()
        .filter(|(header, _)| !header.eq_ignore_ascii_case("Date"));
    let headers: Vec<String> = headers
        .map(|(header, value)| format!("{header}: {value}"))
        .collect();
    let whole = format!(
        "{} {}\n{}\n\n{}",
        answer.status,
        answer.reason,
        headers.join("\n"),
        answer.text()
    );
    whole.replace(&decision, "DECISION").replace(name, "NAME")
}

/// A way to send a request.
type Ask<'a> = Box<dyn Fn(Request) -> Request + 'a>;

fn with(authorization: &str) -> Ask<'_> {
    Box::new(move |request| request.authorization(Some(authorization)))
}

#[test]
fn a_stranger_cannot_tell_a_project_that_only_has_staged_releases_from_none() {
    let (server, _) = server();
    let eve = server.user("eve");
    let device = server.known_command_line(&eve);
    let code = eve.authenticator.as_ref().expect("eve has an app").code();
    let [for_hidden, for_absent] =
        NAMES.map(|name| basic_token(&server.setup.token(&eve, &["--project", name])));
    let account = basic_token(&server.setup.token(&eve, &["--account"]));
    let cookie = crate::tools::log_in(&server, &server.setup.user_without_factor("mallory"));
    let person = serde_json::json!({ "user": "eve", "password": eve.password, "totp": code, "device": device }).to_string();

    let password = basic("eve", &eve.password);
    let in_session = || -> Ask<'_> { Box::new(|request| request.header("Cookie", &cookie)) };
    let in_person = || -> Ask<'_> {
        Box::new(|request| request.body("application/json", person.clone().into_bytes()))
    };
    // Each caller, about the one name and about the other.
    let askers: Vec<(&str, Ask<'_>, Ask<'_>)> = vec![
        (
            "anonymous",
            Box::new(|request| request),
            Box::new(|request| request),
        ),
        ("account token", with(&account), with(&account)),
        ("token for the name", with(&for_hidden), with(&for_absent)),
        (
            "token for the other name",
            with(&for_absent),
            with(&for_hidden),
        ),
        ("password", with(&password), with(&password)),
        ("session", in_session(), in_session()),
        ("person", in_person(), in_person()),
    ];
    let mut compared = 0;
    for route in routes()
        .iter()
        .filter(|route| route.path.contains("{project}"))
    {
        let method = if route.verb == Verb::Get {
            "GET"
        } else {
            "POST"
        };
        for (asker, hidden, absent) in &askers {
            if *asker == "person" && method == "GET" {
                continue;
            }
            for accept in [
                "text/html",
                "application/json",
                "application/vnd.pypi.simple.v1+json",
            ] {
                let [one, other] = [(NAMES[0], hidden), (NAMES[1], absent)].map(|(name, ask)| {
                    let path = route
                        .path
                        .replace("{project}", name)
                        .replace("{version}", "1.0");
                    // From many addresses: too many requests from one are answered without a check.
                    let from = format!("198.51.100.{}", compared % 250);
                    let answer = server.send(&ask(Request::new(method, &path)
                        .header("Accept", accept)
                        .header("X-Forwarded-For", &from)));
                    assert_ne!(answer.status, 429, "{asker}: {}", answer.reason);
                    told(&answer, name)
                });
                assert_eq!(one, other, "{asker}: {method} {} as {accept}", route.path);
                compared += 1;
            }
        }
    }
    assert!(compared > 100, "{compared}");
    // The file itself, whose address can be computed, and the lists.
    let wheel = Package::new("quokka", "1.0").wheel();
    assert_eq!(server.get(&wheel.path()).status, 404);
    for list in ["/simple/", "/projects/", "/projects/?q=quokka", "/"] {
        assert!(
            !server
                .get(list)
                .text()
                .replace("?q=quokka", "")
                .contains("/quokka/"),
            "{list}"
        );
    }
}

#[test]
fn a_strangers_token_holds_nothing_of_a_project_that_only_has_staged_releases() {
    let (server, alice) = server();
    let eve = server.user("eve");
    let packet = |user: &User, name: &str| {
        let token = server.setup.token(user, &["--project", name]);
        String::from_utf8_lossy(
            &data_encoding::BASE64URL_NOPAD
                .decode(&token.as_bytes()["pypi-".len()..])
                .expect("a token is base64"),
        )
        .into_owned()
    };
    let [hidden, absent] = NAMES.map(|name| packet(&eve, name));
    for (text, name) in [(&hidden, "quokka"), (&absent, "walrus")] {
        assert!(
            text.contains(&format!("[1,[\"{name}\"]]")) && !text.contains("[2,"),
            "{text}"
        );
    }
    assert!(
        packet(&alice, "quokka").contains("[2,"),
        "its owner's token is bound to this very project"
    );
}

/// As at any index, a name is taken once someone has uploaded something under it; only a person who
/// tries to take it learns that.
#[test]
fn a_name_with_staged_releases_is_taken() {
    let (server, _) = server();
    let eve = server.user("eve");
    let code = eve.authenticator.as_ref().expect("eve has an app").code();
    let token = server.setup.token(
        &eve,
        &["--project", "quokka", "--second-factor-code", &code],
    );
    let refused = server.upload(
        &Package::new("quokka", "2.0").wheel(),
        Some(&basic_token(&token)),
    );
    assert_eq!(refused.status, 403);
    assert!(
        refused
            .reason
            .contains("isn't allowed to upload to project 'quokka'"),
        "{}",
        refused.reason
    );
}
