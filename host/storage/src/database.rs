//! The two databases behind one interface. The only files that call sqlx are this one, its children
//! and [`crate::error`].

mod connect;
pub(crate) mod migrations;
mod row;
mod value;

use futures_util::TryStreamExt as _;
use sqlx::{Executor, PgPool, Postgres, SqlSafeStr, Sqlite, SqlitePool};

pub(crate) use connect::{connect, migrate};
pub(crate) use row::Row;
pub(crate) use value::{Value, fitting};

use crate::error::Conflict;
use crate::statement::Statement;
use crate::{DatabaseKind, Result};

/// A database.
pub(crate) enum Database {
    /// One writer, because SQLite allows only one, and many readers, which WAL never blocks.
    Sqlite {
        writer: SqlitePool,
        reader: SqlitePool,
        path: std::path::PathBuf,
    },
    /// Isolation is read committed: invariants are enforced by unique constraints, by conditional
    /// updates (evaluated again after a wait), and by row locks where a statement says `FOR UPDATE`
    /// or the like.
    Postgres(PgPool),
}

/// A transaction. Dropping it rolls it back.
pub(crate) enum Transaction {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
}

/// A query of one driver with its values. The drivers have no common type, hence a macro.
macro_rules! query {
    ($text:expr, $values:expr) => {{
        let mut query = sqlx::query($text);
        for value in $values {
            query = match value {
                Value::Integer(value) => query.bind(*value),
                Value::Boolean(value) => query.bind(*value),
                Value::Text(value) => query.bind(value.as_deref()),
                Value::Bytes(value) => query.bind(value.as_deref()),
            };
        }
        query
    }};
}

impl Database {
    pub(crate) fn kind(&self) -> DatabaseKind {
        match self {
            Self::Sqlite { .. } => DatabaseKind::Sqlite,
            Self::Postgres(_) => DatabaseKind::Postgres,
        }
    }

    /// Reads rows. A text with a NUL finds nothing: no database holds one (PostgreSQL cannot).
    pub(crate) async fn all(
        &self,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>> {
        if values.iter().any(Value::has_nul) {
            return Ok(Vec::new());
        }
        Ok(match self {
            Self::Sqlite { reader, .. } => query!(statement.sqlite, values)
                .fetch_all(reader)
                .await?
                .into_iter()
                .map(Row::Sqlite)
                .collect(),
            Self::Postgres(pool) => query!(statement.postgres, values)
                .fetch_all(pool)
                .await?
                .into_iter()
                .map(Row::Postgres)
                .collect(),
        })
    }

    /// Reads possibly many rows one at a time, so that they are never all in memory twice, as rows
    /// and as parsed values.
    pub(crate) async fn each<T>(
        &self,
        statement: &Statement,
        values: &[Value<'_>],
        read: impl Fn(&Row) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut all = Vec::new();
        if values.iter().any(Value::has_nul) {
            return Ok(all);
        }
        match self {
            Self::Sqlite { reader, .. } => {
                let mut rows = query!(statement.sqlite, values).fetch(reader);
                while let Some(row) = rows.try_next().await? {
                    all.push(read(&Row::Sqlite(row))?);
                }
            }
            Self::Postgres(pool) => {
                let mut rows = query!(statement.postgres, values).fetch(pool);
                while let Some(row) = rows.try_next().await? {
                    all.push(read(&Row::Postgres(row))?);
                }
            }
        }
        Ok(all)
    }

    /// Reads the first row, if there is one.
    pub(crate) async fn optional(
        &self,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> Result<Option<Row>> {
        Ok(self.all(statement, values).await?.into_iter().next())
    }

    /// Reads the one row of a statement that always has one.
    pub(crate) async fn one(&self, statement: &Statement, values: &[Value<'_>]) -> Result<Row> {
        self.optional(statement, values)
            .await?
            .ok_or_else(Row::missing)
    }

    /// Runs one writing statement as its own transaction; returns how many rows it touched.
    pub(crate) async fn execute(&self, statement: &Statement, values: &[Value<'_>]) -> Result<u64> {
        refuse_nul(values)?;
        Ok(match self {
            Self::Sqlite { writer, .. } => query!(statement.sqlite, values)
                .execute(writer)
                .await?
                .rows_affected(),
            Self::Postgres(pool) => query!(statement.postgres, values)
                .execute(pool)
                .await?
                .rows_affected(),
        })
    }

    /// Starts a transaction that may write.
    pub(crate) async fn begin(&self) -> Result<Transaction> {
        Ok(match self {
            // IMMEDIATE takes the write lock now: a transaction that reads first and then finds the
            // lock taken could only fail.
            Self::Sqlite { writer, .. } => {
                Transaction::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?)
            }
            Self::Postgres(pool) => Transaction::Postgres(pool.begin().await?),
        })
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite { writer, reader, .. } => {
                reader.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }

    /// Lets the database parse a statement without running it.
    pub(crate) async fn prepare(&self, statement: &Statement) -> Result<()> {
        match self {
            Self::Sqlite { writer, .. } => writer
                .prepare(statement.sqlite.into_sql_str())
                .await
                .map(drop)?,
            Self::Postgres(pool) => pool
                .prepare(statement.postgres.into_sql_str())
                .await
                .map(drop)?,
        }
        Ok(())
    }
}

impl Transaction {
    /// Reads rows, including those that a writing statement returns.
    pub(crate) async fn all(
        &mut self,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>> {
        refuse_nul(values)?;
        Ok(match self {
            Self::Sqlite(transaction) => query!(statement.sqlite, values)
                .fetch_all(&mut **transaction)
                .await?
                .into_iter()
                .map(Row::Sqlite)
                .collect(),
            Self::Postgres(transaction) => query!(statement.postgres, values)
                .fetch_all(&mut **transaction)
                .await?
                .into_iter()
                .map(Row::Postgres)
                .collect(),
        })
    }

    /// Runs a writing statement; returns how many rows it touched.
    pub(crate) async fn execute(
        &mut self,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> Result<u64> {
        refuse_nul(values)?;
        Ok(match self {
            Self::Sqlite(transaction) => query!(statement.sqlite, values)
                .execute(&mut **transaction)
                .await?
                .rows_affected(),
            Self::Postgres(transaction) => query!(statement.postgres, values)
                .execute(&mut **transaction)
                .await?
                .rows_affected(),
        })
    }

    pub(crate) async fn commit(self) -> Result<()> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await?,
            Self::Postgres(transaction) => transaction.commit().await?,
        }
        Ok(())
    }
}

fn refuse_nul(values: &[Value<'_>]) -> Result<()> {
    if values.iter().any(Value::has_nul) {
        Err(Conflict::TextRefused.into())
    } else {
        Ok(())
    }
}
