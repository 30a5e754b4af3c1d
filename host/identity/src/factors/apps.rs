//! A one-time password app (TOTP) enrolled by its owner, in a browser.

use gate::{ChangeFacts, Permit, Target, TargetFacts};
use model::{Action, Factor, SessionId, UserId};
use storage::Secret;

use super::FactorError;
use crate::Identity;

/// Show a person a fresh secret.
#[derive(Clone, Debug)]
pub struct ProposeTotp {
    pub user: UserId,
    pub session: SessionId,
}

/// Enroll the app that took the secret up, proved by a code.
#[derive(Clone, Debug)]
pub struct ConfirmTotp {
    pub user: UserId,
    pub session: SessionId,
    /// The [`ProposedTotp::ceremony`].
    pub ceremony: String,
    pub code: String,
}

/// A secret that is enrolled nowhere yet.
#[derive(Clone, Debug)]
pub struct ProposedTotp {
    /// Comes back with the code.
    pub ceremony: Secret<String>,
    /// Base32 without padding.
    pub secret: Secret<String>,
    /// `otpauth://totp/…`, for a QR code.
    pub url: Secret<String>,
}

impl Target for ProposeTotp {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts { change: ChangeFacts::Factor(Factor::Totp), ..TargetFacts::of(Action::FactorEnroll) }
    }
}

impl Target for ConfirmTotp {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts { change: ChangeFacts::Factor(Factor::Totp), ..TargetFacts::of(Action::FactorEnroll) }
    }
}

impl Identity {
    /// A fresh secret that stays here until a code of it comes back.
    pub async fn propose_totp_for(&self, _permit: Permit<ProposeTotp>) -> Result<ProposedTotp, FactorError> {
        todo!()
    }

    /// Shows the secret of a running enrollment again, after a wrong code.
    pub async fn proposed_totp(&self, _user: UserId, _session: SessionId, _ceremony: &str) -> Result<ProposedTotp, FactorError> {
        todo!()
    }

    /// Enrolls the app. A wrong code leaves the secret for another try.
    pub async fn confirm_totp(&self, _permit: Permit<ConfirmTotp>) -> Result<(), FactorError> {
        todo!()
    }
}
