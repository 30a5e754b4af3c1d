//! The registry with a real database, a real gate and the set `default` of this repository.
//!
//! Needs the policy modules: `cargo xtask build-plugins`.

#[path = "suite/blobs.rs"]
mod blobs;
#[path = "suite/fixture.rs"]
mod fixture;
#[path = "suite/manage.rs"]
mod manage;
#[path = "suite/pages.rs"]
mod pages;
#[path = "suite/quotas.rs"]
mod quotas;
#[path = "suite/rows.rs"]
mod rows;
#[path = "../src/archive/samples.rs"]
#[allow(dead_code)]
mod samples;
#[path = "suite/staging.rs"]
mod staging;
#[path = "suite/uploads.rs"]
mod uploads;
