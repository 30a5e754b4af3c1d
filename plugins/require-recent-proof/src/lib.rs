//! A session that was left open is not enough for sensitive actions: the person must have confirmed
//! a short while ago that they are still the same person.
//!
//! A person with a second factor confirms that one; a person without one confirms the password, so
//! that enrolling the first factor stays possible. This applies only to sessions: tokens are not
//! people. This policy never permits.

use policy_sdk::prelude::*;

/// The policy.
pub struct RequireRecentProof;

/// Reading is open to everyone; uploads are made by tokens, which cannot confirm anything;
/// confirming something cannot wait for a confirmation; and a person who wants to end a session or
/// stop a token has noticed something wrong and must not be held up.
const NEVER: ActionSet = ActionSet::of(&[
    Action::IndexRead,
    Action::FileDownload,
    Action::FileUpload,
    Action::ProjectCreate,
    Action::TokenMint,
    Action::SessionStart,
    Action::SessionStepUp,
    Action::SessionEnd,
    Action::TokenRevoke,
]);

/// Actions that give away an account or a project, or cannot be undone.
const SENSITIVE: ActionSet = ActionSet::of(&[
    Action::FileDelete,
    Action::ReleasePublish,
    Action::ReleaseReject,
    Action::ReleaseYank,
    Action::ReleaseUnyank,
    Action::ReleaseDelete,
    Action::ProjectConfigure,
    Action::ProjectArchive,
    Action::ProjectUnarchive,
    Action::ProjectTransfer,
    Action::ProjectDelete,
    Action::RoleGrant,
    Action::RoleRevoke,
    Action::TokenCreate,
    Action::PublisherAdd,
    Action::PublisherRemove,
    Action::AccountDelete,
    Action::AccountRecover,
    Action::EmailAdd,
    Action::EmailPromote,
    Action::EmailRemove,
    Action::FactorEnroll,
    Action::FactorRemove,
    Action::RecoveryCodesGenerate,
    Action::PolicySetActivate,
]);

settings! {
    /// The sensitive actions, and how long a proof lasts for them.
    pub struct Operator {
        /// These need a recent proof. Reading, uploading, logging in, confirming a factor, ending
        /// sessions and revoking tokens are never among them.
        pub actions: ActionSet = actions("Sensitive actions", SENSITIVE),
        /// How recently the second factor, or the password of anyone without one, must have been
        /// confirmed.
        pub within: u32 = seconds("Confirmed within", 60..=86_400, 1_800),
    }
}

impl Policy for RequireRecentProof {
    type Operator = Operator;
    type Owner = ();

    fn describe() -> Descriptor {
        Descriptor::new(
            "require-recent-proof",
            env!("CARGO_PKG_VERSION"),
            "Sensitive actions need a person who confirmed their identity a short while ago.",
        )
        .hears(ActionSet::ALL.without(NEVER))
        .needs(Sections::PRINCIPAL | Sections::ASSURANCE)
    }

    fn validate(operator: &Operator, _: Option<&()>) -> Result<(), Vec<SettingError>> {
        match NEVER
            .iter()
            .find(|&action| operator.actions.contains(action))
        {
            Some(action) => Err(vec![SettingError::new(
                "actions",
                [action.as_str(), " is never heard: leave it out"].concat(),
            )]),
            None => Ok(()),
        }
    }

    fn evaluate(operator: &Operator, _: &(), context: &Context) -> Verdict {
        let asked = context.credential == CredentialKind::Session
            && operator.actions.contains(context.action);
        let Some(user) = context.user().filter(|_| asked) else {
            return abstain();
        };
        let enrolled = user.factors != Factors::empty();
        Requirements::on(context)
            .need_if(
                enrolled,
                Requirement::SecondFactorWithin(operator.within),
                || {
                    Reason::new(
                        "recent-second-factor-required",
                        "This needs a recent second-factor check.",
                    )
                    .remedy("Confirm your second factor to continue.")
                    .page(Page::StepUp)
                },
            )
            .need_if(
                !enrolled,
                Requirement::PasswordWithin(operator.within),
                || {
                    Reason::new(
                        "recent-password-required",
                        "This needs a recent password check.",
                    )
                    .remedy("Enter your password to continue.")
                    .page(Page::StepUp)
                },
            )
            .verdict()
    }
}

policy_sdk::export!(RequireRecentProof);

#[cfg(test)]
mod tests {
    use super::*;
    use policy_sdk::example;

    fn session(action: Action, factors: Factors, assurance: Assurance) -> Context {
        let user = User {
            factors,
            ..example::user("alice")
        };
        Context {
            principal: Principal::User(user),
            assurance: Some(assurance),
            ..Context::of(action, CredentialKind::Session)
        }
    }

    fn password(age: u64) -> Assurance {
        Assurance {
            password_age: Some(age),
            second_factor: None,
            password_state: PasswordState::Unchecked,
        }
    }

    /// A passkey alone: there was no password at all.
    fn passkey(age: u64) -> Assurance {
        Assurance {
            password_age: None,
            second_factor: Some(FactorUse {
                factor: Factor::Webauthn,
                age,
            }),
            password_state: PasswordState::Unchecked,
        }
    }

    fn said(context: &Context) -> Outcome {
        RequireRecentProof::evaluate(&Operator::default(), &(), context).outcome
    }

    #[test]
    fn who_has_a_factor_proves_it_and_who_has_none_proves_the_password() {
        for (factors, assurance, expected) in [
            (
                Factors::TOTP,
                example::second_factor(1_800),
                Outcome::Abstain,
            ),
            (
                Factors::TOTP,
                example::second_factor(1_801),
                Outcome::Require(vec![Requirement::SecondFactorWithin(1_800)]),
            ),
            (Factors::WEBAUTHN, passkey(0), Outcome::Abstain),
            // However recent the password is, this person has a better proof.
            (
                Factors::WEBAUTHN,
                password(0),
                Outcome::Require(vec![Requirement::SecondFactorWithin(1_800)]),
            ),
            (Factors::empty(), password(1_800), Outcome::Abstain),
            (
                Factors::empty(),
                password(1_801),
                Outcome::Require(vec![Requirement::PasswordWithin(1_800)]),
            ),
        ] {
            let context = session(Action::TokenCreate, factors, assurance);
            assert_eq!(said(&context), expected, "{:?}", context.assurance);
        }
    }

    #[test]
    fn a_first_factor_is_enrolled_with_a_fresh_password() {
        for action in [Action::FactorEnroll, Action::RecoveryCodesGenerate] {
            assert_eq!(
                said(&session(action, Factors::empty(), password(30))),
                Outcome::Abstain
            );
        }
    }

    #[test]
    fn what_is_missing_is_told_with_the_page_where_it_is_proven() {
        for (factors, code) in [
            (Factors::TOTP, "recent-second-factor-required"),
            (Factors::empty(), "recent-password-required"),
        ] {
            let verdict = RequireRecentProof::evaluate(
                &Operator::default(),
                &(),
                &session(Action::EmailAdd, factors, password(7_200)),
            );
            assert_eq!(
                (verdict.reasons[0].code.as_str(), verdict.reasons[0].page),
                (code, Some(Page::StepUp))
            );
        }
    }

    #[test]
    fn it_never_permits_and_asks_for_nothing_that_is_not_listed() {
        for &action in Action::ALL {
            let context = session(action, Factors::TOTP, example::second_factor(7_200));
            assert_eq!(
                said(&context) != Outcome::Abstain,
                SENSITIVE.contains(action),
                "{}",
                action.as_str()
            );
            assert_eq!(
                said(&session(action, Factors::TOTP, example::second_factor(0))),
                Outcome::Abstain
            );
        }
    }

    #[test]
    fn tokens_publishers_and_nobody_are_not_asked() {
        for credential in [
            CredentialKind::None,
            CredentialKind::BasicPassword,
            CredentialKind::ApiToken,
            CredentialKind::PublisherToken,
        ] {
            let context = Context {
                credential,
                ..session(Action::ReleasePublish, Factors::TOTP, password(7_200))
            };
            assert_eq!(said(&context), Outcome::Abstain);
        }
    }

    #[test]
    fn it_does_not_hear_what_tokens_do_and_costs_an_upload_nothing() {
        let heard = RequireRecentProof::describe().actions;
        for action in [
            Action::FileUpload,
            Action::ProjectCreate,
            Action::TokenMint,
            Action::IndexRead,
            Action::FileDownload,
        ] {
            assert!(!heard.contains(&action), "{}", action.as_str());
        }
    }

    #[test]
    fn what_would_lock_people_out_cannot_be_listed() {
        for action in NEVER.iter() {
            let operator = Operator {
                actions: ActionSet::of(&[Action::TokenCreate, action]),
                ..Operator::default()
            };
            let errors = RequireRecentProof::validate(&operator, None).unwrap_err();
            assert_eq!(
                errors,
                [SettingError::new(
                    "actions",
                    [action.as_str(), " is never heard: leave it out"].concat()
                )]
            );
        }
        assert_eq!(
            RequireRecentProof::validate(&Operator::default(), None),
            Ok(())
        );
    }
}
