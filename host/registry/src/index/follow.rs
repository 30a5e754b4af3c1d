//! Following the writes of other processes.

use std::time::Duration;

use model::audit::EventKind;
use storage::StorageError;
use storage::audit::AuditFilter;

use crate::Registry;

/// How often the database is polled; the longest delay of page contents.
const INTERVAL: Duration = Duration::from_millis(100);
/// Roles and settings are checked every so many rounds; their delay is a second at most.
const ROUNDS_FOR_SETTINGS: u32 = 10;
/// Most changes that are followed one by one; if there are more, everything is dropped.
const MAX_FOLLOWED: u32 = 500;

/// Events that change a cached entry but no serial.
const QUIET_EVENTS: [EventKind; 3] = [
    EventKind::ProjectConfigured,
    EventKind::RoleGranted,
    EventKind::RoleRevoked,
];

/// The position of the follower.
struct Position {
    serial: i64,
    revision: i64,
    sequences: [i64; QUIET_EVENTS.len()],
}

impl Registry {
    /// Keeps cached pages fresh against writes of other processes until `stop` resolves: polls the
    /// database every 100 ms for changes. While the database cannot be reached, nothing is cached:
    /// better slow than stale. The list of projects catches up by itself with every serial that is
    /// seen here.
    pub async fn follow_changes(&self, stop: impl Future<Output = ()> + Send) {
        tokio::pin!(stop);
        let mut position = None;
        let mut round = 0u32;
        loop {
            round = round.wrapping_add(1);
            let followed = match &mut position {
                None => self
                    .start_following()
                    .await
                    .map(|start| position = Some(start)),
                Some(position) => {
                    self.follow(position, round.is_multiple_of(ROUNDS_FOR_SETTINGS))
                        .await
                }
            };
            if let Err(error) = followed {
                tracing::warn!(%error, "cannot follow changes of the index; pages are not kept meanwhile");
                self.inner.cache.forget_all();
                self.inner.list.doubt(true);
                position = None;
            }
            tokio::select! {
                () = &mut stop => return,
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    }

    async fn start_following(&self) -> Result<Position, StorageError> {
        let marker = self.inner.storage.change_marker().await?;
        let mut sequences = [0; QUIET_EVENTS.len()];
        for (sequence, kind) in sequences.iter_mut().zip(QUIET_EVENTS) {
            *sequence = self.newest_event(kind).await?;
        }
        // Entries from before may be older than our starting position.
        self.inner.cache.forget_all();
        self.inner.list.doubt(false);
        Ok(Position {
            serial: marker.serial,
            revision: marker.revision,
            sequences,
        })
    }

    async fn newest_event(&self, kind: EventKind) -> Result<i64, StorageError> {
        let filter = AuditFilter {
            kind: Some(kind),
            ..AuditFilter::default()
        };
        Ok(self
            .inner
            .storage
            .events(&filter, None, 1)
            .await?
            .first()
            .map_or(0, |row| row.sequence))
    }

    async fn follow(
        &self,
        position: &mut Position,
        with_settings: bool,
    ) -> Result<(), StorageError> {
        let marker = self.inner.storage.change_marker().await?;
        if marker.serial != position.serial {
            let rows = self
                .inner
                .storage
                .journal(position.serial, MAX_FOLLOWED)
                .await?;
            if rows.len() == MAX_FOLLOWED as usize {
                self.inner.cache.forget_all();
            }
            for row in &rows {
                self.inner.cache.changed(&row.project_name, row.serial);
            }
            position.serial = marker.serial;
        }
        if with_settings && marker.revision != position.revision {
            for (sequence, kind) in position.sequences.iter_mut().zip(QUIET_EVENTS) {
                self.follow_events(kind, sequence).await?;
            }
            position.revision = marker.revision;
        }
        Ok(())
    }

    async fn follow_events(&self, kind: EventKind, sequence: &mut i64) -> Result<(), StorageError> {
        let newest = self.newest_event(kind).await?;
        if newest == *sequence {
            return Ok(());
        }
        let filter = AuditFilter {
            kind: Some(kind),
            ..AuditFilter::default()
        };
        let rows = self
            .inner
            .storage
            .events(&filter, None, MAX_FOLLOWED)
            .await?;
        if rows
            .last()
            .is_some_and(|oldest| oldest.sequence > *sequence)
            && rows.len() == MAX_FOLLOWED as usize
        {
            self.inner.cache.forget_all();
        }
        for row in rows.iter().filter(|row| row.sequence > *sequence) {
            let Some(id) = row.event.project else {
                continue;
            };
            if let Some(project) = self.inner.storage.project_by_id(id).await? {
                self.inner.cache.forget(project.name.normalized());
            }
        }
        *sequence = newest;
        Ok(())
    }
}
