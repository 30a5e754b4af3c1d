//! The steps of every request, in this order: client address, attempt, origin ([`crate::origin`]),
//! credential ([`crate::credential`]), handler, headers ([`crate::answer_headers`]), one line in
//! the log ([`crate::request_log`]).

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, CONNECTION, EXPECT, SET_COOKIE, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::Response;
use futures_util::FutureExt;
use gate::Attempt;
use model::{Action, Caller, CredentialKind, Principal};

use crate::account;
use crate::answer_headers::{keep_from_others, name_decision, secure, strip_body};
use crate::body::{Incoming, Rest};
use crate::client_address::{self, Client, PeerAddress};
use crate::cookies::{self, Browser};
use crate::credential::{Authenticated, authenticate};
use crate::early::refuse_unread;
use crate::exchange::{Exchange, OpenExchange, Parameters};
use crate::frame::layout::Layout;
use crate::frame::viewer::Viewer;
use crate::negotiate::ProblemFormat;
use crate::not_served::{not_served, page_elsewhere};
use crate::origin::{names_one_host, refuse_other_sites, to_public_address};
use crate::presence::Presence;
use crate::problem::Problem;
use crate::request_log::Line;
use crate::route::{Access, Credentials, Handler, Route, Verb};
use crate::shared::Shared;

/// Routes of one path, with their place in the table.
pub(crate) type Methods = Arc<[(usize, &'static Route)]>;

/// Answers one request to a path that has these routes; none for an unknown path.
pub(crate) async fn answer(app: Shared, methods: Methods, mut request: Request) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return run(app, methods, request).await;
    }
    // A change is not abandoned half-way because the client went away: it runs to its end,
    // including its record.
    let (_here, presence) = Presence::here();
    request.extensions_mut().insert(presence);
    match tokio::spawn(run(app, methods, request)).await {
        Ok(response) => response,
        Err(_) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    }
}

async fn run(app: Shared, methods: Methods, request: Request) -> Response {
    let started = Instant::now();
    let (mut request, body) = request.into_parts();
    let peer = request
        .extensions
        .get::<PeerAddress>()
        .map_or(std::net::Ipv4Addr::UNSPECIFIED.into(), |peer| peer.0.ip());
    let client = client_address::resolve(peer, &request.headers, &app.config.trusted_proxies);
    let bodiless = matches!(request.method, Method::GET | Method::HEAD);
    let body = (!bodiless).then(|| Incoming::new(body, app.body_limits));

    let verb = match request.method {
        Method::GET | Method::HEAD => Some(Verb::Get),
        Method::POST => Some(Verb::Post),
        _ => None,
    };
    let found = methods
        .iter()
        .find(|(_, route)| Some(route.verb) == verb)
        .copied();
    let attempt = found
        .filter(|(_, route)| route.access != Access::Open)
        .map(|(_, route)| begin(&app, route, &request, client));
    let mut line = Line::new(
        &app,
        found.map(|(index, route)| (index, route.path)),
        &request,
        client,
        attempt.clone(),
        started,
    );

    let format = ProblemFormat::preferred(&request.headers);
    let browser = Browser::of(&app, &request.headers);
    let has_credential =
        request.headers.contains_key(AUTHORIZATION) || browser.session_cookie.is_some();
    let uri = request.uri.clone();
    // If the caller is not determined, a browser without the cookie is still anonymous.
    let (mut viewer, mut session_is_dead) = (
        if browser.session_cookie.is_some() {
            Viewer::Unknown
        } else {
            Viewer::Nobody
        },
        false,
    );
    let mut rest = Rest::OF_STRANGERS;
    let expects_continue = request
        .headers
        .get(EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    let parameters = Parameters::read(&mut request).await;
    let served = async {
        if !names_one_host(&request) {
            let problem = Problem::new(
                StatusCode::BAD_REQUEST,
                "invalid-host",
                "A request names its host once, in the header `Host`.",
            );
            return Err(problem.remedy("Send exactly one such header.", None));
        }
        let Some((_, route)) = found else {
            if methods.is_empty()
                && let Some(response) = page_elsewhere(&app, &request)
            {
                return Ok(response);
            }
            return Err(not_served(&app, &methods, &request));
        };
        let Some(parameters) = parameters else {
            return Err(Problem::new(
                StatusCode::NOT_FOUND,
                "not-found",
                "Not Found",
            ));
        };
        if let Some(response) = to_public_address(&app, route, &request, format) {
            return Ok(response);
        }
        match (route.handler, attempt) {
            (Handler::Open(handler), _) => {
                handler(OpenExchange {
                    app: app.clone(),
                    client,
                    request,
                })
                .await
            }
            (Handler::Decided(handler), Some(attempt)) => {
                refuse_other_sites(&app, route, &attempt, &request.headers, &browser).await?;
                let Authenticated {
                    attempt,
                    caller,
                    unaccepted,
                    code,
                    expected_files,
                } = authenticate(
                    &app,
                    route,
                    attempt,
                    &request.headers,
                    &browser,
                    body.as_ref(),
                )
                .await?;
                line.identify(&caller, unaccepted.is_some());
                if caller.principal != Principal::Anonymous {
                    rest = Rest::OF_CALLERS;
                }
                viewer = Viewer::of(&caller);
                refuse_programs(&app, route, &attempt, &caller).await?;
                // If there is a header, the cookie was not read.
                let is_by_cookie = browser.session_cookie.is_some()
                    && !request.headers.contains_key(AUTHORIZATION);
                session_is_dead =
                    is_by_cookie && caller.credential == CredentialKind::None && route.is_page();
                let announcement = account::recovery::announcement(&app, route, &caller).await;
                let (app, body) = (app.clone(), body.clone());
                handler(Exchange {
                    app,
                    attempt,
                    caller,
                    unaccepted,
                    code,
                    expected_files,
                    announcement,
                    browser,
                    request,
                    parameters,
                    body,
                })
                .await
            }
            (Handler::Decided(_), None) => Err(Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "The request was not decided.",
            )),
        }
    };
    let answer = AssertUnwindSafe(served)
        .catch_unwind()
        .await
        .unwrap_or_else(|panic| Err(Problem::of_panic(&*panic, line.id())));

    let (mut response, decision) = match answer {
        Ok(response) => (response, None),
        Err(problem) => {
            let decision = problem.decision();
            if problem.status() == StatusCode::UNAUTHORIZED {
                // The duration must not show what exists.
                app.identity.wait_evenly(started).await;
            }
            (
                problem.answer(
                    format,
                    Layout {
                        viewer,
                        can_register: app.can_register(),
                        is_open: app.is_open(),
                        ..Layout::of_request(&app.config, &uri, bodiless)
                    },
                ),
                decision,
            )
        }
    };
    if session_is_dead && !response.headers().contains_key(SET_COOKIE) {
        cookies::clear_session(&app, &mut response);
    }
    if body.is_some_and(|body| body.finish(expects_continue, rest)) {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    name_decision(&mut response, line.attempt.as_ref(), decision);
    secure(&app, &mut response);
    keep_from_others(
        response.headers_mut(),
        line.attempt.is_some(),
        has_credential,
    );
    if line.head {
        strip_body(&mut response);
    }
    line.finish(response.status(), decision);
    response
}

fn begin(app: &Shared, route: &'static Route, request: &Parts, client: Client) -> Attempt {
    let method = match request.method {
        Method::GET => gate::Method::Get,
        Method::HEAD => gate::Method::Head,
        Method::POST => gate::Method::Post,
        _ => gate::Method::Other,
    };
    let user_agent = request
        .headers
        .get(USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    app.gate
        .begin(route.path, method, client.address, user_agent)
}

/// Forms are for browsers, and the fields a form shows again after an error are for its logged-in
/// user. Callers with another credential are decided about before anything of the form is read; the
/// handler decides again, with all the facts.
async fn refuse_programs(
    app: &Shared,
    route: &Route,
    attempt: &Attempt,
    caller: &Caller,
) -> Result<(), Problem> {
    let Access::Decided(action) = route.access else {
        return Ok(());
    };
    let is_program = !matches!(
        caller.credential,
        CredentialKind::None | CredentialKind::Session
    );
    // If nobody may register, errors of a registration form or of its link are not shown either.
    let is_closed =
        action == Action::AccountCreate && !app.gate.may_permit(attempt, action, caller.credential);
    if route.credentials == Credentials::Form && (is_program || is_closed) {
        refuse_unread(app, attempt, caller, action).await?;
    }
    Ok(())
}
