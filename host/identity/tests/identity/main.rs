//! Identity with a real gate, a real policy and SQLite.
//!
//! Needs the policy modules: `cargo xtask build-plugins`.

mod fixture;

mod accounts;
mod passwords;
mod persons;
mod standing;
mod tokens;
