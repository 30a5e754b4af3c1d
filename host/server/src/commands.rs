//! The commands, a file per noun: first how they are written, then what they do.

pub(crate) mod audit;
pub(crate) mod configuration;
pub(crate) mod decisions;
pub(crate) mod explain;
pub(crate) mod mail;
pub(crate) mod policy;
pub(crate) mod project;
pub(crate) mod release;
pub(crate) mod token;
pub(crate) mod user;

use model::{DecisionId, TokenId, UserName};

/// Reads a user's name from the command line.
pub(crate) fn user_name(text: &str) -> Result<UserName, String> {
    UserName::parse(text).map_err(|error| error.to_string())
}

/// Reads a decision's id from the command line.
pub(crate) fn decision_id(text: &str) -> Result<DecisionId, String> {
    text.parse().map_err(|_| {
        "that is no id of a decision; one is 36 characters like 01890a5d-ac96-774b-bcce-b302099a8057, and `portcullis decisions` lists them".to_owned()
    })
}

/// Reads a token's id from the command line.
pub(crate) fn token_id(text: &str) -> Result<TokenId, String> {
    text.parse().map_err(|_| {
        "that is no id of a token; one is 36 characters like 01890a5d-ac96-774b-bcce-b302099a8057, and `portcullis token list` shows them".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_id_is_told_where_ids_are_found() {
        for text in ["123", "nosuch", ""] {
            assert!(decision_id(text).unwrap_err().contains("portcullis decisions"), "{text}");
            assert!(token_id(text).unwrap_err().contains("portcullis token list"), "{text}");
        }
        assert!(decision_id("01890a5d-ac96-774b-bcce-b302099a8057").is_ok());
    }
}
