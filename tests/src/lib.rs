//! The parts of the black-box tests: a real server process and its command line ([`server`]), a
//! client that hides nothing ([`http`]), small real packages ([`package`]), an authenticator app
//! ([`totp`]), the Python tools for uploading ([`clients`]), a real browser ([`browser`]), and a
//! temporary PostgreSQL ([`postgres`]).

#![allow(clippy::disallowed_methods, reason = "tests see the machine's clock")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "only tests use it"
)]

pub mod browser;
pub mod clients;
pub mod http;
pub mod package;
pub mod postgres;
pub mod server;
pub mod totp;

pub use browser::Browser;
pub use clients::Clients;
pub use http::{Connection, Request, Response};
pub use package::{Distribution, Package};
pub use server::{Server, Setup, User, basic, basic_token, shipped_set, upload_request};
pub use totp::Authenticator;
