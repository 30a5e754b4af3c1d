//! The actions. Besides the words of the contract, the list has the properties from which example
//! requests are built: whether an action only reads, and what it is about.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use wasmtime::component::{ComponentType, Lift, Lower};

use super::Subject;

macro_rules! actions {
    (@reads) => { false };
    (@reads reads) => { true };
    ($($action:ident = $word:literal $text:literal $about:ident $($reads:ident)?,)*) => {
        /// The action of a request. As text `noun:verb`; `wit/policy.wit` describes each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ComponentType, Lower, Lift)]
        #[component(enum)]
        #[repr(u8)]
        #[allow(missing_docs)]
        pub enum Action {
            $(#[component(name = $word)] $action,)*
        }

        impl Action {
            /// Every action, in the order of the contract.
            pub const ALL: &'static [Action] = &[$(Action::$action),*];

            /// The action's text, for example `file:upload`.
            pub fn as_str(self) -> &'static str {
                match self { $(Action::$action => $text),* }
            }

            /// The subject of the action.
            pub fn about(self) -> Subject {
                match self { $(Action::$action => Subject::$about),* }
            }

            /// Whether it only reads what anonymous callers may be allowed to read.
            pub fn is_read(self) -> bool {
                match self { $(Action::$action => actions!(@reads $($reads)?)),* }
            }
        }
    };
}

actions! {
    IndexRead = "index-read" "index:read" Index reads,
    FileDownload = "file-download" "file:download" PublishedFile reads,
    FileUpload = "file-upload" "file:upload" NewFile,
    FileDelete = "file-delete" "file:delete" PublishedFile,
    ReleasePreview = "release-preview" "release:preview" StagedRelease,
    ReleasePublish = "release-publish" "release:publish" StagedRelease,
    ReleaseReject = "release-reject" "release:reject" StagedRelease,
    ReleaseYank = "release-yank" "release:yank" PublishedRelease,
    ReleaseUnyank = "release-unyank" "release:unyank" PublishedRelease,
    ReleaseDelete = "release-delete" "release:delete" PublishedRelease,
    ProjectCreate = "project-create" "project:create" NewProject,
    ProjectManage = "project-manage" "project:manage" Project,
    ProjectConfigure = "project-configure" "project:configure" Project,
    ProjectArchive = "project-archive" "project:archive" Project,
    ProjectUnarchive = "project-unarchive" "project:unarchive" ArchivedProject,
    ProjectTransfer = "project-transfer" "project:transfer" Project,
    ProjectDelete = "project-delete" "project:delete" Project,
    RoleGrant = "role-grant" "role:grant" GivenRole,
    RoleAccept = "role-accept" "role:accept" GivenRole,
    RoleRevoke = "role-revoke" "role:revoke" TakenRole,
    TokenCreate = "token-create" "token:create" NewToken,
    TokenList = "token-list" "token:list" Token,
    TokenRevoke = "token-revoke" "token:revoke" Token,
    TokenMint = "token-mint" "token:mint" NewToken,
    PublisherAdd = "publisher-add" "publisher:add" Project,
    PublisherRemove = "publisher-remove" "publisher:remove" Project,
    AccountCreate = "account-create" "account:create" Account,
    AccountRead = "account-read" "account:read" Account,
    AccountUpdate = "account-update" "account:update" Account,
    AccountDelete = "account-delete" "account:delete" Account,
    AccountRecover = "account-recover" "account:recover" Account,
    EmailAdd = "email-add" "email:add" Account,
    EmailVerify = "email-verify" "email:verify" Account,
    EmailPromote = "email-promote" "email:promote" Account,
    EmailRemove = "email-remove" "email:remove" Account,
    PasswordChange = "password-change" "password:change" Account,
    PasswordReset = "password-reset" "password:reset" Account,
    FactorEnroll = "factor-enroll" "factor:enroll" Factor,
    FactorRemove = "factor-remove" "factor:remove" Factor,
    RecoveryCodesGenerate = "recovery-codes-generate" "recovery-codes:generate" Account,
    SessionStart = "session-start" "session:start" Account,
    SessionStepUp = "session-step-up" "session:step-up" Account,
    SessionList = "session-list" "session:list" Account,
    SessionEnd = "session-end" "session:end" Account,
    PolicySetRead = "policy-set-read" "policy-set:read" Registry,
    PolicySetActivate = "policy-set-activate" "policy-set:activate" Registry,
    DecisionRead = "decision-read" "decision:read" Registry,
    AuditRead = "audit-read" "audit:read" Registry,
}

impl Action {
    /// The action's position in the contract, which is also its number in a module.
    pub(crate) fn position(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Action {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// The text names no action.
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

impl Serialize for Action {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Action {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_reads_back_from_its_text_and_keeps_its_position() {
        for (position, &action) in Action::ALL.iter().enumerate() {
            assert_eq!(action.as_str().parse(), Ok(action));
            assert_eq!(action.position(), position);
        }
    }
}
