//! Databases for a single test.

use std::path::Path;

use model::audit::{AuditEvent, Detail, EventKind};
use serde_json::json;
use storage::Storage;
use tempfile::TempDir;

use crate::NOW;

/// A database with the tables of this version, and its folder.
pub async fn database() -> (Storage, TempDir) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    (database_in(folder.path()).await, folder)
}

/// The same in an existing folder; opens its database if it has one.
pub async fn database_in(folder: &Path) -> Storage {
    let url = format!("sqlite:{}", folder.join("test.sqlite").display());
    let storage = Storage::connect(&url).await.expect("it can be opened");
    storage.migrate().await.expect("its tables can be made");
    storage
}

/// Any event of this kind, for a unit of work that must have one.
pub fn event(kind: EventKind) -> AuditEvent {
    AuditEvent::of_server(NOW, Detail::read(kind, &json!({})))
}
