//! Requirements (PEP 508), checked for form only: an index never evaluates them.
//!
//! Our own parser, because the common one keeps every marker that it has seen in memory
//! permanently, which strangers could exploit. It accepts everything that `packaging` accepts,
//! which installers and build tools use; a test compares the two.

mod marker;

use model::version::grammar;

/// The error in a requirement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidRequirement {
    #[error("it is longer than {MAX_BYTES} bytes")]
    Length,
    #[error("it does not start with the name of a project")]
    Name,
    #[error("its extras are not names between brackets")]
    Extras,
    #[error("'{0}' is no version specifier")]
    Specifier(String),
    #[error("its marker is malformed near '{0}'")]
    Marker(String),
    #[error(
        "its marker has more than {} parentheses inside each other",
        marker::MAX_DEPTH
    )]
    Depth,
    #[error("it names an address instead of a version")]
    Direct,
}

/// Longest requirement accepted, in bytes.
const MAX_BYTES: usize = 4096;

/// Blanks that are allowed between the parts of a requirement.
const BLANKS: [char; 2] = [' ', '\t'];

/// Checks `Requires-Dist`: a name, extras, version specifiers and a marker; no address.
pub(crate) fn check(text: &str) -> Result<(), InvalidRequirement> {
    if text.len() > MAX_BYTES {
        return Err(InvalidRequirement::Length);
    }
    let rest = skip(identifier(skip(text)).ok_or(InvalidRequirement::Name)?);
    let rest = skip(extras(rest)?);
    if rest.starts_with('@') {
        return Err(InvalidRequirement::Direct);
    }
    let rest = skip(versions(rest)?);
    match rest.strip_prefix(';') {
        Some(text) => marker::check(text),
        None if rest.is_empty() => Ok(()),
        None => Err(InvalidRequirement::Specifier(excerpt(rest))),
    }
}

/// Checks version specifiers, as in `Requires-Python`: a comma-separated list, parts of which may
/// be empty.
pub(crate) fn specifiers(text: &str) -> Result<(), InvalidRequirement> {
    for part in text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        if specifier(part) != Some(part.len()) {
            return Err(InvalidRequirement::Specifier(excerpt(part)));
        }
    }
    Ok(())
}

fn skip(text: &str) -> &str {
    text.trim_start_matches(BLANKS)
}

/// The text after the name of a project or an extra. The name ends in a letter, a digit or `_`.
fn identifier(text: &str) -> Option<&str> {
    let run = text
        .bytes()
        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-'))
        .count();
    let end = text[..run].trim_end_matches(['.', '-']).len();
    let follows = text[end..].chars().next();
    let is_whole = text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !follows.is_some_and(char::is_alphanumeric);
    is_whole.then(|| &text[end..])
}

/// The text after the extras, if there are any.
fn extras(text: &str) -> Result<&str, InvalidRequirement> {
    let Some(inner) = text.strip_prefix('[') else {
        return Ok(text);
    };
    let mut rest = skip(inner);
    if let Some(first) = identifier(rest) {
        rest = skip(first);
        while let Some(next) = rest.strip_prefix(',') {
            rest = skip(identifier(skip(next)).ok_or(InvalidRequirement::Extras)?);
        }
    }
    rest.strip_prefix(']').ok_or(InvalidRequirement::Extras)
}

/// The text after the version specifiers, which may be in parentheses or absent. Unlike in
/// `Requires-Python`, only the last of them may be empty.
fn versions(text: &str) -> Result<&str, InvalidRequirement> {
    let inner = text.strip_prefix('(');
    let mut rest = skip(inner.unwrap_or(text));
    while let Some(length) = specifier(rest) {
        // `===` takes commas as a part of the version.
        specifiers(&rest[..length])?;
        rest = skip(&rest[length..]);
        match rest.strip_prefix(',') {
            Some(next) => rest = skip(next),
            None => break,
        }
    }
    match inner {
        None => Ok(rest),
        Some(_) => rest
            .strip_prefix(')')
            .ok_or_else(|| InvalidRequirement::Specifier(excerpt(rest))),
    }
}

/// How many bytes at the start of a text are a version specifier.
fn specifier(text: &str) -> Option<usize> {
    let operator = ["===", "==", "!=", "~=", "<=", ">=", "<", ">"]
        .into_iter()
        .find(|operator| text.starts_with(operator))?;
    let rest = text[operator.len()..].trim_start();
    let at = text.len() - rest.len();
    if operator == "===" {
        return Some(
            at + rest
                .find(|c: char| c.is_whitespace() || matches!(c, ';' | ')'))
                .unwrap_or(rest.len()),
        );
    }
    let (end, numbers) = grammar::release(rest)?;
    if operator == "~=" && numbers < 2 {
        return None;
    }
    let is_equality = matches!(operator, "==" | "!=");
    if is_equality && rest[end..].starts_with(".*") {
        return Some(at + end + 2);
    }
    let end = end + grammar::suffix(&rest[end..]);
    Some(
        at + end
            + if is_equality {
                grammar::local(&rest[end..])
            } else {
                0
            },
    )
}

fn excerpt(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_real_projects_write_is_accepted() {
        for text in [
            "requests",
            "requests>=2.0",
            "requests (>=2.0,<3)",
            "requests[socks, security] >=2.0,!=2.1",
            "numpy~=1.0; python_version < '3.9'",
            "a==1.*",
            "a===legacy!",
            "importlib-metadata; python_version < \"3.8\" and (extra == 'test' or os_name not in 'nt')",
            "a>=1,",
            "pywin32 >=226 ; platform_system == \"Windows\"",
            "x[]",
            "tomli; '3' in python_version",
            "a>=99999999999999999999",
            "a (>=1,)",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        for text in [
            "",
            ">=3.8",
            ">=3.8,",
            ",,>=3.8, ,!=3.9.*",
            ">= 99999999999999999999",
            "==1.0+local.1",
            "===",
        ] {
            assert_eq!(specifiers(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_is_no_requirement_is_refused() {
        for text in [
            "",
            "-a",
            "a b",
            "a>=",
            "a>=x",
            "a>=1.*",
            "a>=1+local",
            "a~=1",
            "a>=1,,<2",
            "a (>=1",
            "a>=1)",
            "a===1,2",
            "a[",
            "a[b c]",
            "a[b,]",
            "a; python_version",
            "a; colour == 'red'",
            "a; os_name == 'x",
            "a; (os_name == 'x'",
            "a; os_name == 'x')",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
        for text in ["three", "(>=3)", ">=3 <4", ">=3;", "~=3"] {
            assert!(specifiers(text).is_err(), "{text}");
        }
        assert_eq!(
            check("a @ https://example.org/a.whl"),
            Err(InvalidRequirement::Direct)
        );
    }

    #[test]
    fn a_limit_that_is_hit_is_named() {
        let deep = format!("a; {}os_name == 'x'{}", "(".repeat(1500), ")".repeat(1500));
        assert_eq!(
            check(&deep).unwrap_err().to_string(),
            "its marker has more than 64 parentheses inside each other"
        );
        assert_eq!(
            check(&format!("a; os_name == '{}'", "x".repeat(5000)))
                .unwrap_err()
                .to_string(),
            "it is longer than 4096 bytes"
        );
    }

    /// Texts and the verdicts of `packaging`: `+` accepted, `-` refused. Written by
    /// `tests/clients/packaging_verdicts.py`; a test with real clients compares the file with
    /// `packaging` itself.
    #[test]
    fn verdicts_are_those_of_packaging() {
        let verdicts = include_str!("../../../../tests/clients/packaging_verdicts.txt");
        let mut counted = [0; 2];
        for line in verdicts.lines().filter(|line| !line.starts_with('#')) {
            let (head, text) = line.split_once(' ').unwrap();
            let text = text.replace("\\t", "\t");
            let (kind, expected) = head.split_at(1);
            let accepted = match kind {
                "r" => check(&text).is_ok(),
                "s" => specifiers(&text).is_ok(),
                "v" => grammar::is_version(&text),
                "l" => crate::metadata::license::check(&text).is_ok(),
                other => panic!("unknown kind {other}"),
            };
            assert_eq!(accepted, expected == "+", "{line}");
            counted[usize::from(accepted)] += 1;
        }
        assert!(counted.iter().all(|count| *count > 1500), "{counted:?}");
    }

    proptest! {
        #[test]
        fn no_text_panics_the_parser(text in "\\PC{0,60}") {
            let _ = (check(&text), specifiers(&text));
        }

        #[test]
        fn no_near_miss_panics_the_parser(text in "(a|é|\\[|\\]|\\(|\\)|;|@|,| |>=|1|os_name|and|or|not|in|'|\"|\\\\){0,30}") {
            let _ = (check(&text), specifiers(&text));
        }
    }
}
