//! A new password by a mailed link.

use gate::{Attempt, Gate, Refusal};
use model::{Timestamp, UserId, UserName};
use storage::{Secret, StorageError, UnitOfWork};

use crate::Identity;
use crate::password_change::PasswordProblem;

/// The purpose of the links in storage.
pub(crate) const PASSWORD_RESET: &str = "password-reset";

impl Identity {
    /// Asks for a link to set a new password, by user name or e-mail address. The answer, the
    /// work and the statements are the same whether there is an account or not; only a
    /// verified primary address gets the link.
    pub async fn request_password_reset(&self, gate: &Gate, attempt: &Attempt, name_or_email: &str) -> Result<(), Refusal> {
        let _ = (gate, attempt, name_or_email);
        todo!()
    }

    /// Whose password a link would set, for the page with the form. Changes nothing.
    pub async fn password_reset(&self, link: &str) -> Result<Option<UserName>, StorageError> {
        let _ = link;
        todo!()
    }

    /// Sets a new password by a link, which enables the password. Ends every session.
    pub async fn reset_password(&self, gate: &Gate, attempt: &Attempt, link: &str, new: Secret<String>) -> Result<(), PasswordProblem> {
        let _ = (gate, attempt, link, new);
        todo!()
    }

    /// A link for a new password, as a whole address for a mail, made in the unit of the
    /// change that the mail tells of. The user's earlier ones count no more.
    pub(crate) async fn password_link(&self, unit: &mut UnitOfWork, user: UserId, at: Timestamp) -> Result<Secret<String>, StorageError> {
        let _ = (unit, user, at);
        todo!()
    }
}
