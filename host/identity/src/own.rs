//! Whose account something is done to or read of.
//!
//! A target of an account names it by an [`Account`], and a target of the session that asks by
//! an [`OwnSession`]. Both are made from the [`Caller`], so nobody who answers a request can aim
//! at the account of somebody else, whatever a form or a path says.

use gate::{Permit, Target, TargetFacts};
use model::audit::Actor;
use model::{Action, Caller, SessionId, UserId};

/// The account that a target is about.
///
/// Invariant: where a request is answered, it is the caller's own. The other constructor is for
/// the server's command line; `host/http` never names it, see `tests/tests/structure.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account(UserId);

impl Account {
    /// The caller's own account; none for a caller who is no user.
    pub fn of(caller: &Caller) -> Option<Self> {
        caller.user().map(|user| Self(user.id))
    }

    /// Anybody's account, for an operator at the server.
    pub fn at_the_server(user: UserId) -> Self {
        Self(user)
    }

    /// Whose it is.
    pub fn id(self) -> UserId {
        self.0
    }

    /// Whether the permit is its user's or an operator's. Asked again where something is
    /// changed: a permit that was decided for one caller must not serve another.
    pub(crate) fn is_own<T>(self, permit: &Permit<T>) -> bool {
        match permit.actor() {
            Actor::Caller { user, .. } => *user == Some(self.0),
            Actor::Publisher { .. } => false,
            Actor::CommandLine { .. } | Actor::System => true,
        }
    }
}

/// The session that asks, and its account.
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

    /// Which it is.
    pub fn id(self) -> SessionId {
        self.id
    }
}

/// Read what an account's owner may see of it.
#[derive(Clone, Copy, Debug)]
pub struct ReadAccount {
    pub account: Account,
}

impl Target for ReadAccount {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::AccountRead)
    }
}

/// A target of an account whose page shows more of that account: the form once more, when
/// something in it was wrong.
pub trait OfAccount: Target {
    /// Which account it is of.
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

/// What a permit of an account lets its pages show. Made of the permit alone, so nothing of an
/// account is read that was not decided.
#[derive(Clone, Copy, Debug)]
pub struct AccountView(Account);

impl AccountView {
    /// The account of what was permitted.
    pub fn of<T: OfAccount>(permit: &Permit<T>) -> Self {
        Self(permit.target().account())
    }

    pub(crate) fn user(self) -> UserId {
        self.0.id()
    }
}
