//! Actions as text, and sets of them.

use crate::contract::Action;

macro_rules! actions {
    ($($variant:ident = $text:literal),* $(,)?) => {
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
    /// Parses the text; `None` if it names no action.
    pub fn parse(text: &str) -> Option<Action> {
        Action::ALL
            .iter()
            .copied()
            .find(|action| action.as_str() == text)
    }
}

/// A set of actions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ActionSet(u64);

impl ActionSet {
    /// The set without any action.
    pub const EMPTY: ActionSet = ActionSet(0);

    /// The set of all actions.
    pub const ALL: ActionSet = ActionSet::of(Action::ALL);

    /// The set of these actions.
    pub const fn of(actions: &[Action]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < actions.len() {
            bits |= 1 << actions[index] as u64;
            index += 1;
        }
        Self(bits)
    }

    /// Whether the action is in the set.
    pub const fn contains(self, action: Action) -> bool {
        self.0 & (1 << action as u64) != 0
    }

    /// The union with the other set.
    #[must_use]
    pub const fn with(self, other: ActionSet) -> Self {
        Self(self.0 | other.0)
    }

    /// This set without the actions of the other set.
    #[must_use]
    pub const fn without(self, other: ActionSet) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether every action of this set is also in the other.
    pub const fn is_subset(self, other: ActionSet) -> bool {
        self.0 & !other.0 == 0
    }

    /// The actions, in the order of the contract.
    pub fn iter(self) -> impl Iterator<Item = Action> {
        Action::ALL
            .iter()
            .copied()
            .filter(move |&action| self.contains(action))
    }
}

impl<const N: usize> From<&[Action; N]> for ActionSet {
    fn from(actions: &[Action; N]) -> Self {
        Self::of(actions)
    }
}

impl FromIterator<Action> for ActionSet {
    fn from_iter<I: IntoIterator<Item = Action>>(actions: I) -> Self {
        Self(
            actions
                .into_iter()
                .fold(0, |bits, action| bits | 1 << action as u64),
        )
    }
}

// A set is 64 bits; with more actions in the contract this has to change.
const _: () = assert!(Action::ALL.len() <= 64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_stand_in_the_order_of_the_contract() {
        for (position, &action) in Action::ALL.iter().enumerate() {
            assert_eq!(action as usize, position, "{}", action.as_str());
        }
    }

    #[test]
    fn every_action_reads_back_from_its_text() {
        for &action in Action::ALL {
            assert_eq!(Action::parse(action.as_str()), Some(action));
        }
        assert_eq!(Action::parse("file-upload"), None);
    }

    #[test]
    fn a_set_holds_what_was_put_in_and_nothing_else() {
        let set = ActionSet::of(&[Action::AuditRead, Action::IndexRead]);
        assert!(
            set.contains(Action::IndexRead)
                && set.contains(Action::AuditRead)
                && !set.contains(Action::FileUpload)
        );
        assert_eq!(
            set.iter().collect::<Vec<_>>(),
            [Action::IndexRead, Action::AuditRead]
        );
        assert_eq!(set.iter().collect::<ActionSet>(), set);
        assert_eq!(
            ActionSet::ALL.without(set).iter().count(),
            Action::ALL.len() - 2
        );
        assert_eq!(
            ActionSet::of(&[Action::AuditRead]).with(ActionSet::of(&[Action::IndexRead])),
            set
        );
        assert!(
            ActionSet::EMPTY.is_subset(set)
                && set.is_subset(set)
                && !set.is_subset(ActionSet::of(&[Action::IndexRead]))
        );
    }
}
