//! The commands, a file per noun: first their arguments, then what they do.

pub(crate) mod audit;
pub(crate) mod configuration;
pub(crate) mod decisions;
pub(crate) mod explain;
pub(crate) mod mail;
pub(crate) mod policy;
pub(crate) mod project;
pub(crate) mod release;
pub(crate) mod removal;
pub(crate) mod token;
pub(crate) mod user;

use std::time::Duration;

use model::{Clock as _, SystemClock, Timestamp, TokenId, UserName, Version};

use crate::configuration::parse_span;

/// Reads a user's name from the command line.
pub(crate) fn user_name(text: &str) -> Result<UserName, String> {
    UserName::parse(text).map_err(|error| error.to_string())
}

/// Reads a version from the command line.
pub(crate) fn version(text: &str) -> Result<Version, String> {
    Version::parse(text).map_err(|error| error.to_string())
}

/// Fewest characters of an id that identify a decision: ids of the same minute share these.
const SHORTEST_ID: usize = 8;
const ID: usize = 36;

/// Reads a decision's id, or the beginning of one, from the command line.
pub(crate) fn decision_id(text: &str) -> Result<String, String> {
    let is_of_id = |(place, character): (usize, char)| match place {
        8 | 13 | 18 | 23 => character == '-',
        _ => character.is_ascii_hexdigit(),
    };
    if (SHORTEST_ID..=ID).contains(&text.len()) && text.char_indices().all(is_of_id) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(format!(
        "that is not the id of a decision; one is {ID} characters like 01890a5d-ac96-774b-bcce-b302099a8057, of which the first {SHORTEST_ID} or more are enough, and `portcullis decisions` lists them"
    ))
}

/// Reads a time span before now from the command line, as a time.
pub(crate) fn since(text: &str) -> Result<Timestamp, String> {
    let span: Duration = parse_span(text)?;
    let span = i64::try_from(span.as_millis()).map_err(|_| format!("`{text}` is too long ago"))?;
    Ok(SystemClock.now().plus_ms(-span))
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
            assert!(
                decision_id(text)
                    .unwrap_err()
                    .contains("portcullis decisions"),
                "{text}"
            );
            assert!(
                token_id(text)
                    .unwrap_err()
                    .contains("portcullis token list"),
                "{text}"
            );
        }
        for text in [
            "01890a5d-ac96-774b-bcce-b302099a8057",
            "01890A5D",
            "01890a5d-ac96-774b-",
        ] {
            assert_eq!(decision_id(text), Ok(text.to_ascii_lowercase()));
        }
        for text in [
            "01890a5",
            "01890a5dac96774bbcceb302099a8057",
            "01890a5d-ac96-774b-bcce-b302099a80577",
            "01890a5d%",
        ] {
            assert!(decision_id(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_not_so_long_ago_is_later() {
        assert!(since("1h").unwrap() > since("2h").unwrap());
        assert!(since("yesterday").unwrap_err().contains("12h"));
    }
}
