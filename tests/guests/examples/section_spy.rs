//! Asks only for the project, and refuses if it gets anything else.
#![cfg_attr(
    not(target_arch = "wasm32"),
    allow(dead_code, reason = "only the exports for wasm use it")
)]

use policy_sdk::{
    ActionSet, Change, Context, Descriptor, Policy, Principal, Reason, Sections, Verdict, deny,
    permit,
};

struct Guest;

policy_sdk::settings! {
    /// What owners choose.
    struct Owner {
        /// Must arrive as it was chosen.
        number: i64 = integer("Number", 0..=10, 3),
    }
}

impl Policy for Guest {
    type Operator = ();
    type Owner = Owner;

    fn describe() -> Descriptor {
        guests::descriptor("section-spy")
            .hears(ActionSet::ALL)
            .needs(Sections::PROJECT)
    }

    fn evaluate(_: &(), owner: &Owner, context: &Context) -> Verdict {
        let told = context.request.is_some()
            || !matches!(context.principal, Principal::Anonymous)
            || context.token.is_some()
            || context.assurance.is_some()
            || context.release.is_some()
            || context.file.is_some()
            || context.metadata.is_some()
            || !matches!(context.change, Change::Nothing);
        if told {
            return deny(Reason::new(
                "told-too-much",
                "The policy was told more than it asked for.",
            ));
        }
        match context
            .project
            .as_ref()
            .map(|project| (project.name.as_str(), owner.number))
        {
            Some((_, 7)) => permit(),
            Some((name, number)) => deny(Reason::new(
                "wrong-number",
                format!("{name} has the number {number}."),
            )),
            None => deny(Reason::new("no-project", "There is no project.")),
        }
    }
}

policy_sdk::export!(Guest);
