//! Bytes that survive a crash, and unreferenced ones.

#![allow(
    clippy::disallowed_methods,
    reason = "compared with times of the file system"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use model::audit::EventKind;
use registry::spool::{Spool, SpoolError};

use crate::fixture::{File, Fixture};

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path))
        } else {
            found.push(path)
        }
    }
    found.sort();
    found
}

fn make_old(path: &Path) {
    let long_ago = SystemTime::now() - Duration::from_secs(25 * 3600);
    fs::File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(long_ago)
        .unwrap();
}

#[tokio::test]
async fn a_spooled_file_is_deleted_when_nobody_wants_it() {
    let fixture = Fixture::new().await;
    let incoming = fixture.folder.path().join("blobs/incoming");
    let mut spool = Spool::create(&fixture.registry).await.unwrap();
    spool.write(Bytes::from(vec![1; 1 << 20])).await.unwrap();
    assert_eq!(files_below(&incoming).len(), 1);
    drop(spool.finish().await.unwrap());
    assert!(files_below(&incoming).is_empty());
}

#[tokio::test]
async fn digests_are_those_of_all_chunks_in_order() {
    use sha2::Digest;
    let fixture = Fixture::new().await;
    let bytes: Vec<u8> = (0..1_500_000u32).map(|n| (n % 251) as u8).collect();
    let mut spool = Spool::create(&fixture.registry).await.unwrap();
    for chunk in bytes.chunks(70_001) {
        spool.write(Bytes::copy_from_slice(chunk)).await.unwrap();
    }
    let file = spool.finish().await.unwrap();
    assert_eq!((file.size(), file.is_too_large()), (1_500_000, false));
    assert_eq!(file.digests().sha256[..], sha2::Sha256::digest(&bytes)[..]);
}

#[tokio::test]
async fn far_beyond_the_limit_reading_stops() {
    let fixture = Fixture::with(|config| config.max_file_bytes = 1000).await;
    let mut spool = Spool::create(&fixture.registry).await.unwrap();
    spool.write(Bytes::from(vec![1; 2000])).await.unwrap();
    assert!(matches!(
        spool.write(Bytes::from_static(b"x")).await,
        Err(SpoolError::FarTooLarge { limit: 1000 })
    ));
}

#[tokio::test]
async fn only_so_many_uploads_are_received_at_once() {
    let fixture = Fixture::with(|config| config.max_concurrent_uploads = 1).await;
    let first = Spool::create(&fixture.registry).await.unwrap();
    let mut second = Box::pin(Spool::create(&fixture.registry));
    assert!(
        tokio::time::timeout(Duration::from_millis(50), &mut second)
            .await
            .is_err()
    );
    drop(first);
    second.await.unwrap();
}

#[tokio::test]
async fn the_sweeper_takes_old_orphans_and_nothing_else() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let kept = File::wheel("sample", "1.0");
    fixture.upload(&ana.token(), kept.clone()).await.unwrap();
    fixture.hold_back("sample").await;
    fixture
        .upload(&ana.token(), File::wheel("sample", "2.0"))
        .await
        .unwrap();
    fixture
        .upload(&ana.token(), File::wheel("sample", "3.0"))
        .await
        .unwrap();
    let target = fixture
        .registry
        .load_reject(None, "sample", &model::Version::parse("3.0").unwrap())
        .await
        .unwrap();
    fixture
        .registry
        .reject_release(fixture.permit(target).await)
        .await
        .unwrap();
    let blobs = fixture.folder.path().join("blobs");
    let all = files_below(&blobs);
    assert_eq!(all.len(), 6);

    // Young orphans may belong to an upload whose rows are about to be written.
    assert_eq!(fixture.registry.sweep_orphans().await.unwrap().blobs, 0);
    assert!(fixture.events(EventKind::OrphansSwept).await.is_empty());

    let crashed = blobs.join("incoming/upload-crashed");
    fs::write(&crashed, b"half").unwrap();
    let foreign = blobs.join("README");
    fs::write(&foreign, b"not ours").unwrap();
    for path in files_below(&blobs) {
        make_old(&path);
    }
    let swept = fixture.registry.sweep_orphans().await.unwrap();
    assert_eq!((swept.blobs, swept.incoming), (2, 1));
    assert!(foreign.exists() && !crashed.exists());
    assert_eq!(files_below(&blobs).len(), 5);
    assert_eq!(fixture.download(&kept, "").await.unwrap(), kept.bytes);
    assert_eq!(fixture.events(EventKind::OrphansSwept).await.len(), 1);
    assert_eq!(
        fixture.registry.sweep_orphans().await.unwrap(),
        Default::default()
    );
}

#[tokio::test]
async fn an_old_orphan_that_is_uploaded_again_is_young() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    fixture
        .upload(&ana.token(), File::wheel("sample", "1.0"))
        .await
        .unwrap();
    fixture.hold_back("sample").await;
    let file = File::wheel("sample", "2.0");
    fixture.upload(&ana.token(), file.clone()).await.unwrap();
    let target = fixture
        .registry
        .load_reject(None, "sample", &model::Version::parse("2.0").unwrap())
        .await
        .unwrap();
    fixture
        .registry
        .reject_release(fixture.permit(target).await)
        .await
        .unwrap();
    let blobs = fixture.folder.path().join("blobs");
    for path in files_below(&blobs) {
        make_old(&path);
    }
    // A crash between blob and rows leaves this state, and then the client tries again.
    fixture.upload(&ana.token(), file.clone()).await.unwrap();
    let hex = file.field("blake2_256_digest");
    let blob = blobs.join(&hex[..2]).join(&hex[2..4]).join(&hex);
    let age = SystemTime::now()
        .duration_since(fs::metadata(blob).unwrap().modified().unwrap())
        .unwrap();
    assert!(age < Duration::from_secs(3600));
}

#[tokio::test]
async fn blobs_are_readable_by_the_registry_alone() {
    use std::os::unix::fs::PermissionsExt;
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    fixture
        .upload(&ana.token(), File::wheel("sample", "1.0"))
        .await
        .unwrap();
    let blobs = fixture.folder.path().join("blobs");
    assert_eq!(
        fs::metadata(&blobs).unwrap().permissions().mode() & 0o077,
        0
    );
    for path in files_below(&blobs) {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o077, 0);
    }
}
