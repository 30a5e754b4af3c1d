//! API tokens: macaroons in PyPI's text format, `<prefix>-` and the unpadded URL-safe
//! base64 of a binary V2 macaroon of libmacaroons.
//!
//! A token has exactly one text: whatever can be changed without breaking the signature
//! (base64's unused bits, padding, bytes after the signature, the caveats' optional
//! locations, V1 and JSON forms) is refused. The one thing left is the location: it is not
//! covered by the signature, says where the token was made, and is ignored as PyPI ignores
//! it, so that a registry can move to another host name. Nothing may be keyed by a token's
//! text; its identifier names it.
//!
//! Caveats are hashed as the bytes that stand in the token, because their holder writes
//! them offline in any JSON spacing.
//!
//! The `macaroon` crate reads the packets and nothing else. Its hazards, and the fence
//! around each: its V1 reader recurses once per packet (only V2 goes in, at most 8 KiB);
//! it accepts trailing bytes and several spellings (what it writes back must be the text
//! that came); making or extending a macaroon logs it with its signature (tokens are
//! written here); it compares signatures in variable time (compared here).

use std::sync::Once;

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use model::TokenId;
use model::caveat::{Caveat, InvalidCaveat};
use sha2::Sha256;
use storage::Secret;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// Longest token accepted, in characters.
pub const MAX_LENGTH: usize = model::limit::TOKEN_BYTES.length();

/// First byte of a binary V2 macaroon.
const VERSION: u8 = 2;
const END: u8 = 0;
const LOCATION: u8 = 1;
const IDENTIFIER: u8 = 2;
const SIGNATURE: u8 = 6;

/// The text is no token of this registry. Deliberately without detail: whoever sends
/// garbage learns nothing about the next garbage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an API token of this registry")]
pub struct Unreadable;

/// The signature was not made with the token's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token's signature is wrong")]
pub struct WrongSignature;

/// A token that was read and not yet verified: everything in it may be invented.
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

/// The caveats of a verified token, told apart by who wrote them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenCaveats {
    /// The registry's own, by its record.
    pub minted: Vec<Caveat>,
    /// What the holder added to the text.
    pub added: Vec<Caveat>,
}

/// A fresh root key.
pub fn generate_key() -> Secret<[u8; 32]> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).expect("the operating system has random bytes");
    let secret = Secret::new(key);
    key.zeroize();
    secret
}

/// Writes a token.
pub fn mint(prefix: &str, location: &str, id: TokenId, key: &Secret<[u8; 32]>, caveats: &[String]) -> Secret<String> {
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
    let mut signature = sign(key, identifier.as_bytes(), caveats.iter().map(String::as_bytes));
    write_field(&mut packet, SIGNATURE, &signature);
    let text = format!("{prefix}-{}", BASE64URL_NOPAD.encode(&packet));
    packet.zeroize();
    signature.zeroize();
    Secret::new(text)
}

/// Reads a token. Bounded work on any input, no secrets involved.
pub fn read(prefix: &str, text: &str) -> Result<ReadToken, Unreadable> {
    initialize();
    if text.len() > MAX_LENGTH {
        return Err(Unreadable);
    }
    let encoded = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-')).ok_or(Unreadable)?;
    let packet = BASE64URL_NOPAD.decode(encoded.as_bytes()).map_err(|_| Unreadable)?;
    if packet.first() != Some(&VERSION) {
        return Err(Unreadable);
    }
    let macaroon = macaroon::Macaroon::deserialize_binary(&packet).map_err(|_| Unreadable)?;
    let mut canonical = macaroon.serialize(macaroon::Format::V2).map_err(|_| Unreadable)?;
    let is_canonical = canonical.trim_end_matches('=') == encoded;
    canonical.zeroize();
    if !is_canonical {
        return Err(Unreadable);
    }
    let identifier = macaroon.identifier().0;
    let id: TokenId = std::str::from_utf8(&identifier).ok().and_then(|text| text.parse().ok()).ok_or(Unreadable)?;
    if id.to_string().as_bytes() != identifier {
        return Err(Unreadable);
    }
    let caveats = macaroon
        .caveats()
        .into_iter()
        .map(|caveat| match caveat {
            macaroon::Caveat::FirstParty(own) => Ok(own.predicate().0),
            macaroon::Caveat::ThirdParty(_) => Err(Unreadable),
        })
        .collect::<Result<_, _>>()?;
    let signature = Secret::new(<[u8; 32]>::try_from(&*macaroon.signature()).map_err(|_| Unreadable)?);
    Ok(ReadToken { identifier, id, caveats, signature })
}

impl ReadToken {
    /// Which token it says it is.
    pub fn id(&self) -> TokenId {
        self.id
    }

    /// Verifies the signature with the token's root key, in time that depends on the
    /// token's length alone.
    pub fn verify(self, key: &Secret<[u8; 32]>) -> Result<VerifiedToken, WrongSignature> {
        let mut expected = sign(key, &self.identifier, self.caveats.iter().map(Vec::as_slice));
        let is_right = bool::from(expected.ct_eq(self.signature.expose()));
        expected.zeroize();
        if is_right { Ok(VerifiedToken { id: self.id, caveats: self.caveats }) } else { Err(WrongSignature) }
    }
}

impl VerifiedToken {
    /// Which token it is.
    pub fn id(&self) -> TokenId {
        self.id
    }

    /// The caveats stored for the token, and those that its text has beyond them. One that is
    /// not understood refuses the token: a restriction that is not understood cannot be kept.
    ///
    /// What a token was minted as is what the registry stored, not what stands in the text:
    /// there, whoever holds it can add caveats that look just like the registry's. A row
    /// without a record of the scope (`stored` is empty, or holds only what was added later)
    /// is read from the beginning of the text, up to the first caveat that says the scope. No
    /// holder can forge that: caveats can only be appended, and this registry has never minted
    /// a token whose text does not say its scope first, after its expiry if it has one.
    pub fn caveats(&self, stored: &[String]) -> Result<TokenCaveats, InvalidCaveat> {
        let presented = self.caveats.iter().map(|bytes| Caveat::parse(bytes)).collect::<Result<Vec<_>, _>>()?;
        let mut minted = stored.iter().map(|text| Caveat::parse(text.as_bytes())).collect::<Result<Vec<_>, _>>()?;
        if !minted.iter().any(Caveat::says_scope) {
            let first = presented.iter().position(Caveat::says_scope).map_or(0, |position| position + 1);
            minted.splice(0..0, presented[..first].iter().cloned());
        }
        // The same restriction twice is the same restriction.
        let added = presented.into_iter().filter(|caveat| !minted.contains(caveat)).collect();
        Ok(TokenCaveats { minted, added })
    }
}

fn initialize() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| macaroon::initialize().expect("libsodium can be initialized"));
}

/// The signature chain of libmacaroons: each link keys the next.
fn sign<'a>(key: &Secret<[u8; 32]>, identifier: &'a [u8], caveats: impl Iterator<Item = &'a [u8]>) -> [u8; 32] {
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

#[cfg(test)]
mod tests;
