//! The way past the policies: the command line on the server's host.
//!
//! A person with a shell there can read the database anyway. This gives them the same use cases
//! with the same checks, and a trace. HTTP cannot reach this function: it needs the name of a
//! system user, which no request carries.

use model::audit::Actor;
use model::{Assurance, Clock, DecisionId};
use storage::decisions::DecisionRow;
use storage::{Storage, StorageError};

use crate::permit::{Grant, Permit};
use crate::target::Target;

/// Permits `target` to somebody with shell access, without asking any policy, and records
/// a decision with outcome `break-glass`.
pub async fn break_glass<T: Target>(
    storage: &Storage,
    clock: &dyn Clock,
    system_user: &str,
    target: T,
) -> Result<Permit<T>, StorageError> {
    let at = clock.now();
    let decision = DecisionId::new();
    let facts = target.facts();
    let row = DecisionRow {
        id: decision,
        at,
        action: facts.action.as_str().to_owned(),
        outcome: "break-glass".to_owned(),
        set_number: None,
        user: None,
        token: None,
        project_name: facts
            .project
            .as_ref()
            .map(|project| project.normalized.to_owned()),
        route: "command line".to_owned(),
        remote_address: String::new(),
        microseconds: 0,
        would_refuse: None,
        record: serde_json::json!({ "system-user": system_user }).to_string(),
    };
    drop(facts);
    storage.record_decisions(std::slice::from_ref(&row)).await?;
    let actor = Actor::CommandLine {
        system_user: system_user.to_owned(),
    };
    let grant = Grant {
        decision,
        set_number: 0,
        activation: None,
        at,
        staged: false,
        reasons: Vec::new(),
        warnings: Vec::new(),
        actor,
        assurance: Assurance::NONE,
        session: None,
        token: None,
        is_without_credential: false,
        unrecorded: None,
    };
    Ok(Permit::new(target, grant))
}
