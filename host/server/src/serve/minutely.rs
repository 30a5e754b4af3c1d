//! Work that is checked each minute: recoveries of accounts whose wait is over, and the size of the
//! outbox. Several servers may do it at once.

use std::time::Duration;

use identity::Identity;
use storage::Storage;
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(60);

/// Checks once a minute until `stop`. Work that has begun is finished.
pub(super) async fn run(identity: Identity, storage: Storage, stop: CancellationToken) {
    loop {
        match identity.recoveries().complete_due().await {
            Ok(0) => {}
            Ok(accounts) => tracing::info!(accounts, "completed the recovery of accounts"),
            Err(error) => {
                tracing::warn!(%error, "cannot complete recoveries of accounts; trying again in a minute")
            }
        }
        match storage.outbox_depth().await {
            Ok(depth) => {
                metrics::gauge!("portcullis_mails_waiting").set(depth.waiting as f64);
                metrics::gauge!("portcullis_mails_failed").set(depth.failed as f64);
            }
            Err(error) => tracing::warn!(%error, "cannot look into the outbox"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}
