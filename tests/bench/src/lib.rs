//! The cost of Portcullis, compared with alternatives.
//!
//! - [`contexts`]: the cases, the same for every engine.
//! - [`rules`]: the four policies of the default set, rewritten for each engine to compare with.
//!   They make the same decisions as `plugins/*`; the benchmark checks that before it measures
//!   anything.
//! - [`measure`]: percentiles, and a table.
//! - [`rig`]: two servers with the same files, and load on them.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks")]

pub mod contexts;
pub mod measure;
pub mod rig;
pub mod rules;
