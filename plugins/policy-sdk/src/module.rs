//! The layer between a policy and the host.

use crate::action::ActionSet;
use crate::contract::{Context, Descriptor, Sections, SettingError, SettingValue, Verdict};
use crate::settings::Settings;

/// A policy. It sees only its arguments and keeps no state: the same settings and the same context
/// always give the same verdict.
pub trait Policy {
    /// The settings for the operator; `()` for none.
    type Operator: Settings;
    /// The settings for the owners of each project; `()` for none.
    type Owner: Settings;

    /// Describes the policy. The settings are filled in from the types above.
    fn describe() -> Descriptor;

    /// Checks settings beyond their types. `owner` is absent if only the operator's settings are
    /// checked.
    fn validate(
        operator: &Self::Operator,
        owner: Option<&Self::Owner>,
    ) -> Result<(), Vec<SettingError>> {
        let _ = (operator, owner);
        Ok(())
    }

    /// Decides one request. `owner` holds the choices of the project's owners, or the defaults if
    /// the request is not about a project.
    fn evaluate(operator: &Self::Operator, owner: &Self::Owner, context: &Context) -> Verdict;
}

impl Descriptor {
    /// A policy that hears nothing yet. `name`: lower-case words joined by hyphens; `version`:
    /// semver, `env!("CARGO_PKG_VERSION")` in most crates; `summary`: the policy's demand, in one
    /// sentence.
    pub fn new(name: &str, version: &str, summary: &str) -> Self {
        Descriptor {
            name: name.to_owned(),
            version: version.to_owned(),
            summary: summary.to_owned(),
            actions: Vec::new(),
            sections: Sections::empty(),
            operator_settings: Vec::new(),
            owner_settings: Vec::new(),
        }
    }

    /// The actions that it hears.
    #[must_use]
    pub fn hears(mut self, actions: impl Into<ActionSet>) -> Self {
        self.actions = actions.into().iter().collect();
        self
    }

    /// The sections of the context that it needs. Other sections are not sent.
    #[must_use]
    pub fn needs(mut self, sections: Sections) -> Self {
        self.sections = sections;
        self
    }
}

/// The descriptor of a policy with its settings, for the host.
pub fn describe<P: Policy>() -> Descriptor {
    let mut descriptor = P::describe();
    descriptor.operator_settings = P::Operator::describe();
    descriptor.owner_settings = P::Owner::describe();
    if !descriptor.owner_settings.is_empty() {
        // The owners' choices are part of this section.
        descriptor.sections |= Sections::PROJECT;
    }
    descriptor
}

/// Checks settings for the host: an empty `owner` means that only the operator's are checked.
pub fn validate_settings<P: Policy>(
    operator: Vec<SettingValue>,
    owner: Vec<SettingValue>,
) -> Result<(), Vec<SettingError>> {
    let owner = if owner.is_empty() {
        None
    } else {
        Some(P::Owner::read(owner))
    };
    P::validate(&P::Operator::read(operator), owner.as_ref())
}

/// Decides one request for the host.
pub fn evaluate<P: Policy>(settings: Vec<SettingValue>, mut context: Context) -> Verdict {
    let owner = match &mut context.project {
        Some(project) => P::Owner::read(std::mem::take(&mut project.settings)),
        None => P::Owner::default(),
    };
    P::evaluate(&P::Operator::read(settings), &owner, &context)
}

/// Exports the crate's policy from its module.
///
/// Does nothing on targets other than wasm, so that several policies can be linked into one native
/// test.
#[macro_export]
macro_rules! export {
    ($policy:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Module;

            impl $crate::bindings::exports::portcullis::policy::policy::Guest for Module {
                fn describe() -> $crate::contract::Descriptor {
                    $crate::module::describe::<$policy>()
                }

                fn validate_settings(
                    operator: ::std::vec::Vec<$crate::contract::SettingValue>,
                    owner: ::std::vec::Vec<$crate::contract::SettingValue>,
                ) -> ::std::result::Result<(), ::std::vec::Vec<$crate::contract::SettingError>>
                {
                    $crate::module::validate_settings::<$policy>(operator, owner)
                }

                fn evaluate(
                    settings: ::std::vec::Vec<$crate::contract::SettingValue>,
                    context: $crate::contract::Context,
                ) -> $crate::contract::Verdict {
                    $crate::module::evaluate::<$policy>(settings, context)
                }
            }

    $crate::bindings::export_policy_module!(Module with_types_in $crate::bindings);
        };
    };
}
