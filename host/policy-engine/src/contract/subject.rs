//! The subject of an action: it decides which facts the host provides.
//!
//! Not part of `wit/policy.wit`: a policy sees only the facts. Example requests for probes, cases
//! and decision tables are built from this, so no action needs an example of its own.

use super::ReleaseState;

/// The subject of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Something that is listed: a project, or all of them.
    Index,
    /// A file that does not exist yet, in a release that may not exist either.
    NewFile,
    /// A file of a published release.
    PublishedFile,
    /// A release that waits for a person.
    StagedRelease,
    /// A release that everyone sees.
    PublishedRelease,
    /// A project that does not exist yet.
    NewProject,
    /// A project.
    Project,
    /// A project that was archived.
    ArchivedProject,
    /// A role that someone gets on a project.
    GivenRole,
    /// A role that someone loses on a project.
    TakenRole,
    /// A token that does not exist yet.
    NewToken,
    /// The caller's own tokens.
    Token,
    /// An account, or a step towards one.
    Account,
    /// A second factor of an account.
    Factor,
    /// The registry as a whole.
    Registry,
}

/// A part of the registry: the sections of a decision table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Area {
    Packages,
    Projects,
    Tokens,
    Accounts,
    Registry,
}

impl Area {
    /// Every area, in the order of a table.
    pub(crate) const ALL: &'static [Area] = &[
        Area::Packages,
        Area::Projects,
        Area::Tokens,
        Area::Accounts,
        Area::Registry,
    ];

    /// The heading.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Packages => "Packages",
            Self::Projects => "Projects",
            Self::Tokens => "Tokens",
            Self::Accounts => "Accounts",
            Self::Registry => "The registry",
        }
    }
}

impl Subject {
    /// The part of the registry that it belongs to.
    pub(crate) fn area(self) -> Area {
        match self {
            Self::Index
            | Self::NewFile
            | Self::PublishedFile
            | Self::StagedRelease
            | Self::PublishedRelease => Area::Packages,
            Self::NewProject
            | Self::Project
            | Self::ArchivedProject
            | Self::GivenRole
            | Self::TakenRole => Area::Projects,
            Self::NewToken | Self::Token => Area::Tokens,
            Self::Account | Self::Factor => Area::Accounts,
            Self::Registry => Area::Registry,
        }
    }

    /// Whether it is a project or part of one.
    pub(crate) fn has_project(self) -> bool {
        match self.area() {
            Area::Packages | Area::Projects => true,
            Area::Tokens | Area::Accounts | Area::Registry => false,
        }
    }

    /// Whether it is a file.
    pub(crate) fn is_file(self) -> bool {
        matches!(self, Self::NewFile | Self::PublishedFile)
    }

    /// The state of the release that it is or belongs to.
    pub(crate) fn release(self) -> Option<ReleaseState> {
        match self {
            Self::NewFile => Some(ReleaseState::Absent),
            Self::StagedRelease => Some(ReleaseState::Staged),
            Self::PublishedFile | Self::PublishedRelease => Some(ReleaseState::Published),
            Self::Index
            | Self::NewProject
            | Self::Project
            | Self::ArchivedProject
            | Self::GivenRole
            | Self::TakenRole
            | Self::NewToken
            | Self::Token
            | Self::Account
            | Self::Factor
            | Self::Registry => None,
        }
    }
}
