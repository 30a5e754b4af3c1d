use model::{RecoveryId, UserId};
use storage::recoveries::{NewRecovery, RecoveryOutcome};
use storage::{Conflict, Result, Storage};

use crate::fixture::{at, at_once, commit, conflict, on_both, user};

async fn start(storage: &Storage, user: UserId, now: i64) -> Result<RecoveryId> {
    let id = RecoveryId::new();
    let recovery = NewRecovery {
        id,
        user,
        started_by: "root",
        reason: "lost phone and codes",
        started_at: at(now),
        effective_at: at(now + 100),
    };
    commit(storage, async |unit| unit.start_recovery(&recovery).await).await?;
    Ok(id)
}

async fn end(storage: &Storage, id: RecoveryId, outcome: RecoveryOutcome, now: i64) -> bool {
    commit(storage, async |unit| {
        unit.end_recovery(id, outcome, at(now)).await
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn one_recovery_of_a_user_runs_at_a_time() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let ada = user(storage, "Ada").await;
        let first = start(storage, ada, 10).await.unwrap();
        assert_eq!(
            conflict(start(storage, ada, 20).await),
            Conflict::RecoveryRunning
        );
        let running = storage.recovery_of(ada).await.unwrap().unwrap();
        assert_eq!(
            (running.id, running.user, running.user_name.as_written()),
            (first, ada, "Ada")
        );
        assert_eq!(
            (running.started_by.as_str(), running.reason.as_str()),
            ("root", "lost phone and codes")
        );
        assert_eq!(
            (
                running.started_at,
                running.effective_at,
                running.ended_at,
                running.outcome
            ),
            (at(10), at(110), None, None)
        );
        assert!(end(storage, first, RecoveryOutcome::Cancelled, 30).await);
        assert!(
            !end(storage, first, RecoveryOutcome::Completed, 130).await,
            "it has ended"
        );
        assert_eq!(storage.recovery_of(ada).await.unwrap(), None);
        let ended = storage.recovery(first).await.unwrap().unwrap();
        assert_eq!(
            (ended.ended_at, ended.outcome),
            (Some(at(30)), Some(RecoveryOutcome::Cancelled))
        );
        let second = start(storage, ada, 40).await.unwrap();
        assert_eq!(
            storage
                .recoveries(10)
                .await
                .unwrap()
                .iter()
                .map(|recovery| recovery.id)
                .collect::<Vec<_>>(),
            [second, first]
        );
        assert_eq!(
            conflict(start(storage, UserId::new(), 10).await),
            Conflict::ReferenceGone
        );
    })
    .await;
}

#[tokio::test]
async fn none_is_completed_before_its_wait_is_over() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let (ada, bob) = (user(storage, "ada").await, user(storage, "bob").await);
        let (first, second) = (
            start(storage, ada, 10).await.unwrap(),
            start(storage, bob, 5).await.unwrap(),
        );
        let due = async |now, limit| {
            storage
                .due_recoveries(at(now), limit)
                .await
                .unwrap()
                .iter()
                .map(|recovery| recovery.id)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            (
                due(104, 9).await,
                due(105, 9).await,
                due(110, 9).await,
                due(110, 1).await
            ),
            (vec![], vec![second], vec![second, first], vec![second])
        );
        assert!(!end(storage, first, RecoveryOutcome::Completed, 109).await);
        assert!(end(storage, first, RecoveryOutcome::Completed, 110).await);
        assert_eq!(due(110, 9).await, [second]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_recovery_ends_once() {
    on_both(async |fixture| {
        for round in 0..6 {
            let ada = user(&fixture.storage, &format!("ada{round}")).await;
            let id = start(&fixture.storage, ada, 10).await.unwrap();
            let ended = at_once(&fixture, 6, |storage, number| async move {
                let outcome = if number % 3 == 0 {
                    RecoveryOutcome::Cancelled
                } else {
                    RecoveryOutcome::Completed
                };
                end(&storage, id, outcome, 110).await.then_some(outcome)
            })
            .await;
            let ended: Vec<_> = ended.into_iter().flatten().collect();
            assert_eq!(ended.len(), 1);
            assert_eq!(
                fixture.storage.recovery(id).await.unwrap().unwrap().outcome,
                Some(ended[0])
            );
        }
    })
    .await;
}
