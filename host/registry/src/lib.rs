//! The registry's use cases: upload, publish, stage, release, index, files.
//!
//! Read [`Registry`] first, then [`upload`] (a form and a spooled file become a file of a release),
//! [`staging`] (files that wait to be published), [`index`] (the pages for pip and uv) and
//! [`files`] (downloads). [`targets`] are the subjects of decisions; every use case that changes
//! something takes a `gate::Permit` of one of them.
//!
//! - [`spool`]: receiving bytes; [`sweep`]: bytes that no file refers to. Only the crate `blobs`
//!   knows where they are stored.
//! - [`form`], [`filename`], [`metadata`], [`archive`]: strict parsing of uploads.
//! - [`projects`]: roles, settings and status of projects; [`removal`]: yanking and deleting.
//!
//! Invariant: a file's blob is durable before the row that names it, and the row is written in one
//! transaction with the audit event and everything that readers could see of it.

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
