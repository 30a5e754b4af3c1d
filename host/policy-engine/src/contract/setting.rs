//! The description of a policy, and the settings that it offers.

use serde::{Deserialize, Serialize};
use wasmtime::component::{ComponentType, Lift, Lower};

use super::{Action, Sections};

/// The smallest and the greatest value of a number, both allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lower, Lift)]
#[component(record)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Range {
    /// Smallest.
    pub minimum: i64,
    /// Greatest.
    pub maximum: i64,
}

/// The possible values of a setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lower, Lift)]
#[component(variant)]
#[serde(rename_all = "kebab-case")]
pub enum SettingKind {
    /// On or off.
    #[component(name = "boolean")]
    Boolean,
    /// A whole number in a range.
    #[component(name = "integer")]
    Integer(Range),
    /// A whole number of seconds in a range.
    #[component(name = "seconds")]
    Seconds(Range),
    /// Text of at most this many characters.
    #[component(name = "text")]
    Text(u32),
    /// One of these words.
    #[component(name = "choice")]
    Choice(Vec<String>),
    /// At most this many texts of at most 200 characters.
    #[component(name = "texts")]
    Texts(u32),
    /// A set of actions.
    #[component(name = "actions")]
    Actions,
}

/// The value of a setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lower, Lift)]
#[component(variant)]
#[serde(rename_all = "kebab-case")]
pub enum SettingValue {
    /// Of kind `boolean`.
    #[component(name = "boolean")]
    Boolean(bool),
    /// Of kind `integer` or `seconds`.
    #[component(name = "integer")]
    Integer(i64),
    /// Of kind `text`.
    #[component(name = "text")]
    Text(String),
    /// Of kind `choice`: position in the list of words.
    #[component(name = "choice")]
    Choice(u32),
    /// Of kind `texts`.
    #[component(name = "texts")]
    Texts(Vec<String>),
    /// Of kind `actions`, in the order of the enumeration, each at most once.
    #[component(name = "actions")]
    Actions(Vec<Action>),
}

/// A setting that a policy offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lower, Lift)]
#[component(record)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Setting {
    /// Name in set files and forms: lower-case words joined by hyphens.
    pub name: String,
    /// Label in a form, a few words.
    pub label: String,
    /// One or two sentences that say what it does.
    pub help: String,
    /// Its possible values.
    pub kind: SettingKind,
    /// Its value if no one chose one.
    pub default: SettingValue,
}

/// A problem with a setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lower, Lift)]
#[component(record)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SettingError {
    /// Name of the setting.
    pub setting: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// The description of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lower, Lift)]
#[component(record)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Descriptor {
    /// Name: lower-case words joined by hyphens, at most 64 characters.
    pub name: String,
    /// Version (semver).
    pub version: String,
    /// Its demand, in one sentence.
    pub summary: String,
    /// The actions that it hears, each once. A set may narrow this, never widen it.
    #[serde(default)]
    pub actions: Vec<Action>,
    /// The sections of the context it needs.
    #[serde(default)]
    pub sections: Sections,
    /// The settings it offers the operator, at most 32.
    #[component(name = "operator-settings")]
    #[serde(default)]
    pub operator_settings: Vec<Setting>,
    /// The settings it offers the owners of each project, at most 16. They become a
    /// form on the project's page without any change to the registry.
    #[component(name = "owner-settings")]
    #[serde(default)]
    pub owner_settings: Vec<Setting>,
}
