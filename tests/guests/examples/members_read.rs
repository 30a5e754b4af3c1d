//! Behaves well, but for one thing: the project `open` is read by everybody, any other by who
//! has a role on it. `odd` is open too, and about it nothing can be decided with a credential.

use policy_sdk::{Action, CredentialKind, Reason, Role, deny, permit};

guests::guest!("members-read", |context| {
    let name = context
        .project
        .as_ref()
        .map_or("", |project| project.name.as_str());
    let has_role = context
        .project
        .as_ref()
        .is_some_and(|project| project.role != Role::None);
    assert!(
        name != "odd" || context.credential == CredentialKind::None,
        "a guest that fails"
    );
    match context.action {
        Action::IndexRead | Action::FileDownload
            if !has_role && !matches!(name, "open" | "odd") =>
        {
            deny(Reason {
                code: "members-only".into(),
                message: "Members read this.".into(),
                remedy: "Use an API token.".into(),
                page: None,
            })
        }
        _ => permit(),
    }
});
