//! Demands a second factor, from people and for the actions of their tokens.
//!
//! This policy never permits: it says `require` with the missing requirements, or `abstain`.
//! Anonymous callers and trusted publishers have no factors of their own, so nothing can be
//! demanded of them here.

use policy_sdk::prelude::*;

/// The policy.
pub struct RequireSecondFactor;

/// Reading is open to everyone, so a demand would only hit callers who identify themselves; and the
/// most frequent requests are spared a call.
const READING: ActionSet = ActionSet::of(&[Action::IndexRead, Action::FileDownload]);

settings! {
    /// The demands, and the actions that they apply to.
    pub struct Operator {
        /// The demands below apply to these actions. Reading (index:read, file:download) is not
        /// among them.
        pub actions: ActionSet = actions("Actions", &[Action::FileUpload, Action::ProjectCreate]),
        /// The user has a second factor enrolled.
        pub enrolled: bool = boolean("Enrolled second factor", true),
        /// The user's primary email address is verified.
        pub verified_email: bool = boolean("Verified email address", true),
        /// Anyone acting in the browser must have confirmed a second factor within this time.
        /// Tokens cannot carry one and are not asked. 0 turns it off.
        pub fresh_within: u32 = seconds("Second factor confirmed within", 0..=86_400, 0),
        /// A token is valid only if a second factor was confirmed when it was created.
        pub token_made_with_second_factor: bool = boolean("Tokens created with a second factor", false),
    }
}

impl Policy for RequireSecondFactor {
    type Operator = Operator;
    type Owner = ();

    fn describe() -> Descriptor {
        Descriptor::new(
            "require-second-factor",
            env!("CARGO_PKG_VERSION"),
            "Anyone doing the chosen actions needs a second factor.",
        )
        .hears(ActionSet::ALL.without(READING))
        .needs(Sections::PRINCIPAL | Sections::ASSURANCE | Sections::TOKEN)
    }

    fn validate(operator: &Operator, _: Option<&()>) -> Result<(), Vec<SettingError>> {
        match READING
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
        let Some(user) = context
            .user()
            .filter(|_| operator.actions.contains(context.action))
        else {
            return abstain();
        };
        let in_session = context.credential == CredentialKind::Session;
        let by_token = context.credential == CredentialKind::ApiToken;
        Requirements::on(context)
            .need_if(operator.verified_email, Requirement::VerifiedEmail, || {
                let message = ["User '", &user.name, "' has no verified email address."].concat();
                Reason::new("verified-email-required", message)
                    .remedy("Verify the primary address.")
                    .page(Page::Email)
            })
            .need_if(operator.enrolled, Requirement::EnrolledSecondFactor, || {
                let message = ["User '", &user.name, "' has no second factor."].concat();
                Reason::new("second-factor-required", message)
                    .remedy("Add one first: an app, a security key or a passkey.")
                    .page(Page::SecondFactor)
            })
            .need_if(
                in_session && operator.fresh_within > 0,
                Requirement::SecondFactorWithin(operator.fresh_within),
                || {
                    Reason::new(
                        "fresh-second-factor-required",
                        "This needs a second factor confirmed a short while ago.",
                    )
                    .remedy("Confirm it now, for example with a one-time code.")
                    .page(Page::StepUp)
                },
            )
            .need_if(
                by_token && operator.token_made_with_second_factor,
                Requirement::TokenMadeWithSecondFactor,
                || {
                    Reason::new(
                        "strong-token-required",
                        "The token was created without a second factor.",
                    )
                    .remedy("Create a new one with a second factor.")
                    .page(Page::Tokens)
                },
            )
            .verdict()
    }
}

policy_sdk::export!(RequireSecondFactor);

#[cfg(test)]
mod tests {
    use super::*;
    use policy_sdk::example;

    fn user_context(action: Action, credential: CredentialKind, user: User) -> Context {
        Context {
            principal: Principal::User(user),
            ..Context::of(action, credential)
        }
    }

    fn codes(verdict: &Verdict) -> Vec<&str> {
        verdict
            .reasons
            .iter()
            .map(|reason| reason.code.as_str())
            .collect()
    }

    #[test]
    fn a_token_of_a_user_without_factor_and_address_is_told_of_both() {
        let user = User {
            email_verified: false,
            factors: Factors::empty(),
            ..example::user("alice")
        };
        let context = Context {
            token: Some(example::token()),
            ..user_context(Action::FileUpload, CredentialKind::ApiToken, user)
        };
        let verdict = RequireSecondFactor::evaluate(&Operator::default(), &(), &context);
        assert_eq!(
            verdict.outcome,
            Outcome::Require(vec![
                Requirement::VerifiedEmail,
                Requirement::EnrolledSecondFactor
            ])
        );
        assert_eq!(
            codes(&verdict),
            ["verified-email-required", "second-factor-required"]
        );
        assert_eq!(
            verdict.reasons[1].message,
            "User 'alice' has no second factor."
        );
    }

    #[test]
    fn it_never_permits() {
        for &action in Action::ALL {
            for credential in [
                CredentialKind::Session,
                CredentialKind::ApiToken,
                CredentialKind::BasicPassword,
            ] {
                let context = user_context(action, credential, example::user("alice"));
                assert_eq!(
                    RequireSecondFactor::evaluate(&Operator::default(), &(), &context),
                    abstain()
                );
            }
        }
    }

    #[test]
    fn publishers_and_nobody_are_not_asked() {
        let publisher = Context {
            principal: example::publisher(),
            ..Context::of(Action::FileUpload, CredentialKind::PublisherToken)
        };
        let nobody = Context::of(Action::FileUpload, CredentialKind::None);
        let everything = Operator {
            actions: ActionSet::ALL,
            fresh_within: 300,
            token_made_with_second_factor: true,
            ..Operator::default()
        };
        for context in [publisher, nobody] {
            assert_eq!(
                RequireSecondFactor::evaluate(&everything, &(), &context),
                abstain()
            );
        }
    }

    #[test]
    fn a_session_needs_a_factor_as_fresh_as_demanded_and_a_token_does_not() {
        let operator = Operator {
            actions: ActionSet::of(&[Action::TokenCreate]),
            fresh_within: 300,
            ..Operator::default()
        };
        for (age, met) in [(0, true), (300, true), (301, false)] {
            let session = user_context(
                Action::TokenCreate,
                CredentialKind::Session,
                example::user("alice"),
            );
            let context = Context {
                assurance: Some(example::second_factor(age)),
                ..session
            };
            let verdict = RequireSecondFactor::evaluate(&operator, &(), &context);
            assert_eq!(verdict.outcome == Outcome::Abstain, met, "{age}");
        }
        let token = user_context(
            Action::TokenCreate,
            CredentialKind::ApiToken,
            example::user("alice"),
        );
        assert_eq!(
            RequireSecondFactor::evaluate(&operator, &(), &token),
            abstain()
        );
    }

    #[test]
    fn a_token_made_without_second_factor_is_refused_where_demanded() {
        let operator = Operator {
            token_made_with_second_factor: true,
            ..Operator::default()
        };
        let weak = Token {
            made_with_second_factor: false,
            ..example::token()
        };
        for (token, codes_expected) in [
            (weak, vec!["strong-token-required"]),
            (example::token(), vec![]),
        ] {
            let context = Context {
                token: Some(token),
                ..user_context(
                    Action::FileUpload,
                    CredentialKind::ApiToken,
                    example::user("alice"),
                )
            };
            assert_eq!(
                codes(&RequireSecondFactor::evaluate(&operator, &(), &context)),
                codes_expected
            );
        }
    }

    #[test]
    fn an_operator_who_chooses_reading_is_told_that_it_is_never_heard() {
        let operator = Operator {
            actions: ActionSet::of(&[Action::FileUpload, Action::IndexRead]),
            ..Operator::default()
        };
        let errors = RequireSecondFactor::validate(&operator, None).unwrap_err();
        assert_eq!(
            errors,
            [SettingError::new(
                "actions",
                "index:read is never heard: leave it out"
            )]
        );
        assert_eq!(
            RequireSecondFactor::validate(&Operator::default(), None),
            Ok(())
        );
    }

    #[test]
    fn actions_that_were_not_chosen_are_not_its_business() {
        let user = User {
            factors: Factors::empty(),
            ..example::user("alice")
        };
        let context = user_context(Action::FactorEnroll, CredentialKind::Session, user);
        assert_eq!(
            RequireSecondFactor::evaluate(&Operator::default(), &(), &context),
            abstain()
        );
    }
}
