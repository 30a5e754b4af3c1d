//! The overview of all projects for people: how many there are, the newest, a part of the list, and
//! search results.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use gate::Permit;
use model::limit::SEARCH_WAIT;
use storage::StorageError;
pub use storage::projects::ListedProject;
use tokio::sync::Mutex;
use tokio::time::timeout_at;
use turns::{Asker, Places};

use super::ReadError;
use crate::Registry;
use crate::targets::ReadList;

/// Projects that the front page lists as the newest.
const NEWEST: u32 = 10;

/// Facts about all projects together.
#[derive(Clone, Debug)]
pub struct Overview {
    /// How many projects readers can find.
    pub count: u64,
    /// The projects that were most recently published for the first time.
    pub newest: Vec<ListedProject>,
}

/// The overview at a serial. Looked up again only after a change, by one request at a time: others
/// wait for it.
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
    /// with it, then the others; those after the first `skip`, at most `limit`. Addresses take
    /// turns.
    pub async fn find_projects(
        &self,
        _permit: Permit<ReadList>,
        address: IpAddr,
        text: &str,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<ListedProject>, ReadError> {
        let asker = Asker::at(address, Duration::from_millis(SEARCH_WAIT.milliseconds()));
        let (list, text) = (self.list().await?, text.to_owned());
        let search = move || list.search(&text, skip, limit);
        let names = search_in_turn(&self.inner.searches, &asker, search).await?;
        let mut found = self.inner.storage.projects_named(&names).await?;
        found.sort_by_cached_key(|project| {
            names.iter().position(|name| *name == project.normalized)
        });
        Ok(found)
    }
}

/// Searches once it is the address's turn. An abandoned search keeps its place until it has ended.
async fn search_in_turn<T: Send + 'static>(
    places: &Places,
    asker: &Asker,
    search: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ReadError> {
    let place = timeout_at(asker.until, places.acquire(asker)).await;
    let place = place.map_err(|_| ReadError::TooManySearches)?;
    let search = move || {
        let found = search();
        drop(place);
        found
    };
    let found = tokio::task::spawn_blocking(search).await;
    found.map_err(|error| ReadError::Page(std::io::Error::other(error)))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc;
    use std::time::Duration;

    use model::limit::SEARCHES_AT_ONCE;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_search_counts_until_it_has_ended_and_waits_for_its_turn_not_for_long() {
        const SOON: Duration = Duration::from_millis(20);
        let places = Places::new(SEARCHES_AT_ONCE.length());
        let (go_on, wait) = mpsc::channel();
        let wait = Arc::new(Mutex::new(wait));
        let asker = |number: u8, patience| {
            Asker::at([192, 0, 2, number].into(), Duration::from_millis(patience))
        };
        for _ in 0..SEARCHES_AT_ONCE.get() {
            let wait = wait.clone();
            let search = move || wait.lock().unwrap().recv().is_ok();
            let gone = asker(1, 10_000);
            let search = search_in_turn(&places, &gone, search);
            assert!(
                timeout(SOON, search).await.is_err(),
                "whoever searched is gone"
            );
        }
        let refused = search_in_turn(&places, &asker(2, 20), || ()).await;
        assert!(
            matches!(refused, Err(ReadError::TooManySearches)),
            "{refused:?}"
        );
        go_on.send(()).unwrap();
        search_in_turn(&places, &asker(2, 10_000), || ())
            .await
            .unwrap();
        drop(go_on);
    }
}
