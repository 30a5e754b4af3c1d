//! Who may have how many uploads under way.
//!
//! Places are few, and a body may take minutes to arrive. So nobody has more than a share of
//! them: one account that sends slowly on many connections keeps its own next upload waiting,
//! and no one else's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::{Caller, Principal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::timeout;
use uuid::Uuid;

/// The places for uploads under way.
pub(crate) struct Places {
    all: Semaphore,
    /// Of each user or publisher that has an upload under way or waiting.
    own: Mutex<HashMap<Uuid, Arc<Semaphore>>>,
    own_size: usize,
    patience: Duration,
}

/// A place, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    _own: OwnedSemaphorePermit,
    _one_of_all: SemaphorePermit<'a>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// This very uploader has too many uploads under way.
    Own { most: usize },
    /// All uploaders together have.
    All,
}

impl Places {
    /// `own_size` of `all` places for each uploader; whoever gets none waits for `patience`.
    pub(crate) fn new(all: usize, own_size: usize, patience: Duration) -> Self {
        let own_size = own_size.clamp(1, Semaphore::MAX_PERMITS);
        Self { all: Semaphore::new(all.clamp(1, Semaphore::MAX_PERMITS)), own: Mutex::default(), own_size, patience }
    }

    /// A place for this caller's upload. The caller's own share comes first, so that who
    /// waits for it stands in nobody else's way.
    pub(crate) async fn take(&self, caller: &Caller) -> Result<Place<'_>, NoPlace> {
        let own = self.of(uploader(caller));
        let Ok(Ok(own)) = timeout(self.patience, own.acquire_owned()).await else { return Err(NoPlace::Own { most: self.own_size }) };
        let Ok(Ok(one_of_all)) = timeout(self.patience, self.all.acquire()).await else { return Err(NoPlace::All) };
        Ok(Place { _own: own, _one_of_all: one_of_all })
    }

    fn of(&self, uploader: Uuid) -> Arc<Semaphore> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        // A permit and everyone who waits for one hold the semaphore, too. What is left are
        // as many as there are connections at most.
        own.retain(|_, places| Arc::strong_count(places) > 1);
        own.entry(uploader).or_insert_with(|| Arc::new(Semaphore::new(self.own_size))).clone()
    }
}

/// Whose share it is. Nobody in particular has one share for all; such uploads are refused
/// before they get here.
fn uploader(caller: &Caller) -> Uuid {
    match &caller.principal {
        Principal::User(user) => user.id.0,
        Principal::Publisher { id, .. } => *id,
        Principal::Anonymous => Uuid::nil(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Assurance, CredentialKind};

    fn publisher(id: u128) -> Caller {
        let principal = Principal::Publisher { id: Uuid::from_u128(id), provider: "test".to_owned(), claims: Vec::new() };
        Caller { credential: CredentialKind::PublisherToken, principal, token: None, session: None, assurance: Assurance::NONE }
    }

    #[tokio::test]
    async fn one_uploader_never_holds_the_places_of_others() {
        let places = Places::new(4, 2, Duration::from_millis(10));
        let first = places.take(&publisher(1)).await.unwrap();
        let _second = places.take(&publisher(1)).await.unwrap();
        assert_eq!(places.take(&publisher(1)).await.unwrap_err(), NoPlace::Own { most: 2 });
        let _others = (places.take(&publisher(2)).await.unwrap(), places.take(&publisher(2)).await.unwrap());
        assert_eq!(places.take(&publisher(3)).await.unwrap_err(), NoPlace::All);
        drop(first);
        assert!(places.take(&publisher(1)).await.is_ok());
    }

    #[tokio::test]
    async fn who_waits_gets_the_next_place_of_its_own() {
        let places = Places::new(4, 1, Duration::from_secs(30));
        let held = places.take(&publisher(1)).await.unwrap();
        let (caller, release) = (publisher(1), async move { drop(held) });
        let (taken, ()) = tokio::join!(places.take(&caller), release);
        assert!(taken.is_ok());
    }

    #[tokio::test]
    async fn uploaders_that_have_finished_are_forgotten() {
        let places = Places::new(4, 2, Duration::from_millis(10));
        for id in 0..100 {
            drop(places.take(&publisher(id)).await.unwrap());
        }
        assert_eq!(places.own.lock().unwrap().len(), 1);
    }
}
