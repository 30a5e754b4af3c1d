//! Managing one's own account.

use axum::http::StatusCode;
use axum::http::header::CONTENT_SECURITY_POLICY;
use model::audit::{AuditEvent, Detail, EventKind};
use model::mail::MailKind;
use model::{Clock as _, PasswordState, Timestamp, TokenId};

use crate::browser::{PASSWORD, Site, URL};

#[tokio::test]
async fn an_address_is_added_verified_made_primary_and_the_old_one_removed() {
    let site = Site::new().await;
    site.user("ana").await;
    let mut browser = site.browser();
    browser.log_in("ana").await;
    let page = browser
        .post("/account/emails/", &[("address", "<b>@x")])
        .await;
    page.check("emails-wrong-address");
    assert!(!page.body.contains("<b>@x"), "{}", page.body);
    let page = browser
        .post_and_follow("/account/emails/", &[("address", "new@example.org")])
        .await;
    page.check("emails-address-asked-for");
    assert!(
        !page.body.contains("new@example.org"),
        "listed once it is known to be hers: {}",
        page.body
    );

    let link = site.mailed_link(MailKind::EmailVerify).await;
    let secret = site.browser().get(&link).await.field("link");
    site.browser()
        .post_and_follow("/email/confirm", &[("link", &secret)])
        .await;
    let page = browser
        .post_and_follow("/account/emails/promote", &[("address", "new@example.org")])
        .await;
    page.check("emails-primary-changed");
    let page = browser
        .post_and_follow("/account/emails/remove", &[("address", "ana@example.org")])
        .await;
    page.check("emails-removed");
    assert!(!page.body.contains("ana@example.org"), "{}", page.body);
}

#[tokio::test]
async fn factors_come_after_a_verified_address_and_a_recovery_code_that_was_used() {
    let site = Site::new().await;
    site.user("ana").await;
    let mut browser = site.browser();
    browser.log_in("ana").await;
    let page = browser.get("/account/factors/").await;
    page.check("factors-before-recovery-codes");
    let page = browser.get("/account/factors/totp").await;
    assert_eq!(page.status, StatusCode::CONFLICT);
    page.check("factors-app-too-early");

    let page = browser.post("/account/factors/recovery-codes", &[]).await;
    let codes = page.recovery_codes();
    assert_eq!(codes.len(), 8);
    let again = browser.get("/account/factors/recovery-codes").await;
    again.check("recovery-codes-to-confirm");
    assert!(
        codes.iter().all(|code| !again.body.contains(code.as_str())),
        "codes are shown once"
    );
    let page = browser
        .post(
            "/account/factors/recovery-codes/confirm",
            &[("code", "aaaa-aaaa-aaaa-aaaa")],
        )
        .await;
    page.check("recovery-codes-wrong-code");
    browser
        .post_and_follow(
            "/account/factors/recovery-codes/confirm",
            &[("code", &codes[3])],
        )
        .await;
    let page = browser.get("/account/factors/").await;
    page.check("factors-open");
    let security = page.headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(
        security.contains("script-src 'self'") && !security.contains("unsafe"),
        "{security}"
    );
}

#[tokio::test]
async fn the_secret_of_an_app_is_a_picture_and_text_and_survives_a_wrong_code() {
    let site = Site::new().await;
    site.user("ana").await;
    let mut browser = site.browser();
    browser.log_in("ana").await;
    browser.keep_recovery_codes().await;
    let page = browser.get("/account/factors/totp").await;
    let secret = page.between("<code class=\"secret\">", "</code>");
    assert!(secret.split(' ').all(|group| group.len() == 4), "{secret}");
    page.check("app-to-set-up");
    assert!(!page.body.contains(" style="), "{}", page.body);
    let again = browser
        .post(
            "/account/factors/totp",
            &[("ceremony", &page.field("ceremony")), ("code", "000")],
        )
        .await;
    again.check("app-wrong-code");
    assert_eq!(again.between("<code class=\"secret\">", "</code>"), secret);
}

#[tokio::test]
async fn the_last_factor_stays_while_something_demands_it_and_the_page_says_what() {
    let site = Site::new().await;
    site.user("ana").await;
    let mut browser = site.browser();
    browser.log_in("ana").await;
    browser.keep_recovery_codes().await;
    let secret = browser.set_up_app().await;
    let page = browser.get("/account/factors/totp/remove").await;
    page.check("app-last-factor-is-demanded");
    assert!(!page.body.contains("Remove it</button>"));
    // Once some time has passed since the setup, the session asks for the factor before anything is
    // removed.
    site.clock.advance_seconds(3600);
    let page = browser.post("/account/factors/totp/remove", &[]).await;
    assert_eq!(
        (page.status, page.field("step-up-to").as_str()),
        (StatusCode::FORBIDDEN, "/account/factors/totp/remove")
    );
    browser.step_up(&secret).await;
    let answer = browser.post("/account/factors/totp/remove", &[]).await;
    assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.body);
    answer.check("app-last-factor-stays");
    browser
        .get("/account/factors/")
        .await
        .check("factors-with-app");
}

#[tokio::test]
async fn sessions_are_listed_and_others_ended() {
    let site = Site::new().await;
    site.user("ana").await;
    let (mut first, mut second) = (site.browser(), site.browser());
    first.log_in("ana").await;
    second.log_in("ana").await;
    let page = first.get("/account/sessions/").await;
    // The session of this request comes first, although the other one is newer.
    page.check("sessions-two");
    let page = first
        .post_and_follow(
            "/account/sessions/end",
            &[("session", &page.field("session"))],
        )
        .await;
    page.check("sessions-other-ended");
    assert_eq!(second.get("/account/").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn nobody_ends_a_session_of_somebody_else() {
    let site = Site::new().await;
    site.user("ana").await;
    site.user("eve").await;
    let (mut ana, mut other, mut eve) = (site.browser(), site.browser(), site.browser());
    ana.log_in("ana").await;
    other.log_in("ana").await;
    eve.log_in("eve").await;
    let session = ana.get("/account/sessions/").await.field("session");
    eve.post("/account/sessions/end", &[("session", &session)])
        .await;
    assert_eq!(other.get("/account/").await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_history_tells_what_happened_filtered_and_as_json() {
    let site = Site::new().await;
    site.user("ana").await;
    let mut browser = site.browser();
    browser
        .post("/login", &[("user", "ana"), ("password", "wrong")])
        .await;
    browser.log_in("ana").await;
    browser.keep_recovery_codes().await;
    let everything = browser.get("/account/history/").await;
    everything.check("history-everything");
    let refusals = browser.get("/account/history/?show=refusals").await;
    refusals.check("history-refusals");
    assert!(!refusals.body.contains("ecovery code"), "{}", refusals.body);
    let changes = browser.get("/account/history/?show=changes").await;
    changes.check("history-changes");
    let export = browser.get("/account/history/history.json").await;
    assert_eq!(export.headers["content-type"], "application/json");
    export.check("history-export");
    assert!(!export.body.contains(PASSWORD));
}

#[tokio::test]
async fn a_long_history_is_exported_in_several_answers() {
    let site = Site::new().await;
    let ana = site.user("ana").await;
    let mut browser = site.browser();
    browser.log_in("ana").await;
    let mut unit = site.storage.begin().await.unwrap();
    let event = |number: u32| {
        let detail = Detail::TokenCreated {
            token: TokenId::new().into(),
            description: "x".repeat(3_500),
            caveats: vec![number.to_string()],
            made_with_second_factor: false,
        };
        AuditEvent::of_server(site.clock.now(), detail).about(ana)
    };
    (1..700).for_each(|number| unit.also(&event(number)));
    unit.commit(&event(700)).await.unwrap();
    let (mut path, mut answers, mut seen) =
        ("/account/history/history.json".to_owned(), 0, Vec::new());
    loop {
        let answer = browser.get(&path).await;
        assert!(
            answer.body.len() < (1 << 20) + 20_000,
            "{}",
            answer.body.len()
        );
        let answer: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        answers += 1;
        seen.extend(
            answer["events"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|event| event["detail"]["caveats"][0].as_str()?.parse::<u32>().ok()),
        );
        match answer["next"].as_str() {
            Some(next) => path = next.strip_prefix(URL).unwrap().to_owned(),
            None => break,
        }
    }
    assert!(answers > 2, "{answers}");
    assert_eq!(seen, Vec::from_iter((1..=700).rev()));
}

#[tokio::test]
async fn this_was_not_me_ends_everything_and_mails_a_way_back() {
    let site = Site::new().await;
    site.user("ana").await;
    let (mut first, mut second) = (site.browser(), site.browser());
    first.log_in("ana").await;
    second.log_in("ana").await;
    first.get("/account/secure").await.check("secure-asked");
    let page = first.post("/account/secure", &[]).await;
    page.check("secure-done");
    assert!(
        !first.is_logged_in() && !page.body.contains("Log out"),
        "{}",
        page.body
    );
    assert_eq!(second.get("/account/").await.status, StatusCode::SEE_OTHER);
    let answer = first
        .post("/login", &[("user", "ana"), ("password", PASSWORD)])
        .await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let link = site.mailed_link(MailKind::AccountSecured).await;
    first.get(&link).await.check("secure-new-password");
}

#[tokio::test]
async fn an_account_is_deleted_by_typing_its_name() {
    let site = Site::new().await;
    site.user("ana").await;
    let mut browser = site.browser();
    browser.log_in("ana").await;
    browser.get("/account/delete").await.check("delete-asked");
    let page = browser
        .post("/account/delete", &[("user-name", "bob")])
        .await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    let page = browser
        .post_and_follow("/account/delete", &[("user-name", "ana")])
        .await;
    page.check("delete-done");
    assert!(!browser.is_logged_in());
    let answer = site
        .browser()
        .post("/login", &[("user", "ana"), ("password", PASSWORD)])
        .await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn recoveries_are_for_staff_and_the_owner_stops_one_by_mail() {
    let site = Site::new().await;
    site.user("ana").await;
    site.user_who("root", true).await;
    let (mut ana, mut root) = (site.browser(), site.browser());
    ana.log_in("ana").await;
    assert_eq!(
        ana.get("/staff/recoveries/").await.status,
        StatusCode::FORBIDDEN
    );
    assert!(
        !ana.get("/account/")
            .await
            .body
            .contains("/staff/recoveries/")
    );
    assert_eq!(
        ana.post(
            "/staff/recoveries/start",
            &[("user", "root"), ("reason", "because I would like to")]
        )
        .await
        .status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        ana.post(
            "/staff/recoveries/start",
            &[("user", "nobody"), ("reason", "because I would like to")]
        )
        .await
        .status,
        StatusCode::FORBIDDEN
    );

    root.log_in("root").await;
    root.keep_recovery_codes().await;
    let secret = root.set_up_app().await;
    // Setting up the app also confirmed it.
    root.get("/staff/recoveries/")
        .await
        .check("recoveries-none");
    site.clock.advance_seconds(3600);
    root.get("/staff/recoveries/")
        .await
        .check("recoveries-after-an-hour");
    root.step_up(&secret).await;
    root.get("/account/").await.check("account-of-staff");
    root.get("/staff/recoveries/")
        .await
        .check("recoveries-none-yet");
    let page = root
        .post(
            "/staff/recoveries/start",
            &[
                ("user", "nobody"),
                ("reason", "called us and knew the address"),
            ],
        )
        .await;
    page.check("recoveries-wrong-user");
    let page = root
        .post(
            "/staff/recoveries/start",
            &[("user", "ana"), ("reason", "short")],
        )
        .await;
    page.check("recoveries-short-reason");
    let page = root
        .post_and_follow(
            "/staff/recoveries/start",
            &[
                ("user", "ana"),
                ("reason", "called us and knew the <b>address"),
            ],
        )
        .await;
    page.check("recoveries-started");
    assert!(!page.body.contains("<b>address"), "{}", page.body);
    let link = site.mailed_link(MailKind::RecoveryStarted).await;
    let page = site.browser().get(&link).await;
    let stopped = site
        .browser()
        .post("/recovery/cancel", &[("link", &page.field("link"))])
        .await;
    stopped.check("recovery-stopped-by-mail");
    root.get("/staff/recoveries/")
        .await
        .check("recoveries-cancelled");
}

#[tokio::test]
async fn a_token_opens_no_page_of_a_person() {
    let site = Site::new().await;
    site.user("ana").await;
    let token = site.token("ana").await;
    let pages = portcullis_http::routes()
        .iter()
        .filter(|route| route.path.starts_with("/account/") || route.path.starts_with("/staff/"));
    let mut seen = 0;
    for route in pages {
        let path = route
            .path
            .replace("{key}", &model::KeyId::new().to_string())
            .replace("{token}", &model::TokenId::new().to_string());
        let answer = site
            .browser()
            .with_token(&token, route.verb.methods()[0], &path)
            .await;
        assert_eq!(
            answer.status,
            StatusCode::FORBIDDEN,
            "{route:?}: {}",
            answer.body
        );
        // The core comes before the policies: a token may never do what is for staff, whatever they
        // say.
        let reason = if path.starts_with("/staff/") {
            "Only the staff of the registry may do this."
        } else {
            "API tokens are only valid for uploads."
        };
        assert!(answer.body.contains(reason), "{route:?}: {}", answer.body);
        seen += 1;
    }
    assert!(seen > 30, "{seen}");
}

#[tokio::test]
async fn who_comes_back_from_a_proof_is_asked_for_the_key_again() {
    let site = Site::new().await;
    site.user("ana").await;
    let mut browser = site.browser();
    browser.log_in("ana").await;
    browser.keep_recovery_codes().await;
    site.clock.advance_seconds(3600);
    let form = [
        ("kind", "passkey"),
        ("name", "Blue \"key\""),
        ("ceremony", ""),
        ("response", ""),
    ];
    let page = browser.post("/account/factors/keys", &form).await;
    assert_eq!(
        (
            page.status,
            page.field("step-up-need").as_str(),
            page.field("kind").as_str()
        ),
        (StatusCode::FORBIDDEN, "password", "passkey")
    );
    let fields = [
        ("step-up-to", "/account/factors/keys"),
        ("step-up-method", "post"),
        ("step-up-need", "password"),
        ("step-up-proof", "password"),
        ("step-up-password", PASSWORD),
    ];
    let answer = browser
        .post("/account/step-up", &[&fields[..], &form].concat())
        .await;
    assert_eq!(
        (answer.status, answer.location()),
        (StatusCode::TEMPORARY_REDIRECT, "/account/factors/keys")
    );
    let page = browser.post("/account/factors/keys", &form).await;
    page.check("key-kept-over-a-proof");
}

/// A session whose login was permitted while breached passwords were only observed.
#[tokio::test]
async fn who_logged_in_with_a_breached_password_before_that_was_refused_changes_it() {
    let site = Site::new().await;
    let user = site.user("ana").await;
    let mut browser = site.browser();
    browser.log_in("ana").await;
    let session = site
        .storage
        .sessions_of(user, Timestamp(0), site.clock.now())
        .await
        .unwrap()[0]
        .id;
    // SHA-256 of 32 zero bytes, the secret in the cookie below.
    let hash: [u8; 32] = std::array::from_fn(|at| {
        let hex = "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925";
        u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()
    });
    let mut unit = site.storage.begin().await.unwrap();
    unit.change_session_secret(
        session,
        &hash,
        storage::sessions::Proven::Password(site.clock.now(), PasswordState::Breached),
        site.clock.now(),
    )
    .await
    .unwrap()
    .unwrap();
    let event = AuditEvent::of_server(
        site.clock.now(),
        Detail::read(EventKind::SessionStarted, &serde_json::json!({})),
    )
    .about(Some(user));
    unit.commit(&event).await.unwrap();
    for (name, value) in &mut browser.cookies {
        if name == "__Host-portcullis-session" {
            *value = "A".repeat(43);
        }
    }
    let page = browser.get("/account/password").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
    let new = "brisk lanterns under seven bridges";
    let page = browser
        .post_and_follow(
            "/account/password",
            &[("current", PASSWORD), ("password", new)],
        )
        .await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
    let answer = site
        .browser()
        .post("/login", &[("user", "ana"), ("password", new)])
        .await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
}

#[tokio::test]
async fn all_that_is_wrong_with_a_new_password_is_told_at_once() {
    let site = Site::new().await;
    site.user("ana").await;
    let mut browser = site.browser();
    browser.log_in("ana").await;
    let page = browser
        .post(
            "/account/password",
            &[("current", "wrong horse"), ("password", "short")],
        )
        .await;
    page.check("password-all-wrong");
}

#[tokio::test]
async fn known_browsers_and_command_lines_are_listed_and_forgotten() {
    let site = Site::new().await;
    site.user("ana").await;
    site.user("eve").await;
    let (mut ana, mut eve) = (site.browser(), site.browser());
    ana.log_in("ana").await;
    eve.log_in("eve").await;
    ana.keep_recovery_codes().await;
    let secret = ana.set_up_app().await;
    site.clock.advance_seconds(30);
    let code = site.code(&secret);
    let call = async |code: &str, device: Option<&str>| {
        let proof = serde_json::json!({ "user": "ana", "password": PASSWORD, "totp": code, "device": device, "host": "build-7" });
        let request = axum::http::Request::post("/api/projects/demo/staged")
            .header("content-type", "application/json")
            .header("accept", "application/json");
        site.browser()
            .send(request, axum::body::Body::from(proof.to_string()))
            .await
    };
    let code_of = |answer: &crate::browser::Answer| -> serde_json::Value {
        serde_json::from_str::<serde_json::Value>(&answer.body).unwrap_or_default()["reasons"][0]["code"].clone()
    };
    let unknown = call(&code, None).await;
    assert_eq!(
        (unknown.status, code_of(&unknown).as_str()),
        (StatusCode::FORBIDDEN, Some("device-unknown")),
        "{}",
        unknown.body
    );
    let device = serde_json::from_str::<serde_json::Value>(&unknown.body).unwrap()["device"]
        .as_str()
        .unwrap()
        .to_owned();

    let link = site.mailed_link(MailKind::CommandLineConfirm).await;
    let page = site.browser().get(&link).await;
    page.check("command-line-to-confirm");
    assert!(!page.body.contains("build-7"), "{}", page.body);
    assert!(
        !ana.get("/account/sessions/")
            .await
            .body
            .contains("Command line on"),
        "what was not confirmed is not known"
    );
    let confirmed = site
        .browser()
        .post("/login/device", &[("link", &page.field("link"))])
        .await;
    confirmed.check("command-line-confirmed");
    assert_ne!(
        code_of(&call(&code, Some(&device)).await).as_str(),
        Some("device-unknown")
    );

    let page = ana.get("/account/sessions/").await;
    let rows = page.body.split("id=\"device-list\"").nth(1).unwrap();
    page.check("sessions-with-command-line");
    assert!(!page.body.contains(&device), "its secret is shown nowhere");
    let row = rows
        .split("<tr>")
        .find(|row| row.contains("build-7"))
        .unwrap();
    let mark = row
        .split_once("name=\"device\" value=\"")
        .unwrap()
        .1
        .split_once('"')
        .unwrap()
        .0
        .to_owned();

    eve.post_and_follow("/account/sessions/forget-device", &[("device", &mark)])
        .await;
    assert!(
        ana.get("/account/sessions/").await.body.contains("build-7"),
        "nobody forgets what is somebody else's"
    );
    let page = ana
        .post_and_follow("/account/sessions/forget-device", &[("device", &mark)])
        .await;
    page.check("sessions-command-line-forgotten");
    assert!(!page.body.contains("build-7"), "{}", page.body);
    assert_eq!(
        code_of(&call(&code, Some(&device)).await).as_str(),
        Some("device-unknown")
    );
    let history = ana.get("/account/history/").await;
    history.check("history-of-a-command-line");
}
