//! The life of a blob: received, stored, read in parts, old, removed.

#![allow(
    clippy::disallowed_methods,
    reason = "compared with times of the file system"
)]

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use blobs::{BlobName, Blobs, ReadError, Received, Removed};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn blobs() -> (Blobs, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Blobs::open(folder.path()).unwrap(), folder)
}

async fn receive(blobs: &Blobs, bytes: &[u8]) -> Received {
    let mut incoming = blobs.receive().await.unwrap();
    for chunk in bytes.chunks(70_001) {
        incoming.write(Bytes::copy_from_slice(chunk)).await.unwrap();
    }
    incoming.finish().await.unwrap()
}

async fn keep(blobs: &Blobs, bytes: &[u8]) -> BlobName {
    let received = receive(blobs, bytes).await;
    let name = BlobName::File(received.digests().blake2_256);
    received.keep().await.unwrap();
    name
}

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
    let long_ago = SystemTime::now() - 2 * DAY;
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(long_ago).unwrap();
}

/// Bytes of a pattern whose period matches no part size.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

#[tokio::test]
async fn digests_are_those_of_all_chunks_in_order() {
    let (blobs, _folder) = blobs();
    let bytes = pattern(1_500_000);
    let file = receive(&blobs, &bytes).await;
    assert_eq!(file.size(), 1_500_000);
    assert_eq!(file.digests().sha256[..], Sha256::digest(&bytes)[..]);
    let read = file.look_through(|mut file| {
        let mut read = Vec::new();
        file.read_to_end(&mut read).map(|_| read)
    });
    assert_eq!(read.await.unwrap().unwrap(), bytes);
}

#[tokio::test]
async fn what_is_received_and_not_kept_leaves_nothing() {
    let (blobs, folder) = blobs();
    let mut incoming = blobs.receive().await.unwrap();
    incoming.write(vec![1; 1 << 20].into()).await.unwrap();
    assert_eq!(files_below(folder.path()).len(), 1);
    drop(incoming.finish().await.unwrap());
    assert!(files_below(folder.path()).is_empty());

    let mut incoming = blobs.receive().await.unwrap();
    incoming.write(vec![1; 1 << 20].into()).await.unwrap();
    incoming.discard().await;
    assert!(files_below(folder.path()).is_empty());
    assert!(incoming.finish().await.is_err());

    let _nameless = blobs.nameless_file().unwrap();
    assert!(files_below(folder.path()).is_empty());
}

#[tokio::test]
async fn a_kept_blob_is_found_by_its_name_and_by_no_other() {
    let (blobs, folder) = blobs();
    let file = keep(&blobs, b"a wheel").await;
    let sha256 = Sha256::digest(b"its metadata").into();
    blobs
        .keep_metadata(b"its metadata".to_vec(), sha256)
        .await
        .unwrap();
    assert_eq!(files_below(folder.path()).len(), 2);

    let metadata = BlobName::Metadata(sha256);
    assert_eq!(blobs.blob(file, None).whole().await.unwrap(), b"a wheel");
    assert_eq!(
        blobs.blob(metadata, Some(12)).whole().await.unwrap(),
        b"its metadata"
    );
    // One digest, two names.
    let absent = blobs.blob(BlobName::Metadata(*file.digest()), None);
    assert!(matches!(absent.size().await, Err(ReadError::Io { .. })));
    assert!(matches!(absent.read(0..1).await, Err(ReadError::Io { .. })));

    // Stored again, even by another process, it is the same.
    let again = Blobs::open(folder.path()).unwrap();
    assert_eq!(keep(&again, b"a wheel").await, file);
    assert_eq!(files_below(folder.path()).len(), 2);
}

#[tokio::test]
async fn a_part_is_read_in_parts_and_the_first_at_once() {
    const PART: usize = 64 << 10;
    let (blobs, _folder) = blobs();
    let bytes = pattern(PART * 3 + 1);
    let blob = blobs.blob(keep(&blobs, &bytes).await, Some(bytes.len() as u64));
    assert_eq!(blob.size().await.unwrap(), bytes.len() as u64);
    for (range, parts) in [
        (0..0, 1),
        (3..4, 1),
        (0..PART, 1),
        (1..PART + 2, 2),
        (0..bytes.len(), 4),
    ] {
        let asked = range.start as u64..range.end as u64;
        let reading = blob.read(asked).await.unwrap();
        let (mut read, mut rest, mut count) = (reading.first.to_vec(), reading.rest, 1);
        while let Some(left) = rest {
            let (part, left) = left.next().await.unwrap();
            assert!(!part.is_empty() && part.len() <= PART);
            read.extend_from_slice(&part);
            (rest, count) = (left, count + 1);
        }
        assert_eq!((count, &read[..]), (parts, &bytes[range]));
    }
}

#[tokio::test]
async fn a_torn_blob_is_no_blob() {
    let (blobs, folder) = blobs();
    let bytes = pattern(200_000);
    let name = keep(&blobs, &bytes).await;
    let torn = blobs.blob(name, Some(200_001));
    assert!(matches!(
        torn.size().await,
        Err(ReadError::OtherSize { .. })
    ));
    assert!(matches!(
        torn.read(0..1).await,
        Err(ReadError::OtherSize { .. })
    ));
    assert!(matches!(
        torn.whole().await,
        Err(ReadError::OtherSize { .. })
    ));

    // If it is truncated while it is read, it must not end early as if it were complete.
    let reading = blobs.blob(name, Some(200_000)).read(0..200_000).await;
    let file = fs::File::options()
        .write(true)
        .open(&files_below(folder.path())[0])
        .unwrap();
    file.set_len(70_000).unwrap();
    let rest = reading.unwrap().rest.unwrap();
    assert!(matches!(rest.next().await, Err(ReadError::Io { .. })));
}

#[tokio::test]
async fn only_what_is_ours_and_old_is_old() {
    let (blobs, folder) = blobs();
    let file = keep(&blobs, b"old").await;
    for path in files_below(folder.path()) {
        make_old(&path);
    }
    let again = keep(&blobs, b"old, and wanted again").await;
    for path in files_below(folder.path()) {
        make_old(&path);
    }
    let young = keep(&blobs, b"young").await;
    let kept = files_below(folder.path());
    let foreign = [
        folder.path().join("README"),
        kept[0].with_file_name("ab"),
        kept[0].with_extension("sig"),
    ];
    for path in &foreign {
        fs::write(path, b"not ours").unwrap();
        make_old(path);
    }
    let old = async || {
        let mut found = Vec::new();
        let mut groups = blobs.old_blobs(DAY).await.unwrap();
        while let Some(group) = groups.next().await.unwrap() {
            found.extend(group);
        }
        (found, groups)
    };
    let (found, groups) = old().await;
    assert_eq!(found.len(), 2);
    keep(&blobs, b"old, and wanted again").await;
    for blob in found {
        let is_gone = blob.name() == file;
        let removed = groups.remove(blob).await.unwrap();
        assert_eq!(removed, is_gone.then_some(3));
    }
    assert!(old().await.0.is_empty());
    assert!(foreign.iter().all(|path| path.exists()));
    assert!(blobs.blob(file, None).size().await.is_err());
    for (name, size) in [(again, 21), (young, 5)] {
        assert_eq!(blobs.blob(name, None).size().await.unwrap(), size);
    }

    let crashed = folder.path().join("incoming/upload-crashed");
    fs::write(&crashed, b"half").unwrap();
    let none = Removed::default();
    assert_eq!(blobs.remove_old_incoming(DAY).await.unwrap(), none);
    make_old(&crashed);
    let removed = blobs.remove_old_incoming(DAY).await.unwrap();
    assert_eq!((removed.files, removed.bytes), (1, 4));
}
