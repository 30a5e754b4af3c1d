//! Secrets in browsers and mails: cookies, links, ceremonies. 32 random bytes in base64url; the
//! database has only their SHA-256.

use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};
use storage::Secret;
use zeroize::Zeroizing;

/// Characters of a secret: 32 bytes in base64url without padding.
pub(crate) const LENGTH: usize = 43;

/// A fresh secret, and the hash under which it is stored.
pub(crate) fn generate() -> (Secret<String>, [u8; 32]) {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    crate::random::fill(&mut *bytes);
    (
        Secret::new(BASE64URL_NOPAD.encode(&*bytes)),
        Sha256::digest(bytes.as_slice()).into(),
    )
}

/// The hash under which a secret is stored; none for a text that is no secret of ours. A secret has
/// only one spelling: the last character's unused bits must be zero.
///
/// A plain hash is enough, and a lookup by it leaks nothing: 256 random bits cannot be guessed,
/// neither as a whole nor bit by bit.
pub(crate) fn hash(text: &str) -> Option<[u8; 32]> {
    if text.len() != LENGTH {
        return None;
    }
    let bytes = Zeroizing::new(BASE64URL_NOPAD.decode(text.as_bytes()).ok()?);
    (bytes.len() == 32).then(|| Sha256::digest(bytes.as_slice()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_again_by_its_hash() {
        let (secret, stored) = generate();
        assert_eq!(secret.expose().len(), LENGTH);
        assert_eq!(hash(secret.expose()), Some(stored));
        assert_ne!(generate().1, stored);
    }

    #[test]
    fn a_secret_has_one_spelling() {
        let (zeros, filled) = ("A".repeat(LENGTH), "A".repeat(LENGTH - 1));
        assert!(hash(&zeros).is_some());
        for text in [
            "",
            "A",
            &filled,
            &format!("{zeros}A"),
            &format!("{filled}="),
            &format!("{filled}B"),
            &format!("{filled}+"),
            &format!("{filled} "),
            &"ä".repeat(43),
        ] {
            assert_eq!(hash(text), None, "{text}");
        }
    }
}
