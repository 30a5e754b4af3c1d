//! Releases and their files.

use model::{ReleaseState, Role, Version};
use storage::Conflict;
use storage::files::FileRow;
use storage::releases::{ReleaseMetadata, StagedBy};

use crate::fixture::{Upload, at, commit, conflict, digests, grant, on_both, project, user};

fn names(files: &[FileRow]) -> Vec<&str> {
    files.iter().map(|file| file.name.as_str()).collect()
}

const WHEEL: &str = "sample-1.0-py3-none-any.whl";
const WHEEL_2: &str = "sample-1.0-py2-none-any.whl";
const SDIST: &str = "sample-1.0.tar.gz";

#[tokio::test]
async fn a_published_file_reads_back_whole() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let sample = project(storage, "Sample").await;
        let release = Upload::published(sample, "1.0", WHEEL)
            .to(storage)
            .await
            .unwrap();
        let file = storage.file(WHEEL).await.unwrap().unwrap();
        assert_eq!(
            (file.project, file.project_name.as_str(), file.release),
            (sample, "sample", release)
        );
        assert_eq!(
            (file.version.to_string(), file.size, file.digests),
            ("1.0".to_owned(), 1000, digests(WHEEL))
        );
        assert_eq!(
            (
                file.requires_python.as_deref(),
                file.metadata_sha256,
                file.state
            ),
            (Some(">=3.9"), Some([3; 32]), ReleaseState::Published)
        );
        assert_eq!(
            storage
                .file_by_blake2(&digests(WHEEL).blake2_256)
                .await
                .unwrap()
                .as_ref(),
            Some(&file)
        );
        assert_eq!(
            storage.published_files(sample).await.unwrap(),
            std::slice::from_ref(&file)
        );
        assert_eq!(storage.files_of(release).await.unwrap(), [file]);
        let row = storage.release_by_id(release).await.unwrap().unwrap();
        assert_eq!(
            (row.state, row.published_at),
            (ReleaseState::Published, Some(at(11)))
        );
        assert_eq!(
            storage.release_metadata(release).await.unwrap(),
            Some(ReleaseMetadata::Blob([3; 32]))
        );
        assert_eq!(
            storage
                .project("sample")
                .await
                .unwrap()
                .unwrap()
                .published_at,
            Some(at(11))
        );
        assert_eq!(storage.file("other").await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn spellings_of_one_version_are_one_release() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let sample = project(storage, "sample").await;
        let first = Upload::published(sample, "1.0", WHEEL)
            .to(storage)
            .await
            .unwrap();
        let second = Upload::published(sample, "1.0.0", WHEEL_2)
            .to(storage)
            .await
            .unwrap();
        assert_eq!(first, second);
        let found = storage
            .release(sample, &Version::parse("1").unwrap())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (found.id, found.version.to_string()),
            (first, "1.0".to_owned())
        );
        assert_eq!(storage.published_versions(sample).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_is_staged_is_there_for_no_reader() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let (sample, ada, bob) = (
            project(storage, "sample").await,
            user(storage, "ada").await,
            user(storage, "bob").await,
        );
        grant(storage, sample, ada, Role::Maintainer).await.unwrap();
        let release = Upload::staged(sample, "1.0", WHEEL)
            .to(storage)
            .await
            .unwrap();
        assert_eq!(storage.published_files(sample).await.unwrap(), []);
        assert_eq!(storage.published_versions(sample).await.unwrap(), []);
        assert_eq!(storage.published_releases(sample).await.unwrap(), []);
        assert_eq!(storage.index("", 10).await.unwrap(), []);
        assert_eq!(storage.last_serial().await.unwrap(), 0);
        let staged = storage.staged_releases(sample).await.unwrap();
        assert_eq!(
            (staged.len(), staged[0].release.id, names(&staged[0].files)),
            (1, release, vec![WHEEL])
        );
        assert_eq!(
            staged[0].staged_by,
            [StagedBy {
                user: None,
                token_description: None
            }]
        );
        assert_eq!(storage.staged_releases_for(ada).await.unwrap(), staged);
        assert_eq!(storage.staged_releases_for(bob).await.unwrap(), []);
        assert_eq!(storage.all_staged_releases().await.unwrap(), staged);
        assert_eq!(
            storage.file(WHEEL).await.unwrap().unwrap().state,
            ReleaseState::Staged
        );
    })
    .await;
}

#[tokio::test]
async fn publishing_shows_all_staged_files_once() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let sample = project(storage, "sample").await;
        let release = Upload::staged(sample, "1.0", WHEEL)
            .to(storage)
            .await
            .unwrap();
        Upload::staged(sample, "1.0", SDIST)
            .to(storage)
            .await
            .unwrap();
        let publish = async || {
            commit(storage, async |unit| {
                unit.publish_release(release, at(99)).await
            })
            .await
            .unwrap()
        };
        let files = publish().await;
        assert_eq!(names(&files), [WHEEL, SDIST]);
        assert_eq!(storage.published_files(sample).await.unwrap(), files);
        assert_eq!(
            (files[0].state, files[0].published_at, files[0].uploaded_at),
            (ReleaseState::Published, Some(at(99)), at(11))
        );
        assert_eq!(publish().await, [], "there is nothing left to publish");
        assert_eq!(storage.last_serial().await.unwrap(), 1);
        assert_eq!(storage.all_staged_releases().await.unwrap(), []);
        assert_eq!(
            storage
                .release_by_id(release)
                .await
                .unwrap()
                .unwrap()
                .published_at,
            Some(at(99))
        );
    })
    .await;
}

#[tokio::test]
async fn a_file_may_be_staged_on_a_published_release() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let sample = project(storage, "sample").await;
        let release = Upload::published(sample, "1.0", WHEEL)
            .to(storage)
            .await
            .unwrap();
        Upload::staged(sample, "1.0", SDIST)
            .to(storage)
            .await
            .unwrap();
        assert_eq!(
            names(&storage.published_files(sample).await.unwrap()),
            [WHEEL]
        );
        let rejected = commit(storage, async |unit| unit.reject_release(release).await)
            .await
            .unwrap();
        assert_eq!(
            (names(&rejected.files), rejected.release_removed),
            (vec![SDIST], false)
        );
        assert_eq!(
            names(&storage.published_files(sample).await.unwrap()),
            [WHEEL]
        );
    })
    .await;
}

#[tokio::test]
async fn what_is_rejected_leaves_nothing_and_its_names_are_free() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let sample = project(storage, "sample").await;
        let release = Upload::staged(sample, "1.0", WHEEL)
            .to(storage)
            .await
            .unwrap();
        assert!(
            storage
                .is_blob_referenced(&digests(WHEEL).blake2_256)
                .await
                .unwrap()
        );
        let rejected = commit(storage, async |unit| unit.reject_release(release).await)
            .await
            .unwrap();
        assert_eq!(
            (names(&rejected.files), rejected.release_removed),
            (vec![WHEEL], true)
        );
        assert!(
            !storage
                .is_blob_referenced(&digests(WHEEL).blake2_256)
                .await
                .unwrap()
        );
        assert_eq!(storage.release_by_id(release).await.unwrap(), None);
        assert_eq!(
            storage.last_serial().await.unwrap(),
            0,
            "no reader sees a difference"
        );
        Upload::published(sample, "1.0", WHEEL)
            .to(storage)
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn names_and_contents_are_unique_and_a_release_has_one_source_distribution() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let (sample, other) = (
            project(storage, "sample").await,
            project(storage, "other").await,
        );
        Upload::staged(sample, "1.0", WHEEL)
            .to(storage)
            .await
            .unwrap();
        Upload::published(sample, "1.0", SDIST)
            .to(storage)
            .await
            .unwrap();
        let same_name = Upload {
            content: "different",
            ..Upload::published(other, "1.0", WHEEL)
        };
        assert_eq!(
            conflict(same_name.to(storage).await),
            Conflict::FileNameTaken
        );
        let same_content = Upload {
            content: WHEEL,
            ..Upload::published(other, "1.0", "other-1.0-py3-none-any.whl")
        };
        assert_eq!(
            conflict(same_content.to(storage).await),
            Conflict::FileContentTaken
        );
        let second_sdist = Upload::published(sample, "1.0", "sample-1.0.0.tar.gz");
        assert_eq!(
            conflict(second_sdist.to(storage).await),
            Conflict::SourceDistributionTaken
        );
        assert_eq!(
            storage
                .release(other, &Version::parse("1.0").unwrap())
                .await
                .unwrap(),
            None,
            "no failed upload leaves a release"
        );
    })
    .await;
}

#[tokio::test]
async fn the_name_of_a_deleted_file_is_burned_if_readers_saw_it() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let sample = project(storage, "sample").await;
        Upload::published(sample, "1.0", WHEEL)
            .to(storage)
            .await
            .unwrap();
        Upload::staged(sample, "1.0", SDIST)
            .to(storage)
            .await
            .unwrap();
        for (name, burned) in [(WHEEL, true), (SDIST, false)] {
            let id = storage.file(name).await.unwrap().unwrap().id;
            let deleted = commit(storage, async |unit| unit.delete_file(id, at(70)).await)
                .await
                .unwrap()
                .unwrap();
            assert_eq!(deleted.name, name);
            assert_eq!(storage.is_burned(name).await.unwrap(), burned);
            assert_eq!(
                commit(storage, async |unit| unit.delete_file(id, at(71)).await)
                    .await
                    .unwrap(),
                None
            );
            let again = Upload {
                content: "new",
                ..Upload::published(sample, "1.0", name)
            }
            .to(storage)
            .await;
            assert_eq!(again.is_err(), burned);
        }
        let burned = Upload {
            content: "newer",
            ..Upload::published(sample, "2.0", WHEEL)
        };
        assert_eq!(conflict(burned.to(storage).await), Conflict::FileNameTaken);
        let spelled = WHEEL.to_uppercase();
        let spelled = Upload {
            content: "newest",
            kind: model::FileKind::Wheel,
            ..Upload::published(sample, "2.0", &spelled)
        };
        assert_eq!(conflict(spelled.to(storage).await), Conflict::FileNameTaken);
    })
    .await;
}

#[tokio::test]
async fn a_yank_is_seen_on_every_file_until_it_is_taken_back() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let sample = project(storage, "sample").await;
        let release = Upload::published(sample, "1.0", WHEEL)
            .to(storage)
            .await
            .unwrap();
        let yanked = async || {
            storage.published_files(sample).await.unwrap()[0]
                .yanked
                .clone()
        };
        assert!(
            commit(storage, async |unit| unit
                .yank_release(release, "broken", at(60))
                .await)
            .await
            .unwrap()
        );
        assert!(
            !commit(storage, async |unit| unit
                .yank_release(release, "again", at(61))
                .await)
            .await
            .unwrap()
        );
        assert_eq!(
            yanked().await,
            Some(storage::releases::Yank {
                at: at(60),
                reason: "broken".into()
            })
        );
        assert!(
            commit(storage, async |unit| unit.unyank_release(release).await)
                .await
                .unwrap()
        );
        assert!(
            !commit(storage, async |unit| unit.unyank_release(release).await)
                .await
                .unwrap()
        );
        assert_eq!(yanked().await, None);
        let staged = Upload::staged(sample, "2.0", WHEEL_2)
            .to(storage)
            .await
            .unwrap();
        assert!(
            !commit(storage, async |unit| unit
                .yank_release(staged, "", at(62))
                .await)
            .await
            .unwrap()
        );
    })
    .await;
}

#[tokio::test]
async fn sizes_and_blobs_count_staged_files_too() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        assert_eq!(storage.total_size().await.unwrap(), 0);
        let (sample, other) = (
            project(storage, "sample").await,
            project(storage, "other").await,
        );
        Upload::published(sample, "1.0", WHEEL)
            .to(storage)
            .await
            .unwrap();
        Upload::staged(sample, "1.0", SDIST)
            .to(storage)
            .await
            .unwrap();
        Upload::published(other, "1.0", "other-1.0-py3-none-any.whl")
            .to(storage)
            .await
            .unwrap();
        assert_eq!(
            (
                storage.project_size(sample).await.unwrap(),
                storage.total_size().await.unwrap()
            ),
            (2200, 3000)
        );
        let mut expected =
            [WHEEL, SDIST, "other-1.0-py3-none-any.whl"].map(|name| digests(name).blake2_256);
        expected.sort_unstable();
        let mut seen = storage.blobs(None, 2).await.unwrap();
        seen.extend(storage.blobs(seen.last(), 2).await.unwrap());
        assert_eq!(seen, expected);
    })
    .await;
}

#[tokio::test]
async fn a_file_needs_its_release() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let sample = project(storage, "sample").await;
        let release = Upload::staged(sample, "1.0", WHEEL)
            .to(storage)
            .await
            .unwrap();
        commit(storage, async |unit| unit.reject_release(release).await)
            .await
            .unwrap();
        let published = commit(storage, async |unit| {
            unit.publish_release(release, at(9)).await
        })
        .await
        .unwrap();
        assert_eq!(published, []);
        let gone = Upload::staged(model::ProjectId::new(), "1.0", WHEEL)
            .to(storage)
            .await;
        assert_eq!(conflict(gone), Conflict::ReferenceGone);
    })
    .await;
}

/// Two servers, one file name, many times: one upload wins, the other gets the reason, and leaves
/// nothing behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_uploads_of_one_name_one_wins() {
    on_both(async |fixture| {
        let storages = [fixture.storage.clone(), fixture.again().await];
        for round in 0..8 {
            let sample = project(&storages[0], &format!("sample{round}")).await;
            let name = format!("sample{round}-1.0-py3-none-any.whl");
            let uploads: Vec<_> = ["one", "two"]
                .into_iter()
                .zip(storages.clone())
                .map(|(content, storage)| {
                    let (name, content) = (name.clone(), format!("{content} {round}"));
                    tokio::spawn(async move {
                        Upload {
                            content: &content,
                            ..Upload::published(sample, "1.0", &name)
                        }
                        .to(&storage)
                        .await
                    })
                })
                .collect();
            let mut lost = Vec::new();
            for upload in uploads {
                lost.extend(upload.await.unwrap().err());
            }
            assert_eq!(
                lost.iter()
                    .map(|error| error.conflict())
                    .collect::<Vec<_>>(),
                [Some(Conflict::FileNameTaken)]
            );
            assert_eq!(storages[0].published_files(sample).await.unwrap().len(), 1);
        }
    })
    .await;
}

/// While releases of several files are published, a reader of another process sees none of
/// the files or all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn publishing_is_atomic_for_readers() {
    on_both(async |fixture| {
        let (storage, reader) = (fixture.storage.clone(), fixture.again().await);
        for round in 0..5 {
            let sample = project(&storage, &format!("sample{round}")).await;
            let mut release = None;
            for number in 0..6 {
                let name = format!("sample{round}-1.0-py3-none-any{number}.whl");
                release = Some(
                    Upload::staged(sample, "1.0", &name)
                        .to(&storage)
                        .await
                        .unwrap(),
                );
            }
            let reading = tokio::spawn({
                let reader = reader.clone();
                async move {
                    let mut seen = Vec::new();
                    while seen.last() != Some(&6) {
                        seen.push(reader.published_files(sample).await.unwrap().len());
                    }
                    seen
                }
            });
            commit(&storage, async |unit| {
                unit.publish_release(release.unwrap(), at(99)).await
            })
            .await
            .unwrap();
            assert!(
                reading
                    .await
                    .unwrap()
                    .iter()
                    .all(|count| [0, 6].contains(count))
            );
        }
    })
    .await;
}

/// A release is rejected while another file is uploaded to it: either the file is removed with it,
/// or the release is created again; never a file without its release, never an error.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_upload_and_a_rejection_at_once_leave_no_half() {
    on_both(async |fixture| {
        let storages = [fixture.storage.clone(), fixture.again().await];
        for round in 0..8 {
            let sample = project(&storages[0], &format!("sample{round}")).await;
            let names = [
                format!("sample{round}-1.0.tar.gz"),
                format!("sample{round}-1.0-py3-none-any.whl"),
            ];
            let release = Upload::staged(sample, "1.0", &names[0])
                .to(&storages[0])
                .await
                .unwrap();
            let [first, second] = storages.clone();
            let wheel = names[1].clone();
            let rejecting = tokio::spawn(async move {
                commit(&first, async |unit| unit.reject_release(release).await).await
            });
            let uploading =
                tokio::spawn(
                    async move { Upload::staged(sample, "1.0", &wheel).to(&second).await },
                );
            let rejected = rejecting.await.unwrap().unwrap();
            let uploaded_to = uploading.await.unwrap().unwrap();
            assert!(rejected.release_removed);
            let left = storages[0].staged_releases(sample).await.unwrap();
            if rejected.files.len() == 2 {
                assert_eq!(left, []);
            } else {
                assert_eq!((left.len(), left[0].release.id), (1, uploaded_to));
                assert_ne!(uploaded_to, release);
            }
        }
    })
    .await;
}

/// Several files of a new project at once, as some tools upload them, while a release of it is
/// published: each waits for its turn, and no two for each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn uploads_to_a_new_project_and_its_publishing_do_not_block_each_other() {
    on_both(async |fixture| {
        let storages = [fixture.storage.clone(), fixture.again().await];
        for round in 0..6 {
            let sample = project(&storages[0], &format!("sample{round}")).await;
            let staged = Upload::staged(sample, "1.0", &format!("sample{round}-1.0.tar.gz"))
                .to(&storages[0])
                .await
                .unwrap();
            let uploads: Vec<_> = (0..4)
                .map(|number| {
                    let storage = storages[number % 2].clone();
                    let name = format!("sample{round}-1.0-py3-none-any{number}.whl");
                    tokio::spawn(async move {
                        commit(&storage, async |unit| {
                            unit.hold_project(sample, None).await?;
                            Upload::published(sample, "1.0", &name).write_to(unit).await
                        })
                        .await
                    })
                })
                .collect();
            let published = commit(&storages[1], async |unit| {
                unit.publish_release(staged, at(99)).await
            })
            .await;
            assert_eq!(published.unwrap().len(), 1);
            for upload in uploads {
                upload.await.unwrap().unwrap();
            }
            assert_eq!(storages[0].published_files(sample).await.unwrap().len(), 5);
        }
    })
    .await;
}
