//! Automation stages a release, a person publishes it.
//!
//! A stolen token then publishes nothing: its uploads wait, invisible, until a person confirms a
//! second factor for them.

use policy_sdk::prelude::*;

/// The policy.
pub struct StagedRelease;

choice! {
    /// Which uploads wait. Ordered: each holds back at least as much as the one before it.
    pub enum Mode {
        /// None.
        Off = "off",
        /// Those made with tokens.
        Automation = "automation",
        /// All.
        All = "all",
    }
}

settings! {
    /// The rules for every project.
    pub struct Operator {
        /// Which uploads wait on every project. Owners may hold back more, never less.
        pub mode: Mode = choice("Uploads that wait", Mode::Off),
        /// Anyone publishing or rejecting a staged release must have confirmed a second factor
        /// within this time.
        pub second_factor_within: u32 = seconds("Second factor confirmed within", 30..=86_400, 300),
    }
}

settings! {
    /// The uploads that the owners hold back on their project.
    pub struct Owner {
        /// Which uploads to this project wait until a person publishes the release: none, those
        /// made with tokens, or all.
        pub mode: Mode = choice("Uploads that wait", Mode::Off),
    }
}

impl Policy for StagedRelease {
    type Operator = Operator;
    type Owner = Owner;

    fn describe() -> Descriptor {
        Descriptor::new(
            "staged-release",
            env!("CARGO_PKG_VERSION"),
            "Uploads wait until a person with a second factor publishes the release.",
        )
        .hears(&[
            Action::FileUpload,
            Action::ReleasePublish,
            Action::ReleaseReject,
        ])
        .needs(Sections::PRINCIPAL | Sections::ASSURANCE | Sections::PROJECT | Sections::RELEASE)
    }

    fn evaluate(operator: &Operator, owner: &Owner, context: &Context) -> Verdict {
        match context.action {
            Action::FileUpload => upload(operator.mode.max(owner.mode), context),
            // Also while the mode is off: releases staged earlier still wait for a person.
            Action::ReleasePublish | Action::ReleaseReject => release(operator, context),
            _ => abstain(),
        }
    }
}

policy_sdk::export!(StagedRelease);

fn upload(mode: Mode, context: &Context) -> Verdict {
    let automation = matches!(
        context.credential,
        CredentialKind::ApiToken | CredentialKind::PublisherToken
    );
    let waits = match mode {
        Mode::Off => false,
        Mode::Automation => automation,
        Mode::All => true,
    };
    if !waits {
        return abstain();
    }
    stage(
        Reason::new("staged", "The release is held until a maintainer publishes it.")
            .remedy("Once all files are uploaded, a maintainer publishes it with `portcullis release publish`.")
            .page(Page::StagedReleases),
    )
}

fn release(operator: &Operator, context: &Context) -> Verdict {
    if context
        .release
        .as_ref()
        .is_some_and(|release| release.staged_by_this_credential)
    {
        return deny(
            Reason::new(
                "staged-by-this-credential",
                "What staged a release cannot release it.",
            )
            .remedy("Use password and one-time code: portcullis release publish, or reject.")
            .page(Page::StagedReleases),
        );
    }
    if context.credential != CredentialKind::Session || context.user().is_none() {
        return deny(
            Reason::new(
                "person-required",
                "A staged release is published or rejected by a person.",
            )
            .remedy("Use password and one-time code: portcullis release publish, or reject.")
            .page(Page::StagedReleases),
        );
    }
    Requirements::on(context)
        .need(
            Requirement::SecondFactorWithin(operator.second_factor_within),
            || {
                Reason::new(
                    "fresh-second-factor-required",
                    "A staged release needs a second factor confirmed a short while ago.",
                )
                .remedy("Confirm it now, for example with a one-time code.")
                .page(Page::StepUp)
            },
        )
        .verdict()
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy_sdk::example;

    fn check(operator: &Operator, owner: &Owner, context: &Context) -> Outcome {
        StagedRelease::evaluate(operator, owner, context).outcome
    }

    fn upload_by(credential: CredentialKind) -> Context {
        Context {
            principal: Principal::User(example::user("alice")),
            project: Some(example::project("demo", Role::Owner)),
            ..Context::of(Action::FileUpload, credential)
        }
    }

    fn publish_by(credential: CredentialKind) -> Context {
        let release = Some(example::staged_release("1.0"));
        Context {
            action: Action::ReleasePublish,
            release,
            assurance: Some(example::second_factor(0)),
            ..upload_by(credential)
        }
    }

    #[test]
    fn the_stricter_of_operator_and_owner_decides_what_waits() {
        use CredentialKind::{ApiToken, PublisherToken, Session};
        let cases = [
            (Mode::Off, Mode::Off, ApiToken, Outcome::Abstain),
            (Mode::Automation, Mode::Off, ApiToken, Outcome::Stage),
            (Mode::Off, Mode::Automation, PublisherToken, Outcome::Stage),
            (Mode::Off, Mode::Automation, Session, Outcome::Abstain),
            (Mode::Automation, Mode::All, Session, Outcome::Stage),
            (Mode::All, Mode::Off, Session, Outcome::Stage),
        ];
        for (least, chosen, credential, expected) in cases {
            let operator = Operator {
                mode: least,
                ..Operator::default()
            };
            assert_eq!(
                check(&operator, &Owner { mode: chosen }, &upload_by(credential)),
                expected,
                "{least:?} {chosen:?} {credential:?}"
            );
        }
    }

    #[test]
    fn a_staged_upload_is_told_what_happens_next() {
        let verdict = StagedRelease::evaluate(
            &Operator::default(),
            &Owner { mode: Mode::All },
            &upload_by(CredentialKind::ApiToken),
        );
        assert_eq!(verdict.reasons[0].code, "staged");
        assert_eq!(verdict.reasons[0].page, Some(Page::StagedReleases));
    }

    #[test]
    fn a_person_with_a_fresh_factor_publishes_and_rejects() {
        for action in [Action::ReleasePublish, Action::ReleaseReject] {
            let fresh = Context {
                action,
                ..publish_by(CredentialKind::Session)
            };
            assert_eq!(
                check(&Operator::default(), &Owner::default(), &fresh),
                Outcome::Abstain
            );
            let stale = Context {
                assurance: Some(example::second_factor(301)),
                ..fresh.clone()
            };
            assert_eq!(
                check(&Operator::default(), &Owner::default(), &stale),
                Outcome::Require(vec![Requirement::SecondFactorWithin(300)])
            );
            let never = Context {
                assurance: None,
                ..fresh
            };
            assert_eq!(
                check(&Operator::default(), &Owner::default(), &never),
                Outcome::Require(vec![Requirement::SecondFactorWithin(300)])
            );
        }
    }

    #[test]
    fn a_token_publishes_nothing_and_least_of_all_what_it_staged() {
        for credential in [
            CredentialKind::ApiToken,
            CredentialKind::PublisherToken,
            CredentialKind::BasicPassword,
            CredentialKind::None,
        ] {
            let verdict = StagedRelease::evaluate(
                &Operator::default(),
                &Owner::default(),
                &publish_by(credential),
            );
            assert_eq!(
                (verdict.outcome, verdict.reasons[0].code.as_str()),
                (Outcome::Deny, "person-required")
            );
        }
        let release = Release {
            staged_by_this_credential: true,
            ..example::staged_release("1.0")
        };
        let context = Context {
            release: Some(release),
            ..publish_by(CredentialKind::Session)
        };
        let verdict = StagedRelease::evaluate(&Operator::default(), &Owner::default(), &context);
        assert_eq!(
            (verdict.outcome, verdict.reasons[0].code.as_str()),
            (Outcome::Deny, "staged-by-this-credential")
        );
    }

    #[test]
    fn seeing_what_is_staged_is_not_its_business() {
        let context = Context {
            action: Action::ReleasePreview,
            ..publish_by(CredentialKind::ApiToken)
        };
        assert_eq!(
            check(
                &Operator {
                    mode: Mode::All,
                    ..Operator::default()
                },
                &Owner::default(),
                &context
            ),
            Outcome::Abstain
        );
    }
}
