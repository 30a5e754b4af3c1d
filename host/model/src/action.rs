//! What a request attempts. One list for the whole system, and one sheet: the properties of an
//! action are in its row and nowhere else.
//!
//! The contract between host and policies (`wit/policy.wit`) has the same words in the same order,
//! for the host in `policy_engine::contract` and for policies in the SDK; tests compare them with
//! this sheet (`tests/tests/policies/sheet.rs`). To add an action: "Add an action" in
//! `ARCHITECTURE.md`.

mod column;

use std::fmt;
use std::str::FromStr;

use crate::Role;

use column::Standing;
pub use column::{AllowedIn, Effect, Subject};

macro_rules! actions {
    ($(
        $action:ident = $text:literal, $doing:literal,
        $standing:ident $(($to:literal))?, $effect:ident, $allowed_in:ident, $about:ident;
    )*) => {
        /// What a request attempts, written `noun:verb`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Action { $($action),* }

        impl Action {
            /// Every action, in the order of the contract.
            pub const ALL: &'static [Action] = &[$(Action::$action),*];
        }

        const SHEET: &[Row] = &[$(Row {
            text: $text,
            doing: $doing,
            standing: Standing::$standing $(($to))?,
            effect: Effect::$effect,
            allowed_in: AllowedIn::$allowed_in,
            about: Subject::$about,
        }),*];
    };
}

/// The properties of one action.
struct Row {
    text: &'static str,
    doing: &'static str,
    standing: Standing,
    effect: Effect,
    allowed_in: AllowedIn,
    about: Subject,
}

// The text, and the attempt in words for people; who may attempt it, its effect, in which states of
// a project, its subject.
actions! {
    IndexRead = "index:read", "reading the index",
        Anyone, Read, AnyState, Index;
    FileDownload = "file:download", "downloading a file",
        Anyone, Read, AnyState, PublishedFile;
    FileUpload = "file:upload", "uploading a file",
        Maintainer("upload to"), Uncounted, Open, NewFile;
    FileDelete = "file:delete", "deleting a file",
        Owner("manage"), Change, Unquarantined, PublishedFile;
    ReleasePreview = "release:preview", "looking at a staged release",
        Maintainer("see staged releases of"), View, Unquarantined, StagedRelease;
    ReleasePublish = "release:publish", "publishing a release",
        Maintainer("decide on staged releases of"), Change, Open, StagedRelease;
    ReleaseReject = "release:reject", "rejecting a staged release",
        Maintainer("decide on staged releases of"), Change, Unquarantined, StagedRelease;
    ReleaseYank = "release:yank", "yanking a release",
        Owner("manage"), Change, Unquarantined, PublishedRelease;
    ReleaseUnyank = "release:unyank", "taking back the yanking of a release",
        Owner("manage"), Change, Unquarantined, PublishedRelease;
    ReleaseDelete = "release:delete", "deleting a release",
        Owner("manage"), Change, Unquarantined, PublishedRelease;
    ProjectCreate = "project:create", "creating a project",
        Anyone, Change, Unquarantined, NewProject;
    ProjectManage = "project:manage", "managing a project",
        Owner("manage"), View, AnyState, Project;
    ProjectConfigure = "project:configure", "changing a project's settings",
        Owner("manage"), Change, Unquarantined, Project;
    ProjectArchive = "project:archive", "archiving a project",
        Owner("manage"), Change, Unquarantined, Project;
    ProjectUnarchive = "project:unarchive", "taking a project out of the archive",
        Owner("manage"), Change, Unquarantined, ArchivedProject;
    ProjectTransfer = "project:transfer", "handing over a project",
        Owner("manage"), Change, Unquarantined, Project;
    ProjectDelete = "project:delete", "deleting a project",
        Owner("manage"), Change, Unquarantined, Project;
    RoleGrant = "role:grant", "giving someone a role",
        Owner("manage"), Change, Unquarantined, GivenRole;
    RoleAccept = "role:accept", "accepting a role",
        Anyone, Change, Unquarantined, GivenRole;
    RoleRevoke = "role:revoke", "removing a role from someone",
        Owner("manage"), Change, Unquarantined, TakenRole;
    TokenCreate = "token:create", "creating an API token",
        Anyone, Change, Unquarantined, NewToken;
    TokenList = "token:list", "listing API tokens",
        Anyone, View, Unquarantined, Token;
    TokenRevoke = "token:revoke", "revoking an API token",
        Anyone, Uncounted, Unquarantined, Token;
    TokenMint = "token:mint", "minting a short-lived token",
        Anyone, Change, Unquarantined, NewToken;
    PublisherAdd = "publisher:add", "adding a trusted publisher",
        Owner("manage"), Change, Unquarantined, Project;
    PublisherRemove = "publisher:remove", "removing a trusted publisher",
        Owner("manage"), Change, Unquarantined, Project;
    AccountCreate = "account:create", "creating an account",
        Anyone, Change, Unquarantined, Account;
    AccountRead = "account:read", "reading the account",
        Anyone, View, Unquarantined, Account;
    AccountUpdate = "account:update", "changing the account",
        Anyone, Change, Unquarantined, Account;
    AccountDelete = "account:delete", "deleting the account",
        Anyone, Change, Unquarantined, Account;
    AccountRecover = "account:recover", "recovering an account",
        Staff, Change, Unquarantined, Account;
    EmailAdd = "email:add", "adding an email address",
        Anyone, Change, Unquarantined, Account;
    EmailVerify = "email:verify", "following a mailed link",
        Anyone, Uncounted, Unquarantined, Account;
    EmailPromote = "email:promote", "choosing another primary email address",
        Anyone, Change, Unquarantined, Account;
    EmailRemove = "email:remove", "removing an email address",
        Anyone, Uncounted, Unquarantined, Account;
    PasswordChange = "password:change", "changing the password",
        Anyone, Change, Unquarantined, Account;
    PasswordReset = "password:reset", "setting a new password by mail",
        Anyone, Change, Unquarantined, Account;
    FactorEnroll = "factor:enroll", "adding a second factor",
        Anyone, Change, Unquarantined, Factor;
    FactorRemove = "factor:remove", "removing a second factor",
        Anyone, Uncounted, Unquarantined, Factor;
    RecoveryCodesGenerate = "recovery-codes:generate", "generating recovery codes",
        Anyone, Change, Unquarantined, Account;
    SessionStart = "session:start", "logging in",
        Anyone, Uncounted, Unquarantined, Account;
    SessionStepUp = "session:step-up", "confirming who you are",
        Anyone, Uncounted, Unquarantined, Account;
    SessionList = "session:list", "listing sessions",
        Anyone, View, Unquarantined, Account;
    SessionEnd = "session:end", "ending a session",
        Anyone, Uncounted, Unquarantined, Account;
    PolicySetRead = "policy-set:read", "reading the policy set",
        Staff, View, Unquarantined, Registry;
    PolicySetActivate = "policy-set:activate", "activating a policy set",
        Staff, Change, Unquarantined, Registry;
    DecisionRead = "decision:read", "reading decisions",
        Staff, View, Unquarantined, Registry;
    AuditRead = "audit:read", "reading the audit log",
        Staff, View, AnyState, Registry;
}

impl Action {
    fn row(self) -> &'static Row {
        // One macro writes the list and the sheet, in the same order.
        &SHEET[self as usize]
    }

    /// The action's text, for example `file:upload`.
    pub fn as_str(self) -> &'static str {
        self.row().text
    }

    /// The attempt in words for people, for example "uploading a file".
    pub fn doing(self) -> &'static str {
        self.row().doing
    }

    /// The role on the project that the action needs, if the project exists, and what the role is
    /// needed for: "upload to", "manage".
    pub fn least_role(self) -> Option<(Role, &'static str)> {
        self.row().standing.least_role()
    }

    /// Whether the action is for the registry's staff alone.
    pub fn is_for_staff(self) -> bool {
        self.row().standing == Standing::Staff
    }

    /// Its effect.
    pub fn effect(self) -> Effect {
        self.row().effect
    }

    /// Whether the action only reads. Permitted reads may be sampled in the decision log, like
    /// anonymous page views; everything else is always recorded.
    pub fn is_read(self) -> bool {
        self.effect() == Effect::Read
    }

    /// The states of a project in which it is possible.
    pub fn allowed_in(self) -> AllowedIn {
        self.row().allowed_in
    }

    /// Its subject.
    pub fn about(self) -> Subject {
        self.row().about
    }
}

impl fmt::Display for Action {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// The text is not an action.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an action; actions are written noun:verb, for example file:upload")]
pub struct UnknownAction(pub String);

impl FromStr for Action {
    type Err = UnknownAction;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Action::ALL
            .iter()
            .copied()
            .find(|action| action.as_str() == text)
            .ok_or_else(|| UnknownAction(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_reads_back_from_its_text() {
        for &action in Action::ALL {
            assert_eq!(action.as_str().parse(), Ok(action));
        }
    }
}
