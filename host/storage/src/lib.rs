//! The registry's data. The only crate that names sqlx, and the home of all SQL, for SQLite (WAL)
//! and PostgreSQL 15+ from one code base.
//!
//! Read [`Storage`] first: reads are its methods, one file per noun. Writes are methods of
//! [`UnitOfWork`], which [`Storage::begin`] starts and only [`UnitOfWork::commit`] ends, with the
//! audit event of the change: no event, no change. Bookkeeping that changes no state of the
//! registry (when a token was last used, the decision log, heartbeats, attempt counters, one-time
//! values that are used up in any case: TOTP steps, key counters, recovery codes, ceremonies; the
//! state of a mail) is a method of [`Storage`] and marked as such.
//!
//! To avoid deadlocks, a unit that locks several rows locks projects first, then releases or a
//! user. If two units still deadlock, one fails with `Conflict::Raced`.
//!
//! To add a noun: a table in both `migrations/` folders, a file with the same parts in the
//! same order as its siblings (rows, statements, reads, writes, how a row is read), its
//! statements in the list of `every_statement`, its constraints in [`Conflict`].

mod database;
mod error;
mod every_statement;
mod log;
mod secret;
mod statement;
mod storage;
mod unit;

pub mod attempts;
pub mod audit;
pub mod ceremonies;
pub mod decisions;
pub mod deletion;
pub mod devices;
pub mod files;
pub mod keys;
pub mod links;
pub mod mail_rates;
pub mod outbox;
pub mod policies;
pub mod projects;
pub mod recoveries;
pub mod recovery_codes;
pub mod releases;
pub mod removal;
pub mod serials;
pub mod sessions;
pub mod tokens;
pub mod usage;
pub mod users;

pub use error::{Conflict, StorageError};
pub use secret::Secret;
pub use storage::{DatabaseKind, Storage};
pub use unit::{Committed, UnitOfWork};

/// SHA-256 of a secret of 32 random bytes that a browser or a mail carries. The database knows
/// nothing else of it, so a reader of the tables cannot present the secret.
pub type SecretHash = [u8; 32];

/// The result of every method.
pub type Result<T, E = StorageError> = std::result::Result<T, E>;
