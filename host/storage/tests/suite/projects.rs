use std::time::Duration;

use model::audit::EventKind;
use model::{ProjectStatus, Role};
use serde_json::{Value, json};
use storage::Conflict;

use crate::fixture::{
    Upload, at, commit, conflict, event, grant, on_both, project, try_project, user,
};

#[tokio::test]
async fn spellings_of_one_name_are_one_project() {
    on_both(async |fixture| {
        let id = project(&fixture.storage, "Foo.Bar").await;
        assert_eq!(
            conflict(try_project(&fixture.storage, "foo_bar").await),
            Conflict::ProjectNameTaken
        );
        let found = fixture.storage.project("foo-bar").await.unwrap().unwrap();
        assert_eq!(
            (found.id, found.name.as_written(), found.status),
            (id, "Foo.Bar", ProjectStatus::Active)
        );
        assert_eq!(
            fixture.storage.project_by_id(id).await.unwrap(),
            Some(found)
        );
    })
    .await;
}

#[tokio::test]
async fn names_that_look_alike_are_not_two_projects() {
    on_both(async |fixture| {
        project(&fixture.storage, "si-milor").await;
        for name in ["simil0r", "s1milor", "SIMIIOR"] {
            assert_eq!(
                conflict(try_project(&fixture.storage, name).await),
                Conflict::ProjectNameSimilar
            );
            let name = model::ProjectName::parse(name).unwrap();
            assert_eq!(
                fixture
                    .storage
                    .project_that_looks_like(&name)
                    .await
                    .unwrap()
                    .unwrap()
                    .name
                    .as_written(),
                "si-milor"
            );
        }
        try_project(&fixture.storage, "similar").await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_who_create_a_project_at_once_one_wins() {
    on_both(async |fixture| {
        let storages = [fixture.storage.clone(), fixture.again().await];
        let attempts: Vec<_> = storages
            .map(|storage| tokio::spawn(async move { try_project(&storage, "sample").await }))
            .into();
        let mut results = Vec::new();
        for attempt in attempts {
            results.push(attempt.await.unwrap());
        }
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        assert_eq!(
            conflict(results.into_iter().find(|result| result.is_err()).unwrap()),
            Conflict::ProjectNameTaken
        );
    })
    .await;
}

#[tokio::test]
async fn the_index_lists_what_has_published_something() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let (b, a, staged) = (
            project(storage, "b").await,
            project(storage, "A").await,
            project(storage, "staged").await,
        );
        project(storage, "empty").await;
        Upload::published(b, "1.0", "b-1.0-py3-none-any.whl")
            .to(storage)
            .await
            .unwrap();
        Upload::published(a, "1.0", "a-1.0-py3-none-any.whl")
            .to(storage)
            .await
            .unwrap();
        Upload::staged(staged, "1.0", "staged-1.0-py3-none-any.whl")
            .to(storage)
            .await
            .unwrap();
        commit(storage, async |unit| {
            unit.set_project_status(b, ProjectStatus::Quarantined, Some("malware"))
                .await
        })
        .await
        .unwrap();
        let index = storage.index("", 10).await.unwrap();
        let lines: Vec<_> = index
            .iter()
            .map(|entry| {
                (
                    entry.normalized.as_str(),
                    entry.written.as_str(),
                    entry.status,
                    entry.last_serial,
                )
            })
            .collect();
        assert_eq!(
            lines,
            [
                ("a", "A", ProjectStatus::Active, 2),
                ("b", "b", ProjectStatus::Quarantined, 3)
            ]
        );
        assert_eq!(storage.index("", 1).await.unwrap(), index[..1]);
        assert_eq!(
            (
                storage.index("a", 10).await.unwrap(),
                storage.index("b", 10).await.unwrap()
            ),
            (index[1..].to_vec(), vec![])
        );
        assert_eq!(
            storage
                .index_of(&["b", "staged", "other", "it's"])
                .await
                .unwrap(),
            index[1..]
        );
        assert_eq!(
            storage
                .project("b")
                .await
                .unwrap()
                .unwrap()
                .status_reason
                .as_deref(),
            Some("malware")
        );
    })
    .await;
}

#[tokio::test]
async fn projects_are_listed_in_parts_and_by_their_names() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        for name in ["my-demo", "demo", "a-demo", "demo-tool"] {
            let published = project(storage, name).await;
            Upload::published(
                published,
                "1.0",
                &format!("{}-1.0-py3-none-any.whl", name.replace('-', "_")),
            )
            .to(storage)
            .await
            .unwrap();
        }
        let staged = project(storage, "demo-staged").await;
        Upload::staged(staged, "1.0", "demo_staged-1.0-py3-none-any.whl")
            .to(storage)
            .await
            .unwrap();
        let names = |listed: Vec<storage::projects::ListedProject>| {
            listed
                .into_iter()
                .map(|project| project.normalized)
                .collect::<Vec<_>>()
        };
        assert_eq!(storage.count_projects().await.unwrap(), 4);
        assert_eq!(
            names(storage.list_projects("", 2).await.unwrap()),
            ["a-demo", "demo"]
        );
        assert_eq!(
            names(storage.list_projects("demo", 2).await.unwrap()),
            ["demo-tool", "my-demo"]
        );
        assert_eq!(
            names(storage.list_projects("my-demo", 2).await.unwrap()),
            Vec::<String>::new()
        );
        assert!(
            storage.list_projects("", 1).await.unwrap()[0]
                .changed_at
                .is_some()
        );
        assert_eq!(names(storage.newest_projects(10).await.unwrap()).len(), 4);
        let wanted = ["my-demo", "a-demo", "demo-staged", "d'emo", "my"].map(str::to_owned);
        let mut named = names(storage.projects_named(&wanted).await.unwrap());
        named.sort();
        assert_eq!(
            (named, storage.projects_named(&[]).await.unwrap()),
            (vec!["a-demo".to_owned(), "my-demo".to_owned()], vec![])
        );

        // A project in quarantine has no page, and nothing leads to it.
        let demo = storage.project("demo").await.unwrap().unwrap().id;
        for _ in 0..2 {
            commit(storage, async |unit| {
                unit.set_project_status(demo, ProjectStatus::Quarantined, None)
                    .await
            })
            .await
            .unwrap();
            assert_eq!(storage.count_projects().await.unwrap(), 3);
        }
        assert_eq!(
            names(storage.list_projects("", 2).await.unwrap()),
            ["a-demo", "demo-tool"]
        );
        assert_eq!(names(storage.newest_projects(10).await.unwrap()).len(), 3);
        assert_eq!(
            names(storage.projects_named(&["demo".to_owned()]).await.unwrap()),
            Vec::<String>::new()
        );
        commit(storage, async |unit| {
            unit.set_project_status(demo, ProjectStatus::Archived, None)
                .await
        })
        .await
        .unwrap();
        assert_eq!(storage.count_projects().await.unwrap(), 4);
        // A project that is deleted in quarantine is not counted twice either.
        commit(storage, async |unit| {
            unit.set_project_status(demo, ProjectStatus::Quarantined, None)
                .await
        })
        .await
        .unwrap();
        commit(storage, async |unit| unit.delete_project(demo, at(9)).await)
            .await
            .unwrap();
        assert_eq!(storage.count_projects().await.unwrap(), 3);
    })
    .await;
}

#[tokio::test]
async fn roles_are_granted_replaced_and_revoked() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let (sample, ada, bob) = (
            project(storage, "sample").await,
            user(storage, "ada").await,
            user(storage, "Bob").await,
        );
        assert_eq!(storage.role_of(ada, sample).await.unwrap(), None);
        assert_eq!(
            grant(storage, sample, ada, Role::Owner).await.unwrap(),
            None
        );
        assert_eq!(
            grant(storage, sample, bob, Role::Maintainer).await.unwrap(),
            None
        );
        assert_eq!(
            grant(storage, sample, bob, Role::Owner).await.unwrap(),
            Some(Role::Maintainer)
        );
        let roles = storage.roles_on(sample).await.unwrap();
        assert_eq!(
            roles
                .iter()
                .map(|row| (row.user_name.as_written(), row.role))
                .collect::<Vec<_>>(),
            [("ada", Role::Owner), ("Bob", Role::Owner)]
        );
        assert_eq!(
            commit(storage, async |unit| unit.revoke_role(sample, ada).await)
                .await
                .unwrap(),
            Some(Role::Owner)
        );
        assert_eq!(
            commit(storage, async |unit| unit.revoke_role(sample, ada).await)
                .await
                .unwrap(),
            None
        );
        assert_eq!(storage.role_of(ada, sample).await.unwrap(), None);
        let projects = storage.projects_of(bob).await.unwrap();
        assert_eq!(
            projects
                .iter()
                .map(|(project, role)| (project.id, *role))
                .collect::<Vec<_>>(),
            [(sample, Role::Owner)]
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_project_is_never_left_without_an_owner() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let sample = project(storage, "sample").await;
        let owners = [user(storage, "ada").await, user(storage, "bob").await];
        for owner in owners {
            grant(storage, sample, owner, Role::Owner).await.unwrap();
        }
        // One leaves while the other, elsewhere, becomes a maintainer: the second has to wait until
        // it is known whether the first has left.
        let mut leaving = storage.begin().await.unwrap();
        leaving.revoke_role(sample, owners[0]).await.unwrap();
        let other = fixture.again().await;
        let mut stepping_down =
            tokio::spawn(async move { grant(&other, sample, owners[1], Role::Maintainer).await });
        assert!(
            tokio::time::timeout(Duration::from_millis(200), &mut stepping_down)
                .await
                .is_err(),
            "it did not wait"
        );
        leaving
            .commit(&event(EventKind::RoleRevoked))
            .await
            .unwrap();
        assert_eq!(conflict(stepping_down.await.unwrap()), Conflict::LastOwner);
        assert!(
            storage
                .roles_on(sample)
                .await
                .unwrap()
                .iter()
                .any(|row| row.role == Role::Owner)
        );
    })
    .await;
}

#[tokio::test]
async fn roles_need_a_project_and_a_user() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let (sample, ada) = (project(storage, "sample").await, user(storage, "ada").await);
        assert_eq!(
            conflict(grant(storage, model::ProjectId::new(), ada, Role::Owner).await),
            Conflict::ReferenceGone
        );
        assert_eq!(
            conflict(grant(storage, sample, model::UserId::new(), Role::Owner).await),
            Conflict::ReferenceGone
        );
    })
    .await;
}

#[tokio::test]
async fn settings_are_kept_for_each_policy_and_come_with_the_facts() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let (sample, ada) = (project(storage, "Sample").await, user(storage, "ada").await);
        let object = |value: Value| value.as_object().unwrap().clone();
        let set = async |policy: &str, value| {
            let settings = object(value);
            commit(storage, async |unit| {
                unit.set_project_settings(sample, policy, &settings, at(5))
                    .await
            })
            .await
            .unwrap();
        };
        let facts = async |user| {
            storage
                .project_facts("sample", user)
                .await
                .unwrap()
                .unwrap()
        };
        assert_eq!(
            (facts(None).await.role, facts(None).await.settings),
            (None, vec![])
        );
        set("staged-release", json!({"stage": true})).await;
        set(
            "owner-mandate",
            json!({"second-factor": false, "note": "\u{0}"}),
        )
        .await;
        set("owner-mandate", json!({"second-factor": true})).await;
        grant(storage, sample, ada, Role::Maintainer).await.unwrap();
        let expected = vec![
            (
                "owner-mandate".to_owned(),
                object(json!({"second-factor": true})),
            ),
            ("staged-release".to_owned(), object(json!({"stage": true}))),
        ];
        assert_eq!(storage.project_settings(sample).await.unwrap(), expected);
        let with_role = facts(Some(ada)).await;
        assert_eq!(
            (with_role.project.id, with_role.role, &with_role.settings),
            (sample, Some(Role::Maintainer), &expected)
        );
        set("staged-release", json!({})).await;
        assert_eq!(
            storage.project_settings(sample).await.unwrap(),
            expected[..1]
        );
        assert_eq!(
            storage.project_facts("other", Some(ada)).await.unwrap(),
            None
        );
    })
    .await;
}

#[tokio::test]
async fn what_is_held_stays_as_it_is_until_the_unit_ends() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let (sample, ada, bob) = (
            project(storage, "sample").await,
            user(storage, "ada").await,
            user(storage, "bob").await,
        );
        grant(storage, sample, ada, Role::Owner).await.unwrap();
        grant(storage, sample, bob, Role::Maintainer).await.unwrap();
        let mut holding = storage.begin().await.unwrap();
        assert_eq!(
            holding.hold_project(sample, Some(bob)).await.unwrap(),
            Some((ProjectStatus::Active, Some(Role::Maintainer)))
        );
        assert_eq!(
            holding.hold_project(sample, None).await.unwrap(),
            Some((ProjectStatus::Active, None))
        );
        assert_eq!(
            holding
                .hold_project(model::ProjectId::new(), Some(bob))
                .await
                .unwrap(),
            None
        );
        let other = fixture.again().await;
        let mut revoking = tokio::spawn(async move {
            commit(&other, async |unit| unit.revoke_role(sample, bob).await).await
        });
        assert!(
            tokio::time::timeout(Duration::from_millis(200), &mut revoking)
                .await
                .is_err(),
            "it did not wait"
        );
        drop(holding);
        assert_eq!(revoking.await.unwrap().unwrap(), Some(Role::Maintainer));

        // A user who was disabled in between can no longer act.
        commit(storage, async |unit| {
            unit.disable_user(ada, "left", at(9)).await
        })
        .await
        .unwrap();
        let mut holding = storage.begin().await.unwrap();
        assert_eq!(
            holding.hold_project(sample, Some(ada)).await.unwrap(),
            Some((ProjectStatus::Active, None))
        );
    })
    .await;
}
