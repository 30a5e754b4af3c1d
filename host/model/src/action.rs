//! What a request attempts. One list for the whole system; the contract between host
//! and policies (`wit/policy.wit`) has the same words in the same order, and a test
//! in `gate` holds the two together.

use std::fmt;
use std::str::FromStr;

macro_rules! actions {
    ($($variant:ident = $text:literal),* $(,)?) => {
        /// What a request attempts, written `noun:verb`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Action { $($variant),* }

        impl Action {
            /// Every action, in the order of the contract.
            pub const ALL: &'static [Action] = &[$(Action::$variant),*];

            /// The action's text, for example `file:upload`.
            pub fn as_str(self) -> &'static str {
                match self { $(Action::$variant => $text),* }
            }
        }
    };
}

actions! {
    IndexRead = "index:read",
    FileDownload = "file:download",
    FileUpload = "file:upload",
    FileDelete = "file:delete",
    ReleasePreview = "release:preview",
    ReleasePublish = "release:publish",
    ReleaseReject = "release:reject",
    ReleaseYank = "release:yank",
    ReleaseUnyank = "release:unyank",
    ReleaseDelete = "release:delete",
    ProjectCreate = "project:create",
    ProjectManage = "project:manage",
    ProjectConfigure = "project:configure",
    ProjectArchive = "project:archive",
    ProjectUnarchive = "project:unarchive",
    ProjectTransfer = "project:transfer",
    ProjectDelete = "project:delete",
    RoleGrant = "role:grant",
    RoleAccept = "role:accept",
    RoleRevoke = "role:revoke",
    TokenCreate = "token:create",
    TokenList = "token:list",
    TokenRevoke = "token:revoke",
    TokenMint = "token:mint",
    PublisherAdd = "publisher:add",
    PublisherRemove = "publisher:remove",
    AccountCreate = "account:create",
    AccountRead = "account:read",
    AccountUpdate = "account:update",
    AccountDelete = "account:delete",
    AccountRecover = "account:recover",
    EmailAdd = "email:add",
    EmailVerify = "email:verify",
    EmailPromote = "email:promote",
    EmailRemove = "email:remove",
    PasswordChange = "password:change",
    PasswordReset = "password:reset",
    FactorEnroll = "factor:enroll",
    FactorRemove = "factor:remove",
    RecoveryCodesGenerate = "recovery-codes:generate",
    SessionStart = "session:start",
    SessionStepUp = "session:step-up",
    SessionList = "session:list",
    SessionEnd = "session:end",
    PolicySetRead = "policy-set:read",
    PolicySetActivate = "policy-set:activate",
    DecisionRead = "decision:read",
    AuditRead = "audit:read",
}

impl Action {
    /// Whether the action only reads. Permitted reads may be sampled in the decision log,
    /// as looks at pages by nobody are; everything else is always recorded.
    pub fn is_read(self) -> bool {
        matches!(self, Action::IndexRead | Action::FileDownload)
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
