//! Logging in and stepping up by security keys and passkeys.

use gate::RefusalKind;
use identity::factors::{
    ConfirmRecoveryCodes, EnrollKey, GenerateRecoveryCodes, KeyAnswer, KeyChallenge, KeyKind,
    ProposeKey,
};
use identity::{Account, LoginStep, PendingLogin, RequestContext, StartedSession};
use model::{Caller, Factor, FactorUse, UserId};

use crate::fixture::{Fixture, NOW, PASSWORD, limits, pending, started, user_name};
use crate::software_key::SoftwareKey;

const ORIGIN: &str = "https://pypi.example.org";

impl Fixture {
    /// A user with recovery codes and a key.
    async fn user_with_key(&self, name: &str, kind: KeyKind) -> (UserId, SoftwareKey) {
        let user = self.user(name).await;
        let session = self.logged_in(name).await.session;
        let codes = self
            .identity
            .factors()
            .generate_recovery_codes(
                self.permit(GenerateRecoveryCodes {
                    account: Account::at_the_server(user),
                })
                .await,
            )
            .await
            .unwrap();
        let confirm = ConfirmRecoveryCodes {
            account: Account::at_the_server(user),
            code: codes[0].expose().clone(),
        };
        self.identity
            .factors()
            .confirm_recovery_codes(self.permit(confirm).await)
            .await
            .unwrap();
        let session = self.own_session(user, session).await;
        let mut key = SoftwareKey::at(ORIGIN);
        let asked = self
            .identity
            .factors()
            .propose_key(self.permit(ProposeKey { session, kind }).await)
            .await
            .unwrap();
        let answer = KeyAnswer {
            ceremony: asked.ceremony.expose().clone(),
            response: key.make(&asked.options),
        };
        let enroll = EnrollKey {
            session,
            name: "blue".into(),
            answer,
        };
        self.identity
            .factors()
            .enroll_key(self.permit(enroll).await)
            .await
            .unwrap();
        self.mails().await;
        (user, key)
    }

    /// Both steps, from an unknown browser.
    async fn log_in_with_key(
        &self,
        name: &str,
        key: &mut SoftwareKey,
    ) -> Result<LoginStep, gate::Refusal> {
        let waiting = pending(self.log_in(name, PASSWORD, None).await.unwrap());
        let asked = self
            .identity
            .factors()
            .challenge_for_pending(
                RequestContext::new(&self.gate, &self.attempt()),
                waiting.expose(),
            )
            .await
            .unwrap();
        self.identity
            .logins()
            .with_key(
                RequestContext::new(&self.gate, &self.attempt()),
                waiting.expose(),
                &answer(key, &asked),
                None,
            )
            .await
    }

    async fn log_in_with_passkey(&self, key: &mut SoftwareKey) -> Result<LoginStep, gate::Refusal> {
        let asked = self
            .identity
            .factors()
            .challenge_for_passkey(RequestContext::new(&self.gate, &self.attempt()))
            .await
            .unwrap();
        self.identity
            .logins()
            .with_passkey(
                RequestContext::new(&self.gate, &self.attempt()),
                &answer(key, &asked),
                None,
            )
            .await
    }

    async fn step_up_with_key(
        &self,
        session: &StartedSession,
        key: &mut SoftwareKey,
    ) -> Result<StartedSession, gate::Refusal> {
        let caller = self.present_session(&session.secret).await;
        let asked = self
            .identity
            .factors()
            .challenge_for_step_up(RequestContext::new(&self.gate, &self.attempt()), &caller)
            .await?;
        self.identity
            .step_ups()
            .with_key(
                RequestContext::new(&self.gate, &self.attempt()),
                &caller,
                session.secret.expose(),
                &answer(key, &asked),
            )
            .await
    }
}

fn answer(key: &mut SoftwareKey, asked: &KeyChallenge) -> KeyAnswer {
    KeyAnswer {
        ceremony: asked.ceremony.expose().clone(),
        response: key.answer(&asked.options),
    }
}

#[tokio::test]
async fn a_key_is_a_second_factor_from_any_browser() {
    let fixture = Fixture::new().await;
    let (ana, mut key) = fixture.user_with_key("ana", KeyKind::SecurityKey).await;
    let waiting = pending(fixture.log_in("ana", PASSWORD, None).await.unwrap());
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
            totp: false,
            keys: true,
            recovery_codes_left: 7
        })
    );
    let session = started(fixture.log_in_with_key("ana", &mut key).await.unwrap());
    let assurance = fixture.present_session(&session.secret).await.assurance;
    let used = FactorUse {
        factor: Factor::Webauthn,
        at: NOW,
    };
    assert_eq!(
        (assurance.password_at, assurance.second_factor),
        (Some(NOW), Some(used))
    );
    assert_eq!(
        fixture.mails().await.len(),
        0,
        "nobody is asked about the browser"
    );

    // It is known from then on, for a code as well.
    let secret = fixture.enroll(ana).await;
    let device = session.device.unwrap();
    let waiting = pending(
        fixture
            .log_in("ana", PASSWORD, Some(device.expose()))
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
}

#[tokio::test]
async fn a_passkey_logs_in_alone_and_a_security_key_does_not() {
    let fixture = Fixture::new().await;
    let (ana, mut passkey) = fixture.user_with_key("ana", KeyKind::Passkey).await;
    let session = started(fixture.log_in_with_passkey(&mut passkey).await.unwrap());
    let caller = fixture.present_session(&session.secret).await;
    let used = FactorUse {
        factor: Factor::Webauthn,
        at: NOW,
    };
    assert_eq!(
        (
            caller.user().unwrap().id,
            caller.assurance.password_at,
            caller.assurance.second_factor
        ),
        (ana, None, Some(used))
    );
    let event = fixture.events().await.pop().unwrap();
    assert_eq!(
        (event.user, event.detail["method"].as_str()),
        (Some(ana), Some("passkey"))
    );

    let (_, mut key) = fixture.user_with_key("ben", KeyKind::SecurityKey).await;
    let refusal = fixture.log_in_with_passkey(&mut key).await.unwrap_err();
    assert_eq!(
        (refusal.kind, refusal.reasons[0].code.as_str()),
        (RefusalKind::Denied, "wrong-passkey")
    );
}

#[tokio::test]
async fn a_passkey_of_a_disabled_user_is_refused_like_an_unknown_one() {
    let fixture = Fixture::new().await;
    let (ana, mut passkey) = fixture.user_with_key("ana", KeyKind::Passkey).await;
    let disable = identity::DisableUser {
        user: ana,
        reason: "test".into(),
    };
    fixture
        .identity
        .accounts()
        .disable(fixture.permit(disable).await)
        .await
        .unwrap();
    let disabled = fixture.log_in_with_passkey(&mut passkey).await.unwrap_err();
    assert_eq!(fixture.last_failure().await, "disabled-user");
    let asked = fixture
        .identity
        .factors()
        .challenge_for_passkey(RequestContext::new(&fixture.gate, &fixture.attempt()))
        .await
        .unwrap();
    let nothing = KeyAnswer {
        ceremony: asked.ceremony.expose().clone(),
        response: "{}".into(),
    };
    let unknown = fixture
        .identity
        .logins()
        .with_passkey(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            &nothing,
            None,
        )
        .await
        .unwrap_err();
    assert_eq!(
        (disabled.kind, disabled.reasons),
        (unknown.kind, unknown.reasons)
    );
}

#[tokio::test]
async fn an_answer_counts_once() {
    let fixture = Fixture::new().await;
    let (_, mut passkey) = fixture.user_with_key("ana", KeyKind::Passkey).await;
    let asked = fixture
        .identity
        .factors()
        .challenge_for_passkey(RequestContext::new(&fixture.gate, &fixture.attempt()))
        .await
        .unwrap();
    let answer = answer(&mut passkey, &asked);
    let log_in = async || {
        fixture
            .identity
            .logins()
            .with_passkey(
                RequestContext::new(&fixture.gate, &fixture.attempt()),
                &answer,
                None,
            )
            .await
    };
    started(log_in().await.unwrap());
    assert_eq!(log_in().await.unwrap_err().reasons[0].code, "wrong-passkey");
}

#[tokio::test]
async fn failed_answers_are_limited() {
    let fixture = Fixture::with(limits(3)).await;
    let (_, mut key) = fixture.user_with_key("ana", KeyKind::Passkey).await;
    let nothing = KeyAnswer {
        ceremony: "A".repeat(43),
        response: "{}".into(),
    };
    let waiting = pending(fixture.log_in("ana", PASSWORD, None).await.unwrap());
    let log_in = async || {
        fixture
            .identity
            .logins()
            .with_key(
                RequestContext::new(&fixture.gate, &fixture.attempt()),
                waiting.expose(),
                &nothing,
                None,
            )
            .await
    };
    for _ in 0..3 {
        assert_eq!(log_in().await.unwrap_err().reasons[0].code, "wrong-key");
    }
    assert!(matches!(
        log_in().await.unwrap_err().kind,
        RefusalKind::Limited { .. }
    ));
    assert!(
        matches!(
            fixture
                .log_in_with_passkey(&mut key)
                .await
                .unwrap_err()
                .kind,
            RefusalKind::Limited { .. }
        ),
        "the address is"
    );
}

#[tokio::test]
async fn a_key_proves_a_session_anew_and_only_the_one_it_was_asked_in() {
    let fixture = Fixture::new().await;
    let (_, mut passkey) = fixture.user_with_key("ana", KeyKind::Passkey).await;
    let [first, second] = [
        started(fixture.log_in_with_passkey(&mut passkey).await.unwrap()),
        started(fixture.log_in_with_passkey(&mut passkey).await.unwrap()),
    ];
    fixture.clock.advance_seconds(60);
    let risen = fixture
        .step_up_with_key(&first, &mut passkey)
        .await
        .unwrap();
    let at = fixture
        .present_session(&risen.secret)
        .await
        .assurance
        .second_factor
        .unwrap()
        .at;
    assert_eq!(at, NOW.plus_ms(60_000));
    assert_eq!(
        fixture.present_session(&first.secret).await,
        Caller::anonymous()
    );

    let caller = fixture.present_session(&risen.secret).await;
    let asked = fixture
        .identity
        .factors()
        .challenge_for_step_up(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            &caller,
        )
        .await
        .unwrap();
    let other = fixture.present_session(&second.secret).await;
    let refusal = fixture
        .identity
        .step_ups()
        .with_key(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            &other,
            second.secret.expose(),
            &answer(&mut passkey, &asked),
        )
        .await
        .unwrap_err();
    assert_eq!(refusal.reasons[0].code, "wrong-key");
}

#[tokio::test]
async fn answers_to_nothing_that_was_asked_keep_nobody_out() {
    let some = || {
        vec![identity::limits::Limit {
            attempts: 2,
            window_seconds: 300,
        }]
    };
    let fixture = Fixture::with(identity::Limits {
        webauthn_of_all: some(),
        webauthn_per_address: some(),
        ..limits(1000)
    })
    .await;
    let (_, mut passkey) = fixture.user_with_key("ana", KeyKind::Passkey).await;
    for ceremony in ["x".to_owned(), "A".repeat(43), String::new()] {
        let answer = KeyAnswer {
            ceremony,
            response: "{}".into(),
        };
        let refusal = fixture
            .identity
            .logins()
            .with_passkey(
                RequestContext::new(&fixture.gate, &fixture.attempt()),
                &answer,
                None,
            )
            .await
            .unwrap_err();
        assert_eq!(refusal.reasons[0].code, "wrong-passkey");
    }
    // Answers to a real challenge are counted for their address.
    for _ in 0..2 {
        let asked = fixture
            .identity
            .factors()
            .challenge_for_passkey(RequestContext::new(&fixture.gate, &fixture.attempt()))
            .await
            .unwrap();
        let answer = KeyAnswer {
            ceremony: asked.ceremony.expose().clone(),
            response: "{}".into(),
        };
        fixture
            .identity
            .logins()
            .with_passkey(
                RequestContext::new(&fixture.gate, &fixture.attempt()),
                &answer,
                None,
            )
            .await
            .unwrap_err();
    }
    assert!(matches!(
        fixture
            .log_in_with_passkey(&mut passkey)
            .await
            .unwrap_err()
            .kind,
        RefusalKind::Limited { .. }
    ));
    let elsewhere = fixture.attempt_from("203.0.113.9");
    let asked = fixture
        .identity
        .factors()
        .challenge_for_passkey(RequestContext::new(&fixture.gate, &elsewhere))
        .await
        .unwrap();
    started(
        fixture
            .identity
            .logins()
            .with_passkey(
                RequestContext::new(&fixture.gate, &elsewhere),
                &answer(&mut passkey, &asked),
                None,
            )
            .await
            .unwrap(),
    );
}

#[tokio::test]
async fn a_passkey_lets_nobody_in_after_this_was_not_me() {
    let fixture = Fixture::new().await;
    let (ana, mut passkey) = fixture.user_with_key("ana", KeyKind::Passkey).await;
    started(fixture.log_in_with_passkey(&mut passkey).await.unwrap());
    fixture
        .identity
        .accounts()
        .secure(
            fixture
                .permit(identity::SecureAccount {
                    account: Account::at_the_server(ana),
                })
                .await,
        )
        .await
        .unwrap();
    assert_eq!(
        fixture
            .log_in_with_passkey(&mut passkey)
            .await
            .unwrap_err()
            .reasons[0]
            .code,
        "wrong-passkey"
    );
    // With a new password, it works along with that, and no longer alone.
    let target = identity::SetPassword {
        account: Account::at_the_server(ana),
        password: identity::Secret::new("battery staple".to_owned()),
    };
    fixture
        .identity
        .accounts()
        .set_password(fixture.permit(target).await)
        .await
        .unwrap();
    assert_eq!(
        fixture
            .log_in_with_passkey(&mut passkey)
            .await
            .unwrap_err()
            .reasons[0]
            .code,
        "wrong-passkey"
    );
    let waiting = pending(fixture.log_in("ana", "battery staple", None).await.unwrap());
    let asked = fixture
        .identity
        .factors()
        .challenge_for_pending(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            waiting.expose(),
        )
        .await
        .unwrap();
    started(
        fixture
            .identity
            .logins()
            .with_key(
                RequestContext::new(&fixture.gate, &fixture.attempt()),
                waiting.expose(),
                &answer(&mut passkey, &asked),
                None,
            )
            .await
            .unwrap(),
    );
}

/// A call has no place for a key, and a proof weaker than this user's login is refused.
#[tokio::test]
async fn who_has_a_key_and_no_app_proves_nothing_by_the_password_alone() {
    let fixture = Fixture::new().await;
    let (_, _) = fixture.user_with_key("ana", KeyKind::SecurityKey).await;
    let refusal = fixture.prove("ana", PASSWORD, None).await.unwrap_err();
    assert_eq!(
        (refusal.kind, refusal.reasons[0].code.as_str()),
        (gate::RefusalKind::Denied, "wrong-credentials")
    );
    assert_eq!(fixture.last_failure().await, "factor-needs-browser");
}
