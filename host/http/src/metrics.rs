//! Numbers for Prometheus: those of requests, and the page that shows all of them.

use std::sync::OnceLock;
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use metrics::{Counter, Histogram, counter, describe_counter, describe_gauge, describe_histogram, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::exchange::{OpenExchange, answer};
use crate::problem::{Answer, Problem};
use crate::routes::routes;

const REQUESTS: &str = "portcullis_requests_total";
const REQUEST_SECONDS: &str = "portcullis_request_seconds";
pub(crate) const UPLOADS_IN_FLIGHT: &str = "portcullis_uploads_in_flight";

/// The route's name of requests to no route.
const NO_ROUTE: &str = "none";

/// Upper bounds of what requests take, in seconds. A project page takes some 100 µs.
const SECONDS: &[f64] = &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Upper bounds of what decisions take, in microseconds.
const MICROSECONDS: &[f64] = &[5.0, 10.0, 15.0, 20.0, 30.0, 50.0, 75.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 10_000.0];

/// The numbers of this process, in the form Prometheus reads.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl std::fmt::Debug for Metrics {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Metrics")
    }
}

/// Why the numbers of this process cannot be gathered.
#[derive(Debug, thiserror::Error)]
pub enum InstallMetricsError {
    #[error("this process gathers metrics already")]
    InstalledAlready,
    #[error("the buckets of a histogram are refused: {0}")]
    Buckets(#[from] metrics_exporter_prometheus::BuildError),
}

impl Metrics {
    /// Starts to gather what the whole process counts. Once per process, before the first
    /// request; while [`crate::serve`] runs, samples are folded into buckets in time.
    pub fn install() -> Result<Self, InstallMetricsError> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
            .set_buckets_for_metric(Matcher::Suffix("_microseconds".to_owned()), MICROSECONDS)?
            .build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).map_err(|_| InstallMetricsError::InstalledAlready)?;
        describe_counter!(REQUESTS, "HTTP requests by route, method and status.");
        describe_histogram!(REQUEST_SECONDS, "Seconds from a request's headers to its answer's, by route.");
        describe_gauge!(UPLOADS_IN_FLIGHT, "Uploads being received.");
        Ok(Self(handle))
    }

    /// The numbers as text.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Folds samples into buckets; without it they pile up until somebody looks.
    pub(crate) fn fold(&self) {
        self.0.run_upkeep();
    }
}

/// `GET /metrics`: for the configured addresses only, since it tells what people do.
pub(crate) async fn render(exchange: OpenExchange) -> Answer {
    let OpenExchange { app, client, .. } = exchange;
    // An unconfigured proxy on this very machine makes strangers look like the machine.
    let allowed = !client.claims_unproven && app.config.metrics_allowed.iter().any(|network| network.contains(client.address));
    if !allowed {
        let problem = Problem::new(StatusCode::FORBIDDEN, "metrics-not-allowed", "Metrics are for the operators of the registry.");
        return Err(problem.remedy("Add the address to metrics-allow, or the proxy in between to trusted-proxies.", None));
    }
    match &app.config.metrics {
        Some(metrics) => Ok(answer("text/plain; version=0.0.4; charset=utf-8", Body::from(metrics.render()))),
        None => Err(Problem::new(StatusCode::NOT_FOUND, "not-found", "Not Found")),
    }
}

/// Counters of requests, looked up once for each label set and kept.
pub(crate) struct RequestMetrics {
    /// One for each row of the table of routes, then one for requests to no route.
    routes: Vec<RouteMetrics>,
}

/// Statuses that are usual enough to keep their counters at hand.
const STATUSES: [u16; 8] = [200, 206, 304, 400, 403, 404, 301, 503];
const METHODS: [&str; 3] = ["GET", "HEAD", "POST"];

#[derive(Default)]
struct RouteMetrics {
    seconds: OnceLock<Histogram>,
    counts: [[OnceLock<Counter>; STATUSES.len()]; METHODS.len()],
}

impl RequestMetrics {
    pub(crate) fn new() -> Self {
        Self { routes: (0..=routes().len()).map(|_| RouteMetrics::default()).collect() }
    }

    /// Counts one request. `method` is one of a closed set of words.
    pub(crate) fn count(&self, route: Option<(usize, &'static str)>, method: &'static str, status: u16, elapsed: Duration) {
        let (index, path) = route.unwrap_or((routes().len(), NO_ROUTE));
        let Some(kept) = self.routes.get(index) else { return };
        kept.seconds.get_or_init(|| histogram!(REQUEST_SECONDS, "route" => path)).record(elapsed.as_secs_f64());
        let find = || counter!(REQUESTS, "route" => path, "method" => method, "status" => status.to_string());
        let place = METHODS.iter().position(|known| *known == method).zip(STATUSES.iter().position(|known| *known == status));
        match place {
            Some((method, status)) => kept.counts[method][status].get_or_init(find).increment(1),
            None => find().increment(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_route_method_and_status() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            let counts = RequestMetrics::new();
            for status in [200, 200, 418] {
                counts.count(Some((1, "/simple/")), "GET", status, Duration::from_millis(1));
            }
            counts.count(None, "OTHER", 404, Duration::from_millis(1));
        });
        let text = handle.render();
        for line in [
            r#"portcullis_requests_total{route="/simple/",method="GET",status="200"} 2"#,
            r#"portcullis_requests_total{route="/simple/",method="GET",status="418"} 1"#,
            r#"portcullis_requests_total{route="none",method="OTHER",status="404"} 1"#,
            r#"portcullis_request_seconds_count{route="/simple/"} 3"#,
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
