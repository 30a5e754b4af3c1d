use gate::{Reason, RefusalKind};
use identity::{Account, LoginStep, PendingLogin, RequestContext, Secret, SetPassword};
use model::audit::EventKind;
use model::mail::MailKind;
use model::{CredentialKind, Factor, FactorUse, PasswordDisabled, PasswordState};

use crate::fixture::{Fixture, NOW, PASSWORD, limits, pending, started, user_name};
use crate::mails::{Reply, Service, told};

impl Fixture {
    async fn second_step(
        &self,
        pending: &Secret<String>,
        code: &str,
        device: &Secret<String>,
    ) -> Result<LoginStep, gate::Refusal> {
        self.identity
            .logins()
            .with_totp(
                RequestContext::new(&self.gate, &self.attempt()),
                pending.expose(),
                code,
                Some(device.expose()),
            )
            .await
    }

    /// A user with TOTP and a known browser.
    async fn user_with_totp(&self, name: &str) -> (Secret<String>, Secret<String>) {
        let user = self.user(name).await;
        let device = self.logged_in(name).await.device.unwrap();
        (self.enroll(user).await, device)
    }
}

#[tokio::test]
async fn a_password_logs_in_who_has_no_second_factor() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let session = fixture.logged_in("Ana").await;
    assert_eq!(
        (session.user.as_written(), session.expires_at),
        ("ana", NOW.plus_ms(30 * 24 * 3600 * 1000))
    );
    let caller = fixture.present_session(&session.secret).await;
    assert_eq!(
        (caller.credential, caller.user().unwrap().id, caller.session),
        (CredentialKind::Session, ana, Some(session.session))
    );
    assert_eq!(
        (caller.assurance.password_at, caller.assurance.second_factor),
        (Some(NOW), None)
    );
    let event = fixture
        .events()
        .await
        .into_iter()
        .find(|event| event.kind == EventKind::SessionStarted)
        .unwrap();
    assert_eq!(
        (
            event.user,
            event.detail["method"].as_str(),
            event.detail["session"].as_str()
        ),
        (
            Some(ana),
            Some("password"),
            Some(&*session.session.to_string())
        )
    );
    assert!(!event.detail.to_string().contains(session.secret.expose()));
}

#[tokio::test]
async fn a_verified_address_logs_in_like_the_name_and_an_unverified_one_does_not() {
    let fixture = Fixture::new().await;
    fixture.user("ana").await;
    started(
        fixture
            .log_in("ANA@example.org", PASSWORD, None)
            .await
            .unwrap(),
    );
    started(
        fixture
            .log_in(" ana@example.org ", PASSWORD, None)
            .await
            .unwrap(),
    );
    let target = identity::CreateUser {
        name: user_name("ben"),
        email: Some("ben@example.org".into()),
        email_verified: false,
        staff: false,
    };
    let ben = fixture
        .identity
        .accounts()
        .create(fixture.permit(target).await)
        .await
        .unwrap();
    let target = SetPassword {
        account: Account::at_the_server(ben),
        password: Secret::new(PASSWORD.to_owned()),
    };
    fixture
        .identity
        .accounts()
        .set_password(fixture.permit(target).await)
        .await
        .unwrap();
    started(fixture.log_in("ben", PASSWORD, None).await.unwrap());
    fixture
        .log_in("ben@example.org", PASSWORD, None)
        .await
        .unwrap_err();
    assert_eq!(fixture.last_failure().await, "unknown-user");
}

#[tokio::test]
async fn nobody_learns_from_a_failed_login_whether_there_is_an_account() {
    let fixture = Fixture::new().await;
    let [ana, ben, cat] = [
        fixture.user("ana").await,
        fixture.user("ben").await,
        fixture.user("cat").await,
    ];
    fixture.enroll(ana).await;
    let disable = identity::DisableUser {
        user: ben,
        reason: "test".into(),
    };
    fixture
        .identity
        .accounts()
        .disable(fixture.permit(disable).await)
        .await
        .unwrap();
    let mut unit = fixture.storage.begin().await.unwrap();
    unit.disable_password(cat, PasswordDisabled::Policy)
        .await
        .unwrap();
    unit.commit(&fixture.some_event()).await.unwrap();
    let mut answers = Vec::new();
    for (name, password, why) in [
        ("nobody", PASSWORD, "unknown-user"),
        ("nobody@example.org", PASSWORD, "unknown-user"),
        ("not a name at all", PASSWORD, "unknown-user"),
        ("", "", "unknown-user"),
        ("ana", "wrong horse", "wrong-password"),
        ("ana@example.org", "wrong horse", "wrong-password"),
        ("ana", "", "wrong-password"),
        ("ben", PASSWORD, "disabled-user"),
        ("ben@example.org", PASSWORD, "disabled-user"),
        ("cat", PASSWORD, "password-disabled"),
    ] {
        let refusal = fixture.log_in(name, password, None).await.unwrap_err();
        assert_eq!(fixture.last_failure().await, why, "{name}");
        answers.push((refusal.kind, refusal.reasons));
    }
    assert!(
        answers.windows(2).all(|pair| pair[0] == pair[1]),
        "{answers:?}"
    );
}

#[tokio::test]
async fn with_a_second_factor_the_password_alone_is_no_session() {
    let fixture = Fixture::new().await;
    let (secret, device) = fixture.user_with_totp("ana").await;
    let waiting = pending(
        fixture
            .log_in("ana", PASSWORD, Some(device.expose()))
            .await
            .unwrap(),
    );
    let shown = fixture
        .identity
        .logins()
        .pending(waiting.expose())
        .await
        .unwrap();
    assert_eq!(
        shown,
        Some(PendingLogin {
            user: user_name("ana"),
            totp: true,
            keys: false,
            recovery_codes_left: 0
        })
    );
    // A pending login is not a session, whichever cookie carries it.
    assert_eq!(
        fixture.present_session(&waiting).await.credential,
        CredentialKind::None
    );
    let session = started(
        fixture
            .second_step(&waiting, &fixture.code(&secret, 0), &device)
            .await
            .unwrap(),
    );
    assert_eq!(
        session.device.as_ref(),
        Some(&device),
        "a browser that is known stays what it is"
    );
    let caller = fixture.present_session(&session.secret).await;
    assert_eq!(caller.assurance.password_at, Some(NOW));
    assert_eq!(
        caller.assurance.second_factor,
        Some(FactorUse {
            factor: Factor::Totp,
            at: NOW
        })
    );
    let pending_event = fixture
        .events()
        .await
        .into_iter()
        .filter(|event| event.kind == EventKind::AuthenticationSucceeded)
        .count();
    assert_eq!(pending_event, 1, "that the password was right is on record");
}

#[tokio::test]
async fn a_wrong_code_leaves_the_login_pending_and_the_right_one_uses_it_up() {
    let fixture = Fixture::new().await;
    let (secret, device) = fixture.user_with_totp("ana").await;
    let waiting = pending(fixture.log_in("ana", PASSWORD, None).await.unwrap());
    for wrong in ["", "000", &fixture.wrong_code(&secret)] {
        let refusal = fixture
            .second_step(&waiting, wrong, &device)
            .await
            .unwrap_err();
        assert_eq!(
            (&refusal.kind, refusal.reasons[0].code.as_str()),
            (&RefusalKind::Denied, "wrong-code")
        );
    }
    started(
        fixture
            .second_step(&waiting, &fixture.code(&secret, 0), &device)
            .await
            .unwrap(),
    );
    let again = fixture
        .second_step(&waiting, &fixture.code(&secret, 1), &device)
        .await
        .unwrap_err();
    assert_eq!(again.reasons[0].code, "login-expired");
    assert_eq!(
        fixture
            .identity
            .logins()
            .pending(waiting.expose())
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn a_login_waits_five_minutes() {
    let fixture = Fixture::new().await;
    let (secret, device) = fixture.user_with_totp("ana").await;
    let waiting = pending(fixture.log_in("ana", PASSWORD, None).await.unwrap());
    fixture.clock.advance_seconds(299);
    assert!(
        fixture
            .identity
            .logins()
            .pending(waiting.expose())
            .await
            .unwrap()
            .is_some()
    );
    fixture.clock.advance_seconds(1);
    let refusal = fixture
        .second_step(&waiting, &fixture.code(&secret, 0), &device)
        .await
        .unwrap_err();
    assert_eq!(refusal.reasons[0].code, "login-expired");
}

#[tokio::test]
async fn a_pending_login_is_void_once_the_user_has_logged_in() {
    let fixture = Fixture::new().await;
    let (secret, device) = fixture.user_with_totp("ana").await;
    let first = pending(fixture.log_in("ana", PASSWORD, None).await.unwrap());
    let second = pending(fixture.log_in("ana", PASSWORD, None).await.unwrap());
    started(
        fixture
            .second_step(&second, &fixture.code(&secret, 0), &device)
            .await
            .unwrap(),
    );
    let refusal = fixture
        .second_step(&first, &fixture.code(&secret, 1), &device)
        .await
        .unwrap_err();
    assert_eq!(refusal.reasons[0].code, "login-expired");
}

#[tokio::test]
async fn a_pending_login_is_void_once_the_password_changed_or_the_account_was_disabled() {
    for change in ["changed", "disabled", "user disabled"] {
        let fixture = Fixture::new().await;
        let (secret, device) = fixture.user_with_totp("ana").await;
        let user = fixture
            .storage
            .user_by_name(&user_name("ana"))
            .await
            .unwrap()
            .unwrap();
        let waiting = pending(fixture.log_in("ana", PASSWORD, None).await.unwrap());
        let mut unit = fixture.storage.begin().await.unwrap();
        match change {
            // Even an equal one, at the same time and by an operation that ends nothing else.
            "changed" => unit
                .set_password_hash(
                    user.id,
                    "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAA",
                    NOW,
                )
                .await
                .unwrap(),
            "disabled" => unit
                .disable_password(user.id, PasswordDisabled::Policy)
                .await
                .unwrap(),
            _ => drop(unit.disable_user(user.id, "test", NOW).await.unwrap()),
        }
        unit.commit(&fixture.some_event()).await.unwrap();
        let refusal = fixture
            .second_step(&waiting, &fixture.code(&secret, 0), &device)
            .await
            .unwrap_err();
        assert_eq!(
            (
                refusal.reasons[0].code.as_str(),
                fixture
                    .identity
                    .logins()
                    .pending(waiting.expose())
                    .await
                    .unwrap()
            ),
            ("login-expired", None),
            "{change}"
        );
    }
}

#[tokio::test]
async fn nothing_that_is_no_secret_of_ours_is_a_pending_login() {
    let fixture = Fixture::new().await;
    let (secret, device) = fixture.user_with_totp("ana").await;
    for text in ["", "x", &"A".repeat(43), &"A".repeat(5000), device.expose()] {
        assert_eq!(fixture.identity.logins().pending(text).await.unwrap(), None);
        let refusal = fixture
            .second_step(
                &Secret::new(text.to_owned()),
                &fixture.code(&secret, 0),
                &device,
            )
            .await
            .unwrap_err();
        assert_eq!(refusal.reasons[0].code, "login-expired");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_second_steps_at_once_one_logs_in() {
    let fixture = std::sync::Arc::new(Fixture::new().await);
    let (secret, device) = fixture.user_with_totp("ana").await;
    let waiting = pending(fixture.log_in("ana", PASSWORD, None).await.unwrap());
    let steps: Vec<_> = (0..12)
        .map(|number| {
            let (fixture, waiting, device) = (fixture.clone(), waiting.clone(), device.clone());
            // Three codes are valid; each is sent several times.
            let code = fixture.code(&secret, number % 3 - 1);
            tokio::spawn(async move {
                matches!(
                    fixture.second_step(&waiting, &code, &device).await,
                    Ok(LoginStep::Started(_))
                )
            })
        })
        .collect();
    let mut logged_in = 0;
    for step in steps {
        logged_in += usize::from(step.await.unwrap());
    }
    assert_eq!(logged_in, 1);
}

#[tokio::test]
async fn codes_are_limited_and_the_answer_says_how_long_to_wait() {
    let fixture = Fixture::with(limits(3)).await;
    let (secret, device) = fixture.user_with_totp("ana").await;
    let waiting = pending(fixture.log_in("ana", PASSWORD, None).await.unwrap());
    let code = fixture.code(&secret, 0);
    for _ in 0..3 {
        assert_eq!(
            fixture
                .second_step(&waiting, "000", &device)
                .await
                .unwrap_err()
                .kind,
            RefusalKind::Denied
        );
    }
    let refusal = fixture
        .second_step(&waiting, &code, &device)
        .await
        .unwrap_err();
    assert_eq!(
        refusal.kind,
        RefusalKind::Limited {
            retry_after_seconds: 300
        }
    );
    // For the account, and for the address.
    let elsewhere = fixture.attempt_from("198.51.100.1");
    let refusal = fixture
        .identity
        .logins()
        .with_totp(
            RequestContext::new(&fixture.gate, &elsewhere),
            waiting.expose(),
            &code,
            Some(device.expose()),
        )
        .await
        .unwrap_err();
    assert!(matches!(refusal.kind, RefusalKind::Limited { .. }));
    // Attempts in an unknown browser are counted for the address.
    fixture.user_with_totp("ben").await;
    let (secret, of_cat) = fixture.user_with_totp("cat").await;
    let waiting = pending(fixture.log_in("ben", PASSWORD, None).await.unwrap());
    for _ in 0..3 {
        assert_eq!(
            fixture
                .second_step(&waiting, "000", &device)
                .await
                .unwrap_err()
                .kind,
            RefusalKind::Denied
        );
    }
    let waiting = pending(fixture.log_in("cat", PASSWORD, None).await.unwrap());
    let code = fixture.code(&secret, 0);
    assert!(matches!(
        fixture
            .second_step(&waiting, &code, &device)
            .await
            .unwrap_err()
            .kind,
        RefusalKind::Limited { .. }
    ));
    started(fixture.second_step(&waiting, &code, &of_cat).await.unwrap());
}

#[tokio::test]
async fn codes_are_limited_for_all_accounts_and_addresses_together() {
    let fixture = Fixture::configured("", |config| {
        config.limits = identity::Limits {
            totp_of_all: vec![identity::limits::Limit {
                attempts: 2,
                window_seconds: 60,
            }],
            ..limits(1000)
        };
    })
    .await;
    for (name, address, is_limited) in [
        ("ana", "192.0.2.1", false),
        ("ben", "192.0.2.2", false),
        ("cat", "192.0.2.3", true),
    ] {
        fixture.user_with_totp(name).await;
        let waiting = pending(fixture.log_in(name, PASSWORD, None).await.unwrap());
        let refusal = fixture
            .identity
            .logins()
            .with_totp(
                RequestContext::new(&fixture.gate, &fixture.attempt_from(address)),
                waiting.expose(),
                "000",
                None,
            )
            .await
            .unwrap_err();
        assert_eq!(
            matches!(refusal.kind, RefusalKind::Limited { .. }),
            is_limited,
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_code_that_was_used_before_counts_like_a_wrong_one() {
    let fixture = Fixture::with(limits(3)).await;
    let (secret, device) = fixture.user_with_totp("ana").await;
    let code = fixture.code(&secret, 0);
    let waiting = pending(fixture.log_in("ana", PASSWORD, None).await.unwrap());
    started(fixture.second_step(&waiting, &code, &device).await.unwrap());
    let waiting = pending(fixture.log_in("ana", PASSWORD, None).await.unwrap());
    for _ in 0..3 {
        let refusal = fixture
            .second_step(&waiting, &code, &device)
            .await
            .unwrap_err();
        assert_eq!(
            (refusal.kind, refusal.reasons[0].code.as_str()),
            (RefusalKind::Denied, "wrong-code")
        );
        assert_eq!(fixture.last_failure().await, "code-used-before");
    }
    let refusal = fixture
        .second_step(&waiting, &fixture.code(&secret, 1), &device)
        .await
        .unwrap_err();
    assert!(matches!(refusal.kind, RefusalKind::Limited { .. }));
}

#[tokio::test]
async fn without_the_database_nobody_is_let_in_and_nobody_is_called_wrong() {
    let fixture = Fixture::new().await;
    let (secret, device) = fixture.user_with_totp("ana").await;
    let waiting = pending(fixture.log_in("ana", PASSWORD, None).await.unwrap());
    fixture.storage.close().await;
    assert_eq!(
        fixture
            .second_step(&waiting, &fixture.code(&secret, 0), &device)
            .await
            .unwrap_err()
            .kind,
        RefusalKind::Failed
    );
    assert_eq!(
        fixture
            .log_in("ana", PASSWORD, None)
            .await
            .unwrap_err()
            .kind,
        RefusalKind::Failed
    );
}

const SECOND_FACTOR_TO_LOG_IN: &str = r#"
[[binding]]
policy = "require-second-factor"
module = "require-second-factor.wasm"

[binding.settings]
actions = ["session:start"]
enrolled = true
fresh-within = "5m"
"#;

#[tokio::test]
async fn a_policy_that_requires_a_second_factor_is_asked_again_when_it_was_proven() {
    let fixture = Fixture::configured(SECOND_FACTOR_TO_LOG_IN, |_| {}).await;
    fixture.user("ben").await;
    let refusal = fixture.log_in("ben", PASSWORD, None).await.unwrap_err();
    assert!(
        matches!(refusal.kind, RefusalKind::Required(_)),
        "who has none is told to enroll one: {refusal:?}"
    );
    let ana = fixture.user("ana").await;
    let secret = fixture.enroll(ana).await;
    let waiting = pending(fixture.log_in("ana", PASSWORD, None).await.unwrap());
    // From an unknown browser: it gets as far as the mail, which was permitted.
    let step = fixture
        .identity
        .logins()
        .with_totp(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            waiting.expose(),
            &fixture.code(&secret, 0),
            None,
        )
        .await
        .unwrap();
    assert!(matches!(step, LoginStep::ConfirmDevice { .. }));
}

#[tokio::test]
async fn where_no_policy_could_permit_a_session_no_password_is_looked_at() {
    let fixture = Fixture::configured("session = [\"index:read\"]\n", |_| {}).await;
    fixture.user("ana").await;
    let answers: Vec<(RefusalKind, Vec<Reason>)> = [
        fixture.log_in("ana", PASSWORD, None).await,
        fixture.log_in("ana", "wrong horse", None).await,
    ]
    .into_iter()
    .map(|result| result.unwrap_err())
    .map(|refusal| (refusal.kind, refusal.reasons))
    .collect();
    assert_eq!(answers[0], answers[1]);
    assert_eq!(fixture.last_failure().await, "person-not-accepted");
}

const REFUSE_BREACHED: &str = r#"
[[binding]]
policy = "refuse-breached-passwords"
module = "refuse-breached-passwords.wasm"

[binding.settings]
disable-password = true
mail = true
"#;

/// A breach service that knows [`PASSWORD`].
async fn service() -> Service {
    use sha1::{Digest, Sha1};
    let hash = data_encoding::HEXUPPER.encode(&Sha1::digest(PASSWORD.as_bytes()));
    Service::start(Reply::Body(format!("{}:7", &hash[5..]))).await
}

#[tokio::test]
async fn a_breached_password_is_right_for_the_last_time() {
    let service = service().await;
    let fixture = Fixture::configured(REFUSE_BREACHED, |config| {
        config.breaches.base_url = Some(service.url.clone())
    })
    .await;
    for (name, has_factor) in [("ana", true), ("ben", false)] {
        let user = fixture.user(name).await;
        if has_factor {
            fixture.enroll(user).await;
        }
        let refusal = fixture.log_in(name, "wrong horse", None).await.unwrap_err();
        assert_eq!(refusal.reasons[0].code, "wrong-credentials");
        let refusal = fixture.log_in(name, PASSWORD, None).await.unwrap_err();
        assert_eq!(
            refusal.kind,
            RefusalKind::Denied,
            "{name}: final, whether there is a second factor or not: {refusal:?}"
        );
        assert_eq!(
            fixture
                .storage
                .user(user)
                .await
                .unwrap()
                .unwrap()
                .password_disabled,
            Some(PasswordDisabled::Policy)
        );
        assert_eq!(
            told(&fixture.mails().await),
            [(format!("{name}@example.org"), MailKind::PasswordBreached)]
        );
        let again = fixture.log_in(name, PASSWORD, None).await.unwrap_err();
        assert_eq!(
            again.reasons[0].code, "wrong-credentials",
            "whoever comes later learns nothing"
        );
        assert_eq!(fixture.sessions(user).await, []);
    }
    let found = fixture
        .events()
        .await
        .into_iter()
        .filter(|event| event.kind == EventKind::PasswordBreached)
        .count();
    assert_eq!(found, 2);
    assert_eq!(
        service.asked().len(),
        1,
        "nobody is asked about a wrong password, and an answer is kept"
    );
}

/// A check in one request does not carry over to the next: the password may have changed by then,
/// and a user who logged in while policies only counted must get to the page that fixes it.
#[tokio::test]
async fn what_the_check_of_a_password_came_to_is_known_in_that_request_alone() {
    let service = service().await;
    let fixture = Fixture::configured("", |config| {
        config.breaches.base_url = Some(service.url.clone())
    })
    .await;
    fixture.user("ana").await;
    let session = fixture.logged_in("ana").await;
    assert_eq!(
        fixture
            .present_session(&session.secret)
            .await
            .assurance
            .password_state,
        PasswordState::Unchecked
    );
    let caller = fixture.prove("ana", PASSWORD, None).await.unwrap();
    assert_eq!(caller.assurance.password_state, PasswordState::Breached);
    let caller = fixture
        .present_password("ana", PASSWORD, model::Action::FileUpload)
        .await
        .unwrap();
    assert_eq!(caller.assurance.password_state, PasswordState::Breached);
}

#[tokio::test]
async fn strangers_who_fail_keep_nobody_out_of_a_browser_that_is_known() {
    let some = vec![identity::limits::Limit {
        attempts: 3,
        window_seconds: 300,
    }];
    let fixture = Fixture::with(identity::Limits {
        password_of_all: some,
        ..limits(3)
    })
    .await;
    let (secret, device) = fixture.user_with_totp("ana").await;
    fixture.user("ben").await;
    for name in ["ana", "ana", "ana@example.org", "ana"] {
        fixture.log_in(name, "guess", None).await.unwrap_err();
    }
    // For the account, for the address, and for all.
    assert!(matches!(
        fixture
            .log_in("ana", PASSWORD, None)
            .await
            .unwrap_err()
            .kind,
        RefusalKind::Limited { .. }
    ));
    for name in ["ana", "ANA@example.org"] {
        pending(
            fixture
                .log_in(name, PASSWORD, Some(device.expose()))
                .await
                .unwrap(),
        );
    }
    let waiting = pending(
        fixture
            .log_in("ana", PASSWORD, Some(device.expose()))
            .await
            .unwrap(),
    );
    started(
        fixture
            .second_step(&waiting, &fixture.code(&secret, 0), &device)
            .await
            .unwrap(),
    );
    // The browser is known for ana alone, and has a limit of its own.
    assert!(matches!(
        fixture
            .log_in("ben", PASSWORD, Some(device.expose()))
            .await
            .unwrap_err()
            .kind,
        RefusalKind::Limited { .. }
    ));
    for _ in 0..3 {
        assert_eq!(
            fixture
                .log_in("ana", "guess", Some(device.expose()))
                .await
                .unwrap_err()
                .kind,
            RefusalKind::Denied
        );
    }
    assert!(matches!(
        fixture
            .log_in("ana", PASSWORD, Some(device.expose()))
            .await
            .unwrap_err()
            .kind,
        RefusalKind::Limited { .. }
    ));
}

#[tokio::test]
async fn a_browser_that_waits_to_be_confirmed_is_a_stranger_s() {
    let fixture = Fixture::with(limits(3)).await;
    let ana = fixture.user("ana").await;
    let secret = fixture.enroll(ana).await;
    let waiting = pending(fixture.log_in("ana", PASSWORD, None).await.unwrap());
    let step = fixture
        .identity
        .logins()
        .with_totp(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            waiting.expose(),
            &fixture.code(&secret, 0),
            None,
        )
        .await
        .unwrap();
    let LoginStep::ConfirmDevice { device, .. } = step else {
        panic!("not asked to confirm")
    };
    for _ in 0..3 {
        fixture.log_in("ana", "guess", None).await.unwrap_err();
    }
    assert!(matches!(
        fixture
            .log_in("ana", PASSWORD, Some(device.expose()))
            .await
            .unwrap_err()
            .kind,
        RefusalKind::Limited { .. }
    ));
}

#[tokio::test]
async fn logins_that_wait_are_limited_for_each_address_and_none_ends_another() {
    let some = vec![identity::limits::Limit {
        attempts: 3,
        window_seconds: 300,
    }];
    let fixture = Fixture::with(identity::Limits {
        challenges_per_address: some,
        ..limits(1000)
    })
    .await;
    fixture.user_with_totp("ana").await;
    let elsewhere = fixture.attempt_from("203.0.113.9");
    let log_in = || {
        fixture.identity.logins().with_password(
            RequestContext::new(&fixture.gate, &elsewhere),
            "ana",
            Secret::new(PASSWORD.to_owned()),
            None,
        )
    };
    let of_owner = pending(fixture.log_in("ana", PASSWORD, None).await.unwrap());
    for _ in 0..3 {
        pending(log_in().await.unwrap());
    }
    assert!(matches!(
        log_in().await.unwrap_err().kind,
        RefusalKind::Limited { .. }
    ));
    assert!(
        fixture
            .identity
            .logins()
            .pending(of_owner.expose())
            .await
            .unwrap()
            .is_some()
    );
    pending(fixture.log_in("ana", PASSWORD, None).await.unwrap());
}
