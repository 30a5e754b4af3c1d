use model::audit::EventKind;
use model::{ProjectStatus, Role};

use crate::fixture::{Upload, at, committed, event, on_both, project, user};

#[tokio::test]
async fn each_change_that_readers_see_has_a_serial() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let sample = project(storage, "sample").await;
        assert_eq!(
            storage.last_serial().await.unwrap(),
            0,
            "nobody sees a project without files"
        );
        Upload::published(sample, "1.0", "sample-1.0.tar.gz")
            .to(storage)
            .await
            .unwrap();
        let commit = committed(storage, async |unit| {
            Upload::published(sample, "1.0", "sample-1.0-py3-none-any.whl")
                .write_to(unit)
                .await?;
            unit.set_project_status(sample, ProjectStatus::Archived, None)
                .await
        });
        assert_eq!(commit.await.serial, Some(3));
        let journal = storage.journal(1, 10).await.unwrap();
        assert_eq!(
            journal
                .iter()
                .map(|row| (row.serial, row.project_name.as_str(), row.action.as_str()))
                .collect::<Vec<_>>(),
            [(2, "sample", "add file"), (3, "sample", "change status")]
        );
        assert_eq!(
            storage
                .project("sample")
                .await
                .unwrap()
                .unwrap()
                .last_serial,
            3
        );
    })
    .await;
}

#[tokio::test]
async fn the_marker_moves_with_every_change_of_every_process() {
    on_both(async |fixture| {
        let (storage, other) = (fixture.storage.clone(), fixture.again().await);
        let (sample, ada) = (
            project(&storage, "sample").await,
            user(&storage, "ada").await,
        );
        let before = storage.change_marker().await.unwrap();
        assert_eq!(storage.known_marker(), before);
        let commit = committed(&other, async |unit| {
            unit.grant_role(sample, ada, Role::Owner, at(3))
                .await
                .map(drop)
        });
        assert_eq!(commit.await.serial, None, "readers see no difference");
        assert_eq!(storage.known_marker(), before, "nobody has asked yet");
        let after = storage.change_marker().await.unwrap();
        assert_eq!(
            (after.serial, after.revision),
            (before.serial, before.revision + 1)
        );
        assert_eq!(other.known_marker(), after, "who wrote it knows");
        storage
            .begin()
            .await
            .unwrap()
            .commit(&event(EventKind::RequestRefused))
            .await
            .unwrap();
        assert_eq!(
            storage.change_marker().await.unwrap(),
            after,
            "an event alone changes nothing"
        );
    })
    .await;
}

#[tokio::test]
async fn the_list_has_a_serial_of_its_own_and_its_projects_are_counted() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let (sample, other) = (
            project(storage, "sample").await,
            project(storage, "other").await,
        );
        let list = async || {
            (
                storage.change_marker().await.unwrap().list_serial,
                storage.count_projects().await.unwrap(),
            )
        };
        Upload::staged(sample, "1.0", "sample-1.0.tar.gz")
            .to(storage)
            .await
            .unwrap();
        assert_eq!(list().await, (0, 0), "nobody sees it");
        Upload::published(sample, "1.0", "sample-1.0-py3-none-any.whl")
            .to(storage)
            .await
            .unwrap();
        assert_eq!(list().await, (1, 1));
        Upload::published(sample, "2.0", "sample-2.0-py3-none-any.whl")
            .to(storage)
            .await
            .unwrap();
        assert_eq!(
            (list().await, storage.last_serial().await.unwrap()),
            ((1, 1), 2),
            "a file of a project that is listed changes no list"
        );
        // Of several changes at once, the last that changes the list; a project in quarantine is
        // not counted.
        let commit = committed(storage, async |unit| {
            unit.set_project_status(sample, ProjectStatus::Quarantined, None)
                .await?;
            Upload::published(other, "1.0", "other-1.0-py3-none-any.whl")
                .write_to(unit)
                .await?;
            Upload::published(other, "1.0", "other-1.0-py2-none-any.whl")
                .write_to(unit)
                .await
                .map(drop)
        });
        assert_eq!((commit.await.serial, list().await), (Some(5), (4, 1)));
    })
    .await;
}

/// A reader who has seen a serial can see every earlier change: serials are assigned in the order
/// of commits. Otherwise a cache filled in between would stay stale permanently.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_serial_that_is_seen_covers_all_below_it() {
    on_both(async |fixture| {
        let storages = [fixture.storage.clone(), fixture.again().await];
        let projects = [
            project(&storages[0], "a").await,
            project(&storages[0], "b").await,
        ];
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let (storage, project) = (storages[writer].clone(), projects[writer]);
                tokio::spawn(async move {
                    for number in 0..15 {
                        let name = format!("{writer}-{number}.whl");
                        Upload::published(project, "1.0", &name)
                            .to(&storage)
                            .await
                            .unwrap();
                    }
                })
            })
            .collect();
        let reader = fixture.again().await;
        let mut serial = 0;
        while serial < 30 {
            serial = reader.last_serial().await.unwrap();
            let files = reader.published_files(projects[0]).await.unwrap().len()
                + reader.published_files(projects[1]).await.unwrap().len();
            assert!(files as i64 >= serial, "{files} files at serial {serial}");
        }
        for writer in writers {
            writer.await.unwrap();
        }
    })
    .await;
}
