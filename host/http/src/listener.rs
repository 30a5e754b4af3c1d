//! The connections: accepted within limits, with bounded patience, closed in order.

mod stall;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::app::App;
use crate::client_address::PeerAddress;
use crate::config::AppConfig;
use crate::crowd::{Crowd, InCrowd};
use stall::StallGuard;

/// Largest request line and headers, in bytes. Tokens are below 8 KiB.
const MAX_HEADER_BYTES: usize = model::limit::HEADER_BYTES.length();
/// Bytes read from one connection at a time.
const MAX_BUFFER_BYTES: usize = 128 << 10;
/// Pause after an accept failed because the system is out of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often samples of metrics are folded into buckets.
const METRICS_PAUSE: Duration = Duration::from_secs(5);

/// Serves HTTP/1.1 on `listener` until `shutdown`, then lets requests in flight finish, for
/// as long as the configuration says.
pub async fn serve(listener: TcpListener, app: App, shutdown: CancellationToken) {
    let router = app.router();
    let config = app.inner.config.clone();
    let most = config.max_connections.min(connections_affordable(
        std::fs::read_to_string("/proc/self/limits").ok().as_deref(),
    ));
    if most < config.max_connections {
        tracing::warn!(
            connections = most,
            configured = config.max_connections,
            "fewer connections than configured: raise the limit on open files (ulimit -n)"
        );
    }
    let places = Arc::new(Semaphore::new(most));
    let crowd = Crowd::default();
    let graceful = GracefulShutdown::new();
    let folding = config.metrics.clone().map(|metrics| {
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(METRICS_PAUSE);
            loop {
                ticks.tick().await;
                metrics.fold();
            }
        })
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_timeout)
        .max_header_size(MAX_HEADER_BYTES)
        .max_buf_size(MAX_BUFFER_BYTES);

    loop {
        // Take a place before a connection: without a place, connections wait in the system's
        // queue.
        let accepted = async {
            let place = places
                .clone()
                .acquire_owned()
                .await
                .map_err(io::Error::other)?;
            Ok::<_, io::Error>((listener.accept().await?, place))
        };
        let ((stream, peer), place) = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = accepted => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    if !is_of_one_connection(&error) {
                        tracing::warn!(%error, "cannot accept connections");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                    continue;
                }
            },
        };
        let Some(in_crowd) = enter(&crowd, &config, peer.ip()) else {
            continue;
        };
        let service_router = router.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(PeerAddress(peer));
            // A router is always ready.
            service_router.clone().call(request.map(Body::new))
        });
        let connection = graceful.watch(builder.serve_connection(
            TokioIo::new(prepared(stream, config.body_idle_timeout)),
            service,
        ));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%peer, %error, "a connection ended early");
            }
            drop((place, in_crowd));
        });
    }
    drop(listener);
    if tokio::time::timeout(config.shutdown_grace, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("requests were still in flight at the end of the grace period");
    }
    if let Some(folding) = folding {
        folding.abort();
    }
}

fn prepared(stream: TcpStream, patience: Duration) -> StallGuard<TcpStream> {
    // Answers are written whole; waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    StallGuard::new(stream, patience)
}

/// Half of the files this process may open, according to the text of `/proc/self/limits`: the other
/// half is for the database and for the files being sent.
fn connections_affordable(limits: Option<&str>) -> usize {
    let line = limits.and_then(|limits| {
        limits
            .lines()
            .find_map(|line| line.strip_prefix("Max open files"))
    });
    line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok())
        .map_or(Semaphore::MAX_PERMITS, |files| (files / 2).max(1))
}

/// Whether the error is about the connection to accept, not about accepting itself.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

/// Counts a connection; none if its address has too many. The machine itself and trusted proxies
/// stand in for many clients and are not counted.
fn enter(crowd: &Crowd, config: &AppConfig, address: IpAddr) -> Option<InCrowd> {
    let address = address.to_canonical();
    if address.is_loopback()
        || config
            .trusted_proxies
            .iter()
            .any(|network| network.contains(address))
    {
        return Some(InCrowd::uncounted());
    }
    crowd.enter(address, config.max_connections_per_address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_half_of_the_open_files_to_others() {
        let limits = |files: &str| {
            format!(
                "Limit                     Soft Limit           Hard Limit           Units\nMax open files            {files}                 524288               files\n"
            )
        };
        assert_eq!(connections_affordable(Some(&limits("1024"))), 512);
        assert_eq!(
            connections_affordable(Some(&limits("unlimited"))),
            Semaphore::MAX_PERMITS
        );
        assert_eq!(connections_affordable(None), Semaphore::MAX_PERMITS);
    }
}
