//! From a stranger to somebody who can upload.

use axum::http::StatusCode;
use model::mail::MailKind;

use crate::browser::{PASSWORD, Site};
use crate::snapshots::check;

#[tokio::test]
async fn a_stranger_becomes_somebody_who_can_upload_in_the_browser_alone() {
    let site = Site::new().await;
    let mut browser = site.browser();
    let page = browser.get("/register").await;
    page.check("register");
    let page = browser
        .post(
            "/register",
            &[
                ("user-name", "ana"),
                ("email", "ana@example.org"),
                ("password", PASSWORD),
            ],
        )
        .await;
    page.check("register-check-your-email");

    let link = site.mailed_link(MailKind::RegistrationConfirm).await;
    let page = browser.get(&link).await;
    page.check("register-finish");
    assert!(!browser.is_logged_in());
    let link = page.field("link");
    let wrong = browser
        .post(
            "/register/confirm",
            &[("link", &link), ("password", "another password")],
        )
        .await;
    wrong.check("register-finish-wrong-password");
    let page = browser
        .post_and_follow(
            "/register/confirm",
            &[("link", &link), ("password", PASSWORD)],
        )
        .await;
    page.check("login-account-created");

    let page = browser.log_in("ana").await;
    page.check("account-before-the-first-upload");

    browser.keep_recovery_codes().await;
    browser.set_up_app().await;
    let page = browser.get("/account/").await;
    page.check("account-without-token");
}

#[tokio::test]
async fn registering_says_the_same_whether_name_and_address_are_free_or_not() {
    let site = Site::new().await;
    site.user("ana").await;
    let mut answers = Vec::new();
    for (name, email) in [
        ("bob", "free@example.org"),
        ("ana", "free@example.org"),
        ("bob", "ana@example.org"),
        ("ANA", "ANA@example.org"),
    ] {
        let answer = site
            .browser()
            .post(
                "/register",
                &[
                    ("user-name", name),
                    ("email", email),
                    ("password", PASSWORD),
                ],
            )
            .await;
        answers.push((answer.status, answer.body.replace(email, "-")));
    }
    assert_eq!(answers[0].0, StatusCode::OK);
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
}

#[tokio::test]
async fn a_form_that_is_wrong_comes_back_with_what_is_wrong_beside_each_field() {
    let site = Site::new().await;
    let fields = [
        ("user-name", "-\"><script>alert(1)</script>"),
        ("email", "no address"),
        ("password", "short"),
    ];
    let page = site.browser().post("/register", &fields).await;
    page.check("register-all-wrong");
    assert!(
        !page.body.contains("<script>alert") && !page.body.contains("value=\"short\""),
        "{}",
        page.body
    );
}

#[tokio::test]
async fn opening_a_link_changes_nothing_and_a_made_up_one_says_so() {
    let site = Site::new().await;
    site.browser()
        .post(
            "/register",
            &[
                ("user-name", "ana"),
                ("email", "ana@example.org"),
                ("password", PASSWORD),
            ],
        )
        .await;
    let link = site.mailed_link(MailKind::RegistrationConfirm).await;
    for _ in 0..3 {
        assert_eq!(site.browser().get(&link).await.status, StatusCode::OK);
    }
    let mut browser = site.browser();
    let secret = browser.get(&link).await.field("link");
    let fields = [("link", secret.as_str()), ("password", PASSWORD)];
    browser.post_and_follow("/register/confirm", &fields).await;
    let page = browser.post("/register/confirm", &fields).await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    page.check("link-of-registration-used");
    let mut pages = Vec::new();
    for path in [
        "/register/confirm",
        "/password/reset",
        "/email/confirm",
        "/login/device",
        "/recovery/cancel",
        "/first-user",
    ] {
        let missing = browser.get(path).await;
        for link in [
            "?link=",
            "?link=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "?link=%22%3E%3Cscript%3E",
        ] {
            let page = browser.get(&format!("{path}{link}")).await;
            assert_eq!(
                (page.status, page.between("<main", "</main>")),
                (StatusCode::NOT_FOUND, missing.between("<main", "</main>")),
                "{path}{link}"
            );
            assert!(!page.body.contains("\"><script"), "{path}{link}");
        }
        pages.push((path.to_owned(), missing));
    }
    check("link-missing", &pages);
}

#[tokio::test]
async fn who_did_not_register_throws_the_registration_away() {
    let site = Site::new().await;
    site.browser()
        .post(
            "/register",
            &[
                ("user-name", "mallory"),
                ("email", "ana@example.org"),
                ("password", PASSWORD),
            ],
        )
        .await;
    let mut browser = site.browser();
    let page = browser
        .get(&site.mailed_link(MailKind::RegistrationConfirm).await)
        .await;
    page.check("register-finish-not-by-me");
    let link = page.field("link");
    let page = browser
        .post("/register/confirm", &[("link", &link), ("discard", "yes")])
        .await;
    page.check("register-discarded");
    assert_eq!(
        browser
            .post(
                "/register/confirm",
                &[("link", &link), ("password", PASSWORD)]
            )
            .await
            .status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        browser
            .post("/register/confirm", &[("link", &link), ("discard", "yes")])
            .await
            .status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn the_first_user_is_made_once_and_is_staff_whoever_registered_before() {
    let site = Site::new().await;
    site.user("stranger").await;
    let link = site
        .identity
        .registrations()
        .first_user_link()
        .await
        .unwrap()
        .expect("a link while there is no user");
    let mut browser = site.browser();
    let page = browser
        .get(&format!("/first-user?link={}", link.expose()))
        .await;
    page.check("first-user");
    let fields = [
        ("link", link.expose().as_str()),
        ("user-name", "root"),
        ("email", "root@example.org"),
        ("password", PASSWORD),
    ];
    browser.post_and_follow("/first-user", &fields).await;
    assert_eq!(
        browser.post("/first-user", &fields).await.status,
        StatusCode::NOT_FOUND
    );
    let page = browser.log_in("root").await;
    page.check("account-of-first-user");

    let link = site.mailed_link(MailKind::EmailVerify).await;
    let secret = browser.get(&link).await.field("link");
    let page = browser
        .post_and_follow("/email/confirm", &[("link", &secret)])
        .await;
    page.check("login-address-verified");
}
