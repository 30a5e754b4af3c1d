//! Requirements (PEP 508), checked for form only: an index never evaluates them.
//!
//! Our own, because the common parser keeps every marker it has ever seen in memory for
//! good, which is no good for a server that strangers talk to.

use std::str::FromStr;

/// What is wrong with a requirement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidRequirement {
    #[error("it does not start with the name of a project")]
    Name,
    #[error("its extras are not names between brackets")]
    Extras,
    #[error("'{0}' is no version specifier")]
    Specifier(String),
    #[error("its marker is malformed near '{0}'")]
    Marker(String),
    #[error("it names an address instead of a version")]
    Direct,
}

/// Longest requirement accepted, in bytes.
const MAX_BYTES: usize = 4096;
/// Deepest nesting of parentheses in a marker.
const MAX_DEPTH: usize = 16;

const MARKER_VARIABLES: &[&str] = &[
    "python_version",
    "python_full_version",
    "os_name",
    "os.name",
    "sys_platform",
    "sys.platform",
    "platform_release",
    "platform_system",
    "platform_version",
    "platform.version",
    "platform_machine",
    "platform.machine",
    "platform_python_implementation",
    "platform.python_implementation",
    "python_implementation",
    "implementation_name",
    "implementation_version",
    "extra",
    "extras",
    "dependency_groups",
];

/// Checks `Requires-Dist`: a name, extras, version specifiers and a marker; no address.
pub(crate) fn check(text: &str) -> Result<(), InvalidRequirement> {
    if text.len() > MAX_BYTES {
        return Err(InvalidRequirement::Marker(text.chars().take(20).collect()));
    }
    let rest = name(text.trim())?.trim_start();
    let rest = extras(rest)?.trim_start();
    if rest.starts_with('@') {
        return Err(InvalidRequirement::Direct);
    }
    let (versions, marker) = match rest.split_once(';') {
        Some((versions, marker)) => (versions, Some(marker)),
        None => (rest, None),
    };
    specifiers(versions.trim())?;
    marker.map_or(Ok(()), check_marker)
}

fn name(text: &str) -> Result<&str, InvalidRequirement> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))).unwrap_or(text.len());
    model::ProjectName::parse(&text[..end]).map_err(|_| InvalidRequirement::Name)?;
    Ok(&text[end..])
}

fn extras(text: &str) -> Result<&str, InvalidRequirement> {
    let Some(inner) = text.strip_prefix('[') else { return Ok(text) };
    let (inner, rest) = inner.split_once(']').ok_or(InvalidRequirement::Extras)?;
    if !inner.trim().is_empty() && inner.split(',').any(|extra| model::ProjectName::parse(extra.trim()).is_err()) {
        return Err(InvalidRequirement::Extras);
    }
    Ok(rest)
}

/// Checks version specifiers, as in `Requires-Python`; none at all is fine.
pub(crate) fn specifiers(text: &str) -> Result<(), InvalidRequirement> {
    let text = text.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')).unwrap_or(text).trim();
    // A comma at the end is allowed by the specification's own parser.
    let text = text.strip_suffix(',').unwrap_or(text);
    if text.is_empty() {
        return Ok(());
    }
    for part in text.split(',').map(str::trim) {
        let arbitrary = part.strip_prefix("===").is_some_and(|version| {
            let version = version.trim();
            !version.is_empty() && version.chars().all(|c| c.is_ascii_graphic() && !matches!(c, ',' | ';' | ')'))
        });
        if !arbitrary && pep440_rs::VersionSpecifier::from_str(part).is_err() {
            return Err(InvalidRequirement::Specifier(part.chars().take(60).collect()));
        }
    }
    Ok(())
}

fn check_marker(text: &str) -> Result<(), InvalidRequirement> {
    let mut marker = Marker { rest: text.trim() };
    marker.any_of(0)?;
    if marker.rest.is_empty() { Ok(()) } else { Err(marker.error()) }
}

struct Marker<'a> {
    rest: &'a str,
}

impl Marker<'_> {
    fn error(&self) -> InvalidRequirement {
        InvalidRequirement::Marker(self.rest.chars().take(20).collect())
    }

    fn any_of(&mut self, depth: usize) -> Result<(), InvalidRequirement> {
        self.all_of(depth)?;
        while self.word("or") {
            self.all_of(depth)?;
        }
        Ok(())
    }

    fn all_of(&mut self, depth: usize) -> Result<(), InvalidRequirement> {
        self.term(depth)?;
        while self.word("and") {
            self.term(depth)?;
        }
        Ok(())
    }

    fn term(&mut self, depth: usize) -> Result<(), InvalidRequirement> {
        if self.symbol("(") {
            if depth == MAX_DEPTH {
                return Err(self.error());
            }
            self.any_of(depth + 1)?;
            return if self.symbol(")") { Ok(()) } else { Err(self.error()) };
        }
        self.operand()?;
        let is_operator = ["===", "==", "~=", "!=", "<=", ">=", "<", ">"].iter().any(|operator| self.symbol(operator));
        if !is_operator {
            // `in` or `not in`.
            self.word("not");
            if !self.word("in") {
                return Err(self.error());
            }
        }
        self.operand()
    }

    fn operand(&mut self) -> Result<(), InvalidRequirement> {
        for quote in ['"', '\''] {
            if let Some(inner) = self.rest.strip_prefix(quote) {
                let (_, rest) = inner.split_once(quote).ok_or_else(|| self.error())?;
                self.rest = rest.trim_start();
                return Ok(());
            }
        }
        let end = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))).unwrap_or(self.rest.len());
        if !MARKER_VARIABLES.contains(&&self.rest[..end]) {
            return Err(self.error());
        }
        self.rest = self.rest[end..].trim_start();
        Ok(())
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        self.rest.strip_prefix(symbol).map(|rest| self.rest = rest.trim_start()).is_some()
    }

    fn word(&mut self, word: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(word) else { return false };
        if rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
            return false;
        }
        self.rest = rest.trim_start();
        true
    }
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
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
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
            "a[",
            "a[b c]",
            "a; python_version",
            "a; colour == 'red'",
            "a; os_name == 'x",
            "a; (os_name == 'x'",
            "a; os_name == 'x')",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
        assert_eq!(check("a @ https://example.org/a.whl"), Err(InvalidRequirement::Direct));
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = format!("a; {}os_name == 'x'{}", "(".repeat(2000), ")".repeat(2000));
        assert!(check(&deep).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics_the_parser(text in "\\PC{0,60}") {
            let _ = check(&text);
        }

        #[test]
        fn no_near_miss_panics_the_parser(text in "(a|é|\\[|\\]|\\(|\\)|;|@|,| |>=|1|os_name|and|or|not|in|'|\"){0,30}") {
            let _ = check(&text);
        }
    }
}
