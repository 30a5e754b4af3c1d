//! What the black-box tests are made of: a real server process ([`server`]), its command
//! line, a client that hides nothing ([`http`]), small real packages ([`package`]), an
//! authenticator app ([`totp`]), and the Python tools people upload with ([`clients`]).

pub mod http;
pub mod package;
pub mod totp;

pub use http::{Connection, Request, Response};
pub use package::{Distribution, Package};
pub use totp::Authenticator;
