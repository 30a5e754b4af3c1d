//! What Portcullis costs, beside what it stands in for.
//!
//! - [`contexts`]: what is decided, the same for every engine.
//! - [`rules`]: the four policies of the default set, once more for each engine to compare
//!   with. They say the same as `plugins/*`, and the benchmark checks that they do before
//!   it measures anything.
//! - [`measure`]: percentiles, and a table.
//! - [`rig`]: two servers with the same files, and load on them.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks")]

pub mod contexts;
pub mod measure;
pub mod rig;
pub mod rules;
