//! Second factors of people: TOTP, security keys and passkeys, recovery codes.
//!
//! How to read it: [`keys`] enrolls, renames and lists keys, [`challenges`] asks browsers for
//! them and verifies what they answer, `ceremonies` is the little of WebAuthn that is ours
//! (the rest is webauthn-rs), [`recovery_codes`] and [`apps`] are the other two kinds, and
//! [`removal`] is the rule about a last factor.
//!
//! Invariants: what a browser is asked can be answered once, by the session or the login it
//! was asked in, for the purpose it was asked for. A factor counts once one recovery code was
//! used, so nobody is locked out by the loss of one device.

pub mod keys;
pub mod challenges;
pub mod recovery_codes;
pub mod apps;
pub mod removal;

use gate::demands::Demand;
use model::{Timestamp, UserId};
use storage::StorageError;

use crate::Identity;

pub use apps::{ConfirmTotp, ProposeTotp, ProposedTotp};
pub use challenges::{KeyAnswer, KeyChallenge};
pub use keys::{EnrollKey, KeyKind, ListedKey, ProposeKey, RenameKey};
pub use recovery_codes::{ConfirmRecoveryCodes, GenerateRecoveryCodes};
pub use removal::{FactorName, RemoveFactor};

/// Why a factor was not changed.
#[derive(Debug, thiserror::Error)]
pub enum FactorError {
    #[error("the user does not exist")]
    UnknownUser,
    #[error("verify your primary e-mail address first")]
    EmailNotVerified,
    #[error("generate recovery codes and use one of them first")]
    RecoveryCodesNotConfirmed,
    #[error("a one-time password app is set up already; remove it first")]
    TotpEnrolled,
    #[error("no one-time password app is set up")]
    TotpNotEnrolled,
    #[error("this page is too old; start again")]
    UnknownCeremony,
    #[error("the code is wrong; check the clock of your device and try the next code")]
    WrongCode,
    #[error("there were too many attempts; wait {retry_after_seconds} seconds")]
    Limited { retry_after_seconds: u64 },
    #[error("{0}")]
    WebauthnUnavailable(&'static str),
    #[error("the answer of the key was not accepted; try again, or try another key")]
    KeyNotAccepted,
    #[error("this key is registered already")]
    KeyTaken,
    #[error("one of your keys has this name; choose another one")]
    KeyNameTaken,
    #[error("a name has 1 to {} characters, none of them a control character", keys::MAX_NAME)]
    InvalidKeyName,
    #[error("an account has at most {} keys; remove one first", keys::MAX_KEYS)]
    TooManyKeys,
    #[error("the key does not exist")]
    UnknownKey,
    #[error("this is your last second factor, and one is demanded; add another one first")]
    Demanded(Vec<Demand>),
    #[error(transparent)]
    Storage(StorageError),
}

/// The second factors of a user.
#[derive(Clone, Debug)]
pub struct FactorsOverview {
    /// Since when a one-time password app is set up.
    pub totp: Option<Timestamp>,
    /// Oldest first.
    pub keys: Vec<ListedKey>,
    pub recovery: RecoveryOverview,
    /// Whether the primary e-mail address is verified.
    pub email_verified: bool,
}

/// The recovery codes of a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecoveryOverview {
    /// How many were generated.
    pub total: u32,
    pub unused: u32,
    pub generated_at: Option<Timestamp>,
    /// Since when it is known that they were kept: one of them was used.
    pub confirmed_at: Option<Timestamp>,
}

impl Identity {
    /// The second factors of a user. For pages that were decided.
    pub async fn factors_of(&self, _user: UserId) -> Result<FactorsOverview, StorageError> {
        todo!()
    }
}
