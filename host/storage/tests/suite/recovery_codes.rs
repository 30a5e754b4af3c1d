use model::UserId;
use storage::recovery_codes::RecoveryCodes;
use storage::{Conflict, Storage};

use crate::fixture::{at, at_once, commit, conflict, hash, on_both, user};

#[tokio::test]
async fn a_code_burns_once_and_only_for_its_owner() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let (ada, bob) = (user(storage, "ada").await, user(storage, "bob").await);
        assert_eq!(
            storage.recovery_codes_of(ada).await.unwrap(),
            RecoveryCodes::default()
        );
        let codes: Vec<_> = (1..=8).map(hash).collect();
        commit(storage, async |unit| {
            unit.replace_recovery_codes(ada, &codes, at(10)).await
        })
        .await
        .unwrap();
        let spend = async |user, code| {
            commit(storage, async |unit| {
                unit.spend_recovery_code(user, &hash(code), at(20)).await
            })
            .await
            .unwrap()
        };
        assert_eq!((spend(bob, 1).await, spend(ada, 9).await), (None, None));
        assert_eq!(spend(ada, 1).await, Some(7));
        assert_eq!(spend(ada, 1).await, None);
        assert_eq!(
            storage.recovery_codes_of(ada).await.unwrap(),
            RecoveryCodes {
                total: 8,
                unused: 7,
                generated_at: Some(at(10)),
                confirmed_at: None
            }
        );
        assert_eq!(
            storage.recovery_codes_of(bob).await.unwrap(),
            RecoveryCodes::default()
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_code_is_accepted_once() {
    on_both(async |fixture| {
        let ada = user(&fixture.storage, "ada").await;
        let codes: Vec<_> = (1..=8).map(hash).collect();
        commit(&fixture.storage, async |unit| {
            unit.replace_recovery_codes(ada, &codes, at(10)).await
        })
        .await
        .unwrap();
        for code in codes {
            let spend = |storage: Storage, _| async move {
                commit(&storage, async |unit| {
                    unit.spend_recovery_code(ada, &code, at(20)).await
                })
                .await
                .unwrap()
            };
            let left = at_once(&fixture, 8, spend).await;
            assert_eq!(left.iter().flatten().count(), 1);
        }
        assert_eq!(
            fixture.storage.recovery_codes_of(ada).await.unwrap().unused,
            0
        );
    })
    .await;
}

#[tokio::test]
async fn codes_are_confirmed_by_using_one_and_anew_when_they_are_replaced() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "ada").await;
        let replace = async |codes: &[storage::SecretHash], now| {
            commit(storage, async |unit| {
                unit.replace_recovery_codes(ada, codes, at(now)).await
            })
            .await
        };
        let confirm = async |now| {
            commit(storage, async |unit| {
                unit.confirm_recovery_codes(ada, at(now)).await
            })
            .await
            .unwrap()
        };
        assert!(!confirm(5).await, "there are none");
        replace(&[hash(1), hash(2)], 10).await.unwrap();
        assert!(!confirm(11).await, "none was used");
        let spend = async |code, now| {
            commit(storage, async |unit| {
                unit.spend_recovery_code(ada, &hash(code), at(now)).await
            })
            .await
            .unwrap()
        };
        assert_eq!(spend(1, 20).await, Some(1));
        assert!(confirm(21).await);
        assert!(!confirm(22).await, "once");
        assert_eq!(
            storage.recovery_codes_of(ada).await.unwrap().confirmed_at,
            Some(at(21))
        );
        assert_eq!(
            storage
                .user(ada)
                .await
                .unwrap()
                .unwrap()
                .recovery_confirmed_at,
            Some(at(21))
        );
        replace(&[hash(3)], 30).await.unwrap();
        assert_eq!(
            storage.recovery_codes_of(ada).await.unwrap(),
            RecoveryCodes {
                total: 1,
                unused: 1,
                generated_at: Some(at(30)),
                confirmed_at: None
            }
        );
        assert_eq!(spend(2, 31).await, None, "replaced");
        assert!(!confirm(32).await, "what was used is not among these");
        replace(&[], 40).await.unwrap();
        assert_eq!(
            storage.recovery_codes_of(ada).await.unwrap(),
            RecoveryCodes::default()
        );
    })
    .await;
}

#[tokio::test]
async fn a_code_is_spent_with_its_audit_event_or_not_at_all() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "ada").await;
        commit(storage, async |unit| {
            unit.replace_recovery_codes(ada, &[hash(1), hash(2)], at(10))
                .await
        })
        .await
        .unwrap();
        let mut unit = storage.begin().await.unwrap();
        assert_eq!(
            unit.spend_recovery_code(ada, &hash(1), at(20))
                .await
                .unwrap(),
            Some(1)
        );
        drop(unit);
        assert_eq!(storage.recovery_codes_of(ada).await.unwrap().unused, 2);
    })
    .await;
}

#[tokio::test]
async fn codes_have_an_owner_and_a_greatest_number() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "ada").await;
        let replace = async |user, codes: &[_]| {
            commit(storage, async |unit| {
                unit.replace_recovery_codes(user, codes, at(10)).await
            })
            .await
        };
        assert_eq!(
            conflict(replace(UserId::new(), &[hash(1)]).await),
            Conflict::ReferenceGone
        );
        assert_eq!(
            conflict(replace(ada, &[hash(1); 33]).await),
            Conflict::TextRefused
        );
        assert_eq!(
            conflict(replace(ada, &[hash(1); 2]).await),
            Conflict::Raced,
            "one code twice"
        );
    })
    .await;
}
