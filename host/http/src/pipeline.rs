//! What every request goes through: client address, attempt, credential, handler, headers,
//! one line in the log.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY,
    EXPECT, HOST, LOCATION, ORIGIN, REFERRER_POLICY, SET_COOKIE, STRICT_TRANSPORT_SECURITY,
    USER_AGENT, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use axum::response::Response;
use futures_util::FutureExt;
use gate::Attempt;
use identity::{InvalidAuthorization, PersonalProof, Presented, Unaccepted, UnspentCode};
use model::{Action, Caller, CredentialKind, DecisionId, Principal, UserName};
use tokio::sync::watch;

use crate::app::Shared;
use crate::body::{Incoming, Rest};
use crate::client_address::{self, Client};
use crate::cookies::{self, Browser};
use crate::exchange::{Exchange, OpenExchange, Parameters};
use crate::form;
use crate::negotiate::ProblemFormat;
use crate::pages::layout::{Layout, Viewer};
use crate::people::{self, Look};
use crate::problem::Problem;
use crate::routes::{Access, Audience, Credentials, Handler, Route, Verb, page_at};
use crate::staged::{self, ExpectedFiles, Proof, Sent};

/// Names the decision (and the request) an answer comes from; `portcullis explain` takes it.
pub static DECISION_HEADER: HeaderName = HeaderName::from_static("portcullis-decision");
/// Number of the policy set that decided.
pub static POLICY_SET_HEADER: HeaderName = HeaderName::from_static("portcullis-policy-set");

/// Where a browser's request comes from (Fetch Metadata).
pub(crate) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// What a browser does with the answer.
pub(crate) const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
/// Keeps pages that opened this one, and that this one opened, out of its window.
const CROSS_ORIGIN_OPENER_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-opener-policy");

/// Address and port of the peer, set by the listener among a request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct PeerAddress(pub std::net::SocketAddr);

/// Whether the client that asked is still there, for what is worth doing only as long as it is.
#[derive(Clone, Debug)]
pub(crate) struct Presence(watch::Receiver<()>);

impl Presence {
    /// The client is gone once the first of them is dropped.
    fn here() -> (watch::Sender<()>, Self) {
        let (here, presence) = watch::channel(());
        (here, Self(presence))
    }

    /// Waits until it is gone.
    pub(crate) async fn gone(&mut self) {
        while self.0.changed().await.is_ok() {}
    }
}

/// Routes of one path, with their place in the table.
pub(crate) type Methods = Arc<[(usize, &'static Route)]>;

/// Answers one request to a path that has these routes; none for a path nobody knows.
pub(crate) async fn answer(app: Shared, methods: Methods, mut request: Request) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return run(app, methods, request).await;
    }
    // What changes something is not given up half-way because the client went away: it runs
    // to its end, its record included.
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
    // Where nobody looks who asks, a browser without the cookie is nobody's all the same.
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
            return page_elsewhere(&app, &methods, &request)
                .ok_or_else(|| not_served(&app, &methods, &request));
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
                // Behind a header nobody looked at the cookie.
                let is_by_cookie = browser.session_cookie.is_some()
                    && !request.headers.contains_key(AUTHORIZATION);
                session_is_dead =
                    is_by_cookie && caller.credential == CredentialKind::None && is_page(route);
                let announcement = people::recoveries::announcement(&app, route, &caller).await;
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
        .unwrap_or_else(|panic| Err(panicked(&*panic, line.id())));

    let (mut response, decision) = match answer {
        Ok(response) => (response, None),
        Err(problem) => {
            let decision = problem.decision();
            if problem.status() == StatusCode::UNAUTHORIZED {
                // How long it took must not tell what there is.
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

/// As HTTP demands (RFC 9112 3.2): what two of them name, one proxy reads so and the next one
/// otherwise. HTTP/1.0 need not name any.
fn names_one_host(request: &Parts) -> bool {
    let hosts = request.headers.get_all(HOST).iter().count();
    hosts == 1 || hosts == 0 && request.version < Version::HTTP_11
}

/// Whether it is a page, as opposed to a form of one.
fn is_page(route: &Route) -> bool {
    route.audience == Audience::People && route.verb == Verb::Get
}

/// A browser that asks for a page under another name is sent to the public address: cookies,
/// security keys and the origin of forms belong to that one name.
///
/// Invariant: where to is the configured address, whatever `Host` says. Programs are answered
/// where they ask. A proxy that hides the name from us makes every request look like this, so
/// a browser that was sent a moment ago is answered.
fn to_public_address(
    app: &Shared,
    route: &Route,
    request: &Parts,
    format: ProblemFormat,
) -> Option<Response> {
    if !is_page(route)
        || format != ProblemFormat::Html
        || is_public_host(&request.headers, app.public_url())
        || cookies::was_moved(app, &request.headers)
    {
        return None;
    }
    let path = request.uri.path_and_query()?.as_str();
    let mut response = crate::exchange::redirect(app, StatusCode::TEMPORARY_REDIRECT, path).ok()?;
    cookies::set_moved(app, &mut response);
    response
        .headers()
        .contains_key(LOCATION)
        .then_some(response)
}

/// Whether the request names the public address's host, or none.
fn is_public_host(headers: &HeaderMap, public_url: &str) -> bool {
    let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else {
        return true;
    };
    let origin = origin_of(public_url);
    let (default_port, own) = match origin.strip_prefix("https://") {
        Some(own) => (":443", own),
        None => (":80", origin.strip_prefix("http://").unwrap_or(origin)),
    };
    let without_port = |host: &'_ str| {
        host.strip_suffix(default_port)
            .unwrap_or(host)
            .to_ascii_lowercase()
    };
    without_port(host) == without_port(own)
}

/// Scheme, host and port: the address up to the slash after its `://`.
fn origin_of(public_url: &str) -> &str {
    public_url
        .match_indices('/')
        .nth(2)
        .map_or(public_url, |(path, _)| &public_url[..path])
}

/// Forms are for browsers, and what they show again when a field is wrong is for who is logged
/// in. Whoever comes with another credential is decided about before anything of the form is
/// looked at; the handler decides once more, with all the facts.
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
    // Where nobody may register, nobody learns what is wrong with a form that does, or a link.
    let is_closed =
        action == Action::AccountCreate && !app.gate.may_permit(attempt, action, caller.credential);
    if route.credentials == Credentials::Form && (is_program || is_closed) {
        let _ = app.gate.decide(attempt, caller, Look(action)).await?;
    }
    Ok(())
}

/// What a request's headers tell of the page that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MadeBy {
    /// A page of this registry.
    Us,
    /// A page of another site, or of this one under another name.
    Others,
    /// They do not tell: a program, or a person with the address bar.
    Unknown,
}

/// A page of another site must not act with what this browser remembers, be it a session, a
/// password that was once part of an address (RFC 7617) or the network it is in. Browsers say
/// where a `POST` comes from (`Origin`; Fetch Metadata); upload clients say nothing, and need
/// not as long as they do not look like a browser.
async fn refuse_other_sites(
    app: &Shared,
    route: &Route,
    attempt: &Attempt,
    headers: &HeaderMap,
    browser: &Browser,
) -> Result<(), Problem> {
    let Access::Decided(action) = route.access else {
        return Ok(());
    };
    if route.verb != Verb::Post {
        return Ok(());
    }
    let is_form = route.credentials == Credentials::Form;
    let must_tell = match headers.get(AUTHORIZATION) {
        None => is_form || browser.is_any(),
        // Browsers remember passwords of this scheme and send them by themselves; any other is a program's.
        Some(value) => {
            is_form
                && value
                    .as_bytes()
                    .get(..5)
                    .is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"basic"))
        }
    };
    let again = format!(
        "Open {} in your browser, go to the page from there, and send the form again.",
        app.public_url()
    );
    let (code, message, remedy) = match (made_by(headers, app.public_url()), route.audience) {
        (MadeBy::Us, _) => return Ok(()),
        (MadeBy::Unknown, _) if !must_tell => return Ok(()),
        (MadeBy::Others, Audience::Programs) => (
            "cross-site-request",
            "This request was made by a page of another site.",
            "Use an upload client, or a program of your own.".to_owned(),
        ),
        (MadeBy::Others, Audience::People) => (
            "cross-site-request",
            "This form was sent by a page of another site, or of this one under another name.",
            again,
        ),
        (MadeBy::Unknown, _) => (
            "unknown-origin",
            "Your browser did not say which page this was sent from, so it could have been any.",
            format!(
                "{again} If that does not help, something between you and the registry removes the header Origin."
            ),
        ),
    };
    Err(app
        .gate
        .refuse(
            attempt,
            &Caller::anonymous(),
            action,
            code,
            message,
            &remedy,
            None,
        )
        .await
        .into())
}

fn made_by(headers: &HeaderMap, public_url: &str) -> MadeBy {
    let own_origin = origin_of(public_url).as_bytes();
    let sites = || {
        headers
            .get_all(SEC_FETCH_SITE)
            .iter()
            .map(HeaderValue::as_bytes)
    };
    let origins = || {
        headers
            .get_all(ORIGIN)
            .iter()
            .map(|origin| origin.as_bytes().eq_ignore_ascii_case(own_origin))
    };
    if sites().any(|site| !matches!(site, b"same-origin" | b"none"))
        || origins().any(|is_own| !is_own)
    {
        return MadeBy::Others;
    }
    if sites().any(|site| site == b"same-origin") || origins().any(|is_own| is_own) {
        MadeBy::Us
    } else {
        MadeBy::Unknown
    }
}

/// Who asks, and what goes with it.
struct Authenticated {
    /// The attempt to decide with: renewed where a body had to be read first.
    attempt: Attempt,
    caller: Caller,
    /// What came with a read and was not accepted.
    unaccepted: Option<Unaccepted>,
    /// The code that is spent by what is decided.
    code: Option<UnspentCode>,
    /// The files that a person says to have looked at.
    expected_files: Option<ExpectedFiles>,
}

impl Authenticated {
    fn new(attempt: Attempt, caller: Caller) -> Self {
        Self {
            attempt,
            caller,
            unaccepted: None,
            code: None,
            expected_files: None,
        }
    }
}

/// Who asks. The only place where a credential is looked at, beside [`authenticate_again`].
async fn authenticate(
    app: &Shared,
    route: &Route,
    attempt: Attempt,
    headers: &HeaderMap,
    browser: &Browser,
    body: Option<&Incoming>,
) -> Result<Authenticated, Problem> {
    let Access::Decided(action) = route.access else {
        return Ok(Authenticated::new(attempt, Caller::anonymous()));
    };
    let presented = presented(headers, browser);
    if action.is_read() {
        let (caller, unaccepted) = app
            .identity
            .authenticate_reader(&attempt, presented, action)
            .await;
        return Ok(Authenticated {
            unaccepted,
            ..Authenticated::new(attempt, caller)
        });
    }
    let presented = match presented {
        Ok(presented) => presented,
        Err(invalid) => {
            return Err(app
                .identity
                .refuse_authorization(&app.gate, &attempt, action, invalid)
                .await
                .into());
        }
    };
    if let (Credentials::HeadersOrPerson, Some(body)) = (route.credentials, body) {
        body.limit_to(staged::MAX_BODY_BYTES as u64);
        staged::refuse_forms(headers)?;
        let Sent {
            proof,
            files,
            place: _place,
        } = staged::read_sent(headers, body, attempt.remote_address).await?;
        let attempt = app.gate.renew(&attempt);
        if let (Presented::None, Some(proof)) = (&presented, &proof) {
            return prove_person(app, attempt, action, proof, files).await;
        }
        let caller = app
            .identity
            .authenticate(&app.gate, &attempt, presented, action)
            .await?;
        return Ok(Authenticated {
            expected_files: files,
            ..Authenticated::new(attempt, caller)
        });
    }
    // Whoever asks is who they are once the form is here, however long that takes: a session
    // that ends meanwhile decides nothing more.
    let attempt = match (route.credentials, body) {
        (Credentials::Form, Some(body)) => {
            body.limit_to(form::MAX_BYTES as u64);
            body.gather(form::MAX_BYTES).await?;
            app.gate.renew(&attempt)
        }
        _ => attempt,
    };
    let caller = app
        .identity
        .authenticate(&app.gate, &attempt, presented, action)
        .await?;
    Ok(Authenticated::new(attempt, caller))
}

/// Looks at the credential once more, now that the body is in: it may have been revoked, or
/// have expired, while the body was made to take hours. What is decided after this is
/// decided about the caller and at the time of now.
pub(crate) async fn authenticate_again(
    exchange: &mut Exchange,
    action: Action,
) -> Result<(), Problem> {
    let Exchange {
        app,
        attempt,
        request,
        browser,
        ..
    } = &*exchange;
    let attempt = app.gate.renew(attempt);
    let caller = match presented(&request.headers, browser) {
        Ok(presented) => {
            app.identity
                .authenticate_again(&app.gate, &attempt, presented, action)
                .await?
        }
        Err(invalid) => {
            return Err(app
                .identity
                .refuse_authorization(&app.gate, &attempt, action, invalid)
                .await
                .into());
        }
    };
    (exchange.attempt, exchange.caller) = (attempt, caller);
    Ok(())
}

/// What was presented: in the header, which wins, or by the browser's session.
pub(crate) fn presented(
    headers: &HeaderMap,
    browser: &Browser,
) -> Result<Presented, InvalidAuthorization> {
    let presented = Presented::parse(
        headers
            .get_all(AUTHORIZATION)
            .iter()
            .map(HeaderValue::as_bytes),
    )?;
    Ok(presented.with_session_cookie(browser.session()))
}

/// A person who proves password and second factor in the body of this very call.
async fn prove_person(
    app: &Shared,
    attempt: Attempt,
    action: Action,
    proof: &Proof,
    files: Option<ExpectedFiles>,
) -> Result<Authenticated, Problem> {
    let sent = PersonalProof {
        user_name: &proof.user,
        password: &proof.password,
        totp_code: proof.totp.as_ref().map(|code| code.expose().as_str()),
        device: proof.device.as_ref().map(|device| device.expose().as_str()),
        host: proof.host.as_deref(),
    };
    let (caller, code) = app
        .identity
        .prove_person(&app.gate, &attempt, action, sent)
        .await?;
    Ok(Authenticated {
        code,
        expected_files: files,
        ..Authenticated::new(attempt, caller)
    })
}

/// Where the page is that somebody typed with a slash too few or too many.
fn page_elsewhere(app: &Shared, methods: &Methods, request: &Parts) -> Option<Response> {
    if !methods.is_empty() || !matches!(request.method, Method::GET | Method::HEAD) {
        return None;
    }
    let (path, query) = (
        request.uri.path(),
        request
            .uri
            .query()
            .map(|query| format!("?{query}"))
            .unwrap_or_default(),
    );
    let other = path.strip_suffix('/').map_or_else(
        || format!("{path}/{query}"),
        |shorter| format!("{shorter}{query}"),
    );
    if !page_at(&other) {
        return None;
    }
    crate::exchange::redirect(app, StatusCode::PERMANENT_REDIRECT, &other).ok()
}

/// The answer where the table has no row for path and method.
fn not_served(app: &Shared, methods: &Methods, request: &Parts) -> Problem {
    let uploads = format!("Uploads go to {}/legacy/", app.public_url());
    let remedy = if request.method == Method::POST {
        uploads.as_str()
    } else {
        ""
    };
    if methods.is_empty() {
        return Problem::new(StatusCode::NOT_FOUND, "not-found", "Not Found").remedy(remedy, None);
    }
    let allowed = methods
        .iter()
        .flat_map(|(_, route)| route.verb.methods())
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    let message = format!("This address answers {allowed} only.");
    let problem = Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        message,
    )
    .remedy(remedy, None);
    match HeaderValue::try_from(allowed) {
        Ok(value) => problem.header(ALLOW, value),
        Err(_) => problem,
    }
}

fn panicked(panic: &(dyn std::any::Any + Send), id: DecisionId) -> Problem {
    let cause = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a text");
    tracing::error!(request = %id, cause, "a handler panicked");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        format!("Something went wrong in the registry; its log says more under {id}."),
    )
}

/// Names the decision and the policy set that a decided answer comes from.
fn name_decision(response: &mut Response, attempt: Option<&Attempt>, decision: Option<DecisionId>) {
    let Some(attempt) = attempt else { return };
    if let Ok(value) =
        HeaderValue::try_from(decision.unwrap_or_else(|| attempt.decision()).to_string())
    {
        response
            .headers_mut()
            .insert(DECISION_HEADER.clone(), value);
    }
    response.headers_mut().insert(
        POLICY_SET_HEADER.clone(),
        HeaderValue::from(attempt.set_number()),
    );
}

/// What kind of page an answer is, for what it may do in a browser; among an answer's
/// extensions. Without it, an answer may do nothing at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Security {
    /// A page with forms and without scripts.
    Page,
    /// The same with the script that copies, which asks for nothing.
    PageWithCopying,
    /// The same with the script for security keys.
    PageWithKeys,
}

/// What every answer says to browsers. Nothing served here is framed, no script stands within
/// a page, and forms go nowhere else.
fn secure(app: &Shared, response: &mut Response) {
    let kind = response.extensions().get::<Security>().copied();
    let policy = match kind {
        None => {
            "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        }
        Some(Security::Page) => {
            "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        }
        Some(Security::PageWithCopying) => {
            "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        }
        Some(Security::PageWithKeys) => {
            "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; \
             frame-ancestors 'none'"
        }
    };
    // Without a referrer, browsers send `Origin: null` with the forms of the page.
    let referrer = if kind.is_some() {
        "same-origin"
    } else {
        "no-referrer"
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static(referrer));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(
        CROSS_ORIGIN_OPENER_POLICY,
        HeaderValue::from_static("same-origin"),
    );
    // Of this host alone: what else is below it is not ours to say.
    if cookies::is_https(app) {
        headers.insert(
            STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000"),
        );
    }
}

/// Caches that serve many people: no answer to a credential is for them, and what was decided
/// for one credential is not what another one gets. Handlers choose the rest.
fn keep_from_others(headers: &mut HeaderMap, is_decided: bool, has_credential: bool) {
    if is_decided {
        headers.append(VARY, HeaderValue::from_static("Authorization, Cookie"));
    }
    let is_private = |control: &HeaderValue| matches!(control.to_str(), Ok(text) if text.starts_with("private") || text.starts_with("no-store"));
    if !headers.get(CACHE_CONTROL).is_some_and(is_private)
        && (has_credential || !headers.contains_key(CACHE_CONTROL))
    {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// `HEAD`: the headers of `GET`, its length included, and no body.
fn strip_body(response: &mut Response) {
    let length = response.body().size_hint().exact();
    if let Some(length) = length.filter(|_| !response.headers().contains_key(CONTENT_LENGTH)) {
        response
            .headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    *response.body_mut() = Body::empty();
}

/// Longest path written to the log, in bytes.
const MAX_LOGGED_PATH: usize = 512;

/// A path for the log. Without the query, where people put secrets, and without anything
/// that is not plain ASCII: terminals obey some of it.
fn logged_path(path: &str) -> String {
    path.bytes()
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

/// Stands in the log for a credential that was not accepted, of a read that went on without.
const UNACCEPTED: &str = "not-accepted";

/// Stands in the log where there is nothing to name.
const NOTHING: &str = "-";

/// The one line a request leaves in the log; written on drop as well, when the client went
/// away before there was an answer.
struct Line {
    app: Shared,
    route: Option<(usize, &'static str)>,
    method: &'static str,
    path: String,
    head: bool,
    attempt: Option<Attempt>,
    address: IpAddr,
    credential: &'static str,
    user: Option<UserName>,
    started: Instant,
    written: bool,
}

impl Line {
    fn new(
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

    /// Notes who asks, once that is known. Until then nobody is named: a name that was only
    /// claimed is whatever its sender wanted it to be.
    fn identify(&mut self, caller: &Caller, is_unaccepted: bool) {
        self.credential = if is_unaccepted {
            UNACCEPTED
        } else {
            caller.credential.as_str()
        };
        self.user = caller.user().map(|user| user.name.clone());
    }

    /// The request's id, made up where there was no attempt.
    fn id(&self) -> DecisionId {
        self.attempt
            .as_ref()
            .map_or_else(DecisionId::new, |attempt| attempt.id)
    }

    fn finish(mut self, status: StatusCode, decision: Option<DecisionId>) {
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

/// What the log says of a client that went away before its answer.
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
        assert_eq!(logged_path("/a\u{9b}31m\u{202e}b\n"), "/a??31m???b?");
        assert_eq!(logged_path(&"x".repeat(5000)).len(), MAX_LOGGED_PATH);
    }

    #[test]
    fn a_browser_on_another_site_is_told_from_a_client() {
        let check = |public_url: &str, said: &[(&'static str, &'static str)], expected| {
            let headers = said
                .iter()
                .map(|(name, value)| {
                    (
                        HeaderName::from_static(name),
                        HeaderValue::from_static(value),
                    )
                })
                .collect();
            assert_eq!(made_by(&headers, public_url), expected, "{said:?}");
        };
        let url = "https://index.example:8443/pypi";
        check(url, &[], MadeBy::Unknown);
        check(url, &[("sec-fetch-site", "none")], MadeBy::Unknown);
        check(url, &[("sec-fetch-site", "same-origin")], MadeBy::Us);
        check(
            url,
            &[
                ("origin", "https://index.example:8443"),
                ("sec-fetch-site", "same-origin"),
            ],
            MadeBy::Us,
        );
        check(url, &[("origin", "https://INDEX.example:8443")], MadeBy::Us);
        check(
            "http://index.example",
            &[("origin", "http://index.example")],
            MadeBy::Us,
        );
        for origin in [
            "https://evil.example",
            "null",
            "https://index.example",
            "http://index.example:8443",
            "https://index.example:8443.evil.example",
            "",
        ] {
            check(url, &[("origin", origin)], MadeBy::Others);
            check(
                url,
                &[("origin", origin), ("sec-fetch-site", "same-origin")],
                MadeBy::Others,
            );
        }
        check(url, &[("sec-fetch-site", "cross-site")], MadeBy::Others);
        check(
            url,
            &[
                ("sec-fetch-site", "same-site"),
                ("origin", "https://index.example:8443"),
            ],
            MadeBy::Others,
        );
        check(
            url,
            &[
                ("sec-fetch-site", "same-origin"),
                ("sec-fetch-site", "cross-site"),
            ],
            MadeBy::Others,
        );
    }

    #[test]
    fn a_page_is_at_home_under_one_name() {
        let check = |public_url: &str, host: Option<&'static str>, expected| {
            let headers = host
                .into_iter()
                .map(|host| (HOST, HeaderValue::from_static(host)))
                .collect();
            assert_eq!(
                is_public_host(&headers, public_url),
                expected,
                "{public_url} {host:?}"
            );
        };
        for host in [
            None,
            Some("index.example"),
            Some("INDEX.example"),
            Some("index.example:443"),
        ] {
            check("https://index.example/pypi", host, true);
        }
        for host in [
            "index.example:80",
            "index.example:8443",
            "other.example",
            "127.0.0.1:8080",
            "index.example.evil.example",
            "",
        ] {
            check("https://index.example", Some(host), false);
        }
        check("http://localhost:8080", Some("localhost:8080"), true);
        check("http://localhost:8080", Some("127.0.0.1:8080"), false);
        check("http://index.example", Some("index.example:80"), true);
    }

    #[test]
    fn an_answer_to_a_credential_is_for_no_shared_cache() {
        let check = |control: Option<&'static str>, has_credential, expected: &str| {
            let mut headers: HeaderMap = control
                .map(|control| (CACHE_CONTROL, HeaderValue::from_static(control)))
                .into_iter()
                .collect();
            keep_from_others(&mut headers, true, has_credential);
            assert_eq!(
                (
                    headers[CACHE_CONTROL].to_str().unwrap(),
                    headers[VARY].to_str().unwrap()
                ),
                (expected, "Authorization, Cookie")
            );
        };
        check(Some("public, max-age=600"), true, "no-store");
        check(Some("public, max-age=600"), false, "public, max-age=600");
        check(Some("private, max-age=600"), true, "private, max-age=600");
        check(None, true, "no-store");
        check(None, false, "no-store");
    }

    #[test]
    fn what_is_answered_to_head_has_the_length_of_get() {
        let mut response = Response::new(Body::from("four"));
        strip_body(&mut response);
        assert_eq!(response.headers()[CONTENT_LENGTH], "4");
        assert_eq!(response.body().size_hint().exact(), Some(0));
    }
}
