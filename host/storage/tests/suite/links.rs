use model::{LinkPurpose, UserId};
use storage::links::NewLink;
use storage::{Conflict, Result, Storage};

use crate::fixture::{at, at_once, commit, conflict, hash, on_both, user};

async fn create(
    storage: &Storage,
    secret: u8,
    purpose: LinkPurpose,
    user: Option<UserId>,
) -> Result<()> {
    let secret = hash(secret);
    let link = NewLink {
        secret: &secret,
        purpose,
        user,
        data: "ada@example.org",
        created_at: at(10),
        expires_at: at(70),
    };
    commit(storage, async |unit| unit.create_link(&link).await).await
}

#[tokio::test]
async fn a_link_is_taken_once_for_its_purpose_before_it_ends() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "ada").await;
        create(storage, 1, LinkPurpose::EmailVerify, Some(ada))
            .await
            .unwrap();
        let seen = storage
            .link(&hash(1), LinkPurpose::EmailVerify, at(20))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (
                seen.user,
                seen.data.expose().as_str(),
                seen.created_at,
                seen.expires_at
            ),
            (Some(ada), "ada@example.org", at(10), at(70))
        );
        assert!(
            !format!("{seen:?}").contains("example"),
            "the data may be a secret"
        );
        let take = async |secret, purpose, now| {
            commit(storage, async |unit| {
                unit.take_link(&hash(secret), purpose, at(now)).await
            })
            .await
            .unwrap()
        };
        assert!(take(2, LinkPurpose::EmailVerify, 20).await.is_none());
        assert!(take(1, LinkPurpose::PasswordReset, 20).await.is_none());
        assert!(
            take(1, LinkPurpose::EmailVerify, 70).await.is_none(),
            "it has ended"
        );
        assert_eq!(
            take(1, LinkPurpose::EmailVerify, 69).await.unwrap().user,
            Some(ada)
        );
        assert!(take(1, LinkPurpose::EmailVerify, 69).await.is_none());
        assert!(
            storage
                .link(&hash(1), LinkPurpose::EmailVerify, at(20))
                .await
                .unwrap()
                .is_none()
        );
    })
    .await;
}

#[tokio::test]
async fn a_link_taken_in_a_unit_that_fails_is_there_again() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        create(storage, 1, LinkPurpose::FirstUser, None)
            .await
            .unwrap();
        let mut unit = storage.begin().await.unwrap();
        assert!(
            unit.take_link(&hash(1), LinkPurpose::FirstUser, at(20))
                .await
                .unwrap()
                .is_some()
        );
        drop(unit);
        assert!(
            commit(storage, async |unit| unit
                .take_link(&hash(1), LinkPurpose::FirstUser, at(20))
                .await)
            .await
            .unwrap()
            .is_some()
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_several_who_take_a_link_at_once_one_gets_it() {
    on_both(async |fixture| {
        for round in 1..=10 {
            create(&fixture.storage, round, LinkPurpose::PasswordReset, None)
                .await
                .unwrap();
            let taken = at_once(&fixture, 8, |storage, _| async move {
                commit(&storage, async |unit| {
                    unit.take_link(&hash(round), LinkPurpose::PasswordReset, at(20))
                        .await
                })
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
async fn links_are_dropped_by_user_and_by_purpose_and_forgotten_at_their_end() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let (ada, bob) = (user(storage, "ada").await, user(storage, "bob").await);
        let all = [
            (1, LinkPurpose::PasswordReset, Some(ada)),
            (2, LinkPurpose::EmailVerify, Some(ada)),
            (3, LinkPurpose::PasswordReset, Some(bob)),
            (4, LinkPurpose::PasswordReset, None),
            (5, LinkPurpose::FirstUser, None),
            (6, LinkPurpose::EmailVerify, None),
        ];
        for (secret, purpose, user) in all {
            create(storage, secret, purpose, user).await.unwrap();
        }
        let left = async || {
            let mut left = Vec::new();
            for (secret, purpose, _) in all {
                left.extend(
                    storage
                        .link(&hash(secret), purpose, at(20))
                        .await
                        .unwrap()
                        .map(|_| secret),
                );
            }
            left
        };
        assert_eq!(
            commit(storage, async |unit| unit
                .drop_links(ada, Some(LinkPurpose::PasswordReset))
                .await)
            .await
            .unwrap(),
            1
        );
        assert_eq!(left().await, [2, 3, 4, 5, 6]);
        assert_eq!(
            commit(storage, async |unit| unit.drop_links(ada, None).await)
                .await
                .unwrap(),
            1
        );
        assert_eq!(left().await, [3, 4, 5, 6]);
        assert_eq!(
            commit(storage, async |unit| unit
                .drop_links_for(LinkPurpose::FirstUser)
                .await)
            .await
            .unwrap(),
            1
        );
        assert_eq!(left().await, [3, 4, 6]);
        assert_eq!(storage.forget_ended_links(at(69)).await.unwrap(), 0);
        assert_eq!(storage.forget_ended_links(at(70)).await.unwrap(), 3);
    })
    .await;
}

/// Each adds one only if there is none, as for mails that must not pile up.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_several_who_find_no_link_one_does() {
    on_both(async |fixture| {
        let ada = user(&fixture.storage, "ada").await;
        let created = at_once(&fixture, 6, |storage, number| async move {
            commit(&storage, async |unit| {
                if unit
                    .live_links(ada, LinkPurpose::PasswordReset, at(10))
                    .await?
                    > 0
                {
                    return Ok(false);
                }
                let secret = [u8::try_from(number).unwrap(); 32];
                unit.create_link(&NewLink {
                    secret: &secret,
                    purpose: LinkPurpose::PasswordReset,
                    user: Some(ada),
                    data: "",
                    created_at: at(10),
                    expires_at: at(70),
                })
                .await?;
                Ok(true)
            })
            .await
            .unwrap()
        })
        .await;
        assert_eq!(created.into_iter().filter(|created| *created).count(), 1);
        let live = async |purpose: LinkPurpose, now| {
            commit(&fixture.storage, async |unit| {
                unit.live_links(ada, purpose, at(now)).await
            })
            .await
            .unwrap()
        };
        assert_eq!(
            (
                live(LinkPurpose::PasswordReset, 69).await,
                live(LinkPurpose::PasswordReset, 70).await,
                live(LinkPurpose::EmailVerify, 69).await
            ),
            (1, 0, 0)
        );
        let nobody = commit(&fixture.storage, async |unit| {
            unit.live_links(model::UserId::new(), LinkPurpose::PasswordReset, at(10))
                .await
        })
        .await;
        assert_eq!(nobody.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_link_has_a_known_user_a_new_secret_and_bounded_data() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        assert_eq!(
            conflict(create(storage, 1, LinkPurpose::PasswordReset, Some(UserId::new())).await),
            Conflict::ReferenceGone
        );
        create(storage, 1, LinkPurpose::PasswordReset, None)
            .await
            .unwrap();
        assert_eq!(
            conflict(create(storage, 1, LinkPurpose::EmailVerify, None).await),
            Conflict::IdTaken
        );
        let data = "x".repeat(16_385);
        let long = NewLink {
            secret: &hash(2),
            purpose: LinkPurpose::PasswordReset,
            user: None,
            data: &data,
            created_at: at(10),
            expires_at: at(70),
        };
        assert_eq!(
            conflict(commit(storage, async |unit| unit.create_link(&long).await).await),
            Conflict::TextRefused
        );
    })
    .await;
}
