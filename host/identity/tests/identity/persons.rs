use gate::RefusalKind;
use identity::{Limits, PersonalProof, RequestContext, Secret};
use model::audit::EventKind;
use model::{Action, CredentialKind, Factor, FactorUse};
use proptest::prelude::*;

use crate::fixture::{Fixture, NOW, PASSWORD, code_at, limits, user_name};

#[tokio::test]
async fn password_and_code_prove_a_person_for_this_request() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let secret = fixture.enroll(ana).await;
    let code = fixture.code(&secret, 0);
    let spaced = format!("{} {}", &code[..3], &code[3..]);
    let caller = fixture.prove("ana", PASSWORD, Some(&spaced)).await.unwrap();
    assert_eq!(
        (caller.credential, caller.user().unwrap().id, caller.token),
        (CredentialKind::Session, ana, None)
    );
    assert_eq!(caller.assurance.password_at, Some(NOW));
    assert_eq!(
        caller.assurance.second_factor,
        Some(FactorUse {
            factor: Factor::Totp,
            at: NOW
        })
    );
    let event = fixture.events().await.pop().unwrap();
    assert_eq!(
        (event.kind, event.detail["second-factor"].as_str()),
        (EventKind::AuthenticationSucceeded, Some("totp"))
    );
}

#[tokio::test]
async fn without_totp_no_second_factor_is_proven() {
    let fixture = Fixture::new().await;
    fixture.user("ben").await;
    for code in [None, Some("123456")] {
        let caller = fixture.prove("ben", PASSWORD, code).await.unwrap();
        assert_eq!(
            (caller.assurance.password_at, caller.assurance.second_factor),
            (Some(NOW), None)
        );
    }
}

#[tokio::test]
async fn who_has_no_code_learns_nothing_about_the_password_of_somebody_with_totp() {
    for password in [PASSWORD, "wrong horse"] {
        let fixture = Fixture::with(limits(3)).await;
        let ana = fixture.user("ana").await;
        fixture.enroll(ana).await;
        let unknown = fixture.prove("nobody", password, None).await.unwrap_err();
        for _ in 0..2 {
            let refusal = fixture.prove("ana", password, None).await.unwrap_err();
            assert_eq!(
                (refusal.kind, refusal.reasons),
                (unknown.kind.clone(), unknown.reasons.clone())
            );
        }
        let counted = fixture.prove("ana", password, None).await.unwrap_err();
        assert!(
            matches!(counted.kind, RefusalKind::Limited { .. }),
            "{password}: a missing code counts like a wrong password"
        );
    }
}

#[tokio::test]
async fn who_has_tried_too_many_codes_is_told_how_long_to_wait() {
    let some = |attempts| {
        vec![identity::limits::Limit {
            attempts,
            window_seconds: 300,
        }]
    };
    let fixture = Fixture::with(Limits {
        totp_per_user: some(2),
        ..limits(1000)
    })
    .await;
    let ana = fixture.user("ana").await;
    let secret = fixture.enroll(ana).await;
    let wrong_password = fixture
        .prove("ana", "wrong horse", Some("000"))
        .await
        .unwrap_err();
    for _ in 0..2 {
        let refusal = fixture
            .prove("ana", PASSWORD, Some("000"))
            .await
            .unwrap_err();
        assert_eq!(
            (refusal.kind, refusal.reasons),
            (wrong_password.kind.clone(), wrong_password.reasons.clone())
        );
        assert_eq!(fixture.last_failure().await, "wrong-code");
    }
    for code in ["000".to_owned(), fixture.code(&secret, 0)] {
        let refusal = fixture
            .prove("ana", PASSWORD, Some(&code))
            .await
            .unwrap_err();
        assert_eq!(
            refusal.kind,
            RefusalKind::Limited {
                retry_after_seconds: 300
            },
            "a right one is not looked at either"
        );
    }
    let refusal = fixture
        .prove("ana", "wrong horse", Some("000"))
        .await
        .unwrap_err();
    assert_eq!(
        refusal.kind,
        RefusalKind::Denied,
        "no stranger uses up the codes of others"
    );
}

#[tokio::test]
async fn a_code_that_was_proven_and_not_spent_can_be_sent_again_and_spent_once() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let secret = fixture.enroll(ana).await;
    let code = fixture.code(&secret, 0);
    let attempt = fixture.attempt();
    let prove = async || {
        fixture
            .prove_unspent(&attempt, ("ana", PASSWORD, Some(&code)))
            .await
    };
    let (_, refused_later) = prove().await.unwrap();
    drop(refused_later);
    let [first, second] = [
        prove().await.unwrap().1.unwrap(),
        prove().await.unwrap().1.unwrap(),
    ];
    let spend = async |code| {
        fixture
            .identity
            .proofs()
            .spend_code(
                RequestContext::new(&fixture.gate, &attempt),
                Action::ReleasePublish,
                code,
            )
            .await
    };
    spend(&second).await.unwrap();
    for code in [&first, &second] {
        assert_eq!(spend(code).await.unwrap_err().kind, RefusalKind::Denied);
        assert_eq!(fixture.last_failure().await, "code-used-before");
    }
    assert!(
        prove().await.is_err(),
        "a spent code proves nothing any more"
    );
}

#[tokio::test]
async fn a_wrong_password_and_a_wrong_code_are_refused_in_the_same_words() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let secret = fixture.enroll(ana).await;
    let right = fixture.code(&secret, 0);
    let wrong = fixture.wrong_code(&secret);
    let mut answers = Vec::new();
    for (user, password, code, why) in [
        ("ana", PASSWORD, Some(&*wrong), "wrong-code"),
        ("ana", PASSWORD, Some(""), "wrong-code"),
        ("ana", PASSWORD, None, "no-code"),
        ("ana", "wrong horse", Some(&*right), "wrong-password"),
        ("ana", "wrong horse", Some(&*wrong), "wrong-password"),
        ("ana", "wrong horse", None, "wrong-password"),
        ("nobody", PASSWORD, Some(&*right), "unknown-user"),
    ] {
        let refusal = fixture.prove(user, password, code).await.unwrap_err();
        assert_eq!(fixture.last_failure().await, why);
        answers.push((refusal.kind, refusal.reasons));
    }
    assert!(
        answers.windows(2).all(|pair| pair[0] == pair[1]),
        "{answers:?}"
    );
    assert!(
        fixture.prove("ana", PASSWORD, Some(&right)).await.is_ok(),
        "a wrong password does not use up a code"
    );
}

#[tokio::test]
async fn a_code_works_once_and_none_of_an_earlier_step_after_it() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let secret = fixture.enroll(ana).await;
    let [before, now, after] = [-1, 0, 1].map(|steps| fixture.code(&secret, steps));
    fixture.prove("ana", PASSWORD, Some(&now)).await.unwrap();
    for code in [&now, &before] {
        fixture
            .prove("ana", PASSWORD, Some(code))
            .await
            .unwrap_err();
        assert_eq!(fixture.last_failure().await, "code-used-before");
    }
    fixture.prove("ana", PASSWORD, Some(&after)).await.unwrap();
    fixture
        .prove("ana", PASSWORD, Some(&now))
        .await
        .unwrap_err();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_send_one_code_at_once_one_is_believed() {
    let fixture = std::sync::Arc::new(Fixture::new().await);
    let ana = fixture.user("ana").await;
    let secret = fixture.enroll(ana).await;
    let code = fixture.code(&secret, 0);
    let proofs: Vec<_> = (0..12)
        .map(|_| {
            let (fixture, code) = (fixture.clone(), code.clone());
            tokio::spawn(async move { fixture.prove("ana", PASSWORD, Some(&code)).await.is_ok() })
        })
        .collect();
    let mut believed = 0;
    for proof in proofs {
        believed += usize::from(proof.await.unwrap());
    }
    assert_eq!(believed, 1);
}

#[tokio::test]
async fn a_person_is_not_looked_at_where_no_policy_could_permit_a_session() {
    let fixture = Fixture::new().await;
    fixture.user("ana").await;
    let mut answers = Vec::new();
    for password in [PASSWORD, "wrong horse"] {
        let attempt = fixture.attempt();
        let password = Secret::new(password.to_owned());
        let proof = PersonalProof {
            user_name: "ana",
            password: &password,
            totp_code: None,
            device: None,
            host: None,
        };
        let refusal = fixture
            .identity
            .proofs()
            .prove_person(
                RequestContext::new(&fixture.gate, &attempt),
                Action::FileUpload,
                proof,
            )
            .await
            .unwrap_err()
            .refusal;
        assert_eq!(fixture.last_failure().await, "person-not-accepted");
        answers.push((refusal.kind, refusal.reasons));
    }
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn wrong_and_repeated_codes_count_against_the_limit() {
    let fixture = Fixture::with(limits(3)).await;
    let ana = fixture.user("ana").await;
    let secret = fixture.enroll(ana).await;
    let code = fixture.code(&secret, 0);
    fixture.prove("ana", PASSWORD, Some(&code)).await.unwrap();
    for code in [&*code, "000", &*code] {
        assert_eq!(
            fixture
                .prove("ana", PASSWORD, Some(code))
                .await
                .unwrap_err()
                .kind,
            RefusalKind::Denied
        );
    }
    let next = fixture.code(&secret, 1);
    assert!(matches!(
        fixture
            .prove("ana", PASSWORD, Some(&next))
            .await
            .unwrap_err()
            .kind,
        RefusalKind::Limited { .. }
    ));
}

#[tokio::test]
async fn a_stranger_cannot_use_up_the_codes_of_somebody() {
    let some = |attempts| {
        vec![identity::limits::Limit {
            attempts,
            window_seconds: 86_400,
        }]
    };
    let fixture = Fixture::with(Limits {
        totp_per_user: some(3),
        totp_per_address: some(3),
        ..limits(1000)
    })
    .await;
    let ana = fixture.user("ana").await;
    let secret = fixture.enroll(ana).await;
    for _ in 0..10 {
        assert_eq!(
            fixture
                .prove("ana", "guess", Some("123456"))
                .await
                .unwrap_err()
                .kind,
            RefusalKind::Denied
        );
        assert_eq!(
            fixture
                .prove("nobody", "guess", Some("123456"))
                .await
                .unwrap_err()
                .kind,
            RefusalKind::Denied
        );
    }
    fixture
        .prove("ana", PASSWORD, Some(&fixture.code(&secret, 0)))
        .await
        .unwrap();
}

/// The codes of a slow body are judged by the time at which they are checked.
#[tokio::test]
async fn an_old_code_does_not_live_on_in_a_request_that_began_early() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let secret = fixture.enroll(ana).await;
    let attempt = fixture.attempt();
    let code = fixture.code(&secret, 0);
    fixture.clock.advance_seconds(120);
    assert!(
        fixture
            .prove_unspent(&attempt, ("ana", PASSWORD, Some(&code)))
            .await
            .is_err()
    );
    assert_eq!(fixture.last_failure().await, "wrong-code");
}

#[derive(Clone, Debug)]
enum Move {
    Wait(i64),
    /// Send the code of the step at this distance from the current one.
    Send(i64),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let wait = prop_oneof![Just(1), Just(29), Just(30), Just(31), 0..120_i64].prop_map(Move::Wait);
    let send = (-3..=3_i64).prop_map(Move::Send);
    proptest::collection::vec(prop_oneof![1 => wait, 3 => send], 1..40)
}

#[test]
fn no_sequence_of_codes_has_a_step_accepted_twice() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let unlimited = Limits {
        totp_per_user: Vec::new(),
        ..limits(1000)
    };
    let fixture = runtime.block_on(Fixture::with(unlimited));
    let mut user_number = 0;
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(48));
    let mut play = |moves: Vec<Move>| -> Result<(), TestCaseError> {
        user_number += 1;
        let name = format!("user{user_number}");
        runtime.block_on(async {
            let user = fixture.user(&name).await;
            let secret: Secret<String> = fixture.enroll(user).await;
            let mut last = i64::MIN;
            for step in moves {
                let now = model::Clock::now(&*fixture.clock).seconds();
                match step {
                    Move::Wait(seconds) => fixture.clock.advance_seconds(seconds),
                    Move::Send(offset) => {
                        let sent = now.div_euclid(30) + offset;
                        let code = code_at(&secret, sent * 30);
                        let accepted = fixture
                            .identity
                            .tokens()
                            .prove_second_factor(&user_name(&name), &code)
                            .await
                            .is_ok();
                        // Six digits sometimes repeat; skip such a coincidence.
                        let is_unique = (-3..=3)
                            .filter(|other| {
                                code_at(&secret, (now.div_euclid(30) + other) * 30) == code
                            })
                            .count()
                            == 1;
                        if is_unique {
                            prop_assert_eq!(
                                accepted,
                                offset.abs() <= 1 && sent > last,
                                "step {} after {}",
                                sent,
                                last
                            );
                        }
                        if accepted {
                            last = sent;
                        }
                    }
                }
            }
            Ok(())
        })
    };
    let play = std::cell::RefCell::new(&mut play);
    runner
        .run(&moves(), |moves| (play.borrow_mut())(moves))
        .unwrap();
}
