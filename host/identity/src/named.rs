//! The user that a text may name: the input of fields that ask for a user.

use std::borrow::Cow;

use model::email::comparable;
use model::{EmailAddress, UserName};

/// The user that a text may name.
pub(crate) enum Login<'a> {
    Name(UserName),
    /// An email address, its domain in the stored form; no user name has an `@`.
    Email(Cow<'a, str>),
    /// Neither.
    Nobody,
}

impl<'a> Login<'a> {
    pub(crate) fn parse(text: &'a str) -> Self {
        let text = text.trim();
        match UserName::parse(text) {
            Ok(name) => Self::Name(name),
            Err(_) => match comparable(text) {
                address
                    if address.contains('@')
                        && address.len() <= EmailAddress::MAX_LENGTH
                        && !address.chars().any(char::is_control) =>
                {
                    Self::Email(address)
                }
                _ => Self::Nobody,
            },
        }
    }
}
