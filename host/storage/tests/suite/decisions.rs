use model::{DecisionId, TokenId, UserId};
use storage::decisions::{DecisionFilter, DecisionRow};

use crate::fixture::{at, on_both};

fn decision(seconds: i64, action: &str, outcome: &str, project: Option<&str>) -> DecisionRow {
    DecisionRow {
        id: DecisionId::new(),
        at: at(seconds),
        action: action.into(),
        outcome: outcome.into(),
        set_number: Some(1),
        user: Some(UserId::new()),
        token: Some(TokenId::new()),
        project_name: project.map(str::to_owned),
        route: "/legacy/".into(),
        remote_address: "127.0.0.1".into(),
        microseconds: 17,
        would_refuse: (seconds % 3 == 0).then(|| "owner-mandate, staged-release".into()),
        record: r#"{"why":"it's \"quoted\"\u0000"}"#.into(),
    }
}

#[tokio::test]
async fn a_decision_reads_back_whole_and_is_written_once() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let bare = DecisionRow {
            set_number: None,
            user: None,
            token: None,
            project_name: None,
            ..decision(1, "index:read", "permit", None)
        };
        let whole = decision(2, "file:upload", "deny", Some("sample"));
        storage
            .record_decisions(&[bare.clone(), whole.clone()])
            .await
            .unwrap();
        storage
            .record_decisions(&[DecisionRow {
                outcome: "permit".into(),
                ..whole.clone()
            }])
            .await
            .unwrap();
        for decision in [bare, whole] {
            assert_eq!(storage.decision(decision.id).await.unwrap(), Some(decision));
        }
        storage.record_decisions(&[]).await.unwrap();
        assert_eq!(storage.decision(DecisionId::new()).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn decisions_are_listed_by_any_filter_in_pages() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let all: Vec<_> = (0..500)
            .map(|number: i64| {
                let action = ["file:upload", "index:read"][number as usize % 2];
                let outcome = ["permit", "deny", "stage"][number as usize % 3];
                // Several in one millisecond: the id decides.
                decision(
                    number / 7,
                    action,
                    outcome,
                    Some(["a", "b"][number as usize % 2]),
                )
            })
            .collect();
        storage.record_decisions(&all).await.unwrap();
        let filters = [
            DecisionFilter::default(),
            DecisionFilter {
                outcome: Some("deny".into()),
                ..Default::default()
            },
            DecisionFilter {
                action: Some("index:read".into()),
                outcome: Some("stage".into()),
                ..Default::default()
            },
            DecisionFilter {
                project_name: Some("a".into()),
                outcome: Some("permit".into()),
                ..Default::default()
            },
            DecisionFilter {
                user: all[250].user,
                ..Default::default()
            },
            DecisionFilter {
                project_name: Some("none".into()),
                ..Default::default()
            },
            DecisionFilter {
                would_refuse: true,
                ..Default::default()
            },
            DecisionFilter {
                would_refuse: true,
                action: Some("file:upload".into()),
                ..Default::default()
            },
        ];
        for filter in filters {
            let wanted = |row: &&DecisionRow| {
                filter
                    .outcome
                    .as_ref()
                    .is_none_or(|outcome| *outcome == row.outcome)
                    && filter
                        .action
                        .as_ref()
                        .is_none_or(|action| *action == row.action)
                    && (filter.project_name.is_none() || filter.project_name == row.project_name)
                    && (filter.user.is_none() || filter.user == row.user)
                    && (!filter.would_refuse || row.would_refuse.is_some())
            };
            let mut expected: Vec<_> = all
                .iter()
                .filter(wanted)
                .map(|row| (row.at, row.id))
                .collect();
            expected.sort_unstable();
            expected.reverse();
            let mut seen = Vec::new();
            loop {
                let page = storage
                    .decisions(&filter, seen.last().copied(), 60)
                    .await
                    .unwrap();
                assert!(page.iter().all(|row| row.record.is_empty()));
                if page.is_empty() {
                    break;
                }
                seen.extend(page.iter().map(|row| (row.at, row.id)));
            }
            assert_eq!(seen, expected, "{filter:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn whatever_a_request_says_can_be_remembered() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let odd = DecisionRow {
            route: "/a\0b".into(),
            ..decision(
                1,
                "index:read",
                "deny",
                Some(&format!("x\0{}", "ü".repeat(5000))),
            )
        };
        storage
            .record_decisions(std::slice::from_ref(&odd))
            .await
            .unwrap();
        let kept = storage.decision(odd.id).await.unwrap().unwrap();
        assert_eq!(
            (
                kept.route.as_str(),
                kept.project_name.unwrap().chars().count()
            ),
            ("/a\u{fffd}b", 200)
        );
    })
    .await;
}

#[tokio::test]
async fn old_decisions_are_forgotten_a_few_at_a_time() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let all: Vec<_> = (0..10)
            .map(|seconds| decision(seconds, "index:read", "permit", None))
            .collect();
        storage.record_decisions(&all).await.unwrap();
        assert_eq!(storage.forget_decisions(at(7), 5).await.unwrap(), 5);
        assert_eq!(storage.forget_decisions(at(7), 5).await.unwrap(), 2);
        assert_eq!(
            storage
                .decisions(&DecisionFilter::default(), None, 100)
                .await
                .unwrap()
                .len(),
            3
        );
    })
    .await;
}
