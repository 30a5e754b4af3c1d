//! Policy sets being loaded, validated, swapped and rolled back.

use crate::decide::Gate;

/// One policy set, compiled and serving.
#[derive(Debug)]
pub struct Generation {
    number: u64,
}

impl Generation {
    /// Number of the policy set.
    pub fn number(&self) -> u64 {
        self.number
    }
}

/// What became of an activation.
#[derive(Clone, Debug)]
pub struct Activation {
    /// Number of the set that serves now.
    pub number: u64,
    /// Number of the set that served before.
    pub previous: Option<u64>,
}

/// Why a set could not be installed. The old generation keeps serving.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    #[error("policy set {0} does not exist")]
    UnknownSet(u64),
    #[error("{0}")]
    Invalid(String),
    #[error(transparent)]
    Storage(#[from] storage::StorageError),
}

impl Gate {
    /// Loads set `number` from the database, compiles, self-tests, warms, and swaps it in.
    /// On any failure the old generation keeps serving and the reason is recorded.
    pub async fn install(&self, number: u64) -> Result<Activation, InstallError> {
        let _ = number;
        todo!()
    }

    /// The active generation's policies in words, for status pages: number, name, bindings.
    pub fn active_set_number(&self) -> Option<u64> {
        todo!()
    }

    /// The forms that the active set's policies offer to project owners:
    /// (policy, summary, settings).
    pub fn owner_forms(&self) -> Vec<(String, String, Vec<policy_engine::contract::Setting>)> {
        todo!()
    }

    /// Checks what an owner chose for one policy (`{setting: value}`) against its form.
    pub fn check_owner_settings(&self, policy: &str, chosen: &serde_json::Value) -> Result<(), Vec<policy_engine::contract::SettingError>> {
        let _ = (policy, chosen);
        todo!()
    }

    /// Follows activations that other processes ask for (the command line, other
    /// replicas) until `stop` resolves: polls the database's activation marker.
    pub async fn follow_activations(&self, stop: impl Future<Output = ()> + Send) {
        let _ = stop;
        todo!()
    }
}
