//! Everything `storage` promises, on both databases.
//!
//! A test is a fact: `on_both(async |fixture| …)` runs it on SQLite and then on PostgreSQL,
//! each time in a new database.

#[path = "suite/attempts.rs"]
mod attempts;
#[path = "suite/audit.rs"]
mod audit;
#[path = "suite/database.rs"]
mod database;
#[path = "suite/decisions.rs"]
mod decisions;
#[path = "suite/fixture.rs"]
mod fixture;
#[path = "suite/policies.rs"]
mod policies;
// Written as a public module of the crate `tests`.
#[allow(unreachable_pub)]
#[path = "../../../tests/src/postgres.rs"]
mod postgres;
#[path = "suite/projects.rs"]
mod projects;
#[path = "suite/releases.rs"]
mod releases;
#[path = "suite/serials.rs"]
mod serials;
#[path = "suite/tokens.rs"]
mod tokens;
#[path = "suite/users.rs"]
mod users;
