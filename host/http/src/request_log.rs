//! The line that each request leaves in the log.

use std::net::IpAddr;
use std::time::Instant;

use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use gate::Attempt;
use model::{Caller, DecisionId, UserName};

use crate::client_address::Client;
use crate::shared::Shared;

/// Longest path written to the log, in bytes.
const MAX_LOGGED_PATH: usize = 512;

/// A path for the log. Without the query, where people put secrets, without tokens, and only in
/// plain ASCII: terminals act on some other characters.
fn logged_path(path: &str) -> String {
    let parts: Vec<&str> = path
        .split('/')
        .map(|part| match is_token(part) {
            true => "<token>",
            false => part,
        })
        .collect();
    parts
        .join("/")
        .bytes()
        .take(MAX_LOGGED_PATH)
        .map(|byte| {
            if byte.is_ascii_graphic() {
                byte as char
            } else {
                '?'
            }
        })
        .collect()
}

/// Whether it looks like an API token: a prefix of the operator's choice, then a macaroon.
fn is_token(part: &str) -> bool {
    const MACAROON: &str = "-AgE";
    const SHORTEST: usize = 40;
    part.len() >= SHORTEST && part.contains(MACAROON)
}

/// The log's word for a credential that was not accepted, on a read that went on without it.
const UNACCEPTED: &str = "not-accepted";

/// The log's word for an empty field.
const NOTHING: &str = "-";

/// The one line a request leaves in the log; also written on drop, if the client went away before
/// there was an answer.
pub(crate) struct Line {
    app: Shared,
    route: Option<(usize, &'static str)>,
    method: &'static str,
    path: String,
    pub(crate) head: bool,
    pub(crate) attempt: Option<Attempt>,
    address: IpAddr,
    credential: &'static str,
    user: Option<UserName>,
    started: Instant,
    written: bool,
}

impl Line {
    pub(crate) fn new(
        app: &Shared,
        route: Option<(usize, &'static str)>,
        request: &Parts,
        client: Client,
        attempt: Option<Attempt>,
        started: Instant,
    ) -> Self {
        let method = match request.method {
            Method::GET => "GET",
            Method::HEAD => "HEAD",
            Method::POST => "POST",
            Method::PUT => "PUT",
            Method::PATCH => "PATCH",
            Method::DELETE => "DELETE",
            Method::OPTIONS => "OPTIONS",
            _ => "OTHER",
        };
        let path = logged_path(request.uri.path());
        Self {
            app: app.clone(),
            route,
            method,
            path,
            head: request.method == Method::HEAD,
            attempt,
            address: client.address,
            credential: NOTHING,
            user: None,
            started,
            written: false,
        }
    }

    /// Notes the caller, once known. Until then the line names no caller: a claimed name is
    /// whatever its sender chose.
    pub(crate) fn identify(&mut self, caller: &Caller, is_unaccepted: bool) {
        self.credential = if is_unaccepted {
            UNACCEPTED
        } else {
            caller.credential.as_str()
        };
        self.user = caller.user().map(|user| user.name.clone());
    }

    /// The request's id, a new one if there was no attempt.
    pub(crate) fn id(&self) -> DecisionId {
        self.attempt
            .as_ref()
            .map_or_else(DecisionId::new, |attempt| attempt.id)
    }

    pub(crate) fn finish(mut self, status: StatusCode, decision: Option<DecisionId>) {
        self.write(status.as_u16(), decision);
    }

    fn write(&mut self, status: u16, decision: Option<DecisionId>) {
        self.written = true;
        let elapsed = self.started.elapsed();
        let attempt = self.attempt.as_ref();
        tracing::info!(
            target: "request",
            method = self.method,
            path = %self.path,
            status,
            decision = attempt.map(|attempt| tracing::field::display(decision.unwrap_or_else(|| attempt.decision()))),
            set = attempt.map(Attempt::set_number),
            deciding_us = attempt.map(Attempt::deciding_microseconds),
            total_us = elapsed.as_micros() as u64,
            credential = %self.credential,
            user = %self.user.as_ref().map_or(NOTHING, UserName::as_written),
            project = %attempt.and_then(Attempt::project).unwrap_or(NOTHING),
            address = %self.address,
        );
        self.app
            .request_metrics
            .count(self.route, self.method, status, elapsed);
    }
}

/// The log's status for a client that went away before its answer.
const CLIENT_WENT_AWAY: u16 = 499;

impl Drop for Line {
    fn drop(&mut self) {
        if !self.written {
            self.write(CLIENT_WENT_AWAY, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Uri;

    #[test]
    fn the_log_knows_no_query_and_no_control_characters() {
        let uri: Uri = "/simple/demo/?token=secret".parse().unwrap();
        assert_eq!(logged_path(uri.path()), "/simple/demo/");
        let token = format!("/simple/pypi-AgEIcHlwaS5vcmc{}/", "x".repeat(60));
        assert_eq!(logged_path(&token), "/simple/<token>/");
        assert_eq!(logged_path("/a\u{9b}31m\u{202e}b\n"), "/a??31m???b?");
        assert_eq!(logged_path(&"x".repeat(5000)).len(), MAX_LOGGED_PATH);
    }
}
