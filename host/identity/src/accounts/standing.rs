//! Whether a user is staff, and whether a user is disabled.

use gate::{Permit, Target, TargetFacts};
use model::audit::Detail;
use model::{Action, UserId};
use storage::StorageError;

use super::AccountError;
use super::Accounts;
use crate::recovery::RecoveryError;

/// Maximum length of a reason, in characters.
pub(super) const MAX_REASON: usize = model::limit::REASON.length();

/// Make a user staff of the registry, or not.
#[derive(Clone, Copy, Debug)]
pub struct SetStaff {
    pub user: UserId,
    pub staff: bool,
}

/// Disable a user: their tokens and their password are no longer accepted.
#[derive(Clone, Debug)]
pub struct DisableUser {
    pub user: UserId,
    /// Why, for the operators; 1 to 300 characters.
    pub reason: String,
}

/// Enable a disabled user: their old passwords, factors and tokens are accepted again.
#[derive(Clone, Copy, Debug)]
pub struct EnableUser {
    pub user: UserId,
}

impl Target for SetStaff {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::AccountUpdate)
    }
}

impl Target for DisableUser {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::AccountUpdate)
    }
}

impl Target for EnableUser {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::AccountUpdate)
    }
}

impl Accounts<'_> {
    /// Makes a user staff, or not. Returns whether that changed anything. Stops a waiting recovery
    /// of a user who becomes staff: only the command line can recover staff accounts.
    pub async fn set_staff(self, permit: Permit<SetStaff>) -> Result<bool, AccountError> {
        let SetStaff { user, staff } = *permit.target();
        if self
            .storage()
            .user(user)
            .await?
            .ok_or(AccountError::UnknownUser)?
            .staff
            == staff
        {
            return Ok(false);
        }
        if let Some(recovery) = self.storage().recovery_of(user).await?.filter(|_| staff) {
            match self
                .identity
                .recoveries()
                .stop(&permit, &recovery, None, "the account becoming staff")
                .await
            {
                Ok(()) | Err(RecoveryError::UnknownRecovery) => {}
                Err(RecoveryError::Storage(error)) => return Err(error.into()),
                Err(error) => {
                    return Err(AccountError::Storage(StorageError::Unavailable(
                        error.to_string(),
                    )));
                }
            }
        }
        let mut unit = permit.begin(self.storage()).await?;
        unit.set_staff(user, staff).await?;
        let detail = match staff {
            true => Detail::StaffGranted { because: None },
            false => Detail::StaffRevoked,
        };
        unit.commit(&permit.event(detail).about(user)).await?;
        Ok(true)
    }

    /// Disables a user, effective at the next check of a credential, and ends what was started with
    /// one: once enabled again, the user must log in again.
    pub async fn disable(self, permit: Permit<DisableUser>) -> Result<(), AccountError> {
        let DisableUser { user, reason } = permit.target();
        let reason = reason.trim();
        if !(1..=MAX_REASON).contains(&reason.chars().count())
            || !model::text::is_plain_line(reason)
        {
            return Err(AccountError::InvalidReason);
        }
        self.storage()
            .user(*user)
            .await?
            .ok_or(AccountError::UnknownUser)?;
        let mut unit = permit.begin(self.storage()).await?;
        if !unit.disable_user(*user, reason, permit.at()).await? {
            return Err(AccountError::UserDisabled);
        }
        let ended = self
            .identity
            .passwords()
            .end_what_was_begun(&mut unit, *user, None, None)
            .await?;
        let disabled = Detail::AccountDisabled {
            reason: reason.to_owned(),
            ended_sessions: ended,
        };
        unit.commit(&permit.event(disabled).about(*user)).await?;
        Ok(())
    }

    /// Enables a user again.
    pub async fn enable(self, permit: Permit<EnableUser>) -> Result<(), AccountError> {
        let EnableUser { user } = *permit.target();
        self.storage()
            .user(user)
            .await?
            .ok_or(AccountError::UnknownUser)?;
        let mut unit = permit.begin(self.storage()).await?;
        if !unit.enable_user(user).await? {
            return Err(AccountError::UserNotDisabled);
        }
        unit.commit(&permit.event(Detail::AccountEnabled).about(user))
            .await?;
        Ok(())
    }
}
