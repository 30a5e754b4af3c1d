//! The e-mail addresses of a user.

use gate::{Attempt, Gate, Permit, Refusal, Target, TargetFacts};
use model::audit::EventKind;
use model::{Action, UserId, UserName};
use serde_json::json;
use storage::StorageError;
use storage::users::EmailRow;

use super::{AccountError, check_email, event};
use crate::Identity;

macro_rules! targets {
    ($($(#[$doc:meta])* $name:ident = $action:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            pub user: UserId,
            pub address: String,
        }

        impl Target for $name {
            fn facts(&self) -> TargetFacts<'_> {
                TargetFacts::of(Action::$action)
            }
        }
    )*};
}

targets! {
    /// Add an address to a user; the first one is the primary one.
    AddEmail = EmailAdd;
    /// Say that an address is known to be the user's.
    VerifyEmail = EmailVerify;
    /// Make a verified address the primary one.
    PromoteEmail = EmailPromote;
    /// Remove an address that is not the primary one.
    RemoveEmail = EmailRemove;
    /// Mail a link to an address that is not verified yet.
    SendVerification = EmailVerify;
}

/// The address that a mailed link would verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnverifiedEmail {
    pub user: UserName,
    pub address: String,
}

impl Identity {
    /// Mails a link that verifies an address, to that address.
    pub async fn send_verification(&self, permit: Permit<SendVerification>) -> Result<(), AccountError> {
        let _ = permit;
        todo!()
    }

    /// The address that a link would verify, for the page that asks for a confirmation.
    /// Changes nothing.
    pub async fn email_link(&self, link: &str) -> Result<Option<UnverifiedEmail>, StorageError> {
        let _ = link;
        todo!()
    }

    /// Verifies the address of a link, which is then used up. The address; none for a link
    /// that does not count.
    pub async fn confirm_email(&self, gate: &Gate, attempt: &Attempt, link: &str) -> Result<Option<String>, Refusal> {
        let _ = (gate, attempt, link);
        todo!()
    }

    /// A user's addresses, the primary one first.
    pub async fn emails_of(&self, user: UserId) -> Result<Vec<EmailRow>, StorageError> {
        self.storage().emails(user).await
    }

    /// Adds an unverified address.
    pub async fn add_email(&self, permit: Permit<AddEmail>) -> Result<(), AccountError> {
        let AddEmail { user, address } = permit.target();
        check_email(address)?;
        let mut unit = self.storage().begin().await?;
        unit.add_email(*user, address, permit.at()).await?;
        unit.commit(&event(&permit, EventKind::EmailAdded, *user, json!({ "address": address }))).await?;
        Ok(())
    }

    /// Marks an address as verified. Returns whether it was not.
    pub async fn verify_email(&self, permit: Permit<VerifyEmail>) -> Result<bool, AccountError> {
        let VerifyEmail { user, address } = permit.target();
        let known = self.email_of(*user, address).await?;
        if known.verified_at.is_some() {
            return Ok(false);
        }
        let mut unit = self.storage().begin().await?;
        if !unit.verify_email(*user, address, permit.at()).await? {
            return Err(AccountError::UnknownEmail);
        }
        unit.commit(&event(&permit, EventKind::EmailVerified, *user, json!({ "address": known.address }))).await?;
        Ok(true)
    }

    /// Makes an address the primary one. Returns whether it was not. Only a verified one: what
    /// policies ask for is a primary address that is.
    pub async fn promote_email(&self, permit: Permit<PromoteEmail>) -> Result<bool, AccountError> {
        let PromoteEmail { user, address } = permit.target();
        let known = self.email_of(*user, address).await?;
        if known.primary {
            return Ok(false);
        }
        if known.verified_at.is_none() {
            return Err(AccountError::EmailNotVerified);
        }
        let mut unit = self.storage().begin().await?;
        if !unit.promote_email(*user, address).await? {
            return Err(AccountError::UnknownEmail);
        }
        unit.commit(&event(&permit, EventKind::EmailPromoted, *user, json!({ "address": known.address }))).await?;
        Ok(true)
    }

    /// Removes an address.
    pub async fn remove_email(&self, permit: Permit<RemoveEmail>) -> Result<(), AccountError> {
        let RemoveEmail { user, address } = permit.target();
        let known = self.email_of(*user, address).await?;
        let mut unit = self.storage().begin().await?;
        // The write itself leaves the primary one alone, also one that became it just now.
        if known.primary || !unit.remove_email(*user, address).await? {
            return Err(AccountError::PrimaryEmail);
        }
        unit.commit(&event(&permit, EventKind::EmailRemoved, *user, json!({ "address": known.address }))).await?;
        Ok(())
    }

    async fn email_of(&self, user: UserId, address: &str) -> Result<EmailRow, AccountError> {
        let known = self.storage().email(address).await?.filter(|email| email.user == user);
        known.ok_or(AccountError::UnknownEmail)
    }
}
