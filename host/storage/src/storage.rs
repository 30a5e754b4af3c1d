//! The handle for all reads, and the start of every write.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use model::Timestamp;

use crate::database::{self, Database};
use crate::statement::{Statement, statements};
use crate::{Result, UnitOfWork};

/// Which database is behind a [`Storage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseKind {
    Sqlite,
    Postgres,
}

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Storage {
    pub(crate) shared: Arc<Shared>,
}

/// State that the clones share.
pub(crate) struct Shared {
    pub(crate) database: Database,
    /// The latest marker that this process knows (see `serials`).
    pub(crate) known_serial: AtomicI64,
    pub(crate) known_list_serial: AtomicI64,
    pub(crate) known_revision: AtomicI64,
}

/// Most rows that housekeeping deletes in one transaction, since writers have to wait for it.
const FORGOTTEN_AT_ONCE: u32 = 1000;

statements! {
    PING = "SELECT 1 AS one";
}

impl Storage {
    /// Connects to `sqlite:<path>` (the file is created, readable by its owner only) or to
    /// `postgres://…`. Does not migrate.
    pub async fn connect(url: &str) -> Result<Self> {
        let database = database::connect(url).await?;
        let zero = || AtomicI64::new(0);
        Ok(Self {
            shared: Arc::new(Shared {
                database,
                known_serial: zero(),
                known_list_serial: zero(),
                known_revision: zero(),
            }),
        })
    }

    /// Migrates the tables to this version. Safe when several servers start at once.
    pub async fn migrate(&self) -> Result<()> {
        database::migrate(self.database()).await
    }

    /// Which database this is.
    pub fn kind(&self) -> DatabaseKind {
        self.database().kind()
    }

    /// Succeeds if the database answers.
    pub async fn ping(&self) -> Result<()> {
        self.database().one(&PING, &[]).await.map(drop)
    }

    /// Starts a unit of work. On SQLite it waits for its turn, because there is one writer. So keep
    /// it short, wait for nothing else in between, and call no bookkeeping method before it has
    /// ended: on SQLite that would wait for itself and fail as `Unavailable`.
    pub async fn begin(&self) -> Result<UnitOfWork> {
        Ok(UnitOfWork::new(
            self.clone(),
            self.database().begin().await?,
        ))
    }

    /// Closes every connection. For a clean shutdown; later calls return `Unavailable`.
    pub async fn close(&self) {
        self.database().close().await;
    }

    /// Runs a statement that deletes rows older than `$1`, at most `$2` of them, until none is
    /// left: each time in a separate transaction, so that no one waits long for the writer.
    pub(crate) async fn forget_in_parts(
        &self,
        statement: &Statement,
        before: Timestamp,
    ) -> Result<u64> {
        let mut forgotten = 0;
        loop {
            let part = self
                .database()
                .execute(statement, &[before.into(), FORGOTTEN_AT_ONCE.into()])
                .await?;
            forgotten += part;
            if part < u64::from(FORGOTTEN_AT_ONCE) {
                return Ok(forgotten);
            }
        }
    }

    pub(crate) fn database(&self) -> &Database {
        &self.shared.database
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Storage({:?})", self.kind())
    }
}
