//! The handle that everyone holds.

use crate::{Result, UnitOfWork};

/// Which database is behind a [`Storage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseKind {
    Sqlite,
    Postgres,
}

/// The database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Storage {}

impl Storage {
    /// Connects to `sqlite:<path>` (the file is created, readable by its owner only) or to
    /// `postgres://…`. Does not migrate.
    pub async fn connect(url: &str) -> Result<Self> {
        let _ = url;
        todo!()
    }

    /// Brings the tables to this version. Safe when several servers start at once.
    pub async fn migrate(&self) -> Result<()> {
        todo!()
    }

    /// Which database this is.
    pub fn kind(&self) -> DatabaseKind {
        todo!()
    }

    /// Answers when the database does.
    pub async fn ping(&self) -> Result<()> {
        todo!()
    }

    /// Starts a unit of work. On SQLite it waits for its turn: there is one writer.
    pub async fn begin(&self) -> Result<UnitOfWork> {
        todo!()
    }

    /// Ends every connection. For a clean shutdown; later calls answer `Unavailable`.
    pub async fn close(&self) {
        todo!()
    }
}
