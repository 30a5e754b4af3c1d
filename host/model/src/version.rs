//! Versions by PEP 440.

use std::fmt;

/// A version, together with its canonical text (PEP 440 normalization).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pep440_rs::Version);

/// The text is no version by PEP 440.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a version; see https://packaging.python.org/specifications/version-specifiers")]
pub struct InvalidVersion {
    text: String,
}

impl Version {
    /// Parses a version. Numbers beyond 64 bits and texts over 128 characters are refused.
    pub fn parse(text: &str) -> Result<Self, InvalidVersion> {
        let invalid = || InvalidVersion { text: text.chars().take(128).collect() };
        if text.len() > 128 {
            return Err(invalid());
        }
        text.parse().map(Self).map_err(|_| invalid())
    }

    /// Whether it carries a local part (`+local`), which an index must not serve.
    pub fn is_local(&self) -> bool {
        self.0.is_local()
    }

    /// Whether it is a pre-release or a development release.
    pub fn is_prerelease(&self) -> bool {
        self.0.any_prerelease()
    }
}

/// The canonical text.
impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Version({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_version_are_equal() {
        assert_eq!(Version::parse("v1.0-alpha.1").unwrap().to_string(), "1.0a1");
        assert_eq!(Version::parse("1.0").unwrap(), Version::parse("1.0.0").unwrap());
    }
}
