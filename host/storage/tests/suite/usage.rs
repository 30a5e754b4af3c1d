//! The usage of projects and users, whose limits hold even for simultaneous writes.

use model::{ReleaseState, Role};
use storage::Storage;
use storage::usage::Usage;

use crate::fixture::{Upload, at, at_once, commit, event, grant, on_both, project, user};

/// For one file of [`Upload`]: 1000 bytes and 100 of metadata.
const COST: u64 = 1100;

fn name(number: usize) -> String {
    format!("sample-1.0-{number}-py3-none-any.whl")
}

async fn add(
    storage: &Storage,
    project: model::ProjectId,
    number: usize,
    state: ReleaseState,
) -> Usage {
    let name = name(number);
    commit(storage, async |unit| {
        Upload {
            state,
            ..Upload::published(project, "1.0", &name)
        }
        .add_to(unit)
        .await
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_projects_usage_follows_its_files() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let sample = project(storage, "sample").await;
        assert_eq!(storage.project_size(sample).await.unwrap(), 0);
        let first = add(storage, sample, 1, ReleaseState::Published).await;
        assert_eq!(
            first,
            Usage {
                bytes: COST,
                staged_bytes: 0,
                files: 1,
                staged_files: 0,
                files_of_release: 1
            }
        );
        let second = add(storage, sample, 2, ReleaseState::Staged).await;
        assert_eq!(
            second,
            Usage {
                bytes: 2 * COST,
                staged_bytes: COST,
                files: 2,
                staged_files: 1,
                files_of_release: 2
            }
        );
        let release = storage.file(&name(1)).await.unwrap().unwrap().release;
        commit(storage, async |unit| {
            unit.publish_release(release, at(99)).await
        })
        .await
        .unwrap();
        add(storage, sample, 3, ReleaseState::Staged).await;
        let published = add(storage, sample, 4, ReleaseState::Staged).await;
        assert_eq!(
            (published.bytes, published.staged_bytes),
            (4 * COST, 2 * COST)
        );
        commit(storage, async |unit| unit.reject_release(release).await)
            .await
            .unwrap();
        let id = storage.file(&name(1)).await.unwrap().unwrap().id;
        commit(storage, async |unit| unit.delete_file(id, at(100)).await)
            .await
            .unwrap();
        assert_eq!(storage.project_size(sample).await.unwrap(), COST);
        assert_eq!(
            add(storage, sample, 5, ReleaseState::Published).await,
            Usage {
                bytes: 2 * COST,
                staged_bytes: 0,
                files: 2,
                staged_files: 0,
                files_of_release: 2
            }
        );
    })
    .await;
}

#[tokio::test]
async fn what_was_stored_before_it_was_counted_counts() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let sample = project(storage, "sample").await;
        add(storage, sample, 1, ReleaseState::Published).await;
        add(storage, sample, 2, ReleaseState::Staged).await;
        fixture.by_hand("DELETE FROM project_usage").await.unwrap();
        fixture
            .by_hand("UPDATE files SET metadata_size = NULL WHERE state = 'published'")
            .await
            .unwrap();
        assert_eq!(storage.project_size(sample).await.unwrap(), 1000 + COST);
        let usage = add(storage, sample, 3, ReleaseState::Staged).await;
        assert_eq!(
            usage,
            Usage {
                bytes: 1000 + 2 * COST,
                staged_bytes: 2 * COST,
                files: 3,
                staged_files: 2,
                files_of_release: 3
            }
        );
        assert_eq!(storage.project_size(sample).await.unwrap(), usage.bytes);
    })
    .await;
}

#[tokio::test]
async fn uploads_at_the_same_moment_see_each_other() {
    on_both(async |fixture| {
        let sample = project(&fixture.storage, "sample").await;
        // Each keeps its file only if there is room for it; there is room for three.
        let kept = at_once(&fixture, 12, |storage, number| async move {
            let name = name(number);
            let mut unit = storage.begin().await.unwrap();
            let usage = Upload::published(sample, "1.0", &name)
                .add_to(&mut unit)
                .await
                .unwrap();
            if usage.bytes > 3 * COST {
                return false;
            }
            unit.commit(&event(model::audit::EventKind::FileUploaded))
                .await
                .unwrap();
            true
        })
        .await;
        assert_eq!(kept.iter().filter(|kept| **kept).count(), 3);
        assert_eq!(
            fixture.storage.project_size(sample).await.unwrap(),
            3 * COST
        );
        assert_eq!(
            fixture.storage.published_files(sample).await.unwrap().len(),
            3
        );
    })
    .await;
}

#[tokio::test]
async fn a_user_uploads_so_many_bytes_in_a_day_and_no_more() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let (ada, bob) = (user(storage, "ada").await, user(storage, "bob").await);
        let take = async |bytes, hour: i64| {
            storage
                .take_uploaded_bytes(ada, bytes, at(hour * 3600), 10)
                .await
                .unwrap()
        };
        for (bytes, hour, taken) in [
            (5, 0, true),
            (11, 0, false),
            (6, 1, false),
            (5, 1, true),
            (1, 23, false),
            (5, 24, true),
            (1, 24, false),
            (5, 25, true),
        ] {
            assert_eq!(take(bytes, hour).await, taken, "{bytes} in hour {hour}");
        }
        assert!(!take(u64::MAX, 100).await);
        assert_eq!(
            storage.forget_uploaded_bytes(at(24 * 3600)).await.unwrap(),
            2
        );
        // Of simultaneous requests, as many succeed as there is room for.
        let taken = at_once(&fixture, 8, |storage, _| async move {
            storage
                .take_uploaded_bytes(bob, 3, at(0), 10)
                .await
                .unwrap()
        })
        .await;
        assert_eq!(taken.into_iter().filter(|taken| *taken).count(), 3);
    })
    .await;
}

#[tokio::test]
async fn projects_that_were_never_published_are_counted_for_their_owner() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let (ada, bob) = (user(storage, "ada").await, user(storage, "bob").await);
        let (sample, other) = (
            project(storage, "sample").await,
            project(storage, "other").await,
        );
        for project in [sample, other] {
            grant(storage, project, ada, Role::Owner).await.unwrap();
            grant(storage, project, bob, Role::Maintainer)
                .await
                .unwrap();
        }
        add(storage, sample, 1, ReleaseState::Published).await;
        for (user, expected) in [(ada, 1), (bob, 0)] {
            assert_eq!(
                commit(storage, async |unit| unit
                    .count_unpublished_projects(user)
                    .await)
                .await
                .unwrap(),
                expected
            );
        }
    })
    .await;
}
