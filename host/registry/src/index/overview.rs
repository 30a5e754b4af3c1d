//! What people are shown of all projects: how many there are, the newest, a part of the list, and
//! those that a search finds.

use std::sync::Arc;

use gate::Permit;
use storage::StorageError;
pub use storage::projects::ListedProject;
use tokio::sync::Mutex;

use crate::Registry;
use crate::targets::ReadList;

/// Projects that the front page lists as the newest.
const NEWEST: u32 = 10;

/// What is said of all projects together.
#[derive(Clone, Debug)]
pub struct Overview {
    /// How many readers find.
    pub count: u64,
    /// Those that readers saw first most lately.
    pub newest: Vec<ListedProject>,
}

/// The overview at a serial. Looked up again only after a change, by one at a time: whoever comes
/// meanwhile waits for it.
pub(crate) type Known = Mutex<Option<(i64, Arc<Overview>)>>;

impl Registry {
    pub async fn overview(
        &self,
        _permit: &Permit<ReadList>,
    ) -> Result<Arc<Overview>, StorageError> {
        let storage = &self.inner.storage;
        let mut known = self.inner.overview.lock().await;
        let serial = storage.known_marker().serial;
        if let Some((_, overview)) = known.as_ref().filter(|(at, _)| *at == serial) {
            return Ok(overview.clone());
        }
        let overview = Arc::new(Overview {
            count: storage.count_projects().await?,
            newest: storage.newest_projects(NEWEST).await?,
        });
        *known = Some((serial, overview.clone()));
        Ok(overview)
    }

    /// Projects in order of normalized names, after this one; from the first for an empty one.
    pub async fn projects_after(
        &self,
        _permit: &Permit<ReadList>,
        after: &str,
        limit: u32,
    ) -> Result<Vec<ListedProject>, StorageError> {
        self.inner.storage.list_projects(after, limit).await
    }

    /// Projects with this text in their normalized name: the name itself, then those that begin
    /// with it, then the others; those after the first `skip`, at most `limit`.
    pub async fn find_projects(
        &self,
        _permit: Permit<ReadList>,
        text: &str,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<ListedProject>, StorageError> {
        let (list, text) = (self.list().await?, text.to_owned());
        let search = move || list.search(&text, skip, limit);
        let names = tokio::task::spawn_blocking(search)
            .await
            .map_err(|error| StorageError::Unavailable(error.to_string()))?;
        let mut found = self.inner.storage.projects_named(&names).await?;
        found.sort_by_cached_key(|project| {
            names.iter().position(|name| *name == project.normalized)
        });
        Ok(found)
    }
}
