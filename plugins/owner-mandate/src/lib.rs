//! The demands of a project's owners on everyone who acts on it.
//!
//! Each demand is a setting of the project. The operator has the same settings for all projects at
//! once; a project's owners may demand more, never less.

use policy_sdk::prelude::*;

/// The policy.
pub struct OwnerMandate;

/// Actions that change a project or show non-public data about it; and creating tokens, which may
/// concern every project.
const HEARD: ActionSet = ActionSet::of(&[
    Action::TokenCreate,
    Action::FileUpload,
    Action::FileDelete,
    Action::ReleasePreview,
    Action::ReleasePublish,
    Action::ReleaseReject,
    Action::ReleaseYank,
    Action::ReleaseUnyank,
    Action::ReleaseDelete,
    Action::ProjectCreate,
    Action::ProjectManage,
    Action::ProjectConfigure,
    Action::ProjectArchive,
    Action::ProjectUnarchive,
    Action::ProjectTransfer,
    Action::ProjectDelete,
    Action::RoleGrant,
    Action::RoleAccept,
    Action::RoleRevoke,
    Action::PublisherAdd,
    Action::PublisherRemove,
]);

/// Viewing does not change anything: it needs an enrolled factor, but not a recent one.
const LOOKING: ActionSet = ActionSet::of(&[Action::ReleasePreview, Action::ProjectManage]);

const UPLOADS: ActionSet = ActionSet::of(&[Action::FileUpload, Action::ProjectCreate]);

settings! {
    /// The demands on every project.
    pub struct Operator {
        /// Everyone with access to a project needs a second factor.
        pub second_factor: bool = boolean("Second factor for everyone", false),
        /// Anyone changing a project in the browser must have confirmed a second factor within this
        /// time. 0 turns it off.
        pub fresh_within: u32 = seconds("Second factor confirmed within", 0..=86_400, 0),
        /// Uploads need a token that was created for projects, and no other can be created.
        pub project_tokens_only: bool = boolean("No account-wide tokens", false),
        /// Uploads need a token that was created with a second factor.
        pub strong_tokens_only: bool = boolean("Only tokens created with a second factor", false),
    }
}

settings! {
    /// The demands of the owners on their project.
    pub struct Owner {
        /// Everyone with access to this project needs a second factor, even when they use tokens.
        pub second_factor: bool = boolean("Second factor for everyone", false),
        /// Anyone changing this project in the browser must have confirmed a second factor within
        /// this time. 0 turns it off.
        pub fresh_within: u32 = seconds("Second factor confirmed within", 0..=86_400, 0),
        /// Uploads to this project need a token that was created for projects, so that a stolen
        /// token does little damage. An account-wide token that its holder restricted to a project
        /// is still account-wide.
        pub project_tokens_only: bool = boolean("No account-wide tokens", false),
        /// Uploads to this project need a token that was created by someone who confirmed a second
        /// factor for it.
        pub strong_tokens_only: bool = boolean("Only tokens created with a second factor", false),
    }
}

impl Policy for OwnerMandate {
    type Operator = Operator;
    type Owner = Owner;

    fn describe() -> Descriptor {
        Descriptor::new(
            "owner-mandate",
            env!("CARGO_PKG_VERSION"),
            "Owners decide what everyone with access to their project has to confirm.",
        )
        .hears(HEARD)
        .needs(
            Sections::PRINCIPAL
                | Sections::ASSURANCE
                | Sections::TOKEN
                | Sections::PROJECT
                | Sections::CHANGE,
        )
    }

    fn evaluate(operator: &Operator, owner: &Owner, context: &Context) -> Verdict {
        if context.action == Action::TokenCreate {
            return new_token(operator, context);
        }
        let uploading = UPLOADS.contains(context.action);
        // Trusted publishers and anonymous callers have no factors and no tokens of their own.
        if context.user().is_none() {
            return abstain();
        }
        let by_token = context.credential == CredentialKind::ApiToken && uploading;
        let fresh_within = strictest(operator.fresh_within, owner.fresh_within);
        let changing =
            context.credential == CredentialKind::Session && !LOOKING.contains(context.action);
        let fresh_by_registry = operator.fresh_within > 0 && operator.fresh_within == fresh_within;
        Requirements::on(context)
            .need_if(
                operator.second_factor || owner.second_factor,
                Requirement::EnrolledSecondFactor,
                || {
                    Reason::new(
                        "second-factor-required",
                        demanded_by(
                            operator.second_factor,
                            " requires a second factor of everyone.",
                        ),
                    )
                    .remedy("Add one first: an app, a security key or a passkey.")
                    .page(Page::SecondFactor)
                },
            )
            .need_if(
                changing && fresh_within > 0,
                Requirement::SecondFactorWithin(fresh_within),
                || {
                    Reason::new(
                        "fresh-second-factor-required",
                        demanded_by(
                            fresh_by_registry,
                            " requires a second factor confirmed a short while ago.",
                        ),
                    )
                    .remedy("Confirm it now, for example with a one-time code.")
                    .page(Page::StepUp)
                },
            )
            .need_if(
                by_token && (operator.project_tokens_only || owner.project_tokens_only),
                Requirement::ProjectToken,
                || {
                    Reason::new(
                        "project-token-required",
                        demanded_by(
                            operator.project_tokens_only,
                            " does not accept account-wide tokens.",
                        ),
                    )
                    .remedy(
                        "Use a token created for this project; one restricted later is not enough.",
                    )
                    .page(Page::Tokens)
                },
            )
            .need_if(
                by_token && (operator.strong_tokens_only || owner.strong_tokens_only),
                Requirement::TokenMadeWithSecondFactor,
                || {
                    Reason::new(
                        "strong-token-required",
                        demanded_by(
                            operator.strong_tokens_only,
                            " accepts only tokens created with a second factor.",
                        ),
                    )
                    .remedy("Create a new one with a second factor.")
                    .page(Page::Tokens)
                },
            )
            .verdict()
    }
}

policy_sdk::export!(OwnerMandate);

/// A token belongs to no project, so the demands on people who act on projects do not apply here.
/// But a token that no project would accept is better refused at its creation than at every upload.
fn new_token(operator: &Operator, context: &Context) -> Verdict {
    match &context.change {
        Change::Token(NewToken {
            scope: TokenScope::Account,
            ..
        }) if operator.project_tokens_only => deny(
            Reason::new(
                "account-token-refused",
                "This registry does not accept account-wide tokens.",
            )
            .remedy("Create one for a project; the project need not exist yet.")
            .page(Page::Tokens),
        ),
        _ => abstain(),
    }
}

/// A sentence that names who demands it: no owner can change the operators' demands.
fn demanded_by(registry: bool, what: &str) -> String {
    [
        if registry {
            "This registry"
        } else {
            "This project"
        },
        what,
    ]
    .concat()
}

/// The shorter of two time spans, where 0 means no demand.
fn strictest(one: u32, other: u32) -> u32 {
    match (one, other) {
        (0, other) => other,
        (one, 0) => one,
        (one, other) => one.min(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy_sdk::example;

    fn session(action: Action, user: User, factor_age: Option<u64>) -> Context {
        Context {
            principal: Principal::User(user),
            assurance: factor_age.map(example::second_factor),
            project: Some(example::project("demo", Role::Owner)),
            ..Context::of(action, CredentialKind::Session)
        }
    }

    fn upload(token: Token) -> Context {
        Context {
            principal: Principal::User(example::user("alice")),
            token: Some(token),
            project: Some(example::project("demo", Role::Maintainer)),
            ..Context::of(Action::FileUpload, CredentialKind::ApiToken)
        }
    }

    fn check(owner: &Owner, context: &Context, codes: &[&str]) {
        let verdict = OwnerMandate::evaluate(&Operator::default(), owner, context);
        assert_eq!(
            verdict
                .reasons
                .iter()
                .map(|reason| reason.code.as_str())
                .collect::<Vec<_>>(),
            codes
        );
        assert_eq!(
            verdict.outcome == Outcome::Abstain,
            codes.is_empty(),
            "{verdict:?}"
        );
    }

    #[test]
    fn it_says_nothing_while_it_is_off() {
        let without_factor = User {
            factors: Factors::empty(),
            ..example::user("alice")
        };
        for &action in Action::ALL {
            check(
                &Owner::default(),
                &session(action, without_factor.clone(), None),
                &[],
            );
        }
        check(&Owner::default(), &upload(example::token()), &[]);
    }

    #[test]
    fn everyone_needs_a_second_factor_where_owners_demand_it() {
        let owner = Owner {
            second_factor: true,
            ..Owner::default()
        };
        let without_factor = User {
            factors: Factors::empty(),
            ..example::user("bob")
        };
        for action in HEARD.iter().filter(|&action| action != Action::TokenCreate) {
            check(
                &owner,
                &session(action, without_factor.clone(), None),
                &["second-factor-required"],
            );
        }
        check(
            &owner,
            &Context {
                principal: Principal::User(without_factor),
                ..upload(example::token())
            },
            &["second-factor-required"],
        );
        check(&owner, &upload(example::token()), &[]);
    }

    #[test]
    fn a_fresh_factor_is_asked_of_sessions_that_change_something() {
        let owner = Owner {
            fresh_within: 600,
            ..Owner::default()
        };
        let user = || example::user("alice");
        check(
            &owner,
            &session(Action::RoleGrant, user(), None),
            &["fresh-second-factor-required"],
        );
        check(
            &owner,
            &session(Action::RoleGrant, user(), Some(601)),
            &["fresh-second-factor-required"],
        );
        check(&owner, &session(Action::RoleGrant, user(), Some(600)), &[]);
        check(&owner, &session(Action::ProjectManage, user(), None), &[]);
        check(&owner, &upload(example::token()), &[]);
    }

    #[test]
    fn account_wide_and_weak_tokens_are_refused_where_owners_say_so() {
        let owner = Owner {
            project_tokens_only: true,
            strong_tokens_only: true,
            ..Owner::default()
        };
        check(
            &owner,
            &upload(example::token()),
            &["project-token-required"],
        );
        check(&owner, &upload(example::project_token("demo")), &[]);
        let weak = Token {
            made_with_second_factor: false,
            ..example::project_token("demo")
        };
        check(&owner, &upload(weak), &["strong-token-required"]);
    }

    #[test]
    fn an_account_token_that_its_holder_narrowed_is_as_account_wide_as_before() {
        let owner = Owner {
            project_tokens_only: true,
            ..Owner::default()
        };
        let narrowed = Token {
            narrowed_to: Some(vec!["demo".to_owned()]),
            narrowed_expires_in: Some(60),
            ..example::token()
        };
        for action in UPLOADS.iter() {
            check(
                &owner,
                &Context {
                    action,
                    ..upload(narrowed.clone())
                },
                &["project-token-required"],
            );
        }
        let further = Token {
            narrowed_to: Some(vec!["demo".to_owned()]),
            ..example::project_token("demo")
        };
        check(&owner, &upload(further), &[]);
    }

    #[test]
    fn a_token_that_no_upload_could_use_is_not_made_where_the_operator_says_so() {
        let making = |scope| Context {
            change: Change::Token(NewToken {
                scope,
                expires_in: None,
            }),
            project: None,
            ..session(
                Action::TokenCreate,
                User {
                    factors: Factors::empty(),
                    ..example::user("alice")
                },
                None,
            )
        };
        let account = || making(TokenScope::Account);
        let strict = Operator {
            project_tokens_only: true,
            ..Operator::default()
        };
        let verdict = OwnerMandate::evaluate(&strict, &Owner::default(), &account());
        assert_eq!(
            (verdict.outcome, verdict.reasons[0].code.as_str()),
            (Outcome::Deny, "account-token-refused")
        );
        let restricted = making(TokenScope::Projects(vec!["new-project".to_owned()]));
        assert_eq!(
            OwnerMandate::evaluate(&strict, &Owner::default(), &restricted),
            abstain()
        );
        // The page is decided without the token that would be created.
        let looking = Context {
            change: Change::Nothing,
            ..account()
        };
        assert_eq!(
            OwnerMandate::evaluate(&strict, &Owner::default(), &looking),
            abstain()
        );
        // One project's owners, and demands on people who act on projects, are no reason to refuse.
        let others = Operator {
            second_factor: true,
            fresh_within: 60,
            strong_tokens_only: true,
            ..Operator::default()
        };
        let owner = Owner {
            project_tokens_only: true,
            ..Owner::default()
        };
        assert_eq!(
            OwnerMandate::evaluate(&others, &owner, &account()),
            abstain()
        );
    }

    #[test]
    fn a_publisher_has_no_factor_and_no_token_to_demand() {
        let owner = Owner {
            second_factor: true,
            fresh_within: 60,
            project_tokens_only: true,
            strong_tokens_only: true,
        };
        let publisher = Context {
            principal: example::publisher(),
            ..Context::of(Action::FileUpload, CredentialKind::PublisherToken)
        };
        check(&owner, &publisher, &[]);
    }

    #[test]
    fn owners_may_demand_more_than_the_operator_and_never_less() {
        let operator = Operator {
            second_factor: true,
            fresh_within: 300,
            ..Operator::default()
        };
        let looser = Owner {
            fresh_within: 3_600,
            ..Owner::default()
        };
        let verdict = OwnerMandate::evaluate(
            &operator,
            &looser,
            &session(Action::RoleGrant, example::user("alice"), Some(400)),
        );
        assert_eq!(
            verdict.outcome,
            Outcome::Require(vec![Requirement::SecondFactorWithin(300)])
        );
        assert_eq!(
            [
                strictest(0, 5),
                strictest(5, 0),
                strictest(0, 0),
                strictest(9, 5)
            ],
            [5, 5, 0, 5]
        );
    }
}
