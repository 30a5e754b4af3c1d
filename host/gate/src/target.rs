//! What a request wants to do, and the facts that go with it.

use std::borrow::Cow;

use model::{Action, Digests, FileKind, ProjectId, ProjectStatus, Role, TokenId, UserId, Version};

/// Something a permit can be asked for. The use case later acts on the type that implements it, so
/// a permit for one thing cannot be used for another.
pub trait Target: Send + Sync {
    /// All facts that a decision about this may use. They were loaded before: there is no I/O here.
    fn facts(&self) -> TargetFacts<'_>;
}

/// The facts of one target.
#[derive(Clone, Debug)]
pub struct TargetFacts<'a> {
    /// What is attempted.
    pub action: Action,
    /// The project it is about.
    pub project: Option<ProjectFacts<'a>>,
    /// The release it is about.
    pub release: Option<ReleaseFacts<'a>>,
    /// The file it is about.
    pub file: Option<FileFacts<'a>>,
    /// The file's own metadata.
    pub metadata: Option<&'a MetadataFacts>,
    /// The change, if there is more to it than the above.
    pub change: ChangeFacts<'a>,
}

impl TargetFacts<'_> {
    /// Facts of an action without a particular subject.
    pub fn of(action: Action) -> Self {
        Self {
            action,
            project: None,
            release: None,
            file: None,
            metadata: None,
            change: ChangeFacts::Nothing,
        }
    }
}

/// The facts about a project that a decision may know.
#[derive(Clone, Debug)]
pub struct ProjectFacts<'a> {
    /// Identifier; none while it does not exist.
    pub id: Option<ProjectId>,
    /// Normalized name.
    pub normalized: &'a str,
    /// Where it is in its life; active while it does not exist.
    pub status: ProjectStatus,
    /// The caller's role, read together with the target.
    pub role: Option<Role>,
    /// What its owners chose: `{policy: {setting: value}}` as stored.
    pub owner_settings: Cow<'a, serde_json::Value>,
}

/// How a version compares with the newest published one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionOrder {
    First,
    Older,
    Same,
    Newer,
}

/// Where a release is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseStanding {
    Absent,
    Staged,
    Published,
}

/// The facts about a release that a decision may know.
#[derive(Clone, Debug)]
pub struct ReleaseFacts<'a> {
    pub version: &'a Version,
    pub standing: ReleaseStanding,
    /// Seconds since it was published; while it is staged, since the last of its files was
    /// staged; 0 while absent.
    pub age: u64,
    pub order: VersionOrder,
    /// The newest published version.
    pub newest: Option<&'a Version>,
    /// The tokens that staged its files.
    pub staged_by: &'a [TokenId],
    /// The users who staged its files, with whatever credential.
    pub staged_by_users: &'a [UserId],
}

/// The facts about a file that a decision may know.
#[derive(Clone, Debug)]
pub struct FileFacts<'a> {
    pub name: &'a str,
    pub kind: FileKind,
    /// Bytes.
    pub size: u64,
    pub digests: Digests,
}

/// A file's own core metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataFacts {
    pub version: String,
    pub summary: String,
    pub license: String,
    pub requires_python: String,
    pub requires: Vec<String>,
    pub classifiers: Vec<String>,
}

/// What a token would be restricted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScopeFacts {
    /// Nothing: all projects of the account.
    Account,
    /// These projects, by normalized name.
    Projects(Vec<String>),
}

/// What an action would change.
#[derive(Clone, Debug)]
pub enum ChangeFacts<'a> {
    Nothing,
    Token {
        scope: &'a ScopeFacts,
        expires_in: Option<u64>,
    },
    Role {
        user: &'a str,
        before: Option<Role>,
        after: Option<Role>,
        factors: model::Factors,
    },
    Factor(model::Factor),
}
