//! The starting point for tests of several crates: a database, a gate with policies on it, and
//! callers as types.
//!
//! Only tests depend on this crate; the tests of the structure check that. It does not know
//! `identity`, `registry` and HTTP: they build what they need on the gate from here.

mod callers;
mod database;
mod gates;

use model::Timestamp;

pub use callers::{APP, Person, verified_now};
pub use database::{database, database_in, event};
pub use gates::{GateBuilder, engine, shipped, small_engine, text_of, written};

/// The start of a fixed clock.
pub const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
