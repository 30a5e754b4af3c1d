//! The rules of the default set for engines to compare with, except those about breached passwords,
//! which do not apply to uploads: no case has a password.
//!
//! Each engine takes a [`Case`](crate::contexts::Case), converts it to its own input (the
//! conversion is measured, as it is for the sandboxed policies) and returns every objection to the
//! action, as `policy/code`.

pub mod cedar;
pub mod plain;
pub mod rego;

use std::collections::BTreeSet;

/// An engine's answer: `policy/code` of every objection to the action.
pub type Objections = BTreeSet<String>;

/// Objections that are denials.
pub const DENIALS: [&str; 4] = [
    "restrict-routes/credential-required",
    "restrict-routes/credential-not-allowed",
    "staged-release/staged-by-this-credential",
    "staged-release/person-required",
];

/// The note of an upload that is held back.
pub const STAGED: &str = "staged-release/staged";

/// The outcome for these objections, by the combining rules of the server: deny beats require beats
/// stage beats permit.
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

/// Largest age of a second factor for publishing, in seconds.
pub const RELEASE_WITHIN: u64 = 300;

/// Largest age of a proof for sensitive actions, in seconds.
pub const PROOF_WITHIN: u64 = 1_800;
