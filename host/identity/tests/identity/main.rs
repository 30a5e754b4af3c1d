//! Identity with a real gate, a real policy and SQLite.
//!
//! Needs the policy modules: `cargo xtask build-plugins`.

mod fixture;
mod mails;

mod accounts;
mod breaches;
mod passwords;
mod persons;
mod standing;
mod tokens;
