//! What we do: upload, publish, stage, release, index, files.
//!
//! Read [`Registry`] first, then [`upload`] (a form and a spooled file become a file of a
//! release), [`staging`] (files that wait for somebody to publish them), [`index`] (what
//! pip and uv read) and [`files`] (downloads). [`targets`] are what decisions are made
//! about; every use case that changes something takes a `gate::Permit` of one of them.
//!
//! - [`spool`]: bytes on their way in; [`sweep`]: those that no file refers to. Where they lie
//!   only the crate `blobs` knows.
//! - [`form`], [`filename`], [`metadata`], [`archive`]: what was uploaded, parsed strictly.
//! - [`projects`]: roles, settings and status of projects; [`removal`]: yanking and deleting.
//!
//! Invariant: a file's blob is durable before the row that names it, and the row is
//! written in one transaction with everything readers could see of it and the audit event.

mod archive;
mod blocking;
mod filename;
pub mod files;
pub mod form;
pub mod index;
mod metadata;
mod notices;
pub mod projects;
mod registry;
pub mod removal;
pub mod spool;
pub mod staging;
pub mod sweep;
pub mod targets;
pub mod upload;

pub use registry::{RESERVED_NAMES, Registry, RegistryConfig};
