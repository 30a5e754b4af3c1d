//! Whom a text could name: what people type where a user is asked for.

use std::borrow::Cow;

use model::email::comparable;
use model::{EmailAddress, UserName};

/// Whom a text could name.
pub(crate) enum Login<'a> {
    Name(UserName),
    /// An email address, its domain in the form that is stored; no user name has an `@`.
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
