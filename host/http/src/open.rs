//! Routes without a decision: they say nothing about projects, people or policies, and change
//! nothing.

mod health;
pub(crate) mod help;
mod metrics;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, VARY};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;

use crate::answer::answer;
use crate::cookies::Browser;
use crate::exchange::{OpenExchange, redirect};
use crate::frame::layout::{HTML, Security};
use crate::problem::{Answer, Problem};
use crate::route::Route;
use crate::route::Verb::{Get, Post};
use help::HelpFor;

/// The routes of this room.
pub(crate) const ROUTES: &[Route] = &[
    Route::open(Get, "/simple", |exchange| Box::pin(with_slash(exchange))),
    Route::open(Post, "/legacy", |exchange| Box::pin(with_slash(exchange))),
    Route::open(Post, "/pypi", |exchange| Box::pin(uploads_moved(exchange))),
    Route::open(Get, "/help", |exchange| Box::pin(with_slash(exchange))),
    Route::open_page("/help/", |exchange| Box::pin(help(exchange))),
    Route::open(Get, "/static/portcullis.css", |exchange| {
        Box::pin(stylesheet(exchange))
    }),
    Route::open(Get, "/static/icon.svg", |exchange| Box::pin(icon(exchange))),
    Route::open(Get, "/static/copy.js", |exchange| {
        Box::pin(copy_script(exchange))
    }),
    Route::open(Get, "/static/webauthn.js", |exchange| {
        Box::pin(webauthn_script(exchange))
    }),
    Route::open(Get, "/health", |exchange| {
        Box::pin(health::health(exchange))
    }),
    Route::open(Get, "/metrics", |exchange| {
        Box::pin(metrics::render(exchange))
    }),
];

const STYLESHEET: &str = include_str!("open/portcullis.css");
const ICON: &str = include_str!("open/icon.svg");
const COPY_SCRIPT: &str = include_str!("open/copy.js");
const WEBAUTHN_SCRIPT: &str = include_str!("open/webauthn.js");

/// `GET /help/`
async fn help(exchange: OpenExchange) -> Answer {
    let app = &exchange.app;
    // Neither the session's owner nor its validity is checked.
    let has_session = Browser::of(app, &exchange.request.headers)
        .session_cookie
        .is_some();
    let wanted = HelpFor {
        has_session,
        can_register: app.can_register(),
        is_open: app.is_open(),
    };
    let mut response = kept(answer(HTML, Body::from(app.help.get(wanted))));
    response
        .headers_mut()
        .insert(VARY, HeaderValue::from_static("Cookie"));
    response.extensions_mut().insert(Security::PageWithCopying);
    Ok(response)
}

/// `GET /static/icon.svg`
async fn icon(_: OpenExchange) -> Answer {
    Ok(kept(answer("image/svg+xml", Body::from(ICON))))
}

/// `GET /static/copy.js`
async fn copy_script(_: OpenExchange) -> Answer {
    Ok(kept(answer(
        "text/javascript; charset=utf-8",
        Body::from(COPY_SCRIPT),
    )))
}

/// `GET /static/webauthn.js`
async fn webauthn_script(_: OpenExchange) -> Answer {
    Ok(kept(answer(
        "text/javascript; charset=utf-8",
        Body::from(WEBAUTHN_SCRIPT),
    )))
}

/// `GET /static/portcullis.css`
async fn stylesheet(_: OpenExchange) -> Answer {
    Ok(kept(answer(
        "text/css; charset=utf-8",
        Body::from(STYLESHEET),
    )))
}

/// The same address with a slash at its end. Method and body stay the same (308), and the address
/// is absolute: uv does not follow a relative redirect of an upload.
async fn with_slash(exchange: OpenExchange) -> Answer {
    let path = format!("{}/", exchange.request.uri.path());
    redirect(&exchange.app, StatusCode::PERMANENT_REDIRECT, &path)
}

/// `POST /pypi`: where very old tools upload to.
async fn uploads_moved(exchange: OpenExchange) -> Answer {
    Err(Problem::new(
        StatusCode::GONE,
        "api-moved",
        format!(
            "This API has moved to {}/legacy/.",
            exchange.app.public_url()
        ),
    ))
}

fn kept(mut response: Response) -> Response {
    response.headers_mut().insert(
        CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=300"),
    );
    response
}
