//! Staged files do not exist for readers until a person publishes them.

use std::collections::{BTreeMap, BTreeSet};

use gate::Target as _;
use model::Version;
use model::audit::EventKind;
use proptest::prelude::*;
use registry::index::PageFormat;
use registry::staging::StagingError;
use registry::upload::UploadError;

use crate::fixture::{File, Fixture, Person};

fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

/// A project `sample` of ana's with a published 1.0, whose further uploads wait.
async fn held() -> (Fixture, Person) {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    fixture
        .upload(&ana.token(), File::wheel("sample", "1.0"))
        .await
        .unwrap();
    fixture.hold_back("sample").await;
    (fixture, ana)
}

#[tokio::test]
async fn a_staged_file_is_a_success_that_nobody_sees() {
    let (fixture, ana) = held().await;
    let before = (
        fixture
            .simple(Some("sample"), PageFormat::Html)
            .await
            .unwrap(),
        fixture.simple(None, PageFormat::Json).await.unwrap(),
        fixture.json("sample", None).await,
    );
    let file = File::wheel("sample", "2.0");
    let uploaded = fixture.upload(&ana.token(), file.clone()).await.unwrap();
    assert!(uploaded.staged);
    assert!(
        uploaded
            .messages
            .iter()
            .any(|line| line.contains("The release is held until a maintainer publishes it.")),
        "{:?}",
        uploaded.messages
    );

    let after = (
        fixture
            .simple(Some("sample"), PageFormat::Html)
            .await
            .unwrap(),
        fixture.simple(None, PageFormat::Json).await.unwrap(),
        fixture.json("sample", None).await,
    );
    assert_eq!(
        (before.0.body, before.1.body, before.2),
        (after.0.body, after.1.body, after.2)
    );
    assert_eq!(fixture.json("sample", Some("2.0")).await, None);
    assert_eq!(
        (
            fixture.download(&file, "").await,
            fixture.download(&file, ".metadata").await
        ),
        (None, None)
    );
    assert_eq!(fixture.events(EventKind::FileStaged).await.len(), 1);
}

#[tokio::test]
async fn a_person_publishes_all_files_at_once_and_the_token_that_staged_cannot() {
    let (fixture, ana) = held().await;
    let files = [File::wheel("sample", "2.0"), File::sdist("sample", "2.0")];
    for file in &files {
        assert!(
            fixture
                .upload(&ana.token(), file.clone())
                .await
                .unwrap()
                .staged
        );
    }
    let target = fixture
        .registry
        .load_publish(Some(&ana.token()), "sample", &version("2.0"))
        .await
        .unwrap();
    assert!(fixture.decide(&ana.token(), target).await.is_err());
    assert_eq!(fixture.visible("sample").await.len(), 1);

    let target = fixture
        .registry
        .load_publish(Some(&ana.session()), "Sample", &version("2.0.0"))
        .await
        .unwrap();
    let released = fixture
        .registry
        .publish_release(fixture.decide(&ana.session(), target).await.unwrap())
        .await
        .unwrap();
    assert_eq!(
        released.files,
        ["sample-2.0-py3-none-any.whl", "sample-2.0.tar.gz"]
    );
    assert_eq!(fixture.visible("sample").await.len(), 3);
    for file in &files {
        assert_eq!(fixture.download(file, "").await.unwrap(), file.bytes);
    }
    assert_eq!(fixture.events(EventKind::ReleasePublished).await.len(), 1);

    let target = fixture
        .registry
        .load_publish(Some(&ana.session()), "sample", &version("2.0"))
        .await
        .unwrap();
    let again = fixture
        .registry
        .publish_release(fixture.decide(&ana.session(), target).await.unwrap())
        .await;
    assert!(
        matches!(again, Err(StagingError::NotStaged { .. })),
        "{again:?}"
    );
}

#[tokio::test]
async fn what_is_rejected_is_gone_and_its_name_is_free() {
    let (fixture, ana) = held().await;
    fixture
        .upload(&ana.token(), File::wheel("sample", "2.0"))
        .await
        .unwrap();
    let target = fixture
        .registry
        .load_reject(None, "sample", &version("2.0"))
        .await
        .unwrap();
    let released = fixture
        .registry
        .reject_release(fixture.permit(target).await)
        .await
        .unwrap();
    assert_eq!(released.files, ["sample-2.0-py3-none-any.whl"]);
    let other = File::wheel_with("sample", "2.0", "Summary: better\n");
    assert!(fixture.upload(&ana.token(), other).await.unwrap().staged);
    assert_eq!(fixture.visible("sample").await.len(), 1);
}

#[tokio::test]
async fn a_stranger_cannot_tell_whether_something_is_staged() {
    let (fixture, ana) = held().await;
    let eve = fixture.person("eve").await;
    fixture
        .upload(&ana.token(), File::wheel("sample", "2.0"))
        .await
        .unwrap();
    // Also a project that was never published: for everyone else there is none.
    let storage = fixture.registry.storage();
    let before = storage.last_serial().await.unwrap();
    let mut refusals = Vec::new();
    for (project, number) in [("sample", "2.0"), ("sample", "3.0"), ("nobodys", "2.0")] {
        let publish = fixture
            .registry
            .load_publish(Some(&eve.session()), project, &version(number))
            .await
            .unwrap();
        let reject = fixture
            .registry
            .load_reject(Some(&eve.session()), project, &version(number))
            .await
            .unwrap();
        let preview = fixture
            .registry
            .load_preview(Some(&eve.session()), Some(project))
            .await
            .unwrap();
        let answers = [
            fixture
                .decide(&eve.session(), publish)
                .await
                .err()
                .unwrap()
                .reasons,
            fixture
                .decide(&eve.session(), reject)
                .await
                .err()
                .unwrap()
                .reasons,
            fixture
                .decide(&eve.session(), preview)
                .await
                .err()
                .unwrap()
                .reasons,
        ];
        refusals.push(format!("{answers:?}").replace(project, "…"));
    }
    assert!(
        refusals.iter().all(|refusal| *refusal == refusals[0]),
        "{refusals:#?}"
    );
    assert_eq!(storage.last_serial().await.unwrap(), before);

    let preview = fixture
        .registry
        .load_preview(Some(&eve.session()), None)
        .await
        .unwrap();
    assert!(
        fixture
            .registry
            .staged_releases(fixture.decide(&eve.session(), preview).await.unwrap())
            .await
            .unwrap()
            .is_empty()
    );
    let preview = fixture
        .registry
        .load_preview(Some(&ana.session()), None)
        .await
        .unwrap();
    assert_eq!(
        fixture
            .registry
            .staged_releases(fixture.decide(&ana.session(), preview).await.unwrap())
            .await
            .unwrap()
            .len(),
        1
    );
    let preview = fixture.registry.load_preview(None, None).await.unwrap();
    assert_eq!(
        fixture
            .registry
            .staged_releases(fixture.permit(preview).await)
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn whoever_uploads_the_bytes_of_a_staged_file_elsewhere_learns_nothing() {
    let (fixture, ana) = held().await;
    let eve = fixture.person("eve").await;
    let staged = File::sdist("sample", "2.0");
    fixture.upload(&ana.token(), staged.clone()).await.unwrap();
    let copy = File {
        name: Some("other-2.0.tar.gz".into()),
        ..staged.with("name", "other")
    };
    let (_, message) = fixture.rejected(&eve.token(), copy).await;
    assert!(
        message.starts_with("The upload form says Name 'other', the file itself says 'sample'."),
        "{message}"
    );
}

#[tokio::test]
async fn a_staged_file_uploaded_again_says_that_it_waits() {
    let (fixture, ana) = held().await;
    fixture
        .upload(&ana.token(), File::wheel("sample", "2.0"))
        .await
        .unwrap();
    let again = fixture
        .upload(&ana.token(), File::wheel("sample", "2.0"))
        .await
        .unwrap();
    assert!(again.unchanged && again.staged);
    let other = fixture
        .upload(
            &ana.token(),
            File::wheel_with("sample", "2.0", "Summary: other\n"),
        )
        .await;
    assert!(
        matches!(&other, Err(UploadError::Rejected { message, .. }) if message.starts_with("File already exists")),
        "{other:?}"
    );
}

#[tokio::test]
async fn nothing_slips_in_between_a_look_and_a_release() {
    let (fixture, ana) = held().await;
    fixture
        .upload(&ana.token(), File::wheel("sample", "2.0"))
        .await
        .unwrap();
    let target = fixture
        .registry
        .load_publish(Some(&ana.session()), "sample", &version("2.0"))
        .await
        .unwrap();
    assert_eq!(
        target.files().map(|(name, _)| name).collect::<Vec<_>>(),
        ["sample-2.0-py3-none-any.whl"]
    );
    let permit = fixture.decide(&ana.session(), target).await.unwrap();
    fixture
        .upload(&ana.token(), File::sdist("sample", "2.0"))
        .await
        .unwrap();
    let result = fixture.registry.publish_release(permit).await;
    assert!(
        matches!(result, Err(StagingError::Overtaken { .. })),
        "{result:?}"
    );
    assert_eq!(fixture.visible("sample").await.len(), 1);
}

const DAY_SECONDS: i64 = 24 * 60 * 60;

#[tokio::test]
async fn what_was_staged_in_time_is_not_published_on_a_release_that_is_too_old_by_then() {
    let (fixture, ana) = held().await;
    fixture
        .upload(&ana.token(), File::sdist("sample", "1.0"))
        .await
        .unwrap();
    fixture
        .upload(&ana.token(), File::wheel("sample", "2.0"))
        .await
        .unwrap();
    fixture.clock.advance_seconds(14 * DAY_SECONDS);
    let publish = async |number: &str| {
        let target = fixture
            .registry
            .load_publish(None, "sample", &version(number))
            .await
            .unwrap();
        let looked_at = fixture.registry.check_publish(&target).is_ok();
        let result = fixture
            .registry
            .publish_release(fixture.permit(target).await)
            .await;
        assert_eq!(
            looked_at,
            result.is_ok(),
            "what is said before the decision holds"
        );
        result
    };
    fixture.clock.advance_seconds(1);
    let result = publish("1.0").await;
    assert!(
        matches!(&result, Err(StagingError::Closed { days: 14, .. })),
        "{result:?}"
    );
    assert_eq!(fixture.visible("sample").await.len(), 1);
    assert!(fixture.events(EventKind::ReleasePublished).await.is_empty());
    // As an upload of the same file would be refused by then.
    let (status, message) = fixture
        .rejected(
            &ana.token(),
            File::wheel("sample", "1.0")
                .named("sample-1.0-py2-none-any.whl")
                .bytes(crate::samples::wheel("sample", "1.0", "Summary: x\n")),
        )
        .await;
    assert_eq!(
        (status, message.as_str()),
        (
            400,
            "Uploading new files to releases older than 14 days is not allowed. Upload a new version."
        )
    );

    let target = fixture
        .registry
        .load_reject(None, "sample", &version("1.0"))
        .await
        .unwrap();
    assert_eq!(
        fixture
            .registry
            .reject_release(fixture.permit(target).await)
            .await
            .unwrap()
            .files,
        ["sample-1.0.tar.gz"]
    );
    // A release that no one has seen yet is as new as ever.
    publish("2.0").await.unwrap();
}

#[tokio::test]
async fn a_file_staged_for_a_published_release_is_published_with_it_until_that_is_too_old() {
    let (fixture, ana) = held().await;
    fixture
        .upload(&ana.token(), File::sdist("sample", "1.0"))
        .await
        .unwrap();
    fixture.clock.advance_seconds(14 * DAY_SECONDS);
    let target = fixture
        .registry
        .load_publish(None, "sample", &version("1.0"))
        .await
        .unwrap();
    fixture
        .registry
        .publish_release(fixture.permit(target).await)
        .await
        .unwrap();
    assert_eq!(fixture.visible("sample").await.len(), 2);
}

/// Otherwise a harmless file could be staged early, and the one that matters just before it is
/// published.
#[tokio::test]
async fn a_staged_release_is_as_old_as_the_last_file_staged_for_it_and_says_who_staged() {
    let (fixture, ana) = held().await;
    fixture
        .upload(&ana.token(), File::wheel("sample", "2.0"))
        .await
        .unwrap();
    let facts = async || {
        let target = fixture
            .registry
            .load_publish(None, "sample", &version("2.0"))
            .await
            .unwrap();
        let release = target.facts().release.unwrap();
        (release.age, release.staged_by_users.to_vec())
    };
    fixture.clock.advance_seconds(3600);
    assert_eq!(facts().await, (3600, vec![ana.id]));
    fixture
        .upload(&ana.token(), File::sdist("sample", "2.0"))
        .await
        .unwrap();
    assert_eq!(facts().await, (0, vec![ana.id]));
    fixture.clock.advance_seconds(60);
    assert_eq!(facts().await.0, 60);
}

#[tokio::test]
async fn a_role_that_was_taken_away_publishes_nothing() {
    let (fixture, ana) = held().await;
    let bob = fixture.person("bob").await;
    let name = model::UserName::parse("bob").unwrap();
    let target = fixture
        .registry
        .load_grant_role(None, "sample", &name, model::Role::Maintainer)
        .await
        .unwrap();
    fixture
        .registry
        .grant_role(fixture.permit(target).await)
        .await
        .unwrap();
    fixture
        .upload(&ana.token(), File::wheel("sample", "2.0"))
        .await
        .unwrap();
    let target = fixture
        .registry
        .load_publish(Some(&bob.session()), "sample", &version("2.0"))
        .await
        .unwrap();
    let permit = fixture.decide(&bob.session(), target).await.unwrap();
    let target = fixture
        .registry
        .load_revoke_role(None, "sample", &name)
        .await
        .unwrap();
    fixture
        .registry
        .revoke_role(fixture.permit(target).await)
        .await
        .unwrap();
    let result = fixture.registry.publish_release(permit).await;
    assert!(
        matches!(result, Err(StagingError::Overtaken { .. })),
        "{result:?}"
    );
    assert_eq!(fixture.visible("sample").await.len(), 1);
}

/// What may happen to one of two versions, each with one of two files.
#[derive(Clone, Copy, Debug)]
enum Move {
    Upload { version: u8, sdist: bool },
    Publish { version: u8 },
    Reject { version: u8 },
    Hold(bool),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        4 => (1..3u8, any::<bool>()).prop_map(|(version, sdist)| Move::Upload { version, sdist }),
        2 => (1..3u8).prop_map(|version| Move::Publish { version }),
        2 => (1..3u8).prop_map(|version| Move::Reject { version }),
        1 => any::<bool>().prop_map(Move::Hold),
    ];
    proptest::collection::vec(one, 1..14)
}

/// The expected state, kept independently.
#[derive(Default)]
struct Paper {
    held: bool,
    staged: BTreeMap<u8, BTreeSet<String>>,
    published: BTreeSet<String>,
}

async fn play(fixture: &Fixture, ana: &Person, project: &str, moves: &[Move]) {
    let mut paper = Paper::default();
    let mut files = BTreeMap::new();
    // The project exists, so that holding back can be turned on.
    let first = File::wheel(project, "0.1");
    fixture.upload(&ana.token(), first.clone()).await.unwrap();
    paper.published.insert(first.name.unwrap());
    for &step in moves {
        match step {
            Move::Hold(held) => {
                paper.held = held;
                if held {
                    fixture.hold_back(project).await;
                } else {
                    let target = fixture
                        .registry
                        .load_configure(None, project, "staged-release", serde_json::Map::new())
                        .await
                        .unwrap();
                    fixture
                        .registry
                        .configure_project(fixture.permit(target).await, |_, _| Ok(()))
                        .await
                        .unwrap();
                }
            }
            Move::Upload { version, sdist } => {
                let number = format!("{version}.0");
                let file = if sdist {
                    File::sdist(project, &number)
                } else {
                    File::wheel(project, &number)
                };
                let name = file.name.clone().unwrap();
                let known = paper.published.contains(&name)
                    || paper.staged.values().any(|names| names.contains(&name));
                let uploaded = fixture.upload(&ana.token(), file.clone()).await.unwrap();
                assert_eq!(uploaded.unchanged, known);
                if !known {
                    assert_eq!(uploaded.staged, paper.held);
                    if paper.held {
                        paper
                            .staged
                            .entry(version)
                            .or_default()
                            .insert(name.clone())
                    } else {
                        paper.published.insert(name.clone())
                    };
                }
                files.insert(name, file);
            }
            Move::Publish { version: number } => {
                let target = fixture
                    .registry
                    .load_publish(
                        Some(&ana.session()),
                        project,
                        &version(&format!("{number}.0")),
                    )
                    .await
                    .unwrap();
                let result = fixture
                    .registry
                    .publish_release(fixture.decide(&ana.session(), target).await.unwrap())
                    .await;
                let waiting = paper.staged.remove(&number).unwrap_or_default();
                assert_eq!(result.is_ok(), !waiting.is_empty());
                paper.published.extend(waiting);
            }
            Move::Reject { version: number } => {
                let target = fixture
                    .registry
                    .load_reject(
                        Some(&ana.session()),
                        project,
                        &version(&format!("{number}.0")),
                    )
                    .await
                    .unwrap();
                let result = fixture
                    .registry
                    .reject_release(fixture.decide(&ana.session(), target).await.unwrap())
                    .await;
                assert_eq!(
                    result.is_ok(),
                    !paper.staged.remove(&number).unwrap_or_default().is_empty()
                );
            }
        }
        let visible: BTreeSet<String> = fixture.visible(project).await.into_iter().collect();
        assert_eq!(visible, paper.published, "after {step:?} of {moves:?}");
        for (name, file) in &files {
            assert_eq!(
                fixture.download(file, "").await.is_some(),
                paper.published.contains(name),
                "{name} after {step:?} of {moves:?}"
            );
        }
        let html = fixture
            .simple(Some(project), PageFormat::Html)
            .await
            .unwrap()
            .body;
        let html = String::from_utf8(html.to_vec()).unwrap();
        assert!(
            files
                .keys()
                .all(|name| html.contains(name.as_str()) == paper.published.contains(name)),
            "after {step:?} of {moves:?}"
        );
    }
    let waiting: BTreeSet<String> = paper.staged.into_values().flatten().collect();
    let preview = fixture
        .registry
        .load_preview(Some(&ana.session()), Some(project))
        .await
        .unwrap();
    let staged = fixture
        .registry
        .staged_releases(fixture.decide(&ana.session(), preview).await.unwrap())
        .await
        .unwrap();
    assert_eq!(
        staged
            .into_iter()
            .flat_map(|release| release.files)
            .map(|file| file.name)
            .collect::<BTreeSet<_>>(),
        waiting
    );
}

#[test]
fn in_whatever_order_no_reader_sees_a_staged_file() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (fixture, ana) = runtime.block_on(async {
        let fixture = Fixture::with(|config| config.new_projects_per_user = 10_000).await;
        let ana = fixture.person("ana").await;
        (fixture, ana)
    });
    let count = std::cell::Cell::new(0u32);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 40,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(&moves(), |moves| {
            count.set(count.get() + 1);
            // Only letters, none of which look alike.
            let project: String = count
                .get()
                .to_string()
                .bytes()
                .map(|digit| char::from(b'a' + (digit - b'0') * 2 % 20))
                .collect();
            runtime.block_on(play(&fixture, &ana, &format!("project-{project}z"), &moves));
            Ok(())
        })
        .unwrap();
}
