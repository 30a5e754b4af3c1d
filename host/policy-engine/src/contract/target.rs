//! The subject of a request.

use serde::{Deserialize, Serialize};
use wasmtime::component::{ComponentType, Lift, Lower};

use super::{Role, SettingValue, words};

words! {
    /// The state of a project (PEP 792).
    ProjectStatus {
        /// Open for uploads.
        Active = "active",
        /// Readable, closed to uploads.
        Archived = "archived",
        /// Hidden for safety.
        Quarantined = "quarantined",
        /// Readable and open, but its owners recommend not to use it.
        Deprecated = "deprecated",
    }
}

/// The project that the request is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lower, Lift)]
#[component(record)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Project {
    /// Normalized name (PEP 503).
    pub name: String,
    /// Whether it exists yet.
    #[serde(default)]
    pub exists: bool,
    /// Its status; `active` for one that does not exist yet.
    pub status: ProjectStatus,
    /// The principal's role on it.
    pub role: Role,
    /// The owners' settings for this policy: one value for each owner setting that the policy
    /// describes, in that order; defaults where nothing was chosen.
    #[serde(default)]
    pub settings: Vec<SettingValue>,
}

words! {
    /// How the release's version compares (PEP 440) with the newest existing one.
    VersionOrder {
        /// There is no release to compare with.
        First = "first",
        /// Older than the newest.
        Older = "older",
        /// The newest itself.
        Same = "same",
        /// Newer than every existing release.
        Newer = "newer",
    }
}

words! {
    /// The state of a release.
    ReleaseState {
        /// It does not exist yet.
        Absent = "absent",
        /// Stored, and visible only to people who may publish it.
        Staged = "staged",
        /// Visible to everyone.
        Published = "published",
    }
}

/// The release that the request is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lower, Lift)]
#[component(record)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Release {
    /// Canonical version (PEP 440).
    pub version: String,
    /// Its state.
    pub state: ReleaseState,
    /// Seconds since it was published; while it is staged, since the last of its files was
    /// staged; 0 if absent.
    pub age: u64,
    /// Comparison of this version with `newest`.
    pub order: VersionOrder,
    /// The newest published version of the project, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<String>,
    /// Whether the token of this request staged one of its files.
    #[component(name = "staged-by-this-credential")]
    #[serde(default)]
    pub staged_by_this_credential: bool,
    /// Whether the user of this request staged one of its files, with any credential.
    #[component(name = "staged-by-this-user")]
    #[serde(default)]
    pub staged_by_this_user: bool,
}

words! {
    /// Kind of a distribution file.
    FileKind {
        /// A source distribution.
        Sdist = "sdist",
        /// A wheel.
        Wheel = "wheel",
    }
}

/// The distribution file that the request is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lower, Lift)]
#[component(record)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct File {
    /// File name.
    pub name: String,
    /// Kind.
    pub kind: FileKind,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 digest in lower-case hex.
    pub sha256: String,
    /// BLAKE2b-256 digest in lower-case hex.
    #[component(name = "blake2-256")]
    pub blake2_256: String,
}

/// The file's own core metadata (not the upload form).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lower, Lift)]
#[component(record)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Metadata {
    /// `Metadata-Version`.
    pub version: String,
    /// `Summary`; empty if none.
    pub summary: String,
    /// `License-Expression` or `License`; empty if none.
    pub license: String,
    /// `Requires-Python`; empty if none.
    #[component(name = "requires-python")]
    pub requires_python: String,
    /// `Requires-Dist`, in the file's order.
    #[serde(default)]
    pub requires: Vec<String>,
    /// `Classifier`, in the file's order.
    #[serde(default)]
    pub classifiers: Vec<String>,
}
