//! Security keys and passkeys: asked for and verified.

use data_encoding::BASE64URL_NOPAD;
use gate::RefusalKind;
use model::MailKind;
use serde_json::json;

use super::*;
use crate::RequestContext;
use crate::factors::challenges::{KeyBinding, KeyProblem};

impl Fixture {
    /// Answers a challenge in a login that waits for its second factor.
    async fn answer_pending(
        &self,
        person: Person,
        pending: &Secret<String>,
        challenge: &KeyChallenge,
        response: String,
    ) -> Result<(), String> {
        let answer = KeyAnswer {
            ceremony: challenge.ceremony.expose().clone(),
            response,
        };
        self.verify(person, KeyBinding::Pending(pending.expose()), &answer)
            .await
    }

    async fn verify(
        &self,
        person: Person,
        binding: KeyBinding<'_>,
        answer: &KeyAnswer,
    ) -> Result<(), String> {
        self.identity
            .factors()
            .verify_key(person.user, binding, answer, self.clock.now())
            .await
            .map_err(|problem| why(&problem))
    }

    /// Logs in by passkey.
    async fn answer_passkey(
        &self,
        challenge: &KeyChallenge,
        response: String,
    ) -> Result<UserId, String> {
        let answer = KeyAnswer {
            ceremony: challenge.ceremony.expose().clone(),
            response,
        };
        let proven = self
            .identity
            .factors()
            .verify_passkey(&answer, self.clock.now())
            .await;
        proven.map(|user| user.id).map_err(|problem| why(&problem))
    }

    /// A second factor in a login of this person, with this key.
    pub(super) async fn second_factor(
        &self,
        person: Person,
        key: &mut SoftwareKey,
    ) -> Result<(), String> {
        let pending = self.pending(person).await;
        let challenge = self.challenge_for_pending(&pending).await.unwrap();
        let response = key.answer(&challenge.options);
        self.answer_pending(person, &pending, &challenge, response)
            .await
    }
}

fn why(problem: &KeyProblem) -> String {
    match problem {
        KeyProblem::Wrong { why, .. } => (*why).to_owned(),
        KeyProblem::Storage(error) => panic!("{error}"),
    }
}

fn refused(result: Result<(), String>, expected: &str) {
    assert_eq!(result.unwrap_err(), expected);
}

#[tokio::test]
async fn a_key_of_either_kind_is_enrolled_listed_told_and_a_second_factor() {
    for (kind, word) in [
        (KeyKind::SecurityKey, "security-key"),
        (KeyKind::Passkey, "passkey"),
    ] {
        let fixture = Fixture::new().await;
        let ana = fixture.person("ana").await;
        fixture.mails().await;
        let mut key = fixture.enroll(ana, kind, " The blue one ").await;

        let overview = fixture
            .identity
            .factors()
            .of(fixture.view(ana).await)
            .await
            .unwrap();
        assert_eq!(
            (
                overview.keys.len(),
                overview.keys[0].name.as_str(),
                overview.keys[0].kind
            ),
            (1, "The blue one", kind)
        );
        assert_eq!((overview.keys[0].last_used_at, overview.totp), (None, None));
        assert!(fixture.user(ana).await.facts().factors.webauthn);
        let details = fixture.details(EventKind::KeyEnrolled).await;
        assert_eq!(
            (details[0]["name"].as_str(), details[0]["kind"].as_str()),
            (Some("The blue one"), Some(word))
        );
        assert_eq!(
            fixture.mails().await,
            [(MailKind::FactorAdded, "ana@example.org".to_owned())]
        );

        fixture.later(60);
        for _ in 0..2 {
            fixture.second_factor(ana, &mut key).await.unwrap();
        }
        assert_eq!(
            fixture
                .identity
                .factors()
                .of(fixture.view(ana).await)
                .await
                .unwrap()
                .keys[0]
                .last_used_at,
            Some(fixture.clock.now())
        );
    }
}

#[tokio::test]
async fn a_passkey_says_whose_it_is() {
    let fixture = Fixture::new().await;
    let (ana, bob) = (fixture.person("ana").await, fixture.person("bob").await);
    let mut keys = [
        (ana, fixture.enroll(ana, KeyKind::Passkey, "phone").await),
        (bob, fixture.enroll(bob, KeyKind::Passkey, "phone").await),
    ];
    for (person, key) in &mut keys {
        let challenge = fixture.challenge_for_passkey().await.unwrap();
        let response = key.answer(&challenge.options);
        assert_eq!(
            fixture.answer_passkey(&challenge, response).await,
            Ok(person.user)
        );
    }
}

#[tokio::test]
async fn a_passkey_that_names_another_user_logs_nobody_in() {
    let fixture = Fixture::new().await;
    let (ana, bob) = (fixture.person("ana").await, fixture.person("bob").await);
    let mut key = fixture.enroll(ana, KeyKind::Passkey, "phone").await;
    for handle in [
        json!(BASE64URL_NOPAD.encode(bob.user.0.as_bytes())),
        json!(null),
        json!(""),
    ] {
        let challenge = fixture.challenge_for_passkey().await.unwrap();
        let mut answer = key.answer_told(&challenge.options, |_| ());
        answer["response"]["userHandle"] = handle;
        assert_eq!(
            fixture.answer_passkey(&challenge, answer.to_string()).await,
            Err("key-of-another-user".to_owned())
        );
    }
    // As a second factor, the handle may be missing but must not be another user's.
    let pending = fixture.pending(ana).await;
    let challenge = fixture.challenge_for_pending(&pending).await.unwrap();
    let mut answer = key.answer_told(&challenge.options, |_| ());
    answer["response"]["userHandle"] = json!(BASE64URL_NOPAD.encode(bob.user.0.as_bytes()));
    refused(
        fixture
            .answer_pending(ana, &pending, &challenge, answer.to_string())
            .await,
        "key-of-another-user",
    );
}

#[tokio::test]
async fn a_security_key_alone_logs_nobody_in() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let mut key = fixture.enroll(ana, KeyKind::SecurityKey, "blue").await;
    let challenge = fixture.challenge_for_passkey().await.unwrap();
    let response = key.answer(&challenge.options);
    assert_eq!(
        fixture.answer_passkey(&challenge, response).await,
        Err("key-is-no-passkey".to_owned())
    );
}

#[tokio::test]
async fn a_security_key_that_cannot_verify_its_owner_is_a_second_factor_and_a_passkey_is_not() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let mut key = SoftwareKey::at(ORIGIN);
    let challenge = fixture.propose(ana, KeyKind::SecurityKey).await.unwrap();
    let made = key.make_told(&challenge.options, |options| {
        options["authenticatorSelection"]["userVerification"] = json!("discouraged")
    });
    fixture
        .enroll_answer(ana, "no pin", challenge.ceremony.expose(), made)
        .await
        .unwrap();
    let mut passkey = fixture.enroll(ana, KeyKind::Passkey, "phone").await;
    let pending = fixture.pending(ana).await;
    for (key, expected) in [
        (&mut key, Ok(())),
        (&mut passkey, Err("key-person-not-verified".to_owned())),
    ] {
        let challenge = fixture.challenge_for_pending(&pending).await.unwrap();
        let answer = key.answer_told(&challenge.options, |options| {
            options["userVerification"] = json!("discouraged")
        });
        assert_eq!(
            fixture
                .answer_pending(ana, &pending, &challenge, answer.to_string())
                .await,
            expected
        );
    }
}

#[tokio::test]
async fn a_passkey_that_did_not_verify_its_owner_logs_nobody_in() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let mut key = fixture.enroll(ana, KeyKind::Passkey, "phone").await;
    let challenge = fixture.challenge_for_passkey().await.unwrap();
    let answer = key.answer_told(&challenge.options, |options| {
        options["userVerification"] = json!("discouraged")
    });
    assert_eq!(
        fixture.answer_passkey(&challenge, answer.to_string()).await,
        Err("key-person-not-verified".to_owned())
    );

    let challenge = fixture.propose(ana, KeyKind::Passkey).await.unwrap();
    let made = key.make_told(&challenge.options, |options| {
        options["authenticatorSelection"]["userVerification"] = json!("discouraged")
    });
    assert!(matches!(
        fixture
            .enroll_answer(ana, "two", challenge.ceremony.expose(), made)
            .await,
        Err(FactorError::KeyNotAccepted)
    ));
}

#[tokio::test]
async fn the_passkey_of_a_disabled_user_logs_nobody_in() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let mut key = fixture.enroll(ana, KeyKind::Passkey, "phone").await;
    let challenge = fixture.challenge_for_passkey().await.unwrap();
    let response = key.answer(&challenge.options);
    let target = crate::DisableUser {
        user: ana.user,
        reason: "test".to_owned(),
    };
    fixture
        .identity
        .accounts()
        .disable(
            break_glass(&fixture.storage, &*fixture.clock, "operator", target)
                .await
                .unwrap(),
        )
        .await
        .unwrap();
    assert_eq!(
        fixture.answer_passkey(&challenge, response).await,
        Err("disabled-user".to_owned())
    );
}

#[tokio::test]
async fn an_answer_from_another_origin_is_refused_even_from_a_subdomain_and_another_port() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let mut key = fixture.enroll(ana, KeyKind::Passkey, "phone").await;
    for origin in [
        "https://evil.pypi.example.org",
        "https://pypi.example.org:8443",
    ] {
        key = key.moved_to(origin);
        refused(
            fixture.second_factor(ana, &mut key).await,
            "key-wrong-origin",
        );
        let challenge = fixture.challenge_for_passkey().await.unwrap();
        let response = key.answer(&challenge.options);
        assert_eq!(
            fixture.answer_passkey(&challenge, response).await,
            Err("key-wrong-origin".to_owned())
        );
        let mut elsewhere = SoftwareKey::at(origin);
        assert!(matches!(
            fixture
                .enroll_with(ana, KeyKind::SecurityKey, "other", &mut elsewhere)
                .await,
            Err(FactorError::KeyNotAccepted)
        ));
    }
}

#[tokio::test]
async fn an_answer_for_another_registry_is_refused() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let mut key = fixture.enroll(ana, KeyKind::Passkey, "phone").await;
    let pending = fixture.pending(ana).await;
    let challenge = fixture.challenge_for_pending(&pending).await.unwrap();
    let answer = key.answer_told(&challenge.options, |options| {
        options["rpId"] = json!("example.org")
    });
    refused(
        fixture
            .answer_pending(ana, &pending, &challenge, answer.to_string())
            .await,
        "key-wrong-registry",
    );

    let challenge = fixture.propose(ana, KeyKind::SecurityKey).await.unwrap();
    let made = key.make_told(&challenge.options, |options| {
        options["rp"]["id"] = json!("example.org")
    });
    assert!(matches!(
        fixture
            .enroll_answer(ana, "two", challenge.ceremony.expose(), made)
            .await,
        Err(FactorError::KeyNotAccepted)
    ));
}

#[tokio::test]
async fn an_answer_in_a_frame_of_another_site_is_refused() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let mut key = fixture.enroll(ana, KeyKind::Passkey, "phone").await;
    let challenge = fixture.challenge_for_passkey().await.unwrap();
    let mut answer = key.answer_told(&challenge.options, |_| ());
    let client_data = BASE64URL_NOPAD
        .decode(
            answer["response"]["clientDataJSON"]
                .as_str()
                .unwrap()
                .as_bytes(),
        )
        .unwrap();
    let mut client_data: Value = serde_json::from_slice(&client_data).unwrap();
    client_data["crossOrigin"] = json!(true);
    answer["response"]["clientDataJSON"] =
        json!(BASE64URL_NOPAD.encode(client_data.to_string().as_bytes()));
    assert_eq!(
        fixture.answer_passkey(&challenge, answer.to_string()).await,
        Err("key-cross-origin".to_owned())
    );
}

#[tokio::test]
async fn a_challenge_is_answered_once_even_when_the_answer_was_wrong() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let mut key = fixture.enroll(ana, KeyKind::Passkey, "phone").await;
    let pending = fixture.pending(ana).await;
    let challenge = fixture.challenge_for_pending(&pending).await.unwrap();
    let (first, second) = (
        key.answer(&challenge.options),
        key.answer(&challenge.options),
    );
    fixture
        .answer_pending(ana, &pending, &challenge, first.clone())
        .await
        .unwrap();
    for again in [first, second] {
        refused(
            fixture
                .answer_pending(ana, &pending, &challenge, again)
                .await,
            "key-challenge-unknown",
        );
    }

    let challenge = fixture.challenge_for_passkey().await.unwrap();
    assert_eq!(
        fixture.answer_passkey(&challenge, "{}".to_owned()).await,
        Err("key-answer-unreadable".to_owned())
    );
    let response = key.answer(&challenge.options);
    assert_eq!(
        fixture.answer_passkey(&challenge, response).await,
        Err("key-challenge-unknown".to_owned())
    );

    let challenge = fixture.propose(ana, KeyKind::SecurityKey).await.unwrap();
    let made = key.make(&challenge.options);
    fixture
        .enroll_answer(ana, "two", challenge.ceremony.expose(), made.clone())
        .await
        .unwrap();
    assert!(matches!(
        fixture
            .enroll_answer(ana, "three", challenge.ceremony.expose(), made)
            .await,
        Err(FactorError::UnknownCeremony)
    ));
}

#[tokio::test]
async fn of_many_answers_to_one_challenge_at_once_one_counts() {
    let fixture = Arc::new(Fixture::new().await);
    let ana = fixture.person("ana").await;
    let mut key = fixture.enroll(ana, KeyKind::Passkey, "phone").await;
    let challenge = Arc::new(fixture.challenge_for_passkey().await.unwrap());
    let tries: Vec<_> = (0..8)
        .map(|_| {
            let (fixture, challenge, response) = (
                Arc::clone(&fixture),
                Arc::clone(&challenge),
                key.answer(&challenge.options),
            );
            tokio::spawn(async move { fixture.answer_passkey(&challenge, response).await.is_ok() })
        })
        .collect();
    let mut counted = 0;
    for one in tries {
        counted += usize::from(one.await.unwrap());
    }
    assert_eq!(counted, 1);
}

#[tokio::test]
async fn a_challenge_belongs_to_its_login_its_session_and_its_purpose() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let mut key = fixture.enroll(ana, KeyKind::Passkey, "phone").await;
    let (pending, other_pending) = (fixture.pending(ana).await, fixture.pending(ana).await);
    let elsewhere = Person {
        session: SessionId::new(),
        ..ana
    };

    // Asked in one login, answered in another one of the same person, or with a foreign cookie.
    for foreign in [other_pending.expose(), "nonsense"] {
        let challenge = fixture.challenge_for_pending(&pending).await.unwrap();
        let answer = KeyAnswer {
            ceremony: challenge.ceremony.expose().clone(),
            response: key.answer(&challenge.options),
        };
        refused(
            fixture
                .verify(ana, KeyBinding::Pending(foreign), &answer)
                .await,
            "key-challenge-elsewhere",
        );
    }
    // Asked in one session, answered in another.
    let challenge = fixture.challenge_for_step_up(ana).await.unwrap();
    let answer = KeyAnswer {
        ceremony: challenge.ceremony.expose().clone(),
        response: key.answer(&challenge.options),
    };
    refused(
        fixture
            .verify(ana, KeyBinding::Session(elsewhere.session), &answer)
            .await,
        "key-challenge-elsewhere",
    );

    // Asked for one purpose, answered for each other purpose.
    let challenge = fixture.challenge_for_pending(&pending).await.unwrap();
    let answer = KeyAnswer {
        ceremony: challenge.ceremony.expose().clone(),
        response: key.answer(&challenge.options),
    };
    refused(
        fixture
            .verify(ana, KeyBinding::Session(ana.session), &answer)
            .await,
        "key-challenge-unknown",
    );
    let mut usernameless = key.answer_told(&challenge.options, |_| ());
    usernameless["response"]["userHandle"] = json!(BASE64URL_NOPAD.encode(ana.user.0.as_bytes()));
    assert_eq!(
        fixture
            .answer_passkey(&challenge, usernameless.to_string())
            .await,
        Err("key-challenge-unknown".to_owned())
    );

    let challenge = fixture.challenge_for_passkey().await.unwrap();
    let response = key.answer(&challenge.options);
    refused(
        fixture
            .answer_pending(ana, &pending, &challenge, response.clone())
            .await,
        "key-challenge-unknown",
    );
    let answer = KeyAnswer {
        ceremony: challenge.ceremony.expose().clone(),
        response,
    };
    refused(
        fixture
            .verify(ana, KeyBinding::Session(ana.session), &answer)
            .await,
        "key-challenge-unknown",
    );

    let challenge = fixture.propose(ana, KeyKind::SecurityKey).await.unwrap();
    let made = key.make(&challenge.options);
    refused(
        fixture
            .answer_pending(ana, &pending, &challenge, made.clone())
            .await,
        "key-challenge-unknown",
    );
    let made_elsewhere = fixture
        .enroll_answer(elsewhere, "two", challenge.ceremony.expose(), made)
        .await;
    assert!(matches!(made_elsewhere, Err(FactorError::UnknownCeremony)));

    // None of this blocks the real one.
    fixture.second_factor(ana, &mut key).await.unwrap();
}

#[tokio::test]
async fn a_challenge_of_one_user_is_none_of_another() {
    let fixture = Fixture::new().await;
    let (ana, bob) = (fixture.person("ana").await, fixture.person("bob").await);
    let mut of_ana = fixture.enroll(ana, KeyKind::Passkey, "phone").await;
    let mut of_bob = fixture.enroll(bob, KeyKind::Passkey, "phone").await;

    let pending = fixture.pending(ana).await;
    let challenge = fixture.challenge_for_pending(&pending).await.unwrap();
    let response = of_ana.answer(&challenge.options);
    refused(
        fixture
            .answer_pending(bob, &pending, &challenge, response)
            .await,
        "key-challenge-elsewhere",
    );

    // Bob's key signs what Ana was asked.
    let challenge = fixture.challenge_for_pending(&pending).await.unwrap();
    let ids = of_bob.ids();
    let answer = of_bob.answer_told(&challenge.options, |options| {
        options["allowCredentials"] = ids.clone()
    });
    refused(
        fixture
            .answer_pending(ana, &pending, &challenge, answer.to_string())
            .await,
        "key-of-another-user",
    );

    let challenge = fixture.propose(ana, KeyKind::SecurityKey).await.unwrap();
    let made = of_bob.make(&challenge.options);
    let as_bob = Person {
        session: ana.session,
        ..bob
    };
    assert!(matches!(
        fixture
            .enroll_answer(as_bob, "hers", challenge.ceremony.expose(), made)
            .await,
        Err(FactorError::UnknownCeremony)
    ));
}

#[tokio::test]
async fn a_key_that_nobody_enrolled_is_refused() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    fixture.enroll(ana, KeyKind::Passkey, "phone").await;
    // Created for a challenge that was never answered here.
    let mut stranger = SoftwareKey::at(ORIGIN);
    stranger.make(
        &fixture
            .propose(ana, KeyKind::Passkey)
            .await
            .unwrap()
            .options,
    );
    let challenge = fixture.challenge_for_passkey().await.unwrap();
    let response = stranger.answer(&challenge.options);
    assert_eq!(
        fixture.answer_passkey(&challenge, response).await,
        Err("key-unknown".to_owned())
    );
}

#[tokio::test]
async fn a_key_enrolled_after_the_question_is_no_answer_to_it() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    fixture.enroll(ana, KeyKind::SecurityKey, "one").await;
    let pending = fixture.pending(ana).await;
    let challenge = fixture.challenge_for_pending(&pending).await.unwrap();
    let mut later = fixture.enroll(ana, KeyKind::SecurityKey, "two").await;
    let mut options = challenge.options.clone();
    options["allowCredentials"] = json!([]);
    let mut answer = later.answer_told(&options, |_| ());
    answer["response"]
        .as_object_mut()
        .unwrap()
        .remove("userHandle");
    refused(
        fixture
            .answer_pending(ana, &pending, &challenge, answer.to_string())
            .await,
        "key-not-asked-for",
    );
}

#[tokio::test]
async fn a_key_removed_after_the_question_is_no_answer_to_it() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let mut key = fixture.enroll(ana, KeyKind::SecurityKey, "one").await;
    let pending = fixture.pending(ana).await;
    let challenge = fixture.challenge_for_pending(&pending).await.unwrap();
    let mut unit = fixture.storage.begin().await.unwrap();
    assert_eq!(unit.remove_keys(ana.user).await.unwrap(), 1);
    let event = AuditEvent::of_server(
        NOW,
        Detail::read(EventKind::KeyRemoved, &serde_json::json!({})),
    )
    .about(ana.user);
    unit.commit(&event).await.unwrap();
    let response = key.answer(&challenge.options);
    refused(
        fixture
            .answer_pending(ana, &pending, &challenge, response)
            .await,
        "key-unknown",
    );
}

#[tokio::test]
async fn an_altered_answer_is_refused() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let mut key = fixture.enroll(ana, KeyKind::Passkey, "phone").await;
    for member in ["authenticatorData", "signature"] {
        let challenge = fixture.challenge_for_passkey().await.unwrap();
        let mut answer = key.answer_told(&challenge.options, |_| ());
        let mut bytes = BASE64URL_NOPAD
            .decode(answer["response"][member].as_str().unwrap().as_bytes())
            .unwrap();
        // The last byte of the counter, the last byte of the signature.
        *bytes.last_mut().unwrap() ^= 0x40;
        answer["response"][member] = json!(BASE64URL_NOPAD.encode(&bytes));
        assert_eq!(
            fixture.answer_passkey(&challenge, answer.to_string()).await,
            Err("key-wrong-signature".to_owned()),
            "{member}"
        );
    }
    // The answer to one challenge does not answer another.
    let (asked, other) = (
        fixture.challenge_for_passkey().await.unwrap(),
        fixture.challenge_for_passkey().await.unwrap(),
    );
    let response = key.answer(&other.options);
    assert_eq!(
        fixture.answer_passkey(&asked, response).await,
        Err("key-wrong-challenge".to_owned())
    );
    let elsewhere = Person {
        session: fixture.session(ana.user).await,
        ..ana
    };
    let challenge = fixture.propose(ana, KeyKind::Passkey).await.unwrap();
    let made = SoftwareKey::at(ORIGIN).make(
        &fixture
            .propose(elsewhere, KeyKind::Passkey)
            .await
            .unwrap()
            .options,
    );
    assert!(matches!(
        fixture
            .enroll_answer(ana, "two", challenge.ceremony.expose(), made)
            .await,
        Err(FactorError::KeyNotAccepted)
    ));
}

#[tokio::test]
async fn a_counter_that_goes_back_or_stands_still_is_refused_and_has_its_own_reason() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let mut key = fixture.enroll(ana, KeyKind::Passkey, "phone").await;
    let pending = fixture.pending(ana).await;
    let (early, late) = (
        fixture.challenge_for_pending(&pending).await.unwrap(),
        fixture.challenge_for_pending(&pending).await.unwrap(),
    );
    let (first, second) = (key.answer(&early.options), key.answer(&late.options));
    fixture
        .answer_pending(ana, &pending, &late, second)
        .await
        .unwrap();
    // Both were asked when the stored counter was still lower: only the current counter matters.
    refused(
        fixture.answer_pending(ana, &pending, &early, first).await,
        "key-counter-went-back",
    );
    // The key itself still works.
    fixture.second_factor(ana, &mut key).await.unwrap();

    let (early, late) = (
        fixture.challenge_for_passkey().await.unwrap(),
        fixture.challenge_for_passkey().await.unwrap(),
    );
    let (first, second) = (key.answer(&early.options), key.answer(&late.options));
    fixture.answer_passkey(&late, second).await.unwrap();
    assert_eq!(
        fixture.answer_passkey(&early, first).await,
        Err("key-counter-went-back".to_owned())
    );
}

#[tokio::test]
async fn an_answer_that_comes_late_is_refused() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let mut key = fixture.enroll(ana, KeyKind::Passkey, "phone").await;
    for (seconds, is_in_time) in [(299, true), (300, false)] {
        let challenge = fixture.challenge_for_passkey().await.unwrap();
        let response = key.answer(&challenge.options);
        fixture.later(seconds);
        assert_eq!(
            fixture.answer_passkey(&challenge, response).await.is_ok(),
            is_in_time,
            "{seconds}"
        );

        let challenge = fixture.propose(ana, KeyKind::SecurityKey).await.unwrap();
        let made = key.make(&challenge.options);
        fixture.later(seconds);
        let enrolled = fixture
            .enroll_answer(
                ana,
                &format!("after {seconds}"),
                challenge.ceremony.expose(),
                made,
            )
            .await;
        assert_eq!(enrolled.is_ok(), is_in_time, "{seconds}");
    }
}

#[tokio::test]
async fn nonsense_is_refused_and_so_is_too_much_of_it() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let mut key = fixture.enroll(ana, KeyKind::Passkey, "phone").await;
    let nonsense = [
        "",
        "null",
        "[]",
        "{",
        "{}",
        r#"{"id":"x","rawId":"!","response":{},"type":"public-key"}"#,
        &"[".repeat(50_000),
    ];
    for text in nonsense {
        let challenge = fixture.challenge_for_passkey().await.unwrap();
        assert_eq!(
            fixture.answer_passkey(&challenge, text.to_owned()).await,
            Err("key-answer-unreadable".to_owned())
        );
        let pending = fixture.pending(ana).await;
        let challenge = fixture.challenge_for_pending(&pending).await.unwrap();
        refused(
            fixture
                .answer_pending(ana, &pending, &challenge, text.to_owned())
                .await,
            "key-answer-unreadable",
        );
        let challenge = fixture.propose(ana, KeyKind::Passkey).await.unwrap();
        let enrolled = fixture
            .enroll_answer(ana, "two", challenge.ceremony.expose(), text.to_owned())
            .await;
        assert!(
            matches!(enrolled, Err(FactorError::KeyNotAccepted)),
            "{text:.20}"
        );
    }
    let challenge = fixture.challenge_for_passkey().await.unwrap();
    let right = key.answer(&challenge.options);
    let padded = format!("{right}{}", " ".repeat(64 * 1024 + 1 - right.len()));
    assert_eq!(
        fixture.answer_passkey(&challenge, padded).await,
        Err("key-answer-too-long".to_owned())
    );
    for ceremony in ["", "nonsense", &"A".repeat(43), &"A".repeat(100_000)] {
        let answer = KeyAnswer {
            ceremony: ceremony.to_owned(),
            response: right.clone(),
        };
        assert_eq!(
            why(&fixture
                .identity
                .factors()
                .verify_passkey(&answer, NOW)
                .await
                .unwrap_err()),
            "key-challenge-unknown"
        );
    }
}

#[tokio::test]
async fn who_has_no_key_or_no_pending_login_is_asked_for_none() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let pending = fixture.pending(ana).await;
    assert_eq!(
        fixture
            .challenge_for_pending(&pending)
            .await
            .unwrap_err()
            .reasons[0]
            .code,
        "wrong-key"
    );
    for cookie in ["", "nonsense", &"A".repeat(43)] {
        assert_eq!(
            fixture
                .challenge_for_pending(&Secret::new(cookie.to_owned()))
                .await
                .unwrap_err()
                .reasons[0]
                .code,
            "login-expired"
        );
    }
    let refusal = fixture
        .identity
        .factors()
        .challenge_for_step_up(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            &Caller::anonymous(),
        )
        .await
        .unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::Denied);
}

#[tokio::test]
async fn challenges_are_limited_for_each_address() {
    let fixture = Fixture::at(ORIGIN, limits(3)).await;
    for _ in 0..3 {
        fixture.challenge_for_passkey().await.unwrap();
    }
    let refusal = fixture.challenge_for_passkey().await.unwrap_err();
    assert!(
        matches!(
            refusal.kind,
            RefusalKind::Limited {
                retry_after_seconds: 300
            }
        ),
        "{refusal:?}"
    );
    // A stranger at the same address cannot keep a user from their keys.
    let ana = fixture.person("ana").await;
    let mut key = SoftwareKey::at(ORIGIN);
    let proposed = fixture.propose(ana, KeyKind::Passkey).await.unwrap();
    fixture
        .enroll_answer(
            ana,
            "blue",
            proposed.ceremony.expose(),
            key.make(&proposed.options),
        )
        .await
        .unwrap();
    for _ in 0..2 {
        fixture.challenge_for_step_up(ana).await.unwrap();
    }
    let refusal = fixture.challenge_for_step_up(ana).await.unwrap_err();
    assert!(
        matches!(
            refusal.kind,
            RefusalKind::Limited {
                retry_after_seconds: 300
            }
        ),
        "{refusal:?}"
    );
}
