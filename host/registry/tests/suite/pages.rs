//! The exact pages that clients read.

use std::sync::Arc;
use std::time::Duration;

use model::{Caller, ProjectStatus};
use proptest::prelude::*;
use registry::index::PageFormat;
use serde_json::json;

use crate::fixture::{File, Fixture, HERE, Person, Read};

async fn published() -> (Fixture, Person) {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let wheel = File::wheel_with(
        "sample",
        "1.0",
        "Requires-Python: >=3.9,<4\nSummary: A <sample>\nLicense: MIT\nProject-URL: Source, https://example.org/s\n",
    );
    fixture
        .upload(&ana.token(), wheel.with("requires_python", ">=3.9,<4"))
        .await
        .unwrap();
    fixture
        .upload(&ana.token(), File::sdist("sample", "1.0"))
        .await
        .unwrap();
    fixture
        .upload(&ana.token(), File::sdist("sample", "0.9"))
        .await
        .unwrap();
    (fixture, ana)
}

async fn set_status(fixture: &Fixture, status: ProjectStatus, reason: Option<&str>) {
    let target = fixture
        .registry
        .load_set_status(None, "sample", status, reason)
        .await
        .unwrap();
    fixture
        .registry
        .set_project_status(fixture.permit(target).await)
        .await
        .unwrap();
}

#[tokio::test]
async fn every_spelling_of_a_version_is_one_page() {
    let (fixture, _) = published().await;
    let page = async |version: &str| {
        let caller = Caller::anonymous();
        let target = fixture.registry.load_read_project(&caller, HERE, "sample");
        let permit = fixture
            .decide(&caller, target.await.unwrap())
            .await
            .unwrap();
        let page = fixture.registry.json_page(permit, Some(version)).await;
        page.unwrap().unwrap().etag
    };
    let first = page("1.0").await;
    for spelled in ["1", "1.0.0.0", "v1.0", "0001"] {
        let again = page(spelled).await;
        assert!(Arc::ptr_eq(&first, &again), "{spelled} was made once more");
    }
}

#[tokio::test]
async fn a_project_page_in_html_has_the_form_that_pep_833_froze() {
    let (fixture, _) = published().await;
    let page = fixture
        .simple(Some("sample"), PageFormat::Html)
        .await
        .unwrap();
    let text = String::from_utf8(page.body.to_vec()).unwrap();
    let file = fixture
        .registry
        .storage()
        .file("sample-1.0-py3-none-any.whl")
        .await
        .unwrap()
        .unwrap();
    let hex = file.digests.blake2_256_hex();
    let metadata = data_encoding::HEXLOWER.encode(&file.metadata_sha256.unwrap());
    let anchor = format!(
        "<a href=\"https://example.org/pypi/files/{}/{}/{}/sample-1.0-py3-none-any.whl#sha256={}\" data-requires-python=\"&gt;=3.9,&lt;4\" data-dist-info-metadata=\"sha256={metadata}\" data-core-metadata=\"sha256={metadata}\">sample-1.0-py3-none-any.whl</a><br />",
        &hex[..2],
        &hex[2..4],
        &hex[4..],
        file.digests.sha256_hex()
    );
    assert!(text.contains(&anchor), "{text}\n{anchor}");
    assert!(text.starts_with("<!DOCTYPE html>\n<html>\n  <head>\n    <meta name=\"pypi:repository-version\" content=\"1.4\">\n    <meta name=\"pypi:project-status\" content=\"active\">\n"));
    assert!(text.ends_with(&format!("<!--SERIAL {}-->", page.last_serial)));
    assert!(page.etag.starts_with('"') && page.etag.ends_with('"'));
}

#[tokio::test]
async fn a_project_page_in_json_has_the_keys_of_version_1_4() {
    let (fixture, _) = published().await;
    let page = fixture.simple_json("sample").await.unwrap();
    let file = fixture
        .registry
        .storage()
        .file("sample-1.0-py3-none-any.whl")
        .await
        .unwrap()
        .unwrap();
    let metadata =
        json!({ "sha256": data_encoding::HEXLOWER.encode(&file.metadata_sha256.unwrap()) });
    assert_eq!(
        (
            &page["meta"]["api-version"],
            &page["name"],
            &page["project-status"]
        ),
        (
            &json!("1.4"),
            &json!("sample"),
            &json!({ "status": "active" })
        )
    );
    assert_eq!(page["versions"], json!(["0.9", "1.0"]));
    let found = &page["files"][1];
    assert_eq!(found["filename"], "sample-1.0-py3-none-any.whl");
    assert_eq!(
        (&found["core-metadata"], &found["data-dist-info-metadata"]),
        (&metadata, &metadata)
    );
    assert_eq!(
        (&found["hashes"], &found["yanked"], &found["provenance"]),
        (
            &json!({ "sha256": file.digests.sha256_hex() }),
            &json!(false),
            &json!(null)
        )
    );
    assert_eq!(
        (&found["requires-python"], &found["size"]),
        (&json!(">=3.9,<4"), &json!(file.size))
    );
    assert_eq!(found["upload-time"], "2027-01-15T08:00:00.000Z");
    assert_eq!(page["files"][0]["core-metadata"], false);
    let keys: Vec<&String> = page.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        ["files", "meta", "name", "project-status", "versions"]
    );
}

#[tokio::test]
async fn the_list_names_every_published_project() {
    let (fixture, ana) = published().await;
    fixture
        .upload(
            &ana.token(),
            File::sdist("Another.Thing", "1.0").named("another_thing-1.0.tar.gz"),
        )
        .await
        .unwrap();
    let html = String::from_utf8(
        fixture
            .simple(None, PageFormat::Html)
            .await
            .unwrap()
            .body
            .to_vec(),
    )
    .unwrap();
    assert!(
        html.contains("    <a href=\"/pypi/simple/another-thing/\">Another.Thing</a><br />\n    <a href=\"/pypi/simple/sample/\">sample</a><br />\n"),
        "{html}"
    );
    let list: serde_json::Value =
        serde_json::from_slice(&fixture.simple(None, PageFormat::Json).await.unwrap().body)
            .unwrap();
    assert_eq!(
        list["projects"]
            .as_array()
            .unwrap()
            .iter()
            .map(|project| &project["name"])
            .collect::<Vec<_>>(),
        ["Another.Thing", "sample"]
    );
}

#[tokio::test]
async fn a_file_more_of_a_project_that_is_listed_leaves_the_list_in_html_alone() {
    let (fixture, ana) = published().await;
    let before = fixture.simple(None, PageFormat::Html).await.unwrap();
    let json = async || {
        serde_json::from_slice::<serde_json::Value>(
            &fixture.simple(None, PageFormat::Json).await.unwrap().body,
        )
        .unwrap()
    };
    assert_eq!(
        json().await["projects"][0],
        json!({ "_last-serial": 3, "name": "sample" })
    );
    fixture
        .upload(&ana.token(), File::sdist("sample", "2.0"))
        .await
        .unwrap();
    assert_eq!(
        fixture.simple(None, PageFormat::Html).await.unwrap(),
        before
    );
    assert_eq!(
        json().await["projects"][0],
        json!({ "_last-serial": 4, "name": "sample" })
    );
}

#[tokio::test]
async fn projects_are_found_by_their_name_the_most_alike_first() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    for name in ["my-demo", "demo", "a-demo", "demo-tool"] {
        fixture
            .upload(&ana.token(), File::sdist(name, "1.0"))
            .await
            .unwrap();
    }
    let found = async |text: &str, skip: usize| {
        let caller = Caller::anonymous();
        let target = fixture.registry.list_to_read();
        let permit = fixture.decide(&caller, target).await.unwrap();
        let found = fixture
            .registry
            .find_projects(permit, HERE, text, skip, 3)
            .await
            .unwrap();
        found
            .into_iter()
            .map(|project| project.normalized)
            .collect::<Vec<_>>()
    };
    assert_eq!(found("demo", 0).await, ["demo", "demo-tool", "a-demo"]);
    assert_eq!(found("demo", 3).await, ["my-demo"]);
    assert_eq!(found("y-d", 0).await, ["my-demo"]);
    for nothing in [
        "",
        "%",
        "_",
        "d%o",
        "d_mo",
        "Demo",
        "de'mo",
        "staged",
        "\n",
        "demo\ndemo",
    ] {
        assert_eq!(found(nothing, 0).await, [""; 0], "{nothing}");
    }
}

#[tokio::test]
async fn the_json_api_tells_of_projects_and_releases() {
    let (fixture, _) = published().await;
    let page = fixture.json("sample", None).await.unwrap();
    assert_eq!(
        (
            &page["info"]["version"],
            &page["info"]["license"],
            &page["info"]["summary"]
        ),
        (&json!("1.0"), &json!("MIT"), &json!("A <sample>"))
    );
    assert_eq!(
        page["info"]["project_urls"],
        json!({ "Source": "https://example.org/s" })
    );
    assert_eq!(
        page["releases"]
            .as_object()
            .unwrap()
            .keys()
            .collect::<Vec<_>>(),
        ["0.9", "1.0"]
    );
    assert_eq!(page["urls"].as_array().unwrap().len(), 2);
    assert_eq!(
        page["ownership"],
        json!({ "organization": null, "roles": [{ "role": "Owner", "user": "ana" }] })
    );
    let release = fixture.json("sample", Some("0.9.0")).await.unwrap();
    assert_eq!(
        (&release["info"]["version"], release.get("releases")),
        (&json!("0.9"), None)
    );
    assert_eq!(release["urls"][0]["upload_time"], "2027-01-15T08:00:00");
    assert_eq!(
        (
            fixture.json("sample", Some("2.0")).await,
            fixture.json("sample", Some("x")).await,
            fixture.json("nobody", None).await
        ),
        (None, None, None)
    );
}

#[tokio::test]
async fn a_yank_shows_its_reason() {
    let (fixture, _) = published().await;
    let storage = fixture.registry.storage();
    let project = storage.project("sample").await.unwrap().unwrap();
    let release = storage
        .release(project.id, &model::Version::parse("1.0").unwrap())
        .await
        .unwrap()
        .unwrap();
    let mut unit = storage.begin().await.unwrap();
    unit.yank_release(release.id, "breaks \"things\"", crate::fixture::NOW)
        .await
        .unwrap();
    let event = fixture
        .events(model::audit::EventKind::ProjectCreated)
        .await
        .remove(0);
    unit.commit(&event).await.unwrap();
    // Written by another process: it starts with an empty cache.
    let fixture = Fixture {
        registry: fixture.other_process().await,
        ..fixture
    };
    assert_eq!(
        fixture.simple_json("sample").await.unwrap()["files"][1]["yanked"],
        "breaks \"things\""
    );
    let html = String::from_utf8(
        fixture
            .simple(Some("sample"), PageFormat::Html)
            .await
            .unwrap()
            .body
            .to_vec(),
    )
    .unwrap();
    assert!(html.contains(" data-yanked=\"breaks &#34;things&#34;\""));
    assert_eq!(
        fixture.json("sample", None).await.unwrap()["info"]["version"],
        "0.9"
    );
}

#[tokio::test]
async fn quarantine_hides_everything_and_can_be_lifted() {
    let (fixture, _) = published().await;
    let file = File::sdist("sample", "1.0");
    assert!(fixture.download(&file, "").await.is_some());
    set_status(&fixture, ProjectStatus::Quarantined, Some("malware")).await;
    let page = fixture.simple_json("sample").await.unwrap();
    assert_eq!(
        (&page["files"], &page["project-status"]),
        (
            &json!([]),
            &json!({ "status": "quarantined", "reason": "malware" })
        )
    );
    assert_eq!(
        (
            fixture.json("sample", None).await,
            fixture.download(&file, "").await
        ),
        (None, None)
    );
    let list = String::from_utf8(
        fixture
            .simple(None, PageFormat::Html)
            .await
            .unwrap()
            .body
            .to_vec(),
    )
    .unwrap();
    assert!(!list.contains("sample"));
    set_status(&fixture, ProjectStatus::Active, None).await;
    assert!(fixture.download(&file, "").await.is_some());
}

#[tokio::test]
async fn a_file_is_served_under_its_own_digest_and_name_only() {
    let (fixture, _) = published().await;
    let file = File::sdist("sample", "1.0");
    let other = File::sdist("sample", "0.9");
    assert!(fixture.download(&file, "").await.is_some());
    assert_eq!(fixture.download(&file, ".metadata").await, None);
    assert_eq!(
        fixture
            .download(
                &file
                    .clone()
                    .with("blake2_256_digest", &other.field("blake2_256_digest")),
                ""
            )
            .await,
        None
    );
    for name in [
        "../../../etc/passwd",
        "sample-1.0.tar.gz/",
        "",
        "sample-1.0",
        "-.whl",
    ] {
        assert_eq!(
            fixture.download(&file.clone().named(name), "").await,
            None,
            "{name}"
        );
    }
}

#[tokio::test]
async fn an_anonymous_read_of_a_cached_page_asks_the_database_nothing() {
    let (fixture, _) = published().await;
    let first = fixture
        .simple(Some("sample"), PageFormat::Html)
        .await
        .unwrap();
    let caller = Caller::anonymous();
    fixture.registry.storage().close().await;
    let target = fixture
        .registry
        .load_read_project(&caller, HERE, "sample")
        .await
        .unwrap();
    let page = fixture
        .registry
        .simple_page(
            fixture.decide(&caller, target).await.unwrap(),
            PageFormat::Html,
        )
        .await
        .unwrap()
        .unwrap();
    assert_eq!(first, Read::of(page).await);
    assert!(
        fixture
            .registry
            .load_read_project(&caller, HERE, "other")
            .await
            .is_err()
    );
}

#[tokio::test]
async fn what_another_process_writes_shows_soon() {
    let (fixture, ana) = published().await;
    let other = fixture.other_process().await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let follower = tokio::spawn({
        let other = other.clone();
        async move {
            other
                .follow_changes(async move { drop(stopped.await) })
                .await
        }
    });
    let reader = Fixture {
        registry: other,
        gate: fixture.gate.clone(),
        clock: fixture.clock.clone(),
        folder: tempfile::tempdir().unwrap(),
    };
    assert_eq!(reader.visible("sample").await.len(), 3);
    fixture
        .upload(&ana.token(), File::wheel("sample", "1.1"))
        .await
        .unwrap();
    let soon = async {
        while reader.visible("sample").await.len() != 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), soon)
        .await
        .expect("the other process sees the file");
    // Roles have no serial, but are followed too.
    let bob = fixture.person("bob").await;
    drop(bob);
    assert_eq!(
        reader.json("sample", None).await.unwrap()["ownership"]["roles"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let target = fixture
        .registry
        .load_grant_role(
            None,
            "sample",
            &model::UserName::parse("bob").unwrap(),
            model::Role::Maintainer,
        )
        .await
        .unwrap();
    fixture
        .registry
        .grant_role(fixture.permit(target).await)
        .await
        .unwrap();
    let soon = async {
        while reader.json("sample", None).await.unwrap()["ownership"]["roles"]
            .as_array()
            .unwrap()
            .len()
            != 2
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), soon)
        .await
        .expect("the other process sees the role");
    stop.send(()).unwrap();
    follower.await.unwrap();
}

#[test]
fn versions_are_in_the_order_of_pep_440_whatever_the_order_of_uploads() {
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
    let count = std::cell::Cell::new(0u8);
    // In order, in canonical form.
    let all = [
        "0.9",
        "1.0.dev1",
        "1.0a1",
        "1.0a2.dev1",
        "1.0a2",
        "1.0b1",
        "1.0rc1",
        "1.0",
        "1.0.post1",
        "1.1",
        "1.10",
        "2!0.1",
    ];
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 12,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(
            &(Just(all.to_vec()).prop_shuffle(), 1..all.len()),
            |(shuffled, take)| {
                count.set(count.get() + 1);
                // None of them look alike.
                let project = format!("versions-{}", "x".repeat(count.get().into()));
                runtime.block_on(async {
                    for version in &shuffled[..take] {
                        fixture
                            .upload(&ana.token(), File::sdist(&project, version))
                            .await
                            .unwrap();
                    }
                    let expected: Vec<&str> = all
                        .iter()
                        .copied()
                        .filter(|version| shuffled[..take].contains(version))
                        .collect();
                    assert_eq!(
                        fixture.simple_json(&project).await.unwrap()["versions"],
                        json!(expected)
                    );
                    let stable = expected.iter().rev().find(|version| {
                        !["dev", "a", "b", "rc"]
                            .iter()
                            .any(|word| version.contains(word))
                    });
                    let newest = *stable.or(expected.last()).unwrap();
                    assert_eq!(
                        fixture.json(&project, None).await.unwrap()["info"]["version"],
                        newest
                    );
                });
                Ok(())
            },
        )
        .unwrap();
}
