//! Rows, read by column name into the types of `model`. A value that does not fit is `Corrupt`:
//! another program or a newer version wrote it.

use std::str::FromStr;

use model::Timestamp;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{ColumnIndex, Decode, Row as _, Type};

use crate::{Result, StorageError};

/// A row of either database.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    pub(crate) fn missing() -> StorageError {
        StorageError::Corrupt("a row that is always there is missing".to_owned())
    }

    fn get<'r, T>(&'r self, column: &str) -> Result<T>
    where
        T: Decode<'r, sqlx::Sqlite>
            + Type<sqlx::Sqlite>
            + Decode<'r, sqlx::Postgres>
            + Type<sqlx::Postgres>,
        for<'c> &'c str: ColumnIndex<SqliteRow> + ColumnIndex<PgRow>,
    {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
        .map_err(|error| StorageError::Corrupt(error.to_string()))
    }

    pub(crate) fn integer(&self, column: &str) -> Result<i64> {
        self.get(column)
    }

    pub(crate) fn optional_integer(&self, column: &str) -> Result<Option<i64>> {
        self.get(column)
    }

    /// An integer that is never negative.
    pub(crate) fn count(&self, column: &str) -> Result<u64> {
        let integer = self.integer(column)?;
        u64::try_from(integer).map_err(|_| unexpected(column))
    }

    /// The same, for a column that may be null.
    pub(crate) fn optional_count(&self, column: &str) -> Result<Option<u64>> {
        self.optional_integer(column)?
            .map(|integer| u64::try_from(integer).map_err(|_| unexpected(column)))
            .transpose()
    }

    pub(crate) fn time(&self, column: &str) -> Result<Timestamp> {
        self.get(column).map(Timestamp)
    }

    pub(crate) fn optional_time(&self, column: &str) -> Result<Option<Timestamp>> {
        Ok(self.optional_integer(column)?.map(Timestamp))
    }

    pub(crate) fn boolean(&self, column: &str) -> Result<bool> {
        self.get(column)
    }

    pub(crate) fn text(&self, column: &str) -> Result<String> {
        self.get(column)
    }

    pub(crate) fn optional_text(&self, column: &str) -> Result<Option<String>> {
        self.get(column)
    }

    pub(crate) fn bytes(&self, column: &str) -> Result<Vec<u8>> {
        self.get(column)
    }

    /// Bytes of a fixed length, a digest or a key.
    pub(crate) fn array<const N: usize>(&self, column: &str) -> Result<[u8; N]> {
        self.get::<&[u8]>(column)?
            .try_into()
            .map_err(|_| unexpected(column))
    }

    pub(crate) fn optional_array<const N: usize>(&self, column: &str) -> Result<Option<[u8; N]>> {
        self.get::<Option<&[u8]>>(column)?
            .map(|bytes| bytes.try_into().map_err(|_| unexpected(column)))
            .transpose()
    }

    /// An identifier, or another type that is parsed from text.
    pub(crate) fn parsed<T: FromStr>(&self, column: &str) -> Result<T> {
        self.get::<&str>(column)?
            .parse()
            .map_err(|_| unexpected(column))
    }

    pub(crate) fn optional_parsed<T: FromStr>(&self, column: &str) -> Result<Option<T>> {
        self.get::<Option<&str>>(column)?
            .map(|text| text.parse().map_err(|_| unexpected(column)))
            .transpose()
    }

    /// A text that `read` understands: a word of a closed set, a name, a version, JSON.
    pub(crate) fn read<T>(&self, column: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<T> {
        read(self.get(column)?).ok_or_else(|| unexpected(column))
    }

    /// The same, for a column that may be null.
    pub(crate) fn optional_read<T>(
        &self,
        column: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>> {
        self.get::<Option<&str>>(column)?
            .map(|text| read(text).ok_or_else(|| unexpected(column)))
            .transpose()
    }
}

/// Names only the column: its content may be a secret.
fn unexpected(column: &str) -> StorageError {
    StorageError::Corrupt(format!(
        "column {column} holds what this version cannot read"
    ))
}
