//! From a stranger to somebody who can upload.

use axum::http::StatusCode;
use model::mail::MailKind;

use crate::browser::{PASSWORD, Site, URL};

#[tokio::test]
async fn a_stranger_becomes_somebody_who_can_upload_in_the_browser_alone() {
    let site = Site::new().await;
    let mut browser = site.browser();
    let page = browser.get("/register").await;
    assert_eq!(
        (page.status, page.title().as_str()),
        (StatusCode::OK, "Create an account · index.example")
    );
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
    assert!(
        page.body.contains("<h1>Check your email</h1>") && page.body.contains("ana@example.org"),
        "{}",
        page.body
    );

    let link = site.mailed_link(MailKind::RegistrationConfirm).await;
    let page = browser.get(&link).await;
    assert!(
        page.body.contains("<dd>ana</dd>") && !browser.is_logged_in(),
        "{}",
        page.body
    );
    let link = page.field("link");
    let wrong = browser
        .post(
            "/register/confirm",
            &[("link", &link), ("password", "another password")],
        )
        .await;
    assert_eq!(
        (wrong.status, wrong.title().as_str()),
        (
            StatusCode::FORBIDDEN,
            "Error: Finish your registration · index.example"
        )
    );
    let page = browser
        .post_and_follow(
            "/register/confirm",
            &[("link", &link), ("password", PASSWORD)],
        )
        .await;
    assert!(
        page.body.contains("Your account has been created."),
        "{}",
        page.body
    );

    let page = browser.log_in("ana").await;
    assert_eq!(page.title(), "Your account · index.example");
    assert!(
        page.body.contains("Before your first upload")
            && page
                .body
                .contains(&format!("twine upload --repository-url {URL}/legacy/")),
        "{}",
        page.body
    );
    assert!(
        page.body
            .contains("<strong>Done:</strong> Verify your primary email address"),
        "{}",
        page.body
    );

    browser.keep_recovery_codes().await;
    browser.set_up_app().await;
    let page = browser.get("/account/").await;
    assert!(
        page.body
            .contains("A one-time password app; 7 of 8 recovery codes unused."),
        "{}",
        page.body
    );
    assert_eq!(
        page.body.matches("<strong>To do:</strong>").count(),
        1,
        "only the token is left: {}",
        page.body
    );
    assert!(page.body.contains(&format!("{URL}/account/tokens/")));
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
    assert_eq!(
        (page.status, page.title().as_str()),
        (
            StatusCode::UNPROCESSABLE_ENTITY,
            "Error: Create an account · index.example"
        )
    );
    for field in ["user-name", "email", "password"] {
        assert!(
            page.body.contains(&format!("<a href=\"#field-{field}\">")),
            "{field}: {}",
            page.body
        );
        assert!(
            page.body.contains(&format!("id=\"error-{field}\""))
                && page.body.contains(&format!(
                    "aria-invalid=\"true\" aria-describedby=\"error-{field}"
                )),
            "{field}"
        );
    }
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
    assert!(
        page.body
            .contains(&format!("<a href=\"{URL}/register\">Register again</a>")),
        "it leads to what it says: {}",
        page.body
    );
    let page = browser.get("/password/reset").await;
    assert!(
        page.body.contains(&format!(
            "<a href=\"{URL}/password/forgot\">Send another link</a>"
        )),
        "{}",
        page.body
    );
    for path in [
        "/register/confirm",
        "/password/reset",
        "/email/confirm",
        "/login/device",
        "/recovery/cancel",
        "/first-user",
    ] {
        for link in [
            "",
            "?link=",
            "?link=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "?link=%22%3E%3Cscript%3E",
        ] {
            let page = browser.get(&format!("{path}{link}")).await;
            assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}{link}");
            assert!(
                page.body.contains("This link no longer works")
                    && !page.body.contains("\"><script"),
                "{path}{link}"
            );
        }
    }
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
    assert!(
        page.body.contains("Discard this registration"),
        "{}",
        page.body
    );
    let link = page.field("link");
    let page = browser
        .post("/register/confirm", &[("link", &link), ("discard", "yes")])
        .await;
    assert!(
        page.status == StatusCode::OK && page.body.contains("The registration is discarded"),
        "{}",
        page.body
    );
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
        .first_user_link()
        .await
        .unwrap()
        .expect("a link while there is no user");
    let mut browser = site.browser();
    let page = browser
        .get(&format!("/first-user?link={}", link.expose()))
        .await;
    assert!(
        page.body.contains("Create the first account"),
        "{}",
        page.body
    );
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
    assert!(
        page.body.contains("a member of the registry's staff")
            || page.body.contains("a member of the registry&#39;s staff"),
        "{}",
        page.body
    );
    assert!(page.body.contains("not verified yet"), "{}", page.body);
    let link = site.mailed_link(MailKind::EmailVerify).await;
    let secret = browser.get(&link).await.field("link");
    let page = browser
        .post_and_follow("/email/confirm", &[("link", &secret)])
        .await;
    assert!(
        page.body.contains("The address is verified."),
        "{}",
        page.body
    );
}
