//! Demands for a second factor, in the sets this repository ships.
//!
//! Needs the policy modules: `cargo xtask build-plugins`.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use gate::demands::{Demand, DemandedBy};
use gate::{Gate, Method, ProjectFacts, SetPackage};
use model::audit::Actor;
use model::{Assurance, Caller, Factors, ProjectId, ProjectStatus, Role, Timestamp};
use policy_engine::Grade;
use serde_json::{Value, json};
use storage::decisions::DecisionFilter;
use testkit::{APP, GateBuilder, NOW, Person};

struct Fixture {
    gate: Gate,
    _folder: tempfile::TempDir,
}

impl Fixture {
    /// With this set after `change`; its cases are left out, since they are about the set as
    /// shipped.
    async fn with(set: &str, change: impl Fn(&mut SetPackage)) -> Self {
        let (storage, folder) = testkit::database().await;
        let mut package = testkit::shipped(set);
        package.cases.clear();
        change(&mut package);
        let gate = GateBuilder::on(&storage).with(package).await;
        Self {
            gate,
            _folder: folder,
        }
    }

    /// The set without the policy that demands a second factor of everyone, and without the
    /// one that demands it for publishing.
    async fn lenient() -> Self {
        Self::with("default", |package| {
            for policy in ["require-second-factor", "staged-release"] {
                let place = package
                    .spec
                    .bindings
                    .iter()
                    .position(|binding| binding.policy == policy)
                    .expect("the set binds it");
                package.spec.bindings.remove(place);
                package.modules.remove(place);
            }
        })
        .await
    }

    async fn demands(&self, factors: Factors, projects: &[ProjectFacts<'_>]) -> Vec<DemandedBy> {
        let attempt = self.gate.begin(
            "/test",
            Method::Post,
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            "test",
        );
        let demands = self
            .gate
            .demands_second_factor(&attempt, &person(factors), projects)
            .await;
        demands.into_iter().map(|Demand { by }| by).collect()
    }
}

/// Has no recent proof and no verified address: neither matters here.
fn person(factors: Factors) -> Caller {
    let long_ago = Assurance {
        password_at: None,
        ..testkit::verified_now(Timestamp(0))
    };
    Person::new("ana")
        .enrolled(factors)
        .unverified()
        .session(long_ago)
}

fn project(name: &str, role: Role, owner_settings: Value) -> ProjectFacts<'_> {
    ProjectFacts {
        id: Some(ProjectId::new()),
        normalized: name,
        status: ProjectStatus::Active,
        role: Some(role),
        owner_settings: Cow::Owned(owner_settings),
    }
}

fn of_all(policy: &str) -> DemandedBy {
    DemandedBy::Policy(policy.to_owned())
}

fn of_project(name: &str, policy: &str) -> DemandedBy {
    DemandedBy::Project {
        name: name.to_owned(),
        policy: policy.to_owned(),
    }
}

#[tokio::test]
async fn a_set_that_demands_a_factor_of_everyone_demands_it_of_somebody_without_projects() {
    for set in ["default", "strict"] {
        let fixture = Fixture::with(set, |_| ()).await;
        assert_eq!(
            fixture.demands(APP, &[]).await,
            [of_all("require-second-factor")],
            "{set}"
        );
    }
}

#[tokio::test]
async fn what_is_demanded_everywhere_is_not_told_for_each_project() {
    let fixture = Fixture::with("default", |_| ()).await;
    let projects = [
        project("one", Role::Owner, json!({})),
        project("two", Role::Maintainer, json!({})),
    ];
    assert_eq!(
        fixture.demands(APP, &projects).await,
        [of_all("require-second-factor"), of_all("staged-release")]
    );
}

#[tokio::test]
async fn a_project_whose_owners_demand_a_factor_is_named() {
    let fixture = Fixture::lenient().await;
    let mandate = || json!({ "owner-mandate": { "second-factor": true } });
    let projects = [
        project("plain", Role::Owner, json!({})),
        project("mine", Role::Owner, mandate()),
        project("theirs", Role::Maintainer, mandate()),
    ];
    assert_eq!(
        fixture.demands(APP, &projects).await,
        [
            of_project("mine", "owner-mandate"),
            of_project("theirs", "owner-mandate")
        ]
    );
}

#[tokio::test]
async fn a_fresh_factor_or_a_token_made_with_one_is_a_factor_demanded() {
    let fixture = Fixture::lenient().await;
    for chosen in [
        json!({ "owner-mandate": { "fresh-within": 600 } }),
        json!({ "owner-mandate": { "strong-tokens-only": true } }),
    ] {
        assert_eq!(
            fixture
                .demands(APP, &[project("mine", Role::Owner, chosen)])
                .await,
            [of_project("mine", "owner-mandate")]
        );
    }
}

#[tokio::test]
async fn demands_that_have_nothing_to_do_with_factors_are_not_told() {
    let fixture = Fixture::lenient().await;
    let projects = [
        project("plain", Role::Owner, json!({})),
        project(
            "narrow",
            Role::Owner,
            json!({ "owner-mandate": { "project-tokens-only": true } }),
        ),
    ];
    assert_eq!(fixture.demands(APP, &projects).await, []);
}

#[tokio::test]
async fn a_policy_on_trial_demands_nothing() {
    for grade in [Grade::Warn, Grade::Observe] {
        let fixture = Fixture::with("default", |package| {
            let on_trial = package
                .spec
                .bindings
                .iter_mut()
                .filter(|binding| binding.policy != "restrict-routes");
            on_trial.for_each(|binding| binding.grade = grade);
        })
        .await;
        let mandate = json!({ "owner-mandate": { "second-factor": true } });
        assert_eq!(
            fixture
                .demands(APP, &[project("mine", Role::Owner, mandate)])
                .await,
            []
        );
    }
}

#[tokio::test]
async fn what_a_role_or_an_archived_project_does_not_allow_demands_nothing() {
    let fixture = Fixture::lenient().await;
    // A maintainer changes no settings, so a demand on changes does not concern them; uploads use a
    // token.
    let archived = ProjectFacts {
        status: ProjectStatus::Archived,
        ..project(
            "old",
            Role::Maintainer,
            json!({ "owner-mandate": { "second-factor": true } }),
        )
    };
    assert_eq!(fixture.demands(APP, &[archived]).await, []);
}

#[tokio::test]
async fn asking_leaves_no_decision_behind() {
    let fixture = Fixture::with("default", |_| ()).await;
    assert!(
        !fixture
            .demands(APP, &[project("mine", Role::Owner, json!({}))])
            .await
            .is_empty()
    );
    fixture.gate.recorder().flush().await;
    assert!(
        fixture
            .gate
            .storage()
            .decisions(&DecisionFilter::default(), None, 10)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn the_set_that_serves_is_asked() {
    let fixture = Fixture::lenient().await;
    let before = fixture.gate.begin(
        "/test",
        Method::Post,
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        "test",
    );
    let package =
        SetPackage::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/default"))
            .unwrap();
    let engine = policy_engine::Engine::new(policy_engine::EngineConfig::new(
        policy_engine::Compiler::InProcess,
    ))
    .unwrap();
    let number = package
        .verify(&engine)
        .unwrap_or_else(|error| panic!("{error}"))
        .store(fixture.gate.storage(), &Actor::System, NOW)
        .await
        .unwrap();
    assert_eq!(
        fixture
            .gate
            .demands_second_factor(&before, &person(APP), &[])
            .await,
        []
    );
    fixture.gate.install(number).await.unwrap();
    assert_eq!(
        fixture
            .gate
            .demands_second_factor(&before, &person(APP), &[])
            .await,
        [Demand {
            by: of_all("require-second-factor")
        }]
    );
}
