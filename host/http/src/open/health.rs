//! Whether the server is alive, and whether it is ready to serve.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;
use tokio::time::timeout;

use crate::exchange::{OpenExchange, json};
use crate::problem::Answer;

/// Longest wait for the database's answer.
const DATABASE_PATIENCE: Duration = Duration::from_secs(2);

/// `GET /health`: alive. `GET /health?ready`: a policy set is active and the database answers.
pub(crate) async fn health(exchange: OpenExchange) -> Answer {
    let asks_readiness = exchange.request.uri.query().is_some_and(|query| {
        query
            .split('&')
            .any(|word| word == "ready" || word.starts_with("ready="))
    });
    if !asks_readiness {
        return json(&json!({ "status": "alive" }));
    }
    let set_number = exchange.app.gate.active_set_number();
    let marker = timeout(DATABASE_PATIENCE, exchange.app.registry.database_answers()).await;
    let database = match marker {
        Ok(Ok(_)) => "ok",
        Ok(Err(error)) => {
            tracing::warn!(%error, "the database does not answer a readiness check");
            "unavailable"
        }
        Err(_) => "slow",
    };
    let ready = set_number.is_some() && database == "ok";
    let mut response = json(
        &json!({ "status": if ready { "ready" } else { "not-ready" }, "policy_set": set_number, "database": database }),
    )?;
    if !ready {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    Ok(response)
}
