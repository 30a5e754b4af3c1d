//! What the columns of the sheet may say.

use crate::Role;

/// Who may attempt an action at all, before any policy is asked.
///
/// The words are what a role is needed for, as they stand in "isn't allowed to … project
/// 'sample'".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// No role is needed; policies decide.
    Anyone,
    /// Whoever has any role on the project.
    Maintainer(&'static str),
    /// Whoever owns the project.
    Owner(&'static str),
    /// The registry's staff.
    Staff,
}

impl Standing {
    /// The least role on the project, if the project exists, and what it is needed for.
    pub(super) fn least_role(self) -> Option<(Role, &'static str)> {
        match self {
            Self::Maintainer(to) => Some((Role::Maintainer, to)),
            Self::Owner(to) => Some((Role::Owner, to)),
            Self::Anyone | Self::Staff => None,
        }
    }
}

/// What comes of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Reads what the registry serves to tools, request by request. Such a read goes on without
    /// its credential where anonymous callers may do the same, and permitted ones may be sampled
    /// in the decision log.
    Read,
    /// Shows something to those whom it concerns. Recorded like a change.
    View,
    /// Changes something; how often an account does is bounded with the action.
    Change,
    /// Changes something and is not counted for it: nothing is given out that was not there
    /// before, or it is bounded elsewhere. Of uploads, the bytes of a day are (`registry`); of
    /// log-ins and step-ups, the proofs (`identity`). Nobody keeps an owner from ending
    /// sessions, revoking tokens and throwing out somebody's factor or address by using it up;
    /// and what is removed was added, which is bounded.
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

/// In which states of a project an action on it is possible; in an active or deprecated one each
/// is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllowedIn {
    /// Whatever its state.
    AnyState,
    /// Unless it is quarantined.
    Unquarantined,
    /// While it takes files: neither archived nor quarantined.
    Open,
}

/// What an action is about: which facts come with it. Examples of requests are made up from
/// this, for probes, cases and decision tables, so that no action has one of its own.
///
/// The engine has the same words (`policy_engine::contract::Subject`), since it knows no model;
/// a test in `gate` holds the two together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// What is listed: a project, or all of them.
    Index,
    /// A file that is not there yet, of a release that may not be there either.
    NewFile,
    /// A file of a published release.
    PublishedFile,
    /// A release that waits for a person.
    StagedRelease,
    /// A release that everyone sees.
    PublishedRelease,
    /// A project that is not there yet.
    NewProject,
    /// A project.
    Project,
    /// A project that was archived.
    ArchivedProject,
    /// A role that somebody gets on a project.
    GivenRole,
    /// A role that somebody loses on a project.
    TakenRole,
    /// A token that is not there yet.
    NewToken,
    /// One's own tokens.
    Token,
    /// An account, or what leads to one.
    Account,
    /// A second factor of an account.
    Factor,
    /// The registry as a whole.
    Registry,
}
