//! Everything `storage` promises, on both databases.
//!
//! A test is a fact: `on_both(async |fixture| …)` runs it on SQLite and then on PostgreSQL,
//! each time in a new database.

#[path = "suite/attempts.rs"]
mod attempts;
#[path = "suite/audit.rs"]
mod audit;
#[path = "suite/ceremonies.rs"]
mod ceremonies;
#[path = "suite/database.rs"]
mod database;
#[path = "suite/decisions.rs"]
mod decisions;
#[path = "suite/deletion.rs"]
mod deletion;
#[path = "suite/devices.rs"]
mod devices;
#[path = "suite/fixture.rs"]
mod fixture;
#[path = "suite/keys.rs"]
mod keys;
#[path = "suite/links.rs"]
mod links;
#[path = "suite/mail_rates.rs"]
mod mail_rates;
#[path = "suite/migration.rs"]
mod migration;
#[path = "suite/outbox.rs"]
mod outbox;
#[path = "suite/plans.rs"]
mod plans;
#[path = "suite/policies.rs"]
mod policies;
// Written as a public module of the crate `tests`.
#[allow(unreachable_pub)]
#[path = "../../../tests/src/postgres.rs"]
mod postgres;
#[path = "suite/projects.rs"]
mod projects;
#[path = "suite/recoveries.rs"]
mod recoveries;
#[path = "suite/recovery_codes.rs"]
mod recovery_codes;
#[path = "suite/releases.rs"]
mod releases;
#[path = "suite/removal.rs"]
mod removal;
#[path = "suite/serials.rs"]
mod serials;
#[path = "suite/sessions.rs"]
mod sessions;
#[path = "suite/tokens.rs"]
mod tokens;
#[path = "suite/usage.rs"]
mod usage;
#[path = "suite/users.rs"]
mod users;
