//! The possible values in the columns of the sheet.

use crate::Role;

/// Who may attempt an action at all, before any policy is asked.
///
/// The words say what a role is needed for, as used in "isn't allowed to … project 'sample'".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// No role is needed; policies decide.
    Anyone,
    /// A user with any role on the project.
    Maintainer(&'static str),
    /// An owner of the project.
    Owner(&'static str),
    /// The registry's staff.
    Staff,
}

impl Standing {
    /// The least role on the project, if the project exists, and what the role is needed for.
    pub(super) fn least_role(self) -> Option<(Role, &'static str)> {
        match self {
            Self::Maintainer(to) => Some((Role::Maintainer, to)),
            Self::Owner(to) => Some((Role::Owner, to)),
            Self::Anyone | Self::Staff => None,
        }
    }
}

/// The effect of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Reads what the registry serves to tools, request by request. Such a read goes on without its
    /// credential if anonymous callers may do the same, and permitted ones may be sampled in the
    /// decision log.
    Read,
    /// Shows something to the people it concerns. Recorded like a change.
    View,
    /// Changes something; how often an account may do so is limited for each action.
    Change,
    /// Changes something but is not counted: it adds nothing, or other limits apply. For uploads
    /// these are the bytes of a day (`registry`); for logins and step-ups, the proofs (`identity`).
    /// An owner can always end sessions, revoke tokens and remove somebody else's factor or
    /// address, since nobody can use up a limit for it. Removals need no limit of their own: what
    /// they remove was added, which is limited.
    Uncounted,
}

impl Effect {
    /// Whether something is different afterwards.
    pub fn is_change(self) -> bool {
        match self {
            Self::Read | Self::View => false,
            Self::Change | Self::Uncounted => true,
        }
    }
}

/// The states of a project in which an action on it is possible; every action is possible on an
/// active or deprecated project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllowedIn {
    /// In any state.
    AnyState,
    /// Unless it is quarantined.
    Unquarantined,
    /// While it takes files: neither archived nor quarantined.
    Open,
}

/// The subject of an action, which decides the facts that come with it. Example requests for
/// probes, cases and decision tables are built from it, so that no action needs its own.
///
/// The engine has the same words (`policy_engine::contract::Subject`), since it knows no model; a
/// test in `gate` compares the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The index: of a project, or of all projects.
    Index,
    /// A file that does not exist yet, of a release that may not exist either.
    NewFile,
    /// A file of a published release.
    PublishedFile,
    /// A release that waits for a person.
    StagedRelease,
    /// A release that everyone can see.
    PublishedRelease,
    /// A project that does not exist yet.
    NewProject,
    /// A project.
    Project,
    /// A project that was archived.
    ArchivedProject,
    /// A role that somebody gets on a project.
    GivenRole,
    /// A role that somebody loses on a project.
    TakenRole,
    /// A token that does not exist yet.
    NewToken,
    /// One's own tokens.
    Token,
    /// An account, or a step towards one.
    Account,
    /// A second factor of an account.
    Factor,
    /// The registry as a whole.
    Registry,
}
