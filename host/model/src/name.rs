//! Names of projects (PEP 508, PEP 503) and of users.

use std::fmt;

/// A project name as its owner writes it, with its normalized form.
///
/// Two names are the same project when they normalize to the same text (PEP 503).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ProjectName {
    written: Box<str>,
    normalized: Box<str>,
}

/// Why the text is not a project name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProjectName {
    /// Longer than 200 characters, or empty.
    #[error("a project name has 1 to 200 characters")]
    Length,
    /// A character or a position that PEP 508 does not allow.
    #[error(
        "start and end with a letter or numeral containing only ASCII numeric and '.', '_' and '-'"
    )]
    Characters,
}

impl ProjectName {
    /// Longest name accepted, in characters.
    pub const MAX_LENGTH: usize = 200;

    /// Parses a name by the rules of PEP 508: ASCII letters, digits, `.`, `_`, `-`, with
    /// a letter or digit at both ends.
    pub fn parse(text: &str) -> Result<Self, InvalidProjectName> {
        if text.is_empty() || text.len() > Self::MAX_LENGTH {
            return Err(InvalidProjectName::Length);
        }
        let inner = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
        let edge = |c: Option<&u8>| c.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = text.as_bytes();
        if !bytes.iter().copied().all(inner) || !edge(bytes.first()) || !edge(bytes.last()) {
            return Err(InvalidProjectName::Characters);
        }
        Ok(Self {
            written: text.into(),
            normalized: normalize(text).into(),
        })
    }

    /// The name as written.
    pub fn as_written(&self) -> &str {
        &self.written
    }

    /// The normalized name: lower case, runs of `.`, `_`, `-` turned into one `-` (PEP 503).
    pub fn normalized(&self) -> &str {
        &self.normalized
    }

    /// The shape of the name at a glance: normalized, without separators, `l`, `i` and `1` alike,
    /// `o` and `0` alike. Two projects must not share it.
    pub fn looks(&self) -> String {
        let fold = |c| match c {
            'l' | 'i' => '1',
            'o' => '0',
            c => c,
        };
        self.normalized
            .chars()
            .filter(|c| *c != '-')
            .map(fold)
            .collect()
    }
}

/// Normalizes a project name by PEP 503. Total: any text has a normalized form.
pub fn normalize(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_separator = false;
    for c in text.chars() {
        if matches!(c, '.' | '_' | '-') {
            in_separator = true;
            continue;
        }
        if in_separator && !out.is_empty() {
            out.push('-');
        }
        in_separator = false;
        out.push(c.to_ascii_lowercase());
    }
    out
}

impl fmt::Display for ProjectName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.written)
    }
}

impl fmt::Debug for ProjectName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ProjectName({})", self.written)
    }
}

/// A user's name: 1 to 50 ASCII letters, digits, `.`, `_`, `-`, with a letter or digit at
/// both ends. Names that differ only in case are the same user.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct UserName {
    written: Box<str>,
    folded: Box<str>,
}

/// The text is not a user name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a user name has 1 to 50 ASCII letters, digits, '.', '_' or '-', and starts and ends with a letter or digit"
)]
pub struct InvalidUserName;

impl UserName {
    /// Longest name, in bytes.
    pub const MAX_LENGTH: usize = 50;

    /// Parses a name. `__token__`, the name that announces a token, is not one.
    pub fn parse(text: &str) -> Result<Self, InvalidUserName> {
        let bytes = text.as_bytes();
        let inner = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
        let edge = |c: Option<&u8>| c.is_some_and(u8::is_ascii_alphanumeric);
        if bytes.is_empty()
            || bytes.len() > Self::MAX_LENGTH
            || !bytes.iter().copied().all(inner)
            || !edge(bytes.first())
            || !edge(bytes.last())
        {
            return Err(InvalidUserName);
        }
        Ok(Self {
            written: text.into(),
            folded: text.to_ascii_lowercase().into(),
        })
    }

    /// The name as written.
    pub fn as_written(&self) -> &str {
        &self.written
    }

    /// The name in lower case; the key by which users are found.
    pub fn folded(&self) -> &str {
        &self.folded
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.written)
    }
}

impl fmt::Debug for UserName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "UserName({})", self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_that_differ_in_case_and_separators_are_one_project() {
        for text in ["Foo.Bar", "foo_bar", "FOO--bar", "foo-_.bar"] {
            assert_eq!(ProjectName::parse(text).unwrap().normalized(), "foo-bar");
        }
    }

    #[test]
    fn names_that_a_person_could_confuse_look_alike() {
        let looks = |text| ProjectName::parse(text).unwrap().looks();
        for text in ["simil0r", "simiLor", "s1mil0r", "si-mil.or", "S1M11OR"] {
            assert_eq!(looks(text), looks("similor"), "{text}");
        }
        assert_ne!(looks("pip"), looks("pop"));
    }

    #[test]
    fn a_name_may_not_start_or_end_with_a_separator_or_leave_ascii() {
        for text in ["", "-a", "a-", ".a", "a b", "ä", "a/b", "a\n"] {
            assert!(ProjectName::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_name_that_announces_a_token_is_no_user() {
        assert!(UserName::parse("__token__").is_err());
    }

    proptest! {
        #[test]
        fn normalizing_twice_changes_nothing(text in "[A-Za-z0-9._-]{1,40}") {
            let once = normalize(&text);
            prop_assert_eq!(normalize(&once), once);
        }
    }
}
