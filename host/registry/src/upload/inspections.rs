//! How many archives of one uploader are inspected at a time.
//!
//! Unpacking costs processor time and memory, whatever the result, and the most expensive archives
//! are made on purpose. So each uploader has a share: no one's archives hold up those of others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::UserId;
use model::limit::{INSPECTION_WAIT, INSPECTIONS_PER_UPLOADER};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The turns.
pub(crate) struct Inspections {
    all: Arc<Semaphore>,
    own: Mutex<HashMap<Option<UserId>, Arc<Semaphore>>>,
    patience: Duration,
}

/// A turn, for as long as it lives: it belongs to the work, which continues even if no one waits
/// for it any longer.
#[derive(Debug)]
pub(crate) struct Turn {
    _own: OwnedSemaphorePermit,
    _one_of_all: OwnedSemaphorePermit,
}

impl Inspections {
    pub(crate) fn new(all: usize) -> Self {
        let all = Arc::new(Semaphore::new(all.clamp(1, Semaphore::MAX_PERMITS)));
        Self {
            all,
            own: Mutex::default(),
            patience: Duration::from_millis(INSPECTION_WAIT.milliseconds()),
        }
    }

    /// Waits for a turn, at most a minute; all uploads without a user share one.
    pub(crate) async fn turn(&self, uploader: Option<UserId>) -> Option<Turn> {
        let own = {
            let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
            own.retain(|_, turns| Arc::strong_count(turns) > 1);
            own.entry(uploader)
                .or_insert_with(|| Arc::new(Semaphore::new(INSPECTIONS_PER_UPLOADER.length())))
                .clone()
        };
        let both = async {
            // The uploader's own share first, so that its waiting uploads hold up no one else.
            let own = own.acquire_owned().await.ok()?;
            Some(Turn {
                _own: own,
                _one_of_all: self.all.clone().acquire_owned().await.ok()?,
            })
        };
        tokio::time::timeout(self.patience, both)
            .await
            .ok()
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_uploader_has_one_archive_looked_into_at_a_time() {
        let inspections = Inspections::new(2);
        let (one, other) = (Some(UserId::new()), Some(UserId::new()));
        let held = inspections.turn(one).await.unwrap();
        assert!(
            tokio::time::timeout(Duration::from_millis(10), inspections.turn(one))
                .await
                .is_err()
        );
        let others = inspections.turn(other).await.unwrap();
        drop((held, others));
        assert!(inspections.turn(one).await.is_some());
        assert_eq!(
            inspections.own.lock().unwrap().len(),
            1,
            "who has finished is forgotten"
        );
    }

    #[tokio::test]
    async fn nobody_waits_for_a_turn_for_ever() {
        let inspections = Inspections {
            patience: Duration::from_millis(10),
            ..Inspections::new(1)
        };
        let _held = inspections.turn(Some(UserId::new())).await.unwrap();
        assert!(inspections.turn(Some(UserId::new())).await.is_none());
    }
}
