//! A loaded module.

use std::sync::Arc;

use wasmtime::component::{ComponentExportIndex, InstancePre};

use crate::contract::Descriptor;
use crate::engine::EngineInner;
use crate::evaluate::Sandbox;

/// A module that was checked, compiled and described. Cheap to clone.
///
/// Every call into it runs in a fresh sandbox with a budget; there is no other way to call it.
#[derive(Clone)]
pub struct Module {
    pub(crate) inner: Arc<ModuleInner>,
}

pub(crate) struct ModuleInner {
    pub(crate) digest: [u8; 32],
    pub(crate) descriptor: Descriptor,
    /// The compiled module in each lane of the engine.
    pub(crate) lanes: Vec<LaneModule>,
    pub(crate) engine: Arc<EngineInner>,
}

/// A compiled module in one lane, linked to nothing.
pub(crate) struct LaneModule {
    pub(crate) instance: InstancePre<Sandbox>,
    pub(crate) describe: ComponentExportIndex,
    pub(crate) validate_settings: ComponentExportIndex,
    pub(crate) evaluate: ComponentExportIndex,
}

impl Module {
    /// SHA-256 digest of the module's bytes.
    pub fn digest(&self) -> &[u8; 32] {
        &self.inner.digest
    }

    /// The digest in lower-case hex.
    pub fn digest_hex(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.inner.digest)
    }

    /// The policy's description of itself.
    pub fn descriptor(&self) -> &Descriptor {
        &self.inner.descriptor
    }
}

impl std::fmt::Debug for Module {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Module")
            .field("policy", &self.inner.descriptor.name)
            .field("digest", &self.digest_hex())
            .finish()
    }
}
