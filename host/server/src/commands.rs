//! The commands, a file per noun: first how they are written, then what they do.

pub(crate) mod audit;
pub(crate) mod configuration;
pub(crate) mod decisions;
pub(crate) mod explain;
pub(crate) mod policy;
pub(crate) mod project;
pub(crate) mod release;
pub(crate) mod token;
pub(crate) mod user;

use model::UserName;

/// Reads a user's name from the command line.
pub(crate) fn user_name(text: &str) -> Result<UserName, String> {
    UserName::parse(text).map_err(|error| error.to_string())
}
