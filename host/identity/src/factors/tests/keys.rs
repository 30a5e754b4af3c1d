//! Security keys and passkeys: enrolled, asked for, verified.

use data_encoding::BASE64URL_NOPAD;
use gate::RefusalKind;
use model::MailKind;
use serde_json::json;

use super::*;
use crate::factors::RenameKey;
use crate::factors::challenges::{KeyBinding, KeyProblem};
use crate::factors::keys::{MAX_KEYS, MAX_NAME};

impl Fixture {
    /// Answers a challenge in a login that waits for its second factor.
    async fn answer_pending(&self, person: Person, pending: &Secret<String>, challenge: &KeyChallenge, response: String) -> Result<(), String> {
        let answer = KeyAnswer { ceremony: challenge.ceremony.expose().clone(), response };
        self.verify(person, KeyBinding::Pending(pending.expose()), &answer).await
    }

    async fn verify(&self, person: Person, binding: KeyBinding<'_>, answer: &KeyAnswer) -> Result<(), String> {
        self.identity.verify_key(person.user, binding, answer, self.clock.now()).await.map_err(|problem| why(&problem))
    }

    /// Logs in by passkey.
    async fn answer_passkey(&self, challenge: &KeyChallenge, response: String) -> Result<UserId, String> {
        let answer = KeyAnswer { ceremony: challenge.ceremony.expose().clone(), response };
        let proven = self.identity.verify_passkey(&answer, self.clock.now()).await;
        proven.map(|user| user.id).map_err(|problem| why(&problem))
    }

    /// A second factor in a login of this person, with this key.
    async fn second_factor(&self, person: Person, key: &mut SoftwareKey) -> Result<(), String> {
        let pending = self.pending(person).await;
        let challenge = self.challenge_for_pending(&pending).await.unwrap();
        let response = key.answer(&challenge.options);
        self.answer_pending(person, &pending, &challenge, response).await
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
    for (kind, word) in [(KeyKind::SecurityKey, "security-key"), (KeyKind::Passkey, "passkey")] {
        let fixture = Fixture::new().await;
        let ana = fixture.person("ana").await;
        fixture.mails().await;
        let mut key = fixture.enroll(ana, kind, " The blue one ").await;

        let overview = fixture.identity.factors_of(ana.user).await.unwrap();
        assert_eq!((overview.keys.len(), overview.keys[0].name.as_str(), overview.keys[0].kind), (1, "The blue one", kind));
        assert_eq!((overview.keys[0].last_used_at, overview.totp), (None, None));
        assert!(fixture.user(ana).await.facts().factors.webauthn);
        let details = fixture.details(EventKind::KeyEnrolled).await;
        assert_eq!((details[0]["name"].as_str(), details[0]["kind"].as_str()), (Some("The blue one"), Some(word)));
        assert_eq!(fixture.mails().await, [(MailKind::FactorAdded, "ana@example.org".to_owned())]);

        fixture.later(60);
        for _ in 0..2 {
            fixture.second_factor(ana, &mut key).await.unwrap();
        }
        assert_eq!(fixture.identity.factors_of(ana.user).await.unwrap().keys[0].last_used_at, Some(fixture.clock.now()));
    }
}

#[tokio::test]
async fn browsers_are_asked_for_what_the_kind_of_key_needs() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let security_key = fixture.propose(ana, KeyKind::SecurityKey).await.unwrap().options;
    assert_eq!(security_key["hints"], json!(["security-key"]));
    let selection = &security_key["authenticatorSelection"];
    assert_eq!(
        (&selection["residentKey"], &selection["requireResidentKey"], &selection["userVerification"]),
        (&json!("discouraged"), &json!(false), &json!("preferred"))
    );
    assert!(!security_key["extensions"].to_string().contains("redentialProtection"), "{security_key}");

    let passkey = fixture.propose(ana, KeyKind::Passkey).await.unwrap().options;
    let selection = &passkey["authenticatorSelection"];
    assert_eq!(
        (&selection["residentKey"], &selection["requireResidentKey"], &selection["userVerification"]),
        (&json!("required"), &json!(true), &json!("required"))
    );

    for options in [&security_key, &passkey] {
        assert_eq!((&options["attestation"], &options["rp"]["id"]), (&json!("none"), &json!("pypi.example.org")));
        assert_eq!((&options["user"]["id"], &options["user"]["name"]), (&json!(BASE64URL_NOPAD.encode(ana.user.0.as_bytes())), &json!("ana")));
        assert_eq!(options["excludeCredentials"], json!([]));
    }
    fixture.enroll(ana, KeyKind::SecurityKey, "one").await;
    assert_eq!(fixture.propose(ana, KeyKind::Passkey).await.unwrap().options["excludeCredentials"].as_array().unwrap().len(), 1);
    let asked = fixture.challenge_for_step_up(ana).await.unwrap().options;
    assert_eq!((&asked["hints"], asked["allowCredentials"].as_array().unwrap().len()), (&json!(["security-key"]), 1));

    // With a passkey among them, the browser offers both.
    fixture.enroll(ana, KeyKind::Passkey, "two").await;
    let asked = fixture.challenge_for_step_up(ana).await.unwrap().options;
    assert_eq!((asked.get("hints"), asked["allowCredentials"].as_array().unwrap().len()), (None, 2));
    assert_eq!(asked["userVerification"], json!("preferred"));
    let bob = fixture.person("bob").await;
    fixture.enroll(bob, KeyKind::Passkey, "only").await;
    assert_eq!(fixture.challenge_for_step_up(bob).await.unwrap().options["userVerification"], json!("required"));

    let asked = fixture.challenge_for_passkey().await.unwrap().options;
    assert_eq!((&asked["allowCredentials"], &asked["userVerification"]), (&json!([]), &json!("required")));
}

#[tokio::test]
async fn a_passkey_says_whose_it_is() {
    let fixture = Fixture::new().await;
    let (ana, bob) = (fixture.person("ana").await, fixture.person("bob").await);
    let mut keys = [(ana, fixture.enroll(ana, KeyKind::Passkey, "phone").await), (bob, fixture.enroll(bob, KeyKind::Passkey, "phone").await)];
    for (person, key) in &mut keys {
        let challenge = fixture.challenge_for_passkey().await.unwrap();
        let response = key.answer(&challenge.options);
        assert_eq!(fixture.answer_passkey(&challenge, response).await, Ok(person.user));
    }
}

#[tokio::test]
async fn a_passkey_that_names_another_user_logs_nobody_in() {
    let fixture = Fixture::new().await;
    let (ana, bob) = (fixture.person("ana").await, fixture.person("bob").await);
    let mut key = fixture.enroll(ana, KeyKind::Passkey, "phone").await;
    for handle in [json!(BASE64URL_NOPAD.encode(bob.user.0.as_bytes())), json!(null), json!("")] {
        let challenge = fixture.challenge_for_passkey().await.unwrap();
        let mut answer = key.answer_told(&challenge.options, |_| ());
        answer["response"]["userHandle"] = handle;
        assert_eq!(fixture.answer_passkey(&challenge, answer.to_string()).await, Err("key-of-another-user".to_owned()));
    }
    // As a second factor the handle may be missing, and must not be another one.
    let pending = fixture.pending(ana).await;
    let challenge = fixture.challenge_for_pending(&pending).await.unwrap();
    let mut answer = key.answer_told(&challenge.options, |_| ());
    answer["response"]["userHandle"] = json!(BASE64URL_NOPAD.encode(bob.user.0.as_bytes()));
    refused(fixture.answer_pending(ana, &pending, &challenge, answer.to_string()).await, "key-of-another-user");
}

#[tokio::test]
async fn a_security_key_alone_logs_nobody_in() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let mut key = fixture.enroll(ana, KeyKind::SecurityKey, "blue").await;
    let challenge = fixture.challenge_for_passkey().await.unwrap();
    let response = key.answer(&challenge.options);
    assert_eq!(fixture.answer_passkey(&challenge, response).await, Err("key-is-no-passkey".to_owned()));
}

#[tokio::test]
async fn a_security_key_that_cannot_verify_its_owner_is_a_second_factor_and_a_passkey_is_not() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let mut key = SoftwareKey::at(ORIGIN);
    let challenge = fixture.propose(ana, KeyKind::SecurityKey).await.unwrap();
    let made = key.make_told(&challenge.options, |options| options["authenticatorSelection"]["userVerification"] = json!("discouraged"));
    fixture.enroll_answer(ana, "no pin", challenge.ceremony.expose(), made).await.unwrap();
    let mut passkey = fixture.enroll(ana, KeyKind::Passkey, "phone").await;
    let pending = fixture.pending(ana).await;
    for (key, expected) in [(&mut key, Ok(())), (&mut passkey, Err("key-person-not-verified".to_owned()))] {
        let challenge = fixture.challenge_for_pending(&pending).await.unwrap();
        let answer = key.answer_told(&challenge.options, |options| options["userVerification"] = json!("discouraged"));
        assert_eq!(fixture.answer_pending(ana, &pending, &challenge, answer.to_string()).await, expected);
    }
}

#[tokio::test]
async fn a_passkey_that_did_not_verify_its_owner_logs_nobody_in() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let mut key = fixture.enroll(ana, KeyKind::Passkey, "phone").await;
    let challenge = fixture.challenge_for_passkey().await.unwrap();
    let answer = key.answer_told(&challenge.options, |options| options["userVerification"] = json!("discouraged"));
    assert_eq!(fixture.answer_passkey(&challenge, answer.to_string()).await, Err("key-person-not-verified".to_owned()));

    let challenge = fixture.propose(ana, KeyKind::Passkey).await.unwrap();
    let made = key.make_told(&challenge.options, |options| options["authenticatorSelection"]["userVerification"] = json!("discouraged"));
    assert!(matches!(fixture.enroll_answer(ana, "two", challenge.ceremony.expose(), made).await, Err(FactorError::KeyNotAccepted)));
}

#[tokio::test]
async fn the_passkey_of_a_disabled_user_logs_nobody_in() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let mut key = fixture.enroll(ana, KeyKind::Passkey, "phone").await;
    let challenge = fixture.challenge_for_passkey().await.unwrap();
    let response = key.answer(&challenge.options);
    let target = crate::DisableUser { user: ana.user, reason: "test".to_owned() };
    fixture.identity.disable_user(break_glass(&fixture.storage, &*fixture.clock, "operator", target).await.unwrap()).await.unwrap();
    assert_eq!(fixture.answer_passkey(&challenge, response).await, Err("disabled-user".to_owned()));
}

#[tokio::test]
async fn an_answer_from_another_origin_is_refused_even_from_a_subdomain_and_another_port() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let mut key = fixture.enroll(ana, KeyKind::Passkey, "phone").await;
    for origin in ["https://evil.pypi.example.org", "https://pypi.example.org:8443"] {
        key = key.moved_to(origin);
        refused(fixture.second_factor(ana, &mut key).await, "key-wrong-origin");
        let challenge = fixture.challenge_for_passkey().await.unwrap();
        let response = key.answer(&challenge.options);
        assert_eq!(fixture.answer_passkey(&challenge, response).await, Err("key-wrong-origin".to_owned()));
        let mut elsewhere = SoftwareKey::at(origin);
        assert!(matches!(fixture.enroll_with(ana, KeyKind::SecurityKey, "other", &mut elsewhere).await, Err(FactorError::KeyNotAccepted)));
    }
}

#[tokio::test]
async fn an_answer_for_another_registry_is_refused() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let mut key = fixture.enroll(ana, KeyKind::Passkey, "phone").await;
    let pending = fixture.pending(ana).await;
    let challenge = fixture.challenge_for_pending(&pending).await.unwrap();
    let answer = key.answer_told(&challenge.options, |options| options["rpId"] = json!("example.org"));
    refused(fixture.answer_pending(ana, &pending, &challenge, answer.to_string()).await, "key-wrong-registry");

    let challenge = fixture.propose(ana, KeyKind::SecurityKey).await.unwrap();
    let made = key.make_told(&challenge.options, |options| options["rp"]["id"] = json!("example.org"));
    assert!(matches!(fixture.enroll_answer(ana, "two", challenge.ceremony.expose(), made).await, Err(FactorError::KeyNotAccepted)));
}

#[tokio::test]
async fn an_answer_in_a_frame_of_another_site_is_refused() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let mut key = fixture.enroll(ana, KeyKind::Passkey, "phone").await;
    let challenge = fixture.challenge_for_passkey().await.unwrap();
    let mut answer = key.answer_told(&challenge.options, |_| ());
    let client_data = BASE64URL_NOPAD.decode(answer["response"]["clientDataJSON"].as_str().unwrap().as_bytes()).unwrap();
    let mut client_data: Value = serde_json::from_slice(&client_data).unwrap();
    client_data["crossOrigin"] = json!(true);
    answer["response"]["clientDataJSON"] = json!(BASE64URL_NOPAD.encode(client_data.to_string().as_bytes()));
    assert_eq!(fixture.answer_passkey(&challenge, answer.to_string()).await, Err("key-cross-origin".to_owned()));
}

#[tokio::test]
async fn a_challenge_is_answered_once_even_when_the_answer_was_wrong() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let mut key = fixture.enroll(ana, KeyKind::Passkey, "phone").await;
    let pending = fixture.pending(ana).await;
    let challenge = fixture.challenge_for_pending(&pending).await.unwrap();
    let (first, second) = (key.answer(&challenge.options), key.answer(&challenge.options));
    fixture.answer_pending(ana, &pending, &challenge, first.clone()).await.unwrap();
    for again in [first, second] {
        refused(fixture.answer_pending(ana, &pending, &challenge, again).await, "key-challenge-unknown");
    }

    let challenge = fixture.challenge_for_passkey().await.unwrap();
    assert_eq!(fixture.answer_passkey(&challenge, "{}".to_owned()).await, Err("key-answer-unreadable".to_owned()));
    let response = key.answer(&challenge.options);
    assert_eq!(fixture.answer_passkey(&challenge, response).await, Err("key-challenge-unknown".to_owned()));

    let challenge = fixture.propose(ana, KeyKind::SecurityKey).await.unwrap();
    let made = key.make(&challenge.options);
    fixture.enroll_answer(ana, "two", challenge.ceremony.expose(), made.clone()).await.unwrap();
    assert!(matches!(fixture.enroll_answer(ana, "three", challenge.ceremony.expose(), made).await, Err(FactorError::UnknownCeremony)));
}

#[tokio::test]
async fn of_many_answers_to_one_challenge_at_once_one_counts() {
    let fixture = Arc::new(Fixture::new().await);
    let ana = fixture.person("ana").await;
    let mut key = fixture.enroll(ana, KeyKind::Passkey, "phone").await;
    let challenge = Arc::new(fixture.challenge_for_passkey().await.unwrap());
    let tries: Vec<_> = (0..8)
        .map(|_| {
            let (fixture, challenge, response) = (Arc::clone(&fixture), Arc::clone(&challenge), key.answer(&challenge.options));
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
    let elsewhere = Person { session: SessionId::new(), ..ana };

    // Asked in one login, answered in another one of the same person, or with no cookie of ours.
    for foreign in [other_pending.expose(), "nonsense"] {
        let challenge = fixture.challenge_for_pending(&pending).await.unwrap();
        let answer = KeyAnswer { ceremony: challenge.ceremony.expose().clone(), response: key.answer(&challenge.options) };
        refused(fixture.verify(ana, KeyBinding::Pending(foreign), &answer).await, "key-challenge-elsewhere");
    }
    // Asked in one session, answered in another one.
    let challenge = fixture.challenge_for_step_up(ana).await.unwrap();
    let answer = KeyAnswer { ceremony: challenge.ceremony.expose().clone(), response: key.answer(&challenge.options) };
    refused(fixture.verify(ana, KeyBinding::Session(elsewhere.session), &answer).await, "key-challenge-elsewhere");

    // Asked for one purpose, answered for each other one.
    let challenge = fixture.challenge_for_pending(&pending).await.unwrap();
    let answer = KeyAnswer { ceremony: challenge.ceremony.expose().clone(), response: key.answer(&challenge.options) };
    refused(fixture.verify(ana, KeyBinding::Session(ana.session), &answer).await, "key-challenge-unknown");
    let mut usernameless = key.answer_told(&challenge.options, |_| ());
    usernameless["response"]["userHandle"] = json!(BASE64URL_NOPAD.encode(ana.user.0.as_bytes()));
    assert_eq!(fixture.answer_passkey(&challenge, usernameless.to_string()).await, Err("key-challenge-unknown".to_owned()));

    let challenge = fixture.challenge_for_passkey().await.unwrap();
    let response = key.answer(&challenge.options);
    refused(fixture.answer_pending(ana, &pending, &challenge, response.clone()).await, "key-challenge-unknown");
    let answer = KeyAnswer { ceremony: challenge.ceremony.expose().clone(), response };
    refused(fixture.verify(ana, KeyBinding::Session(ana.session), &answer).await, "key-challenge-unknown");

    let challenge = fixture.propose(ana, KeyKind::SecurityKey).await.unwrap();
    let made = key.make(&challenge.options);
    refused(fixture.answer_pending(ana, &pending, &challenge, made.clone()).await, "key-challenge-unknown");
    let made_elsewhere = fixture.enroll_answer(elsewhere, "two", challenge.ceremony.expose(), made).await;
    assert!(matches!(made_elsewhere, Err(FactorError::UnknownCeremony)));

    // None of this was in the way of the real one.
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
    refused(fixture.answer_pending(bob, &pending, &challenge, response).await, "key-challenge-elsewhere");

    // Bob's key signs what Ana was asked.
    let challenge = fixture.challenge_for_pending(&pending).await.unwrap();
    let ids = of_bob.ids();
    let answer = of_bob.answer_told(&challenge.options, |options| options["allowCredentials"] = ids.clone());
    refused(fixture.answer_pending(ana, &pending, &challenge, answer.to_string()).await, "key-of-another-user");

    let challenge = fixture.propose(ana, KeyKind::SecurityKey).await.unwrap();
    let made = of_bob.make(&challenge.options);
    let as_bob = Person { session: ana.session, ..bob };
    assert!(matches!(fixture.enroll_answer(as_bob, "hers", challenge.ceremony.expose(), made).await, Err(FactorError::UnknownCeremony)));
}

#[tokio::test]
async fn a_key_that_nobody_enrolled_is_refused() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    fixture.enroll(ana, KeyKind::Passkey, "phone").await;
    // Made for a challenge that was never answered here.
    let mut stranger = SoftwareKey::at(ORIGIN);
    stranger.make(&fixture.propose(ana, KeyKind::Passkey).await.unwrap().options);
    let challenge = fixture.challenge_for_passkey().await.unwrap();
    let response = stranger.answer(&challenge.options);
    assert_eq!(fixture.answer_passkey(&challenge, response).await, Err("key-unknown".to_owned()));
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
    answer["response"].as_object_mut().unwrap().remove("userHandle");
    refused(fixture.answer_pending(ana, &pending, &challenge, answer.to_string()).await, "key-not-asked-for");
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
    let event =
        AuditEvent { at: NOW, kind: EventKind::KeyRemoved, actor: Actor::System, user: Some(ana.user), project: None, decision: None, detail: json!({}) };
    unit.commit(&event).await.unwrap();
    let response = key.answer(&challenge.options);
    refused(fixture.answer_pending(ana, &pending, &challenge, response).await, "key-unknown");
}

#[tokio::test]
async fn an_altered_answer_is_refused() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let mut key = fixture.enroll(ana, KeyKind::Passkey, "phone").await;
    for member in ["authenticatorData", "signature"] {
        let challenge = fixture.challenge_for_passkey().await.unwrap();
        let mut answer = key.answer_told(&challenge.options, |_| ());
        let mut bytes = BASE64URL_NOPAD.decode(answer["response"][member].as_str().unwrap().as_bytes()).unwrap();
        // The last byte of the counter, the last byte of the signature.
        *bytes.last_mut().unwrap() ^= 0x40;
        answer["response"][member] = json!(BASE64URL_NOPAD.encode(&bytes));
        assert_eq!(fixture.answer_passkey(&challenge, answer.to_string()).await, Err("key-wrong-signature".to_owned()), "{member}");
    }
    // The answer to one question is none to another.
    let (asked, other) = (fixture.challenge_for_passkey().await.unwrap(), fixture.challenge_for_passkey().await.unwrap());
    let response = key.answer(&other.options);
    assert_eq!(fixture.answer_passkey(&asked, response).await, Err("key-wrong-challenge".to_owned()));
    let challenge = fixture.propose(ana, KeyKind::Passkey).await.unwrap();
    let made = SoftwareKey::at(ORIGIN).make(&fixture.propose(ana, KeyKind::Passkey).await.unwrap().options);
    assert!(matches!(fixture.enroll_answer(ana, "two", challenge.ceremony.expose(), made).await, Err(FactorError::KeyNotAccepted)));
}

#[tokio::test]
async fn a_counter_that_goes_back_or_stands_still_is_refused_and_has_its_own_reason() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let mut key = fixture.enroll(ana, KeyKind::Passkey, "phone").await;
    let pending = fixture.pending(ana).await;
    let (early, late) = (fixture.challenge_for_pending(&pending).await.unwrap(), fixture.challenge_for_pending(&pending).await.unwrap());
    let (first, second) = (key.answer(&early.options), key.answer(&late.options));
    fixture.answer_pending(ana, &pending, &late, second).await.unwrap();
    // Both were asked when the stored counter was lower still: what counts is the counter now.
    refused(fixture.answer_pending(ana, &pending, &early, first).await, "key-counter-went-back");
    // The key itself goes on to work.
    fixture.second_factor(ana, &mut key).await.unwrap();

    let (early, late) = (fixture.challenge_for_passkey().await.unwrap(), fixture.challenge_for_passkey().await.unwrap());
    let (first, second) = (key.answer(&early.options), key.answer(&late.options));
    fixture.answer_passkey(&late, second).await.unwrap();
    assert_eq!(fixture.answer_passkey(&early, first).await, Err("key-counter-went-back".to_owned()));
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
        assert_eq!(fixture.answer_passkey(&challenge, response).await.is_ok(), is_in_time, "{seconds}");

        let challenge = fixture.propose(ana, KeyKind::SecurityKey).await.unwrap();
        let made = key.make(&challenge.options);
        fixture.later(seconds);
        let enrolled = fixture.enroll_answer(ana, &format!("after {seconds}"), challenge.ceremony.expose(), made).await;
        assert_eq!(enrolled.is_ok(), is_in_time, "{seconds}");
    }
}

#[tokio::test]
async fn nonsense_is_refused_and_so_is_too_much_of_it() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let mut key = fixture.enroll(ana, KeyKind::Passkey, "phone").await;
    let nonsense = ["", "null", "[]", "{", "{}", r#"{"id":"x","rawId":"!","response":{},"type":"public-key"}"#, &"[".repeat(50_000)];
    for text in nonsense {
        let challenge = fixture.challenge_for_passkey().await.unwrap();
        assert_eq!(fixture.answer_passkey(&challenge, text.to_owned()).await, Err("key-answer-unreadable".to_owned()));
        let pending = fixture.pending(ana).await;
        let challenge = fixture.challenge_for_pending(&pending).await.unwrap();
        refused(fixture.answer_pending(ana, &pending, &challenge, text.to_owned()).await, "key-answer-unreadable");
        let challenge = fixture.propose(ana, KeyKind::Passkey).await.unwrap();
        let enrolled = fixture.enroll_answer(ana, "two", challenge.ceremony.expose(), text.to_owned()).await;
        assert!(matches!(enrolled, Err(FactorError::KeyNotAccepted)), "{text:.20}");
    }
    let challenge = fixture.challenge_for_passkey().await.unwrap();
    let right = key.answer(&challenge.options);
    let padded = format!("{right}{}", " ".repeat(64 * 1024 + 1 - right.len()));
    assert_eq!(fixture.answer_passkey(&challenge, padded).await, Err("key-answer-too-long".to_owned()));
    for ceremony in ["", "nonsense", &"A".repeat(43), &"A".repeat(100_000)] {
        let answer = KeyAnswer { ceremony: ceremony.to_owned(), response: right.clone() };
        assert_eq!(why(&fixture.identity.verify_passkey(&answer, NOW).await.unwrap_err()), "key-challenge-unknown");
    }
}

#[tokio::test]
async fn one_key_belongs_to_one_user() {
    let fixture = Fixture::new().await;
    let (ana, bob) = (fixture.person("ana").await, fixture.person("bob").await);
    let challenge = fixture.propose(ana, KeyKind::SecurityKey).await.unwrap();
    let mut key = SoftwareKey::at(ORIGIN);
    let made: Value = serde_json::from_str(&key.make(&challenge.options)).unwrap();
    fixture.enroll_answer(ana, "blue", challenge.ceremony.expose(), made.to_string()).await.unwrap();

    // Who knows somebody's credential id can claim it for a key made in software.
    let challenge = fixture.propose(bob, KeyKind::SecurityKey).await.unwrap();
    let mut claimed: Value = serde_json::from_str(&SoftwareKey::at(ORIGIN).make(&challenge.options)).unwrap();
    let bytes = |text: &Value| BASE64URL_NOPAD.decode(text.as_str().unwrap().as_bytes()).unwrap();
    let object = with_credential_id(&bytes(&claimed["response"]["attestationObject"]), &bytes(&claimed["rawId"]), &bytes(&made["rawId"]));
    claimed["response"]["attestationObject"] = json!(BASE64URL_NOPAD.encode(&object));
    (claimed["id"], claimed["rawId"]) = (made["id"].clone(), made["rawId"].clone());
    assert!(matches!(fixture.enroll_answer(bob, "mine", challenge.ceremony.expose(), claimed.to_string()).await, Err(FactorError::KeyTaken)));
}

/// The attestation object (WebAuthn, 6.5.4, in CBOR) of a key that says another id of the
/// same length is its own, without the statement that would show it.
fn with_credential_id(object: &[u8], id: &[u8], other: &[u8]) -> Vec<u8> {
    let place = |bytes: &[u8]| object.windows(bytes.len()).position(|window| window == bytes).unwrap();
    let data = place(b"authData") + b"authData".len();
    assert_eq!(object[data], 0x58, "bytes, whose number is in the next one");
    let (from, length) = (data + 2, usize::from(object[data + 1]));
    let mut data = object[from..from + length].to_vec();
    data[place(id) - from..][..id.len()].copy_from_slice(other);
    [&b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58"[..], &[object[from - 1]], &data].concat()
}

#[tokio::test]
async fn names_of_keys_are_short_and_unique_for_each_user() {
    let fixture = Fixture::new().await;
    let (ana, bob) = (fixture.person("ana").await, fixture.person("bob").await);
    fixture.enroll(ana, KeyKind::SecurityKey, "Blue").await;
    fixture.enroll(bob, KeyKind::SecurityKey, "blue").await;
    let long = "ä".repeat(MAX_NAME + 1);
    for name in ["", "  ", "a\nb", "a\u{7f}", &long] {
        assert!(
            matches!(fixture.enroll_with(ana, KeyKind::SecurityKey, name, &mut SoftwareKey::at(ORIGIN)).await, Err(FactorError::InvalidKeyName)),
            "{name:?}"
        );
    }
    // A bad name costs no ceremony: the same answer counts with a better one.
    let challenge = fixture.propose(ana, KeyKind::SecurityKey).await.unwrap();
    let made = SoftwareKey::at(ORIGIN).make(&challenge.options);
    assert!(matches!(fixture.enroll_answer(ana, "bLUE", challenge.ceremony.expose(), made.clone()).await, Err(FactorError::KeyNameTaken)));
    let key = fixture.enroll_answer(ana, &"ä".repeat(MAX_NAME), challenge.ceremony.expose(), made).await.unwrap();

    let rename = |person: Person, name: &str| {
        let (name, fixture) = (name.to_owned(), &fixture);
        async move { fixture.identity.rename_key(fixture.permit(person, RenameKey { user: person.user, key, name }).await).await }
    };
    assert!(matches!(rename(ana, "blue").await, Err(FactorError::KeyNameTaken)));
    assert!(matches!(rename(ana, &long).await, Err(FactorError::InvalidKeyName)));
    assert!(matches!(rename(bob, "stolen").await, Err(FactorError::UnknownKey)));
    rename(ana, "Green").await.unwrap();
    let details = fixture.details(EventKind::KeyRenamed).await;
    assert_eq!((details.len(), details[0]["name"].as_str()), (1, Some("Green")));
}

#[tokio::test]
async fn nobody_has_more_than_twenty_keys_and_all_of_them_fit_a_challenge() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let proposed = fixture.propose(ana, KeyKind::SecurityKey).await.unwrap();
    let mut last = SoftwareKey::at(ORIGIN);
    for number in 0..MAX_KEYS {
        last = fixture.enroll(ana, KeyKind::SecurityKey, &format!("key {number}")).await;
    }
    assert!(matches!(fixture.propose(ana, KeyKind::Passkey).await, Err(FactorError::TooManyKeys)));
    let made = SoftwareKey::at(ORIGIN).make(&proposed.options);
    assert!(matches!(fixture.enroll_answer(ana, "more", proposed.ceremony.expose(), made).await, Err(FactorError::TooManyKeys)));
    fixture.second_factor(ana, &mut last).await.unwrap();
}

#[tokio::test]
async fn keys_take_a_verified_address_and_recovery_codes_that_were_kept() {
    let fixture = Fixture::new().await;
    let unverified = fixture.newcomer("una", false).await;
    assert!(matches!(fixture.propose(unverified, KeyKind::Passkey).await, Err(FactorError::EmailNotVerified)));
    let ana = fixture.newcomer("ana", true).await;
    assert!(matches!(fixture.propose(ana, KeyKind::Passkey).await, Err(FactorError::RecoveryCodesNotConfirmed)));
    let codes = fixture.codes_of(ana).await;
    assert!(matches!(fixture.propose(ana, KeyKind::Passkey).await, Err(FactorError::RecoveryCodesNotConfirmed)));
    fixture.confirm(ana, codes[3].expose()).await.unwrap();
    let challenge = fixture.propose(ana, KeyKind::Passkey).await.unwrap();
    // Codes that are generated anew in between are to be confirmed anew.
    fixture.codes_of(ana).await;
    let made = SoftwareKey::at(ORIGIN).make(&challenge.options);
    assert!(matches!(fixture.enroll_answer(ana, "one", challenge.ceremony.expose(), made).await, Err(FactorError::RecoveryCodesNotConfirmed)));
}

#[tokio::test]
async fn where_keys_cannot_work_nobody_is_asked_for_one() {
    let fixture = Fixture::at("http://192.0.2.1:8080", Limits::default()).await;
    let ana = fixture.person("ana").await;
    assert!(fixture.identity.webauthn_unavailable().is_some());
    assert!(matches!(fixture.propose(ana, KeyKind::Passkey).await, Err(FactorError::WebauthnUnavailable(_))));
    assert_eq!(fixture.challenge_for_passkey().await.unwrap_err().kind, RefusalKind::Denied);
}

#[tokio::test]
async fn who_has_no_key_or_no_pending_login_is_asked_for_none() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let pending = fixture.pending(ana).await;
    assert_eq!(fixture.challenge_for_pending(&pending).await.unwrap_err().reasons[0].code, "wrong-key");
    for cookie in ["", "nonsense", &"A".repeat(43)] {
        assert_eq!(fixture.challenge_for_pending(&Secret::new(cookie.to_owned())).await.unwrap_err().reasons[0].code, "login-expired");
    }
    let refusal = fixture.identity.challenge_for_step_up(&fixture.gate, &fixture.attempt(), &Caller::anonymous()).await.unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::Denied);
}

#[tokio::test]
async fn challenges_are_limited_for_each_address() {
    let fixture = Fixture::at(ORIGIN, limits(3)).await;
    for _ in 0..3 {
        fixture.challenge_for_passkey().await.unwrap();
    }
    let refusal = fixture.challenge_for_passkey().await.unwrap_err();
    assert!(matches!(refusal.kind, RefusalKind::Limited { retry_after_seconds: 300 }), "{refusal:?}");
}
