//! A policy set that decides.

use std::sync::Arc;

use crate::contract::{Action, Context, CredentialKind, Setting, SettingError, SettingValue};
use crate::decision::{Decision, PolicyIdentity};
use crate::health::PolicyHealth;
use crate::module::Module;
use crate::set::{SetError, SetSpec};
use crate::settings::OwnerSettings;

/// What one policy offers the owners of a project: a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerForm {
    /// Name of the policy.
    pub policy: String,
    /// What it demands, in one sentence.
    pub summary: String,
    /// The settings it offers, in its order.
    pub settings: Vec<Setting>,
}

/// An immutable, numbered list of bindings that decides. Cheap to clone.
#[derive(Clone)]
pub struct PolicySet {
    inner: Arc<Inner>,
}

struct Inner {
    number: u64,
}

impl PolicySet {
    /// Binds modules, one for each binding of `spec` in its order, after checking the set:
    /// names, narrowing, settings. Blocks; call it off the request path.
    pub fn assemble(_number: u64, _spec: &SetSpec, _modules: &[Module]) -> Result<PolicySet, SetError> {
        todo!()
    }

    /// Runs every policy about 200 times on every lane, so that the first requests find
    /// warm sandboxes. Blocks; call it off the request path.
    pub fn warm(&self) {
        todo!()
    }

    /// The set's number.
    pub fn number(&self) -> u64 {
        self.inner.number
    }

    /// The set as it was written.
    pub fn spec(&self) -> &SetSpec {
        todo!()
    }

    /// The bound policies, in binding order.
    pub fn policies(&self) -> impl Iterator<Item = &Arc<PolicyIdentity>> {
        [].iter()
    }

    /// Decides. Never an error and never a panic: what goes wrong is in the decision.
    pub fn decide(&self, _context: &Context, _owner: &OwnerSettings) -> Decision {
        todo!()
    }

    /// Whether the set could permit this kind of credential for this action at all.
    pub fn may_permit(&self, _action: Action, _credential: CredentialKind) -> bool {
        todo!()
    }

    /// What the policies offer the owners of projects, in binding order; policies that
    /// offer nothing are left out.
    pub fn owner_forms(&self) -> Vec<OwnerForm> {
        todo!()
    }

    /// Resolves what owners chose, stored as `{"policy": {"setting": value}}`. What is
    /// unknown or invalid falls back to its default and is listed in
    /// [`OwnerSettings::problems`].
    pub fn resolve_owner_settings(&self, _stored: &serde_json::Value) -> OwnerSettings {
        todo!()
    }

    /// Checks one policy's form, `{"setting": value}`: kinds and ranges, then the policy's
    /// own `validate-settings`. Missing settings have their default.
    pub fn check_owner_settings(&self, _policy: &str, _form: &serde_json::Value) -> Result<Vec<SettingValue>, Vec<SettingError>> {
        todo!()
    }

    /// Counts of every policy, in binding order.
    pub fn health(&self) -> Vec<PolicyHealth> {
        todo!()
    }
}
