//! Caveats that the holder of a token adds offline never permit anything that was refused without
//! them, with any of the sets this repository ships.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value, json};

use super::*;

/// A target about `sample`, which may not exist yet.
#[derive(Clone, Debug)]
struct OnSample {
    action: Action,
    id: Option<ProjectId>,
    role: Option<Role>,
    chosen: Value,
}

impl Target for OnSample {
    fn facts(&self) -> TargetFacts<'_> {
        let project = ProjectFacts {
            id: self.id,
            normalized: "sample",
            status: ProjectStatus::Active,
            role: self.role,
            owner_settings: Cow::Borrowed(&self.chosen),
        };
        TargetFacts {
            project: Some(project),
            ..TargetFacts::of(self.action)
        }
    }
}

/// How far a request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Got {
    Refused,
    Staged,
    Permitted,
}

impl Fixture {
    /// How far this token gets, and the code of the refusal.
    async fn got(
        &self,
        mut caller: Caller,
        added: &[Caveat],
        target: &OnSample,
    ) -> (Got, Option<String>) {
        caller.token.as_mut().expect("the caller has a token").added = added.to_vec();
        match self
            .gate
            .decide(&self.begin(), &caller, target.clone())
            .await
        {
            Ok(permit) if permit.is_staged() => (Got::Staged, None),
            Ok(_) => (Got::Permitted, None),
            Err(refusal) => (Got::Refused, Some(refusal.reasons[0].code.clone())),
        }
    }
}

fn names(names: &[&str]) -> Caveat {
    Caveat::ProjectNames(names.iter().map(|name| (*name).to_owned()).collect())
}

fn account() -> Caveat {
    Caveat::RequestUser("u".to_owned())
}

/// A token created with a second factor, minted with these caveats.
fn minted(caveats: Vec<Caveat>) -> Caller {
    let mut caller = token_caller(ENROLLED, caveats);
    let user = caller.user().expect("a token stands for a user").id;
    let token = caller.token.as_mut().expect("the caller has a token");
    token.made_with_second_factor = true;
    for caveat in token
        .minted
        .iter_mut()
        .filter(|caveat| **caveat == account())
    {
        *caveat = Caveat::RequestUser(user.to_string());
    }
    caller
}

fn upload(action: Action, exists: bool, chosen: Value) -> OnSample {
    OnSample {
        action,
        id: exists.then(ProjectId::new),
        role: exists.then_some(Role::Owner),
        chosen,
    }
}

#[tokio::test]
async fn an_account_token_narrowed_by_its_holder_is_refused_where_account_tokens_are() {
    let strict = Fixture::with("strict").await;
    let default = Fixture::with("default").await;
    let mandate = || json!({ "owner-mandate": { "project-tokens-only": true } });
    let narrowed = [
        names(&["sample"]),
        Caveat::Expiration {
            expires_at: NOW.seconds() + 60,
            not_before: 0,
        },
    ];
    for (fixture, target) in [
        (&strict, upload(Action::FileUpload, true, json!({}))),
        (&strict, upload(Action::FileUpload, false, json!({}))),
        (&strict, upload(Action::ProjectCreate, false, json!({}))),
        (&default, upload(Action::FileUpload, true, mandate())),
    ] {
        for added in [&[][..], &narrowed] {
            let got = fixture.got(minted(vec![account()]), added, &target).await;
            assert_eq!(
                got,
                (Got::Refused, Some("project-token-required".to_owned())),
                "{target:?}"
            );
        }
        // The same restriction at creation makes a token for the project. It stays one when it is
        // narrowed further, and is then worth less.
        let for_project = || minted(vec![names(&["sample", "other"])]);
        let passes = fixture.got(for_project(), &[], &target).await.0;
        assert!(passes > Got::Refused, "{target:?}");
        assert_eq!(
            fixture.got(for_project(), &narrowed, &target).await.0,
            passes,
            "{target:?}"
        );
        let elsewhere = fixture
            .got(for_project(), &[names(&["other"])], &target)
            .await;
        assert_eq!(
            elsewhere,
            (Got::Refused, Some("token-caveat".to_owned())),
            "{target:?}"
        );
    }
}

/// A caveat that a holder may add; most hold for `sample`, so that policies are asked.
fn added() -> impl Strategy<Value = Caveat> {
    let some_names =
        vec(select(&["sample", "other", "SAMPLE", ""][..]), 0..3).prop_map(|words| names(&words));
    let times = (-100..100_i64, -100..100_i64)
        .prop_map(|(from, until)| (NOW.seconds() + from, NOW.seconds() + until));
    prop_oneof![
        4 => Just(names(&["sample"])),
        2 => some_names,
        2 => (1..100_i64).prop_map(|seconds| Caveat::Expiration { expires_at: NOW.seconds() + seconds, not_before: 0 }),
        1 => times.prop_map(|(not_before, expires_at)| Caveat::Expiration { expires_at, not_before }),
        1 => Just(Caveat::LegacyUser),
        1 => Just(account()),
        1 => vec("[ab]", 0..2).prop_map(Caveat::ProjectIds),
        1 => "[ab]".prop_map(|id| Caveat::Publisher { id }),
    ]
}

fn token() -> impl Strategy<Value = (Vec<Caveat>, bool)> {
    let expiry = || Caveat::Expiration {
        expires_at: NOW.seconds() + 50,
        not_before: 0,
    };
    let caveats = prop_oneof![
        4 => Just(vec![account()]),
        1 => Just(vec![expiry(), account()]),
        1 => Just(vec![]),
        2 => Just(vec![names(&["sample"])]),
        1 => Just(vec![expiry(), names(&["other", "sample"])]),
        1 => Just(vec![names(&["other"])]),
    ];
    (caveats, any::<bool>())
}

fn target() -> impl Strategy<Value = OnSample> {
    let action = prop_oneof![5 => select(&[Action::FileUpload, Action::ProjectCreate][..]), 1 => select(Action::ALL)];
    let chosen = prop_oneof![
        1 => Just(json!({})),
        3 => Just(json!({ "owner-mandate": { "project-tokens-only": true } })),
        2 => Just(json!({ "owner-mandate": { "strong-tokens-only": true }, "staged-release": { "mode": "automation" } })),
    ];
    (action, any::<bool>(), chosen)
        .prop_map(|(action, exists, chosen)| upload(action, exists, chosen))
}

#[test]
fn no_caveat_that_a_holder_adds_turns_a_refusal_into_a_permit() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    for set in ["default", "strict", "observe"] {
        let fixture = runtime.block_on(Fixture::with(set));
        let config = Config {
            cases: 256,
            failure_persistence: None,
            ..Config::default()
        };
        let asked = (token(), vec(added(), 1..4), target());
        let refused = std::cell::Cell::new(0);
        TestRunner::new(config)
            .run(&asked, |((caveats, strong), added, target)| {
                let mut caller = minted(caveats);
                caller
                    .token
                    .as_mut()
                    .expect("the caller has a token")
                    .made_with_second_factor = strong;
                let (before, _) = runtime.block_on(fixture.got(caller.clone(), &[], &target));
                let (after, code) = runtime.block_on(fixture.got(caller, &added, &target));
                refused.set(
                    refused.get() + u32::from(code.is_some_and(|code| code != "token-caveat")),
                );
                if after > before {
                    return Err(TestCaseError::fail(format!(
                        "{set}: {before:?} became {after:?}"
                    )));
                }
                Ok(())
            })
            .unwrap();
        assert!(refused.get() > 10, "policies were asked, and refused");
    }
}
