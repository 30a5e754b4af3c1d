//! Refuses passwords that are known from breaches of other sites.
//!
//! Whoever tries leaked pairs of name and password does not need to guess. So such a
//! password opens nothing, however right it is: where somebody proves one, it is disabled
//! and its owner told by mail, and a reset by mail is the only way back. Where somebody
//! chooses one, another must be chosen.
//!
//! Never the policy that permits. With grade `observe` it only counts: an operator sees
//! how many people would be affected before any of them is.

use policy_sdk::prelude::*;

/// The policy.
pub struct RefuseBreachedPasswords;

/// Reading takes no password, and is what is asked most.
const READING: ActionSet = ActionSet::of(&[Action::IndexRead, Action::FileDownload]);

/// Here the password is the one that somebody wants to have from now on.
const CHOOSING: ActionSet = ActionSet::of(&[Action::AccountCreate, Action::PasswordChange, Action::PasswordReset]);

/// Here the password is the one that somebody has, and proved a moment ago.
const PROVING: ActionSet = ActionSet::of(&[Action::SessionStart, Action::SessionStepUp]);

settings! {
    /// What happens beside the refusal to a password that was proven.
    pub struct Operator {
        /// The password is disabled: whoever else knows it cannot use it elsewhere on this registry, and a reset by mail is the only way back.
        pub disable_password: bool = boolean("Disable the password", true),
        /// The owner of the account is told by mail, at the verified primary address.
        pub mail: bool = boolean("Tell the owner by mail", true),
    }
}

impl Policy for RefuseBreachedPasswords {
    type Operator = Operator;
    type Owner = ();

    fn describe() -> Descriptor {
        Descriptor::new("refuse-breached-passwords", env!("CARGO_PKG_VERSION"), "A password known from a breach opens nothing and is chosen by nobody.")
            .hears(ActionSet::ALL.without(READING))
            .needs(Sections::ASSURANCE)
    }

    fn evaluate(operator: &Operator, _: &(), context: &Context) -> Verdict {
        let Some(assurance) = context.assurance.as_ref().filter(|assurance| assurance.password_state == PasswordState::Breached) else {
            return abstain();
        };
        if CHOOSING.contains(context.action) {
            return deny(Reason::new("password-breached", "This password is known from a breach of another site.").remedy("Choose another password."));
        }
        if !proven_by_this_request(context, assurance) {
            return abstain();
        }
        let reason = Reason::new("password-breached", "This password is known from a breach of another site and opens nothing here.")
            .remedy("Reset it by mail.")
            .page(Page::PasswordReset);
        let mut verdict = deny(reason);
        if operator.disable_password {
            verdict = verdict.obligation(Obligation::DisablePassword);
        }
        if operator.mail {
            verdict = verdict.obligation(Obligation::SendMail("password-breached".to_owned()));
        }
        verdict
    }
}

/// A session remembers the password it began with. By now it may be another one, which
/// must not be disabled for what the old one was: only a proof of this very moment counts.
/// Besides log-in and step-up those are calls that carry a password along.
fn proven_by_this_request(context: &Context, assurance: &Assurance) -> bool {
    PROVING.contains(context.action) || context.credential == CredentialKind::BasicPassword || assurance.password_age == Some(0)
}

policy_sdk::export!(RefuseBreachedPasswords);

#[cfg(test)]
mod tests {
    use super::*;
    use policy_sdk::example;

    fn proven(action: Action, credential: CredentialKind, age: u64, password_state: PasswordState) -> Context {
        let assurance = Assurance { password_age: Some(age), second_factor: None, password_state };
        Context { principal: Principal::User(example::user("alice")), assurance: Some(assurance), ..Context::of(action, credential) }
    }

    fn said(context: &Context) -> Verdict {
        RefuseBreachedPasswords::evaluate(&Operator::default(), &(), context)
    }

    fn disabled_and_told() -> Vec<Obligation> {
        vec![Obligation::DisablePassword, Obligation::SendMail("password-breached".to_owned())]
    }

    #[test]
    fn a_breached_password_does_not_log_in_and_is_disabled_and_told() {
        for action in [Action::SessionStart, Action::SessionStepUp] {
            let verdict = said(&proven(action, CredentialKind::Session, 3, PasswordState::Breached));
            assert_eq!(verdict.outcome, Outcome::Deny);
            assert_eq!((verdict.reasons[0].code.as_str(), verdict.reasons[0].page), ("password-breached", Some(Page::PasswordReset)));
            assert_eq!(verdict.obligations, disabled_and_told());
        }
    }

    #[test]
    fn a_breached_password_is_no_new_password_and_nothing_is_disabled_for_trying() {
        for (action, credential) in
            [(Action::AccountCreate, CredentialKind::None), (Action::PasswordReset, CredentialKind::None), (Action::PasswordChange, CredentialKind::Session)]
        {
            let verdict = said(&proven(action, credential, 0, PasswordState::Breached));
            assert_eq!(verdict.outcome, Outcome::Deny);
            assert_eq!((verdict.reasons[0].remedy.as_str(), verdict.reasons[0].page), ("Choose another password.", None));
            assert_eq!(verdict.obligations, []);
        }
    }

    #[test]
    fn a_password_in_a_header_or_in_a_call_counts_as_proven() {
        for context in [
            proven(Action::ReleasePublish, CredentialKind::Session, 0, PasswordState::Breached),
            proven(Action::FileUpload, CredentialKind::BasicPassword, 0, PasswordState::Breached),
        ] {
            assert_eq!((said(&context).outcome, said(&context).obligations), (Outcome::Deny, disabled_and_told()));
        }
    }

    #[test]
    fn a_session_that_began_with_a_breached_password_does_not_disable_the_present_one() {
        for &action in Action::ALL.iter().filter(|&&action| !CHOOSING.contains(action) && !PROVING.contains(action)) {
            assert_eq!(said(&proven(action, CredentialKind::Session, 60, PasswordState::Breached)), abstain(), "{}", action.as_str());
        }
    }

    #[test]
    fn a_password_that_was_not_found_or_not_checked_is_not_its_business() {
        for &action in Action::ALL {
            for state in [PasswordState::Clean, PasswordState::Unchecked] {
                assert_eq!(said(&proven(action, CredentialKind::Session, 0, state)), abstain());
            }
            assert_eq!(said(&Context::of(action, CredentialKind::None)), abstain());
        }
    }

    #[test]
    fn an_operator_may_refuse_without_disabling_or_telling() {
        let context = proven(Action::SessionStart, CredentialKind::Session, 0, PasswordState::Breached);
        for (disable_password, mail, expected) in [
            (false, false, vec![]),
            (true, false, vec![Obligation::DisablePassword]),
            (false, true, vec![Obligation::SendMail("password-breached".to_owned())]),
        ] {
            let verdict = RefuseBreachedPasswords::evaluate(&Operator { disable_password, mail }, &(), &context);
            assert_eq!((verdict.outcome, verdict.obligations), (Outcome::Deny, expected));
        }
    }
}
