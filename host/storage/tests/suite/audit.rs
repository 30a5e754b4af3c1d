use model::audit::{Actor, AuditEvent, Detail, EventKind};
use model::{DecisionId, ProjectId, TokenId, UserId};
use serde_json::json;
use storage::audit::AuditFilter;

use crate::fixture::{at, event, on_both};

fn by_caller(user: UserId, project: ProjectId) -> AuditEvent {
    let actor = Actor::Caller {
        user: Some(user),
        token: Some(TokenId::new()),
        remote_address: "::1".into(),
        user_agent: "twine/6".into(),
    };
    let stored = json!({"file": "sample-1.0.tar.gz", "version": "\u{0}"});
    AuditEvent::new(at(5), actor, Detail::read(EventKind::FileUploaded, &stored))
        .in_project(project)
        .decided_by(DecisionId::new())
}

#[tokio::test]
async fn events_read_back_whole_newest_first_and_by_any_filter() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let (ada, sample) = (UserId::new(), ProjectId::new());
        let about_ada = AuditEvent {
            user: Some(ada),
            actor: Actor::CommandLine {
                system_user: "root".into(),
            },
            ..event(EventKind::PasswordSet)
        };
        let mut unit = storage.begin().await.unwrap();
        unit.also(&about_ada);
        unit.also(&by_caller(UserId::new(), sample));
        let uploaded = by_caller(ada, sample);
        unit.commit(&uploaded).await.unwrap();
        let refused = event(EventKind::RequestRefused);
        storage.record_event(&refused).await.unwrap();

        let list =
            async |filter: &AuditFilter, before| storage.events(filter, before, 2).await.unwrap();
        let newest = list(&AuditFilter::default(), None).await;
        assert_eq!(
            newest.iter().map(|row| &row.event).collect::<Vec<_>>(),
            [&refused, &uploaded]
        );
        let older = list(
            &AuditFilter::default(),
            newest.last().map(|row| row.sequence),
        )
        .await;
        assert_eq!(older.last().unwrap().event, about_ada);
        let of_ada = list(
            &AuditFilter {
                user: Some(ada),
                ..Default::default()
            },
            None,
        )
        .await;
        assert_eq!(
            of_ada.iter().map(|row| &row.event).collect::<Vec<_>>(),
            [&uploaded, &about_ada],
            "done by ada, and about ada"
        );
        let both = AuditFilter {
            user: Some(ada),
            project: Some(sample),
            kind: Some(EventKind::FileUploaded),
        };
        assert_eq!(list(&both, None).await.len(), 1);
        assert_eq!(
            list(
                &AuditFilter {
                    kind: Some(EventKind::RequestRefused),
                    ..Default::default()
                },
                None
            )
            .await
            .len(),
            1
        );
        assert_eq!(
            list(
                &AuditFilter {
                    kind: Some(EventKind::TokenRevoked),
                    ..Default::default()
                },
                None
            )
            .await
            .len(),
            0
        );
    })
    .await;
}

#[tokio::test]
async fn a_trusted_publisher_reads_back_whole() {
    on_both(async |fixture| {
        let published = AuditEvent {
            actor: Actor::Publisher {
                publisher: UserId::new().0,
                provider: "github".into(),
                subject: "repository=ana/sample workflow=release.yml".into(),
                token: Some(TokenId::new()),
                remote_address: "192.0.2.1".into(),
                user_agent: "twine/6".into(),
            },
            ..by_caller(UserId::new(), ProjectId::new())
        };
        let unit = fixture.storage.begin().await.unwrap();
        unit.commit(&published).await.unwrap();
        let rows = fixture
            .storage
            .events(&AuditFilter::default(), None, 9)
            .await;
        assert_eq!(rows.unwrap()[0].event, published);
    })
    .await;
}

#[tokio::test]
async fn a_log_group_is_written_together() {
    on_both(async |fixture| {
        fixture
            .storage
            .record_log(
                &[],
                &[
                    event(EventKind::RequestRefused),
                    event(EventKind::AuthenticationFailed),
                ],
            )
            .await
            .unwrap();
        assert_eq!(
            fixture
                .storage
                .events(&AuditFilter::default(), None, 9)
                .await
                .unwrap()
                .len(),
            2
        );
    })
    .await;
}

#[tokio::test]
async fn the_database_itself_refuses_to_change_or_delete_events() {
    on_both(async |fixture| {
        fixture
            .storage
            .record_event(&event(EventKind::RequestRefused))
            .await
            .unwrap();
        for statement in ["UPDATE audit_events SET at = 0", "DELETE FROM audit_events"] {
            let refusal = fixture.by_hand(statement).await.unwrap_err();
            assert!(
                refusal.contains("never changed and never deleted"),
                "{refusal}"
            );
        }
        assert_eq!(
            fixture
                .storage
                .events(&AuditFilter::default(), None, 9)
                .await
                .unwrap()
                .len(),
            1
        );
    })
    .await;
}
