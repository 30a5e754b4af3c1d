use model::{KeyId, UserId};
use storage::keys::{KeyKind, NewKey};
use storage::{Conflict, Result, Storage};

use crate::fixture::{at, at_once, commit, conflict, on_both, user};

fn new(user: UserId, name: &'static str, credential_id: &'static [u8]) -> NewKey<'static> {
    NewKey {
        id: KeyId::new(),
        user,
        name,
        kind: KeyKind::SecurityKey,
        credential_id,
        credential: r#"{"counter":0}"#,
        counter: 0,
        added_at: at(10),
    }
}

async fn add(storage: &Storage, key: &NewKey<'_>) -> Result<KeyId> {
    commit(storage, async |unit| unit.add_key(key).await).await?;
    Ok(key.id)
}

async fn enroll_totp(storage: &Storage, user: UserId) {
    commit(storage, async |unit| {
        unit.set_totp(user, "JBSWY3DPEHPK3PXP", None, at(10)).await
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_key_is_found_by_its_credential_with_its_user() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "ada").await;
        assert!(
            !storage
                .user(ada)
                .await
                .unwrap()
                .unwrap()
                .facts()
                .factors
                .any()
        );
        let key = NewKey {
            kind: KeyKind::Passkey,
            counter: 4,
            ..new(ada, "Blue key", b"\0credential")
        };
        let id = add(storage, &key).await.unwrap();
        let (found, of) = storage
            .key_by_credential_id(b"\0credential")
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (found.id, found.user, of.id, found.name.as_str(), found.kind),
            (id, ada, ada, "Blue key", KeyKind::Passkey)
        );
        assert_eq!(
            (
                found.credential.as_str(),
                found.counter,
                found.added_at,
                found.last_used_at
            ),
            (r#"{"counter":0}"#, 4, at(10), None)
        );
        assert_eq!(storage.keys_of(ada).await.unwrap(), [found]);
        assert!(
            storage
                .user(ada)
                .await
                .unwrap()
                .unwrap()
                .facts()
                .factors
                .webauthn,
            "an enrolled factor"
        );
        assert!(
            storage
                .key_by_credential_id(b"another")
                .await
                .unwrap()
                .is_none()
        );
    })
    .await;
}

#[tokio::test]
async fn a_credential_is_enrolled_once_and_a_name_once_for_each_user() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let (ada, bob) = (user(storage, "ada").await, user(storage, "bob").await);
        let first = add(storage, &new(ada, "Blue", b"one")).await.unwrap();
        assert_eq!(
            conflict(add(storage, &new(bob, "Blue", b"one")).await),
            Conflict::KeyTaken
        );
        assert_eq!(
            conflict(add(storage, &new(ada, "bLUE", b"two")).await),
            Conflict::KeyNameTaken
        );
        add(storage, &new(bob, "Blue", b"two")).await.unwrap();
        let red = add(storage, &new(ada, "Red", b"three")).await.unwrap();
        let rename = async |user, key, name: &'static str| {
            commit(storage, async |unit| unit.rename_key(user, key, name).await).await
        };
        assert_eq!(
            conflict(rename(ada, red, "BLUE").await),
            Conflict::KeyNameTaken
        );
        assert!(
            rename(ada, first, "BLUE").await.unwrap(),
            "a name's own case may change"
        );
        assert!(
            !rename(bob, first, "mine").await.unwrap(),
            "the key of somebody else"
        );
        assert_eq!(
            storage
                .keys_of(ada)
                .await
                .unwrap()
                .iter()
                .map(|key| key.name.as_str())
                .collect::<Vec<_>>(),
            ["BLUE", "Red"]
        );
        assert_eq!(
            conflict(add(storage, &new(UserId::new(), "x", b"four")).await),
            Conflict::ReferenceGone
        );
    })
    .await;
}

#[tokio::test]
async fn names_and_credentials_have_a_longest_length() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "ada").await;
        let name = "ü".repeat(101);
        assert_eq!(
            conflict(
                add(
                    storage,
                    &NewKey {
                        name: &name,
                        ..new(ada, "", b"one")
                    }
                )
                .await
            ),
            Conflict::TextRefused
        );
        assert_eq!(
            conflict(
                add(
                    storage,
                    &NewKey {
                        credential_id: &[7; 1024],
                        ..new(ada, "a", b"")
                    }
                )
                .await
            ),
            Conflict::TextRefused
        );
        let key = add(
            storage,
            &NewKey {
                credential_id: &[7; 1023],
                ..new(ada, "a", b"")
            },
        )
        .await
        .unwrap();
        assert_eq!(
            conflict(commit(storage, async |unit| unit.rename_key(ada, key, &name).await).await),
            Conflict::TextRefused
        );
        assert_eq!(
            conflict(
                storage
                    .use_key(key, 0, 1, &"x".repeat(65_537), at(20))
                    .await
            ),
            Conflict::TextRefused
        );
    })
    .await;
}

#[tokio::test]
async fn a_counter_only_rises_unless_the_key_does_not_count() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "ada").await;
        let counts = add(
            storage,
            &NewKey {
                counter: 5,
                ..new(ada, "counts", b"one")
            },
        )
        .await
        .unwrap();
        let uses = async |key, old, new| {
            storage
                .use_key(key, old, new, r#"{"counter":6}"#, at(20))
                .await
                .unwrap()
        };
        for (old, new) in [(5, 5), (5, 4), (5, 0), (4, 6), (0, 0)] {
            assert!(!uses(counts, old, new).await, "{old} to {new}");
        }
        assert!(uses(counts, 5, 6).await);
        assert!(!uses(counts, 5, 6).await, "once");
        let row = &storage.keys_of(ada).await.unwrap()[0];
        assert_eq!(
            (row.counter, row.credential.as_str(), row.last_used_at),
            (6, r#"{"counter":6}"#, Some(at(20)))
        );
        let counts_not = add(storage, &new(ada, "counts not", b"two")).await.unwrap();
        assert!(uses(counts_not, 0, 0).await && uses(counts_not, 0, 0).await);
        assert!(uses(counts_not, 0, 1).await, "it began to count");
        assert!(
            !uses(counts_not, 1, 0).await && !uses(counts_not, 0, 0).await,
            "and does not stop"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_counter_passes_once() {
    on_both(async |fixture| {
        let ada = user(&fixture.storage, "ada").await;
        let key = add(&fixture.storage, &new(ada, "key", b"one"))
            .await
            .unwrap();
        for round in 0..8 {
            let passed = at_once(&fixture, 8, |storage, _| async move {
                storage
                    .use_key(key, round, round + 1, "{}", at(20))
                    .await
                    .unwrap()
            })
            .await;
            assert_eq!(passed.iter().filter(|passed| **passed).count(), 1);
        }
    })
    .await;
}

#[tokio::test]
async fn the_last_factor_stays_where_one_must_be_left() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let (ada, bob) = (user(storage, "ada").await, user(storage, "bob").await);
        let (first, second) = (
            add(storage, &new(ada, "a", b"one")).await.unwrap(),
            add(storage, &new(ada, "b", b"two")).await.unwrap(),
        );
        let remove_key = async |user, key, must| {
            commit(storage, async |unit| unit.remove_key(user, key, must).await).await
        };
        let remove_totp =
            async |must| commit(storage, async |unit| unit.remove_totp(ada, must).await).await;
        assert!(
            !remove_key(bob, first, false).await.unwrap(),
            "the key of somebody else"
        );
        assert_eq!(
            storage
                .begin()
                .await
                .unwrap()
                .count_keys(ada)
                .await
                .unwrap(),
            2
        );
        assert!(remove_key(ada, first, true).await.unwrap());
        assert!(!remove_key(ada, first, true).await.unwrap(), "gone already");
        assert_eq!(
            conflict(remove_key(ada, second, true).await),
            Conflict::LastFactor
        );
        assert_eq!(
            storage.keys_of(ada).await.unwrap().len(),
            1,
            "nothing was written"
        );
        enroll_totp(storage, ada).await;
        assert!(remove_key(ada, second, true).await.unwrap());
        assert_eq!(conflict(remove_totp(true).await), Conflict::LastFactor);
        assert!(
            storage
                .user(ada)
                .await
                .unwrap()
                .unwrap()
                .facts()
                .factors
                .totp
        );
        add(storage, &new(ada, "c", b"three")).await.unwrap();
        assert!(remove_totp(true).await.unwrap());
        assert!(!remove_totp(true).await.unwrap());
        enroll_totp(storage, ada).await;
        assert_eq!(
            commit(storage, async |unit| unit.remove_keys(ada).await)
                .await
                .unwrap(),
            1
        );
        assert!(remove_totp(false).await.unwrap());
        assert!(
            !storage
                .user(ada)
                .await
                .unwrap()
                .unwrap()
                .facts()
                .factors
                .any()
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_all_factors_removed_at_once_one_is_left() {
    on_both(async |fixture| {
        for round in 0..8 {
            let storage = &fixture.storage;
            let ada = user(storage, &format!("ada{round}")).await;
            let mut keys = Vec::new();
            for number in 0..3_u8 {
                let key = NewKey {
                    id: KeyId::new(),
                    user: ada,
                    name: &number.to_string(),
                    credential_id: &[round, number],
                    ..new(ada, "", b"")
                };
                keys.push(add(storage, &key).await.unwrap());
            }
            enroll_totp(storage, ada).await;
            let results = at_once(&fixture, 4, |storage, number| {
                let key = keys.get(number).copied();
                async move {
                    match key {
                        Some(key) => {
                            commit(&storage, async |unit| unit.remove_key(ada, key, true).await)
                                .await
                        }
                        None => {
                            commit(&storage, async |unit| unit.remove_totp(ada, true).await).await
                        }
                    }
                }
            })
            .await;
            assert_eq!(
                results
                    .iter()
                    .filter(|result| matches!(result, Ok(true)))
                    .count(),
                3
            );
            assert_eq!(
                conflict(results.into_iter().find(Result::is_err).unwrap()),
                Conflict::LastFactor
            );
            assert!(
                storage
                    .user(ada)
                    .await
                    .unwrap()
                    .unwrap()
                    .facts()
                    .factors
                    .any()
            );
        }
    })
    .await;
}
