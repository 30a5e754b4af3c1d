//! Answers for a path and method without a row in the table.

use axum::http::header::ALLOW;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::Response;

use crate::exchange::redirect;
use crate::problem::Problem;
use crate::route::Route;
use crate::shared::Shared;

/// Redirects to the page if the path has a missing or an extra slash.
pub(crate) fn page_elsewhere(app: &Shared, request: &Parts) -> Option<Response> {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return None;
    }
    let uri = &request.uri;
    let other = app.site_map.page_elsewhere(uri.path(), uri.query())?;
    redirect(app, StatusCode::PERMANENT_REDIRECT, &other).ok()
}

/// The answer for a path and method without a row in the table.
pub(crate) fn not_served(
    app: &Shared,
    methods: &[(usize, &'static Route)],
    request: &Parts,
) -> Problem {
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
