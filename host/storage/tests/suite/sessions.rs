use std::time::Duration;

use model::audit::EventKind;
use model::{Assurance, CeremonyKind, Factor, FactorUse, PasswordState, SessionId, UserId};
use storage::ceremonies::NewCeremony;
use storage::sessions::NewSession;
use storage::{Conflict, Result, SecretHash, Storage, UnitOfWork};

use crate::fixture::{at, at_once, commit, conflict, event, hash, on_both, user};

const PROVEN: Assurance = Assurance {
    password_at: Some(at_100()),
    second_factor: Some(FactorUse {
        factor: Factor::Totp,
        at: at_100(),
    }),
    password_state: PasswordState::Clean,
};

const fn at_100() -> model::Timestamp {
    model::Timestamp::from_seconds(100)
}

async fn try_session(
    storage: &Storage,
    user: UserId,
    secret: &SecretHash,
    created_at: i64,
) -> Result<SessionId> {
    let id = SessionId::new();
    let session = NewSession {
        secret,
        id,
        user,
        created_at: at(created_at),
        expires_at: at(10_000),
        remote_address: "192.0.2.7",
        user_agent: "Firefox",
        assurance: PROVEN,
    };
    commit(storage, async |unit| unit.create_session(&session).await).await?;
    Ok(id)
}

async fn session(
    storage: &Storage,
    user: UserId,
    secret: &SecretHash,
    created_at: i64,
) -> SessionId {
    try_session(storage, user, secret, created_at)
        .await
        .unwrap()
}

async fn lives(storage: &Storage, secret: &SecretHash) -> bool {
    storage
        .session(secret, at(0), at(200))
        .await
        .unwrap()
        .is_some()
}

#[tokio::test]
async fn a_session_is_found_with_its_user_and_what_was_proven() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "ada").await;
        let id = session(storage, ada, &hash(1), 100).await;
        let found = storage
            .session(&hash(1), at(0), at(200))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (found.user.id, found.session.id, found.session.user),
            (ada, id, ada)
        );
        assert_eq!(
            (
                found.session.created_at,
                found.session.last_used_at,
                found.session.expires_at
            ),
            (at(100), at(100), at(10_000))
        );
        assert_eq!(
            (
                found.session.remote_address.as_str(),
                found.session.user_agent.as_str()
            ),
            ("192.0.2.7", "Firefox")
        );
        assert_eq!(found.session.assurance, PROVEN);
        assert!(!lives(storage, &hash(2)).await);
        assert_eq!(
            conflict(try_session(storage, ada, &hash(1), 100).await),
            Conflict::IdTaken
        );
    })
    .await;
}

#[tokio::test]
async fn of_more_than_100_sessions_of_a_user_the_oldest_end() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let (ada, bob) = (user(storage, "ada").await, user(storage, "bob").await);
        session(storage, bob, &hash(200), 50).await;
        for number in 1..=102 {
            session(storage, ada, &hash(number), 100 + i64::from(number)).await;
        }
        for (secret, lives_on) in [(1, false), (2, false), (3, true), (102, true), (200, true)] {
            assert_eq!(
                storage
                    .session(&hash(secret), at(0), at(300))
                    .await
                    .unwrap()
                    .is_some(),
                lives_on,
                "{secret}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_session_ends_when_it_is_idle_and_at_its_end() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "ada").await;
        session(storage, ada, &hash(1), 100).await;
        let lives = async |idle_since, now| {
            let found = storage
                .session(&hash(1), at(idle_since), at(now))
                .await
                .unwrap()
                .is_some();
            assert_eq!(
                storage
                    .sessions_of(ada, at(idle_since), at(now))
                    .await
                    .unwrap()
                    .len(),
                usize::from(found)
            );
            found
        };
        assert!(lives(99, 9_999).await);
        assert!(!lives(100, 9_999).await, "last used at 100");
        assert!(!lives(99, 10_000).await, "the end");
        assert_eq!(
            storage
                .forget_ended_sessions(at(99), at(9_999))
                .await
                .unwrap(),
            0
        );
        assert_eq!(
            storage
                .forget_ended_sessions(at(100), at(9_999))
                .await
                .unwrap(),
            1
        );
        session(storage, ada, &hash(1), 100).await;
        assert_eq!(
            storage
                .forget_ended_sessions(at(0), at(10_000))
                .await
                .unwrap(),
            1
        );
    })
    .await;
}

#[tokio::test]
async fn a_use_puts_the_idle_end_off_and_is_written_at_most_once_a_minute() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "ada").await;
        let id = session(storage, ada, &hash(1), 100).await;
        let last_used = async || {
            storage
                .session(&hash(1), at(0), at(200))
                .await
                .unwrap()
                .unwrap()
                .session
                .last_used_at
        };
        for (touched_at, written) in [(159, 100), (160, 160), (219, 160), (220, 220), (150, 220)] {
            storage.touch_session(id, at(touched_at)).await.unwrap();
            assert_eq!(last_used().await, at(written), "touched at {touched_at}");
        }
        storage
            .touch_session(SessionId::new(), at(300))
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn no_session_of_a_disabled_user_lives_and_none_is_made() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "ada").await;
        let id = session(storage, ada, &hash(1), 100).await;
        commit(storage, async |unit| {
            unit.disable_user(ada, "left", at(110)).await
        })
        .await
        .unwrap();
        assert!(!lives(storage, &hash(1)).await);
        assert_eq!(
            conflict(try_session(storage, ada, &hash(2), 120).await),
            Conflict::ReferenceGone
        );
        assert_eq!(
            conflict(try_session(storage, UserId::new(), &hash(2), 120).await),
            Conflict::ReferenceGone
        );
        let renewed = commit(storage, async |unit| {
            unit.renew_session(id, &hash(1), &hash(3), PROVEN, at(130))
                .await
        })
        .await
        .unwrap();
        assert!(!renewed, "a step-up revives nothing");
        commit(storage, async |unit| unit.enable_user(ada).await)
            .await
            .unwrap();
        assert!(lives(storage, &hash(1)).await && !lives(storage, &hash(3)).await);
    })
    .await;
}

#[tokio::test]
async fn a_renewed_session_keeps_its_id_and_forgets_the_old_secret() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "ada").await;
        let id = session(storage, ada, &hash(1), 100).await;
        let stepped_up = Assurance {
            password_at: None,
            second_factor: Some(FactorUse {
                factor: Factor::Webauthn,
                at: at(150),
            }),
            ..PROVEN
        };
        let renew = async |old: u8, new: u8, now| {
            commit(storage, async |unit| {
                unit.renew_session(id, &hash(old), &hash(new), stepped_up, at(now))
                    .await
            })
            .await
        };
        assert!(!renew(9, 2, 150).await.unwrap(), "not the secret it has");
        assert!(renew(1, 2, 150).await.unwrap());
        assert!(!lives(storage, &hash(1)).await);
        let found = storage
            .session(&hash(2), at(0), at(200))
            .await
            .unwrap()
            .unwrap()
            .session;
        assert_eq!(
            (
                found.id,
                found.created_at,
                found.last_used_at,
                found.assurance
            ),
            (id, at(100), at(150), stepped_up)
        );
        assert!(
            !renew(1, 3, 160).await.unwrap(),
            "the old secret renews nothing"
        );
        assert!(!renew(2, 3, 10_000).await.unwrap(), "it has ended");
        session(storage, ada, &hash(4), 100).await;
        assert_eq!(conflict(renew(2, 4, 160).await), Conflict::IdTaken);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_several_renewals_at_once_one_counts() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "ada").await;
        for round in 0..6 {
            let old = hash(200 + round);
            let id = session(storage, ada, &old, 100).await;
            let renewed = at_once(&fixture, 6, |storage, number| async move {
                let new = hash(number as u8 + 10 * round);
                commit(&storage, async |unit| {
                    unit.renew_session(id, &old, &new, PROVEN, at(150)).await
                })
                .await
                .unwrap()
            })
            .await;
            assert_eq!(renewed.iter().filter(|renewed| **renewed).count(), 1);
        }
    })
    .await;
}

#[tokio::test]
async fn sessions_are_listed_newest_first_and_ended_by_their_owner_only() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let (ada, bob) = (user(storage, "ada").await, user(storage, "bob").await);
        let first = session(storage, ada, &hash(1), 100).await;
        let second = session(storage, ada, &hash(2), 110).await;
        let third = session(storage, ada, &hash(3), 105).await;
        let of_bob = session(storage, bob, &hash(4), 100).await;
        let ids = async |user| {
            storage
                .sessions_of(user, at(0), at(200))
                .await
                .unwrap()
                .iter()
                .map(|session| session.id)
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(ada).await, [second, third, first]);
        assert!(
            !commit(storage, async |unit| unit.end_session(bob, first).await)
                .await
                .unwrap()
        );
        assert!(
            commit(storage, async |unit| unit.end_session(ada, first).await)
                .await
                .unwrap()
        );
        assert!(
            !commit(storage, async |unit| unit.end_session(ada, first).await)
                .await
                .unwrap(),
            "only once"
        );
        assert_eq!(
            commit(storage, async |unit| unit
                .end_sessions(ada, Some(third))
                .await)
            .await
            .unwrap(),
            1
        );
        assert_eq!(
            (ids(ada).await, ids(bob).await),
            (vec![third], vec![of_bob])
        );
        assert_eq!(
            commit(storage, async |unit| unit.end_sessions(ada, None).await)
                .await
                .unwrap(),
            1
        );
        assert_eq!((ids(ada).await, ids(bob).await), (vec![], vec![of_bob]));
    })
    .await;
}

#[tokio::test]
async fn with_a_session_ends_what_was_asked_of_its_browser() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "ada").await;
        let (kept, ended) = (
            session(storage, ada, &hash(1), 100).await,
            session(storage, ada, &hash(2), 100).await,
        );
        let open = async |secret: u8, session| {
            let secret = hash(secret);
            let ceremony = NewCeremony {
                secret: &secret,
                kind: CeremonyKind::KeyStepUp,
                user: Some(ada),
                session,
                state: "{}",
                created_at: at(100),
                expires_at: at(300),
            };
            storage.open_ceremony(&ceremony).await.unwrap();
        };
        let open_ones = async || {
            let mut open = Vec::new();
            for secret in 11..=14 {
                open.extend(
                    storage
                        .ceremony(&hash(secret), CeremonyKind::KeyStepUp, at(200))
                        .await
                        .unwrap()
                        .map(|_| secret),
                );
            }
            open
        };
        open(11, Some(kept)).await;
        open(12, Some(ended)).await;
        open(13, None).await;
        commit(storage, async |unit| unit.end_session(ada, ended).await)
            .await
            .unwrap();
        assert_eq!(open_ones().await, [11, 13]);
        commit(storage, async |unit| {
            unit.end_sessions(ada, Some(kept)).await
        })
        .await
        .unwrap();
        assert_eq!(
            open_ones().await,
            [11],
            "a login that waited for its second factor has ended too"
        );
        commit(storage, async |unit| unit.end_sessions(ada, None).await)
            .await
            .unwrap();
        assert!(open_ones().await.is_empty());
    })
    .await;
}

/// A login whose password was verified as `password` earlier: it creates a session, unless the
/// password was changed in between.
async fn log_in(unit: &mut UnitOfWork, user: UserId, password: &str, secret: u8) -> Result<bool> {
    let held = unit.hold_user(user).await?.unwrap();
    if held.password_hash.unwrap().expose() != password {
        return Ok(false);
    }
    let session = NewSession {
        secret: &hash(secret),
        id: SessionId::new(),
        user,
        created_at: at(100),
        expires_at: at(10_000),
        remote_address: "192.0.2.7",
        user_agent: "Firefox",
        assurance: PROVEN,
    };
    unit.create_session(&session).await?;
    Ok(true)
}

async fn change_password(unit: &mut UnitOfWork, user: UserId, password: &str) -> Result<u64> {
    unit.set_password_hash(user, password, at(100)).await?;
    unit.end_sessions(user, None).await
}

#[tokio::test]
async fn a_login_waits_for_a_change_of_the_password_and_sees_it() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "ada").await;
        commit(storage, async |unit| {
            unit.set_password_hash(ada, "old", at(90)).await
        })
        .await
        .unwrap();
        let mut changing = storage.begin().await.unwrap();
        change_password(&mut changing, ada, "new").await.unwrap();
        let other = fixture.again().await;
        let mut login = tokio::spawn(async move {
            commit(&other, async |unit| log_in(unit, ada, "old", 1).await)
                .await
                .unwrap()
        });
        assert!(
            tokio::time::timeout(Duration::from_millis(200), &mut login)
                .await
                .is_err(),
            "it did not wait"
        );
        changing
            .commit(&event(EventKind::PasswordSet))
            .await
            .unwrap();
        assert!(!login.await.unwrap());
        assert!(!lives(storage, &hash(1)).await);
    })
    .await;
}

#[tokio::test]
async fn a_change_of_the_password_waits_for_a_login_and_ends_its_session() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "ada").await;
        commit(storage, async |unit| {
            unit.set_password_hash(ada, "old", at(90)).await
        })
        .await
        .unwrap();
        let mut login = storage.begin().await.unwrap();
        assert!(log_in(&mut login, ada, "old", 1).await.unwrap());
        let other = fixture.again().await;
        let mut change = tokio::spawn(async move {
            commit(&other, async |unit| change_password(unit, ada, "new").await)
                .await
                .unwrap()
        });
        assert!(
            tokio::time::timeout(Duration::from_millis(200), &mut change)
                .await
                .is_err(),
            "it did not wait"
        );
        login
            .commit(&event(EventKind::SessionStarted))
            .await
            .unwrap();
        assert_eq!(change.await.unwrap(), 1);
        assert!(!lives(storage, &hash(1)).await);
    })
    .await;
}

#[tokio::test]
async fn ending_all_sessions_waits_for_one_that_is_being_created() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "ada").await;
        commit(storage, async |unit| {
            unit.set_password_hash(ada, "old", at(90)).await
        })
        .await
        .unwrap();
        let mut login = storage.begin().await.unwrap();
        assert!(log_in(&mut login, ada, "old", 1).await.unwrap());
        let other = fixture.again().await;
        let mut ending = tokio::spawn(async move {
            commit(&other, async |unit| unit.end_sessions(ada, None).await)
                .await
                .unwrap()
        });
        assert!(
            tokio::time::timeout(Duration::from_millis(200), &mut ending)
                .await
                .is_err(),
            "it did not wait"
        );
        login
            .commit(&event(EventKind::SessionStarted))
            .await
            .unwrap();
        assert_eq!(ending.await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_a_browser_says_of_itself_is_cut() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "ada").await;
        let session = NewSession {
            secret: &hash(1),
            id: SessionId::new(),
            user: ada,
            created_at: at(100),
            expires_at: at(10_000),
            remote_address: "192.0.2.7",
            user_agent: &format!("a\0{}", "ü".repeat(9_000)),
            assurance: Assurance::NONE,
        };
        commit(storage, async |unit| unit.create_session(&session).await)
            .await
            .unwrap();
        let found = storage
            .session(&hash(1), at(0), at(200))
            .await
            .unwrap()
            .unwrap()
            .session;
        assert_eq!(
            (
                found.user_agent.chars().count(),
                found.user_agent.contains('\0')
            ),
            (500, false)
        );
        assert_eq!(found.assurance, Assurance::NONE);
    })
    .await;
}
