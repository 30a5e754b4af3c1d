//! Deleting one's own account.

use gate::{Permit, Target, TargetFacts};
use model::{Action, UserId};
use storage::StorageError;

use crate::{AccountError, Identity};

/// Delete an account. Its name is never free again.
#[derive(Clone, Copy, Debug)]
pub struct DeleteAccount {
    pub user: UserId,
}

impl Target for DeleteAccount {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::AccountDelete)
    }
}

impl Identity {
    /// What keeps an account from being deleted: the projects that it alone owns, in order of name.
    pub async fn sole_owner_of(&self, user: UserId) -> Result<Vec<String>, StorageError> {
        let _ = user;
        todo!()
    }

    /// Deletes an account: what it proves itself with goes, its name stays behind.
    pub async fn delete_account(&self, permit: Permit<DeleteAccount>) -> Result<(), AccountError> {
        let _ = permit;
        todo!()
    }
}
