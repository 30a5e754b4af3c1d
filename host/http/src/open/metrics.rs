//! `GET /metrics`, for the configured networks only.

use axum::body::Body;
use axum::http::StatusCode;

use crate::answer::answer;
use crate::exchange::OpenExchange;
use crate::problem::{Answer, Problem};

/// `GET /metrics`: for the configured addresses only, since it shows what people do.
pub(crate) async fn render(exchange: OpenExchange) -> Answer {
    let OpenExchange { app, client, .. } = exchange;
    // An unconfigured proxy on this very machine makes strangers look like the machine.
    let allowed = !client.claims_unproven
        && app
            .config
            .metrics_allowed
            .iter()
            .any(|network| network.contains(client.address));
    if !allowed {
        let problem = Problem::new(
            StatusCode::FORBIDDEN,
            "metrics-not-allowed",
            "Metrics are for the operators of the registry.",
        );
        return Err(problem.remedy(
            "Add the address to metrics-allow, or the proxy in between to trusted-proxies.",
            None,
        ));
    }
    match &app.config.metrics {
        Some(metrics) => Ok(answer(
            "text/plain; version=0.0.4; charset=utf-8",
            Body::from(metrics.render()),
        )),
        None => Err(Problem::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "Not Found",
        )),
    }
}
