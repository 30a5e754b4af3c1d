//! Limits on what a project, a user and an address can make the registry store.

use std::collections::BTreeSet;
use std::sync::Arc;

use gate::RefusalKind;
use model::audit::EventKind;
use model::{FileId, FileKind, ProjectName, ReleaseId, ReleaseState, UserName, Version};
use registry::upload::{CreateError, UploadError};
use sha2::{Digest, Sha256};
use storage::decisions::DecisionFilter;
use storage::files::NewFile;
use storage::releases::{NewRelease, ReleaseMetadata};

use crate::fixture::{File, Fixture, NOW};
use crate::samples;

fn metadata_of(version: &str) -> String {
    format!("Metadata-Version: 2.1\nName: sample\nVersion: {version}\n")
}

/// A wheel of `sample` with this metadata and one additional file that makes its bytes unique.
fn wheel_with(version: &str, metadata: &str, more: &[u8]) -> File {
    let folder = format!("sample-{version}.dist-info");
    let record = format!("more,,\n{folder}/METADATA,,\n{folder}/WHEEL,,\n{folder}/RECORD,,\n");
    File::wheel("sample", version).bytes(samples::zip(&[
        ("more", more),
        (&format!("{folder}/METADATA"), metadata.as_bytes()),
        (&format!("{folder}/WHEEL"), b"Wheel-Version: 1.0\n"),
        (&format!("{folder}/RECORD"), record.as_bytes()),
    ]))
}

/// Paths below the folder of blobs.
fn blobs(fixture: &Fixture) -> BTreeSet<std::path::PathBuf> {
    let mut folders = vec![fixture.folder.path().join("blobs")];
    let mut found = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path);
            }
        }
    }
    found
}

async fn project_size(fixture: &Fixture) -> u64 {
    let storage = fixture.registry.storage();
    let project = storage.project("sample").await.unwrap().unwrap();
    storage.project_size(project.id).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_uploads_at_the_same_moment_only_those_stay_that_fit() {
    let cost = |file: &File| (file.bytes.len() + metadata_of("1.00").len()) as u64;
    let file = |number: usize| {
        wheel_with(
            &format!("1.{number}"),
            &metadata_of(&format!("1.{number}")),
            &[number as u8; 3000],
        )
    };
    let limit = 5 * cost(&file(10)) + 100;
    let fixture = Arc::new(Fixture::with(|config| config.max_project_bytes = limit).await);
    let ana = fixture.person("ana").await.token();
    fixture.upload(&ana, file(10)).await.unwrap();
    let uploads: Vec<_> = (11..35)
        .map(|number| {
            let (fixture, ana, file) = (fixture.clone(), ana.clone(), file(number));
            tokio::spawn(async move { fixture.upload(&ana, file).await })
        })
        .collect();
    let mut stored = 1;
    for upload in uploads {
        match upload.await.unwrap() {
            Ok(_) => stored += 1,
            Err(error) => assert!(
                error.to_string().starts_with(
                    "Project size too large. Limit for project 'sample' total size is"
                ),
                "{error:?}"
            ),
        }
    }
    assert_eq!((stored, fixture.visible("sample").await.len()), (5, 5));
    assert!(project_size(&fixture).await <= limit);
}

#[tokio::test]
async fn metadata_is_kept_once_and_costs_its_project_what_it_takes() {
    let fixture = Fixture::with(|config| config.max_project_bytes = 5 << 20).await;
    let ana = fixture.person("ana").await.token();
    let lines: String = (0..19_000)
        .map(|number| format!("Requires-Dist: package-{number:0190}\n"))
        .collect();
    let large = |version: &str| metadata_of(version) + &lines;
    let file = wheel_with("1.0", &large("1.0"), b"");
    assert!(
        file.bytes.len() < 400_000,
        "it is small: {}",
        file.bytes.len()
    );
    fixture.upload(&ana, file.clone()).await.unwrap();
    assert_eq!(
        project_size(&fixture).await,
        (file.bytes.len() + large("1.0").len()) as u64
    );
    assert_eq!(blobs(&fixture).len(), 2, "the file and its metadata");
    assert_eq!(
        fixture.download(&file, ".metadata").await.unwrap(),
        large("1.0").into_bytes()
    );
    assert_eq!(
        fixture.json("sample", None).await.unwrap()["info"]["requires_dist"]
            .as_array()
            .unwrap()
            .len(),
        19_000
    );
    // Four megabytes more are too many, both for the early check and for the write.
    let (status, message) = fixture
        .rejected(&ana, wheel_with("1.1", &large("1.1"), b""))
        .await;
    assert!(
        status == 400
            && message.starts_with(
                "Project size too large. Limit for project 'sample' total size is 5 MiB."
            ),
        "{status} {message}"
    );
    fixture
        .upload(&ana, wheel_with("1.1", &metadata_of("1.1"), b""))
        .await
        .unwrap();
}

#[tokio::test]
async fn files_of_a_release_share_what_metadata_they_have_in_common() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await.token();
    let metadata = metadata_of("1.0") + "Summary: shared\n";
    let one = wheel_with("1.0", &metadata, b"one");
    let two = wheel_with("1.0", &metadata, b"two").named("sample-1.0-1-py3-none-any.whl");
    let source = File::sdist("sample", "1.0").bytes(samples::tar_gz(&[(
        "sample-1.0/PKG-INFO",
        b"Metadata-Version: 2.1\nName: sample\nVersion: 1.0\nSummary: other\n",
    )]));
    for file in [&one, &two, &source] {
        fixture.upload(&ana, file.clone()).await.unwrap();
    }
    assert_eq!(blobs(&fixture).len(), 4, "three files, and one of metadata");
    for file in [&one, &two] {
        assert_eq!(
            fixture.download(file, ".metadata").await.unwrap(),
            metadata.as_bytes()
        );
    }
    assert_eq!(fixture.download(&source, ".metadata").await, None);
    assert_eq!(
        fixture.json("sample", Some("1.0")).await.unwrap()["info"]["summary"],
        "shared"
    );

    // For a release whose first file is a source distribution, pages show its metadata.
    let first = File::sdist("sample", "2.0");
    fixture
        .upload(
            &ana,
            first
                .clone()
                .bytes(samples::sdist("sample", "2.0", "Summary: of the source\n")),
        )
        .await
        .unwrap();
    assert_eq!(blobs(&fixture).len(), 6);
    assert_eq!(
        fixture.json("sample", None).await.unwrap()["info"]["summary"],
        "of the source"
    );
}

#[tokio::test]
async fn pages_show_what_the_first_file_says_that_readers_see() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await.token();
    fixture
        .upload(&ana, File::wheel("sample", "1.0"))
        .await
        .unwrap();
    fixture.hold_back("sample").await;
    assert!(
        fixture
            .upload(
                &ana,
                wheel_with("2.0", &(metadata_of("2.0") + "Summary: staged\n"), b"")
            )
            .await
            .unwrap()
            .staged
    );
    let target = fixture
        .registry
        .load_configure(None, "sample", "staged-release", serde_json::Map::new())
        .await
        .unwrap();
    fixture
        .registry
        .configure_project(fixture.permit(target).await, |_, _| Ok(()))
        .await
        .unwrap();
    let source =
        File::sdist("sample", "2.0").bytes(samples::sdist("sample", "2.0", "Summary: published\n"));
    assert!(!fixture.upload(&ana, source).await.unwrap().staged);
    assert_eq!(
        fixture.json("sample", Some("2.0")).await.unwrap()["info"]["summary"],
        "published"
    );
    let target = fixture
        .registry
        .load_reject(None, "sample", &Version::parse("2.0").unwrap())
        .await
        .unwrap();
    fixture
        .registry
        .reject_release(fixture.permit(target).await)
        .await
        .unwrap();
    assert_eq!(
        fixture.json("sample", Some("2.0")).await.unwrap()["info"]["summary"],
        "published"
    );
}

#[tokio::test]
async fn files_of_before_keep_their_metadata_and_are_served_whatever_their_name() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await.token();
    fixture
        .upload(&ana, File::wheel("sample", "1.0"))
        .await
        .unwrap();
    // As an earlier version wrote them: metadata under the digest of the file, and a name that is
    // no longer valid.
    let file =
        wheel_with("2.0", &metadata_of("2.0"), b"before").named(".sample-2.0-py3-none-any.whl");
    let digest = |name: &str| {
        data_encoding::HEXLOWER
            .decode(file.field(name).as_bytes())
            .unwrap()
    };
    let hex = file.field("blake2_256_digest");
    let blob = fixture
        .folder
        .path()
        .join("blobs")
        .join(&hex[..2])
        .join(&hex[2..4])
        .join(&hex);
    std::fs::create_dir_all(blob.parent().unwrap()).unwrap();
    std::fs::write(&blob, &file.bytes).unwrap();
    std::fs::write(blob.with_extension("metadata"), metadata_of("2.0")).unwrap();
    let storage = fixture.registry.storage();
    let project = storage.project("sample").await.unwrap().unwrap().id;
    let version = Version::parse("2.0").unwrap();
    let mut unit = storage.begin().await.unwrap();
    let release = unit
        .ensure_release(&NewRelease {
            id: ReleaseId::new(),
            project,
            version: &version,
            metadata_sha256: None,
            created_at: NOW,
        })
        .await
        .unwrap();
    unit.add_file(&NewFile {
        id: FileId::new(),
        release: release.id,
        name: file.name.as_ref().unwrap(),
        name_key: "malformed/.sample-2.0-py3-none-any.whl",
        kind: FileKind::Wheel,
        size: file.bytes.len() as u64,
        digests: model::Digests {
            md5: [0; 16],
            sha256: digest("sha256_digest").try_into().unwrap(),
            blake2_256: digest("blake2_256_digest").try_into().unwrap(),
        },
        requires_python: None,
        metadata_sha256: Some(Sha256::digest(metadata_of("2.0")).into()),
        metadata_size: None,
        python_version: "py3",
        comment: None,
        uploaded_at: NOW,
        uploaded_by: None,
        uploaded_with: None,
        state: ReleaseState::Published,
    })
    .await
    .unwrap();
    let event = fixture.events(EventKind::FileUploaded).await.remove(0);
    unit.commit(&event).await.unwrap();
    assert_eq!(
        storage.release_metadata(release.id).await.unwrap(),
        Some(ReleaseMetadata::Row(serde_json::json!({})))
    );

    let server = fixture.other_process().await;
    assert_eq!(server.sweep_orphans().await.unwrap(), Default::default());
    let other = Fixture {
        registry: server,
        ..fixture
    };
    assert!(
        other
            .visible("sample")
            .await
            .contains(file.name.as_ref().unwrap())
    );
    assert_eq!(other.download(&file, "").await.unwrap(), file.bytes);
    assert_eq!(
        other.download(&file, ".metadata").await.unwrap(),
        metadata_of("2.0").into_bytes()
    );
    assert_eq!(
        other.json("sample", Some("2.0")).await.unwrap()["info"]["version"],
        "2.0"
    );
    // The valid name is free.
    other
        .upload(&ana, File::wheel("sample", "2.0"))
        .await
        .unwrap();
}

#[tokio::test]
async fn what_waits_to_be_published_is_bounded() {
    let file = |version: &str| wheel_with(version, &metadata_of(version), &[1; 2000]);
    let cost = (file("1.0").bytes.len() + metadata_of("1.0").len()) as u64;
    let fixture = Fixture::with(|config| config.max_staged_bytes = 2 * cost + 100).await;
    let ana = fixture.person("ana").await.token();
    fixture
        .upload(&ana, File::wheel("sample", "0.1"))
        .await
        .unwrap();
    fixture.hold_back("sample").await;
    for version in ["1.0", "1.1"] {
        assert!(fixture.upload(&ana, file(version)).await.unwrap().staged);
    }
    let (status, message) = fixture.rejected(&ana, file("1.2")).await;
    assert!(
        status == 400 && message.starts_with("Too much waits to be published."),
        "{status} {message}"
    );
    let target = fixture
        .registry
        .load_publish(None, "sample", &Version::parse("1.0").unwrap())
        .await
        .unwrap();
    fixture
        .registry
        .publish_release(fixture.permit(target).await)
        .await
        .unwrap();
    fixture.upload(&ana, file("1.2")).await.unwrap();
    let target = fixture
        .registry
        .load_reject(None, "sample", &Version::parse("1.1").unwrap())
        .await
        .unwrap();
    fixture
        .registry
        .reject_release(fixture.permit(target).await)
        .await
        .unwrap();
    fixture.upload(&ana, file("1.3")).await.unwrap();
}

/// Decisions that ended with the outcome `limited`: their actions.
async fn limited(fixture: &Fixture) -> Vec<String> {
    let filter = DecisionFilter {
        outcome: Some("limited".to_owned()),
        ..Default::default()
    };
    fixture
        .registry
        .storage()
        .decisions(&filter, None, 10)
        .await
        .unwrap()
        .into_iter()
        .map(|row| row.action)
        .collect()
}

#[tokio::test]
async fn a_user_uploads_so_much_in_a_day_and_no_more() {
    let file = |version: &str| wheel_with(version, &metadata_of(version), &[1; 2000]);
    // The smallest upload counts for a megabyte.
    let fixture = Fixture::with(|config| config.max_uploaded_bytes_per_day = 2400 << 10).await;
    let ana = fixture.person("ana").await.token();
    for version in ["1.0", "1.1"] {
        fixture.upload(&ana, file(version)).await.unwrap();
    }
    let before = blobs(&fixture);
    let refusal = fixture.refused(&ana, file("1.2")).await;
    assert_eq!(
        refusal.kind,
        RefusalKind::Limited {
            retry_after_seconds: 3600
        }
    );
    assert_eq!(limited(&fixture).await, ["file:upload"]);
    assert_eq!(blobs(&fixture), before, "nothing was kept of it");
    assert!(
        fixture.upload(&ana, file("1.0")).await.unwrap().unchanged,
        "what is there costs nothing"
    );
    fixture.clock.advance_seconds(25 * 3600);
    fixture.upload(&ana, file("1.2")).await.unwrap();
}

#[tokio::test]
async fn new_projects_of_one_user_are_bounded() {
    let fixture = Fixture::with(|config| config.new_projects_per_user = 2).await;
    let (ana, ben) = (
        fixture.person("ana").await.token(),
        fixture.person("ben").await.token(),
    );
    for name in ["first", "second"] {
        fixture
            .upload(&ana, File::wheel(name, "1.0"))
            .await
            .unwrap();
    }
    let refusal = fixture.refused(&ana, File::wheel("third", "1.0")).await;
    assert_eq!(
        refusal.kind,
        RefusalKind::Limited {
            retry_after_seconds: 3600
        }
    );
    assert_eq!(
        (
            refusal.reasons[0].message.as_str(),
            refusal.reasons[0].remedy.as_str()
        ),
        (
            "Too many new projects created. Limit is 2 in an hour for one user.",
            "Try again in 60 minutes."
        )
    );
    assert_eq!(limited(&fixture).await, ["project:create"]);
    let event = fixture.events(EventKind::RequestRefused).await.remove(0);
    assert_eq!(
        (event.decision, event.detail.to_json()["code"].as_str()),
        (Some(refusal.decision), Some("too-many-new-projects"))
    );
    assert_eq!(
        fixture.registry.storage().project("third").await.unwrap(),
        None
    );
    fixture
        .upload(&ana, File::wheel("first", "1.1"))
        .await
        .unwrap();
    fixture
        .upload(&ben, File::wheel("fourth", "1.0"))
        .await
        .unwrap();
    fixture.clock.advance_seconds(3601);
    fixture
        .upload(&ana, File::wheel("third", "1.0"))
        .await
        .unwrap();
}

#[tokio::test]
async fn new_projects_from_one_address_are_bounded() {
    let fixture = Fixture::with(|config| config.new_projects_per_address = 2).await;
    for (name, user) in [("first", "ana"), ("second", "ben")] {
        fixture
            .upload(
                &fixture.person(user).await.token(),
                File::wheel(name, "1.0"),
            )
            .await
            .unwrap();
    }
    let cem = fixture.person("cem").await.token();
    assert!(matches!(
        fixture
            .refused(&cem, File::wheel("third", "1.0"))
            .await
            .kind,
        RefusalKind::Limited { .. }
    ));
    fixture.clock.advance_seconds(3601);
    fixture
        .upload(&cem, File::wheel("third", "1.0"))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_reserved_name_is_the_operators_to_give() {
    let fixture = Fixture::new().await;
    let (ana, eve) = (fixture.person("ana").await, fixture.person("eve").await);
    let create = async |name: &str, owner: &str| {
        let (name, owner) = (
            ProjectName::parse(name).unwrap(),
            UserName::parse(owner).unwrap(),
        );
        let target = fixture.registry.load_create(&name, &owner).await?;
        fixture
            .registry
            .create_project(fixture.permit(target).await)
            .await
    };
    assert!(
        fixture
            .rejected(&ana.token(), File::wheel("setuptools", "1.0"))
            .await
            .1
            .starts_with("The name 'setuptools' isn't allowed.")
    );
    create("setuptools", "ana").await.unwrap();
    assert!(matches!(
        create("setuptools", "eve").await,
        Err(CreateError::NameTaken {
            problem: "is taken",
            ..
        })
    ));
    assert!(matches!(
        create("setupto0ls", "eve").await,
        Err(CreateError::NameTaken { .. })
    ));
    assert!(matches!(
        create("other", "nobody").await,
        Err(CreateError::NoUser(_))
    ));
    assert_eq!(fixture.events(EventKind::ProjectCreated).await.len(), 1);
    // The rule is about new projects; this one exists.
    assert!(matches!(
        fixture
            .upload(&eve.token(), File::wheel("setuptools", "1.0"))
            .await,
        Err(UploadError::Refused(_))
    ));
    let uploaded = fixture
        .upload(&ana.token(), File::wheel("setuptools", "1.0"))
        .await
        .unwrap();
    assert!(!uploaded.created_project);
    assert_eq!(fixture.visible("setuptools").await.len(), 1);
}

#[tokio::test]
async fn operators_reserve_what_they_like() {
    let own = |names: &'static [&'static str]| {
        move |config: &mut registry::RegistryConfig| {
            config.reserved_names = names
                .iter()
                .map(|name| ProjectName::parse(name).unwrap())
                .collect()
        }
    };
    let fixture = Fixture::with(own(&[])).await;
    fixture
        .upload(
            &fixture.person("ana").await.token(),
            File::wheel("pip", "1.0"),
        )
        .await
        .unwrap();
    let fixture = Fixture::with(own(&["Our.Lib"])).await;
    let ana = fixture.person("ana").await.token();
    for name in ["our-lib", "ourlib", "0ur_1ib"] {
        assert!(
            fixture
                .rejected(&ana, File::wheel(name, "1.0"))
                .await
                .1
                .contains("isn't allowed."),
            "{name}"
        );
    }
    fixture
        .upload(&ana, File::wheel("our-library", "1.0"))
        .await
        .unwrap();
}
