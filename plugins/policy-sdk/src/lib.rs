//! The SDK for writing Portcullis policies.
//!
//! A policy is a type that implements one trait, [`Policy`], and one line, [`export!`]:
//!
//! ```
//! use policy_sdk::prelude::*;
//!
//! pub struct NoWheels;
//!
//! settings! {
//!     /// What the operator sets.
//!     pub struct Operator {
//!         /// Refuses wheels above this size, in bytes.
//!         pub limit: i64 = integer("Largest wheel", 0..=1_000_000_000, 50_000_000),
//!     }
//! }
//!
//! impl Policy for NoWheels {
//!     type Operator = Operator;
//!     type Owner = ();
//!
//!     fn describe() -> Descriptor {
//!         Descriptor::new("small-wheels", "0.1.0", "Refuses large wheels.").hears(&[Action::FileUpload]).needs(Sections::FILE)
//!     }
//!
//!     fn evaluate(operator: &Operator, _: &(), context: &Context) -> Verdict {
//!         let too_large = context.file.as_ref().is_some_and(|file| file.kind == FileKind::Wheel && file.size as i64 > operator.limit);
//!         match too_large {
//!             true => deny(Reason::new("wheel-too-large", "The wheel is too large.").remedy("Leave test data out of it.")),
//!             false => abstain(),
//!         }
//!     }
//! }
//!
//! policy_sdk::export!(NoWheels);
//! assert_eq!(NoWheels::evaluate(&Operator::default(), &(), &Context::of(Action::FileUpload, CredentialKind::ApiToken)), abstain());
//! ```
//!
//! Reading order: the types of the contract ([`contract`]), the additions of this crate
//! ([`action`], [`context`], [`verdict`]), the settings that a policy offers ([`settings`]), the
//! facts that a native test starts from ([`example`]), and the layer between a policy and the host
//! ([`module`]).

#[allow(unsafe_code, unreachable_pub, clippy::all, missing_docs, reason = "generated")]
#[doc(hidden)]
#[rustfmt::skip]
pub mod bindings;

/// The types of the contract (`wit/policy.wit`), as they cross the border.
pub mod contract {
    pub use crate::bindings::exports::portcullis::policy::policy::{
        Action, Assurance, Change, Claim, Context, CredentialKind, Descriptor, Factor, FactorUse,
        Factors, File, FileKind, Metadata, Method, NewToken, Obligation, Outcome, Page,
        PasswordState, Principal, Project, ProjectStatus, Publisher, Range, Reason, Release,
        ReleaseState, Request, Requirement, Role, RoleChange, Sections, Setting, SettingError,
        SettingKind, SettingValue, Token, TokenScope, User, Verdict, VersionOrder,
    };
}

pub mod action;
pub mod context;
pub mod example;
pub mod module;
pub mod settings;
pub mod verdict;

#[cfg(target_arch = "wasm32")]
mod memory;

/// The policy in the authors' guide compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/policy-authors.md")]
pub struct Guide;

pub use action::ActionSet;
pub use contract::*;
pub use module::Policy;
pub use settings::Settings;
pub use verdict::{Requirements, abstain, deny, permit, require, stage};

/// Everything that a policy usually needs.
pub mod prelude {
    pub use crate::action::ActionSet;
    pub use crate::contract::*;
    pub use crate::module::Policy;
    pub use crate::settings::Settings;
    pub use crate::verdict::{Requirements, abstain, deny, permit, require, stage};
    pub use crate::{choice, settings};
}
