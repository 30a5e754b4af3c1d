use storage::Conflict;
use storage::attempts::{Attempts, RetryAfter};

use crate::fixture::{at, conflict, on_both};

const WINDOW_MS: i64 = 60_000;

#[tokio::test]
async fn a_window_moves() {
    on_both(async |fixture| {
        let take = async |seconds| {
            fixture
                .storage
                .take_attempt("login:ada", at(seconds), WINDOW_MS, 3)
                .await
                .unwrap()
        };
        assert_eq!([take(0).await, take(10).await, take(20).await], [Ok(()); 3]);
        assert_eq!(
            take(30).await,
            Err(RetryAfter { at: at(60) }),
            "when the oldest of three leaves the window"
        );
        assert_eq!(take(60).await, Ok(()));
        assert_eq!(
            take(61).await,
            Err(RetryAfter { at: at(70) }),
            "what was refused did not count"
        );
        assert_eq!(
            fixture
                .storage
                .take_attempt("login:bob", at(30), WINDOW_MS, 3)
                .await
                .unwrap(),
            Ok(()),
            "another key"
        );
        assert_eq!(
            fixture
                .storage
                .take_attempt("login:cleo", at(30), WINDOW_MS, 0)
                .await
                .unwrap(),
            Err(RetryAfter { at: at(90) })
        );
    })
    .await;
}

#[tokio::test]
async fn attempts_are_counted_cleared_and_forgotten() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        for seconds in [5, 1, 3] {
            storage.count_attempt("k", at(seconds)).await.unwrap();
        }
        assert_eq!(
            storage.attempts_since("k", at(1)).await.unwrap(),
            Attempts {
                count: 2,
                oldest: Some(at(3))
            }
        );
        assert_eq!(
            storage.attempts_since("other", at(1)).await.unwrap(),
            Attempts {
                count: 0,
                oldest: None
            }
        );
        assert_eq!(storage.forget_attempts(at(5)).await.unwrap(), 2);
        storage.clear_attempts("k").await.unwrap();
        assert_eq!(storage.attempts_since("k", at(0)).await.unwrap().count, 0);
        assert_eq!(
            conflict(storage.count_attempt(&"k".repeat(201), at(1)).await),
            Conflict::TextRefused
        );
    })
    .await;
}

#[tokio::test]
async fn one_attempt_is_given_back_at_a_time() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        for _ in 0..2 {
            storage.count_attempt("k", at(5)).await.unwrap();
        }
        for left in [1, 0, 0] {
            storage.give_back_attempt("k", at(5)).await.unwrap();
            assert_eq!(
                storage.attempts_since("k", at(0)).await.unwrap().count,
                left
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn never_more_than_the_limit_pass_at_once() {
    on_both(async |fixture| {
        let storages = [fixture.storage.clone(), fixture.again().await];
        // The first rounds open the connections, the later ones coincide.
        for round in 0..12 {
            let requests: Vec<_> = (0..24)
                .map(|number| {
                    let storage = storages[number % 2].clone();
                    tokio::spawn(async move {
                        storage
                            .take_attempt(&format!("login:{round}"), at(100), WINDOW_MS, 7)
                            .await
                            .unwrap()
                    })
                })
                .collect();
            let mut passed = 0;
            for request in requests {
                passed += usize::from(request.await.unwrap().is_ok());
            }
            assert_eq!(passed, 7);
        }
    })
    .await;
}
