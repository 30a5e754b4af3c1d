//! A loaded module.

use std::sync::Arc;

use crate::contract::Descriptor;

/// A module that was checked, compiled and described. Cheap to clone.
#[derive(Clone)]
pub struct Module {
    inner: Arc<Inner>,
}

struct Inner {
    digest: [u8; 32],
    descriptor: Descriptor,
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

    /// What the policy says it is.
    pub fn descriptor(&self) -> &Descriptor {
        &self.inner.descriptor
    }
}
