//! Identity with a real gate, a real policy and SQLite.
//!
//! Needs the policy modules: `cargo xtask build-plugins`.

mod fixture;
mod mails;

mod accounts;
mod breaches;
mod devices;
mod login;
mod password_change;
mod password_reset;
mod passwords;
mod persons;
mod registration;
mod sessions;
mod standing;
mod tokens;
