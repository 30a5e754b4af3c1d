//! The effects of an upload.

use model::audit::EventKind;
use model::{Caller, Role};
use registry::upload::UploadError;

use crate::fixture::{File, Fixture};

#[tokio::test]
async fn a_first_upload_makes_the_project_and_its_owner_and_is_served() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let file = File::wheel_with(
        "Sample.Project",
        "1.0",
        "Requires-Python: >=3.9\nSummary: From the file\n",
    )
    .with("requires_python", ">= 3.9")
    .named("sample_project-1.0-py3-none-any.whl");
    let file = file.bytes(crate::samples::wheel_with_metadata(
        "sample-project",
        "1.0",
        "Metadata-Version: 2.1\nName: Sample.Project\nVersion: 1.0\nRequires-Python: >=3.9\nSummary: From the file\n",
    ));
    let uploaded = fixture.upload(&ana.token(), file.clone()).await.unwrap();
    assert!(
        uploaded.created_project && !uploaded.staged && !uploaded.unchanged,
        "{uploaded:?}"
    );
    assert_eq!(
        (uploaded.project.as_str(), uploaded.messages.as_slice()),
        ("sample-project", &[][..])
    );

    let project = fixture
        .registry
        .storage()
        .project("sample-project")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        fixture
            .registry
            .storage()
            .role_of(ana.id, project.id)
            .await
            .unwrap(),
        Some(Role::Owner)
    );
    assert_eq!(
        fixture.visible("sample-project").await,
        ["sample_project-1.0-py3-none-any.whl"]
    );
    assert_eq!(fixture.download(&file, "").await.unwrap(), file.bytes);
    assert!(
        fixture
            .download(&file, ".metadata")
            .await
            .unwrap()
            .starts_with(b"Metadata-Version: 2.1")
    );
    assert_eq!(
        fixture.json("sample-project", None).await.unwrap()["info"]["summary"],
        "From the file"
    );

    let (created, uploaded) = (
        fixture.events(EventKind::ProjectCreated).await,
        fixture.events(EventKind::FileUploaded).await,
    );
    assert_eq!((created.len(), uploaded.len()), (1, 1));
    assert_eq!(uploaded[0].user, Some(ana.id));
    assert!(created[0].decision.is_some() && created[0].decision != uploaded[0].decision);
}

#[tokio::test]
async fn the_same_file_again_changes_nothing() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let file = File::sdist("sample", "1.0");
    fixture.upload(&ana.token(), file.clone()).await.unwrap();
    let serial = fixture.registry.storage().last_serial().await.unwrap();
    let again = fixture.upload(&ana.token(), file).await.unwrap();
    assert!(again.unchanged && !again.created_project);
    assert_eq!(
        fixture.registry.storage().last_serial().await.unwrap(),
        serial
    );
    assert_eq!(fixture.events(EventKind::FileUploaded).await.len(), 1);
}

#[tokio::test]
async fn a_stranger_uploads_nothing_and_leaves_nothing() {
    let fixture = Fixture::new().await;
    let (ana, eve) = (fixture.person("ana").await, fixture.person("eve").await);
    fixture
        .upload(&ana.token(), File::wheel("sample", "1.0"))
        .await
        .unwrap();
    let Err(UploadError::Refused(refusal)) = fixture
        .upload(&eve.token(), File::wheel("sample", "2.0"))
        .await
    else {
        panic!()
    };
    assert!(
        refusal.reasons[0]
            .message
            .starts_with("The user 'eve' isn't allowed to upload to project 'sample'."),
        "{refusal:?}"
    );
    let Err(UploadError::Refused(refusal)) = fixture
        .upload(&Caller::anonymous(), File::wheel("sample", "2.0"))
        .await
    else {
        panic!()
    };
    assert!(
        refusal.reasons[0]
            .message
            .starts_with("Invalid or non-existent authentication information."),
        "{refusal:?}"
    );
    assert_eq!(
        fixture.visible("sample").await,
        ["sample-1.0-py3-none-any.whl"]
    );
    assert_eq!(
        std::fs::read_dir(fixture.folder.path().join("blobs/incoming"))
            .unwrap()
            .count(),
        0
    );
}

#[tokio::test]
async fn no_archive_of_a_stranger_is_opened() {
    let fixture = Fixture::new().await;
    let (ana, eve) = (fixture.person("ana").await, fixture.person("eve").await);
    fixture
        .upload(&ana.token(), File::wheel("sample", "1.0"))
        .await
        .unwrap();
    // If it were opened, or its digests compared, the answer would be about the archive.
    let result = fixture
        .upload(
            &eve.token(),
            File::wheel("sample", "2.0").bytes(b"no archive".to_vec()),
        )
        .await;
    assert!(matches!(result, Err(UploadError::Refused(_))), "{result:?}");
}

#[tokio::test]
async fn uploads_at_the_same_moment_end_as_if_one_came_after_the_other() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let caller = ana.token();
    let same = File::wheel("sample", "1.0");
    // A new project, the same file three times, another file, and the same name with other bytes.
    let (a, b, c, d, e) = tokio::join!(
        fixture.upload(&caller, same.clone()),
        fixture.upload(&caller, same.clone()),
        fixture.upload(&caller, same.clone()),
        fixture.upload(&caller, File::sdist("sample", "1.0")),
        fixture.upload(&caller, File::wheel("sample", "1.1")),
    );
    let results = [a.unwrap(), b.unwrap(), c.unwrap(), d.unwrap(), e.unwrap()];
    assert_eq!(
        results
            .iter()
            .filter(|result| result.created_project)
            .count(),
        1
    );
    assert_eq!(
        results[..3]
            .iter()
            .filter(|result| !result.unchanged)
            .count(),
        1
    );
    assert_eq!(fixture.visible("sample").await.len(), 3);

    let other = File::wheel_with("sample", "2.0", "Summary: one\n");
    let another = File::wheel_with("sample", "2.0", "Summary: two\n");
    let (first, second) = tokio::join!(
        fixture.upload(&caller, other),
        fixture.upload(&caller, another)
    );
    let loser = [first, second]
        .into_iter()
        .filter_map(Result::err)
        .collect::<Vec<_>>();
    assert_eq!(loser.len(), 1);
    assert!(
        loser[0].to_string().starts_with("File already exists"),
        "{loser:?}"
    );
}

#[tokio::test]
async fn two_people_cannot_both_make_a_project() {
    let fixture = Fixture::new().await;
    let (ana, eve) = (fixture.person("ana").await, fixture.person("eve").await);
    let (ana, eve) = (ana.token(), eve.token());
    let (first, second) = tokio::join!(
        fixture.upload(&ana, File::wheel("sample", "1.0")),
        fixture.upload(&eve, File::wheel("sample", "2.0"))
    );
    let results = [first, second];
    assert_eq!(
        results.iter().filter(|result| result.is_ok()).count(),
        1,
        "{results:?}"
    );
    assert!(
        results
            .iter()
            .any(|result| matches!(result, Err(UploadError::Refused(_)))),
        "{results:?}"
    );
    let project = fixture
        .registry
        .storage()
        .project("sample")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        fixture
            .registry
            .storage()
            .roles_on(project.id)
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn of_names_that_look_alike_one_is_created_even_at_the_same_moment() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let caller = ana.token();
    let upload = |name: &'static str| fixture.upload(&caller, File::wheel(name, "1.0"));
    let (a, b, c, d, e) = tokio::join!(
        upload("similor"),
        upload("simil0r"),
        upload("s1mil0r"),
        upload("simi1or"),
        upload("simiior")
    );
    let results = [a, b, c, d, e];
    assert_eq!(
        results.iter().filter(|result| result.is_ok()).count(),
        1,
        "{results:?}"
    );
    for error in results.into_iter().filter_map(Result::err) {
        assert!(error.to_string().contains("is too similar to"), "{error:?}");
    }
    assert_eq!(
        fixture
            .registry
            .storage()
            .index("", 10)
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn spellings_of_one_file_name_are_one_file() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    fixture
        .upload(&ana.token(), File::wheel("sample", "4.0"))
        .await
        .unwrap();
    for name in [
        "sample-4.0.0-py3-none-any.whl",
        "SAMPLE-4.0-py3-none-any.whl",
        "sample-v4.0-py3-none-any.whl",
        "sample-4.0-py3.py3-none-any.whl",
    ] {
        let file = File::wheel_with("sample", "4.0", &format!("Summary: {name}\n")).named(name);
        let result = fixture.upload(&ana.token(), file).await;
        assert!(
            matches!(&result, Err(UploadError::Rejected { message, .. }) if message.starts_with("File already exists ('sample-4.0-py3-none-any.whl'")),
            "{name}: {result:?}"
        );
    }
    let (one, other) = (
        File::wheel_with("sample", "5.0", "Summary: a\n"),
        File::wheel_with("sample", "5.0", "Summary: b\n").named("Sample-5.0.0-py3-none-any.whl"),
    );
    let caller = ana.token();
    let (first, second) =
        tokio::join!(fixture.upload(&caller, one), fixture.upload(&caller, other));
    assert_eq!(
        [&first, &second]
            .iter()
            .filter(|result| result.is_ok())
            .count(),
        1,
        "{first:?} {second:?}"
    );
    assert_eq!(fixture.visible("sample").await.len(), 2);
}
