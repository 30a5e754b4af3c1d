//! API tokens: macaroons in PyPI's text format, `<prefix>-` and the unpadded URL-safe
//! base64 of a binary V2 macaroon of libmacaroons.
//!
//! A token has exactly one text: whatever can be changed without breaking the signature (base64's
//! unused bits, padding, bytes after the signature, the caveats' optional locations, V1 and JSON
//! forms) is refused. The only exception is the location: the signature does not cover it, it shows
//! where the token was created, and it is ignored as on PyPI, so that a registry can move to
//! another host name. Nothing may be keyed by a token's text; its identifier names it.
//!
//! Caveats are hashed as the bytes in the token, because their holder writes them offline in any
//! JSON spacing.
//!
//! This code reads and writes packets itself, since it needs only a small part of the format: only
//! V2, only first-party caveats, each length in its shortest form.

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use model::TokenId;
use model::caveat::{Caveat, InvalidCaveat};
use sha2::Sha256;
use storage::Secret;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// Maximum length of a token, in characters.
pub const MAX_LENGTH: usize = model::limit::TOKEN_BYTES.length();

/// First byte of a binary V2 macaroon.
const VERSION: u8 = 2;
const END: u8 = 0;
const LOCATION: u8 = 1;
const IDENTIFIER: u8 = 2;
const SIGNATURE: u8 = 6;

/// The text is no token of this registry. Deliberately without detail, so that garbage teaches its
/// sender nothing for the next try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an API token of this registry")]
pub struct Unreadable;

/// The signature was not made with the token's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token's signature is wrong")]
pub struct WrongSignature;

/// A token that was read but not verified: everything in it may be invented.
pub struct ReadToken {
    identifier: Vec<u8>,
    id: TokenId,
    caveats: Vec<Vec<u8>>,
    signature: Secret<[u8; 32]>,
}

/// A token whose signature was verified. Its caveats are not yet checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedToken {
    id: TokenId,
    caveats: Vec<Vec<u8>>,
}

/// The caveats of a verified token, separated by author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenCaveats {
    /// The registry's own, according to its record.
    pub minted: Vec<Caveat>,
    /// Those that the holder added to the text.
    pub added: Vec<Caveat>,
}

/// A fresh root key.
pub fn generate_key() -> Secret<[u8; 32]> {
    let mut key = [0; 32];
    crate::random::fill(&mut key);
    let secret = Secret::new(key);
    key.zeroize();
    secret
}

/// Writes a token.
pub fn mint(
    prefix: &str,
    location: &str,
    id: TokenId,
    key: &Secret<[u8; 32]>,
    caveats: &[String],
) -> Secret<String> {
    let identifier = id.to_string();
    let mut packet = vec![VERSION];
    write_field(&mut packet, LOCATION, location.as_bytes());
    write_field(&mut packet, IDENTIFIER, identifier.as_bytes());
    packet.push(END);
    for caveat in caveats {
        write_field(&mut packet, IDENTIFIER, caveat.as_bytes());
        packet.push(END);
    }
    packet.push(END);
    let mut signature = sign(
        key,
        identifier.as_bytes(),
        caveats.iter().map(String::as_bytes),
    );
    write_field(&mut packet, SIGNATURE, &signature);
    let text = format!("{prefix}-{}", BASE64URL_NOPAD.encode(&packet));
    packet.zeroize();
    signature.zeroize();
    Secret::new(text)
}

/// Reads a token. Bounded work on any input, no secrets involved.
pub fn read(prefix: &str, text: &str) -> Result<ReadToken, Unreadable> {
    if text.len() > MAX_LENGTH {
        return Err(Unreadable);
    }
    let encoded = text
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('-'))
        .ok_or(Unreadable)?;
    let packet = BASE64URL_NOPAD
        .decode(encoded.as_bytes())
        .map_err(|_| Unreadable)?;
    let (version, mut rest) = packet.split_first().ok_or(Unreadable)?;
    if *version != VERSION {
        return Err(Unreadable);
    }
    if rest.first() == Some(&LOCATION) {
        read_field(&mut rest, LOCATION)?;
    }
    let identifier = read_field(&mut rest, IDENTIFIER)?.to_vec();
    read_end(&mut rest)?;
    let id: TokenId = std::str::from_utf8(&identifier)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(Unreadable)?;
    if id.to_string().as_bytes() != identifier {
        return Err(Unreadable);
    }
    let mut caveats = Vec::new();
    while rest.first() != Some(&END) {
        // A location before it, or a verification id of a third party after it, is refused.
        caveats.push(read_field(&mut rest, IDENTIFIER)?.to_vec());
        read_end(&mut rest)?;
    }
    read_end(&mut rest)?;
    let signature = Secret::new(
        read_field(&mut rest, SIGNATURE)?
            .try_into()
            .map_err(|_| Unreadable)?,
    );
    if !rest.is_empty() {
        return Err(Unreadable);
    }
    Ok(ReadToken {
        identifier,
        id,
        caveats,
        signature,
    })
}

impl ReadToken {
    /// The claimed id.
    pub fn id(&self) -> TokenId {
        self.id
    }

    /// Verifies the signature with the token's root key, in time that depends on the
    /// token's length alone.
    pub fn verify(self, key: &Secret<[u8; 32]>) -> Result<VerifiedToken, WrongSignature> {
        let mut expected = sign(
            key,
            &self.identifier,
            self.caveats.iter().map(Vec::as_slice),
        );
        let is_right = bool::from(expected.ct_eq(self.signature.expose()));
        expected.zeroize();
        if is_right {
            Ok(VerifiedToken {
                id: self.id,
                caveats: self.caveats,
            })
        } else {
            Err(WrongSignature)
        }
    }
}

impl VerifiedToken {
    /// The token's id.
    pub fn id(&self) -> TokenId {
        self.id
    }

    /// The caveats stored for the token, and the additional ones in its text. One that is not
    /// understood refuses the token: a restriction that is not understood cannot be enforced.
    ///
    /// The stored caveats define what a token was minted as, not its text: there, the holder can
    /// add caveats that look just like the registry's. For a row without a record of the scope
    /// (`stored` is empty, or holds only what was added later), the beginning of the text is used,
    /// up to the first caveat with a scope. No holder can forge that: caveats can only be appended,
    /// and every token of this registry has its scope first, after its expiry if it has one.
    pub fn caveats(&self, stored: &[String]) -> Result<TokenCaveats, InvalidCaveat> {
        let presented = self
            .caveats
            .iter()
            .map(|bytes| Caveat::parse(bytes))
            .collect::<Result<Vec<_>, _>>()?;
        let mut minted = stored
            .iter()
            .map(|text| Caveat::parse(text.as_bytes()))
            .collect::<Result<Vec<_>, _>>()?;
        if !minted.iter().any(Caveat::says_scope) {
            let first = presented
                .iter()
                .position(Caveat::says_scope)
                .map_or(0, |position| position + 1);
            minted.splice(0..0, presented[..first].iter().cloned());
        }
        // The same restriction twice is the same restriction.
        let added = presented
            .into_iter()
            .filter(|caveat| !minted.contains(caveat))
            .collect();
        Ok(TokenCaveats { minted, added })
    }
}

/// The signature chain of libmacaroons: each link keys the next.
fn sign<'a>(
    key: &Secret<[u8; 32]>,
    identifier: &'a [u8],
    caveats: impl Iterator<Item = &'a [u8]>,
) -> [u8; 32] {
    let mut signature = link(b"macaroons-key-generator", key.expose());
    for message in std::iter::once(identifier).chain(caveats) {
        signature = link(&signature, message);
    }
    signature
}

fn link(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// Tag, length as a little-endian base-128 number, bytes.
fn write_field(packet: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    packet.push(tag);
    let mut length = bytes.len();
    while length >= 128 {
        packet.push((length & 127) as u8 | 128);
        length >>= 7;
    }
    packet.push(length as u8);
    packet.extend_from_slice(bytes);
}

/// The bytes of a field in the form of [`write_field`]; advances past it.
fn read_field<'a>(packet: &mut &'a [u8], tag: u8) -> Result<&'a [u8], Unreadable> {
    let mut rest = packet.strip_prefix(&[tag]).ok_or(Unreadable)?;
    let (mut length, mut shift) = (0_usize, 0);
    loop {
        let (byte, after) = rest.split_first().ok_or(Unreadable)?;
        rest = after;
        // Two groups of seven bits exceed the longest token.
        if shift > 7 || shift > 0 && *byte == 0 {
            return Err(Unreadable);
        }
        length |= usize::from(byte & 127) << shift;
        shift += 7;
        if byte & 128 == 0 {
            break;
        }
    }
    let (bytes, rest) = rest.split_at_checked(length).ok_or(Unreadable)?;
    *packet = rest;
    Ok(bytes)
}

/// Advances past the end of a section.
fn read_end(packet: &mut &[u8]) -> Result<(), Unreadable> {
    *packet = packet.strip_prefix(&[END]).ok_or(Unreadable)?;
    Ok(())
}

#[cfg(test)]
mod tests;
