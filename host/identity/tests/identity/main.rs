//! Identity with a real gate, a real policy and SQLite.
//!
//! Needs the policy modules: `cargo xtask build-plugins`.

mod fixture;
mod mails;
// Written for the tests within the crate; these need only a part of it.
#[allow(dead_code)]
#[path = "../../src/factors/tests/software_key.rs"]
mod software_key;
// Written as a public module of the crate `tests`.
#[allow(unreachable_pub)]
#[path = "../../../../tests/src/postgres.rs"]
mod postgres;

mod accounts;
mod breaches;
mod command_lines;
mod devices;
mod hijacked;
mod history;
mod keyboards;
mod keys;
mod login;
mod deletion;
mod emails;
mod domains;
mod floods;
mod once;
mod password_change;
mod password_reset;
mod passwords;
mod persons;
mod recovery;
mod races;
mod readers;
mod registration;
mod replay;
mod sessions;
mod standing;
mod tokens;
