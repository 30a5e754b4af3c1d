//! The JSON API: `/pypi/{project}/json` and `/pypi/{project}/{version}/json`.

use std::sync::LazyLock;

use axum::body::Body;
use axum::http::header::ACCESS_CONTROL_ALLOW_ORIGIN;
use axum::http::{HeaderValue, StatusCode};

use model::limit::PAGES_WAITED_FOR;
use registry::index::ReadError;

use crate::answer::answer;
use crate::crowd::Crowd;
use crate::exchange::{Exchange, redirect};
use crate::index::reading::read_named_project;
use crate::index::simple::cacheable;
use crate::problem::{Answer, Problem};
use crate::url::quoted;

/// `GET /pypi/{project}/json`
pub(crate) async fn project(exchange: Exchange) -> Answer {
    page(exchange, None).await
}

/// `GET /pypi/{project}/{version}/json`
pub(crate) async fn release(exchange: Exchange) -> Answer {
    // No version is longer than this, and the answer is "not found" anyway.
    let version: String = exchange
        .parameters
        .get("version")
        .chars()
        .take(128)
        .collect();
    page(exchange, Some(version)).await
}

async fn page(exchange: Exchange, version: Option<String>) -> Answer {
    let registry = &exchange.app.registry;
    let Ok(permit) = read_named_project(&exchange).await? else {
        return not_found();
    };
    let normalized = permit.target().normalized();
    if normalized != exchange.parameters.get("project") {
        let rest = version
            .map(|version| format!("{}/", quoted(&version)))
            .unwrap_or_default();
        return redirect(
            &exchange.app,
            StatusCode::MOVED_PERMANENTLY,
            &format!("/pypi/{normalized}/{rest}json"),
        );
    }
    match making(&exchange, registry.json_page(permit, version.as_deref())).await? {
        Some(page) => cacheable(&exchange, page, "application/json").await,
        None => not_found(),
    }
}

/// Requests that wait for a page to be built, by address.
static WAITING: LazyLock<Crowd> = LazyLock::new(Crowd::default);

/// Builds a page from a release's metadata. Only one at a time is built for each project and few in
/// all, so one address may wait for only a few. A page that exists already needs no wait.
pub(crate) async fn making<T>(
    exchange: &Exchange,
    made: impl Future<Output = Result<T, ReadError>>,
) -> Result<T, Problem> {
    let address = exchange.attempt.remote_address;
    let made = WAITING.wait_for(address, PAGES_WAITED_FOR.length(), made);
    match made.await {
        Some(made) => made.map_err(|error| exchange.not_read(error)),
        None => Err(too_many()),
    }
}

fn too_many() -> Problem {
    let problem = Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "too-many-pages",
        "Your address waits for too many pages at the same time.",
    );
    problem
        .remedy("Try again in a few seconds.", None)
        .retry_after(5)
}

fn not_found() -> Answer {
    let mut response = answer(
        "application/json",
        Body::from(r#"{"message": "Not Found"}"#),
    );
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
        .headers_mut()
        .insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    Ok(response)
}
