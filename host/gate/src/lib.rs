//! The decision, end to end: facts -> context -> verdicts -> decision -> obligations ->
//! [`Permit`].
//!
//! How to read this crate: [`Attempt`] is what is known of a request before anything is decided; a
//! [`Target`] is what it wants to do; [`Gate::decide`] brings the two together and answers with a
//! [`Permit`] that *contains* the target, or with a [`Refusal`] that says what to do. Use cases in
//! `identity` and `registry` take permits and nothing else.
//!
//! - [`core_rules`]: what no policy may widen: roles, token caveats, project status.
//! - [`context`]: converts facts of the model to the words of the contract with policies.
//! - [`generations`]: validates, swaps and rolls back policy sets.
//! - [`package`]: a policy set as a folder of files; [`judgement`]: whether it would lock everybody
//!   out, or has a policy that fails.
//! - [`recorder`]: the decision log and the audit of refusals.
//! - [`SetAside`]: a credential that a read does not use, since anonymous callers may read.
//!
//! Invariant: only this crate makes a `Permit`. Its fields are private and it has no
//! constructor outside [`Gate::decide`].

pub mod activations;
pub mod attempt;
pub mod break_glass;
pub mod context;
pub mod core_rules;
pub mod demands;
mod decide;
mod decision_metrics;
pub mod generations;
pub mod judgement;
pub mod obligations;
pub mod package;
pub mod permit;
pub mod recorder;
pub mod refusal;
mod set_aside;
pub mod target;
mod token_use;

pub use activations::{
    Activated, ApplySet, Candidate, LockedOut, RollBack, RollBackError, activate_first,
    activate_watched, apply, roll_back,
};
pub use attempt::{Attempt, Method};
pub use break_glass::break_glass;
pub use decide::{Gate, GateConfig, ServerIdentity};
pub use generations::{Activation, Generation, InstallError, load_set, read_set, silent_since};
pub use judgement::{Judgement, Lockout};
pub use package::{PackageError, SetPackage, VerifiedPackage, stored_spec};
pub use permit::Permit;
pub use recorder::{Recorder, RecorderConfig};
pub use refusal::{Reason, Refusal, RefusalKind};
pub use set_aside::SetAside;
pub use target::{
    ChangeFacts, FileFacts, MetadataFacts, ProjectFacts, ReleaseFacts, ReleaseStanding, ScopeFacts,
    Target, TargetFacts, VersionOrder,
};

pub use policy_engine::OwnerForm;
pub use policy_engine::contract::{
    Action as ActionOfContract, Page, Requirement, Setting, SettingError, SettingKind, SettingValue,
};
