//! What pages show somebody who is stuck: where the page is, whom to ask, what to do next.

use axum::http::StatusCode;
use axum::http::header::{LOCATION, VARY};
use identity::RecoverAccount;
use model::mail::MailKind;

use crate::browser::{PASSWORD, Site};
use crate::snapshots::check;

#[tokio::test]
async fn a_page_is_found_with_a_slash_too_few_or_too_many() {
    let site = Site::new().await;
    let mut browser = site.browser();
    for (typed, found) in [
        ("/account", "/account/"),
        ("/account/tokens", "/account/tokens/"),
        ("/account/factors", "/account/factors/"),
        ("/projects?q=a%20b", "/projects/?q=a%20b"),
        ("/login/", "/login"),
        ("/login/?next=/help/", "/login?next=/help/"),
        (
            "/account/factors/keys/1/rename/",
            "/account/factors/keys/1/rename",
        ),
    ] {
        let answer = browser.get(typed).await;
        assert_eq!(
            (answer.status, answer.location()),
            (StatusCode::PERMANENT_REDIRECT, found),
            "{typed}"
        );
    }
    for typed in [
        "//evil.example",
        "/nothing",
        "/nothing/",
        "/%5Cevil.example/",
        "/legacy//",
    ] {
        let answer = browser.get(typed).await;
        assert_eq!(
            (answer.status, answer.headers.get(LOCATION)),
            (StatusCode::NOT_FOUND, None),
            "{typed}"
        );
    }
    assert_eq!(
        browser.post("/account", &[]).await.status,
        StatusCode::NOT_FOUND,
        "a form is sent nowhere else"
    );
}

#[tokio::test]
async fn what_is_not_there_is_named_once_and_nobody_is_said_to_have_an_account() {
    let site = Site::new().await;
    let page = site.browser().get("/nothing/here?a=b").await;
    page.check("not-found-with-a-query");
    assert!(!page.body.contains("a=b</p>"), "{}", page.body);
    assert_eq!(
        page.body.to_lowercase().matches("not found").count(),
        2,
        "in the title and in the heading: {}",
        page.body
    );
    assert!(!page.body.contains("Your account"), "{}", page.body);
}

#[tokio::test]
async fn the_help_offers_a_log_in_to_who_is_not_logged_in() {
    let site = Site::new().await;
    site.user("ana").await;
    let mut browser = site.browser();
    let page = browser.get("/help/").await;
    page.check("help");
    assert!(!page.body.contains(">Your account</a>"), "{}", page.body);
    assert!(
        page.headers
            .get_all(VARY)
            .iter()
            .any(|vary| vary.as_bytes() == b"Cookie"),
        "{:?}",
        page.headers
    );
    browser.log_in("ana").await;
    let page = browser.get("/help/").await;
    assert!(
        page.body.contains(">Your account</a>") && !page.body.contains(">Log in</a>"),
        "{}",
        page.body
    );
    assert_eq!(page.headers["cache-control"], "no-store");
}

#[tokio::test]
async fn everything_wrong_with_a_form_is_told_at_once() {
    let site = Site::new().await;
    let form = [
        ("user-name", "Al ice!"),
        ("email", "alice@example"),
        ("password", "password"),
    ];
    let page = site
        .browser()
        .post(
            "/register",
            &[("email", "alice at example"), form[0], form[2]],
        )
        .await;
    page.check("register-three-wrong");
}

#[tokio::test]
async fn a_refusal_speaks_to_the_person() {
    let site = Site::new().await;
    site.user("ana").await;
    let mut browser = site.browser();
    browser.log_in("ana").await;
    let page = browser.get("/account/tokens/create").await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    page.check("refusal-without-second-factor");
    assert!(!page.body.contains("User &#39;ana&#39;"), "{}", page.body);
}

#[tokio::test]
async fn a_form_sent_after_the_session_ended_is_said_not_to_be_done() {
    let site = Site::new().await;
    site.user("ana").await;
    let mut browser = site.browser();
    browser.log_in("ana").await;
    site.clock.advance_seconds(40 * 24 * 3600);
    let page = browser
        .post_and_follow("/account/emails/", &[("address", "ana@second.example")])
        .await;
    page.check("login-session-ended-form-not-done");
    assert_eq!(page.field("next"), "/account/emails/");
}

#[tokio::test]
async fn new_recovery_codes_are_not_one_click_away() {
    let site = Site::new().await;
    site.user("ana").await;
    let mut browser = site.browser();
    browser.log_in("ana").await;
    browser.keep_recovery_codes().await;
    let page = browser.get("/account/factors/").await;
    assert!(
        !page
            .body
            .contains("action=\"https://index.example/account/factors/recovery-codes\""),
        "{}",
        page.body
    );
    let page = browser.get("/account/factors/recovery-codes").await;
    page.check("recovery-codes-confirmed");
}

#[tokio::test]
async fn an_owner_who_is_logged_in_sees_a_recovery_and_stops_it() {
    let site = Site::new().await;
    let ana = site.user("ana").await;
    let mut browser = site.browser();
    browser.log_in("ana").await;
    assert!(
        !browser
            .get("/account/")
            .await
            .body
            .contains("recover this account")
    );
    let target = RecoverAccount {
        user: ana,
        reason: "Lost the phone, seen in a call".to_owned(),
    };
    site.identity
        .recoveries()
        .start(site.permit(target).await)
        .await
        .unwrap();
    let mut pages = Vec::new();
    for path in [
        "/account/",
        "/account/emails/",
        "/account/tokens/",
        "/account/history/",
    ] {
        pages.push((path.to_owned(), browser.get(path).await));
    }
    check("recovery-warned-of", &pages);
    assert!(
        !browser
            .get("/projects/")
            .await
            .body
            .contains("recover this account")
    );
    let page = browser.get("/account/recovery").await;
    page.check("recovery-to-stop");
    let page = browser.post_and_follow("/account/recovery", &[]).await;
    page.check("recovery-stopped");
    assert!(!page.body.contains("recover this account"), "{}", page.body);
    assert!(site.storage.recovery_of(ana).await.unwrap().is_none());
    assert!(
        site.mails()
            .await
            .iter()
            .any(|row| row.mail.kind == MailKind::RecoveryCancelled)
    );
    browser
        .get("/account/recovery")
        .await
        .check("recovery-none");
}

#[tokio::test]
async fn nobody_stops_the_recovery_of_another_account() {
    let site = Site::new().await;
    let ana = site.user("ana").await;
    site.user("bert").await;
    let target = RecoverAccount {
        user: ana,
        reason: "Lost the phone, seen in a call".to_owned(),
    };
    site.identity
        .recoveries()
        .start(site.permit(target).await)
        .await
        .unwrap();
    let mut browser = site.browser();
    browser.log_in("bert").await;
    assert!(
        !browser
            .get("/account/")
            .await
            .body
            .contains("recover this account")
    );
    assert_eq!(
        browser.post("/account/recovery", &[]).await.location(),
        "/account/recovery"
    );
    assert!(
        site.browser()
            .post("/account/recovery", &[])
            .await
            .location()
            .starts_with("/login")
    );
    assert!(site.storage.recovery_of(ana).await.unwrap().is_some());
}

#[tokio::test]
async fn who_tries_to_prove_it_too_often_keeps_what_they_were_doing() {
    let site = Site::new().await;
    site.user("ana").await;
    let mut browser = site.browser();
    browser.log_in("ana").await;
    let form = [
        ("step-up-to", "/account/factors/keys"),
        ("step-up-method", "post"),
        ("step-up-need", "password"),
        ("step-up-proof", "password"),
    ];
    let form = [
        &form[..],
        &[
            ("step-up-password", "wrong, all of it"),
            ("name", "blue key"),
        ],
    ]
    .concat();
    let mut page = browser.post("/account/step-up", &form).await;
    for _ in 0..30 {
        if page.status == StatusCode::TOO_MANY_REQUESTS {
            break;
        }
        page = browser.post("/account/step-up", &form).await;
    }
    assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS);
    page.check("step-up-too-often");
    assert!(!page.body.contains("seconds, then"), "{}", page.body);
    assert_eq!(
        (
            page.field("name").as_str(),
            page.field("step-up-to").as_str()
        ),
        ("blue key", "/account/factors/keys")
    );
    assert!(page.headers.contains_key("retry-after") && !page.body.contains("wrong, all of it"));
}

#[tokio::test]
async fn a_registry_on_https_says_that_it_always_is() {
    let site = Site::new().await;
    for path in ["/", "/help/", "/simple/", "/nothing"] {
        assert_eq!(
            site.browser().get(path).await.headers["strict-transport-security"],
            "max-age=31536000",
            "{path}"
        );
    }
}

#[tokio::test]
async fn the_link_for_a_browser_may_be_opened_in_another_one() {
    let site = Site::new().await;
    site.user("ana").await;
    let mut first = site.browser();
    first.log_in("ana").await;
    first.keep_recovery_codes().await;
    let secret = first.set_up_app().await;
    let mut second = site.browser();
    site.clock.advance_seconds(60);
    second
        .post(
            "/login",
            &[
                ("user", "ana"),
                ("password", PASSWORD),
                ("next", "/account/tokens/"),
            ],
        )
        .await;
    let page = second
        .post(
            "/login/factor",
            &[
                ("factor", "totp"),
                ("code", &site.code(&secret)),
                ("next", "/account/tokens/"),
            ],
        )
        .await;
    page.check("device-to-confirm-on-the-way-to-tokens");
    let link = site.mailed_link(MailKind::DeviceConfirm).await;
    let mut phone = site.browser();
    let page = phone.get(&link).await;
    let page = phone
        .post("/login/device", &[("link", &page.field("link"))])
        .await;
    assert_eq!(page.status, StatusCode::OK);
    page.check("device-confirmed-elsewhere");
}
