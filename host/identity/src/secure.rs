//! "This wasn't me": everything that lets somebody in is ended at once.

use gate::{Permit, Target, TargetFacts};
use model::{Action, UserId};
use storage::StorageError;

use crate::Identity;

/// End every session, revoke every token and disable the password of a user.
#[derive(Clone, Copy, Debug)]
pub struct SecureAccount {
    pub user: UserId,
}

impl Target for SecureAccount {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::SessionEnd)
    }
}

impl Identity {
    /// Ends what lets anybody in, this session included, and mails a link for a new password.
    pub async fn secure_account(&self, permit: Permit<SecureAccount>) -> Result<(), StorageError> {
        let _ = permit;
        todo!()
    }
}
