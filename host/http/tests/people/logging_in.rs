//! Logging in and out, and passwords.

use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use model::mail::MailKind;

use crate::browser::{PASSWORD, Site};
use crate::snapshots::check;

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_read_the_same() {
    let site = Site::new().await;
    site.user("ana").await;
    let mut answers = Vec::new();
    for user in [
        "ana",
        "ana@example.org",
        "nobody",
        "nobody@example.org",
        "%",
        "-",
    ] {
        let answer = site
            .browser()
            .post(
                "/login",
                &[("user", user), ("password", "wrong"), ("next", "/account/")],
            )
            .await;
        assert!(!answer.headers.contains_key(SET_COOKIE));
        if user == "ana" {
            // No field is blamed.
            answer.check("login-no-match");
        }
        let body = answer
            .body
            .replace(&format!("value=\"{user}\""), "value=\"\"");
        answers.push((answer.status, body));
    }
    assert_eq!(answers[0].0, StatusCode::FORBIDDEN);
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
}

#[tokio::test]
async fn asking_for_a_new_password_says_the_same_for_everybody() {
    let site = Site::new().await;
    site.user("ana").await;
    let mut answers = Vec::new();
    for user in ["ana", "ana@example.org", "nobody", "nobody@example.org"] {
        let answer = site
            .browser()
            .post("/password/forgot", &[("user", user)])
            .await;
        answers.push((answer.status, answer.body));
    }
    assert_eq!(answers[0].0, StatusCode::OK);
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
}

#[tokio::test]
async fn a_login_goes_on_to_pages_of_the_registry_and_nowhere_else() {
    let site = Site::new().await;
    site.user("ana").await;
    for (next, expected) in [
        (
            "/account/history/?show=log-ins",
            "/account/history/?show=log-ins",
        ),
        ("/account/", "/account/"),
        ("", "/account/"),
        ("//evil.example/", "/account/"),
        ("https://evil.example/", "/account/"),
        ("/\\evil.example", "/account/"),
        ("/static/portcullis.css", "/account/"),
        ("/nothing/here", "/account/"),
        ("/account/\r\nSet-Cookie: a=b", "/account/"),
    ] {
        let mut browser = site.browser();
        let answer = browser
            .post(
                "/login",
                &[("user", "ana"), ("password", PASSWORD), ("next", next)],
            )
            .await;
        assert_eq!(
            (answer.status, answer.location()),
            (StatusCode::SEE_OTHER, expected),
            "{next}"
        );
        assert_eq!(
            browser.get("/login").await.location(),
            "/account/",
            "who is logged in needs no login"
        );
    }
}

#[tokio::test]
async fn a_page_of_the_account_is_for_who_is_logged_in_and_is_come_back_to() {
    let site = Site::new().await;
    site.user("ana").await;
    let mut browser = site.browser();
    for path in [
        "/account/",
        "/account/emails/",
        "/account/password",
        "/account/factors/",
        "/account/factors/totp",
        "/account/sessions/",
        "/account/history/",
    ] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}");
        assert!(
            answer
                .location()
                .starts_with(&format!("/login?next={}", path.replace('/', "%2F"))),
            "{path}: {}",
            answer.location()
        );
    }
    let answer = browser
        .post("/account/delete", &[("user-name", "ana")])
        .await;
    assert!(
        answer.location().starts_with("/login?"),
        "{}",
        answer.location()
    );
}

#[tokio::test]
async fn logging_out_ends_the_session_for_whoever_copied_its_cookie() {
    let site = Site::new().await;
    site.user("ana").await;
    let mut browser = site.browser();
    browser.log_in("ana").await;
    let mut copy = site.browser();
    copy.cookies = browser.cookies.clone();
    assert_eq!(copy.get("/account/").await.status, StatusCode::OK);
    browser.post_and_follow("/logout", &[]).await;
    assert!(!browser.is_logged_in());
    assert_eq!(copy.get("/account/").await.status, StatusCode::SEE_OTHER);
    browser.log_in("ana").await;
    let page = browser.get("/account/history/").await;
    page.check("history-logged-out-and-in");
}

#[tokio::test]
async fn the_second_step_offers_what_the_user_has_and_a_code_works_once() {
    let site = Site::new().await;
    site.user("ana").await;
    let mut first = site.browser();
    first.log_in("ana").await;
    let codes = first.keep_recovery_codes().await;
    let secret = first.set_up_app().await;

    // The same browser: it has been known since the login with the password alone.
    first.post("/logout", &[]).await;
    let page = first
        .post_and_follow(
            "/login",
            &[
                ("user", "ana"),
                ("password", PASSWORD),
                ("next", "/account/sessions/"),
            ],
        )
        .await;
    page.check("login-second-step");
    assert!(!first.is_logged_in());

    // The code that set up the app is used up; so is the recovery code that confirmed the codes.
    let (code, mut pages) = (site.code(&secret), Vec::new());
    for fields in [
        [("factor", "totp"), ("code", &code)],
        [("factor", "recovery-code"), ("recovery-code", &codes[0])],
    ] {
        let page = first.post("/login/factor", &fields).await;
        assert!(!first.is_logged_in());
        pages.push((fields[1].0.to_owned(), page));
    }
    check("login-second-step-used-up", &pages);
    site.clock.advance_seconds(60);
    let code = site.code(&secret);
    let page = first
        .post_and_follow(
            "/login/factor",
            &[
                ("factor", "totp"),
                ("code", &code),
                ("next", "/account/sessions/"),
            ],
        )
        .await;
    page.check("sessions-after-second-step");
}

#[tokio::test]
async fn an_unknown_browser_is_confirmed_by_mail_before_a_code_lets_it_in() {
    let site = Site::new().await;
    site.user("ana").await;
    let mut first = site.browser();
    first.log_in("ana").await;
    first.keep_recovery_codes().await;
    let secret = first.set_up_app().await;

    let mut second = site.browser();
    let log_in = async |browser: &mut crate::browser::Browser<'_>| {
        site.clock.advance_seconds(60);
        browser
            .post("/login", &[("user", "ana"), ("password", PASSWORD)])
            .await;
        browser
            .post(
                "/login/factor",
                &[("factor", "totp"), ("code", &site.code(&secret))],
            )
            .await
    };
    let page = log_in(&mut second).await;
    page.check("device-to-confirm");
    assert!(!second.is_logged_in());
    let lost = site.mailed_link(MailKind::DeviceConfirm).await;
    let asked = [("again", page.field("again")), ("next", page.field("next"))];
    let asked = asked
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let page = second.post("/login/device/again", &asked).await;
    page.check("device-mailed-a-moment-ago");
    site.clock.advance_seconds(120);
    let page = second.post("/login/device/again", &asked).await;
    page.check("device-mailed-again");
    let link = site.mailed_link(MailKind::DeviceConfirm).await;
    assert_ne!(link, lost);
    let page = first.get(&link).await;
    page.check("device-was-this-you");
    let page = first
        .post("/login/device", &[("link", &page.field("link"))])
        .await;
    page.check("device-confirmed");
    assert!(
        second
            .post("/login/device/again", &asked)
            .await
            .location()
            .starts_with("/login?notice=device-confirmed")
    );
    log_in(&mut second).await;
    assert!(second.is_logged_in());
}

#[tokio::test]
async fn a_second_step_without_the_first_leads_back_to_the_first() {
    let site = Site::new().await;
    let mut browser = site.browser();
    assert_eq!(
        browser
            .get("/login/factor?next=/account/history/")
            .await
            .location(),
        "/login?notice=login-expired&next=%2Faccount%2Fhistory%2F"
    );
    assert!(
        browser
            .post("/login/factor", &[("factor", "totp"), ("code", "123456")])
            .await
            .location()
            .starts_with("/login?notice=login-expired")
    );
}

#[tokio::test]
async fn a_new_password_by_mail_ends_every_session() {
    let site = Site::new().await;
    site.user("ana").await;
    let mut first = site.browser();
    first.log_in("ana").await;
    let mut second = site.browser();
    second.post("/password/forgot", &[("user", "ana")]).await;
    let link = site.mailed_link(MailKind::PasswordResetLink).await;
    let page = second.get(&link).await;
    let secret = page.field("link");
    let page = second
        .post(
            "/password/reset",
            &[("link", &secret), ("password", "short")],
        )
        .await;
    page.check("reset-short-password");
    let page = second
        .post_and_follow(
            "/password/reset",
            &[
                ("link", &secret),
                ("password", "seven lanterns under quiet water"),
            ],
        )
        .await;
    page.check("login-password-set");
    assert_eq!(first.get("/account/").await.status, StatusCode::SEE_OTHER);
    assert_eq!(second.get(&link).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn changing_the_password_needs_the_old_one_and_ends_the_other_sessions() {
    let site = Site::new().await;
    site.user("ana").await;
    let (mut first, mut second) = (site.browser(), site.browser());
    first.log_in("ana").await;
    second.log_in("ana").await;
    let new = "seven lanterns under quiet water";
    let page = first
        .post(
            "/account/password",
            &[("current", "wrong"), ("password", new)],
        )
        .await;
    page.check("password-wrong-current");
    let page = first
        .post_and_follow(
            "/account/password",
            &[("current", PASSWORD), ("password", new)],
        )
        .await;
    page.check("password-changed");
    assert_eq!(second.get("/account/").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn challenges_are_told_to_the_script_and_say_nothing_about_accounts() {
    let site = Site::new().await;
    site.user("ana").await;
    let mut browser = site.browser();
    let page = browser.get("/login").await;
    page.check("login");

    let answer = browser.post("/login/passkey/options", &[]).await;
    assert_eq!(answer.headers["content-type"], "application/json");
    answer.check("login-passkey-options");
    assert!(!answer.body.contains("\"id\""), "{}", answer.body);
    // The id that the answer needs stays in this browser.
    assert!(
        browser
            .cookies
            .iter()
            .any(|(name, value)| name == "__Host-portcullis-passkey" && value.len() == 43),
        "{:?}",
        browser.cookies
    );
    let answer = browser.post("/login/factor/options", &[]).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", answer.body);
    let answer = browser
        .post("/login/passkey", &[("ceremony", "x"), ("response", "{}")])
        .await;
    answer.check("login-passkey-made-up");
}

#[tokio::test]
async fn a_form_of_another_site_does_nothing() {
    let site = Site::new().await;
    site.user("ana").await;
    let mut browser = site.browser();
    browser.log_in("ana").await;
    for path in [
        "/logout",
        "/account/secure",
        "/account/delete",
        "/account/factors/recovery-codes",
        "/account/sessions/end-others",
    ] {
        let answer = browser
            .post_from(
                "https://evil.example",
                "cross-site",
                path,
                &[("user-name", "ana")],
            )
            .await;
        assert_eq!(
            answer.status,
            StatusCode::FORBIDDEN,
            "{path}: {}",
            answer.body
        );
    }
    assert_eq!(browser.get("/account/").await.status, StatusCode::OK);
}
