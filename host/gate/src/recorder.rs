//! The decision log and the audit of events that are not changes: refusals and authentications.
//!
//! Writers hand records to one task that commits them in groups, so that a burst costs few commits.
//! A refusal is answered only after its record is committed; a permitted change needs no waiting
//! here, because its audit event is part of the change itself and names the decision. For each
//! source, refusals, permitted decisions and accepted credentials are recorded one by one up to a
//! rate, and counted beyond it (`rate`). A decision's record has the facts that some policy asked
//! for, up to a number of bytes (`record`).

mod rate;
mod record;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use model::action::Effect;
use model::audit::{AuditEvent, Detail};
use model::limit::{
    CHANGES, RECORDED_AUTHENTICATIONS, RECORDED_READS, RECORDED_REFUSALS, RECORDED_SUCCESSES,
};
use model::{Action, Caller, Clock, Factor, SystemClock, Timestamp, UserId};
use storage::{Storage, StorageError};
use tokio::sync::{mpsc, oneshot};

use crate::attempt::Attempt;
use crate::set_aside::SetAside;

use rate::{Means, NamedFailures, Noted, Source, SourceRate, Uncounted};
pub(crate) use record::DecisionRecord;

/// Sizes and rates of the recorder.
#[derive(Clone, Debug)]
pub struct RecorderConfig {
    /// Most permitted reads recorded per second; more are counted, not recorded.
    pub reads_per_second: u32,
    /// Refusals of one source (a user, an address) recorded one by one per minute; twenty times as
    /// many for all sources together. More are counted, and the count is recorded.
    pub refusals_per_minute: u32,
}

impl Default for RecorderConfig {
    fn default() -> Self {
        Self {
            reads_per_second: RECORDED_READS.in_window(1),
            refusals_per_minute: RECORDED_REFUSALS.in_window(60),
        }
    }
}

enum Entry {
    Decision(Box<DecisionRecord>),
    /// None if no caller waits for it.
    Event(
        Box<AuditEvent>,
        Option<oneshot::Sender<Result<(), StorageError>>>,
    ),
    Flush(oneshot::Sender<()>),
}

/// Cheap handle to the recording task.
#[derive(Clone)]
pub struct Recorder {
    queue: mpsc::Sender<Entry>,
    reads: Arc<ReadRate>,
    rates: Arc<Rates>,
    looked_at: Arc<NamedFailures>,
    limited: Arc<NamedFailures>,
    readers: Arc<Noted>,
}

/// The rates up to which each source is recorded one by one.
struct Rates {
    refusals: SourceRate,
    refusals_of_strangers: SourceRate,
    reads: SourceRate,
    changes: SourceRate,
    authentications: SourceRate,
    /// How much one account may change. Each server counts in its own memory, so several together
    /// allow a multiple.
    changing: SourceRate,
}

impl Rates {
    /// The events that report the entries counted instead of recorded one by one.
    fn summaries(&self, now: Timestamp) -> Vec<AuditEvent> {
        let rates = [
            (&self.refusals, Counted::Refusals),
            (&self.refusals_of_strangers, Counted::Refusals),
            (&self.reads, Counted::Decisions),
            (&self.changes, Counted::Decisions),
            (&self.authentications, Counted::Authentications),
        ];
        rates
            .into_iter()
            .flat_map(|(rate, what)| {
                rate.finish(now)
                    .into_iter()
                    .map(move |uncounted| summary(what, uncounted))
            })
            .collect()
    }
}

/// The kinds of entries that are counted when not recorded one by one.
#[derive(Clone, Copy)]
enum Counted {
    Refusals,
    Decisions,
    Authentications,
}

/// The number of permitted reads in this second.
struct ReadRate {
    limit: u32,
    /// Second of the counted window.
    second: AtomicI64,
    seen: AtomicU64,
}

impl ReadRate {
    fn take(&self, now: Timestamp) -> bool {
        let second = now.seconds();
        if self.second.swap(second, Ordering::Relaxed) != second {
            self.seen.store(0, Ordering::Relaxed);
        }
        self.seen.fetch_add(1, Ordering::Relaxed) < u64::from(self.limit)
    }
}

/// Most entries committed together.
const GROUP: usize = 256;
/// Most entries that wait; beyond that, writers of refusals wait too, and reads are dropped.
const QUEUE: usize = model::limit::RECORDS_WAITING.length();
/// How soon after its minute a count of refusals is written if there are no other entries.
const SUMMARY_EVERY: Duration = Duration::from_secs(15);

impl Recorder {
    /// Starts the task. It ends, with everything committed, once every handle is dropped.
    pub fn start(storage: Storage, config: RecorderConfig) -> Self {
        let (queue, entries) = mpsc::channel(QUEUE);
        let recorder = Self::with_queue(queue, config);
        tokio::spawn(run(storage, entries, Arc::clone(&recorder.rates)));
        recorder
    }

    fn with_queue(queue: mpsc::Sender<Entry>, config: RecorderConfig) -> Self {
        let per_day = RECORDED_REFUSALS
            .in_window(86_400)
            .max(config.refusals_per_minute);
        let rates = Arc::new(Rates {
            refusals: SourceRate::with(config.refusals_per_minute, per_day),
            refusals_of_strangers: SourceRate::with(config.refusals_per_minute, per_day),
            reads: SourceRate::new(RECORDED_SUCCESSES),
            changes: SourceRate::new(RECORDED_SUCCESSES),
            authentications: SourceRate::new(RECORDED_AUTHENTICATIONS),
            changing: SourceRate::of_each(CHANGES),
        });
        let reads = ReadRate {
            limit: config.reads_per_second,
            second: AtomicI64::new(0),
            seen: AtomicU64::new(0),
        };
        Self {
            queue,
            reads: Arc::new(reads),
            rates,
            looked_at: Arc::new(NamedFailures::looked_at()),
            limited: Arc::new(NamedFailures::limited()),
            readers: Arc::default(),
        }
    }

    /// Records an audit event; returns when it is committed.
    pub async fn audit(&self, event: AuditEvent) -> Result<(), StorageError> {
        let (done, committed) = oneshot::channel();
        let gone = || StorageError::Unavailable("the recorder has ended".to_owned());
        self.queue
            .send(Entry::Event(Box::new(event), Some(done)))
            .await
            .map_err(|_| gone())?;
        committed.await.map_err(|_| gone())?
    }

    /// Records an audit event without waiting, unless the queue is full.
    pub fn note(&self, event: AuditEvent) {
        if self
            .queue
            .try_send(Entry::Event(Box::new(event), None))
            .is_err()
        {
            metrics::counter!("portcullis_records_lost_total").increment(1);
        }
    }

    /// Whether to record one more refusal of this source one by one; determined once for a request.
    /// If false, it has been counted and must not be recorded. Strangers are counted separately
    /// from callers with a credential, so that a flood from a thousand addresses hides nothing that
    /// an account or a token does. For an account, the first of each action in an hour, with each
    /// token and in each session, is always recorded.
    pub fn wants_refusal(&self, attempt: &Attempt, caller: &Caller, action: Action) -> bool {
        attempt.is_refusal_recorded(|| {
            let source = Source::of(attempt.remote_address, caller);
            let wanted = if source.is_stranger() {
                self.rates.refusals_of_strangers.take(source, attempt.at)
            } else {
                let means = Means::of(caller);
                self.rates
                    .refusals
                    .take_first(source, means, action, attempt.at)
            };
            if !wanted {
                metrics::counter!("portcullis_refusals_not_recorded_total").increment(1);
            }
            wanted
        })
    }

    /// The same for a permitted decision about somebody with a credential. Changes are counted
    /// separately from reads, and the first of each action in an hour is always recorded, so that
    /// reads cannot hide an upload.
    pub(crate) fn wants_success(
        &self,
        attempt: &Attempt,
        caller: &Caller,
        action: Action,
        is_read: bool,
    ) -> bool {
        let rate = if is_read {
            &self.rates.reads
        } else {
            &self.rates.changes
        };
        let wanted = rate.take_first(
            Source::of(attempt.remote_address, caller),
            Means::of(caller),
            action,
            attempt.at,
        );
        if !wanted {
            metrics::counter!("portcullis_permitted_not_recorded_total").increment(1);
        }
        wanted
    }

    /// Whether this account may make one more change of this kind: each change is an event that is
    /// stored permanently. Actions that the sheet declares as [not counted](Effect::Uncounted)
    /// always may.
    pub(crate) fn may_change(&self, attempt: &Attempt, caller: &Caller, action: Action) -> bool {
        let Some(user) = caller.user() else {
            return true;
        };
        action.effect() == Effect::Uncounted
            || self
                .rates
                .changing
                .take(Source::Changes(user.id, action), attempt.at)
    }

    /// Whether to record the event that a credential was accepted.
    pub fn wants_authentication(&self, attempt: &Attempt, caller: &Caller, action: Action) -> bool {
        self.rates.authentications.take_first(
            Source::of(attempt.remote_address, caller),
            Means::of(caller),
            action,
            attempt.at,
        )
    }

    /// Whether to record one more failed authentication for this account, even if there are too
    /// many refusals to record: of credentials that were checked, all that the limits let through;
    /// of those refused unchecked, one a minute. Each way to fail is counted separately.
    pub fn wants_failure_of(
        &self,
        user: UserId,
        why: &'static str,
        factor: Option<Factor>,
        was_looked_at: bool,
        at: Timestamp,
    ) -> bool {
        let failures = if was_looked_at {
            &self.looked_at
        } else {
            &self.limited
        };
        failures.take(user, (why, factor.map(Factor::as_str)), at)
    }

    /// Whether to note again that a read goes on without this credential. Tools send one with every
    /// request, so it is noted once in an hour for each action: for each credential, or for each
    /// address if the owner is unknown.
    pub fn wants_set_aside(&self, attempt: &Attempt, set_aside: &SetAside, action: Action) -> bool {
        let source = set_aside.user.map_or_else(
            || Source::of(attempt.remote_address, &Caller::anonymous()),
            Source::User,
        );
        self.readers
            .take((source, set_aside.token, action, true), attempt.at)
    }

    /// The same for a credential that was accepted with a read.
    pub fn wants_reader(&self, attempt: &Attempt, caller: &Caller, action: Action) -> bool {
        self.readers.take(
            (
                Source::of(attempt.remote_address, caller),
                caller.token_id(),
                action,
                false,
            ),
            attempt.at,
        )
    }

    /// Whether to record one more permitted read this second.
    pub(crate) fn wants_read(&self, now: Timestamp) -> bool {
        let wanted = self.reads.take(now);
        if !wanted {
            metrics::counter!("portcullis_reads_not_recorded_total").increment(1);
        }
        wanted
    }

    /// Records a permitted read, unless the queue is full.
    pub(crate) fn read(&self, record: Box<DecisionRecord>) {
        if self.queue.try_send(Entry::Decision(record)).is_err() {
            metrics::counter!("portcullis_reads_not_recorded_total").increment(1);
        }
    }

    /// Records a decision; waits while the queue is full.
    pub(crate) async fn decision(&self, record: Box<DecisionRecord>) {
        if self.queue.send(Entry::Decision(record)).await.is_err() {
            tracing::error!("a decision could not be recorded: the recorder has ended");
        }
    }

    /// Returns when everything queued before is committed.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.queue.send(Entry::Flush(done)).await.is_ok() {
            let _ = flushed.await;
        }
    }

    /// Commits what is queued. Later records are still taken while a handle lives.
    pub async fn close(&self) {
        self.flush().await;
    }
}

async fn run(storage: Storage, mut entries: mpsc::Receiver<Entry>, rates: Arc<Rates>) {
    let mut group = Vec::with_capacity(GROUP);
    loop {
        // Wakes up without entries, too: the flood that was counted may have stopped.
        let received = entries.recv_many(&mut group, GROUP);
        if let Ok(0) = tokio::time::timeout(SUMMARY_EVERY, received).await {
            break;
        }
        let mut decisions = Vec::new();
        let mut events = rates.summaries(SystemClock.now());
        let mut waiting = Vec::new();
        let mut flushed = Vec::new();
        for entry in group.drain(..) {
            match entry {
                Entry::Decision(record) => decisions.push(record.into_row()),
                Entry::Event(event, done) => {
                    events.push(*event);
                    waiting.extend(done);
                }
                Entry::Flush(done) => flushed.push(done),
            }
        }
        let result = if decisions.is_empty() && events.is_empty() {
            Ok(())
        } else {
            storage.record_log(&decisions, &events).await
        };
        if let Err(error) = &result {
            metrics::counter!("portcullis_records_lost_total")
                .increment((decisions.len() + events.len()) as u64);
            tracing::error!(%error, decisions = decisions.len(), events = events.len(), "the decision log could not be written");
        }
        for done in waiting {
            let told = result
                .as_ref()
                .map(|_| ())
                .map_err(|error| StorageError::Unavailable(error.to_string()));
            let _ = done.send(told);
        }
        for done in flushed {
            let _ = done.send(());
        }
    }
}

/// The event that reports the entries counted instead of recorded one by one.
fn summary(counted: Counted, uncounted: Uncounted) -> AuditEvent {
    let Uncounted {
        minute,
        left_out,
        sources,
    } = uncounted;
    let what = match counted {
        Counted::Refusals => "refusals",
        Counted::Decisions => "decisions",
        Counted::Authentications => "authentications",
    };
    tracing::warn!(%minute, left_out, ?sources, "{what} were counted and not recorded one by one");
    let sources = sources
        .into_iter()
        .map(|(source, entries)| (source, u64::from(entries)))
        .collect();
    let detail = match counted {
        Counted::Refusals => Detail::RefusalsCounted {
            refusals: left_out,
            sources,
        },
        Counted::Decisions => Detail::DecisionsCounted {
            decisions: left_out,
            sources,
        },
        Counted::Authentications => Detail::AuthenticationsCounted {
            authentications: left_out,
            sources,
        },
    };
    AuditEvent::of_server(minute, detail)
}

#[cfg(test)]
mod tests;
