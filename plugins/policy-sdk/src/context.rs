//! Questions that a policy asks about a context.

use crate::contract::{
    Action, Change, Context, CredentialKind, Factors, Principal, Requirement, TokenScope, User,
};

impl Context {
    /// A context with only the action and the credential: the start of a native test. Add the facts
    /// that the test needs with `..`.
    pub fn of(action: Action, credential: CredentialKind) -> Self {
        Context {
            action,
            now: 1_767_225_600,
            credential,
            request: None,
            principal: Principal::Anonymous,
            token: None,
            assurance: None,
            project: None,
            release: None,
            file: None,
            metadata: None,
            change: Change::Nothing,
        }
    }

    /// The user that the credential belongs to, if any.
    pub fn user(&self) -> Option<&User> {
        match &self.principal {
            Principal::User(user) => Some(user),
            Principal::Anonymous | Principal::Publisher(_) => None,
        }
    }

    /// Seconds since a second factor was confirmed with this credential, if one was.
    pub fn second_factor_age(&self) -> Option<u64> {
        Some(self.assurance.as_ref()?.second_factor?.age)
    }

    /// Whether a requirement is already met, by the same rule that the host applies.
    ///
    /// Needs the sections that the requirement is about: `principal` for the enrolled factor and
    /// the email address, `assurance` for confirmed factors, `token` for the token.
    pub fn meets(&self, requirement: Requirement) -> bool {
        match requirement {
            Requirement::EnrolledSecondFactor => self
                .user()
                .is_some_and(|user| user.factors != Factors::empty()),
            Requirement::SecondFactorWithin(seconds) => self
                .second_factor_age()
                .is_some_and(|age| age <= u64::from(seconds)),
            Requirement::PasswordWithin(seconds) => self
                .assurance
                .as_ref()
                .and_then(|assurance| assurance.password_age)
                .is_some_and(|age| age <= u64::from(seconds)),
            Requirement::VerifiedEmail => self.user().is_some_and(|user| user.email_verified),
            Requirement::ProjectToken => self
                .token
                .as_ref()
                .is_some_and(|token| matches!(token.scope, TokenScope::Projects(_))),
            Requirement::TokenMadeWithSecondFactor => self
                .token
                .as_ref()
                .is_some_and(|token| token.made_with_second_factor),
        }
    }
}
