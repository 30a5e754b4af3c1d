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

    /// The text that all spellings of one version share: canonical, without the zeros that
    /// end the release part (`1.0` and `1.0.0` are both `1`). By it a release is found.
    pub fn key(&self) -> String {
        let release = self.0.release();
        let significant = release.iter().rposition(|number| *number != 0).map_or(1, |last| last + 1);
        self.0.clone().with_release(release[..significant].iter().copied()).to_string()
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
        for (text, key) in [("1.0.0", "1"), ("0.0", "0"), ("1.10", "1.10"), ("v1.0-alpha.1", "1a1"), ("1!2.0.post0", "1!2.post0"), ("1.0.0+l.1", "1+l.1")] {
            assert_eq!(Version::parse(text).unwrap().key(), key);
        }
    }
}
