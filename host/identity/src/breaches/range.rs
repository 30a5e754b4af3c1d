//! The data of the range protocol: fingerprints of passwords, and answers with many of them.

use data_encoding::HEXUPPER;
use sha1::{Digest, Sha1};
use storage::Secret;
use zeroize::Zeroizing;

/// Hex characters that are sent.
const PREFIX: usize = 5;
/// Hex characters in each row of an answer.
const SUFFIX: usize = 35;

/// The last 35 of a SHA-1's 40 hex characters, in bytes, with a leading zero.
type Suffix = [u8; 18];

/// The SHA-1 of a password, as the protocol uses it.
pub(super) struct Fingerprint(Zeroizing<String>);

impl Fingerprint {
    pub(super) fn of(password: &Secret<String>) -> Self {
        Self(Zeroizing::new(
            HEXUPPER.encode(&Sha1::digest(password.expose().as_bytes())),
        ))
    }

    /// The part that may be sent.
    pub(super) fn prefix(&self) -> String {
        self.0[..PREFIX].to_owned()
    }

    fn suffix(&self) -> Suffix {
        suffix(&self.0.as_bytes()[PREFIX..]).expect("hex characters")
    }
}

/// One answer: the passwords with one prefix that were seen in a breach.
#[derive(Debug)]
pub(super) struct Range(Box<[Suffix]>);

impl Range {
    /// Parses lines of `SUFFIX:COUNT`. None unless every line is valid: half an answer must not
    /// look like a clean one. Rows with a count of 0 are padding.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let mut suffixes = Vec::new();
        for line in body.split(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                continue;
            }
            let (hex, count) = line.split_at_checked(SUFFIX)?;
            let digits = count.strip_prefix(b":")?;
            let is_count =
                (1..=19).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
            let suffix = suffix(hex).filter(|_| is_count)?;
            if digits.iter().any(|digit| *digit != b'0') {
                suffixes.push(suffix);
            }
        }
        suffixes.sort_unstable();
        Some(Self(suffixes.into_boxed_slice()))
    }

    /// Whether a password with this prefix was seen.
    pub(super) fn holds(&self, fingerprint: &Fingerprint) -> bool {
        self.0.binary_search(&fingerprint.suffix()).is_ok()
    }

    /// The memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.0)
    }
}

fn suffix(hex: &[u8]) -> Option<Suffix> {
    let mut even = [b'0'; SUFFIX + 1];
    even[1..].copy_from_slice(hex.get(..SUFFIX)?);
    let mut bytes = Suffix::default();
    let decoded = data_encoding::HEXUPPER_PERMISSIVE
        .decode_mut(&even, &mut bytes)
        .ok()?;
    (decoded == bytes.len()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(password: &str) -> Fingerprint {
        Fingerprint::of(&Secret::new(password.to_owned()))
    }

    /// The example in the protocol's own documentation.
    const PASSWORD: &str = "P@ssw0rd";
    const SHA1: &str = "21BD12DC183F740EE76F27B78EB39C8AD972A757";

    #[test]
    fn a_fingerprint_is_split_after_five_characters() {
        assert_eq!(
            (of(PASSWORD).prefix().as_str(), of(PASSWORD).0.as_str()),
            ("21BD1", SHA1)
        );
    }

    #[test]
    fn an_answer_holds_what_was_seen_at_least_once() {
        let row = &SHA1[5..];
        let other = "0018A45C4D1DEF81644B54AB7F969B88D65";
        let holds =
            |body: &str| Range::parse(body.as_bytes()).map(|range| range.holds(&of(PASSWORD)));
        assert_eq!(holds(&format!("{other}:1\r\n{row}:52579")), Some(true));
        assert_eq!(holds(&format!("{row}:1\n{other}:3\n")), Some(true));
        assert_eq!(holds(&format!("{}:1", row.to_lowercase())), Some(true));
        assert_eq!(
            holds(&format!("{other}:1\r\n{row}:0\r\n")),
            Some(false),
            "padding"
        );
        assert_eq!(holds(&format!("{row}:00")), Some(false), "padding");
        assert_eq!(holds(&format!("{other}:1")), Some(false));
        assert_eq!(
            holds(""),
            Some(false),
            "a small mirror has prefixes without rows"
        );
    }

    #[test]
    fn an_answer_with_one_line_that_is_no_row_is_none() {
        let row = &SHA1[5..];
        for line in [
            "<html>",
            "x",
            &row[1..],
            row,
            &format!("{row}:"),
            &format!("{row}:x"),
            &format!("{row}:-1"),
            &format!(" {row}:1"),
            &format!("{row} :1"),
            &format!("G{}:1", &row[1..]),
            &format!("{row}:99999999999999999999"),
        ] {
            assert!(Range::parse(line.as_bytes()).is_none(), "{line}");
            assert!(
                Range::parse(format!("{row}:1\r\n{line}").as_bytes()).is_none(),
                "{line}"
            );
        }
        assert!(Range::parse(&[0xff; 100]).is_none());
    }
}
