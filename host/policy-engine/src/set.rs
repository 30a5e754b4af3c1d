//! Set files: which modules decide what, as an operator writes it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::contract::Action;

/// What a refusal of a policy does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// It refuses.
    #[default]
    Enforce,
    /// It lets through and tells the person.
    Warn,
    /// It lets through, and counts and logs.
    Observe,
}

impl Grade {
    /// The word in set files and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Grade::Enforce => "enforce",
            Grade::Warn => "warn",
            Grade::Observe => "observe",
        }
    }
}

/// A policy set as written: `set.toml`, or JSON where it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SetSpec {
    /// Name: lower-case words joined by hyphens.
    pub name: String,
    /// What it is for, in a sentence.
    #[serde(default)]
    pub summary: String,
    /// The bindings, in the order in which their reasons are told.
    #[serde(default, rename = "binding")]
    pub bindings: Vec<BindingSpec>,
}

/// One binding as written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BindingSpec {
    /// Name of the policy; must be the one the module says it has.
    pub policy: String,
    /// File name of the module, beside the set file or in the folder of modules.
    pub module: String,
    /// SHA-256 digest of the module in lower-case hex; set where a set is stored, so that
    /// it names the exact module.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// What a refusal does.
    #[serde(default)]
    pub grade: Grade,
    /// Actions it hears, if fewer than it wants to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actions: Option<Vec<Action>>,
    /// Settings by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, serde_json::Value>,
}

/// The set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// The text is not a set file.
    #[error("line {line}: {message}")]
    Syntax {
        /// Line of the text, counted from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// Something about the whole set.
    #[error("{0}")]
    Set(String),
    /// Something about one binding.
    #[error("policy `{policy}`: {message}")]
    Binding {
        /// Name of the policy.
        policy: String,
        /// What is wrong.
        message: String,
    },
}

impl SetSpec {
    /// Reads a set file.
    pub fn parse(_text: &str) -> Result<SetSpec, SetError> {
        todo!()
    }
}
