//! Refusals as people see them: each tool prints what to do without a verbose flag.

use std::path::Path;

use tests::{Clients, Package, Server, Setup, User};

use crate::tools::{Tool, upload_ok};

/// A server, and a user who may upload.
fn server_with_alice() -> (Server, User) {
    let server = Setup::default().start();
    let alice = server.user("alice");
    (server, alice)
}

fn top(server: &Server) -> &Path {
    server.setup.folder.path()
}

fn is_told(tool: Tool) {
    let Some(clients) = Clients::find() else {
        return;
    };
    let (server, alice) = server_with_alice();
    let name = format!("refused-{}", tool.name());
    let project = tool.project(&clients, top(&server), &name, "1.0");
    let account = server.setup.token(&alice, &["--account"]);
    upload_ok(&server, &Package::new("other", "1.0").wheel(), &account);

    // A token for another project.
    let elsewhere = server.setup.token(&alice, &["--project", "other"]);
    let printed = project
        .publish(&clients, &server, "__token__", &elsewhere)
        .refused();
    printed
        .says("project-scoped token is not valid for project")
        .says("/help/#");

    // A password.
    let printed = project
        .publish(&clients, &server, "alice", &alice.password)
        .refused();
    printed
        .says("with __token__ as the user name and the token as the password")
        .says("/help/#");

    // Nonsense.
    let printed = project
        .publish(&clients, &server, "__token__", "pypi-nonsense")
        .refused();
    printed.says("/help/#");

    // No second factor.
    let bob = server.setup.user_without_factor("bob");
    let weak = server.setup.token(&bob, &["--account"]);
    let printed = project
        .publish(&clients, &server, "__token__", &weak)
        .refused();
    printed
        .says(
            "User 'bob' has no second factor. Add one first: an app, a security key or a passkey.",
        )
        .says("/help/#");

    // None of this exists now.
    assert_eq!(server.get(&format!("/simple/{name}/")).status, 404);
}

#[test]
fn twine_prints_what_to_do() {
    is_told(Tool::Twine);
}

#[test]
fn uv_prints_what_to_do() {
    is_told(Tool::Uv);
}

#[test]
fn flit_prints_what_to_do() {
    is_told(Tool::Flit);
}

#[test]
fn hatch_prints_what_to_do() {
    is_told(Tool::Hatch);
}

#[test]
fn poetry_prints_what_to_do() {
    is_told(Tool::Poetry);
}

#[test]
fn a_refusal_says_the_same_in_the_status_line_in_json_and_as_a_problem() {
    let (server, _) = server_with_alice();
    let bob = server.setup.user_without_factor("bob");
    let token = server.setup.token(&bob, &["--account"]);
    let upload = tests::upload_request(
        &Package::new("p", "1.0").wheel(),
        Some(&tests::basic_token(&token)),
    );

    let plain = server.send(&upload);
    assert_eq!(plain.status, 403);
    assert!(
        plain.reason.contains(
            "User 'bob' has no second factor. Add one first: an app, a security key or a passkey."
        ),
        "{}",
        plain.reason
    );
    let id = plain
        .header("Portcullis-Decision")
        .expect("a refusal names its decision")
        .to_owned();

    let problem = server
        .send(&upload.clone().header("Accept", "application/problem+json"))
        .json();
    assert!(
        problem["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("no second factor")),
        "{problem}"
    );
    assert_eq!(problem["status"], 403);
    let json = server
        .send(&upload.header("Accept", "application/json"))
        .json();
    assert!(
        json["message"]
            .as_str()
            .is_some_and(|message| message.contains("no second factor")),
        "{json}"
    );
    assert!(
        json["code"]
            .as_str()
            .is_some_and(|code| code.starts_with("403 ")
                && code.contains("Add one first: an app, a security key or a passkey.")),
        "{json}"
    );

    let explained = server.command_line(&["explain", &id]).ok();
    assert!(
        explained.stdout.contains("require-second-factor"),
        "{}",
        explained.stdout
    );
}
