//! The log: one line per event on standard error, written by a separate thread.
//!
//! A full pipe or a slow disk must not hold up requests, so the queue is bounded, and lines that do
//! not fit are dropped, counted and reported.

use std::io::IsTerminal;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use crate::configuration::{Configuration, Key, LogFormat, Origin};

/// Most lines that wait to be written: a few megabytes.
const QUEUE: usize = 16_384;

/// The running log. Dropping it writes the queued lines.
pub(crate) struct Log {
    lost: ErrorCounter,
    _writer: WorkerGuard,
}

/// Starts the log of a server.
pub(crate) fn start(configuration: &Configuration) -> Log {
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(QUEUE)
        .thread_name("log")
        .finish(std::io::stderr());
    let lost = writer.error_counter();
    let filter = filter(&configuration.values.log.0);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer);
    match configuration.values.log_format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .init(),
    }
    Log {
        lost,
        _writer: guard,
    }
}

/// Starts the log of a command: only lines that a person at a terminal must see.
pub(crate) fn start_for_command(configuration: &Configuration) {
    let level = if configuration.layers.origin(Key::log) == Origin::Default {
        "warn"
    } else {
        &configuration.values.log.0
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter(level))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .without_time()
        .with_target(false)
        .init();
}

fn filter(directives: &str) -> EnvFilter {
    // It was parsed when the configuration was read.
    EnvFilter::try_new(with_quiet_driver(directives)).unwrap_or_else(|_| EnvFilter::new("info"))
}

/// The database driver repeats every notice of PostgreSQL at level info. It logs only from `warn`,
/// unless the list says otherwise.
fn with_quiet_driver(directives: &str) -> String {
    let says_otherwise = directives.split(',').map(str::trim).any(|directive| {
        directive.starts_with("sqlx") || matches!(directive, "error" | "off" | "warn")
    });
    if says_otherwise {
        directives.to_owned()
    } else {
        format!("{directives},sqlx=warn")
    }
}

impl Log {
    /// Reports once a minute how many lines were lost, until `stop`.
    pub(crate) fn account_for_losses(
        &self,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        let lost = self.lost.clone();
        async move {
            let mut told = 0;
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(Duration::from_secs(60)) => {}
                }
                let now = lost.dropped_lines();
                if now > told {
                    metrics::counter!("portcullis_log_lines_lost_total").absolute(now as u64);
                    tracing::warn!(
                        lines = now - told,
                        "log lines were lost: standard error is written too slowly"
                    );
                    told = now;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_driver_is_quiet_unless_it_is_asked_to_speak() {
        assert_eq!(
            with_quiet_driver("info,request=warn"),
            "info,request=warn,sqlx=warn"
        );
        for directives in ["error", "off", "info,sqlx=debug", "warn, request=info"] {
            assert_eq!(with_quiet_driver(directives), directives);
        }
    }
}
