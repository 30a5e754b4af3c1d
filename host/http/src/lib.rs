//! How people and tools ask: the routes, what a request goes through, and the connections
//! it arrives on. The only crate that names axum.
//!
//! How to read this crate: [`routes`] is the one table of everything that can be asked;
//! [`pipeline`] is what every request goes through before its handler (client address,
//! attempt, [`origin`], [`credential`]) and after it ([`answer_headers`], [`request_log`],
//! metrics). Handlers are thin: they
//! load a target, let the gate decide, and hand the permit to a use case of `registry` or
//! `identity`. [`problem`] writes every answer that is no success, in the form its client
//! shows to people.
//!
//! To add a route: one row in [`routes::ROUTES`] and a handler beside its siblings. The
//! router is built from the table and from nothing else.
//!
//! Invariants: no handler sees a request whose credential was not looked at; a row of the
//! table either names an action or is on the closed list of open routes (`tests`); links
//! are made from the configured public address, never from a `Host` header.

#![allow(clippy::cmp_owned, reason = "askama compares so in templates")]

mod answer_headers;
mod app;
mod body;
mod client_address;
mod cookies;
mod credential;
mod crowd;
mod exchange;
mod files;
mod form;
mod health;
mod json_api;
mod listener;
mod metrics;
mod negotiate;
mod origin;
mod pages;
mod people;
mod pipeline;
mod problem;
mod range;
mod reading;
mod reason_phrase;
mod refusal;
mod request_log;
pub mod routes;
mod simple;
mod staged;
mod step_up;
mod upload;

pub use answer_headers::{DECISION_HEADER, POLICY_SET_HEADER};
pub use app::{App, AppConfig, InvalidPublicUrl};
pub use client_address::{InvalidNetwork, Network};
pub use listener::serve;
pub use metrics::{InstallMetricsError, Metrics};
pub use pipeline::PeerAddress;
pub use routes::{Access, Audience, Credentials, Route, routes};
