//! License expressions (PEP 639): SPDX identifiers joined by `AND`, `OR` and `WITH`.
//!
//! Source: <https://packaging.python.org/specifications/license-expression>.

use std::collections::HashSet;
use std::sync::LazyLock;

/// Identifiers of the SPDX license list (<https://spdx.org/licenses>), one a line, in lower case.
const LICENSES: &str = include_str!("spdx_licenses.txt");
/// Identifiers of its exceptions, which follow `WITH`.
const EXCEPTIONS: &str = include_str!("spdx_exceptions.txt");

/// Prefix of a license that is not on the list.
const OWN: &str = "licenseref-";

/// Checks an expression. The error is a sentence without its full stop.
pub(crate) fn check(expression: &str) -> Result<(), String> {
    static KNOWN: LazyLock<HashSet<&'static str>> = LazyLock::new(|| LICENSES.lines().collect());
    static KNOWN_EXCEPTIONS: LazyLock<HashSet<&'static str>> =
        LazyLock::new(|| EXCEPTIONS.lines().collect());
    let malformed =
        || "Use SPDX identifiers joined by AND, OR and WITH, as in 'MIT OR Apache-2.0'".to_owned();
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .to_lowercase();
    let mut open = 0_usize;
    let mut last = Last::Nothing;
    for token in spaced.split_whitespace() {
        last = match (token, last) {
            ("(", Last::Nothing) => {
                open += 1;
                Last::Nothing
            }
            (")", Last::License | Last::Whole) if open > 0 => {
                open -= 1;
                Last::Whole
            }
            ("and" | "or", Last::License | Last::Whole) => Last::Nothing,
            ("with", Last::License) => Last::With,
            ("(" | ")" | "and" | "or" | "with", _) | (_, Last::License | Last::Whole) => {
                return Err(malformed());
            }
            (exception, Last::With) if KNOWN_EXCEPTIONS.contains(exception) => Last::Whole,
            (exception, Last::With) => {
                return Err(format!(
                    "'{exception}' is no license exception of the SPDX list"
                ));
            }
            (license, Last::Nothing)
                if is_own(license)
                    || KNOWN.contains(license.strip_suffix('+').unwrap_or(license)) =>
            {
                Last::License
            }
            (license, Last::Nothing) => {
                return Err(format!(
                    "'{license}' is no license of the SPDX list; name others 'LicenseRef-…'"
                ));
            }
        };
    }
    let is_whole = open == 0 && matches!(last, Last::License | Last::Whole);
    if is_whole { Ok(()) } else { Err(malformed()) }
}

/// The state before a token.
#[derive(Clone, Copy)]
enum Last {
    /// A license must follow.
    Nothing,
    License,
    With,
    /// After an exception or closing parentheses.
    Whole,
}

fn is_own(license: &str) -> bool {
    license.strip_prefix(OWN).is_some_and(|name| {
        !name.is_empty()
            && name
                .bytes()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licenses_of_the_list_and_own_ones_are_accepted() {
        for text in [
            "MIT",
            "mit or Apache-2.0",
            "MIT AND (Apache-2.0 OR BSD-3-Clause)",
            "GPL-2.0-only WITH Classpath-exception-2.0",
            "LicenseRef-Proprietary",
            "GPL-3.0+",
            "((MIT))",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_is_no_expression_is_refused_with_the_reason() {
        for (text, why) in [
            ("Apache 2.0", "'apache' is no license of the SPDX list"),
            ("MIT Apache-2.0", "Use SPDX identifiers"),
            ("MIT OR", "Use SPDX identifiers"),
            ("(MIT", "Use SPDX identifiers"),
            ("MIT)", "Use SPDX identifiers"),
            ("()", "Use SPDX identifiers"),
            ("", "Use SPDX identifiers"),
            ("MIT WITH MIT", "'mit' is no license exception"),
            ("(MIT) WITH Classpath-exception-2.0", "Use SPDX identifiers"),
            ("LicenseRef-", "no license of the SPDX list"),
            ("LicenseRef-a_b", "no license of the SPDX list"),
            ("LicenseRef-a+", "no license of the SPDX list"),
        ] {
            assert!(
                check(text).unwrap_err().contains(why),
                "{text}: {:?}",
                check(text)
            );
        }
    }
}
