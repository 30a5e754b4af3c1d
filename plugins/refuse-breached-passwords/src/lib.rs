//! Refuses passwords that are known from breaches of other sites.
//!
//! An attacker who tries leaked pairs of name and password does not need to guess. So such a
//! password opens nothing, even if it is right: when someone logs in with one, it is disabled and
//! its owner gets a mail, and a reset by mail is the only way back. When someone chooses one, they
//! must choose another.
//!
//! This policy never permits. With grade `observe` it only counts: an operator sees how many people
//! would be affected before any of them is.

use policy_sdk::prelude::*;

/// The policy.
pub struct RefuseBreachedPasswords;

/// Reads are the most frequent, and a trusted publisher brings no password. All other actions may
/// carry one: uploads, too, if an operator accepts passwords for them; the shipped sets accept none
/// there, and do not check.
const NEVER: ActionSet =
    ActionSet::of(&[Action::IndexRead, Action::FileDownload, Action::TokenMint]);

/// Here the password is a new one that the person chooses.
const CHOOSING: ActionSet = ActionSet::of(&[
    Action::AccountCreate,
    Action::PasswordChange,
    Action::PasswordReset,
]);

settings! {
    /// The consequences, besides the refusal, for a password that was right.
    pub struct Operator {
        /// The password is disabled: anyone else who knows it cannot use it elsewhere on this
        /// registry, and a reset by mail is the only way back.
        pub disable_password: bool = boolean("Disable the password", true),
        /// The owner of the account gets a mail at the verified primary address.
        pub mail: bool = boolean("Tell the owner by mail", true),
    }
}

impl Policy for RefuseBreachedPasswords {
    type Operator = Operator;
    type Owner = ();

    fn describe() -> Descriptor {
        Descriptor::new(
            "refuse-breached-passwords",
            env!("CARGO_PKG_VERSION"),
            "A password known from a breach is not accepted and cannot be chosen.",
        )
        .hears(ActionSet::ALL.without(NEVER))
        .needs(Sections::ASSURANCE)
    }

    fn evaluate(operator: &Operator, _: &(), context: &Context) -> Verdict {
        // Only the password of this request, never the one that a session began with: it may have
        // changed since, and the new one must not be disabled for the old one.
        if context
            .assurance
            .as_ref()
            .is_none_or(|assurance| assurance.password_state != PasswordState::Breached)
        {
            return abstain();
        }
        if CHOOSING.contains(context.action) {
            return deny(
                Reason::new(
                    "password-breached",
                    "This password is known from a breach of another site.",
                )
                .remedy("Choose another password."),
            );
        }
        let reason = Reason::new(
            "password-breached",
            "This password appeared in a data breach, so it no longer works here.",
        )
        .remedy("Set a new one through a link that we email you.")
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

policy_sdk::export!(RefuseBreachedPasswords);

#[cfg(test)]
mod tests {
    use super::*;
    use policy_sdk::example;

    fn proven(
        action: Action,
        credential: CredentialKind,
        age: u64,
        password_state: PasswordState,
    ) -> Context {
        let assurance = Assurance {
            password_age: Some(age),
            second_factor: None,
            password_state,
        };
        Context {
            principal: Principal::User(example::user("alice")),
            assurance: Some(assurance),
            ..Context::of(action, credential)
        }
    }

    fn said(context: &Context) -> Verdict {
        RefuseBreachedPasswords::evaluate(&Operator::default(), &(), context)
    }

    fn disabled_and_told() -> Vec<Obligation> {
        vec![
            Obligation::DisablePassword,
            Obligation::SendMail("password-breached".to_owned()),
        ]
    }

    #[test]
    fn a_breached_password_does_not_log_in_and_is_disabled_and_told() {
        for action in [Action::SessionStart, Action::SessionStepUp] {
            let verdict = said(&proven(
                action,
                CredentialKind::Session,
                3,
                PasswordState::Breached,
            ));
            assert_eq!(verdict.outcome, Outcome::Deny);
            assert_eq!(
                (verdict.reasons[0].code.as_str(), verdict.reasons[0].page),
                ("password-breached", Some(Page::PasswordReset))
            );
            assert_eq!(verdict.obligations, disabled_and_told());
        }
    }

    #[test]
    fn a_breached_password_is_no_new_password_and_nothing_is_disabled_for_trying() {
        for (action, credential) in [
            (Action::AccountCreate, CredentialKind::None),
            (Action::PasswordReset, CredentialKind::None),
            (Action::PasswordChange, CredentialKind::Session),
        ] {
            let verdict = said(&proven(action, credential, 0, PasswordState::Breached));
            assert_eq!(verdict.outcome, Outcome::Deny);
            assert_eq!(
                (verdict.reasons[0].remedy.as_str(), verdict.reasons[0].page),
                ("Choose another password.", None)
            );
            assert_eq!(verdict.obligations, []);
        }
    }

    #[test]
    fn a_password_in_a_header_or_in_a_call_counts_as_proven() {
        for context in [
            proven(
                Action::ReleasePublish,
                CredentialKind::Session,
                0,
                PasswordState::Breached,
            ),
            proven(
                Action::FileUpload,
                CredentialKind::BasicPassword,
                0,
                PasswordState::Breached,
            ),
        ] {
            assert_eq!(
                (said(&context).outcome, said(&context).obligations),
                (Outcome::Deny, disabled_and_told())
            );
        }
    }

    #[test]
    fn a_password_that_was_not_found_or_not_checked_in_this_request_is_not_its_business() {
        for &action in Action::ALL {
            for state in [PasswordState::Clean, PasswordState::Unchecked] {
                assert_eq!(
                    said(&proven(action, CredentialKind::Session, 0, state)),
                    abstain()
                );
            }
            assert_eq!(said(&Context::of(action, CredentialKind::None)), abstain());
        }
    }

    #[test]
    fn an_operator_may_refuse_without_disabling_or_telling() {
        let context = proven(
            Action::SessionStart,
            CredentialKind::Session,
            0,
            PasswordState::Breached,
        );
        for (disable_password, mail, expected) in [
            (false, false, vec![]),
            (true, false, vec![Obligation::DisablePassword]),
            (
                false,
                true,
                vec![Obligation::SendMail("password-breached".to_owned())],
            ),
        ] {
            let verdict = RefuseBreachedPasswords::evaluate(
                &Operator {
                    disable_password,
                    mail,
                },
                &(),
                &context,
            );
            assert_eq!(
                (verdict.outcome, verdict.obligations),
                (Outcome::Deny, expected)
            );
        }
    }
}
