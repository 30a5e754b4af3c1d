//! Policy modules, policy sets, which set is active, and what the servers make of it.

use model::{ModuleDigest, Timestamp, UserId};
use uuid::Uuid;

use crate::{Result, Storage, UnitOfWork};

/// A policy module to keep.
#[derive(Clone, Debug)]
pub struct NewModule<'a> {
    pub digest: ModuleDigest,
    pub name: &'a str,
    pub version: &'a str,
    /// The wasm component.
    pub bytes: &'a [u8],
    pub added_at: Timestamp,
}

/// A policy module without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleRow {
    pub digest: ModuleDigest,
    pub name: String,
    pub version: String,
    /// In bytes.
    pub size: u64,
    pub added_at: Timestamp,
}

/// A policy set to keep.
#[derive(Clone, Debug)]
pub struct NewPolicySet<'a> {
    pub name: &'a str,
    /// The set's specification, as JSON text.
    pub spec: &'a str,
    pub created_at: Timestamp,
    /// None when it was made on the command line.
    pub created_by: Option<UserId>,
}

/// A policy set. Immutable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicySetRow {
    /// From 1, increasing, without gaps.
    pub number: i64,
    pub name: String,
    /// The set's specification, as JSON text.
    pub spec: String,
    pub created_at: Timestamp,
    pub created_by: Option<UserId>,
}

/// Why a set became the active one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivationKind {
    /// Somebody applied it.
    Apply,
    /// Somebody went back to it.
    Rollback,
    /// The first start of a registry without one.
    Start,
}

/// An activation to record.
#[derive(Clone, Debug)]
pub struct NewActivation<'a> {
    pub set_number: i64,
    pub at: Timestamp,
    /// None when it was done on the command line.
    pub by: Option<UserId>,
    pub kind: ActivationKind,
    /// Why, in the operator's words; may be empty.
    pub reason: &'a str,
}

/// That a set became the active one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivationRow {
    /// From 1, increasing. The highest one is active.
    pub sequence: i64,
    pub set_number: i64,
    /// Name of the set.
    pub set_name: String,
    pub at: Timestamp,
    pub by: Option<UserId>,
    pub kind: ActivationKind,
    pub reason: String,
}

/// What one running server serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerRow {
    /// Identifier of the process, new at each start.
    pub server: Uuid,
    pub host: String,
    pub pid: u32,
    /// The set it serves; none before its first.
    pub set_number: Option<i64>,
    pub started_at: Timestamp,
    pub heartbeat_at: Timestamp,
    /// Why the last set it was told to serve failed, if it did.
    pub last_error: Option<String>,
    /// Number of that set.
    pub last_error_set: Option<i64>,
}

impl Storage {
    /// A module without its bytes.
    pub async fn module(&self, digest: ModuleDigest) -> Result<Option<ModuleRow>> {
        let _ = digest;
        todo!()
    }

    /// A module's bytes. The caller checks them against the digest.
    pub async fn module_bytes(&self, digest: ModuleDigest) -> Result<Option<Vec<u8>>> {
        let _ = digest;
        todo!()
    }

    /// Every module, newest first.
    pub async fn modules(&self) -> Result<Vec<ModuleRow>> {
        todo!()
    }

    /// The set with this number.
    pub async fn policy_set(&self, number: i64) -> Result<Option<PolicySetRow>> {
        let _ = number;
        todo!()
    }

    /// Sets, newest first, those before `before`, at most `limit`.
    pub async fn policy_sets(&self, before: Option<i64>, limit: u32) -> Result<Vec<PolicySetRow>> {
        let _ = (before, limit);
        todo!()
    }

    /// The activation that is in force.
    pub async fn active_set(&self) -> Result<Option<ActivationRow>> {
        todo!()
    }

    /// Sequence of the activation in force, 0 if there is none. Cheap: servers poll it.
    pub async fn activation_marker(&self) -> Result<i64> {
        todo!()
    }

    /// Activations, newest first, those before `before` (a sequence), at most `limit`.
    pub async fn activations(&self, before: Option<i64>, limit: u32) -> Result<Vec<ActivationRow>> {
        let _ = (before, limit);
        todo!()
    }

    /// Remembers what a server serves, in place of what it said before. Bookkeeping.
    pub async fn report_server(&self, server: &ServerRow) -> Result<()> {
        let _ = server;
        todo!()
    }

    /// Every server that has reported, in order of their starts.
    pub async fn servers(&self) -> Result<Vec<ServerRow>> {
        todo!()
    }

    /// Forgets a server that shuts down. Bookkeeping.
    pub async fn remove_server(&self, server: Uuid) -> Result<()> {
        let _ = server;
        todo!()
    }

    /// Forgets servers without a heartbeat since `before`; how many. Bookkeeping.
    pub async fn remove_stale_servers(&self, before: Timestamp) -> Result<u64> {
        let _ = before;
        todo!()
    }
}

impl UnitOfWork {
    /// Keeps a module. Returns false if it was there already.
    pub async fn add_module(&mut self, module: &NewModule<'_>) -> Result<bool> {
        let _ = module;
        todo!()
    }

    /// Keeps a set and returns its number. One at a time: waits for another unit that does the same.
    pub async fn add_policy_set(&mut self, set: &NewPolicySet<'_>) -> Result<i64> {
        let _ = set;
        todo!()
    }

    /// Makes a set the active one and returns the activation's sequence. Servers pick it up.
    /// `Conflict::ReferenceGone` if there is no such set. With `expected`, only while that
    /// activation (0: none) is in force, else `Conflict::Raced`.
    pub async fn activate_policy_set(&mut self, activation: &NewActivation<'_>, expected: Option<i64>) -> Result<i64> {
        let _ = (activation, expected);
        todo!()
    }
}
