//! Users, their passwords and their second factor.

use gate::{ChangeFacts, Permit, Target, TargetFacts};
use model::{Action, Factor, UserId, UserName};
use storage::{Secret, StorageError};

use crate::totp::{EnrolledTotp, InvalidSecret};
use crate::Identity;

/// Create a user without a password.
#[derive(Clone, Debug)]
pub struct CreateUser {
    pub name: UserName,
    /// The primary e-mail address.
    pub email: Option<String>,
    /// Whether the address is known to be the user's.
    pub email_verified: bool,
    pub staff: bool,
}

/// Set a user's password, whatever it was.
#[derive(Clone, Debug)]
pub struct SetPassword {
    pub user: UserId,
    pub password: Secret<String>,
}

/// Enroll TOTP for a user who has none.
#[derive(Clone, Debug)]
pub struct EnrollTotp {
    pub user: UserId,
    /// The secret in base32 that [`Identity::propose_totp`] made and the person's app
    /// holds; none to make one now.
    pub secret: Option<Secret<String>>,
    /// A code of that secret, to prove that the app holds it. It cannot be used again.
    pub code: Option<String>,
}

/// Remove a user's TOTP.
#[derive(Clone, Debug)]
pub struct RemoveTotp {
    pub user: UserId,
}

/// Why an account was not changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    #[error("the user does not exist")]
    UnknownUser,
    #[error("the user name is taken; choose another one")]
    UserNameTaken,
    #[error("the e-mail address is taken; choose another one")]
    EmailTaken,
    #[error("`{0}` is not an e-mail address")]
    InvalidEmail(String),
    #[error(transparent)]
    Password(#[from] crate::passwords::UnsuitablePassword),
    #[error("TOTP is enrolled already; remove it first")]
    TotpEnrolled,
    #[error("TOTP is not enrolled")]
    TotpNotEnrolled,
    #[error(transparent)]
    TotpSecret(#[from] InvalidSecret),
    #[error("the TOTP code is wrong; check the device's clock and try the next code")]
    WrongTotpCode,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Target for CreateUser {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::AccountCreate)
    }
}

impl Target for SetPassword {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::PasswordChange)
    }
}

impl Target for EnrollTotp {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts { change: ChangeFacts::Factor(Factor::Totp), ..TargetFacts::of(Action::FactorEnroll) }
    }
}

impl Target for RemoveTotp {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts { change: ChangeFacts::Factor(Factor::Totp), ..TargetFacts::of(Action::FactorRemove) }
    }
}

impl Identity {
    /// Creates a user.
    pub async fn create_user(&self, permit: Permit<CreateUser>) -> Result<UserId, AccountError> {
        let _ = permit;
        todo!()
    }

    /// Sets a user's password.
    pub async fn set_password(&self, permit: Permit<SetPassword>) -> Result<(), AccountError> {
        let _ = permit;
        todo!()
    }

    /// A fresh TOTP secret for a user, enrolled nowhere yet.
    pub fn propose_totp(&self, name: &UserName) -> EnrolledTotp {
        let _ = name;
        todo!()
    }

    /// Enrolls TOTP.
    pub async fn enroll_totp(&self, permit: Permit<EnrollTotp>) -> Result<EnrolledTotp, AccountError> {
        let _ = permit;
        todo!()
    }

    /// Removes TOTP.
    pub async fn remove_totp(&self, permit: Permit<RemoveTotp>) -> Result<(), AccountError> {
        let _ = permit;
        todo!()
    }
}
