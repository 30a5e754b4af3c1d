use model::{CeremonyKind, SessionId, UserId};
use storage::ceremonies::NewCeremony;
use storage::{Conflict, Result, Storage};

use crate::fixture::{at, at_once, commit, conflict, hash, on_both, user};

async fn open(
    storage: &Storage,
    secret: u8,
    user: Option<UserId>,
    session: Option<SessionId>,
) -> Result<()> {
    let secret = hash(secret);
    let ceremony = NewCeremony {
        secret: &secret,
        kind: CeremonyKind::Login,
        user,
        session,
        state: r#"{"challenge":"x"}"#,
        created_at: at(10),
        expires_at: at(70),
    };
    storage.open_ceremony(&ceremony).await
}

#[tokio::test]
async fn a_ceremony_is_taken_once_for_what_it_was_opened_before_it_ends() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "ada").await;
        let session = SessionId::new();
        open(storage, 1, Some(ada), Some(session)).await.unwrap();
        let seen = storage
            .ceremony(&hash(1), CeremonyKind::Login, at(20))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (
                seen.user,
                seen.session,
                seen.state.expose().as_str(),
                seen.created_at
            ),
            (Some(ada), Some(session), r#"{"challenge":"x"}"#, at(10))
        );
        assert!(
            !format!("{seen:?}").contains("challenge"),
            "the state may be a secret"
        );
        let take = async |secret, kind, now| {
            storage
                .take_ceremony(&hash(secret), kind, at(now))
                .await
                .unwrap()
        };
        assert!(take(2, CeremonyKind::Login, 20).await.is_none());
        assert!(take(1, CeremonyKind::KeyStepUp, 20).await.is_none());
        assert!(
            take(1, CeremonyKind::Login, 70).await.is_none(),
            "it has ended"
        );
        assert_eq!(
            take(1, CeremonyKind::Login, 69).await.unwrap().session,
            Some(session)
        );
        assert!(take(1, CeremonyKind::Login, 69).await.is_none());
        assert!(
            storage
                .ceremony(&hash(1), CeremonyKind::Login, at(20))
                .await
                .unwrap()
                .is_none()
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_several_who_take_a_ceremony_at_once_one_gets_it() {
    on_both(async |fixture| {
        for round in 1..=10 {
            open(&fixture.storage, round, None, None).await.unwrap();
            let taken = at_once(&fixture, 8, |storage, _| async move {
                storage
                    .take_ceremony(&hash(round), CeremonyKind::Login, at(20))
                    .await
                    .unwrap()
                    .is_some()
            })
            .await;
            assert_eq!(taken.iter().filter(|taken| **taken).count(), 1);
        }
    })
    .await;
}

#[tokio::test]
async fn ended_ceremonies_are_forgotten_and_a_users_dropped() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let (ada, bob) = (user(storage, "ada").await, user(storage, "bob").await);
        let kept = SessionId::new();
        for (secret, user, session) in [
            (1, Some(ada), None),
            (2, Some(ada), Some(kept)),
            (3, Some(ada), Some(SessionId::new())),
            (4, Some(bob), None),
            (5, None, None),
        ] {
            open(storage, secret, user, session).await.unwrap();
        }
        let left = async || {
            let mut left = Vec::new();
            for secret in 1..=5 {
                left.extend(
                    storage
                        .ceremony(&hash(secret), CeremonyKind::Login, at(20))
                        .await
                        .unwrap()
                        .map(|_| secret),
                );
            }
            left
        };
        assert_eq!(
            commit(storage, async |unit| unit
                .drop_ceremonies(ada, Some(kept))
                .await)
            .await
            .unwrap(),
            2
        );
        assert_eq!(left().await, [2, 4, 5]);
        assert_eq!(
            commit(storage, async |unit| unit
                .drop_ceremonies_before_sessions(bob)
                .await)
            .await
            .unwrap(),
            1
        );
        open(storage, 4, Some(bob), None).await.unwrap();
        assert_eq!(
            commit(storage, async |unit| unit
                .drop_ceremonies_before_sessions(ada)
                .await)
            .await
            .unwrap(),
            0
        );
        assert_eq!(
            commit(storage, async |unit| unit.drop_ceremonies(ada, None).await)
                .await
                .unwrap(),
            1
        );
        assert_eq!(left().await, [4, 5]);
        assert_eq!(storage.forget_ended_ceremonies(at(69)).await.unwrap(), 0);
        assert_eq!(storage.forget_ended_ceremonies(at(70)).await.unwrap(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_ceremony_has_a_known_user_a_new_secret_and_a_bounded_state() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        assert_eq!(
            conflict(open(storage, 1, Some(UserId::new()), None).await),
            Conflict::ReferenceGone
        );
        open(storage, 1, None, None).await.unwrap();
        assert_eq!(
            conflict(open(storage, 1, None, None).await),
            Conflict::IdTaken
        );
        let state = "x".repeat(65_537);
        let long = NewCeremony {
            secret: &hash(2),
            kind: CeremonyKind::Login,
            user: None,
            session: None,
            state: &state,
            created_at: at(10),
            expires_at: at(70),
        };
        assert_eq!(
            conflict(storage.open_ceremony(&long).await),
            Conflict::TextRefused
        );
    })
    .await;
}
