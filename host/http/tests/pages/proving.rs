//! A proof that is asked for in the middle of an action.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::json;

use crate::browser::{Answer, Browser, Site};
use crate::markup::Element;

/// Longer than any proof is valid in the default set.
const LONG: i64 = 3600;

/// A browser whose user has an app and only old proofs, and the app's secret.
async fn somebody<'a>(site: &'a Site) -> (Browser<'a>, String) {
    site.user("ana").await;
    let mut browser = site.browser();
    browser.log_in("ana").await;
    browser.keep_recovery_codes().await;
    let secret = browser.set_up_app().await;
    site.clock.advance_seconds(LONG);
    (browser, secret)
}

/// The hidden fields of the form that asks for an app's code.
fn hidden(page: &Answer) -> Vec<(String, String)> {
    let whole = Element::parse(&page.body);
    let is_hidden = |element: &Element| element.get("type") == Some("hidden");
    let forms = whole.find(|element| element.name == "form");
    let asks = |form: &&Element| {
        !form
            .find(|field| field.get("value") == Some("totp"))
            .is_empty()
    };
    let form = forms.into_iter().find(asks);
    let form = form.unwrap_or_else(|| panic!("no app is asked for: {}", page.body));
    let attribute = |field: &Element, name| field.get(name).unwrap().to_owned();
    let fields = form.find(is_hidden).into_iter();
    fields
        .map(|field| (attribute(field, "name"), attribute(field, "value")))
        .collect()
}

async fn prove(
    browser: &mut Browser<'_>,
    page: &Answer,
    code: &str,
) -> (Answer, Vec<(String, String)>) {
    let mut fields = hidden(page);
    fields.push(("step-up-code".to_owned(), code.to_owned()));
    let sent: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    (browser.post("/account/step-up", &sent).await, fields)
}

fn cookie(browser: &Browser<'_>) -> String {
    browser
        .cookies
        .iter()
        .find(|(name, _)| name == "__Host-portcullis-session")
        .unwrap()
        .1
        .clone()
}

#[tokio::test]
async fn a_page_that_needs_a_proof_asks_for_it_and_is_come_back_to() {
    let site = Site::new().await;
    let (mut browser, secret) = somebody(&site).await;
    let page = browser.get("/account/tokens/create").await;
    page.check("step-up-to-a-page");
    let before = cookie(&browser);
    let (answer, _) = prove(&mut browser, &page, &site.code(&secret)).await;
    assert_eq!(
        (answer.status, answer.location()),
        (StatusCode::SEE_OTHER, "/account/tokens/create")
    );
    let mut copy = site.browser();
    copy.cookies = vec![("__Host-portcullis-session".to_owned(), before.clone())];
    assert_ne!(cookie(&browser), before);
    assert_eq!(
        copy.get("/account/").await.status,
        StatusCode::SEE_OTHER,
        "the cookie from before counts no more"
    );
    assert_eq!(
        browser.get("/account/tokens/create").await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_form_is_kept_without_its_secrets_and_sent_again_by_the_browser() {
    let site = Site::new().await;
    let (mut browser, secret) = somebody(&site).await;
    let form = [
        ("description", "laptop & \"co\""),
        ("scope", "project"),
        ("project", "demo"),
        ("expires", "30"),
        ("password", "hush-hush"),
        ("code", "hush-hush"),
    ];
    let page = browser.post("/account/tokens/create", &form).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    page.check("step-up-form-kept");
    assert!(!page.body.contains("hush-hush"), "{}", page.body);
    let (wrong, _) = prove(&mut browser, &page, "not-a-code").await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);
    wrong.check("step-up-wrong-code");
    assert!(!wrong.body.contains("not-a-code"), "{}", wrong.body);

    site.clock.advance_seconds(30);
    let (answer, fields) = prove(&mut browser, &wrong, &site.code(&secret)).await;
    assert_eq!(
        (answer.status, answer.location()),
        (StatusCode::TEMPORARY_REDIRECT, "/account/tokens/create")
    );
    // As a browser does on 307.
    let again: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let created = browser.post(answer.location(), &again).await;
    assert_eq!(created.status, StatusCode::OK, "{}", created.body);
    created.check("token-created-after-a-proof");
}

#[tokio::test]
async fn nobody_is_sent_elsewhere_after_a_proof() {
    let site = Site::new().await;
    let (mut browser, secret) = somebody(&site).await;
    for (to, method, expected) in [
        ("//evil.example/", "get", "/account/"),
        ("https://evil.example/", "post", "/account/"),
        ("/\\evil.example", "get", "/account/"),
        ("/legacy/", "post", "/account/"),
        ("/account/step-up", "post", "/account/step-up"),
        ("", "get", "/account/?notice=proven"),
        ("/account/history/", "get", "/account/history/"),
        ("/logout", "get", "/account/"),
    ] {
        site.clock.advance_seconds(60);
        let code = site.code(&secret);
        let fields = [
            ("step-up-to", to),
            ("step-up-method", method),
            ("step-up-need", "factor"),
            ("step-up-proof", "totp"),
            ("step-up-code", &code),
        ];
        let answer = browser.post("/account/step-up", &fields).await;
        assert_eq!(
            (answer.status, answer.location()),
            (StatusCode::SEE_OTHER, expected),
            "{to} {method}"
        );
    }
    for next in [
        "//evil.example/",
        "/\\evil.example",
        "https://evil.example",
        "%2F%2Fevil.example",
        "/static/webauthn.js",
    ] {
        let page = browser.get(&format!("/account/step-up?next={next}")).await;
        let page = Element::parse(&page.body);
        let fields = page.find(|element| element.get("name") == Some("step-up-to"));
        let all_lead_home = fields
            .iter()
            .all(|field| field.get("value") == Some("/account/"));
        assert!(!fields.is_empty() && all_lead_home, "{next}");
    }
}

#[tokio::test]
async fn a_password_is_asked_for_where_there_is_no_factor() {
    let site = Site::new().await;
    site.user("ana").await;
    let mut browser = site.browser();
    browser.log_in("ana").await;
    site.clock.advance_seconds(LONG);
    let page = browser
        .post("/account/emails/", &[("address", "second@example.org")])
        .await;
    page.check("step-up-password");

    let fields = [
        ("step-up-to", "/account/emails/"),
        ("step-up-method", "post"),
        ("step-up-need", "password"),
        ("step-up-proof", "password"),
        ("step-up-password", crate::browser::PASSWORD),
        ("address", "second@example.org"),
    ];
    let answer = browser.post("/account/step-up", &fields).await;
    assert_eq!(
        (answer.status, answer.location()),
        (StatusCode::TEMPORARY_REDIRECT, "/account/emails/")
    );
    let page = browser.post_and_follow("/account/emails/", &fields).await;
    page.check("emails-after-a-proof");
}

#[tokio::test]
async fn programs_are_told_what_is_missing_and_where_it_is_proven() {
    let site = Site::new().await;
    let (mut browser, _) = somebody(&site).await;
    let answer = browser
        .send(
            Request::get("/account/tokens/create").header("accept", "application/json"),
            Body::empty(),
        )
        .await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(
        body["requirements"],
        json!([{ "second-factor-within": 1800 }]),
        "{body}"
    );
    assert_eq!(body["step-up"], "https://index.example/account/step-up");
}

#[tokio::test]
async fn what_a_form_carries_along_is_text_and_bounded() {
    let site = Site::new().await;
    let (mut browser, _) = somebody(&site).await;
    let long = "x".repeat(1000);
    let reasons =
        ["<b>bold</b>", long.as_str(), "third", "fourth"].map(|reason| ("step-up-reason", reason));
    let page = browser
        .post(
            "/account/step-up",
            &[&reasons[..], &[("step-up-proof", "nothing")]].concat(),
        )
        .await;
    page.check("step-up-bounded-reasons");
    assert!(!page.body.contains("<b>bold"), "{}", page.body);
    assert!(
        !page.body.contains("fourth") && !page.body.contains(&"x".repeat(301)),
        "{}",
        page.body
    );
}

#[tokio::test]
async fn an_unknown_way_of_proving_proves_nothing() {
    let site = Site::new().await;
    let (mut browser, _) = somebody(&site).await;
    for proof in ["", "nothing", "key"] {
        let before = cookie(&browser);
        let answer = browser
            .post(
                "/account/step-up",
                &[("step-up-to", "/account/"), ("step-up-proof", proof)],
            )
            .await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{proof}");
        assert_eq!(cookie(&browser), before);
    }
    let answer = site
        .browser()
        .post(
            "/account/step-up",
            &[("step-up-proof", "totp"), ("step-up-code", "123456")],
        )
        .await;
    assert!(
        answer.location().starts_with("/login?next="),
        "{}",
        answer.location()
    );
}
