//! How the server is told to stop.

use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Beyond the deadline for requests, so long may the rest of a clean end take.
const REST: Duration = Duration::from_secs(5);

/// Cancels `stop` at the first Ctrl-C or SIGTERM, and ends the process at the second one,
/// or when a clean end takes too long.
pub(super) fn on_signal(stop: CancellationToken, deadline: Duration) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    tokio::spawn(async move {
        let asked = async |interrupt: &mut tokio::signal::unix::Signal, terminate: &mut tokio::signal::unix::Signal| {
            tokio::select! {
                _ = interrupt.recv() => 130,
                _ = terminate.recv() => 143,
            }
        };
        asked(&mut interrupt, &mut terminate).await;
        super::say("stopping; requests in flight finish first (Ctrl-C again to stop at once)");
        stop.cancel();
        let code = tokio::select! {
            code = asked(&mut interrupt, &mut terminate) => code,
            () = tokio::time::sleep(deadline + REST) => {
                tracing::error!("a clean end takes too long; stopping at once");
                1
            }
        };
        // Nothing is lost that was promised: what was answered was committed before.
        std::process::exit(code);
    });
    Ok(())
}
