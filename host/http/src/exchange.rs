//! What a handler is given: one request, after the pipeline is done with it.

use axum::body::Body;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use gate::{Attempt, Permit, Target};
use identity::UnspentCode;
use model::{Caller, ProjectName};
use serde::Serialize;

use crate::app::Shared;
use crate::body::Incoming;
use crate::client_address::Client;
use crate::problem::{Answer, Problem};
use crate::staged::ExpectedFiles;

/// A request that the gate decides about, with its caller.
pub(crate) struct Exchange {
    pub(crate) app: Shared,
    pub(crate) attempt: Attempt,
    pub(crate) caller: Caller,
    /// The one-time code of a person who proved it in this request; spent by [`Exchange::decide`].
    pub(crate) code: Option<UnspentCode>,
    /// The staged files that this person looked at; none if they did not say.
    pub(crate) expected_files: Option<ExpectedFiles>,
    pub(crate) request: Parts,
    pub(crate) parameters: Parameters,
    /// None for methods without a body.
    pub(crate) body: Option<Incoming>,
}

/// A request to an open route.
pub(crate) struct OpenExchange {
    pub(crate) app: Shared,
    pub(crate) client: Client,
    pub(crate) request: Parts,
}

impl Exchange {
    /// Lets the gate decide; the only way from a handler to a permit.
    pub(crate) async fn decide<T: Target>(&self, target: T) -> Result<Permit<T>, Problem> {
        self.decide_possible(target, |_| Ok(())).await
    }

    /// The same for what may turn out to be impossible for a reason that is known already.
    ///
    /// Invariant: a one-time code is spent after the decision and before the permit is handed
    /// out. So what is refused or impossible costs no code, one code leads to one permit, and
    /// only who was permitted learns what is impossible: strangers are refused before.
    pub(crate) async fn decide_possible<T: Target>(&self, target: T, possible: impl FnOnce(&T) -> Result<(), Problem>) -> Result<Permit<T>, Problem> {
        let action = target.facts().action;
        let permit = self.app.gate.decide(&self.attempt, &self.caller, target).await?;
        possible(permit.target())?;
        if let Some(code) = &self.code {
            self.app.identity.spend_code(&self.app.gate, &self.attempt, action, code).await?;
        }
        Ok(permit)
    }

    /// The request's headers.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.request.headers
    }

    /// Something of ours failed.
    pub(crate) fn unavailable(&self, cause: impl std::fmt::Display) -> Problem {
        Problem::unavailable(&cause, self.attempt.id)
    }

    /// The project named in the path; none if no project can have such a name.
    pub(crate) fn project(&self) -> Option<ProjectName> {
        ProjectName::parse(self.parameters.get("project")).ok()
    }
}

/// The parameters of the path, decoded.
#[derive(Debug, Default)]
pub(crate) struct Parameters(Vec<(Box<str>, Box<str>)>);

impl Parameters {
    /// Reads them off a matched request; none if they are no UTF-8.
    pub(crate) async fn read(request: &mut Parts) -> Option<Self> {
        let raw = RawPathParams::from_request_parts(request, &()).await.ok()?;
        Some(Self(raw.iter().map(|(name, value)| (name.into(), value.into())).collect()))
    }

    /// The value; empty if the route has no such parameter.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| **known == *name).map_or("", |(_, value)| value)
    }
}

/// A success with JSON, made for this one request.
pub(crate) fn json<T: Serialize>(value: &T) -> Answer {
    let text = serde_json::to_vec(value).map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The answer could not be written."))?;
    Ok(answer("application/json", Body::from(text)))
}

/// A success with a body, not to be stored by anybody.
pub(crate) fn answer(content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(axum::http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A redirect to a path below the public address. `path` is ours or normalized, so it needs
/// no quoting; one that does is answered as not found.
pub(crate) fn redirect(app: &Shared, status: StatusCode, path: &str) -> Answer {
    let location = HeaderValue::try_from(format!("{}{path}", app.public_url())).map_err(|_| Problem::new(StatusCode::NOT_FOUND, "not-found", "Not Found"))?;
    let mut response = answer("text/plain; charset=utf-8", Body::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}
