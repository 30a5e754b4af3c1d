//! The pages for people without an account: the front page, the list of projects, the search.

use tests::{Package, Request, Server, Setup};

use crate::tools::upload_ok;

fn page(server: &Server, path: &str) -> String {
    let request = Request::get(path)
        .header("Accept", "text/html")
        .header("Cookie", "portcullis-moved=1");
    let answer = server.send(&request);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.text()
}

/// The names of projects that a page links to, in order.
fn names(page: &str) -> Vec<&str> {
    page.split("/project/")
        .skip(1)
        .filter_map(|rest| rest.split('/').next())
        .collect()
}

#[test]
fn an_empty_registry_says_so() {
    let server = Setup::default().start();
    let front = page(&server, "/");
    assert!(
        front.contains("Nothing is published yet. <a href=")
            && front.contains("/help/#account\">How to publish</a>"),
        "{front}"
    );
    assert!(!front.contains("It serves"), "{front}");
    assert!(page(&server, "/projects/").contains("Nothing is published yet. <a href="));
    assert!(page(&server, "/projects/?q=demo").contains("No project has this in its name."));
}

#[test]
fn projects_are_listed_and_found_by_every_spelling_the_most_alike_first() {
    let server = Setup::default().start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    for name in [
        "My.Demo",
        "demo",
        "a-demo-tool",
        "demonstration",
        "Other_Thing",
    ] {
        upload_ok(&server, &Package::new(name, "1.0").wheel(), &token);
    }
    assert_eq!(
        names(&page(&server, "/projects/")),
        [
            "a-demo-tool",
            "demo",
            "demonstration",
            "my-demo",
            "other-thing"
        ]
    );
    assert_eq!(
        names(&page(&server, "/projects/?after=demo")),
        ["demonstration", "my-demo", "other-thing"]
    );
    assert_eq!(
        names(&page(&server, "/projects/?q=demo")),
        ["demo", "demonstration", "a-demo-tool", "my-demo"]
    );
    let found = page(&server, "/projects/?q=demo");
    assert!(
        found.contains("4 projects found.") && found.contains("<title>“demo” · Projects · "),
        "{found}"
    );
    for spelling in ["my-demo", "MY_DEMO", "my.demo", "%20my%20demo%20"] {
        let found = page(&server, &format!("/projects/?q={spelling}"));
        assert!(
            names(&found) == ["my-demo"] && found.contains("1 project found."),
            "{spelling}: {found}"
        );
    }
    for nothing in [
        "%25",
        "_%25_",
        "%27%20OR%201=1--",
        "%3Cb%3E",
        "demo%00",
        "%ff",
        "&page=99999999999",
        "demo&page=20",
    ] {
        let page = page(&server, &format!("/projects/?q={nothing}"));
        assert!(!page.contains("<b>"), "{nothing}");
        if !matches!(nothing, "demo%00" | "%ff" | "&page=99999999999") {
            assert_eq!(names(&page), Vec::<&str>::new(), "{nothing}");
        }
    }
    let front = page(&server, "/");
    assert!(
        front.contains("5 projects")
            && names(&front)
                == [
                    "other-thing",
                    "demonstration",
                    "a-demo-tool",
                    "demo",
                    "my-demo"
                ],
        "{:?}",
        names(&front)
    );
}

#[test]
fn what_is_staged_is_on_no_page() {
    let setup = Setup::default().policies(tests::shipped_set("strict"));
    let server = setup.start();
    let alice = server.user("alice");
    let code = alice
        .authenticator
        .as_ref()
        .expect("alice has an app")
        .code();
    let token = server.setup.token(
        &alice,
        &["--project", "secret-plans", "--second-factor-code", &code],
    );
    let answer = server.upload(
        &Package::new("secret-plans", "1.0").wheel(),
        Some(&tests::basic_token(&token)),
    );
    assert!(
        answer.status == 200
            && answer
                .text()
                .contains("held until a maintainer publishes it"),
        "{}",
        answer.text()
    );
    for path in ["/", "/projects/", "/projects/?q=secret"] {
        assert_eq!(names(&page(&server, path)), Vec::<&str>::new(), "{path}");
    }
}

/// PyPI serves such summaries, so nothing is refused; the text for people is harmless, and programs
/// get the uploaded text.
#[test]
fn what_an_uploader_wrote_turns_no_words_on_the_page() {
    let server = Setup::default().start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    let summary = "safe \u{202e}gpj.exe\u{202c} \u{2067}x";
    upload_ok(
        &server,
        &Package {
            summary: summary.to_owned(),
            ..Package::new("turner", "1.0")
        }
        .wheel(),
        &token,
    );
    let project = page(&server, "/project/turner/");
    assert!(
        project.contains("<p class=\"lead\"><bdi>safe \u{fffd}gpj.exe\u{fffd} \u{fffd}x</bdi></p>"),
        "{project}"
    );
    assert!(
        !project.contains(['\u{202e}', '\u{202c}', '\u{2067}']),
        "{project}"
    );
    assert_eq!(
        server.get("/pypi/turner/json").json()["info"]["summary"],
        summary
    );
    let searched = page(&server, "/projects/?q=%E2%80%AEevil");
    assert!(
        searched.contains("<h1>Projects with “<bdi>\u{fffd}evil</bdi>” in their name</h1>"),
        "{searched}"
    );
}
