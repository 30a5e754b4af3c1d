//! Deleting one's own account.

use gate::{Permit, Target, TargetFacts};
use model::Action;
use model::audit::Detail;
use model::mail::{Mail, MailKind};
use storage::{Conflict, StorageError};

use crate::accounts::Accounts;
use crate::accounts::notices::{at, device, enqueue, remote_address};
use crate::own::of_account;
use crate::{Account, AccountError, AccountView};

/// Delete an account. Its name is never available again.
#[derive(Clone, Debug)]
pub struct DeleteAccount {
    pub account: Account,
    /// Why, if somebody other than the user does it.
    pub reason: Option<String>,
}

impl Target for DeleteAccount {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::AccountDelete)
    }
}

of_account! {
    DeleteAccount: account,
}

impl Accounts<'_> {
    /// The projects that only this account owns, by normalized name. They keep it from being
    /// deleted.
    pub async fn sole_owner_of(self, view: AccountView) -> Result<Vec<String>, StorageError> {
        self.storage().sole_owner_of(view.user()).await
    }

    /// Deletes an account: its credentials are removed, and its name stays reserved. Every verified
    /// address gets a mail.
    pub async fn delete(self, permit: Permit<DeleteAccount>) -> Result<(), AccountError> {
        let DeleteAccount {
            account,
            ref reason,
        } = *permit.target();
        let user = account.id();
        if reason.as_ref().is_some_and(|reason| {
            reason.is_empty() || reason.chars().count() > model::limit::REASON.length()
        }) {
            return Err(AccountError::InvalidReason);
        }
        let row = self
            .storage()
            .user(user)
            .await?
            .filter(|row| row.deleted_at.is_none() && account.is_own(&permit))
            .ok_or(AccountError::UnknownUser)?;
        let mailbox = self.identity.mailbox(&row).await?;
        let mut unit = permit.begin(self.storage()).await?;
        match unit.delete_user(user, permit.at()).await {
            Ok(true) => {}
            Ok(false) => return Err(AccountError::UnknownUser),
            // Loaded after the write, which is what decides.
            Err(error) if error.conflict() == Some(Conflict::SoleOwner) => {
                drop(unit);
                return Err(AccountError::SoleOwner(
                    self.storage().sole_owner_of(user).await?,
                ));
            }
            Err(error) => return Err(error.into()),
        }
        let words = [
            mailbox.user_name(),
            remote_address(permit.actor()),
            device(permit.actor()),
            at(permit.at()),
        ];
        let mail = Mail::new(MailKind::AccountDeleted, words);
        for address in mailbox.verified() {
            enqueue(&mut unit, &mail, Some(user), Some(address), permit.at()).await?;
        }
        let deleted = Detail::AccountDeleted {
            name: row.name.as_written().to_owned(),
            reason: reason.clone(),
        };
        unit.commit(&permit.event(deleted).about(user)).await?;
        Ok(())
    }
}
