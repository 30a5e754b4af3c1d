//! What a handler is given: one request, after the pipeline is done with it.

use std::error::Error;

use axum::body::Body;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use gate::{Attempt, Permit, Refusal, Target};
use identity::UnspentCode;
use model::{Caller, ProjectName, UserFacts};
use serde::Serialize;
use storage::Conflict;

use crate::app::Shared;
use crate::body::Incoming;
use crate::client_address::Client;
use crate::cookies::Browser;
use crate::form::{Form, query_value};
use crate::json_api::quoted;
use crate::pages::layout::Notice;
use crate::problem::{Answer, Problem};
use crate::routes;
use crate::staged::ExpectedFiles;

/// A request that the gate decides about, with its caller.
pub(crate) struct Exchange {
    pub(crate) app: Shared,
    pub(crate) attempt: Attempt,
    pub(crate) caller: Caller,
    /// The one-time code of a person who proved it in this request; spent by [`Exchange::decide`],
    /// not by [`Exchange::decide_look`].
    pub(crate) code: Option<UnspentCode>,
    /// The staged files that this caller looked at; none if they did not say.
    pub(crate) expected_files: Option<ExpectedFiles>,
    /// What the account's pages tell its owner, whatever they are about.
    pub(crate) announcement: Option<Notice>,
    /// What the browser remembers of us.
    pub(crate) browser: Browser,
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

    /// The same for what only looks: the code, which was right, is not spent. So one code shows
    /// somebody what there is and lets them decide about it. It is short-lived, and a person is
    /// proven on a device of theirs.
    pub(crate) async fn decide_look<T: Target>(&self, target: T) -> Result<Permit<T>, Problem> {
        Ok(self.app.gate.decide(&self.attempt, &self.caller, target).await?)
    }

    /// The same for a page: where all that is missing is a proof that the person can give now,
    /// the answer is the page that asks for it, and `form` is sent once more after that.
    /// Secrets of the form are not kept, so a form with secrets is decided about before it is
    /// shown as well.
    pub(crate) async fn decide_page<T: Target>(&self, target: T, form: &Form) -> Result<Permit<T>, Problem> {
        match self.app.gate.decide(&self.attempt, &self.caller, target).await {
            Ok(permit) => Ok(permit),
            Err(refusal) => Err(self.refused(refusal, form).await),
        }
    }

    /// A refusal as [`decide_page`](Self::decide_page) answers it, for use cases that decide
    /// by themselves.
    pub(crate) async fn refused(&self, refusal: Refusal, form: &Form) -> Problem {
        crate::step_up::refused(self, refusal, form).await
    }

    /// Who is logged in. A browser of nobody is sent to log in, and back afterwards.
    pub(crate) fn person(&self) -> Result<&UserFacts, Problem> {
        self.caller.user().ok_or_else(|| {
            let notice = match (&self.body, &self.browser.session_cookie) {
                (Some(_), _) => "not-done",
                (None, Some(_)) => "session-ended",
                (None, None) => "log-in",
            };
            self.log_in(notice, "Nobody is logged in.")
        })
    }

    /// Sends a browser to log in, and back afterwards.
    fn log_in(&self, notice: &str, message: &str) -> Problem {
        let problem = Problem::new(StatusCode::FORBIDDEN, "not-logged-in", message);
        let problem = problem.remedy("Log in with a browser; this page is for people.", None);
        let path = match self.body {
            None => self.request.uri.path_and_query().map_or("/account/", |path| path.as_str()),
            // What a form would have changed is asked for once more, on its page.
            Some(_) => Some(self.request.uri.path()).filter(|path| routes::page_at(path)).unwrap_or("/account/"),
        };
        match see_other(&self.app, &format!("/login?next={}&notice={notice}", quoted(path))) {
            Ok(response) => problem.in_browsers(response),
            Err(_) => problem,
        }
    }

    /// The form in the body. After a step-up, which sends it once more, it has no secrets.
    pub(crate) async fn form(&self) -> Result<Form, Problem> {
        Ok(self.whole_form().await?.after_step_up())
    }

    /// The form with what a step-up asked for.
    pub(crate) async fn whole_form(&self) -> Result<Form, Problem> {
        match &self.body {
            Some(body) => Form::read(self.headers(), body).await,
            None => Ok(Form::none()),
        }
    }

    /// A parameter of the query, the first of several; empty if there is none.
    pub(crate) fn query(&self, name: &str) -> String {
        query_value(self.request.uri.query(), name).unwrap_or_default()
    }

    /// A page of ours to go on to: `wanted` if it is one, else the account's.
    ///
    /// Invariant: nobody is ever sent to an address that the table of routes does not have.
    pub(crate) fn next<'a>(&self, wanted: &'a str) -> &'a str {
        if routes::page_at(wanted) { wanted } else { "/account/" }
    }

    /// To another page, after a change: the browser asks for it with `GET`.
    pub(crate) fn see_other(&self, path: &str) -> Answer {
        see_other(&self.app, path)
    }

    /// The request's headers.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.request.headers
    }

    /// Something of ours failed; or the session ended while the request was under way, and
    /// what it asked for was not done: then the person is to log in again. Or the policies
    /// were replaced: then the same request is decided by those of now.
    pub(crate) fn unavailable(&self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Problem {
        let cause = cause.into();
        match interrupted_by(&*cause) {
            Some(Conflict::SessionEnded) => return self.log_in("not-done", "The session has ended, and nothing was changed."),
            Some(Conflict::PoliciesReplaced) => {
                let message = "The policies of this registry were replaced at this very moment, and nothing was changed.";
                let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "policies-replaced", message);
                return problem.remedy("Try again.", None).retry_after(1);
            }
            _ => {}
        }
        Problem::unavailable(&cause, self.attempt.id)
    }

    /// The project named in the path; none if no project can have such a name.
    pub(crate) fn project(&self) -> Option<ProjectName> {
        ProjectName::parse(self.parameters.get("project")).ok()
    }
}

/// Why a unit of work was not done although nothing is wrong with it, whatever wraps that: what
/// permitted it ended before it was done.
fn interrupted_by(cause: &(dyn Error + 'static)) -> Option<Conflict> {
    let mut next = Some(cause);
    while let Some(error) = next {
        match error.downcast_ref() {
            Some(conflict @ (Conflict::SessionEnded | Conflict::PoliciesReplaced)) => return Some(*conflict),
            _ => next = error.source(),
        }
    }
    None
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

/// To another page of ours, to be asked for with `GET`.
pub(crate) fn see_other(app: &Shared, path: &str) -> Answer {
    redirect(app, StatusCode::SEE_OTHER, path)
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
