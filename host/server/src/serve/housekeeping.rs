//! What must be tidied up while the server runs: orphaned files, old decisions, stale
//! counters, servers that are gone. Several servers may do it at once.

use std::time::Duration;

use model::Timestamp;
use registry::Registry;
use storage::StorageError;
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(3600);
/// Not at once: a start has better things to do.
const FIRST_AFTER: Duration = Duration::from_secs(60);
/// Decisions deleted in one transaction at most, so that nobody waits long for the writer.
const BATCH: u32 = 1000;
/// Beyond the longest window of any limit (a day).
const ATTEMPTS_KEPT_MS: i64 = 2 * 86_400_000;
const SERVERS_KEPT_MS: i64 = 86_400_000;

/// Tidies up once an hour until `stop`.
pub(super) async fn run(registry: Registry, decision_retention: Duration, stop: CancellationToken) {
    let mut pause = FIRST_AFTER;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = EVERY;
        // A shutdown does not wait for a sweep; what is left is swept next time.
        tokio::select! {
            () = stop.cancelled() => return,
            () = tidy_up(&registry, decision_retention) => {}
        }
    }
}

async fn tidy_up(registry: &Registry, decision_retention: Duration) {
    match registry.sweep_orphans().await {
        Ok(swept) if swept != Default::default() => {
            tracing::info!(blobs = swept.blobs, incoming = swept.incoming, bytes = swept.bytes, "removed files that nothing refers to")
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "cannot look for files that nothing refers to"),
    }
    let now = registry.clock().now();
    let kept_ms = i64::try_from(decision_retention.as_millis()).unwrap_or(i64::MAX);
    match forget_decisions(registry, Timestamp(now.0.saturating_sub(kept_ms))).await {
        Ok(0) => {}
        Ok(decisions) => tracing::info!(decisions, "forgot decisions older than decision-retention"),
        Err(error) => tracing::warn!(%error, "cannot forget old decisions"),
    }
    if let Err(error) = registry.storage().forget_attempts(now.plus_ms(-ATTEMPTS_KEPT_MS)).await {
        tracing::warn!(%error, "cannot forget old attempts");
    }
    if let Err(error) = registry.storage().remove_stale_servers(now.plus_ms(-SERVERS_KEPT_MS)).await {
        tracing::warn!(%error, "cannot forget servers that are gone");
    }
}

async fn forget_decisions(registry: &Registry, before: Timestamp) -> Result<u64, StorageError> {
    let mut forgotten = 0;
    loop {
        let batch = registry.storage().forget_decisions(before, BATCH).await?;
        forgotten += batch;
        if batch < u64::from(BATCH) {
            return Ok(forgotten);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
