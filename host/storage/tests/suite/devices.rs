use model::DeviceKind;
use storage::Conflict;

use crate::fixture::{at, at_once, commit, conflict, hash, on_both, user};

#[tokio::test]
async fn a_device_is_known_to_its_user_only_and_stays_confirmed() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let (ada, bob) = (user(storage, "ada").await, user(storage, "bob").await);
        let see = async |user, secret, now, confirmed| {
            commit(storage, async |unit| {
                unit.see_device(
                    user,
                    &hash(secret),
                    at(now),
                    "192.0.2.7",
                    "Firefox",
                    confirmed,
                )
                .await
            })
            .await
        };
        let confirm = async |user, secret, now| {
            commit(storage, async |unit| {
                unit.confirm_device(user, &hash(secret), at(now)).await
            })
            .await
            .unwrap()
        };
        see(ada, 1, 10, false).await.unwrap();
        let device = storage.device(ada, &hash(1)).await.unwrap().unwrap();
        assert_eq!(
            (
                device.first_seen_at,
                device.last_seen_at,
                device.confirmed_at
            ),
            (at(10), at(10), None)
        );
        assert_eq!(
            (device.remote_address.as_str(), device.user_agent.as_str()),
            ("192.0.2.7", "Firefox")
        );
        assert_eq!(storage.device(bob, &hash(1)).await.unwrap(), None);
        assert!(!confirm(bob, 1, 20).await && !confirm(ada, 2, 20).await);
        assert!(confirm(ada, 1, 20).await);
        see(ada, 1, 30, false).await.unwrap();
        assert!(confirm(ada, 1, 40).await);
        let device = storage.device(ada, &hash(1)).await.unwrap().unwrap();
        assert_eq!(
            (
                device.first_seen_at,
                device.last_seen_at,
                device.confirmed_at
            ),
            (at(10), at(30), Some(at(20)))
        );
        see(bob, 1, 50, true).await.unwrap();
        assert_eq!(
            storage
                .device(bob, &hash(1))
                .await
                .unwrap()
                .unwrap()
                .confirmed_at,
            Some(at(50)),
            "two people at one browser"
        );
        assert_eq!(
            conflict(see(model::UserId::new(), 1, 50, true).await),
            Conflict::ReferenceGone
        );
    })
    .await;
}

#[tokio::test]
async fn devices_are_dropped_with_their_user_and_forgotten_when_unseen() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let (ada, bob) = (user(storage, "ada").await, user(storage, "bob").await);
        for (user, secret, now) in [(ada, 1, 10), (ada, 2, 10), (bob, 3, 10), (bob, 4, 30)] {
            commit(storage, async |unit| {
                unit.see_device(user, &hash(secret), at(now), "", "", true)
                    .await
            })
            .await
            .unwrap();
        }
        assert_eq!(
            commit(storage, async |unit| unit.drop_devices(ada, None).await)
                .await
                .unwrap(),
            2
        );
        assert_eq!(storage.device(ada, &hash(1)).await.unwrap(), None);
        assert_eq!(storage.forget_unseen_devices(at(9)).await.unwrap(), 0);
        assert_eq!(storage.forget_unseen_devices(at(10)).await.unwrap(), 1);
        assert!(storage.device(bob, &hash(4)).await.unwrap().is_some());
    })
    .await;
}

#[tokio::test]
async fn all_devices_but_one_are_dropped() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "ada").await;
        for secret in 1..=3 {
            commit(storage, async |unit| {
                unit.see_device(ada, &hash(secret), at(10), "", "", true)
                    .await
            })
            .await
            .unwrap();
        }
        assert_eq!(
            commit(storage, async |unit| unit
                .drop_devices(ada, Some(&hash(2)))
                .await)
            .await
            .unwrap(),
            2
        );
        assert!(storage.device(ada, &hash(2)).await.unwrap().is_some());
    })
    .await;
}

#[tokio::test]
async fn a_user_has_200_devices_and_loses_those_first_that_nobody_confirmed() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "ada").await;
        let secret = |number: u16| {
            let mut secret = [0; 32];
            secret[..2].copy_from_slice(&number.to_be_bytes());
            secret
        };
        // The oldest ten are confirmed.
        commit(storage, async |unit| {
            for number in 1..=205 {
                unit.see_device(
                    ada,
                    &secret(number),
                    at(i64::from(number)),
                    "",
                    "",
                    number <= 10,
                )
                .await?;
            }
            Ok(())
        })
        .await
        .unwrap();
        for (number, is_kept) in [
            (1, true),
            (10, true),
            (11, false),
            (15, false),
            (16, true),
            (205, true),
        ] {
            assert_eq!(
                storage
                    .device(ada, &secret(number))
                    .await
                    .unwrap()
                    .is_some(),
                is_kept,
                "{number}"
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_device_seen_twice_at_once_is_one_device() {
    on_both(async |fixture| {
        let ada = user(&fixture.storage, "ada").await;
        for round in 1..=6 {
            at_once(&fixture, 6, |storage, number| async move {
                commit(&storage, async |unit| {
                    unit.see_device(ada, &hash(round), at(10), "", "", number == 3)
                        .await
                })
                .await
                .unwrap();
            })
            .await;
            assert_eq!(
                fixture
                    .storage
                    .device(ada, &hash(round))
                    .await
                    .unwrap()
                    .unwrap()
                    .confirmed_at,
                Some(at(10))
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_command_line_waits_to_be_confirmed_and_stays_one() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let (ada, bob) = (user(storage, "ada").await, user(storage, "bob").await);
        let known = async || {
            storage
                .known_devices(ada)
                .await
                .unwrap()
                .into_iter()
                .map(|device| device.secret)
                .collect::<Vec<_>>()
        };
        commit(storage, async |unit| {
            unit.see_device(ada, &hash(1), at(10), "192.0.2.7", "Firefox", true)
                .await
        })
        .await
        .unwrap();
        let host = Some("laptop");
        commit(storage, async |unit| {
            unit.see_command_line(ada, &hash(2), at(20), "192.0.2.7", "portcullis/1", host)
                .await
        })
        .await
        .unwrap();
        let device = storage.device(ada, &hash(2)).await.unwrap().unwrap();
        assert_eq!(
            (device.kind, device.host.as_deref(), device.confirmed_at),
            (DeviceKind::CommandLine, host, None)
        );
        assert_eq!(
            storage.device(ada, &hash(1)).await.unwrap().unwrap().kind,
            DeviceKind::Browser
        );
        assert_eq!(known().await, [hash(1)]);
        assert!(
            !commit(storage, async |unit| unit.drop_device(ada, &hash(2)).await)
                .await
                .unwrap(),
            "none that only waits"
        );
        assert!(
            commit(storage, async |unit| unit
                .confirm_device(ada, &hash(2), at(30))
                .await)
            .await
            .unwrap()
        );
        assert_eq!(
            known().await,
            [hash(2), hash(1)],
            "the one seen last before the other"
        );
        commit(storage, async |unit| {
            unit.see_device(ada, &hash(2), at(40), "", "", true).await
        })
        .await
        .unwrap();
        assert_eq!(
            storage.device(ada, &hash(2)).await.unwrap().unwrap().kind,
            DeviceKind::CommandLine
        );
        assert!(
            !commit(storage, async |unit| unit.drop_device(bob, &hash(2)).await)
                .await
                .unwrap()
        );
        assert!(
            commit(storage, async |unit| unit.drop_device(ada, &hash(2)).await)
                .await
                .unwrap()
        );
        assert_eq!(known().await, [hash(1)]);
    })
    .await;
}

#[tokio::test]
async fn the_use_of_a_device_is_noted_once_a_minute() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "ada").await;
        let start = at(1_000_000);
        commit(storage, async |unit| {
            unit.see_device(ada, &hash(1), start, "192.0.2.7", "Firefox", true)
                .await
        })
        .await
        .unwrap();
        for (later_ms, is_noted) in [(59_999, false), (60_000, true), (60_001, false)] {
            let now = start.plus_ms(later_ms);
            storage
                .touch_device(ada, &hash(1), now, "198.51.100.1", "portcullis/1")
                .await
                .unwrap();
            let device = storage.device(ada, &hash(1)).await.unwrap().unwrap();
            assert_eq!(device.last_seen_at == now, is_noted, "{later_ms}");
        }
        let device = storage.device(ada, &hash(1)).await.unwrap().unwrap();
        assert_eq!(
            (
                device.remote_address.as_str(),
                device.user_agent.as_str(),
                device.confirmed_at
            ),
            ("198.51.100.1", "portcullis/1", Some(start))
        );
        storage
            .touch_device(ada, &hash(2), start.plus_ms(999_999), "", "")
            .await
            .unwrap();
        assert_eq!(
            storage.device(ada, &hash(2)).await.unwrap(),
            None,
            "nothing is made"
        );
    })
    .await;
}
