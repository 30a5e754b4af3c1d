//! Metrics for Prometheus: those of requests, and the page that shows all of them.

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{
    Counter, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use model::{Action, Timestamp};

const REQUESTS: &str = "portcullis_requests_total";
const REQUEST_SECONDS: &str = "portcullis_request_seconds";
const DECISIONS: &str = "portcullis_decisions_total";
const DECISION_SECONDS: &str = "portcullis_decision_seconds";
const BUILD_INFO: &str = "portcullis_build_info";
// Prometheus' own names for metrics of every process.
const RESIDENT_BYTES: &str = "process_resident_memory_bytes";
const START_TIME: &str = "process_start_time_seconds";
pub(crate) const UPLOADS_IN_FLIGHT: &str = "portcullis_uploads_in_flight";

/// The route name for requests to no route.
const NO_ROUTE: &str = "none";

/// Upper bounds of request durations, in seconds. A project page takes some 100 µs.
const SECONDS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    10.0,
];
/// Upper bounds of decision durations, in seconds: usually microseconds, 10 ms for one policy at
/// most.
const DECISION_BUCKETS: &[f64] = &[
    0.000_005, 0.000_01, 0.000_015, 0.000_02, 0.000_03, 0.000_05, 0.000_075, 0.0001, 0.000_25,
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1,
];

/// Counters without labels, from anywhere in the process. They exist from the start: an alert on a
/// metric that does not exist yet never fires.
const PLAIN_COUNTERS: &[(&str, &str)] = &[
    (
        "portcullis_policy_set_failures_total",
        "Policy sets that were activated and that this server cannot load.",
    ),
    (
        "portcullis_records_lost_total",
        "Decisions and audit events that could not be written to the database.",
    ),
    (
        "portcullis_reads_not_recorded_total",
        "Permitted reads beyond the rate at which they are recorded.",
    ),
    (
        "portcullis_permitted_not_recorded_total",
        "Permitted decisions about a credential that were counted and not recorded one by one.",
    ),
    (
        "portcullis_refusals_not_recorded_total",
        "Refusals that were counted and not recorded one by one.",
    ),
    (
        "portcullis_log_lines_lost_total",
        "Log lines that standard error did not take in time.",
    ),
];

/// Counters with labels; the code that counts them starts them at zero if the labels are known.
const LABELLED_COUNTERS: &[(&str, &str)] = &[
    (REQUESTS, "HTTP requests by route, method and status."),
    (DECISIONS, "Decisions by action and outcome."),
    (
        "portcullis_breach_checks_total",
        "Passwords looked for in known breaches, by outcome: clean, breached, unavailable.",
    ),
    (
        "portcullis_mails_total",
        "Attempts to send a mail, by outcome: sent, deferred, failed.",
    ),
    (
        "portcullis_policy_failures_total",
        "Evaluations that a policy did not finish: it trapped, overran its budget, or is suspended.",
    ),
    (
        "portcullis_unenforced_verdicts_total",
        "Verdicts of policies in grade warn or observe that would not have let something through.",
    ),
];

const GAUGES: &[(&str, &str)] = &[
    (UPLOADS_IN_FLIGHT, "Uploads being received."),
    (
        "portcullis_policy_set",
        "Number of the policy set that serves.",
    ),
    (
        "portcullis_watched_policies_refused",
        "1 while the set in the folder of --watch-policies is refused, 0 while it is accepted.",
    ),
    (
        "portcullis_mails_waiting",
        "Mails in the outbox that are still to be sent.",
    ),
    (
        "portcullis_mails_failed",
        "Mails of the last thirty days that were given up.",
    ),
    (
        BUILD_INFO,
        "Always 1; the label names the version of the program.",
    ),
    (
        RESIDENT_BYTES,
        "Memory of the process that is resident, in bytes.",
    ),
    (
        START_TIME,
        "When the process began to serve, in seconds since 1970.",
    ),
];

/// The metrics of this process, in the form Prometheus reads.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl std::fmt::Debug for Metrics {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Metrics")
    }
}

/// Why the metrics of this process cannot be collected.
#[derive(Debug, thiserror::Error)]
pub enum InstallMetricsError {
    #[error("this process gathers metrics already")]
    InstalledAlready,
    #[error("the buckets of a histogram are refused: {0}")]
    Buckets(#[from] metrics_exporter_prometheus::BuildError),
}

impl Metrics {
    /// Starts to collect the metrics of the whole process. Call it once per process, before the
    /// first request; while [`crate::serve`] runs, samples are folded into buckets in time.
    /// `started_at` is when the process started.
    pub fn install(started_at: Timestamp) -> Result<Self, InstallMetricsError> {
        let recorder = builder()?.build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder)
            .map_err(|_| InstallMetricsError::InstalledAlready)?;
        begin(started_at);
        Ok(Self(handle))
    }

    /// The metrics as text.
    pub fn render(&self) -> String {
        if let Some(bytes) = resident_bytes() {
            gauge!(RESIDENT_BYTES).set(bytes as f64);
        }
        self.0.render()
    }

    /// Folds samples into buckets; without it they pile up until the metrics are read.
    pub(crate) fn fold(&self) {
        self.0.run_upkeep();
    }
}

fn builder() -> Result<PrometheusBuilder, metrics_exporter_prometheus::BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(DECISION_SECONDS.to_owned()), DECISION_BUCKETS)?
        .set_buckets_for_metric(Matcher::Full(REQUEST_SECONDS.to_owned()), SECONDS)
}

/// Describes every metric, and starts counters at zero.
fn begin(started_at: Timestamp) {
    describe_histogram!(
        REQUEST_SECONDS,
        "Seconds from a request's headers to its answer's, by route."
    );
    describe_histogram!(
        DECISION_SECONDS,
        "Seconds that the policies took for one decision."
    );
    for &(name, help) in PLAIN_COUNTERS {
        describe_counter!(name, help);
        counter!(name).increment(0);
    }
    for &(name, help) in LABELLED_COUNTERS {
        describe_counter!(name, help);
    }
    for action in Action::ALL {
        counter!(DECISIONS, "action" => action.as_str(), "outcome" => "failed").increment(0);
    }
    for &(name, help) in GAUGES {
        describe_gauge!(name, help);
    }
    gauge!(UPLOADS_IN_FLIGHT).set(0.0);
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    gauge!(START_TIME).set(started_at.0 as f64 / 1000.0);
}

/// Resident memory of this process; none if the system does not report it as Linux does.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(
        line.trim()
            .strip_suffix(" kB")?
            .trim()
            .parse::<u64>()
            .ok()?
            * 1024,
    )
}

/// Counters of requests, looked up once for each label set and then cached.
pub(crate) struct RequestMetrics {
    /// One for each row of the table of routes, then one for requests to no route.
    routes: Vec<RouteMetrics>,
}

/// Statuses that are common enough to cache their counters.
const STATUSES: [u16; 8] = [200, 206, 304, 400, 403, 404, 301, 503];
const METHODS: [&str; 3] = ["GET", "HEAD", "POST"];

#[derive(Default)]
struct RouteMetrics {
    seconds: OnceLock<Histogram>,
    counts: [[OnceLock<Counter>; STATUSES.len()]; METHODS.len()],
}

impl RequestMetrics {
    /// The counters for a table with `routes` rows.
    pub(crate) fn new(routes: usize) -> Self {
        Self {
            routes: (0..=routes).map(|_| RouteMetrics::default()).collect(),
        }
    }

    /// Counts one request. `method` is one of a closed set of words.
    pub(crate) fn count(
        &self,
        route: Option<(usize, &'static str)>,
        method: &'static str,
        status: u16,
        elapsed: Duration,
    ) {
        let (index, path) = route.unwrap_or((self.routes.len() - 1, NO_ROUTE));
        let Some(kept) = self.routes.get(index) else {
            return;
        };
        kept.seconds
            .get_or_init(|| histogram!(REQUEST_SECONDS, "route" => path))
            .record(elapsed.as_secs_f64());
        let find = || counter!(REQUESTS, "route" => path, "method" => method, "status" => status.to_string());
        let place = METHODS
            .iter()
            .position(|known| *known == method)
            .zip(STATUSES.iter().position(|known| *known == status));
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
            let counts = RequestMetrics::new(crate::routes::routes().len());
            for status in [200, 200, 418] {
                counts.count(
                    Some((1, "/simple/")),
                    "GET",
                    status,
                    Duration::from_millis(1),
                );
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

    #[test]
    fn what_alerts_watch_is_there_before_it_happens_and_says_what_it_is() {
        let recorder = builder().unwrap().build_recorder();
        let handle = recorder.handle();
        let text = metrics::with_local_recorder(&recorder, || {
            begin(Timestamp(0));
            histogram!(DECISION_SECONDS).record(0.000_012);
            Metrics(handle).render()
        });
        for line in [
            "portcullis_policy_set_failures_total 0",
            "portcullis_records_lost_total 0",
            "portcullis_log_lines_lost_total 0",
            "portcullis_decisions_total{action=\"file:upload\",outcome=\"failed\"} 0",
            "portcullis_decision_seconds_bucket{le=\"0.00001\"} 0",
            "portcullis_decision_seconds_bucket{le=\"0.000015\"} 1",
            concat!(
                "portcullis_build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"} 1"
            ),
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        for name in text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        {
            assert!(text.contains(&format!("# HELP {name} ")), "{name}\n{text}");
        }
        assert!(resident_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }
}
