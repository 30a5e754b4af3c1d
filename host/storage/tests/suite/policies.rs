use std::time::Duration;

use model::audit::EventKind;
use model::{ModuleDigest, ProjectId, ProjectName};
use storage::Conflict;
use storage::policies::{
    ActivationKind, NewActivation, NewModule, NewPolicySet, ServerRow, WatchedFolder,
};
use storage::projects::NewProject;
use storage::{Result, Storage, UnitOfWork};
use uuid::Uuid;

use crate::fixture::{at, commit, conflict, event, on_both};

async fn add_set(storage: &Storage, name: &str) -> Result<i64> {
    commit(storage, async |unit| {
        unit.add_policy_set(&NewPolicySet {
            name,
            spec: "{}",
            created_at: at(5),
            created_by: None,
        })
        .await
    })
    .await
}

async fn activate(
    storage: &Storage,
    set_number: i64,
    kind: ActivationKind,
    expected: Option<i64>,
) -> Result<i64> {
    let activation = NewActivation {
        set_number,
        at: at(6),
        by: None,
        kind,
        reason: "because",
    };
    commit(storage, async |unit| {
        unit.activate_policy_set(&activation, expected).await
    })
    .await
}

#[tokio::test]
async fn a_module_is_kept_once_under_its_digest() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        let digest = ModuleDigest([9; 32]);
        let add = async |name| {
            let module = NewModule {
                digest,
                name,
                version: "1.0.0",
                bytes: &bytes,
                added_at: at(5),
            };
            commit(storage, async |unit| unit.add_module(&module).await)
                .await
                .unwrap()
        };
        assert!(add("restrict-routes").await);
        assert!(!add("something else").await);
        let row = storage.module(digest).await.unwrap().unwrap();
        assert_eq!((row.name.as_str(), row.size), ("restrict-routes", 100_000));
        assert_eq!(
            storage.module_bytes(digest).await.unwrap(),
            Some(bytes.clone())
        );
        assert_eq!(storage.modules().await.unwrap(), [row]);
        assert_eq!(
            storage.module_bytes(ModuleDigest([1; 32])).await.unwrap(),
            None
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_set_that_several_look_for_and_add_at_once_is_added_once() {
    on_both(async |fixture| {
        let storages = [fixture.storage.clone(), fixture.again().await];
        let additions: Vec<_> = (0..6)
            .map(|number| {
                let storage = storages[number % 2].clone();
                tokio::spawn(async move {
                    let mut unit = storage.begin().await.unwrap();
                    if let Some(there) = unit.same_policy_set("{\"a\":1}").await.unwrap() {
                        return there;
                    }
                    let set = NewPolicySet {
                        name: "same",
                        spec: "{\"a\":1}",
                        created_at: at(5),
                        created_by: None,
                    };
                    let added = unit.add_policy_set(&set).await.unwrap();
                    unit.commit(&event(EventKind::PolicySetAdded))
                        .await
                        .unwrap();
                    added
                })
            })
            .collect();
        for addition in additions {
            assert_eq!(addition.await.unwrap(), 1);
        }
        assert_eq!(storages[0].policy_sets(None, 9).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sets_that_are_added_at_once_are_numbered_without_gaps() {
    on_both(async |fixture| {
        let storages = [fixture.storage.clone(), fixture.again().await];
        let additions: Vec<_> = (0..6)
            .map(|number| {
                let storage = storages[number % 2].clone();
                tokio::spawn(
                    async move { add_set(&storage, &format!("set {number}")).await.unwrap() },
                )
            })
            .collect();
        let mut numbers = Vec::new();
        for addition in additions {
            numbers.push(addition.await.unwrap());
        }
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
        let page = storages[0].policy_sets(Some(4), 2).await.unwrap();
        assert_eq!(
            page.iter().map(|set| set.number).collect::<Vec<_>>(),
            [3, 2]
        );
        assert_eq!(
            storages[0].policy_set(3).await.unwrap().as_ref(),
            page.first()
        );
    })
    .await;
}

#[tokio::test]
async fn the_last_activation_is_in_force() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        assert_eq!(
            (
                storage.activation_marker().await.unwrap(),
                storage.active_set().await.unwrap()
            ),
            (0, None)
        );
        let (first, second) = (
            add_set(storage, "default").await.unwrap(),
            add_set(storage, "strict").await.unwrap(),
        );
        activate(storage, first, ActivationKind::Start, None)
            .await
            .unwrap();
        activate(storage, second, ActivationKind::Apply, None)
            .await
            .unwrap();
        assert_eq!(
            activate(storage, first, ActivationKind::Rollback, Some(2))
                .await
                .unwrap(),
            3
        );
        let active = storage.active_set().await.unwrap().unwrap();
        assert_eq!(
            (
                active.sequence,
                active.set_number,
                active.set_name.as_str(),
                active.kind
            ),
            (3, first, "default", ActivationKind::Rollback)
        );
        assert_eq!(storage.activation_marker().await.unwrap(), 3);
        let page = storage.activations(Some(3), 5).await.unwrap();
        assert_eq!(
            page.iter()
                .map(|row| (row.sequence, row.kind))
                .collect::<Vec<_>>(),
            [(2, ActivationKind::Apply), (1, ActivationKind::Start)]
        );
        assert_eq!(
            conflict(activate(storage, first, ActivationKind::Apply, Some(2)).await),
            Conflict::Raced
        );
        assert_eq!(
            conflict(activate(storage, 99, ActivationKind::Apply, None).await),
            Conflict::ReferenceGone
        );
        assert_eq!(storage.activation_marker().await.unwrap(), 3);
    })
    .await;
}

/// A change like that of a use case.
async fn create(unit: &mut UnitOfWork, name: &str) -> Result<()> {
    unit.create_project(&NewProject {
        id: ProjectId::new(),
        name: &ProjectName::parse(name).unwrap(),
        created_at: at(2),
    })
    .await
}

#[tokio::test]
async fn nothing_is_kept_that_a_replaced_set_decided() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let under = async |name: &str, activations: &[i64]| {
            commit(storage, async |unit| {
                activations
                    .iter()
                    .for_each(|activation| unit.decided_under(*activation));
                create(unit, name).await
            })
            .await
        };
        under("before-any", &[0]).await.unwrap();
        let set = add_set(storage, "default").await.unwrap();
        activate(storage, set, ActivationKind::Start, None)
            .await
            .unwrap();
        assert_eq!(
            conflict(under("by-none", &[0]).await),
            Conflict::PoliciesReplaced
        );
        under("by-the-first", &[1]).await.unwrap();
        // The same set again is another activation: the time in between is unknown here.
        activate(storage, set, ActivationKind::Apply, None)
            .await
            .unwrap();
        assert_eq!(
            conflict(under("by-the-one-before", &[1]).await),
            Conflict::PoliciesReplaced
        );
        assert_eq!(
            conflict(under("by-both", &[1, 2]).await),
            Conflict::PoliciesReplaced
        );
        assert_eq!(
            conflict(under("by-both", &[2, 1]).await),
            Conflict::PoliciesReplaced
        );
        under("by-the-second", &[2, 2]).await.unwrap();
        for name in ["by-none", "by-the-one-before", "by-both"] {
            assert_eq!(storage.project(name).await.unwrap(), None);
        }
    })
    .await;
}

#[tokio::test]
async fn of_a_change_and_an_activation_at_once_the_change_is_first_or_not_made() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let set = add_set(storage, "default").await.unwrap();
        let mut changing = storage.begin().await.unwrap();
        changing.decided_under(0);
        create(&mut changing, "meanwhile").await.unwrap();
        let other = fixture.again().await;
        let mut activating = tokio::spawn(async move {
            activate(&other, set, ActivationKind::Start, None)
                .await
                .unwrap()
        });
        // SQLite has one writer; on PostgreSQL the activation overtakes uncommitted changes.
        let is_overtaken = tokio::time::timeout(Duration::from_millis(300), &mut activating)
            .await
            .is_ok();
        let committed = changing.commit(&event(EventKind::ProjectCreated)).await;
        if is_overtaken {
            assert_eq!(conflict(committed), Conflict::PoliciesReplaced);
        } else {
            committed.unwrap();
            activating.await.unwrap();
        }
        assert_eq!(
            storage.project("meanwhile").await.unwrap().is_none(),
            is_overtaken
        );
        assert_eq!(storage.activation_marker().await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn servers_report_until_they_leave_or_fall_silent() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let server = |number: u128, heartbeat| ServerRow {
            server: Uuid::from_u128(number),
            host: "registry-1".into(),
            pid: 4_000_000_000,
            set_number: Some(2),
            started_at: at(number as i64),
            heartbeat_at: at(heartbeat),
            last_error: Some("a trap".into()),
            last_error_set: Some(3),
            watched: None,
        };
        for row in [server(1, 10), server(2, 20), server(3, 30)] {
            storage.report_server(&row).await.unwrap();
        }
        let watched = WatchedFolder {
            folder: "/srv/policies/ours".into(),
            looked_at: at(39),
            set_number: None,
            error: Some("no set.toml".into()),
        };
        let now = ServerRow {
            set_number: Some(3),
            last_error: None,
            last_error_set: None,
            watched: Some(watched),
            ..server(2, 40)
        };
        storage.report_server(&now).await.unwrap();
        assert_eq!(
            storage.servers().await.unwrap(),
            [server(1, 10), now.clone(), server(3, 30)]
        );
        storage.remove_server(Uuid::from_u128(3)).await.unwrap();
        assert_eq!(storage.remove_stale_servers(at(40)).await.unwrap(), 1);
        assert_eq!(storage.servers().await.unwrap(), [now]);
    })
    .await;
}
