//! The decision log and the audit of what changes nothing: refusals and authentications.
//!
//! Writers hand records to one task that commits them in groups.

use model::audit::AuditEvent;
use storage::{Storage, StorageError};

/// Sizes and rates of the recorder.
#[derive(Clone, Debug)]
pub struct RecorderConfig {
    /// Permitted reads recorded per second at most; more are counted, not recorded.
    pub reads_per_second: u32,
}

/// Cheap handle to the recording task.
#[derive(Clone)]
pub struct Recorder {}

impl Recorder {
    /// Starts the task. It ends, with everything committed, after [`Recorder::close`].
    pub fn start(storage: Storage, config: RecorderConfig) -> Self {
        let _ = (storage, config);
        todo!()
    }

    /// Records an audit event; returns when it is committed.
    pub async fn audit(&self, event: AuditEvent) -> Result<(), StorageError> {
        let _ = event;
        todo!()
    }

    /// Commits what is queued and ends the task.
    pub async fn close(&self) {
        todo!()
    }
}
