//! Second factors of people: TOTP, security keys and passkeys, recovery codes.
//!
//! How to read it: [`keys`] enrolls, renames and lists keys, [`challenges`] asks browsers for them
//! and verifies the answers, `ceremonies` is the part of WebAuthn that is ours (webauthn-rs does
//! the rest), [`recovery_codes`] and [`apps`] are the other two kinds, and [`removal`] has the rule
//! about the last factor.
//!
//! Invariants: a challenge can be answered once, by the session or the login it was created in, and
//! for the purpose it was created for. A user enrolls a factor only after using one recovery code,
//! so the loss of one device locks no one out.

pub mod keys;
pub mod challenges;
pub(crate) mod ceremonies;
pub mod recovery_codes;
pub mod apps;
pub mod removal;
#[cfg(test)]
mod tests;

use gate::demands::Demand;
use gate::{Permit, Target, TargetFacts};
use model::audit::Detail;
use model::{Action, CredentialKind, Factor, SessionId, Timestamp, UserId};
use storage::StorageError;
use storage::users::UserRow;

use crate::limits::{Known, Taken};
use crate::{Account, AccountView, limits};

pub use apps::{ConfirmTotp, ProposeTotp, ProposedTotp};
pub use challenges::{KeyAnswer, KeyChallenge};
pub use keys::{EnrollKey, KeyKind, ListedKey, ProposeKey, RenameKey};
pub use recovery_codes::{ConfirmRecoveryCodes, GenerateRecoveryCodes};
pub use removal::{FactorName, OpenRemoval, RemoveFactor};

/// Why a factor was not changed.
#[derive(Debug, thiserror::Error)]
pub enum FactorError {
    #[error("the user does not exist")]
    UnknownUser,
    #[error("verify your primary email address first")]
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
    #[error("there were too many attempts; wait {}", model::time::wait_in_words(*.retry_after_seconds))]
    Limited { retry_after_seconds: u64 },
    #[error("{0}")]
    WebauthnUnavailable(&'static str),
    #[error("the answer of the key was not accepted; try again, or try another key")]
    KeyNotAccepted,
    #[error("this key is registered already")]
    KeyTaken,
    #[error("one of your keys has this name; choose another one")]
    KeyNameTaken,
    #[error(
        "write a name of 1 to {} characters, without control or invisible characters",
        keys::MAX_NAME
    )]
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
    /// When the one-time password app was set up.
    pub totp: Option<Timestamp>,
    /// Oldest first.
    pub keys: Vec<ListedKey>,
    pub recovery: RecoveryOverview,
    /// Whether the primary email address is verified.
    pub email_verified: bool,
}

/// Open the page on which a second factor is set up.
#[derive(Clone, Copy, Debug)]
pub struct OpenEnrollment {
    pub account: Account,
}

impl Target for OpenEnrollment {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::FactorEnroll)
    }
}

/// The factors that a user can prove their identity with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Provable {
    /// Whether a one-time password app is set up.
    pub app: bool,
    /// Whether there is a security key or passkey.
    pub keys: bool,
    /// How many recovery codes are left.
    pub recovery_codes: u32,
}

/// The recovery codes of a user.
pub use storage::recovery_codes::RecoveryCodes as RecoveryOverview;

/// The name of a one-time password app in mails.
pub(crate) const APP: &str = "one-time password app";

/// The name of a key in mails.
fn words(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::SecurityKey => "security key",
        KeyKind::Passkey => "passkey",
    }
}

crate::areas::area! {
    /// Second factors: enrolled, asked for, verified, removed.
    Factors
}

impl Factors<'_> {
    /// The second factors of an account.
    pub async fn of(self, view: AccountView) -> Result<FactorsOverview, StorageError> {
        self.overview_of(view.user()).await
    }

    /// What the owner of an account can prove their identity with, for the page that asks for a
    /// proof. That page interrupts a refused request, so there is no permit yet; it reveals no more
    /// than the page for the second step of a login.
    pub async fn provable_by(self, account: Account) -> Result<Provable, StorageError> {
        let overview = self.overview_of(account.id()).await?;
        Ok(Provable {
            app: overview.totp.is_some(),
            keys: !overview.keys.is_empty(),
            recovery_codes: overview.recovery.unused,
        })
    }

    async fn overview_of(self, user: UserId) -> Result<FactorsOverview, StorageError> {
        let keys = self
            .storage()
            .keys_of(user)
            .await?
            .into_iter()
            .map(ListedKey::from)
            .collect();
        let recovery = self.storage().recovery_codes_of(user).await?;
        let user = self.storage().user(user).await?;
        let (totp, email_verified) = user.map_or((None, false), |user| {
            (
                user.totp_enrolled_at.filter(|_| user.totp_secret.is_some()),
                user.email_verified,
            )
        });
        Ok(FactorsOverview {
            totp,
            keys,
            recovery,
            email_verified,
        })
    }

    /// A user with a verified address, so that no change of their factors goes unnoticed.
    async fn user_with_verified_email(self, user: UserId) -> Result<UserRow, FactorError> {
        let user = self
            .storage()
            .user(user)
            .await?
            .filter(|user| user.disabled_at.is_none())
            .ok_or(FactorError::UnknownUser)?;
        if user.email_verified {
            Ok(user)
        } else {
            Err(FactorError::EmailNotVerified)
        }
    }

    /// A user who may enroll a factor: without recovery codes at hand, losing a device means losing
    /// the account.
    async fn user_who_may_enroll(self, user: UserId) -> Result<UserRow, FactorError> {
        let user = self.user_with_verified_email(user).await?;
        if user.recovery_confirmed_at.is_some() {
            Ok(user)
        } else {
            Err(FactorError::RecoveryCodesNotConfirmed)
        }
    }

    /// Counts a proposal within a session: like every challenge, it is a row.
    async fn count_proposal(self, session: SessionId) -> Result<(), FactorError> {
        match limits::take(
            self.storage(),
            &[self.config().limits.challenges_within(session)],
            self.now(),
        )
        .await?
        {
            Ok(_counted) => Ok(()),
            Err(too_many) => Err(FactorError::Limited {
                retry_after_seconds: too_many.retry_after_seconds,
            }),
        }
    }

    /// Records a wrong factor in a session, so that its owner sees it. The limits of attempts bound
    /// the number of records.
    async fn record_wrong<T>(
        self,
        permit: &Permit<T>,
        user: UserId,
        action: Action,
        factor: Factor,
        why: &'static str,
    ) -> Result<(), StorageError> {
        let failed = Detail::AuthenticationFailed {
            method: CredentialKind::Session.into(),
            second_factor: Some(factor.into()),
            reason: why.to_owned(),
            action: action.into(),
            route: None,
        };
        self.storage()
            .record_log(&[], &[permit.event(failed).about(user)])
            .await
    }

    /// Counts an attempt within a session, or on the command line. Records a user who has to wait.
    async fn take_attempts<T>(
        self,
        permit: &Permit<T>,
        user: &UserRow,
        action: Action,
        factor: Factor,
    ) -> Result<Taken, FactorError> {
        let limits = &self.config().limits;
        let Some(session) = permit.session() else {
            return Ok(Taken::nothing(self.now()));
        };
        let counters = limits.factor_known_by(factor, &Known::Session(session), &user.name);
        let too_many = match limits::take(self.storage(), &counters, self.now()).await? {
            Ok(taken) => return Ok(taken),
            Err(too_many) => too_many,
        };
        if let Ok(_counted) = limits::take(
            self.storage(),
            &[limits.told_to_wait(&user.name, factor)],
            self.now(),
        )
        .await?
        {
            self.record_wrong(permit, user.id, action, factor, "too-many-attempts")
                .await?;
        }
        Err(FactorError::Limited {
            retry_after_seconds: too_many.retry_after_seconds,
        })
    }
}
