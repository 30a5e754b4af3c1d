//! The current list, and how it follows the database.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use storage::StorageError;
use storage::serials::JournalRow;

use super::{Change, List};
use crate::Registry;

/// Projects that are read from the database at once. Limits the memory for loading besides the
/// list.
const PART: u32 = 4096;
/// Changes that are applied at once.
const FOLLOWED: u32 = 1000;
/// Serials that a list may be behind and still be caught up; beyond that it is loaded again, while
/// readers get the previous one.
const MAX_BEHIND: i64 = 20_000;

/// The journal's text for a change of status, which may add a project to the list or remove it.
/// Every other change leaves a listed project in its place.
const STATUS: &str = "change status";

/// The current list.
#[derive(Default)]
pub(crate) struct CurrentList {
    list: Mutex<Option<Arc<List>>>,
    /// Its holder updates the list, one request at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// The database could not be reached recently: it is asked before the list is shown.
    is_doubtful: AtomicBool,
}

impl CurrentList {
    fn get(&self) -> Option<Arc<List>> {
        self.list.lock().expect("not poisoned").clone()
    }

    fn set(&self, list: List) -> Arc<List> {
        let list = Arc::new(list);
        *self.list.lock().expect("not poisoned") = Some(list.clone());
        list
    }

    /// Sets whether writes of other processes are being followed.
    pub(crate) fn doubt(&self, is_doubtful: bool) {
        self.is_doubtful.store(is_doubtful, Ordering::SeqCst);
    }
}

impl Registry {
    /// The list with every change that this process knows. While another request updates it, the
    /// previous one; only the very first readers wait for it.
    pub(crate) async fn list(&self) -> Result<Arc<List>, StorageError> {
        let current = &self.inner.list;
        if current.is_doubtful.load(Ordering::SeqCst) {
            self.inner.storage.change_marker().await?;
        }
        let known = self.inner.storage.known_marker().serial;
        let is_fresh = |list: &Arc<List>| list.serial >= known;
        let before = current.get();
        if let Some(list) = before.filter(is_fresh) {
            return Ok(list);
        }
        let turn = match (current.get(), current.turn.clone().try_lock_owned()) {
            (_, Ok(turn)) => turn,
            (Some(list), Err(_)) => return Ok(list),
            (None, Err(_)) => current.turn.clone().lock_owned().await,
        };
        // Another request may have been faster.
        let Some(list) = current.get() else {
            return Ok(current.set(self.load_list().await?));
        };
        if is_fresh(&list) {
            return Ok(list);
        }
        if known - list.serial <= MAX_BEHIND {
            return Ok(current.set(self.catch_up(&list, known).await?));
        }
        let registry = self.clone();
        tokio::spawn(async move {
            let _turn = turn;
            match registry.load_list().await {
                Ok(list) => drop(registry.inner.list.set(list)),
                Err(error) => tracing::warn!(%error, "cannot load the list of projects again"),
            }
        });
        Ok(list)
    }

    async fn load_list(&self) -> Result<List, StorageError> {
        // The serials first: a change in between makes the list newer than it claims, never older.
        let marker = self.inner.storage.change_marker().await?;
        let mut list = List::new(&self.urls(), marker.serial, marker.list_serial);
        let mut after = String::new();
        loop {
            let entries = self.inner.storage.index(&after, PART).await?;
            list = list.extended(&entries);
            match entries.into_iter().next_back() {
                Some(last) => after = last.normalized,
                None => return Ok(list.finished()),
            }
        }
    }

    /// The list with every change that is in the journal.
    async fn catch_up(&self, list: &List, known: i64) -> Result<List, StorageError> {
        let (mut serial, mut list_serial) = (list.serial, list.list_serial);
        let mut changes: BTreeMap<String, Change> = BTreeMap::new();
        let mut unknown: BTreeSet<String> = BTreeSet::new();
        loop {
            let rows = self.inner.storage.journal(serial, FOLLOWED).await?;
            let is_last = rows.len() < FOLLOWED as usize;
            for JournalRow {
                serial: at,
                project_name,
                action,
                ..
            } in rows
            {
                serial = at;
                if action == STATUS || !list.holds(&project_name) {
                    list_serial = at;
                    unknown.insert(project_name);
                } else {
                    changes.insert(project_name, Change::Touched(at));
                }
            }
            if is_last {
                break;
            }
        }
        let names: Vec<&str> = unknown.iter().map(String::as_str).collect();
        let mut found: BTreeMap<String, Change> = self
            .inner
            .storage
            .index_of(&names)
            .await?
            .into_iter()
            .map(|entry| (entry.normalized.clone(), Change::Is(entry)))
            .collect();
        for name in unknown {
            let change = found.remove(&name).unwrap_or(Change::IsNot);
            changes.insert(name, change);
        }
        Ok(list.with(&changes, serial.max(known), list_serial))
    }
}

#[cfg(test)]
mod tests {
    use model::audit::{AuditEvent, Detail};
    use model::{
        Digests, FileId, FileKind, ProjectId, ProjectName, ProjectStatus, ReleaseId, ReleaseState,
        SystemClock, Timestamp, Version,
    };
    use storage::files::NewFile;
    use storage::projects::NewProject;
    use storage::releases::NewRelease;
    use storage::{Storage, UnitOfWork};

    use super::*;
    use crate::RegistryConfig;

    const AT: Timestamp = Timestamp::from_seconds(1_800_000_000);

    struct Fixture {
        registry: Registry,
        /// From another server.
        elsewhere: Storage,
        _folder: tempfile::TempDir,
    }

    impl Fixture {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let url = format!("sqlite:{}/registry.db", folder.path().display());
            let storage = Storage::connect(&url).await.unwrap();
            storage.migrate().await.unwrap();
            let config = RegistryConfig::new("https://example.org");
            let blobs = blobs::Blobs::open(&folder.path().join("blobs")).unwrap();
            let registry = Registry::new(storage, blobs, Arc::new(SystemClock), config);
            Self {
                registry,
                elsewhere: Storage::connect(&url).await.unwrap(),
                _folder: folder,
            }
        }

        async fn names(&self) -> Vec<String> {
            self.registry.list().await.unwrap().search("sample", 0, 100)
        }
    }

    async fn commit(storage: &Storage, work: impl AsyncFnOnce(&mut UnitOfWork)) {
        let mut unit = storage.begin().await.unwrap();
        work(&mut unit).await;
        let event = AuditEvent::of_server(AT, Detail::PasswordRehashed);
        unit.commit(&event).await.unwrap();
    }

    async fn publish(storage: &Storage, name: &str, version: &str) {
        let parsed = ProjectName::parse(name).unwrap();
        let known = storage.project(parsed.normalized()).await.unwrap();
        let project = known
            .as_ref()
            .map_or_else(ProjectId::new, |project| project.id);
        let (version, file_name) = (
            Version::parse(version).unwrap(),
            format!("{name}-{version}-py3-none-any.whl"),
        );
        let digest: [u8; 32] =
            sha2::Digest::finalize(<sha2::Sha256 as sha2::Digest>::new_with_prefix(&file_name))
                .into();
        commit(storage, async |unit| {
            if known.is_none() {
                unit.create_project(&NewProject {
                    id: project,
                    name: &parsed,
                    created_at: AT,
                })
                .await
                .unwrap();
            }
            let release = NewRelease {
                id: ReleaseId::new(),
                project,
                version: &version,
                metadata_sha256: None,
                created_at: AT,
            };
            let release = unit.ensure_release(&release).await.unwrap().id;
            let file = NewFile {
                id: FileId::new(),
                release,
                name: &file_name,
                name_key: &file_name,
                kind: FileKind::Wheel,
                size: 1,
                digests: Digests {
                    md5: [0; 16],
                    sha256: digest,
                    blake2_256: digest,
                },
                requires_python: None,
                metadata_sha256: None,
                metadata_size: None,
                python_version: "py3",
                comment: None,
                uploaded_at: AT,
                uploaded_by: None,
                uploaded_with: None,
                state: ReleaseState::Published,
            };
            unit.add_file(&file).await.unwrap();
        })
        .await;
    }

    #[tokio::test]
    async fn a_change_is_in_the_list_that_is_read_after_it_and_costs_no_new_list() {
        let fixture = Fixture::new().await;
        let storage = fixture.registry.storage().clone();
        assert_eq!(fixture.names().await, [""; 0]);
        publish(&storage, "Sample", "1.0").await;
        publish(&storage, "sample-b", "1.0").await;
        assert_eq!(fixture.names().await, ["sample", "sample-b"]);
        let before = fixture.registry.list().await.unwrap();
        assert!(
            Arc::ptr_eq(&before, &fixture.registry.list().await.unwrap()),
            "nothing changed"
        );
        // A new file of a listed project: the same names.
        publish(&storage, "Sample", "2.0").await;
        let after = fixture.registry.list().await.unwrap();
        assert_eq!(
            (before.list_serial, after.list_serial, after.serial),
            (2, 2, 3)
        );
        // A status removes a project from the pages and from searches.
        let project = storage.project("sample-b").await.unwrap().unwrap().id;
        for (status, is_listed) in [
            (ProjectStatus::Quarantined, false),
            (ProjectStatus::Archived, true),
        ] {
            commit(&storage, async |unit| {
                unit.set_project_status(project, status, None)
                    .await
                    .unwrap()
            })
            .await;
            let list = fixture.registry.list().await.unwrap();
            assert_eq!(
                list.chunks[0]
                    .entries()
                    .any(|entry| entry.normalized == "sample-b" && !entry.is_hidden),
                is_listed
            );
            assert_eq!(
                (list.list_serial, fixture.names().await.len()),
                (list.serial, 1 + usize::from(is_listed))
            );
        }
        // A list loaded from the database has the same properties.
        let list = fixture.registry.list().await.unwrap();
        let loaded = fixture.registry.load_list().await.unwrap();
        assert_eq!(
            (list.html.etag.clone(), list.json.etag.clone()),
            (loaded.html.etag, loaded.json.etag)
        );
    }

    #[tokio::test]
    async fn what_other_servers_write_is_in_the_list_once_this_one_knows_of_it() {
        let fixture = Fixture::new().await;
        assert_eq!(fixture.names().await, [""; 0]);
        publish(&fixture.elsewhere, "sample", "1.0").await;
        // If the changes cannot be followed, the database is asked before the list is shown.
        fixture.registry.inner.list.doubt(true);
        assert_eq!(fixture.names().await, ["sample"]);
        fixture.registry.inner.list.doubt(false);
        publish(&fixture.elsewhere, "sample-b", "1.0").await;
        fixture.registry.storage().change_marker().await.unwrap();
        assert_eq!(fixture.names().await, ["sample", "sample-b"]);
    }

    #[tokio::test]
    async fn one_brings_the_list_up_to_date_and_the_others_get_the_one_before() {
        let fixture = Fixture::new().await;
        let storage = fixture.registry.storage().clone();
        publish(&storage, "sample", "1.0").await;
        assert_eq!(fixture.names().await, ["sample"]);
        let turn = fixture.registry.inner.list.turn.clone().lock_owned().await;
        publish(&storage, "sample-b", "1.0").await;
        assert_eq!(fixture.names().await, ["sample"], "it waits for nobody");
        drop(turn);
        assert_eq!(fixture.names().await, ["sample", "sample-b"]);
    }

    #[tokio::test]
    async fn a_list_that_is_far_behind_is_shown_until_it_is_loaded_again() {
        let fixture = Fixture::new().await;
        publish(fixture.registry.storage(), "sample", "1.0").await;
        let old = fixture
            .registry
            .inner
            .list
            .set(List::new(&fixture.registry.urls(), -MAX_BEHIND, 0).finished());
        assert!(Arc::ptr_eq(&old, &fixture.registry.list().await.unwrap()));
        // The loading request holds the turn.
        drop(fixture.registry.inner.list.turn.lock().await);
        assert_eq!(fixture.names().await, ["sample"]);
    }
}
