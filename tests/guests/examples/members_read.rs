//! Behaves well, except for one thing: everyone can read the project `open`; any other needs a role
//! on it. `odd` is open too, but with a credential no decision about it is possible.

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
