//! The table of checks, row by row, with the texts that clients match on.

use model::ProjectStatus;
use registry::upload::UploadError;

use crate::fixture::{File, Fixture};
use crate::samples;

#[tokio::test]
async fn each_row_has_its_answer() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await.token();
    fixture
        .upload(&ana, File::wheel("sample", "1.0"))
        .await
        .unwrap();
    fixture
        .upload(&ana, File::sdist("sample", "1.0"))
        .await
        .unwrap();
    let wheel = || File::wheel_with("sample", "1.0", "Summary: other\n");
    let no_file = File {
        name: None,
        ..wheel()
    };
    let image = File {
        content_type: Some("image/png".into()),
        ..wheel()
    };
    let text = File {
        content_type: Some("text/plain".into()),
        ..wheel().bytes(b"no".to_vec())
    };
    for (row, file, expected) in [
        (
            6,
            wheel().with("protocol_version", "2"),
            "Unknown protocol version.",
        ),
        (
            7,
            wheel().with("name", "foo-"),
            "'foo-' is an invalid value for Name.",
        ),
        (
            7,
            wheel().with("filetype", "egg"),
            "Invalid value for filetype. Error: Use a known file type.",
        ),
        (
            8,
            wheel().with("classifiers", "Made :: Up"),
            "'Made :: Up' is not a valid classifier.",
        ),
        (9, no_file, "Upload payload does not have a file."),
        (
            11,
            File::wheel("json", "1.0"),
            "The name 'json' isn't allowed (conflict with the Python Standard Library",
        ),
        (
            11,
            File::wheel("pip", "1.0"),
            "The name 'pip' isn't allowed. Choose another name. See https://example.org/pypi/help/#project-name",
        ),
        (
            11,
            File::wheel("p1p", "1.0"),
            "The name 'p1p' isn't allowed.",
        ),
        (
            11,
            File::wheel("Requirements-TXT", "1.0"),
            "The name 'Requirements-TXT' isn't allowed.",
        ),
        (
            11,
            File::wheel("samp1e", "1.0"),
            "The name 'samp1e' is too similar to the existing project 'sample'.",
        ),
        (
            19,
            wheel().named("../sample-1.0-py3-none-any.whl"),
            "Cannot upload a file with '/' or '\\' in the name.",
        ),
        (
            19,
            wheel().named("sample-1.0.tar.gz"),
            "Invalid file extension: 'sample-1.0.tar.gz' is no wheel.",
        ),
        (20, image, "Invalid distribution file."),
        (
            22,
            wheel().with("sha256_digest", &"0".repeat(64)),
            "The digest supplied does not match a digest calculated from the uploaded file.",
        ),
        (
            24,
            wheel(),
            "File already exists ('sample-1.0-py3-none-any.whl', with blake2_256 hash '",
        ),
        (
            24,
            File::wheel("sample", "1.0").named("sample-1.0-1-py3-none-any.whl"),
            "File already exists ('sample-1.0-py3-none-any.whl', with blake2_256 hash '",
        ),
        (
            27,
            File::sdist("sample", "1.0")
                .bytes(samples::sdist("sample", "1.0", "Summary: x\n"))
                .named("sample-1.0.0.tar.gz"),
            "Only one sdist may be uploaded per release.",
        ),
        (
            28,
            text.named("sample-1.0-2-py3-none-any.whl"),
            "Invalid distribution file. The file is not a ZIP archive.",
        ),
        (
            29,
            File::sdist("sample", "3.0").named("Sample-3.0.tar.gz"),
            "Filename 'Sample-3.0.tar.gz' is invalid, should be 'sample-3.0.tar.gz'.",
        ),
        (
            29,
            File::sdist("sample", "3.0").named("sample-3.0.zip"),
            "Filename 'sample-3.0.zip' is invalid, should be 'sample-3.0.tar.gz'.",
        ),
        (
            30,
            wheel().named("sample-1.0-py3-none-linux_x86_64.whl"),
            "Binary wheel 'sample-1.0-py3-none-linux_x86_64.whl' has an unsupported platform tag 'linux_x86_64'.",
        ),
        (
            30,
            wheel()
                .named("sample-1.0-3-py3-none-any.whl")
                .bytes(samples::zip(&[("a", b"b")])),
            "Wheel 'sample-1.0-3-py3-none-any.whl' must have exactly one .dist-info folder.",
        ),
        (
            30,
            wheel().named(".sample-1.0-5-py3-none-any.whl"),
            "Invalid wheel filename '.sample-1.0-5-py3-none-any.whl': its first part is no project name.",
        ),
        (
            30,
            wheel().named("sample_-1.0-5-py3-none-any.whl"),
            "Invalid wheel filename 'sample_-1.0-5-py3-none-any.whl': its first part is no project name.",
        ),
        (
            31,
            wheel()
                .named("sample-1.0-4-py3-none-any.whl")
                .with("attestations", "[]"),
            "Invalid attestations supplied during upload:",
        ),
    ] {
        let (status, message) = fixture.rejected(&ana, file).await;
        assert!(
            status == 400 && message.starts_with(expected),
            "row {row}: {status} {message}"
        );
    }
    assert_eq!(fixture.visible("sample").await.len(), 2);
    assert_eq!(
        fixture
            .rejected(&ana, wheel().with(":action", "submit"))
            .await
            .0,
        410
    );
}

#[tokio::test]
async fn an_earlier_row_wins() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await.token();
    fixture
        .upload(&ana, File::wheel("sample", "1.0"))
        .await
        .unwrap();
    let broken = File::wheel("sample", "1.0").bytes(b"broken".to_vec());
    assert!(
        fixture
            .rejected(&ana, broken.clone().with("sha256_digest", &"0".repeat(64)))
            .await
            .1
            .starts_with("The digest supplied")
    );
    assert!(
        fixture
            .rejected(&ana, broken)
            .await
            .1
            .starts_with("File already exists")
    );
}

#[tokio::test]
async fn what_the_file_says_must_agree_with_the_form() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await.token();
    let file = || File::wheel_with("sample", "1.0", "Requires-Python: >=3.9\n");
    for (file, expected) in [
        (
            file(),
            "The upload form says Requires-Python '', the file itself says '>=3.9'.",
        ),
        (
            file().with("requires_python", ">=3.8"),
            "The upload form says Requires-Python '>=3.8', the file itself says '>=3.9'.",
        ),
        (
            File::sdist("sample", "1.0").bytes(samples::tar_gz(&[(
                "sample-1.0/PKG-INFO",
                b"Metadata-Version: 2.1\nName: other\nVersion: 1.0\n",
            )])),
            "The upload form says Name 'sample', the file itself says 'other'.",
        ),
        (
            File::sdist("sample", "1.0").bytes(samples::tar_gz(&[(
                "sample-1.0/PKG-INFO",
                b"Metadata-Version: 2.1\nName: sample\nVersion: 2.0\n",
            )])),
            "The upload form says Version '1.0', the file itself says '2.0'.",
        ),
    ] {
        let (status, message) = fixture.rejected(&ana, file).await;
        assert!(
            status == 400 && message.starts_with(expected),
            "{status} {message}"
        );
    }
    fixture
        .upload(&ana, file().with("requires_python", " >= 3.9 "))
        .await
        .unwrap();
}

#[tokio::test]
async fn sizes_of_files_and_projects_are_bounded() {
    let fixture = Fixture::with(|config| config.max_file_bytes = 4 << 20).await;
    let ana = fixture.person("ana").await.token();
    let large = File::wheel("sample", "1.0").bytes(vec![7; (4 << 20) + 1]);
    assert_eq!(
        fixture.rejected(&ana, large).await,
        (400, "File too large. Limit for project 'sample' is 4 MiB. Ask the operators of the registry for more.".to_owned())
    );
    let huge = File::wheel("sample", "1.0").bytes(vec![7; (8 << 20) + 1]);
    assert!(
        fixture
            .rejected(&ana, huge)
            .await
            .1
            .starts_with("File too large.")
    );
    assert_eq!(
        std::fs::read_dir(fixture.folder.path().join("blobs/incoming"))
            .unwrap()
            .count(),
        0
    );

    let fixture = Fixture::with(|config| config.max_project_bytes = 1000).await;
    let ana = fixture.person("ana").await.token();
    fixture
        .upload(&ana, File::wheel("sample", "1.0"))
        .await
        .unwrap();
    assert!(
        fixture
            .rejected(&ana, File::wheel("sample", "1.1"))
            .await
            .1
            .starts_with("Project size too large.")
    );
}

#[tokio::test]
async fn old_releases_take_no_new_files() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await.token();
    fixture
        .upload(&ana, File::wheel("sample", "1.0"))
        .await
        .unwrap();
    fixture.clock.advance_seconds(14 * 24 * 3600 + 1);
    assert!(
        fixture
            .rejected(&ana, File::sdist("sample", "1.0"))
            .await
            .1
            .starts_with("Uploading new files to releases older than 14 days is not allowed.")
    );
    assert!(
        fixture
            .upload(&ana, File::wheel("sample", "1.0"))
            .await
            .unwrap()
            .unchanged
    );
    fixture
        .upload(&ana, File::sdist("sample", "1.1"))
        .await
        .unwrap();
}

#[tokio::test]
async fn the_name_of_a_deleted_file_is_burned() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await.token();
    fixture
        .upload(&ana, File::wheel("sample", "1.0"))
        .await
        .unwrap();
    let storage = fixture.registry.storage();
    let file = storage
        .file("sample-1.0-py3-none-any.whl")
        .await
        .unwrap()
        .unwrap();
    let mut unit = storage.begin().await.unwrap();
    unit.delete_file(file.id, crate::fixture::NOW)
        .await
        .unwrap();
    let event = fixture
        .events(model::audit::EventKind::FileUploaded)
        .await
        .remove(0);
    unit.commit(&event).await.unwrap();
    assert!(
        fixture
            .rejected(&ana, File::wheel("sample", "1.0"))
            .await
            .1
            .starts_with(
                "This filename was previously used by a file that has since been deleted."
            )
    );
}

#[tokio::test]
async fn archived_projects_take_no_files() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await.token();
    fixture
        .upload(&ana, File::wheel("sample", "1.0"))
        .await
        .unwrap();
    let target = fixture
        .registry
        .load_set_status(None, "sample", ProjectStatus::Archived, None)
        .await
        .unwrap();
    fixture
        .registry
        .set_project_status(fixture.permit(target).await)
        .await
        .unwrap();
    let result = fixture.upload(&ana, File::wheel("sample", "1.1")).await;
    assert!(matches!(result, Err(UploadError::Refused(_))), "{result:?}");
    assert_eq!(fixture.visible("sample").await.len(), 1);
}
