//! A policy set as a folder of files: `set.toml`, modules, cases.

use std::path::{Path, PathBuf};

use crate::generations::InstallError;

/// A set with everything it needs, read from a folder and not yet stored.
#[derive(Clone, Debug)]
pub struct SetPackage {
    /// The parsed set file, each binding naming its module's digest.
    pub spec: policy_engine::set::SetSpec,
    /// The modules' bytes, one per binding, in order.
    pub modules: Vec<std::sync::Arc<[u8]>>,
    /// The case files' texts with their names.
    pub cases: Vec<(String, String)>,
}

/// Why a folder is no policy set.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    #[error("cannot read {path}: {cause}")]
    Unreadable { path: PathBuf, cause: std::io::Error },
    #[error("{path}: {message}")]
    Invalid { path: PathBuf, message: String },
    #[error("{module} is neither in {folder} nor in {modules}; build it first (`cargo xtask build-plugins`)")]
    ModuleMissing { module: String, folder: PathBuf, modules: PathBuf },
}

impl SetPackage {
    /// Reads the set in `folder`. A module is looked for in the folder itself, then in
    /// `../modules`.
    pub fn read(folder: &Path) -> Result<Self, PackageError> {
        let _ = folder;
        todo!()
    }

    /// Validates everything a server would validate: loads and compiles the modules,
    /// assembles the set, runs its cases. Blocking.
    pub fn verify(&self, engine: &policy_engine::Engine) -> Result<(), InstallError> {
        let _ = engine;
        todo!()
    }

    /// Stores modules and set in one audited transaction and returns the set's number. A
    /// set equal to a stored one gets that one's number again.
    pub async fn store(&self, storage: &storage::Storage, actor: &model::audit::Actor, at: model::Timestamp) -> Result<u64, storage::StorageError> {
        let _ = (storage, actor, at);
        todo!()
    }

    /// Asks all servers on the database to make set `number` the active one.
    pub async fn request_activation(storage: &storage::Storage, number: u64, actor: &model::audit::Actor, at: model::Timestamp, rollback: bool, reason: &str) -> Result<(), storage::StorageError> {
        let _ = (storage, number, actor, at, rollback, reason);
        todo!()
    }
}
