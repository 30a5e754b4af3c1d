//! The one function that makes permits.

use std::net::IpAddr;
use std::sync::Arc;

use model::{Action, Caller, Clock, CredentialKind};
use storage::Storage;

use crate::attempt::{Attempt, Method};
use crate::permit::Permit;
use crate::recorder::Recorder;
use crate::refusal::Refusal;
use crate::target::Target;

/// What a gate is made of.
pub struct GateConfig {
    pub storage: Storage,
    pub engine: policy_engine::Engine,
    pub recorder: Recorder,
    pub clock: Arc<dyn Clock>,
    /// Names this server among those that share the database.
    pub server_id: String,
}

/// Decides every request. Cheap to clone.
#[derive(Clone)]
pub struct Gate {
    pub(crate) inner: Arc<GateInner>,
}

pub(crate) struct GateInner {
    pub(crate) config: GateConfig,
}

impl Gate {
    /// A gate without an active set: every decision fails until one is installed.
    pub fn new(config: GateConfig) -> Self {
        Self { inner: Arc::new(GateInner { config }) }
    }

    /// Begins a request: gives it an id, the time, and the generation that decides it.
    pub fn begin(&self, route: &'static str, method: Method, remote_address: IpAddr, user_agent: &str) -> Attempt {
        let _ = (route, method, remote_address, user_agent);
        todo!()
    }

    /// Decides whether `caller` may do what `target` says.
    ///
    /// Core rules first (caveats, roles, project status), then the policies of the
    /// attempt's generation, then obligations. Never an error: what cannot be decided is
    /// a refusal of kind `Failed`.
    pub async fn decide<T: Target>(&self, attempt: &Attempt, caller: &Caller, target: T) -> Result<Permit<T>, Refusal> {
        let _ = (attempt, caller, target);
        todo!()
    }

    /// Only the core rules, without a decision: used before costly preparation of a
    /// target (reading an archive) that a caller without any role must not be able to
    /// cause. The refusal is recorded like any other.
    pub async fn check_core<T: Target>(&self, attempt: &Attempt, caller: &Caller, target: &T) -> Result<(), Refusal> {
        let _ = (attempt, caller, target);
        todo!()
    }

    /// Refuses and records, on behalf of the core: the credential was not accepted at
    /// all (unknown token, wrong password, password where no policy could permit one).
    pub async fn refuse(&self, attempt: &Attempt, caller: &Caller, action: Action, code: &str, message: &str, remedy: &str, page: Option<crate::Page>) -> Refusal {
        let _ = (attempt, caller, action, code, message, remedy, page);
        todo!()
    }

    /// Whether the attempt's set could permit this kind of credential for the action at
    /// all. Only ever used to save work and to refuse early.
    pub fn may_permit(&self, attempt: &Attempt, action: Action, credential: CredentialKind) -> bool {
        let _ = (attempt, action, credential);
        todo!()
    }

    /// Where the database is, for use cases that need facts beside those of the gate.
    pub fn storage(&self) -> &Storage {
        &self.inner.config.storage
    }

    /// The clock.
    pub fn clock(&self) -> &dyn Clock {
        &*self.inner.config.clock
    }

    /// Durable audit of what is no change (authentications, refusals). Returns when it is
    /// committed; many callers share one commit.
    pub fn recorder(&self) -> &Recorder {
        &self.inner.config.recorder
    }
}
