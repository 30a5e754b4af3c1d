//! Removes blobs that no file refers to, and files of interrupted uploads, a day later.

use std::collections::HashSet;
use std::time::Duration;

use blobs::{BlobName, OldBlob};
use model::audit::{AuditEvent, Detail};

use crate::Registry;

/// Nothing younger than this is an orphan. Far longer than any upload may take.
const ORPHAN_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Digests that a sweep reads from the database at once.
const REFERENCES: u32 = 1000;

/// The number and size of removed files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Blobs that no file refers to.
    pub blobs: u64,
    /// Files of interrupted uploads.
    pub incoming: u64,
    /// Bytes freed.
    pub bytes: u64,
}

/// Why a sweep ended early.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    #[error("cannot read the folder of blobs: {0}")]
    Blobs(#[from] blobs::SweepError),
    #[error(transparent)]
    Storage(#[from] storage::StorageError),
}

impl Registry {
    /// Removes blobs that no file refers to and files of interrupted uploads that are older than a
    /// day; audited if it removed anything.
    pub async fn sweep_orphans(&self) -> Result<Swept, SweepError> {
        self.sweep_older_than(ORPHAN_AGE).await
    }

    pub(crate) async fn sweep_older_than(&self, age: Duration) -> Result<Swept, SweepError> {
        let blobs = &self.inner.blobs;
        let incoming = blobs.remove_old_incoming(age).await?;
        let mut swept = Swept {
            blobs: 0,
            incoming: incoming.files,
            bytes: incoming.bytes,
        };
        // One group at a time: of a million files, four thousand, with one database query for each
        // thousand of them.
        let mut groups = blobs.old_blobs(age).await?;
        while let Some(old) = groups.next().await? {
            let referenced = self.referenced_among(&old).await?;
            for blob in old {
                let name = blob.name();
                // The few that remain are checked again: they may have been uploaded meanwhile.
                if referenced.contains(name.digest()) || self.is_referenced(name).await? {
                    continue;
                }
                if let Some(bytes) = groups.remove(blob).await? {
                    swept.blobs += 1;
                    swept.bytes += bytes;
                }
            }
        }
        if swept != Swept::default() {
            let Swept {
                blobs,
                incoming,
                bytes,
            } = swept;
            let detail = Detail::OrphansSwept {
                blobs,
                incoming,
                bytes,
            };
            let event = AuditEvent::of_server(self.inner.clock.now(), detail);
            self.inner.storage.record_event(&event).await?;
        }
        Ok(swept)
    }
}

impl Registry {
    /// Whether a file refers to it. The metadata of files from an earlier version has the name of
    /// the file's content.
    async fn is_referenced(&self, name: BlobName) -> Result<bool, SweepError> {
        let storage = &self.inner.storage;
        let is_metadata = matches!(name, BlobName::Metadata(_));
        Ok(storage.is_blob_referenced(name.digest()).await?
            || is_metadata && storage.is_metadata_referenced(name.digest()).await?)
    }

    /// Those that files refer to, and others. The blobs are close together in the order of their
    /// digests.
    async fn referenced_among(&self, blobs: &[OldBlob]) -> Result<HashSet<[u8; 32]>, SweepError> {
        let mut referenced = HashSet::new();
        let digests = || blobs.iter().map(|blob| *blob.name().digest());
        let (Some(first), Some(last)) = (digests().min(), digests().max()) else {
            return Ok(referenced);
        };
        if self.inner.storage.is_blob_referenced(&first).await? {
            referenced.insert(first);
        }
        for is_metadata in [false, true] {
            let mut after = first;
            loop {
                let storage = &self.inner.storage;
                let found = if is_metadata {
                    storage.metadata_blobs(&after, REFERENCES).await?
                } else {
                    storage.blobs(Some(&after), REFERENCES).await?
                };
                let is_last = found.len() < REFERENCES as usize
                    || found.last().is_none_or(|digest| *digest >= last);
                after = found.last().copied().unwrap_or(after);
                referenced.extend(found);
                if is_last {
                    break;
                }
            }
        }
        Ok(referenced)
    }
}
