//! Loads, validates, swaps and rolls back policy sets.
//!
//! Read -> load and compile -> assemble -> self-test -> warm -> swap. All of it happens off the
//! request path; the swap itself is one atomic pointer. On any failure the current generation keeps
//! serving, and the reason is audited, logged, and shown by `portcullis policy status`.
//!
//! Servers that share a database follow the activation marker in it: an activation is a new row,
//! and every server notices it, installs the set, and reports back.
//!
//! Invariant: an activation holds from the commit of its row. A decision of an earlier set only
//! takes effect if its unit of work was committed before that
//! (`storage::UnitOfWork::decided_under`). A server that has not yet followed does so before it
//! decides about the next change. If a server cannot load a set, it follows by staying with the one
//! that serves.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use model::audit::{AuditEvent, Detail};
use model::{ModuleDigest, Timestamp};
use policy_engine::contract::SettingError;
use policy_engine::{Module, OwnerForm, PolicyHealth, PolicySet, SetSpec};
use storage::policies::{ServerRow, WatchedFolder};
use storage::{Storage, StorageError};

use crate::decide::Gate;
use crate::package::StoredSet;

/// How often a server looks for an activation asked for by another process.
const FOLLOW_EVERY: Duration = Duration::from_millis(200);
/// How long a decision about a change waits for this server to follow an activation. A set whose
/// modules must be compiled takes a second or two. After the wait the answer is 503, so that
/// requests do not pile up behind a set that does not get ready.
const CATCH_UP_WAIT: Duration = Duration::from_secs(15);
/// How often a server reports that it is alive.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(5);
/// How often to retry a set that could not be installed, once with each heartbeat: a machine that
/// is too busy to compile a module in time must not miss an emergency.
const RETRIES: u32 = 6;

/// One policy set, compiled and serving.
pub struct Generation {
    number: u64,
    set: PolicySet,
}

impl Generation {
    /// Number of the policy set.
    pub fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn set(&self) -> &PolicySet {
        &self.set
    }
}

impl fmt::Debug for Generation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Generation({})", self.number)
    }
}

/// The state of this server after the newest activation that it has followed.
pub(crate) struct Active {
    /// None before the first installation.
    pub(crate) generation: Option<Arc<Generation>>,
    /// Sequence of that activation; 0 before the first. The generation is of that activation's set,
    /// unless it could not be loaded here.
    pub(crate) activation: i64,
}

impl Active {
    pub(crate) const NONE: Self = Self {
        generation: None,
        activation: 0,
    };

    /// Number of the set that serves; 0 if none.
    pub(crate) fn number(&self) -> u64 {
        self.generation
            .as_ref()
            .map_or(0, |generation| generation.number)
    }
}

/// The outcome of an activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activation {
    /// Number of the set that serves now.
    pub number: u64,
    /// Number of the set that served before.
    pub previous: Option<u64>,
}

/// The last set that this server should serve and could not.
#[derive(Clone, Debug)]
pub(crate) struct LastFailure {
    /// The activation that asked for it.
    activation: i64,
    number: u64,
    message: String,
    /// The retries so far.
    retries: u32,
}

/// Why a set could not be installed. The old generation keeps serving.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// No set has this number.
    #[error("policy set {0} does not exist; `portcullis policy history` lists those that do")]
    UnknownSet(u64),
    /// The stored set cannot be read.
    #[error("policy set {number} cannot be read: {message}")]
    Unreadable { number: u64, message: String },
    /// A module of the set is missing or has changed.
    #[error("module {digest} of policy `{policy}` {what}")]
    Module {
        policy: String,
        digest: String,
        what: String,
    },
    /// A module was refused.
    #[error("module `{module}`: {error}")]
    Load {
        module: String,
        error: policy_engine::LoadError,
    },
    /// The set does not fit together.
    #[error(transparent)]
    Set(#[from] policy_engine::SetError),
    /// Cases of the set did not come out as expected.
    #[error("{} of the set's own cases failed:\n{}", .0.len(), .0.join("\n"))]
    Cases(Vec<String>),
    /// The work was interrupted.
    #[error("the installation was interrupted: {0}")]
    Interrupted(String),
    /// The database could not be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl InstallError {
    /// Whether it is temporary and says nothing about the set: a retry may succeed.
    fn is_passing(&self) -> bool {
        matches!(self, Self::Storage(StorageError::Unavailable(_)))
    }
}

impl Gate {
    /// Serves set `number` as the response to all activations so far.
    pub async fn install(&self, number: u64) -> Result<Activation, InstallError> {
        let activation = self.storage().activation_marker().await?;
        self.install_for(activation, number).await
    }

    /// Loads set `number` from the database, compiles, self-tests, warms, and swaps it in, as the
    /// response to this activation (a sequence). On any failure the old generation keeps serving,
    /// now as the response to this activation, and the reason is recorded.
    pub async fn install_for(
        &self,
        activation: i64,
        number: u64,
    ) -> Result<Activation, InstallError> {
        let last_failure = self.inner.installing.lock().await;
        self.install_locked(last_failure, activation, number).await
    }

    async fn install_locked(
        &self,
        mut last_failure: tokio::sync::MutexGuard<'_, Option<LastFailure>>,
        activation: i64,
        number: u64,
    ) -> Result<Activation, InstallError> {
        let before = self.inner.active.load_full();
        let previous = self.active_set_number();
        // Overtaken: this server has already followed a later activation.
        if let Some(serving) = previous.filter(|_| activation < before.activation) {
            return Ok(Activation {
                number: serving,
                previous,
            });
        }
        if previous == Some(number) {
            self.inner.active.store(Arc::new(Active {
                generation: before.generation.clone(),
                activation,
            }));
            settle(&mut last_failure, activation, number);
            self.report(&last_failure).await;
            return Ok(Activation { number, previous });
        }
        let result = self.build(number).await;
        let installed = match result {
            Ok(generation) => {
                begin_counters(&generation.set);
                self.inner.active.store(Arc::new(Active {
                    generation: Some(Arc::new(generation)),
                    activation,
                }));
                settle(&mut last_failure, activation, number);
                metrics::gauge!("portcullis_policy_set").set(number as f64);
                tracing::info!(set = number, previous, "policy set is serving");
                Ok(Activation { number, previous })
            }
            // Not followed: it is retried, and until then no change is stored.
            Err(error) if error.is_passing() => {
                tracing::warn!(set = number, serving = previous, %error, "policy set could not be installed yet");
                Err(error)
            }
            Err(error) => {
                self.inner.active.store(Arc::new(Active {
                    generation: before.generation.clone(),
                    activation,
                }));
                *last_failure = Some(LastFailure {
                    activation,
                    number,
                    message: error.to_string(),
                    retries: 0,
                });
                metrics::counter!("portcullis_policy_set_failures_total").increment(1);
                tracing::error!(set = number, serving = previous, %error, "policy set could not be installed; the one before keeps serving");
                let detail = Detail::PolicySetFailed {
                    set: number,
                    serving: previous,
                    error: error.to_string(),
                };
                let event = AuditEvent::of_server(self.clock().now(), detail);
                if let Err(error) = self.recorder().audit(event).await {
                    tracing::error!(%error, "the failure could not be recorded");
                }
                Err(error)
            }
        };
        self.report(&last_failure).await;
        installed
    }

    async fn build(&self, number: u64) -> Result<Generation, InstallError> {
        let set = load_set(self.storage(), &self.inner.config.engine, number).await?;
        let set = tokio::task::spawn_blocking(move || {
            set.warm();
            set
        })
        .await
        .map_err(|error| InstallError::Interrupted(error.to_string()))?;
        Ok(Generation { number, set })
    }

    /// Number of the set that serves; none before the first installation.
    pub fn active_set_number(&self) -> Option<u64> {
        self.inner
            .active
            .load()
            .generation
            .as_ref()
            .map(|generation| generation.number)
    }

    /// The set that serves, as it was written.
    pub fn active_spec(&self) -> Option<SetSpec> {
        self.inner
            .active
            .load()
            .generation
            .as_ref()
            .map(|generation| generation.set.spec().clone())
    }

    /// The forms that the active set's policies offer to project owners.
    pub fn owner_forms(&self) -> Vec<OwnerForm> {
        self.inner
            .active
            .load()
            .generation
            .as_ref()
            .map(|generation| generation.set.owner_forms())
            .unwrap_or_default()
    }

    /// Checks an owner's choices for one policy (`{setting: value}`) against its form.
    pub fn check_owner_settings(
        &self,
        policy: &str,
        chosen: &serde_json::Value,
    ) -> Result<(), Vec<SettingError>> {
        let active = self.inner.active.load();
        let Some(generation) = &active.generation else {
            return Err(vec![SettingError {
                setting: policy.to_owned(),
                message: "no policy set is active".to_owned(),
            }]);
        };
        generation
            .set
            .check_owner_settings(policy, chosen)
            .map(|_| ())
    }

    /// Counts of every policy of the active set, in binding order.
    pub fn policy_health(&self) -> Vec<PolicyHealth> {
        self.inner
            .active
            .load()
            .generation
            .as_ref()
            .map(|generation| generation.set.health())
            .unwrap_or_default()
    }

    /// Follows activations that other processes ask for (the command line, other replicas) until
    /// `stop` resolves, and reports what this server serves.
    pub async fn follow_activations(&self, stop: impl Future<Output = ()> + Send) {
        tokio::pin!(stop);
        let mut heartbeat = tokio::time::Instant::now();
        // A server without a set reports, too: somebody who applies a set waits for it.
        self.report(&*self.inner.installing.lock().await).await;
        loop {
            match self.storage().activation_marker().await {
                // Followed even if it fails: a broken set is reported once, not five times a second.
                Ok(marker) if marker > self.followed() => self.follow_once().await,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot look for policy activations; the active set keeps serving")
                }
            }
            if heartbeat.elapsed() >= HEARTBEAT_EVERY {
                self.try_again().await;
                heartbeat = tokio::time::Instant::now();
                let failure = self.inner.installing.lock().await;
                self.report(&failure).await;
            }
            tokio::select! {
                () = &mut stop => break,
                () = tokio::time::sleep(FOLLOW_EVERY) => {}
            }
        }
        if let Err(error) = self
            .storage()
            .remove_server(self.inner.config.server.id.0)
            .await
        {
            tracing::warn!(%error, "cannot sign this server off");
        }
    }

    /// Retries the set of the newest activation, which could not be installed; the one before
    /// serves meanwhile.
    async fn try_again(&self) {
        let mut last_failure = self.inner.installing.lock().await;
        let Some(failure) = last_failure.as_mut() else {
            return;
        };
        let (activation, number) = (failure.activation, failure.number);
        if activation != self.followed() || failure.retries >= RETRIES {
            return;
        }
        failure.retries += 1;
        match self.build(number).await {
            Ok(generation) => {
                begin_counters(&generation.set);
                self.inner.active.store(Arc::new(Active {
                    generation: Some(Arc::new(generation)),
                    activation,
                }));
                *last_failure = None;
                metrics::gauge!("portcullis_policy_set").set(number as f64);
                tracing::info!(
                    set = number,
                    "policy set is serving after it could not be installed at first"
                );
            }
            Err(error) => {
                tracing::warn!(set = number, %error, "policy set still cannot be installed")
            }
        }
    }

    /// The newest activation that this server has followed.
    fn followed(&self) -> i64 {
        self.inner.active.load().activation
    }

    /// Makes this server follow the newest activation in the database, if it has not yet; false if
    /// it could not in time. If there is nothing to do, it only reads one row.
    pub(crate) async fn catch_up(&self) -> bool {
        match self.storage().activation_marker().await {
            Ok(marker) if marker <= self.followed() => true,
            Ok(marker) => {
                let gate = self.clone();
                // Its own task, so that an installation continues after the request stops waiting.
                let following = tokio::spawn(async move { gate.follow_once().await });
                let _ = tokio::time::timeout(CATCH_UP_WAIT, following).await;
                marker <= self.followed()
            }
            // The commit of the change checks this as well.
            Err(error) => {
                tracing::warn!(%error, "cannot look for policy activations before a decision");
                true
            }
        }
    }

    async fn follow_once(&self) {
        let last_failure = self.inner.installing.lock().await;
        match self.storage().active_set().await {
            // Another caller followed it while this one waited for its turn.
            Ok(Some(activation)) if activation.sequence <= self.followed() => {}
            Ok(Some(activation)) => match u64::try_from(activation.set_number) {
                // A failure is already logged and recorded.
                Ok(number) => drop(
                    self.install_locked(last_failure, activation.sequence, number)
                        .await,
                ),
                Err(_) => tracing::error!(
                    set = activation.set_number,
                    "the active policy set has an impossible number"
                ),
            },
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "cannot read the active policy set"),
        }
    }

    /// Remembers what was found in the watched folder, for the next heartbeat; a change is reported
    /// at once.
    pub async fn found_in_watched_folder(&self, found: WatchedFolder) {
        let before = self.inner.watched.swap(Some(Arc::new(found.clone())));
        let is_new = before.is_none_or(|before| {
            (&before.set_number, &before.error) != (&found.set_number, &found.error)
        });
        if is_new {
            self.report(&*self.inner.installing.lock().await).await;
        }
    }

    async fn report(&self, failure: &Option<LastFailure>) {
        let server = &self.inner.config.server;
        let row = ServerRow {
            server: server.id.0,
            host: server.host.clone(),
            pid: server.pid,
            set_number: self
                .active_set_number()
                .and_then(|number| i64::try_from(number).ok()),
            started_at: server.started_at,
            heartbeat_at: self.clock().now(),
            last_error: failure.as_ref().map(|failure| failure.message.clone()),
            last_error_set: failure
                .as_ref()
                .and_then(|failure| i64::try_from(failure.number).ok()),
            watched: self.inner.watched.load().as_deref().cloned(),
        };
        if let Err(error) = self.storage().report_server(&row).await {
            tracing::warn!(%error, "cannot report what this server serves");
        }
    }
}

/// Loads a stored set: reads it, checks its modules against their digests, compiles, assembles and
/// runs its own cases. It does not serve the set; `Gate::install` does.
pub async fn load_set(
    storage: &Storage,
    engine: &policy_engine::Engine,
    number: u64,
) -> Result<PolicySet, InstallError> {
    load(storage, engine, number, true).await
}

/// The same without running its cases, to show a set that may have served long ago.
pub async fn read_set(
    storage: &Storage,
    engine: &policy_engine::Engine,
    number: u64,
) -> Result<PolicySet, InstallError> {
    load(storage, engine, number, false).await
}

async fn load(
    storage: &Storage,
    engine: &policy_engine::Engine,
    number: u64,
    is_tested: bool,
) -> Result<PolicySet, InstallError> {
    let row_number = i64::try_from(number).map_err(|_| InstallError::UnknownSet(number))?;
    let row = storage
        .policy_set(row_number)
        .await?
        .ok_or(InstallError::UnknownSet(number))?;
    let stored: StoredSet =
        serde_json::from_str(&row.spec).map_err(|error| InstallError::Unreadable {
            number,
            message: error.to_string(),
        })?;
    let mut modules = Vec::with_capacity(stored.spec.bindings.len());
    for binding in &stored.spec.bindings {
        let text = binding.digest.clone().unwrap_or_default();
        let wrong = |what: &str| InstallError::Module {
            policy: binding.policy.clone(),
            digest: text.clone(),
            what: what.to_owned(),
        };
        let digest: ModuleDigest = text
            .parse()
            .map_err(|_| wrong("is not named by a digest"))?;
        let bytes = storage
            .module_bytes(digest)
            .await?
            .ok_or_else(|| wrong("is not in the database"))?;
        // The operator approved the digest; the bytes must still match it.
        if crate::package::digest_of(&bytes) != digest {
            return Err(wrong(
                "does not match its digest; the database was tampered with or is damaged",
            ));
        }
        modules.push((binding.module.clone(), Arc::<[u8]>::from(bytes)));
    }
    let engine = engine.clone();
    tokio::task::spawn_blocking(move || {
        assemble(
            &engine,
            number,
            &stored.spec,
            &modules,
            if is_tested { &stored.cases } else { &[] },
        )
    })
    .await
    .map_err(|error| InstallError::Interrupted(error.to_string()))?
}

/// Starts the counters of the set's policies at zero, so that the first failure shows as an
/// increase.
fn begin_counters(set: &PolicySet) {
    for binding in &set.spec().bindings {
        metrics::counter!("portcullis_policy_failures_total", "policy" => binding.policy.clone())
            .increment(0);
        if binding.grade != policy_engine::Grade::Enforce {
            metrics::counter!("portcullis_unenforced_verdicts_total", "policy" => binding.policy.clone(), "grade" => binding.grade.as_str()).increment(0);
        }
    }
}

/// Forgets a failure when a set is served, unless that set replaces the one that failed.
fn settle(last_failure: &mut Option<LastFailure>, activation: i64, number: u64) {
    *last_failure = last_failure
        .take()
        .filter(|failure| failure.activation == activation && failure.number != number);
}

/// The time of last contact before which a silent server is considered gone.
pub fn silent_since(now: Timestamp) -> Timestamp {
    now.plus_ms(-4 * HEARTBEAT_EVERY.as_millis() as i64)
}

/// Loads the modules, binds them and runs the set's own cases. Blocking: takes seconds if a module
/// must be compiled.
pub(crate) fn assemble(
    engine: &policy_engine::Engine,
    number: u64,
    spec: &SetSpec,
    modules: &[(String, Arc<[u8]>)],
    cases: &[(String, String)],
) -> Result<PolicySet, InstallError> {
    let mut loaded: Vec<Module> = Vec::with_capacity(modules.len());
    for (name, bytes) in modules {
        loaded.push(engine.load(bytes).map_err(|error| InstallError::Load {
            module: name.clone(),
            error,
        })?);
    }
    let set = PolicySet::assemble(number, spec, &loaded)?;
    let mut failures = Vec::new();
    for (file, text) in cases {
        match policy_engine::cases::parse(text) {
            Ok(cases) => failures.extend(
                policy_engine::cases::run(&set, &cases)
                    .into_iter()
                    .map(|failure| format!("{file}: {failure}")),
            ),
            Err(error) => failures.push(format!("{file}: {error}")),
        }
    }
    if failures.is_empty() {
        Ok(set)
    } else {
        Err(InstallError::Cases(failures))
    }
}
