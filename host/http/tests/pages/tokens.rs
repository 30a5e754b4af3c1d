//! API tokens, created and revoked in a browser.

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, ORIGIN};
use axum::http::{Request, StatusCode};

use crate::browser::{Browser, Site, URL};
use crate::snapshots::check;

/// A browser whose user may create tokens.
async fn somebody<'a>(site: &'a Site, name: &str) -> Browser<'a> {
    site.user(name).await;
    let mut browser = site.browser();
    browser.log_in(name).await;
    browser.keep_recovery_codes().await;
    let secret = browser.set_up_app().await;
    site.clock.advance_seconds(60);
    browser.step_up(&secret).await;
    browser
}

const FORM: [(&str, &str); 4] = [
    ("description", "laptop"),
    ("scope", "account"),
    ("project", ""),
    ("expires", "never"),
];

#[tokio::test]
async fn a_token_is_shown_once_and_listed_until_it_is_revoked() {
    let site = Site::new().await;
    let mut browser = somebody(&site, "ana").await;
    browser.get("/account/tokens/").await.check("tokens-none");
    let created = browser.post("/account/tokens/create", &FORM).await;
    assert_eq!(created.status, StatusCode::OK, "{}", created.body);
    let token = created.between("aria-label=\"The token\"><code>", "</code>");
    created.check("token-created");
    assert_eq!(
        created.body.matches(token.as_str()).count(),
        1,
        "it stands on the page once: {}",
        created.body
    );

    let list = browser.get("/account/tokens/").await;
    list.check("tokens-one");
    assert!(!list.body.contains(&token));
    let again = browser.post("/account/tokens/create", &FORM).await;
    assert_eq!(
        again.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "a page that is loaded anew makes no second one"
    );
    again.check("token-form-name-is-taken");

    let revoke = format!(
        "/account/tokens/{}/revoke",
        list.between("/account/tokens/", "/revoke")
            .rsplit('/')
            .next()
            .unwrap()
    );
    browser.get(&revoke).await.check("token-to-revoke");
    let mut stranger = somebody(&site, "bob").await;
    assert_eq!(
        stranger.get(&revoke).await.status,
        StatusCode::NOT_FOUND,
        "another's token does not exist"
    );
    assert_eq!(
        stranger.post(&revoke, &[]).await.status,
        StatusCode::NOT_FOUND
    );
    let list = browser.post_and_follow(&revoke, &[]).await;
    list.check("tokens-revoked");
    assert_eq!(
        browser.post(&revoke, &[]).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn what_is_wrong_with_the_form_stands_beside_its_field() {
    let site = Site::new().await;
    let mut browser = somebody(&site, "ana").await;
    let mut pages = Vec::new();
    for (name, value) in [
        ("description", ""),
        ("description", "a\u{7}b"),
        ("description", "a\u{202e}b"),
        ("scope", "everything"),
        ("scope", ""),
        ("scope", "project"),
        ("expires", "36500"),
        ("expires", "-1"),
    ] {
        let form = FORM.map(|(known, usual)| {
            if known == name {
                (known, value)
            } else {
                (known, usual)
            }
        });
        let page = browser.post("/account/tokens/create", &form).await;
        assert_eq!(
            page.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{name}={value}"
        );
        pages.push((format!("{name} is {value:?}"), page));
    }
    check("token-form-one-wrong", &pages);
    browser
        .get("/account/tokens/")
        .await
        .check("tokens-none-created");
}

/// This way a browser reports a missing field before it sends anything.
#[tokio::test]
async fn the_form_of_a_token_asks_for_nothing_that_it_does_not_need() {
    let site = Site::new().await;
    let mut browser = somebody(&site, "ana").await;
    let project = browser.get("/account/tokens/create").await;
    project.check("token-form");
    let account = browser.get("/account/tokens/create?scope=account").await;
    account.check("token-form-of-the-account");
    assert!(
        !account.body.contains("name=\"project\""),
        "{}",
        account.body
    );
    for page in [&project.body, &account.body] {
        let fields = page.matches(" required maxlength").count();
        assert_eq!(
            page.matches("aria-hidden=\"true\">required</span>").count(),
            fields,
            "what must be filled in is marked: {page}"
        );
    }
}

#[tokio::test]
async fn a_token_is_for_one_project_and_has_an_end() {
    let site = Site::new().await;
    let mut browser = somebody(&site, "ana").await;
    let form = [
        ("description", "ci"),
        ("scope", "project"),
        ("project", "My_Demo"),
        ("expires", "7"),
    ];
    browser
        .post("/account/tokens/create", &form)
        .await
        .check("token-created-for-a-project");
    let list = browser.get("/account/tokens/").await;
    list.check("tokens-for-a-project");
    assert!(!list.body.contains("Has ended"));
}

#[tokio::test]
async fn a_token_makes_no_token_and_sees_no_page() {
    let site = Site::new().await;
    let mut browser = somebody(&site, "ana").await;
    let token = browser
        .post("/account/tokens/create", &FORM)
        .await
        .between("aria-label=\"The token\"><code>", "</code>");
    let bearer = format!("Bearer {token}");
    for path in ["/account/tokens/", "/account/tokens/create", "/account/"] {
        let answer = site
            .browser()
            .send(
                Request::get(path).header(AUTHORIZATION, &bearer),
                Body::empty(),
            )
            .await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
        assert!(!answer.body.contains("laptop"), "{path}");
    }
    let request = Request::post("/account/tokens/create")
        .header(AUTHORIZATION, &bearer)
        .header(ORIGIN, URL);
    let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    let answer = site
        .browser()
        .send(request, Body::from("description="))
        .await;
    assert_eq!(
        answer.status,
        StatusCode::FORBIDDEN,
        "refused before the form is looked at: {}",
        answer.body
    );
}
