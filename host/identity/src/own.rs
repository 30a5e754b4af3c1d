//! The account that an action changes or reads.
//!
//! A target of an account identifies it by an [`Account`], and a target of the current session by
//! an [`OwnSession`]. Both are built from the [`Caller`], so code that answers a request cannot aim
//! at another user's account, whatever a form or a path says.

use gate::{Permit, Target, TargetFacts};
use model::audit::Actor;
use model::{Action, Caller, SessionId, UserId};

/// The account that a target is about.
///
/// Invariant: code that answers a request only uses the caller's own. The other constructor is for
/// the server's command line; `host/http` never names it, see `tests/tests/structure.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account(UserId);

impl Account {
    /// The caller's own account; none if the caller is no user.
    pub fn of(caller: &Caller) -> Option<Self> {
        caller.user().map(|user| Self(user.id))
    }

    /// Any account, for an operator at the server.
    pub fn at_the_server(user: UserId) -> Self {
        Self(user)
    }

    /// The account's user.
    pub fn id(self) -> UserId {
        self.0
    }

    /// Whether the permit is its user's or an operator's. Checked again before a change: a permit
    /// that was decided for one caller must not serve another.
    pub(crate) fn is_own<T>(self, permit: &Permit<T>) -> bool {
        match permit.actor() {
            Actor::Caller { user, .. } => *user == Some(self.0),
            Actor::Publisher { .. } => false,
            Actor::CommandLine { .. } | Actor::System => true,
        }
    }
}

/// The session of the request, and its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnSession {
    pub(crate) account: Account,
    id: SessionId,
}

impl OwnSession {
    /// The caller's own session; none for a caller without one.
    pub fn of(caller: &Caller) -> Option<Self> {
        Some(Self {
            account: Account::of(caller)?,
            id: caller.session?,
        })
    }

    /// Its user's account.
    pub fn account(self) -> Account {
        self.account
    }

    /// The session's id.
    pub fn id(self) -> SessionId {
        self.id
    }
}

/// Read the data that an account's owner may see.
#[derive(Clone, Copy, Debug)]
pub struct ReadAccount {
    pub account: Account,
}

impl Target for ReadAccount {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::AccountRead)
    }
}

/// A target of an account whose page shows more of that account: the form again, if something in it
/// was wrong.
pub trait OfAccount: Target {
    /// The account.
    fn account(&self) -> Account;
}

macro_rules! of_account {
    ($($target:ty: $($account:ident).+),* $(,)?) => {$(
        impl $crate::own::OfAccount for $target {
            fn account(&self) -> $crate::own::Account {
                self.$($account).+
            }
        }
    )*};
}

pub(crate) use of_account;

of_account! { ReadAccount: account }

/// Access to the data that pages may show for a permit of an account. Built from the permit alone,
/// so account data is never read without a decision.
#[derive(Clone, Copy, Debug)]
pub struct AccountView(Account);

impl AccountView {
    /// Access to the account of the permit.
    pub fn of<T: OfAccount>(permit: &Permit<T>) -> Self {
        Self(permit.target().account())
    }

    pub(crate) fn user(self) -> UserId {
        self.0.id()
    }
}
