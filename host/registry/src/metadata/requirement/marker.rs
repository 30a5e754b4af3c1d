//! Markers: the environments that a requirement applies to.

use super::{InvalidRequirement, skip};

/// Deepest nesting of parentheses.
pub(super) const MAX_DEPTH: usize = 64;

const VARIABLES: &[&str] = &[
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

pub(super) fn check(text: &str) -> Result<(), InvalidRequirement> {
    let mut marker = Marker { rest: skip(text) };
    marker.expression(0)?;
    if marker.rest.is_empty() {
        Ok(())
    } else {
        Err(marker.error())
    }
}

/// The rest of the text; never begins with a blank.
struct Marker<'a> {
    rest: &'a str,
}

impl Marker<'_> {
    fn error(&self) -> InvalidRequirement {
        InvalidRequirement::Marker(self.rest.chars().take(20).collect())
    }

    /// Comparisons joined by `and` and `or`. Precedence does not matter for the form.
    fn expression(&mut self, depth: usize) -> Result<(), InvalidRequirement> {
        self.term(depth)?;
        while self.word("and") || self.word("or") {
            self.term(depth)?;
        }
        Ok(())
    }

    fn term(&mut self, depth: usize) -> Result<(), InvalidRequirement> {
        if self.symbol("(") {
            if depth == MAX_DEPTH {
                return Err(InvalidRequirement::Depth);
            }
            self.expression(depth + 1)?;
            return if self.symbol(")") {
                Ok(())
            } else {
                Err(self.error())
            };
        }
        self.operand()?;
        self.operator()?;
        self.operand()
    }

    fn operator(&mut self) -> Result<(), InvalidRequirement> {
        if ["===", "==", "~=", "!=", "<=", ">=", "<", ">"]
            .iter()
            .any(|operator| self.symbol(operator))
            || self.word("in")
        {
            return Ok(());
        }
        let has_blank = self
            .rest
            .strip_prefix("not")
            .is_some_and(|rest| rest.starts_with(super::BLANKS));
        if has_blank && self.word("not") && self.word("in") {
            Ok(())
        } else {
            Err(self.error())
        }
    }

    fn operand(&mut self) -> Result<(), InvalidRequirement> {
        for quote in ['"', '\''] {
            if let Some(inner) = self.rest.strip_prefix(quote) {
                let (_, rest) = inner
                    .split_once(quote)
                    .filter(|(text, _)| is_string(text))
                    .ok_or_else(|| self.error())?;
                self.rest = skip(rest);
                return Ok(());
            }
        }
        if VARIABLES.iter().any(|name| self.word(name)) {
            Ok(())
        } else {
            Err(self.error())
        }
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        self.rest
            .strip_prefix(symbol)
            .map(|rest| self.rest = skip(rest))
            .is_some()
    }

    /// A word that is not followed by a letter, digit or `_`.
    fn word(&mut self, word: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(word) else {
            return false;
        };
        if rest.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
            return false;
        }
        self.rest = skip(rest);
        true
    }
}

/// Whether the text between quotes is a valid Python string, which `packaging` requires. Named
/// characters (`\N{…}`) are not used in practice and are refused.
fn is_string(text: &str) -> bool {
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '\n', '\r', '\0']) {
        let Some(escape) = rest[at..].strip_prefix('\\') else {
            return false;
        };
        let digits = match escape.chars().next() {
            None | Some('N') => return false,
            Some('x') => 2,
            Some('u') => 4,
            Some('U') => 8,
            Some(other) => {
                rest = &escape[other.len_utf8()..];
                continue;
            }
        };
        let number = escape
            .get(1..=digits)
            .filter(|number| number.bytes().all(|c| c.is_ascii_hexdigit()));
        if !number
            .and_then(|number| u32::from_str_radix(number, 16).ok())
            .is_some_and(|number| number <= 0x10_ffff)
        {
            return false;
        }
        rest = &escape[1 + digits..];
    }
    true
}
