//! Identifiers. A newtype each, so that a token's id cannot be used as a user's.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id that sorts by time (UUID version 7).
            #[expect(clippy::disallowed_methods, reason = "the one place that makes them")]
            pub fn new() -> Self { Self(Uuid::now_v7()) }
        }
        impl Default for $name {
            fn default() -> Self { Self::new() }
        }
        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.hyphenated().fmt(out) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result { write!(out, "{}({})", stringify!($name), self.0) }
        }
        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> { text.parse().map(Self) }
        }
    )*};
}

ids! {
    /// A user account.
    UserId,
    /// A project.
    ProjectId,
    /// A release of a project.
    ReleaseId,
    /// A distribution file.
    FileId,
    /// An API token; also the macaroon's identifier.
    TokenId,
    /// One decision, and the request it was made for.
    DecisionId,
    /// A browser session, as shown to its owner and in the audit log. Not the secret in the cookie.
    SessionId,
    /// A security key or passkey of a user. Not the credential id that the authenticator created.
    KeyId,
    /// A mail in the outbox.
    MailId,
    /// A server process, new at each start.
    ServerId,
    /// The recovery of an account by staff.
    RecoveryId,
}

/// The SHA-256 digest that names a policy module.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModuleDigest(pub [u8; 32]);

impl fmt::Display for ModuleDigest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for ModuleDigest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// The text is not a SHA-256 digest in lower-case hex.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a module digest is 64 lower-case hex digits")]
pub struct InvalidDigest;

impl FromStr for ModuleDigest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = data_encoding::HEXLOWER
            .decode(text.as_bytes())
            .map_err(|_| InvalidDigest)?;
        bytes.try_into().map(Self).map_err(|_| InvalidDigest)
    }
}
