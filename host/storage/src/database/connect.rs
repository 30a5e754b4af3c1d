//! From a URL to a database with its tables.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};
use tracing::log::LevelFilter;

use super::Database;
use super::migrations::{POSTGRES, SQLITE};
use crate::{Result, StorageError};

/// Prepared statements kept by each connection: more than there are statements.
const STATEMENT_CACHE: usize = 512;
/// How long a writer waits for another process to finish writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request waits for a connection before it is answered with an error.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(15);
/// Statements slower than this are logged, without their values.
const SLOW_STATEMENT: Duration = Duration::from_secs(1);
/// Connections of one server to PostgreSQL.
const POSTGRES_CONNECTIONS: u32 = 16;

pub(crate) async fn connect(url: &str) -> Result<Database> {
    if let Some(path) = url.strip_prefix("sqlite:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() || path == ":memory:" || path.contains('?') {
            return Err(StorageError::Unavailable(
                "a SQLite URL is sqlite:<path of a file>".to_owned(),
            ));
        }
        return connect_sqlite(Path::new(path)).await;
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return connect_postgres(url).await;
    }
    // The URL itself stays out of the message: it may hold a password.
    Err(StorageError::Unavailable(
        "the URL of a database starts with sqlite: or postgres://".to_owned(),
    ))
}

async fn connect_sqlite(path: &Path) -> Result<Database> {
    create_private(path)?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .statement_cache_capacity(STATEMENT_CACHE)
        .pragma("temp_store", "memory")
        // The limit to which a WAL that grew during a long read is truncated.
        .pragma("journal_size_limit", "67108864")
        .disable_statement_logging()
        .log_slow_statements(LevelFilter::Warn, SLOW_STATEMENT);
    let pool = || {
        SqlitePoolOptions::new()
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
    };
    // FULL: an upload that was answered must survive a power failure.
    let writer = patiently(|| {
        pool()
            .max_connections(1)
            .connect_with(options.clone().synchronous(SqliteSynchronous::Full))
    })
    .await;
    let writer = writer.map_err(|error| match StorageError::from(error) {
        // SQLite reports every obstacle to opening the file as "unable to open database file".
        StorageError::Unavailable(message) if message.contains("unable to open") => {
            StorageError::Unavailable(format!(
                "{message}: {}; does it belong to the user that runs this?",
                path.display()
            ))
        }
        other => other,
    })?;
    let readers = std::thread::available_parallelism()
        .map_or(4, |cores| cores.get() as u32 * 2)
        .clamp(4, 32);
    let options = options
        .synchronous(SqliteSynchronous::Normal)
        .pragma("query_only", "on");
    let reader = patiently(|| {
        pool()
            .max_connections(readers)
            .connect_with(options.clone())
    })
    .await?;
    Ok(Database::Sqlite {
        writer,
        reader,
        path: path.to_owned(),
    })
}

/// Retries for a while if the file is locked. SQLite waits for locks by itself, but not for the one
/// under which a new file gets its write-ahead log: of servers that start together on a new file,
/// some would fail there.
async fn patiently<T, F: Future<Output = sqlx::Result<T>>>(
    connect: impl Fn() -> F,
) -> sqlx::Result<T> {
    let deadline = tokio::time::Instant::now() + BUSY_TIMEOUT;
    loop {
        match connect().await {
            Err(sqlx::Error::Database(error))
                if error.message().contains("database is locked")
                    && tokio::time::Instant::now() < deadline =>
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            connected => return connected,
        }
    }
}

/// Creates the file if it is missing, readable by its owner only; SQLite gives the files next to it
/// the same mode. An existing file is not even opened: closing it would drop the locks that other
/// connections of this process hold on it (POSIX).
fn create_private(path: &Path) -> Result<()> {
    match OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
    {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            if std::fs::metadata(path)
                .is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
            {
                tracing::warn!(
                    "others than its owner may open {}, which holds the keys of tokens; run chmod 600 on it",
                    path.display()
                );
            }
            Ok(())
        }
        Err(error) => Err(StorageError::Unavailable(format!(
            "cannot create or open {}: {error}",
            path.display()
        ))),
    }
}

async fn connect_postgres(url: &str) -> Result<Database> {
    let options = url
        .parse::<PgConnectOptions>()?
        .application_name("portcullis")
        .statement_cache_capacity(STATEMENT_CACHE)
        .options([
            ("lock_timeout", "30s"),
            ("statement_timeout", "60s"),
            ("idle_in_transaction_session_timeout", "60s"),
        ])
        .disable_statement_logging()
        .log_slow_statements(LevelFilter::Warn, SLOW_STATEMENT);
    // A pool hides for a long time why it gets no connection; a single connection fails at once.
    match tokio::time::timeout(ACQUIRE_TIMEOUT, options.connect()).await {
        Ok(Ok(connection)) => connection.close().await?,
        // It is starting up, and the pool waits for it.
        Ok(Err(sqlx::Error::Database(error))) if error.code().as_deref() == Some("57P03") => {}
        Ok(Err(error)) => return Err(error.into()),
        Err(_) => {
            return Err(StorageError::Unavailable(format!(
                "no answer within {} seconds",
                ACQUIRE_TIMEOUT.as_secs()
            )));
        }
    }
    let pool = PgPoolOptions::new()
        .max_connections(POSTGRES_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_with(options)
        .await?;
    Ok(Database::Postgres(pool))
}

pub(crate) async fn migrate(database: &Database) -> Result<()> {
    match database {
        Database::Sqlite { writer, path, .. } => {
            // sqlx takes no lock on SQLite: two processes would both create the tables.
            let _lock = lock_beside(path).await?;
            SQLITE.run(writer).await.map_err(explain)
        }
        // sqlx holds an advisory lock of the database while it migrates.
        Database::Postgres(pool) => POSTGRES.run(pool).await.map_err(explain),
    }
}

/// Locks a file next to the database until the value is dropped.
async fn lock_beside(path: &Path) -> Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push("-migrate");
    let path = PathBuf::from(name);
    let locked = tokio::task::spawn_blocking(move || {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        file.lock()?;
        Ok::<_, std::io::Error>(file)
    });
    locked
        .await
        .map_err(|error| StorageError::Unavailable(error.to_string()))?
        .map_err(|error| {
            StorageError::Unavailable(format!("cannot lock the database for migration: {error}"))
        })
}

fn explain(error: MigrateError) -> StorageError {
    match error {
        MigrateError::VersionMissing(version) => StorageError::Unavailable(format!(
            "the database was migrated by a newer version of Portcullis (step {version}); run that one"
        )),
        MigrateError::VersionMismatch(version) => StorageError::Unavailable(format!(
            "step {version} of the migration is not the one that was applied to this database"
        )),
        MigrateError::Execute(error) => error.into(),
        other => StorageError::Unavailable(format!("the migration failed: {other}")),
    }
}
