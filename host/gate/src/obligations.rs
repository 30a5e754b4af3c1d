//! What the host must do for a decision to hold.
//!
//! An obligation the host cannot fulfil turns the decision into a denial: a policy that
//! permits "if a mail is sent" has not permitted anything else.

use model::Caller;
use model::audit::{AuditEvent, EventKind};
use policy_engine::contract::Obligation;
use storage::{Storage, StorageError};

use crate::attempt::Attempt;
use crate::recorder::actor_of;

/// Why an obligation could not be fulfilled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ObligationError {
    #[error("this registry does not know the obligation `{0}`")]
    Unknown(String),
    #[error("the obligation `{0}` needs a user, and the caller is none")]
    NoUser(&'static str),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Fulfils every obligation of a decision, each with its audit event, or says which one it
/// could not. Nothing is done if any of them is unknown.
pub(crate) async fn fulfil(storage: &Storage, attempt: &Attempt, caller: &Caller, obligations: &[Obligation]) -> Result<(), ObligationError> {
    for obligation in obligations {
        match obligation {
            Obligation::DisablePassword => {}
            // This registry sends no mail yet, so it cannot promise one.
            Obligation::SendMail(name) => return Err(ObligationError::Unknown(format!("send-mail {name}"))),
            Obligation::Other(name) => return Err(ObligationError::Unknown(name.clone())),
        }
    }
    for obligation in obligations {
        if let Obligation::DisablePassword = obligation {
            let user = caller.user().ok_or(ObligationError::NoUser("disable-password"))?.id;
            let mut unit = storage.begin().await?;
            unit.disable_password(user, "policy").await?;
            let event = AuditEvent {
                at: attempt.at,
                kind: EventKind::PasswordDisabled,
                actor: actor_of(attempt, caller),
                user: Some(user),
                project: None,
                decision: Some(attempt.id),
                detail: serde_json::json!({ "because": "a policy demanded it" }),
            };
            unit.commit(&event).await?;
        }
    }
    Ok(())
}
