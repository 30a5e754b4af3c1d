//! May this happen? Loads policy modules, assembles them into policy sets, and decides.
//!
//! The only crate that names wasmtime; it depends on no other crate of the workspace.
//!
//! How to read it: [`contract`] is the interface between host and policies; [`Engine`] turns the
//! bytes of a module into a [`Module`] (`load`, `compile`, `cache`); [`PolicySet`] binds modules
//! and their settings ([`set`], `settings`); its [`decide`](PolicySet::decide) runs every bound
//! policy that hears the action, each in a fresh sandbox (`evaluate`), and [`combine`] turns their
//! verdicts into one [`Decision`].

mod budget;
mod cache;
pub mod cases;
pub mod combine;
mod compile;
pub mod contract;
mod decision;
mod describe;
mod engine;
mod evaluate;
mod health;
mod load;
mod module;
mod policy_set;
mod probe;
pub mod set;
mod settings;
pub mod survey;
pub mod table;
mod text;
mod verdict;

pub use budget::Budget;
pub use cache::ModuleCache;
pub use compile::{CompileError, Compiler, compile_worker_main};
pub use decision::{Decision, DecisionOutcome, PolicyIdentity, PolicyRecord};
pub use engine::{Engine, EngineConfig, EngineError};
pub use evaluate::EvaluateFailure;
pub use health::PolicyHealth;
pub use load::{LoadError, MAXIMUM_BYTES as MAXIMUM_MODULE_BYTES, core_imports};
pub use module::Module;
pub use policy_set::{BoundSettings, OwnerForm, PolicySet, SettingInForce};
pub use set::{BindingSpec, Grade, SetError, SetSpec};
pub use settings::OwnerSettings;
