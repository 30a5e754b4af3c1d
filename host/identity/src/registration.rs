//! Registering, and the first user of an empty registry.

use gate::{Attempt, Gate, Refusal};
use model::UserName;
use storage::{Secret, StorageError};

use crate::Identity;
use crate::passwords::Busy;

/// What somebody who registers typed.
#[derive(Clone, Debug)]
pub struct RegisterForm {
    pub user_name: String,
    pub email: String,
    pub password: Secret<String>,
}

/// What is wrong with one field of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// `user-name`, `email` or `password`.
    pub field: &'static str,
    /// A sentence for people, without a full stop.
    pub message: String,
}

/// A registration that waits for its link to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingRegistration {
    pub user_name: UserName,
    pub email: String,
}

/// Why nothing was registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterProblem {
    #[error("the form is not filled in correctly")]
    Invalid(Vec<FieldError>),
    #[error("the link does not count any more")]
    UnknownLink,
    #[error(transparent)]
    Refused(Refusal),
    #[error(transparent)]
    Busy(#[from] Busy),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why a registration was not confirmed.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmProblem {
    #[error("the link does not count any more; register again")]
    UnknownLink,
    #[error("the user name is taken; register again with another one")]
    NameTaken,
    #[error("the e-mail address belongs to an account already")]
    EmailTaken,
    #[error(transparent)]
    Refused(Refusal),
    #[error(transparent)]
    Storage(StorageError),
}

impl Identity {
    /// Begins a registration. The answer, the work and the statements are the same whether the
    /// name and the address are free or not; the owner of the address learns it by mail.
    pub async fn register(&self, gate: &Gate, attempt: &Attempt, form: RegisterForm) -> Result<(), RegisterProblem> {
        let _ = (gate, attempt, form);
        todo!()
    }

    /// The registration behind a link, for the page that asks for a confirmation. Changes nothing.
    pub async fn registration(&self, link: &str) -> Result<Option<PendingRegistration>, StorageError> {
        let _ = link;
        todo!()
    }

    /// Creates the user of a confirmed registration, with a verified address and the password.
    pub async fn confirm_registration(&self, gate: &Gate, attempt: &Attempt, link: &str) -> Result<UserName, ConfirmProblem> {
        let _ = (gate, attempt, link);
        todo!()
    }

    /// The secret of a link that makes one first user, as long as there is no user. Each call
    /// makes a new one, and the ones before count no more.
    pub async fn first_user_link(&self) -> Result<Option<Secret<String>>, StorageError> {
        todo!()
    }

    /// Whether a link would make the first user. Changes nothing.
    pub async fn is_first_user_link(&self, link: &str) -> Result<bool, StorageError> {
        let _ = link;
        todo!()
    }

    /// Creates the first user, who is staff.
    pub async fn create_first_user(&self, gate: &Gate, attempt: &Attempt, link: &str, form: RegisterForm) -> Result<UserName, RegisterProblem> {
        let _ = (gate, attempt, link, form);
        todo!()
    }
}
