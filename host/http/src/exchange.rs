//! The argument of a handler: one request, after the pipeline has processed it.

use std::error::Error;
use std::net::IpAddr;

use axum::body::Body;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::header::{AUTHORIZATION, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use gate::{Attempt, Permit, Refusal, RefusalKind, Target};
use identity::{Account, RequestContext, Unaccepted, UnspentCode};
use model::{Caller, ProjectName, UserFacts};
use registry::index::ReadError;
use serde::Serialize;
use storage::Conflict;

use crate::answer::answer;
use crate::body::Incoming;
use crate::client_address::Client;
use crate::cookies::Browser;
use crate::fetch_metadata::SEC_FETCH_MODE;
use crate::frame::form::Form;
use crate::frame::notices::Notice;
use crate::problem::{Answer, Problem};
use crate::proof::ExpectedFiles;
use crate::shared::Shared;
use crate::url::query_value;
use crate::url::quoted;

/// A request that the gate decides about, with its caller.
pub(crate) struct Exchange {
    pub(crate) app: Shared,
    pub(crate) attempt: Attempt,
    pub(crate) caller: Caller,
    /// A credential that came with a read and was not accepted; the caller is then anonymous.
    pub(crate) unaccepted: Option<Unaccepted>,
    /// The one-time code that a person proved in this request; spent by [`Exchange::decide`], not
    /// by [`Exchange::decide_look`].
    pub(crate) code: Option<UnspentCode>,
    /// The staged files that this caller looked at; none if they did not say.
    pub(crate) expected_files: Option<ExpectedFiles>,
    /// A notice for the owner on every page of the account.
    pub(crate) announcement: Option<Notice>,
    /// The cookies of the browser.
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
    /// This request, as the use cases of `identity` take it.
    pub(crate) fn context(&self) -> RequestContext<'_> {
        RequestContext::new(&self.app.gate, &self.attempt)
    }

    /// Lets the gate decide; the only way from a handler to a permit.
    pub(crate) async fn decide<T: Target>(&self, target: T) -> Result<Permit<T>, Problem> {
        self.decide_possible(target, |_| Ok(())).await
    }

    /// The same for an action that may turn out to be impossible for a reason known already.
    ///
    /// Invariant: a one-time code is spent after the decision and before the permit is handed out.
    /// So a refused or impossible action costs no code, one code leads to one permit, and only a
    /// permitted caller learns what is impossible: strangers are refused before.
    pub(crate) async fn decide_possible<T: Target>(
        &self,
        target: T,
        possible: impl FnOnce(&T) -> Result<(), Problem>,
    ) -> Result<Permit<T>, Problem> {
        let action = target.facts().action;
        let permit = self
            .permitted(target)
            .await
            .map_err(|refusal| self.problem(refusal))?;
        possible(permit.target())?;
        if let Some(code) = &self.code {
            self.app
                .identity
                .proofs()
                .spend_code(self.context(), action, code)
                .await?;
        }
        Ok(permit)
    }

    /// The same for an action that only looks: the code, which was right, is not spent. So with one
    /// code somebody sees what there is and then decides about it. The code is short-lived, and the
    /// person proves it on a known device.
    pub(crate) async fn decide_look<T: Target>(&self, target: T) -> Result<Permit<T>, Problem> {
        self.permitted(target)
            .await
            .map_err(|refusal| self.problem(refusal))
    }

    /// Asks the gate, and reports the outcome of a read to `identity`.
    pub(crate) async fn permitted<T: Target>(&self, target: T) -> Result<Permit<T>, Refusal> {
        let Self {
            app,
            attempt,
            caller,
            ..
        } = self;
        let (action, unaccepted) = (target.facts().action, self.unaccepted.as_ref());
        let decided = app.gate.decide(attempt, caller, target).await;
        if !action.is_read() {
            return decided;
        }
        match decided {
            Ok(permit) => {
                app.identity
                    .readers()
                    .permitted(
                        self.context(),
                        action,
                        caller,
                        permit.is_without_credential(),
                        unaccepted,
                    )
                    .await?;
                Ok(permit)
            }
            Err(refusal) => Err(app
                .identity
                .readers()
                .refused(self.context(), action, caller, unaccepted, refusal)
                .await),
        }
    }

    /// A refusal as an answer. If people only have to log in, a browser is sent to the login,
    /// because the credentials of its own prompt are accepted nowhere.
    fn problem(&self, refusal: Refusal) -> Problem {
        let asks_who = refusal.kind == RefusalKind::CredentialRequired;
        let problem = Problem::from(refusal);
        if !asks_who || !self.is_looked_at() {
            return problem;
        }
        match self.to_login(self.why_nobody()) {
            Ok(response) => problem.in_browsers(response),
            Err(_) => problem,
        }
    }

    /// Whether somebody sees the answer in a browser: on a page, or after following a link.
    fn is_looked_at(&self) -> bool {
        self.app.site_map.has_page(self.request.uri.path())
            || self
                .headers()
                .get(SEC_FETCH_MODE)
                .is_some_and(|mode| mode == "navigate")
    }

    /// The logged-in person. A browser without a session is sent to log in, and back afterwards.
    pub(crate) fn person(&self) -> Result<&UserFacts, Problem> {
        self.caller.user().ok_or_else(|| self.not_logged_in())
    }

    /// The account of the logged-in person, from which targets of one's own account are built.
    pub(crate) fn account(&self) -> Result<Account, Problem> {
        Account::of(&self.caller).ok_or_else(|| self.not_logged_in())
    }

    fn not_logged_in(&self) -> Problem {
        let notice = self.why_nobody();
        self.log_in(notice, "You are not logged in.")
    }

    /// The notice for somebody who has to log in.
    fn why_nobody(&self) -> &'static str {
        match (&self.body, &self.browser.session_cookie) {
            (Some(_), _) => "not-done",
            (None, Some(_)) => "session-ended",
            (None, None) => "log-in",
        }
    }

    /// Sends a browser to log in, and back afterwards.
    fn log_in(&self, notice: &str, message: &str) -> Problem {
        let problem = Problem::new(StatusCode::FORBIDDEN, "not-logged-in", message);
        let problem = problem.remedy("Log in with a browser; this page is for people.", None);
        match self.to_login(notice) {
            Ok(response) => problem.in_browsers(response),
            Err(_) => problem,
        }
    }

    /// To the login, and back from there to this page.
    fn to_login(&self, notice: &str) -> Answer {
        let path = match self.body {
            None => self
                .request
                .uri
                .path_and_query()
                .map_or("/account/", |path| path.as_str()),
            // A form is not sent again after the login: its page is shown instead.
            Some(_) => Some(self.request.uri.path())
                .filter(|path| self.app.site_map.has_page(path))
                .unwrap_or("/account/"),
        };
        see_other(
            &self.app,
            &format!("/login?next={}&notice={notice}", quoted(path)),
        )
    }

    /// The form in the body. After a step-up, which sends it again, it has no secrets.
    pub(crate) async fn form(&self) -> Result<Form, Problem> {
        Ok(self.whole_form().await?.after_step_up())
    }

    /// The form including the fields of a step-up.
    pub(crate) async fn whole_form(&self) -> Result<Form, Problem> {
        match &self.body {
            Some(body) => Form::read(self.headers(), body, self.app.secrets).await,
            None => Ok(Form::none()),
        }
    }

    /// Whether a credential came with the request, accepted or not: the answer must then stay out
    /// of shared caches.
    pub(crate) fn presents_credential(&self) -> bool {
        self.headers().contains_key(AUTHORIZATION) || self.browser.session_cookie.is_some()
    }

    /// A parameter of the query, the first of several; empty if there is none.
    pub(crate) fn query(&self, name: &str) -> String {
        query_value(self.request.uri.query(), name).unwrap_or_default()
    }

    /// A page of ours to go on to: `wanted` if it is one, else the account's.
    ///
    /// Invariant: no browser is ever sent to an address that is not in the table of routes.
    pub(crate) fn next<'a>(&self, wanted: &'a str) -> &'a str {
        if self.app.site_map.has_page(wanted) {
            wanted
        } else {
            "/account/"
        }
    }

    /// Redirects to another page after a change: the browser asks for it with `GET`.
    pub(crate) fn see_other(&self, path: &str) -> Answer {
        see_other(&self.app, path)
    }

    /// Whether this is refused whatever the policies say: then nothing has to be loaded for them.
    pub(crate) fn is_refused_by_the_core(&self, target: &impl Target) -> bool {
        gate::core_rules::check(self.attempt.at, &self.caller, &target.facts()).is_err()
    }

    /// Where the request comes from.
    pub(crate) fn address(&self) -> IpAddr {
        self.attempt.remote_address
    }

    /// The request's headers.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.request.headers
    }

    /// The answer when a use case failed. If the session ended while the request was under way,
    /// nothing was done and the person must log in again. If the policies were replaced, the same
    /// request, sent again, is decided by the new ones. Anything else is a failure of ours.
    pub(crate) fn unavailable(&self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Problem {
        let cause = cause.into();
        match interrupted_by(&*cause) {
            Some(Conflict::SessionEnded) => {
                return self.log_in(
                    "not-done",
                    "The session has ended, and nothing was changed.",
                );
            }
            Some(Conflict::TokenRevoked) => {
                let message = "The token was revoked at this very moment, and nothing was changed.";
                return Problem::new(StatusCode::FORBIDDEN, "token-revoked", message)
                    .remedy("Use another token.", None);
            }
            Some(Conflict::PoliciesReplaced) => {
                let message = "The policies of this registry were replaced at this very moment, and nothing was changed.";
                let problem = Problem::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "policies-replaced",
                    message,
                );
                return problem.remedy("Try again.", None).retry_after(1);
            }
            _ => {}
        }
        Problem::unavailable(&cause, self.attempt.id)
    }

    /// The answer when something cannot be read now: a failure of ours, or too much is asked for.
    pub(crate) fn not_read(&self, error: ReadError) -> Problem {
        match error {
            ReadError::TooManyPages => {
                let message = "More pages are asked for than can be made at this moment.";
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too-many-pages", message)
                    .remedy("Try again in a few seconds.", None)
                    .retry_after(5)
            }
            ReadError::TooManySearches => {
                let message = "Too many people search at the moment.";
                Problem::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "too-many-searches",
                    message,
                )
                .remedy("Try again in a few seconds.", None)
                .retry_after(5)
            }
            error => self.unavailable(error),
        }
    }

    /// The project named in the path; none if it is not a valid project name.
    pub(crate) fn project(&self) -> Option<ProjectName> {
        ProjectName::parse(self.parameters.get("project")).ok()
    }
}

/// Why a unit of work was not done although nothing is wrong with it, however deep in the cause:
/// the permit ended before the work was done.
fn interrupted_by(cause: &(dyn Error + 'static)) -> Option<Conflict> {
    let mut next = Some(cause);
    while let Some(error) = next {
        match error.downcast_ref() {
            Some(
                conflict @ (Conflict::SessionEnded
                | Conflict::TokenRevoked
                | Conflict::PoliciesReplaced),
            ) => {
                return Some(*conflict);
            }
            _ => next = error.source(),
        }
    }
    None
}

/// The parameters of the path, decoded.
#[derive(Debug, Default)]
pub(crate) struct Parameters(Vec<(Box<str>, Box<str>)>);

impl Parameters {
    /// Reads them from a matched request; none if they are not UTF-8.
    pub(crate) async fn read(request: &mut Parts) -> Option<Self> {
        let raw = RawPathParams::from_request_parts(request, &()).await.ok()?;
        Some(Self(
            raw.iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        ))
    }

    /// The value; empty if the route has no such parameter.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(known, _)| **known == *name)
            .map_or("", |(_, value)| value)
    }
}

/// A success with JSON, made for this one request.
pub(crate) fn json<T: Serialize>(value: &T) -> Answer {
    let text = serde_json::to_vec(value).map_err(|_| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "The answer could not be written.",
        )
    })?;
    Ok(answer("application/json", Body::from(text)))
}

/// Redirects to another page of ours, which the browser asks for with `GET`.
pub(crate) fn see_other(app: &Shared, path: &str) -> Answer {
    redirect(app, StatusCode::SEE_OTHER, path)
}

/// A redirect to a path below the public address. `path` is ours or normalized, so it needs no
/// quoting; any other is answered as not found.
pub(crate) fn redirect(app: &Shared, status: StatusCode, path: &str) -> Answer {
    let location = HeaderValue::try_from(format!("{}{path}", app.public_url()))
        .map_err(|_| Problem::new(StatusCode::NOT_FOUND, "not-found", "Not Found"))?;
    let mut response = answer("text/plain; charset=utf-8", Body::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}
