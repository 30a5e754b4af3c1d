//! Releases and projects that are removed.

use model::{ReleaseState, Role};
use storage::Conflict;

use crate::fixture::{Upload, at, commit, conflict, grant, on_both, project, user};

const WHEEL: &str = "sample-1.0-py3-none-any.whl";
const STAGED: &str = "sample-1.0-py2-none-any.whl";

#[tokio::test]
async fn a_deleted_release_burns_the_names_that_readers_saw_and_frees_the_others() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let sample = project(storage, "sample").await;
        let release = Upload::published(sample, "1.0", WHEEL)
            .to(storage)
            .await
            .unwrap();
        Upload::staged(sample, "1.0", STAGED)
            .to(storage)
            .await
            .unwrap();
        Upload::published(sample, "2.0", "sample-2.0-py3-none-any.whl")
            .to(storage)
            .await
            .unwrap();
        let before = storage.last_serial().await.unwrap();
        let deleted = commit(storage, async |unit| {
            unit.delete_release(release, at(50)).await
        })
        .await
        .unwrap()
        .unwrap();
        assert_eq!(
            deleted
                .iter()
                .map(|file| (file.name.as_str(), file.state))
                .collect::<Vec<_>>(),
            [
                (STAGED, ReleaseState::Staged),
                (WHEEL, ReleaseState::Published)
            ]
        );
        assert_eq!(
            (
                storage.release_by_id(release).await.unwrap(),
                storage.files_of(release).await.unwrap()
            ),
            (None, vec![])
        );
        assert_eq!(
            storage.last_serial().await.unwrap(),
            before + 1,
            "readers see it"
        );
        assert_eq!(
            storage.project_size(sample).await.unwrap(),
            1100,
            "one file with its metadata is left, and counts"
        );
        let again = Upload::published(sample, "1.0", WHEEL).to(storage).await;
        assert_eq!(
            conflict(again),
            Conflict::FileNameTaken,
            "a name that readers saw is never free again"
        );
        Upload::published(sample, "1.0", STAGED)
            .to(storage)
            .await
            .unwrap();
        assert_eq!(
            commit(storage, async |unit| unit
                .delete_release(release, at(60))
                .await)
            .await
            .unwrap(),
            None
        );
    })
    .await;
}

#[tokio::test]
async fn a_deleted_project_leaves_its_name_and_nothing_else() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let (sample, other, ada) = (
            project(storage, "sample").await,
            project(storage, "other").await,
            user(storage, "ada").await,
        );
        grant(storage, sample, ada, Role::Owner).await.unwrap();
        for (project, name) in [(sample, WHEEL), (other, "other-1.0-py3-none-any.whl")] {
            Upload::published(project, "1.0", name)
                .to(storage)
                .await
                .unwrap();
        }
        let marker = storage.change_marker().await.unwrap();
        let deleted = commit(storage, async |unit| {
            unit.delete_project(sample, at(50)).await
        })
        .await
        .unwrap()
        .unwrap();
        assert_eq!((deleted.files.len(), deleted.was_published), (1, true));
        let row = storage.project("sample").await.unwrap().unwrap();
        assert_eq!((row.id, row.published_at), (sample, None));
        assert!(
            storage.roles_on(sample).await.unwrap().is_empty()
                && storage.published_releases(sample).await.unwrap().is_empty()
        );
        assert_eq!(
            (
                storage.count_projects().await.unwrap(),
                storage.project_size(sample).await.unwrap()
            ),
            (1, 0)
        );
        let after = storage.change_marker().await.unwrap();
        assert!(
            after.serial > marker.serial && after.list_serial == after.serial,
            "the list changed: {after:?}"
        );
        assert_eq!(storage.index("", 10).await.unwrap().len(), 1);
        assert_eq!(
            storage.journal(marker.serial, 10).await.unwrap()[0].action,
            "remove project"
        );
        // Given to someone again, it still takes no file that readers saw.
        grant(storage, sample, ada, Role::Owner).await.unwrap();
        assert_eq!(
            conflict(Upload::published(sample, "1.0", WHEEL).to(storage).await),
            Conflict::FileNameTaken
        );
        Upload::published(sample, "2.0", "sample-2.0-py3-none-any.whl")
            .to(storage)
            .await
            .unwrap();
        assert_eq!(storage.count_projects().await.unwrap(), 2);
    })
    .await;
}
