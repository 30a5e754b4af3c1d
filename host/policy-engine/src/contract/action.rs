//! What is attempted.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use wasmtime::component::{ComponentType, Lift, Lower};

macro_rules! actions {
    ($($action:ident = $word:literal $text:literal,)*) => {
        /// What a request attempts. As text `noun:verb`; `wit/policy.wit` says what each means.
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
        }
    };
}

actions! {
    IndexRead = "index-read" "index:read",
    FileDownload = "file-download" "file:download",
    FileUpload = "file-upload" "file:upload",
    FileDelete = "file-delete" "file:delete",
    ReleasePreview = "release-preview" "release:preview",
    ReleasePublish = "release-publish" "release:publish",
    ReleaseReject = "release-reject" "release:reject",
    ReleaseYank = "release-yank" "release:yank",
    ReleaseUnyank = "release-unyank" "release:unyank",
    ReleaseDelete = "release-delete" "release:delete",
    ProjectCreate = "project-create" "project:create",
    ProjectManage = "project-manage" "project:manage",
    ProjectConfigure = "project-configure" "project:configure",
    ProjectArchive = "project-archive" "project:archive",
    ProjectUnarchive = "project-unarchive" "project:unarchive",
    ProjectTransfer = "project-transfer" "project:transfer",
    ProjectDelete = "project-delete" "project:delete",
    RoleGrant = "role-grant" "role:grant",
    RoleAccept = "role-accept" "role:accept",
    RoleRevoke = "role-revoke" "role:revoke",
    TokenCreate = "token-create" "token:create",
    TokenList = "token-list" "token:list",
    TokenRevoke = "token-revoke" "token:revoke",
    TokenMint = "token-mint" "token:mint",
    PublisherAdd = "publisher-add" "publisher:add",
    PublisherRemove = "publisher-remove" "publisher:remove",
    AccountCreate = "account-create" "account:create",
    AccountRead = "account-read" "account:read",
    AccountUpdate = "account-update" "account:update",
    AccountDelete = "account-delete" "account:delete",
    AccountRecover = "account-recover" "account:recover",
    EmailAdd = "email-add" "email:add",
    EmailVerify = "email-verify" "email:verify",
    EmailPromote = "email-promote" "email:promote",
    EmailRemove = "email-remove" "email:remove",
    PasswordChange = "password-change" "password:change",
    PasswordReset = "password-reset" "password:reset",
    FactorEnroll = "factor-enroll" "factor:enroll",
    FactorRemove = "factor-remove" "factor:remove",
    RecoveryCodesGenerate = "recovery-codes-generate" "recovery-codes:generate",
    SessionStart = "session-start" "session:start",
    SessionStepUp = "session-step-up" "session:step-up",
    SessionList = "session-list" "session:list",
    SessionEnd = "session-end" "session:end",
    PolicySetRead = "policy-set-read" "policy-set:read",
    PolicySetActivate = "policy-set-activate" "policy-set:activate",
    DecisionRead = "decision-read" "decision:read",
    AuditRead = "audit-read" "audit:read",
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
