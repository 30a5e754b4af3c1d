//! The rules of the default set for engines to compare with. That of breached passwords is
//! not among them: it is not asked about uploads, and no case has a password.
//!
//! Each engine takes a [`Case`](crate::contexts::Case), converts it to what it understands
//! (that is part of what is measured, as it is for the sandboxed policies) and answers
//! with everything that speaks against the action, as `policy/code`.

pub mod cedar;
pub mod plain;
pub mod rego;

use std::collections::BTreeSet;

/// What an engine said: `policy/code` of everything that speaks against the action.
pub type Objections = BTreeSet<String>;

/// What is outright denied by somebody.
pub const DENIALS: [&str; 4] = [
    "restrict-routes/credential-required",
    "restrict-routes/credential-not-allowed",
    "staged-release/staged-by-this-credential",
    "staged-release/person-required",
];

/// The note of an upload that is held back.
pub const STAGED: &str = "staged-release/staged";

/// What objections come to, by the combining rules of the server: deny beats require
/// beats stage beats permit.
pub fn outcome(objections: &Objections) -> &'static str {
    if objections
        .iter()
        .any(|objection| DENIALS.contains(&objection.as_str()))
    {
        "denied"
    } else if objections.iter().any(|objection| objection != STAGED) {
        "required"
    } else if objections.is_empty() {
        "permitted"
    } else {
        "staged"
    }
}

/// Seconds a second factor for publishing may be old.
pub const RELEASE_WITHIN: u64 = 300;

/// Seconds a proof may be old for what is sensitive.
pub const PROOF_WITHIN: u64 = 1_800;
