//! Versions by PEP 440.

pub mod grammar;

use std::fmt;

/// A version, together with its canonical text (PEP 440 normalization).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pep440_rs::Version);

/// Why a text is not a version that can be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVersion {
    /// Not the form of PEP 440.
    #[error(
        "use a version as PEP 440 defines it; see https://packaging.python.org/specifications/version-specifiers"
    )]
    Form,
    /// A version, but longer than any in use.
    #[error("use a version of at most {} characters", Version::MAX_LENGTH)]
    Length,
    /// A version, but with a number that does not fit into 64 bits.
    #[error("use numbers up to {} in a version", u64::MAX)]
    Number,
}

impl Version {
    /// Longest version accepted, in bytes. Its file name must fit into a file system.
    pub const MAX_LENGTH: usize = 128;

    /// Parses a version.
    pub fn parse(text: &str) -> Result<Self, InvalidVersion> {
        if text.len() > Self::MAX_LENGTH {
            return Err(InvalidVersion::Length);
        }
        text.parse().map(Self).map_err(|_| {
            if grammar::is_version(text) {
                InvalidVersion::Number
            } else {
                InvalidVersion::Form
            }
        })
    }

    /// The text that all spellings of one version share: canonical, without trailing zeros in the
    /// release part (`1.0` and `1.0.0` are both `1`). Releases are found by it.
    pub fn key(&self) -> String {
        let release = self.0.release();
        let significant = release
            .iter()
            .rposition(|number| *number != 0)
            .map_or(1, |last| last + 1);
        self.0
            .clone()
            .with_release(release[..significant].iter().copied())
            .to_string()
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
    fn the_reason_names_the_limit_that_was_hit() {
        let why = |text: &str| Version::parse(text).unwrap_err().to_string();
        assert!(why("one").starts_with("use a version as PEP 440 defines it"));
        assert_eq!(
            why(&"1".repeat(129)),
            "use a version of at most 128 characters"
        );
        assert_eq!(
            why("1.18446744073709551616"),
            "use numbers up to 18446744073709551615 in a version"
        );
        assert!(Version::parse("1.18446744073709551615").is_ok());
    }

    #[test]
    fn spellings_of_one_version_are_equal() {
        assert_eq!(Version::parse("v1.0-alpha.1").unwrap().to_string(), "1.0a1");
        assert_eq!(
            Version::parse("1.0").unwrap(),
            Version::parse("1.0.0").unwrap()
        );
        for (text, key) in [
            ("1.0.0", "1"),
            ("0.0", "0"),
            ("1.10", "1.10"),
            ("v1.0-alpha.1", "1a1"),
            ("1!2.0.post0", "1!2.post0"),
            ("1.0.0+l.1", "1+l.1"),
        ] {
            assert_eq!(Version::parse(text).unwrap().key(), key);
        }
    }
}
