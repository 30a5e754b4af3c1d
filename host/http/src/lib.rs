//! The registry over HTTP: the routes, the steps of a request, and the connections it arrives on.
//! The only crate that names axum.
//!
//! How to read this crate: [`routes`] is the one table of everything that is served, joined from
//! the rows of the rooms, one room for each group of callers: [`index`], [`upload`], [`api`],
//! [`account`], [`staff`], [`open`]. [`pipeline`] has the steps of every request before its handler
//! (client address, attempt, [`origin`], [`credential`]) and after it ([`answer_headers`],
//! [`request_log`], metrics). Handlers are thin: they load a target, let the gate decide, and hand
//! the permit to a use case of `registry` or `identity`. [`frame`] has the parts of all pages, and
//! [`problem`] writes every answer that is not a success, in the form its client shows to people.
//!
//! To add a route: one row in the `ROUTES` of its room and a handler next to its siblings. The
//! router is built from the table and from nothing else. Modules depend on each other one way only:
//! the table on the rooms, rooms on the frame and [`exchange`], these on [`shared`].
//!
//! Invariants: no handler sees a request whose credential was not checked; a row of the table
//! either names an action or is on the closed list of open routes (`tests`); links are made from
//! the configured public address, never from a `Host` header.

#![allow(clippy::cmp_owned, reason = "askama compares so in templates")]

mod routes;
mod route;
mod site_map;

mod index;
mod upload;
mod api;
mod account;
mod staff;
mod open;
mod frame;

mod listener;
mod app;
mod pipeline;
mod client_address;
mod origin;
mod credential;
mod early;
mod proof;
mod not_served;
mod answer_headers;
mod request_log;

mod exchange;
mod shared;
mod config;
mod body;
mod small_bodies;
mod cookies;
mod fetch_metadata;
mod negotiate;
mod presence;
mod url;

mod answer;
mod problem;
mod refusal;
mod reason_phrase;
mod words;

mod crowd;
mod metrics;

pub use answer_headers::{DECISION_HEADER, POLICY_SET_HEADER};
pub use app::App;
pub use client_address::{InvalidNetwork, Network, PeerAddress};
pub use config::{AppConfig, InvalidPublicUrl};
pub use listener::serve;
pub use metrics::{InstallMetricsError, Metrics};
pub use route::{Access, Audience, Credentials, Route, Verb};
pub use routes::routes;
