use gate::RefusalKind;
use identity::{Account, DeviceInWords, LoginStep, MailAgain, RequestContext, Secret, SetPassword};
use model::DeviceKind;
use model::audit::EventKind;
use model::mail::{MailField, MailKind};

use crate::fixture::{Fixture, NOW, PASSWORD, limits, pending, started, user_name};
use crate::mails::link_in;

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

impl Fixture {
    /// Both steps, from a browser with this cookie.
    async fn log_in_with_code(
        &self,
        secret: &Secret<String>,
        steps: i64,
        device: Option<&str>,
    ) -> Result<LoginStep, gate::Refusal> {
        let attempt = self.gate.begin(
            "/test",
            gate::Method::Post,
            "198.51.100.7".parse().unwrap(),
            FIREFOX,
        );
        let waiting = pending(self.log_in("ana", PASSWORD, device).await.unwrap());
        self.identity
            .logins()
            .with_totp(
                RequestContext::new(&self.gate, &attempt),
                waiting.expose(),
                &self.code(secret, steps),
                device,
            )
            .await
    }

    async fn confirm_device(&self, link: &str) -> Result<bool, gate::Refusal> {
        self.identity
            .devices()
            .confirm(RequestContext::new(&self.gate, &self.attempt()), link)
            .await
    }
}

fn unknown(step: LoginStep) -> (Secret<String>, bool) {
    match step {
        LoginStep::ConfirmDevice {
            device,
            mailed_before,
            ..
        } => (device, mailed_before),
        other => panic!("not asked to confirm: {other:?}"),
    }
}

#[tokio::test]
async fn a_login_by_code_from_an_unknown_browser_waits_for_its_mail() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let secret = fixture.enroll(ana).await;
    let (device, mailed_before) =
        unknown(fixture.log_in_with_code(&secret, 0, None).await.unwrap());
    assert!(!mailed_before);
    assert_eq!(fixture.sessions(ana).await, []);

    let mail = fixture.mail().await;
    assert_eq!(
        (mail.mail.kind, mail.recipient.as_str()),
        (MailKind::DeviceConfirm, "ana@example.org")
    );
    let told = [
        MailField::RemoteAddress,
        MailField::Device,
        MailField::LinkLifetime,
    ]
    .map(|field| mail.mail.field(field).to_owned());
    assert_eq!(told, ["198.51.100.7", "Firefox on Linux", "6 hours"]);
    let link = link_in(&mail, "/login/device");
    assert_ne!(
        &link,
        device.expose(),
        "who has the browser alone cannot confirm it"
    );
    let shown = DeviceInWords {
        user: user_name("ana"),
        kind: DeviceKind::Browser,
        remote_address: "198.51.100.7".into(),
        device: "Firefox on Linux".into(),
        at: NOW,
    };
    for _ in 0..2 {
        assert_eq!(
            fixture
                .identity
                .devices()
                .device_to_confirm(&link)
                .await
                .unwrap()
                .as_ref(),
            Some(&shown),
            "looking changes nothing"
        );
    }
    fixture.clock.advance_seconds(30);
    unknown(
        fixture
            .log_in_with_code(&secret, 0, Some(device.expose()))
            .await
            .unwrap(),
    );

    assert!(fixture.confirm_device(&link).await.unwrap());
    assert!(
        !fixture.confirm_device(&link).await.unwrap(),
        "a link counts once"
    );
    fixture.clock.advance_seconds(30);
    let session = started(
        fixture
            .log_in_with_code(&secret, 0, Some(device.expose()))
            .await
            .unwrap(),
    );
    assert_eq!(session.device, Some(device.clone()));
    fixture.clock.advance_seconds(30);
    unknown(fixture.log_in_with_code(&secret, 0, None).await.unwrap());

    let kinds: Vec<_> = fixture
        .events()
        .await
        .into_iter()
        .map(|event| event.kind)
        .collect();
    let count = |kind| kinds.iter().filter(|found| **found == kind).count();
    assert_eq!(
        (
            count(EventKind::DeviceUnrecognized),
            count(EventKind::DeviceConfirmed)
        ),
        (3, 1)
    );
}

#[tokio::test]
async fn the_mail_for_one_browser_is_not_repeated_at_once() {
    let fixture = Fixture::with(identity::Limits::default()).await;
    let ana = fixture.user("ana").await;
    let secret = fixture.enroll(ana).await;
    let (device, _) = unknown(fixture.log_in_with_code(&secret, 0, None).await.unwrap());
    fixture.mail().await;
    fixture.clock.advance_seconds(60);
    let (same, mailed_before) = unknown(
        fixture
            .log_in_with_code(&secret, 0, Some(device.expose()))
            .await
            .unwrap(),
    );
    assert_eq!(
        (&same, mailed_before),
        (&device, true),
        "the browser stays the one that the mail is about"
    );
    assert_eq!(fixture.mails().await.len(), 0);
    fixture.clock.advance_seconds(60);
    let (_, mailed_before) = unknown(
        fixture
            .log_in_with_code(&secret, 0, Some(device.expose()))
            .await
            .unwrap(),
    );
    assert!(!mailed_before);
    fixture.mail().await;
}

#[tokio::test]
async fn a_browser_that_waits_has_its_mail_sent_again() {
    let fixture = Fixture::with(identity::Limits::default()).await;
    let ana = fixture.user("ana").await;
    let secret = fixture.enroll(ana).await;
    let LoginStep::ConfirmDevice { device, again, .. } =
        fixture.log_in_with_code(&secret, 0, None).await.unwrap()
    else {
        panic!("not asked to confirm")
    };
    let first = link_in(&fixture.mail().await, "/login/device");
    let asked = async |again: &str, cookie: Option<&str>| {
        fixture
            .identity
            .devices()
            .mail_about_browser_again(
                RequestContext::new(&fixture.gate, &fixture.attempt()),
                again,
                cookie,
            )
            .await
            .unwrap()
    };

    assert_eq!(
        asked(again.expose(), Some(device.expose())).await,
        MailAgain::SentBefore,
        "not at once"
    );
    fixture.clock.advance_seconds(120);
    // The page's secret and the browser's cookie: one alone is not enough, nor is a made-up one.
    let made_up = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for (again, cookie) in [
        (again.expose().as_str(), None),
        (again.expose(), Some(made_up)),
        (made_up, Some(device.expose().as_str())),
        ("", None),
    ] {
        assert_eq!(asked(again, cookie).await, MailAgain::NotWaiting);
    }
    assert_eq!(fixture.mails().await.len(), 0);
    assert_eq!(
        asked(again.expose(), Some(device.expose())).await,
        MailAgain::Sent
    );
    let second = link_in(&fixture.mail().await, "/login/device");
    assert_ne!(first, second);
    assert!(fixture.confirm_device(&second).await.unwrap());
    assert_eq!(
        asked(again.expose(), Some(device.expose())).await,
        MailAgain::Confirmed
    );
}

#[tokio::test]
async fn who_waits_for_a_mail_gets_few_and_none_after_a_new_password() {
    let fixture = Fixture::with(identity::Limits::default()).await;
    let ana = fixture.user("ana").await;
    let secret = fixture.enroll(ana).await;
    let LoginStep::ConfirmDevice { device, again, .. } =
        fixture.log_in_with_code(&secret, 0, None).await.unwrap()
    else {
        panic!("not asked to confirm")
    };
    let mut mails = fixture.mails().await.len();
    for _ in 0..10 {
        fixture.clock.advance_seconds(121);
        let _ = fixture
            .identity
            .devices()
            .mail_about_browser_again(
                RequestContext::new(&fixture.gate, &fixture.attempt()),
                again.expose(),
                Some(device.expose()),
            )
            .await;
        mails += fixture.mails().await.len();
    }
    assert_eq!(mails, 4, "in an hour");
    fixture.clock.advance_seconds(7_200);
    let target = SetPassword {
        account: Account::at_the_server(ana),
        password: Secret::new("another quiet lantern".to_owned()),
    };
    fixture
        .identity
        .accounts()
        .set_password(fixture.permit(target).await)
        .await
        .unwrap();
    let asked = fixture
        .identity
        .devices()
        .mail_about_browser_again(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            again.expose(),
            Some(device.expose()),
        )
        .await;
    assert_eq!(asked.unwrap(), MailAgain::NotWaiting);
}

#[tokio::test]
async fn who_has_asked_for_other_browsers_does_not_keep_one_from_confirming_ones_own() {
    let fixture =
        Fixture::configured("", |config| config.limits = identity::Limits::default()).await;
    let ana = fixture.user("ana").await;
    let secret = fixture.enroll(ana).await;
    let mut links = Vec::new();
    for _ in 0..4 {
        fixture.clock.advance_seconds(30);
        assert!(!unknown(fixture.log_in_with_code(&secret, 0, None).await.unwrap()).1);
        links.push(link_in(&fixture.mail().await, "/login/device"));
    }
    // If no mail is sent about a browser, the answer does not claim so, and no code is used up.
    fixture.clock.advance_seconds(30);
    let refusal = fixture
        .log_in_with_code(&secret, 0, None)
        .await
        .unwrap_err();
    assert!(
        matches!(
            refusal.kind,
            RefusalKind::Limited {
                retry_after_seconds: 3400..3600
            }
        ),
        "{refusal:?}"
    );
    assert!(
        refusal.reasons[0]
            .message
            .contains("none was sent for this browser")
    );
    assert_eq!(fixture.mails().await.len(), 0);
    let waiting = pending(fixture.log_in("ana", PASSWORD, None).await.unwrap());
    let elsewhere = fixture.attempt_from("203.0.113.9");
    let step = fixture
        .identity
        .logins()
        .with_totp(
            RequestContext::new(&fixture.gate, &elsewhere),
            waiting.expose(),
            &fixture.code(&secret, 0),
            None,
        )
        .await
        .unwrap();
    assert!(
        !unknown(step).1,
        "from another address its owner is mailed, with the same code"
    );
    links.push(link_in(&fixture.mail().await, "/login/device"));
    for link in links {
        assert!(
            fixture.confirm_device(&link).await.unwrap(),
            "one's own link counts whatever came after it"
        );
    }
}

#[tokio::test]
async fn a_link_confirms_the_browser_that_asked_and_of_its_user_alone() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let secret = fixture.enroll(ana).await;
    let (first, _) = unknown(fixture.log_in_with_code(&secret, 0, None).await.unwrap());
    let link = link_in(&fixture.mail().await, "/login/device");
    fixture.clock.advance_seconds(30);
    let (second, _) = unknown(fixture.log_in_with_code(&secret, 0, None).await.unwrap());
    assert!(fixture.confirm_device(&link).await.unwrap());
    fixture.clock.advance_seconds(30);
    unknown(
        fixture
            .log_in_with_code(&secret, 0, Some(second.expose()))
            .await
            .unwrap(),
    );
    fixture.clock.advance_seconds(30);
    started(
        fixture
            .log_in_with_code(&secret, 0, Some(first.expose()))
            .await
            .unwrap(),
    );

    // The same browser is unknown to another user.
    let ben = fixture.user("ben").await;
    let secret = fixture.enroll(ben).await;
    let waiting = pending(
        fixture
            .log_in("ben", PASSWORD, Some(first.expose()))
            .await
            .unwrap(),
    );
    let code = fixture.code(&secret, 0);
    let step = fixture
        .identity
        .logins()
        .with_totp(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            waiting.expose(),
            &code,
            Some(first.expose()),
        )
        .await
        .unwrap();
    assert_ne!(unknown(step).0, first, "and gets a name of its own there");
}

#[tokio::test]
async fn a_link_counts_six_hours() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let secret = fixture.enroll(ana).await;
    unknown(fixture.log_in_with_code(&secret, 0, None).await.unwrap());
    let link = link_in(&fixture.mail().await, "/login/device");
    fixture.clock.advance_seconds(6 * 3600 - 1);
    assert!(
        fixture
            .identity
            .devices()
            .device_to_confirm(&link)
            .await
            .unwrap()
            .is_some()
    );
    fixture.clock.advance_seconds(1);
    assert_eq!(
        fixture
            .identity
            .devices()
            .device_to_confirm(&link)
            .await
            .unwrap(),
        None
    );
    assert!(!fixture.confirm_device(&link).await.unwrap());
    for text in ["", "x", &"A".repeat(43)] {
        assert!(!fixture.confirm_device(text).await.unwrap());
    }
}

#[tokio::test]
async fn a_code_that_led_to_the_mail_is_used_up() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let secret = fixture.enroll(ana).await;
    let (device, _) = unknown(fixture.log_in_with_code(&secret, 0, None).await.unwrap());
    fixture
        .confirm_device(&link_in(&fixture.mail().await, "/login/device"))
        .await
        .unwrap();
    let refusal = fixture
        .log_in_with_code(&secret, 0, Some(device.expose()))
        .await
        .unwrap_err();
    assert_eq!(
        (refusal.kind, refusal.reasons[0].code.as_str()),
        (RefusalKind::Denied, "wrong-code")
    );
}

#[tokio::test]
async fn a_browser_that_logged_in_before_there_was_a_second_factor_is_known() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let device = fixture.logged_in("ana").await.device.unwrap();
    let secret = fixture.enroll(ana).await;
    started(
        fixture
            .log_in_with_code(&secret, 0, Some(device.expose()))
            .await
            .unwrap(),
    );
    assert_eq!(fixture.mails().await.len(), 0);
}

#[tokio::test]
async fn a_recovery_code_is_not_used_up_before_the_browser_is_confirmed() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let generate = identity::factors::GenerateRecoveryCodes {
        account: Account::at_the_server(ana),
    };
    let codes = fixture
        .identity
        .factors()
        .generate_recovery_codes(fixture.permit(generate).await)
        .await
        .unwrap();
    fixture.enroll(ana).await;
    fixture.mails().await;
    let log_in = async |code: &str, device: Option<&str>| {
        let waiting = pending(fixture.log_in("ana", PASSWORD, device).await.unwrap());
        fixture
            .identity
            .logins()
            .with_recovery_code(
                RequestContext::new(&fixture.gate, &fixture.attempt()),
                waiting.expose(),
                code,
                device,
            )
            .await
    };
    let (device, _) = unknown(log_in(codes[0].expose(), None).await.unwrap());
    let link = link_in(&fixture.mail().await, "/login/device");
    let again = unknown(
        log_in(codes[0].expose(), Some(device.expose()))
            .await
            .unwrap(),
    );
    assert_eq!(again, (device.clone(), true), "and is still not used up");
    let waiting = pending(fixture.log_in("ana", PASSWORD, None).await.unwrap());
    let once = async || {
        fixture
            .identity
            .logins()
            .with_recovery_code(
                RequestContext::new(&fixture.gate, &fixture.attempt()),
                waiting.expose(),
                codes[0].expose(),
                None,
            )
            .await
    };
    unknown(once().await.unwrap());
    assert_eq!(
        once().await.unwrap_err().reasons[0].code,
        "login-expired",
        "the login that waited is used up"
    );
    fixture.mails().await;
    fixture.confirm_device(&link).await.unwrap();
    let session = started(
        log_in(codes[0].expose(), Some(device.expose()))
            .await
            .unwrap(),
    );
    let assurance = fixture.present_session(&session.secret).await.assurance;
    assert_eq!(
        assurance.second_factor.map(|used| used.factor),
        Some(model::Factor::RecoveryCode)
    );
    let refusal = log_in(codes[0].expose(), Some(device.expose()))
        .await
        .unwrap_err();
    assert_eq!(
        refusal.reasons[0].code, "wrong-recovery-code",
        "a code counts once"
    );
    let refusal = log_in("0000-0000-0000-0000", Some(device.expose()))
        .await
        .unwrap_err();
    assert_eq!(refusal.reasons[0].code, "wrong-recovery-code");
}

#[tokio::test]
async fn who_knows_only_the_password_has_nobody_asked_about_a_browser() {
    let limits = identity::Limits {
        challenges_per_address: Vec::new(),
        ..crate::fixture::limits(3)
    };
    let fixture = Fixture::with(limits).await;
    let ana = fixture.user("ana").await;
    let generate = identity::factors::GenerateRecoveryCodes {
        account: Account::at_the_server(ana),
    };
    let codes = fixture
        .identity
        .factors()
        .generate_recovery_codes(fixture.permit(generate).await)
        .await
        .unwrap();
    fixture.enroll(ana).await;
    fixture.mails().await;
    let log_in = async |code: &str| {
        let waiting = pending(fixture.log_in("ana", PASSWORD, None).await.unwrap());
        fixture
            .identity
            .logins()
            .with_recovery_code(
                RequestContext::new(&fixture.gate, &fixture.attempt()),
                waiting.expose(),
                code,
                None,
            )
            .await
    };
    unknown(log_in(codes[0].expose()).await.unwrap());
    fixture.mail().await;
    for wrong in ["x", "0000-0000-0000-0000", ""] {
        assert_eq!(
            log_in(wrong).await.unwrap_err().reasons[0].code,
            "wrong-recovery-code"
        );
    }
    assert!(matches!(
        log_in(codes[0].expose()).await.unwrap_err().kind,
        RefusalKind::Limited { .. }
    ));
    assert_eq!(fixture.mails().await.len(), 0);
}

#[tokio::test]
async fn who_has_no_verified_address_is_not_asked_by_mail() {
    let fixture = Fixture::new().await;
    let target = identity::CreateUser {
        name: user_name("ana"),
        email: None,
        email_verified: false,
        staff: false,
    };
    let ana = fixture
        .identity
        .accounts()
        .create(fixture.permit(target).await)
        .await
        .unwrap();
    let target = identity::SetPassword {
        account: Account::at_the_server(ana),
        password: Secret::new(PASSWORD.to_owned()),
    };
    fixture
        .identity
        .accounts()
        .set_password(fixture.permit(target).await)
        .await
        .unwrap();
    let secret = fixture.enroll(ana).await;
    started(fixture.log_in_with_code(&secret, 0, None).await.unwrap());
}

/// The person who made the reset necessary may have confirmed a browser of their own.
#[tokio::test]
async fn no_browser_stays_known_over_a_password_that_was_set_by_mail() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let device = fixture.logged_in("ana").await.device.unwrap();
    let secret = fixture.enroll(ana).await;
    started(
        fixture
            .log_in_with_code(&secret, 0, Some(device.expose()))
            .await
            .unwrap(),
    );
    fixture.mails().await;
    let link = fixture.reset_link("ana").await;
    let again = Secret::new(PASSWORD.to_owned());
    fixture
        .identity
        .passwords()
        .reset(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            &link,
            again,
        )
        .await
        .unwrap();
    fixture.clock.advance_seconds(30);
    unknown(
        fixture
            .log_in_with_code(&secret, 0, Some(device.expose()))
            .await
            .unwrap(),
    );
}

/// Someone fails on purpose, so that all unknown browsers have to wait.
#[tokio::test]
async fn a_stranger_keeps_nobody_out_who_sets_a_new_password_by_mail() {
    let fixture = Fixture::with(limits(3)).await;
    let ana = fixture.user("ana").await;
    let secret = fixture.enroll(ana).await;
    let stranger = fixture.attempt_from("203.0.113.9");
    let fail = async || {
        for _ in 0..5 {
            fixture
                .identity
                .logins()
                .with_password(
                    RequestContext::new(&fixture.gate, &stranger),
                    "ana",
                    Secret::new("a wrong password".to_owned()),
                    None,
                )
                .await
                .unwrap_err();
        }
    };
    fail().await;
    assert!(
        fixture.log_in("ana", PASSWORD, None).await.is_err(),
        "an unknown browser has to wait"
    );
    let new = "a new and better horse 7!";
    let link = fixture.reset_link("ana").await;
    let device = fixture.set_by_link(&link, new).await.unwrap();
    fail().await;
    let waiting = pending(
        fixture
            .log_in("ana", new, Some(device.expose()))
            .await
            .unwrap(),
    );
    let code = fixture.code(&secret, 0);
    started(
        fixture
            .identity
            .logins()
            .with_totp(
                RequestContext::new(&fixture.gate, &fixture.attempt()),
                waiting.expose(),
                &code,
                Some(device.expose()),
            )
            .await
            .unwrap(),
    );
    fixture.clock.advance_seconds(30);
    assert!(
        fixture.log_in("ana", new, None).await.is_err(),
        "and any other still has to"
    );
}

/// Someone who knew the old password may have confirmed browsers, each with attempts of its own.
#[tokio::test]
async fn of_the_browsers_only_the_one_where_the_password_is_changed_stays_known() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let stranger = fixture.logged_in("ana").await.device.unwrap();
    let own = fixture.logged_in("ana").await;
    let (caller, device) = (
        fixture.present_session(&own.secret).await,
        own.device.unwrap(),
    );
    let password = || Secret::new(PASSWORD.to_owned());
    fixture
        .identity
        .passwords()
        .change(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            &caller,
            password(),
            password(),
            Some(device.expose()),
        )
        .await
        .unwrap();
    let secret = fixture.enroll(ana).await;
    started(
        fixture
            .log_in_with_code(&secret, 0, Some(device.expose()))
            .await
            .unwrap(),
    );
    fixture.clock.advance_seconds(30);
    unknown(
        fixture
            .log_in_with_code(&secret, 0, Some(stranger.expose()))
            .await
            .unwrap(),
    );
}

#[tokio::test]
async fn a_mailed_link_makes_no_browser_known_once_another_address_is_the_primary_one() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let secret = fixture.enroll(ana).await;
    unknown(fixture.log_in_with_code(&secret, 0, None).await.unwrap());
    let link = link_in(&fixture.mail().await, "/login/device");
    let address = "ana@example.net".to_owned();
    let add = identity::AddEmail {
        account: Account::at_the_server(ana),
        address: address.clone(),
    };
    fixture
        .identity
        .emails()
        .add(fixture.permit(add).await)
        .await
        .unwrap();
    fixture
        .identity
        .emails()
        .verify(
            fixture
                .permit(identity::VerifyEmail {
                    account: Account::at_the_server(ana),
                    address: address.clone(),
                })
                .await,
        )
        .await
        .unwrap();
    fixture
        .identity
        .emails()
        .promote(
            fixture
                .permit(identity::PromoteEmail {
                    account: Account::at_the_server(ana),
                    address,
                })
                .await,
        )
        .await
        .unwrap();
    assert!(!fixture.confirm_device(&link).await.unwrap());
}

/// The second of two answers to one login comes too late, whatever it contains.
#[tokio::test]
async fn a_login_uses_up_one_recovery_code() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let device = fixture.logged_in("ana").await.device.unwrap();
    let generate = identity::factors::GenerateRecoveryCodes {
        account: Account::at_the_server(ana),
    };
    let codes = fixture
        .identity
        .factors()
        .generate_recovery_codes(fixture.permit(generate).await)
        .await
        .unwrap();
    fixture.enroll(ana).await;
    let waiting = pending(
        fixture
            .log_in("ana", PASSWORD, Some(device.expose()))
            .await
            .unwrap(),
    );
    let attempt = fixture.attempt();
    let answer = |code: usize| {
        fixture.identity.logins().with_recovery_code(
            RequestContext::new(&fixture.gate, &attempt),
            waiting.expose(),
            codes[code].expose(),
            Some(device.expose()),
        )
    };
    let (one, other) = tokio::join!(answer(0), answer(1));
    assert_eq!(
        [one.is_ok(), other.is_ok()]
            .into_iter()
            .filter(|ok| *ok)
            .count(),
        1
    );
    assert_eq!(
        fixture.storage.recovery_codes_of(ana).await.unwrap().unused,
        7
    );

    let session = started(one.or(other).unwrap());
    let caller = fixture.present_session(&session.secret).await;
    let cookie = session.secret.expose();
    let step_up = |code: usize| {
        fixture.identity.step_ups().with_recovery_code(
            RequestContext::new(&fixture.gate, &attempt),
            &caller,
            cookie,
            codes[code].expose(),
        )
    };
    let (one, other) = tokio::join!(step_up(2), step_up(3));
    assert_eq!(
        [one.is_ok(), other.is_ok()]
            .into_iter()
            .filter(|ok| *ok)
            .count(),
        1
    );
    assert_eq!(
        fixture.storage.recovery_codes_of(ana).await.unwrap().unused,
        6
    );
}

/// Someone who knows the password fails on purpose elsewhere.
#[tokio::test]
async fn wrong_codes_of_a_thief_keep_nobody_out_of_a_known_browser() {
    let fixture = Fixture::with(limits(3)).await;
    let ana = fixture.user("ana").await;
    let device = fixture.logged_in("ana").await.device.unwrap();
    let secret = fixture.enroll(ana).await;
    let thief = fixture.attempt_from("203.0.113.9");
    let waiting = pending(fixture.log_in("ana", PASSWORD, None).await.unwrap());
    for _ in 0..4 {
        fixture
            .identity
            .logins()
            .with_totp(
                RequestContext::new(&fixture.gate, &thief),
                waiting.expose(),
                "000",
                None,
            )
            .await
            .unwrap_err();
    }
    let session = started(
        fixture
            .log_in_with_code(&secret, 0, Some(device.expose()))
            .await
            .unwrap(),
    );
    fixture.clock.advance_seconds(30);
    let caller = fixture.present_session(&session.secret).await;
    let code = fixture.code(&secret, 0);
    fixture
        .identity
        .step_ups()
        .with_totp(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            &caller,
            session.secret.expose(),
            &code,
        )
        .await
        .unwrap();
}
