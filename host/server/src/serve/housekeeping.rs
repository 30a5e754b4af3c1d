//! Hourly cleanup while the server runs: orphaned files, old decisions, stale counters, servers
//! that are gone, and sessions, links and mails that have ended. Several servers may do it at once.

use std::time::Duration;

use identity::Identity;
use model::Timestamp;
use registry::Registry;
use storage::{Storage, StorageError};
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(3600);
/// Not at once: a start has more urgent work.
const FIRST_AFTER: Duration = Duration::from_secs(60);
/// Most decisions deleted in one transaction, so that no one waits long for the writer.
const BATCH: u32 = 1000;
/// Beyond the longest window of any limit (a day).
const ATTEMPTS_KEPT_MS: i64 = 2 * 86_400_000;
const SERVERS_KEPT_MS: i64 = 86_400_000;
/// Mails that were sent or failed, without their text: long enough to answer "did it go out?".
const MAILS_KEPT_MS: i64 = 30 * 86_400_000;
/// Browsers that no one has logged in with for this long are forgotten, and must be confirmed
/// again.
const DEVICES_KEPT_MS: i64 = 400 * 86_400_000;

/// Tidies up once an hour until `stop`.
pub(super) async fn run(
    registry: Registry,
    identity: Identity,
    decision_retention: Duration,
    stop: CancellationToken,
) {
    let mut pause = FIRST_AFTER;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = EVERY;
        // A shutdown does not wait for a sweep; the next one does the rest.
        tokio::select! {
            () = stop.cancelled() => return,
            () = tidy_up(&registry, &identity, decision_retention) => {}
        }
    }
}

async fn tidy_up(registry: &Registry, identity: &Identity, decision_retention: Duration) {
    match registry.sweep_orphans().await {
        Ok(swept) if swept != Default::default() => {
            tracing::info!(
                blobs = swept.blobs,
                incoming = swept.incoming,
                bytes = swept.bytes,
                "removed files that nothing refers to"
            )
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "cannot look for files that nothing refers to"),
    }
    let now = registry.clock().now();
    match forget_decisions(registry, before(now, decision_retention)).await {
        Ok(0) => {}
        Ok(decisions) => {
            tracing::info!(decisions, "forgot decisions older than decision-retention")
        }
        Err(error) => tracing::warn!(%error, "cannot forget old decisions"),
    }
    if let Err(error) = registry
        .storage()
        .forget_attempts(now.plus_ms(-ATTEMPTS_KEPT_MS))
        .await
    {
        tracing::warn!(%error, "cannot forget old attempts");
    }
    if let Err(error) = registry
        .storage()
        .forget_uploaded_bytes(now.plus_ms(-ATTEMPTS_KEPT_MS))
        .await
    {
        tracing::warn!(%error, "cannot forget how much was uploaded");
    }
    if let Err(error) = registry
        .storage()
        .remove_stale_servers(now.plus_ms(-SERVERS_KEPT_MS))
        .await
    {
        tracing::warn!(%error, "cannot forget servers that are gone");
    }
    // A server of the previous version may have added some.
    if let Err(error) = identity::convert_addresses(registry.storage(), now).await {
        tracing::warn!(%error, "cannot convert email addresses of before");
    }
    if let Err(error) = forget_ended(registry.storage(), identity, now).await {
        tracing::warn!(%error, "cannot forget sessions, links and mails that have ended");
    }
}

/// Forgets things that have ended and are no longer needed.
async fn forget_ended(
    storage: &Storage,
    identity: &Identity,
    now: Timestamp,
) -> Result<(), StorageError> {
    identity.sessions().forget_what_ended().await?;
    storage
        .forget_unseen_devices(now.plus_ms(-DEVICES_KEPT_MS))
        .await?;
    storage
        .forget_ended_mails(now.plus_ms(-MAILS_KEPT_MS))
        .await?;
    storage.forget_mail_rates(now).await?;
    Ok(())
}

fn before(now: Timestamp, span: Duration) -> Timestamp {
    Timestamp(
        now.0
            .saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)),
    )
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
