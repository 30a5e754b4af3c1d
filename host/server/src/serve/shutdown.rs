//! How the server is asked to stop, and how it notifies the service manager.

use std::time::Duration;

use anyhow::Context as _;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Time for the rest of a clean shutdown, after the deadline for requests.
const REST: Duration = Duration::from_secs(5);

/// Signals within this time of the first one are the same wish: a shell sends Ctrl-C, and some
/// supervisors SIGTERM, to the process and to its group.
const SAME_WISH: Duration = Duration::from_millis(500);

/// Cancels `stop` at the first Ctrl-C or SIGTERM, and ends the process at the second one,
/// or when a clean end takes too long.
#[expect(
    clippy::disallowed_methods,
    reason = "for a clean end it is too late by then"
)]
pub(super) fn on_signal(stop: CancellationToken, deadline: Duration) -> anyhow::Result<()> {
    let mut first = Wish::listen()?;
    tokio::spawn(async move {
        first.heard().await;
        super::say("stopping; requests in flight finish first (Ctrl-C again to stop at once)");
        notify_manager(NotifyState::Stopping);
        stop.cancel();
        tokio::time::sleep(SAME_WISH).await;
        let Ok(mut second) = Wish::listen() else {
            return;
        };
        let code = tokio::select! {
            code = second.heard() => code,
            () = tokio::time::sleep(deadline + REST) => {
                tracing::error!("a clean end takes too long; stopping at once");
                1
            }
        };
        // Nothing promised is lost: everything that was answered was committed before.
        std::process::exit(code);
    });
    Ok(())
}

/// Notifies systemd, if that started the server (`Type=notify`), of the state: a restart with a
/// configuration error fails, instead of looking like a success.
pub(super) fn notify_manager(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the service manager cannot be notified");
    }
}

/// A request to stop the server. Signals from before it listened are ignored.
struct Wish {
    interrupt: Signal,
    terminate: Signal,
}

impl Wish {
    fn listen() -> anyhow::Result<Self> {
        let interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
        let terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
        Ok(Self {
            interrupt,
            terminate,
        })
    }

    /// The exit code of a process that the signal ends.
    async fn heard(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => 130,
            _ = self.terminate.recv() => 143,
        }
    }
}
