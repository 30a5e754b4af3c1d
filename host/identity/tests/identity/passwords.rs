use gate::RefusalKind;
use identity::{Presented, RequestContext, Secret};
use model::audit::EventKind;
use model::{Action, CredentialKind, Factor, PasswordDisabled};

use crate::fixture::{Fixture, NOW, PASSWORD, limits, user_name};

const PERMITTED: Action = Action::FileUpload;
const NOT_PERMITTED: Action = Action::ProjectDelete;

#[tokio::test]
async fn the_right_password_proves_its_user_where_a_policy_could_permit_one() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let caller = fixture
        .present_password("ANA", PASSWORD, PERMITTED)
        .await
        .unwrap();
    assert_eq!(
        (caller.credential, caller.user().unwrap().id),
        (CredentialKind::BasicPassword, ana)
    );
    assert_eq!(
        (caller.assurance.password_at, caller.assurance.second_factor),
        (Some(NOW), None)
    );
    let event = fixture.events().await.pop().unwrap();
    assert_eq!(
        (event.kind, event.user, event.detail["method"].as_str()),
        (
            EventKind::AuthenticationSucceeded,
            Some(ana),
            Some("basic-password")
        )
    );
}

#[tokio::test]
async fn every_password_that_is_not_accepted_is_refused_in_the_same_words() {
    let fixture = Fixture::new().await;
    fixture.user("ana").await;
    let ben = fixture.user("ben").await;
    let disable = async |user| {
        let mut unit = fixture.storage.begin().await.unwrap();
        unit.disable_password(user, PasswordDisabled::Policy)
            .await
            .unwrap();
        let event = model::audit::AuditEvent::of_server(
            NOW,
            model::audit::Detail::read(EventKind::PasswordSet, &serde_json::json!({})),
        )
        .about(user);
        unit.commit(&event).await.unwrap();
    };
    disable(ben).await;
    let target = identity::CreateUser {
        name: user_name("carl"),
        email: None,
        email_verified: false,
        staff: false,
    };
    fixture
        .identity
        .accounts()
        .create(fixture.permit(target).await)
        .await
        .unwrap();
    let long = "x".repeat(5000);
    let mut answers = Vec::new();
    for (user, password, why) in [
        ("ana", "wrong horse", "wrong-password"),
        ("ana", "", "wrong-password"),
        ("ana", &long, "wrong-password"),
        ("nobody", PASSWORD, "unknown-user"),
        ("no user name!", PASSWORD, "unknown-user"),
        ("ben", PASSWORD, "password-disabled"),
        ("carl", PASSWORD, "no-password"),
        ("carl", "", "no-password"),
    ] {
        let refusal = fixture
            .present_password(user, password, PERMITTED)
            .await
            .unwrap_err();
        assert_eq!(fixture.last_failure().await, why);
        answers.push((refusal.kind, refusal.reasons));
    }
    assert!(
        answers.windows(2).all(|pair| pair[0] == pair[1]),
        "{answers:?}"
    );
}

/// No oracle: if no policy could permit a password, nothing depends on whether it is right.
#[tokio::test]
async fn a_password_is_not_verified_where_no_policy_could_permit_one() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let mut answers = Vec::new();
    for (user, password) in [
        ("ana", PASSWORD),
        ("ana", "wrong horse"),
        ("nobody", PASSWORD),
        ("", ""),
    ] {
        let refusal = fixture
            .present_password(user, password, NOT_PERMITTED)
            .await
            .unwrap_err();
        answers.push((refusal.kind, refusal.reasons));
        let event = fixture
            .events()
            .await
            .into_iter()
            .rev()
            .find(|event| event.kind == EventKind::AuthenticationFailed)
            .unwrap();
        // In the record alone: the user with this name, for their history.
        let named = (user == "ana").then_some(ana);
        assert_eq!(
            (event.user, event.detail["reason"].as_str()),
            (named, Some("password-not-accepted"))
        );
    }
    assert!(
        answers.windows(2).all(|pair| pair[0] == pair[1]),
        "{answers:?}"
    );
    let succeeded = fixture
        .events()
        .await
        .into_iter()
        .any(|event| event.kind == EventKind::AuthenticationSucceeded);
    assert!(!succeeded);
}

#[tokio::test]
async fn a_token_in_the_place_of_a_password_is_told_where_it_belongs() {
    let fixture = Fixture::new().await;
    for (user, password) in [("ana", "pypi-AgEI"), ("pypi-AgEI", "")] {
        let refusal = fixture
            .present_password(user, password, NOT_PERMITTED)
            .await
            .unwrap_err();
        assert!(
            refusal.reasons[0]
                .remedy
                .contains("use __token__ as the user name"),
            "{refusal:?}"
        );
    }
}

#[tokio::test]
async fn passwords_sent_in_vain_are_counted_against_the_address() {
    let fixture = Fixture::with(limits(3)).await;
    for number in 0..3 {
        assert_eq!(
            fixture
                .present_password(&format!("user{number}"), "x", NOT_PERMITTED)
                .await
                .unwrap_err()
                .kind,
            RefusalKind::Denied
        );
    }
    let refusal = fixture
        .present_password("ana", "x", NOT_PERMITTED)
        .await
        .unwrap_err();
    assert_eq!(
        refusal.kind,
        RefusalKind::Limited {
            retry_after_seconds: 300
        }
    );
    assert_eq!(fixture.last_failure().await, "too-many-attempts");
}

#[tokio::test]
async fn after_too_many_failures_even_the_right_password_has_to_wait() {
    let fixture = Fixture::with(limits(3)).await;
    fixture.user("ana").await;
    for _ in 0..3 {
        assert_eq!(
            fixture
                .present_password("ana", "wrong horse", PERMITTED)
                .await
                .unwrap_err()
                .kind,
            RefusalKind::Denied
        );
        fixture.clock.advance_seconds(10);
    }
    let refusal = fixture
        .present_password("ana", PASSWORD, PERMITTED)
        .await
        .unwrap_err();
    assert_eq!(
        refusal.kind,
        RefusalKind::Limited {
            retry_after_seconds: 270
        }
    );
    let told = &refusal.reasons[0];
    assert_eq!(
        (told.message.as_str(), told.remedy.as_str()),
        (
            "This was tried too often.",
            "Wait 5 minutes, then try again."
        )
    );
    fixture.clock.advance_seconds(270);
    assert!(
        fixture
            .present_password("ana", PASSWORD, PERMITTED)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn attempts_are_forgotten_once_no_limit_looks_at_them() {
    let fixture = Fixture::with(limits(2)).await;
    fixture
        .present_password("ana", "x", PERMITTED)
        .await
        .unwrap_err();
    fixture.clock.advance_seconds(299);
    assert_eq!(fixture.identity.forget_attempts().await.unwrap(), 0);
    fixture
        .present_password("ana", "x", PERMITTED)
        .await
        .unwrap_err();
    assert!(matches!(
        fixture
            .present_password("ana", "x", PERMITTED)
            .await
            .unwrap_err()
            .kind,
        RefusalKind::Limited { .. }
    ));
    fixture.clock.advance_seconds(2);
    assert_eq!(
        fixture.identity.forget_attempts().await.unwrap(),
        2,
        "one for the user, one for the address"
    );
}

#[tokio::test]
async fn successes_do_not_count() {
    let fixture = Fixture::with(limits(2)).await;
    fixture.user("ana").await;
    for _ in 0..5 {
        fixture
            .present_password("ana", PASSWORD, PERMITTED)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn failures_for_many_users_count_against_their_one_address_and_no_other() {
    let fixture = Fixture::with(limits(3)).await;
    fixture.user("ana").await;
    for number in 0..3 {
        fixture
            .present_password(&format!("user{number}"), "x", PERMITTED)
            .await
            .unwrap_err();
    }
    assert!(matches!(
        fixture
            .present_password("ana", PASSWORD, PERMITTED)
            .await
            .unwrap_err()
            .kind,
        RefusalKind::Limited { .. }
    ));
    let presented = || identity::Presented::Basic {
        user: "ana".into(),
        password: identity::Secret::new(PASSWORD.into()),
    };
    let elsewhere = fixture.attempt_from("2001:db8::1");
    assert!(
        fixture
            .identity
            .authenticate(
                RequestContext::new(&fixture.gate, &elsewhere),
                presented(),
                PERMITTED
            )
            .await
            .is_ok()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn however_many_guess_at_once_no_more_than_the_limit_are_looked_at() {
    let fixture = std::sync::Arc::new(Fixture::with(limits(5)).await);
    fixture.user("ana").await;
    let guesses: Vec<_> = (0..40)
        .map(|number| {
            let fixture = fixture.clone();
            tokio::spawn(async move {
                fixture
                    .present_password("ana", &format!("guess {number}"), PERMITTED)
                    .await
                    .unwrap_err()
                    .kind
            })
        })
        .collect();
    let mut looked_at = 0;
    for guess in guesses {
        looked_at += usize::from(guess.await.unwrap() == RefusalKind::Denied);
    }
    assert_eq!(looked_at, 5);
}

#[tokio::test]
async fn guesses_from_many_addresses_for_many_accounts_are_limited_together() {
    let some = vec![identity::limits::Limit {
        attempts: 3,
        window_seconds: 300,
    }];
    let fixture = Fixture::with(identity::Limits {
        password_of_all: some,
        ..limits(1000)
    })
    .await;
    let ana = fixture.user("ana").await;
    let guess = async |number: u8, user: &str, password: &str| {
        let presented = Presented::Basic {
            user: user.to_owned(),
            password: Secret::new(password.to_owned()),
        };
        fixture
            .identity
            .authenticate(
                RequestContext::new(
                    &fixture.gate,
                    &fixture.attempt_from(&format!("198.51.100.{number}")),
                ),
                presented,
                PERMITTED,
            )
            .await
    };
    assert_eq!(
        guess(0, "ana", PASSWORD).await.unwrap().user().unwrap().id,
        ana,
        "what succeeds does not count"
    );
    for number in 1..=3 {
        assert_eq!(
            guess(number, &format!("user{number}"), "guess")
                .await
                .unwrap_err()
                .kind,
            RefusalKind::Denied
        );
    }
    assert!(matches!(
        guess(4, "user4", "guess").await.unwrap_err().kind,
        RefusalKind::Limited { .. }
    ));
    assert!(
        fixture
            .present_token(&fixture.token("ana", identity::NewTokenScope::Account).await)
            .await
            .is_ok(),
        "tokens are not guessed"
    );
}

#[tokio::test]
async fn a_password_that_was_hashed_at_lower_cost_is_hashed_anew_when_it_is_proven() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let password_hashing = identity::PasswordHashing {
        memory_kib: 16,
        iterations: 1,
        lanes: 1,
        at_once: 4,
        waiting: 256,
        waiting_of_one: 16,
    };
    let config = identity::IdentityConfig {
        password_hashing,
        limits: limits(1000),
        ..identity::IdentityConfig::for_host("pypi.example.org")
    };
    let costlier =
        identity::Identity::new(fixture.storage.clone(), fixture.clock.clone(), config).unwrap();
    let stored = async || {
        fixture
            .storage
            .user(ana)
            .await
            .unwrap()
            .unwrap()
            .password_hash
            .unwrap()
            .expose()
            .clone()
    };
    let present = async |identity: &identity::Identity, password: &str| {
        let presented = Presented::Basic {
            user: "ana".to_owned(),
            password: Secret::new(password.to_owned()),
        };
        identity
            .authenticate(
                RequestContext::new(&fixture.gate, &fixture.attempt()),
                presented,
                PERMITTED,
            )
            .await
    };
    let first = stored().await;
    present(&costlier, "wrong horse").await.unwrap_err();
    assert_eq!(stored().await, first);
    present(&costlier, PASSWORD).await.unwrap();
    let second = stored().await;
    assert!(
        second.starts_with("$argon2id$v=19$m=16,t=1,p=1$"),
        "{second}"
    );
    assert_eq!(
        fixture
            .events()
            .await
            .iter()
            .filter(|event| event.kind == EventKind::PasswordRehashed && event.user == Some(ana))
            .count(),
        1
    );
    present(&fixture.identity, PASSWORD).await.unwrap();
    present(&costlier, PASSWORD).await.unwrap();
    assert_eq!(
        stored().await,
        second,
        "neither costlier nor cheaper ones follow"
    );
}

#[tokio::test]
async fn no_secret_reaches_the_audit_log() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let secret = fixture.enroll(ana).await;
    let token = fixture.token("ana", identity::NewTokenScope::Account).await;
    let code = fixture.code(&secret, 0);
    fixture.present_token(&token).await.unwrap();
    fixture
        .present_token(&format!("{token}A"))
        .await
        .unwrap_err();
    for action in [PERMITTED, NOT_PERMITTED] {
        let _ = fixture.present_password("ana", PASSWORD, action).await;
        fixture
            .present_password(&token, "hush-hush", action)
            .await
            .unwrap_err();
        fixture
            .present_password("hush-hush", &token, action)
            .await
            .unwrap_err();
    }
    let caller = fixture.prove("ana", PASSWORD, Some(&code)).await.unwrap();
    assert_eq!(caller.assurance.second_factor.unwrap().factor, Factor::Totp);
    let log = format!("{:?}", fixture.events().await);
    for hidden in [
        PASSWORD,
        &token,
        &token[..40],
        secret.expose(),
        "hush-hush",
        "$argon2",
    ] {
        assert!(!log.contains(hidden), "{hidden}");
    }
    // Six digits may be part of an identifier; these details have none.
    for event in fixture.events().await {
        let is_authentication = matches!(
            event.kind,
            EventKind::AuthenticationSucceeded | EventKind::AuthenticationFailed
        );
        assert!(!is_authentication || !event.detail.to_string().contains(&code));
    }
}

/// Each costs a hash, and a right one a session.
#[tokio::test]
async fn right_passwords_are_limited_for_one_name_from_one_address() {
    let some = vec![identity::limits::Limit {
        attempts: 3,
        window_seconds: 300,
    }];
    let fixture = Fixture::with(identity::Limits {
        password_checks: some,
        ..limits(1000)
    })
    .await;
    let ana = fixture.user("ana").await;
    for _ in 0..3 {
        fixture.logged_in("ana").await;
    }
    let refusal = fixture.log_in("ana", PASSWORD, None).await.unwrap_err();
    assert_eq!(
        refusal.kind,
        gate::RefusalKind::Limited {
            retry_after_seconds: 300
        }
    );
    let elsewhere = fixture.attempt_from("203.0.113.9");
    let secret = identity::Secret::new(PASSWORD.to_owned());
    fixture
        .identity
        .logins()
        .with_password(
            RequestContext::new(&fixture.gate, &elsewhere),
            "ana",
            secret,
            None,
        )
        .await
        .unwrap();
    assert_eq!(fixture.sessions(ana).await.len(), 4);
}

/// Its owner sees that somebody tried, without a flood of entries.
#[tokio::test]
async fn who_has_to_wait_for_the_password_is_on_record_once_a_minute() {
    let fixture = Fixture::with(limits(2)).await;
    let ana = fixture.user("ana").await;
    for _ in 0..2 {
        fixture
            .log_in("ana", "wrong horse", None)
            .await
            .unwrap_err();
    }
    for name in ["ana", "ana@example.org", "nobody"] {
        for _ in 0..5 {
            let refusal = fixture.log_in(name, PASSWORD, None).await.unwrap_err();
            assert!(
                matches!(refusal.kind, gate::RefusalKind::Limited { .. }),
                "{name}"
            );
        }
    }
    let whose = async || -> Vec<_> {
        fixture
            .events()
            .await
            .into_iter()
            .filter(|event| event.detail["reason"] == "too-many-attempts")
            .map(|event| event.user)
            .collect()
    };
    let limited = whose().await;
    assert_eq!(
        (
            limited.len(),
            limited.into_iter().flatten().collect::<Vec<_>>()
        ),
        (15, vec![ana])
    );
    fixture.clock.advance_seconds(60);
    fixture.log_in("ana", PASSWORD, None).await.unwrap_err();
    assert_eq!(whose().await.last(), Some(&Some(ana)));
}

/// Anyone can send a name with a password that is refused unread.
#[tokio::test]
async fn what_is_refused_unread_hides_no_guess_at_an_account() {
    let fixture = Fixture::with(limits(1000)).await;
    let ana = fixture.user("ana").await;
    // More than are recorded for one address, and for one account.
    for _ in 0..130 {
        fixture
            .present_password("ana", "x", Action::TokenList)
            .await
            .unwrap_err();
    }
    fixture
        .log_in("ana", "wrong horse", None)
        .await
        .unwrap_err();
    let events = fixture.events().await;
    let guess = events
        .iter()
        .find(|event| event.detail["reason"] == "wrong-password")
        .expect("the guess is on record");
    assert_eq!(guess.user, Some(ana));
}
