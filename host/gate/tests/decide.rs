//! The gate with a real database, a real engine and the sets this repository ships.
//!
//! Needs the policy modules: `cargo xtask build-plugins`.

#[path = "decide/activating.rs"]
mod activating;
#[path = "decide/narrowing.rs"]
mod narrowing;
#[path = "decide/reading.rs"]
mod reading;

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use gate::{
    Gate, Method, PackageError, ProjectFacts, RefusalKind, SetPackage, Target, TargetFacts,
};
use model::audit::{Actor, EventKind};
use model::{
    Action, Assurance, Caller, Caveat, CredentialKind, Factor, FactorUse, Factors, MailKind,
    PasswordDisabled, PasswordState, Principal, ProjectId, ProjectStatus, Role, Timestamp,
};
use policy_engine::Grade;
use storage::audit::AuditFilter;
use storage::decisions::DecisionFilter;
use storage::policies::NewPolicySet;
use storage::users::NewUser;
use testkit::{GateBuilder, NOW, Person, engine, event, shipped};

struct Fixture {
    gate: Gate,
    _folder: tempfile::TempDir,
}

impl Fixture {
    async fn new() -> Self {
        Self::recording(1000).await
    }

    async fn recording(reads_per_second: u32) -> Self {
        let (storage, folder) = testkit::database().await;
        let gate = GateBuilder::on(&storage)
            .recording(reads_per_second)
            .without_policies();
        Self {
            gate,
            _folder: folder,
        }
    }

    async fn with(set: &str) -> Self {
        let fixture = Self::new().await;
        let number = fixture.store(shipped(set)).await;
        fixture.gate.install(number).await.unwrap();
        fixture
    }

    async fn store(&self, package: SetPackage) -> u64 {
        let engine = engine();
        package
            .verify(&engine)
            .unwrap_or_else(|error| panic!("{error}"))
            .store(self.gate.storage(), &Actor::System, NOW)
            .await
            .unwrap()
    }

    fn begin(&self) -> gate::Attempt {
        self.gate.begin(
            "/test",
            Method::Post,
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            "test",
        )
    }

    async fn decide(
        &self,
        caller: &Caller,
        target: Thing,
    ) -> Result<gate::Permit<Thing>, gate::Refusal> {
        self.gate.decide(&self.begin(), caller, target).await
    }
}

/// A set of one guest that has obligations.
fn package_with_obligations() -> SetPackage {
    let module =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/guests/asks_for_much.wasm");
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(&module, folder.path().join("asks.wasm")).unwrap_or_else(|cause| {
        panic!(
            "{}: {cause}; run `cargo xtask build-guests`",
            module.display()
        )
    });
    let set = "name = \"obliging\"\nsummary = \"Asks for much.\"\n[[binding]]\npolicy = \"asks-for-much\"\nmodule = \"asks.wasm\"\n";
    std::fs::write(folder.path().join("set.toml"), set).unwrap();
    SetPackage::read(folder.path()).unwrap_or_else(|error| panic!("{error}"))
}

/// A target about a project, or about nothing.
#[derive(Debug)]
struct Thing {
    action: Action,
    project: Option<(ProjectId, Option<Role>, serde_json::Value)>,
}

impl Thing {
    fn alone(action: Action) -> Self {
        Self {
            action,
            project: None,
        }
    }

    fn on_project(action: Action, role: Option<Role>) -> Self {
        Self {
            action,
            project: Some((ProjectId::new(), role, serde_json::json!({}))),
        }
    }

    fn where_owners_chose(mut self, settings: serde_json::Value) -> Self {
        if let Some(project) = &mut self.project {
            project.2 = settings;
        }
        self
    }
}

impl Target for Thing {
    fn facts(&self) -> TargetFacts<'_> {
        let project = self
            .project
            .as_ref()
            .map(|(id, role, settings)| ProjectFacts {
                id: Some(*id),
                normalized: "sample",
                status: ProjectStatus::Active,
                role: *role,
                owner_settings: Cow::Borrowed(settings),
            });
        TargetFacts {
            project,
            ..TargetFacts::of(self.action)
        }
    }
}

const ENROLLED: Factors = testkit::APP;

fn token_caller(factors: Factors, caveats: Vec<Caveat>) -> Caller {
    Person::new("ana").enrolled(factors).token(caveats)
}

fn session(second_factor_at: Option<Timestamp>) -> Caller {
    let second_factor = second_factor_at.map(|at| FactorUse {
        factor: Factor::Totp,
        at,
    });
    Person::new("ana").enrolled(ENROLLED).session(Assurance {
        password_at: Some(NOW),
        second_factor,
        password_state: PasswordState::Unchecked,
    })
}

#[tokio::test]
async fn without_a_set_everything_fails_and_nothing_is_permitted() {
    let fixture = Fixture::new().await;
    for &action in Action::ALL.iter().filter(|action| !action.is_for_staff()) {
        let refusal = fixture
            .decide(&session(Some(NOW)), Thing::alone(action))
            .await
            .unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::Failed, "{action}");
        assert_eq!(refusal.reasons[0].code, "no-policy-set");
    }
}

#[tokio::test]
async fn a_token_uploads_and_reads_like_anybody_and_does_nothing_else() {
    let fixture = Fixture::with("default").await;
    let caller = token_caller(ENROLLED, vec![]);
    for &action in Action::ALL {
        let permitted = fixture
            .decide(&caller, Thing::on_project(action, Some(Role::Owner)))
            .await
            .ok()
            .map(|permit| permit.is_without_credential());
        let expected = match action {
            Action::FileUpload | Action::ProjectCreate => Some(false),
            Action::IndexRead | Action::FileDownload => Some(true),
            _ => None,
        };
        assert_eq!(permitted, expected, "{action}");
    }
}

#[tokio::test]
async fn a_role_beats_no_policy_and_a_policy_gives_no_role() {
    let fixture = Fixture::with("default").await;
    let refusal = fixture
        .decide(
            &token_caller(ENROLLED, vec![]),
            Thing::on_project(Action::FileUpload, None),
        )
        .await
        .unwrap_err();
    assert_eq!(refusal.reasons[0].code, "no-role");
}

#[tokio::test]
async fn an_upload_without_an_enrolled_factor_names_what_is_required() {
    let fixture = Fixture::with("default").await;
    let refusal = fixture
        .decide(
            &token_caller(Factors::default(), vec![]),
            Thing::on_project(Action::FileUpload, Some(Role::Owner)),
        )
        .await
        .unwrap_err();
    assert_eq!(
        refusal.kind,
        RefusalKind::Required(vec![gate::Requirement::EnrolledSecondFactor])
    );
    assert!(!refusal.reasons[0].remedy.is_empty());
}

#[tokio::test]
async fn owners_switch_staging_on_and_the_permit_says_so() {
    let fixture = Fixture::with("default").await;
    let caller = token_caller(ENROLLED, vec![]);
    let plain = fixture
        .decide(
            &caller,
            Thing::on_project(Action::FileUpload, Some(Role::Owner)),
        )
        .await
        .unwrap();
    assert!(!plain.is_staged());
    let chosen = serde_json::json!({ "staged-release": { "mode": "automation" } });
    let held = fixture
        .decide(
            &caller,
            Thing::on_project(Action::FileUpload, Some(Role::Owner)).where_owners_chose(chosen),
        )
        .await
        .unwrap();
    assert!(held.is_staged());
    assert!(!held.reasons().is_empty());
}

#[tokio::test]
async fn publishing_takes_a_second_factor_proven_just_now() {
    let fixture = Fixture::with("default").await;
    let publish = || Thing::on_project(Action::ReleasePublish, Some(Role::Owner));
    assert!(fixture.decide(&session(Some(NOW)), publish()).await.is_ok());
    for stale in [None, Some(NOW.plus_ms(-301_000))] {
        let refusal = fixture
            .decide(&session(stale), publish())
            .await
            .unwrap_err();
        assert_eq!(
            refusal.kind,
            RefusalKind::Required(vec![gate::Requirement::SecondFactorWithin(300)])
        );
    }
}

impl Fixture {
    async fn obliging() -> Self {
        let fixture = Self::new().await;
        let number = fixture.store(package_with_obligations()).await;
        fixture.gate.install(number).await.unwrap();
        fixture
    }

    /// A caller who is in the database, with a password and an address.
    async fn known_person(&self, verified: bool) -> Caller {
        let storage = self.gate.storage();
        let caller = session(Some(NOW));
        let user = caller.user().unwrap();
        let mut unit = storage.begin().await.unwrap();
        unit.create_user(&NewUser {
            id: user.id,
            name: &user.name,
            created_at: NOW,
            staff: false,
        })
        .await
        .unwrap();
        unit.add_email(user.id, "ana@example.org", NOW)
            .await
            .unwrap();
        if verified {
            unit.verify_email(user.id, "ana@example.org", NOW)
                .await
                .unwrap();
        }
        unit.set_password_hash(user.id, "hash", NOW).await.unwrap();
        unit.commit(&event(EventKind::AccountCreated))
            .await
            .unwrap();
        caller
    }

    /// A live session of a caller who is in the database; returns its secret as stored.
    async fn session_of(&self, caller: &Caller) -> [u8; 32] {
        let (secret, user) = ([7; 32], caller.user().unwrap().id);
        let session = storage::sessions::NewSession {
            secret: &secret,
            id: model::SessionId::new(),
            user,
            created_at: NOW,
            expires_at: NOW.plus_ms(3_600_000),
            remote_address: "192.0.2.1",
            user_agent: "test",
            assurance: model::Assurance::NONE,
        };
        let mut unit = self.gate.storage().begin().await.unwrap();
        unit.create_session(&session).await.unwrap();
        unit.commit(&event(EventKind::SessionStarted))
            .await
            .unwrap();
        secret
    }

    async fn has_password(&self, caller: &Caller) -> bool {
        self.gate
            .storage()
            .user(caller.user().unwrap().id)
            .await
            .unwrap()
            .unwrap()
            .password_disabled
            .is_none()
    }

    async fn mails(&self) -> Vec<(MailKind, String)> {
        self.gate
            .storage()
            .outbox(None, 100)
            .await
            .unwrap()
            .into_iter()
            .map(|mail| (mail.kind, mail.recipient))
            .collect()
    }

    async fn count(&self, kind: EventKind) -> usize {
        self.gate
            .storage()
            .events(
                &AuditFilter {
                    kind: Some(kind),
                    ..AuditFilter::default()
                },
                None,
                100,
            )
            .await
            .unwrap()
            .len()
    }
}

#[tokio::test]
async fn a_denial_disables_the_password_and_tells_its_owner_in_the_policys_words() {
    let fixture = Fixture::obliging().await;
    let caller = fixture.known_person(true).await;
    let session = fixture.session_of(&caller).await;
    let refusal = fixture
        .decide(&caller, Thing::alone(Action::SessionStart))
        .await
        .unwrap_err();
    assert_eq!(
        (&refusal.kind, refusal.reasons[0].code.as_str()),
        (&RefusalKind::Denied, "asked")
    );
    assert!(!fixture.has_password(&caller).await);
    assert!(
        fixture
            .gate
            .storage()
            .session(&session, NOW.plus_ms(-1000), NOW)
            .await
            .unwrap()
            .is_none(),
        "whoever knew it may have logged in with it"
    );
    assert_eq!(
        fixture.mails().await,
        [(MailKind::PasswordBreached, "ana@example.org".to_owned())]
    );
    assert_eq!(
        (
            fixture.count(EventKind::PasswordDisabled).await,
            fixture.count(EventKind::MailRequested).await
        ),
        (1, 1)
    );
}

/// A password disabled by "this wasn't me" decides where mails go.
#[tokio::test]
async fn a_password_that_is_disabled_stays_disabled_for_what_it_was() {
    let fixture = Fixture::obliging().await;
    let caller = fixture.known_person(true).await;
    let user = caller.user().unwrap().id;
    let mut unit = fixture.gate.storage().begin().await.unwrap();
    unit.disable_password(user, PasswordDisabled::Secured)
        .await
        .unwrap();
    unit.commit(&event(EventKind::AccountSecured))
        .await
        .unwrap();
    fixture
        .decide(&caller, Thing::alone(Action::SessionStart))
        .await
        .unwrap_err();
    assert_eq!(
        fixture
            .gate
            .storage()
            .user(user)
            .await
            .unwrap()
            .unwrap()
            .password_disabled,
        Some(PasswordDisabled::Secured)
    );
    assert_eq!(fixture.count(EventKind::PasswordDisabled).await, 0);
}

#[tokio::test]
async fn nobody_is_told_the_same_again_and_again() {
    let fixture = Fixture::obliging().await;
    let caller = fixture.known_person(true).await;
    for _ in 0..3 {
        assert!(
            fixture
                .decide(&caller, Thing::alone(Action::TokenCreate))
                .await
                .is_ok()
        );
    }
    assert_eq!(fixture.mails().await.len(), 1);
}

#[tokio::test]
async fn whoever_cannot_be_written_to_is_protected_and_gets_nothing_that_a_mail_was_the_price_of() {
    let fixture = Fixture::obliging().await;
    let caller = fixture.known_person(false).await;
    let refusal = fixture
        .decide(&caller, Thing::alone(Action::TokenCreate))
        .await
        .unwrap_err();
    assert_eq!(
        (&refusal.kind, refusal.reasons[0].code.as_str()),
        (&RefusalKind::Denied, "unknown-obligation")
    );
    assert!(fixture.has_password(&caller).await);
    let refusal = fixture
        .decide(&caller, Thing::alone(Action::SessionStart))
        .await
        .unwrap_err();
    assert_eq!(
        (&refusal.kind, refusal.reasons[0].code.as_str()),
        (&RefusalKind::Denied, "asked")
    );
    assert!(!fixture.has_password(&caller).await);
    assert_eq!(fixture.mails().await, []);
}

#[tokio::test]
async fn a_mail_that_a_policy_made_up_is_not_sent_and_nothing_else_is_done() {
    let fixture = Fixture::obliging().await;
    let caller = fixture.known_person(true).await;
    let refusal = fixture
        .decide(&caller, Thing::alone(Action::TokenList))
        .await
        .unwrap_err();
    assert_eq!(
        (&refusal.kind, refusal.reasons[0].code.as_str()),
        (&RefusalKind::Denied, "unknown-obligation")
    );
    assert!(fixture.has_password(&caller).await);
    assert_eq!(fixture.mails().await, []);
}

#[tokio::test]
async fn nobody_in_particular_has_no_password_to_disable() {
    let fixture = Fixture::obliging().await;
    let refusal = fixture
        .decide(&Caller::anonymous(), Thing::alone(Action::TokenCreate))
        .await
        .unwrap_err();
    assert_eq!(
        (&refusal.kind, refusal.reasons[0].code.as_str()),
        (&RefusalKind::Denied, "unknown-obligation")
    );
}

#[tokio::test]
async fn a_refusal_is_on_record_before_it_is_answered() {
    let fixture = Fixture::with("default").await;
    let refusal = fixture
        .decide(
            &token_caller(ENROLLED, vec![]),
            Thing::alone(Action::TokenList),
        )
        .await
        .unwrap_err();
    let decision = fixture
        .gate
        .storage()
        .decision(refusal.decision)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (decision.outcome.as_str(), decision.action.as_str()),
        ("denied", "token:list")
    );
    let record: serde_json::Value = serde_json::from_str(&decision.record).unwrap();
    assert_eq!(record["context"]["credential"], "api-token");
    assert!(
        record["decision"]["policies"]
            .as_array()
            .is_some_and(|policies| !policies.is_empty()),
        "{record}"
    );
    let events = fixture
        .gate
        .storage()
        .events(
            &AuditFilter {
                kind: Some(EventKind::RequestRefused),
                ..AuditFilter::default()
            },
            None,
            10,
        )
        .await
        .unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].event.decision, Some(refusal.decision));
}

/// Otherwise anybody could fill the log by loading the login page.
#[tokio::test]
async fn of_the_looks_at_pages_by_nobody_some_a_second_are_on_record() {
    let fixture = Fixture::recording(20).await;
    let number = fixture.store(shipped("default")).await;
    fixture.gate.install(number).await.unwrap();
    for _ in 0..50 {
        let attempt = fixture.gate.begin(
            "/login",
            gate::Method::Get,
            "192.0.2.1".parse().unwrap(),
            "test",
        );
        drop(
            fixture
                .gate
                .decide(
                    &attempt,
                    &Caller::anonymous(),
                    Thing::alone(Action::SessionStart),
                )
                .await
                .unwrap(),
        );
    }
    fixture.gate.recorder().flush().await;
    let recorded = fixture
        .gate
        .storage()
        .decisions(&storage::decisions::DecisionFilter::default(), None, 100)
        .await
        .unwrap()
        .len();
    assert_eq!(recorded, 20);
}

#[tokio::test]
async fn each_decision_of_a_request_is_made_by_the_set_that_serves_then() {
    let fixture = Fixture::with("default").await;
    let attempt = fixture.begin();
    let caller = token_caller(ENROLLED, vec![]);
    let upload = || Thing::on_project(Action::FileUpload, Some(Role::Owner));
    let permit = fixture
        .gate
        .decide(&attempt, &caller, upload())
        .await
        .unwrap();
    assert_eq!(
        (permit.decision(), permit.set_number()),
        (attempt.decision(), attempt.set_number())
    );
    let strict = fixture.store(shipped("strict")).await;
    fixture.gate.install(strict).await.unwrap();
    let refusal = fixture
        .gate
        .decide(&attempt, &caller, upload())
        .await
        .unwrap_err();
    assert_eq!(refusal.set_number, strict);
    assert_eq!(
        (refusal.decision, refusal.set_number),
        (attempt.decision(), attempt.set_number()),
        "the answer names what refused"
    );
    let record = fixture
        .gate
        .storage()
        .decision(refusal.decision)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(record.set_number, i64::try_from(strict).ok());
}

#[tokio::test]
async fn an_answer_names_what_was_decided_since_the_request_was_renewed() {
    let fixture = Fixture::with("default").await;
    let attempt = fixture.begin();
    let caller = token_caller(ENROLLED, vec![]);
    let decide = async |attempt: &gate::Attempt| {
        fixture
            .gate
            .decide(
                attempt,
                &caller,
                Thing::on_project(Action::FileUpload, Some(Role::Owner)),
            )
            .await
            .unwrap()
    };
    let first = decide(&attempt).await;
    let _second = decide(&attempt).await;
    assert_eq!(
        (first.decision(), attempt.decision()),
        (attempt.id, attempt.id)
    );
    let again = decide(&fixture.gate.renew(&attempt)).await;
    assert_ne!(again.decision(), attempt.id);
    assert_eq!(attempt.decision(), again.decision());
}

impl Fixture {
    /// Stores a set with a failing case.
    async fn store_broken(&self) -> u64 {
        // The command line would not store such a set, but that of another machine might.
        let case = "[[case]]\nname = \"a token lists tokens\"\nbase = \"api-token\"\naction = \"token:list\"\nexpect = \"permit\"\n";
        let stored =
            serde_json::json!({ "spec": shipped("strict").spec, "cases": [["broken.toml", case]] })
                .to_string();
        self.store(shipped("strict")).await;
        let mut unit = self.gate.storage().begin().await.unwrap();
        let number = unit
            .add_policy_set(&NewPolicySet {
                name: "broken",
                spec: &stored,
                created_at: NOW,
                created_by: None,
            })
            .await
            .unwrap();
        unit.commit(&event(EventKind::PolicySetAdded))
            .await
            .unwrap();
        u64::try_from(number).unwrap()
    }

    /// Activates a set as another process would, before this server notices.
    async fn activate(&self, number: u64) {
        gate::activate_first(self.gate.storage(), number, NOW)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_change_is_decided_by_the_newest_activation_before_the_server_has_noticed_it() {
    let fixture = Fixture::with("default").await;
    let strict = fixture.store(shipped("strict")).await;
    fixture.activate(strict).await;
    let upload = Thing::on_project(Action::FileUpload, Some(Role::Owner));
    let refusal = fixture
        .decide(&token_caller(ENROLLED, vec![]), upload)
        .await
        .unwrap_err();
    assert_eq!(
        (refusal.set_number, fixture.gate.active_set_number()),
        (strict, Some(strict))
    );
}

#[tokio::test]
async fn what_was_permitted_before_an_activation_is_not_done_after_it() {
    let fixture = Fixture::with("default").await;
    let upload = || Thing::on_project(Action::ReleaseYank, Some(Role::Owner));
    let caller = session(Some(NOW));
    let permit = fixture.decide(&caller, upload()).await.unwrap();
    permit
        .begin(fixture.gate.storage())
        .await
        .unwrap()
        .commit(&event(EventKind::FileUploaded))
        .await
        .unwrap();
    let observe = fixture.store(shipped("observe")).await;
    fixture.activate(observe).await;
    let (_, rest) = permit.split();
    let error = rest
        .begin(fixture.gate.storage())
        .await
        .unwrap()
        .commit(&event(EventKind::FileUploaded))
        .await
        .unwrap_err();
    assert_eq!(error.conflict(), Some(storage::Conflict::PoliciesReplaced));
    // Decided again by the new set, it is done.
    let permit = fixture.decide(&caller, upload()).await.unwrap();
    assert_eq!(permit.set_number(), observe);
    permit
        .begin(fixture.gate.storage())
        .await
        .unwrap()
        .commit(&event(EventKind::FileUploaded))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_set_that_cannot_be_loaded_here_stops_no_change_under_the_one_that_serves() {
    let fixture = Fixture::with("default").await;
    let serving = fixture.gate.active_set_number();
    let broken = fixture.store_broken().await;
    fixture.activate(broken).await;
    for _ in 0..2 {
        let permit = fixture
            .decide(
                &session(Some(NOW)),
                Thing::on_project(Action::ReleaseYank, Some(Role::Owner)),
            )
            .await
            .unwrap();
        assert_eq!(Some(permit.set_number()), serving);
        permit
            .begin(fixture.gate.storage())
            .await
            .unwrap()
            .commit(&event(EventKind::FileUploaded))
            .await
            .unwrap();
    }
    let failures = AuditFilter {
        kind: Some(EventKind::PolicySetFailed),
        ..AuditFilter::default()
    };
    assert_eq!(
        fixture
            .gate
            .storage()
            .events(&failures, None, 10)
            .await
            .unwrap()
            .len(),
        1,
        "tried once"
    );
}

#[tokio::test]
async fn an_installation_that_was_overtaken_puts_no_earlier_set_in_place() {
    let fixture = Fixture::with("default").await;
    let (strict, observe) = (
        fixture.store(shipped("strict")).await,
        fixture.store(shipped("observe")).await,
    );
    fixture.activate(strict).await;
    fixture.activate(observe).await;
    fixture.gate.install_for(2, observe).await.unwrap();
    fixture.gate.install_for(1, strict).await.unwrap();
    assert_eq!(fixture.gate.active_set_number(), Some(observe));
}

#[tokio::test]
async fn a_set_whose_cases_fail_is_not_installed_and_the_old_one_serves() {
    let fixture = Fixture::with("default").await;
    let serving = fixture.gate.active_set_number();
    let number = fixture.store_broken().await;
    fixture.gate.install(number).await.unwrap_err();
    assert_eq!(fixture.gate.active_set_number(), serving);
    assert!(
        fixture
            .decide(
                &token_caller(ENROLLED, vec![]),
                Thing::on_project(Action::FileUpload, Some(Role::Owner))
            )
            .await
            .is_ok()
    );
    let events = fixture
        .gate
        .storage()
        .events(
            &AuditFilter {
                kind: Some(EventKind::PolicySetFailed),
                ..AuditFilter::default()
            },
            None,
            10,
        )
        .await
        .unwrap();
    assert_eq!(events.len(), 1);
}

#[tokio::test]
async fn whom_a_policy_on_trial_would_refuse_is_on_record() {
    let fixture = Fixture::with("observe").await;
    let permit = fixture
        .decide(
            &token_caller(ENROLLED, vec![]),
            Thing::on_project(Action::FileUpload, Some(Role::Owner)),
        )
        .await
        .unwrap();
    fixture.gate.recorder().flush().await;
    let told = DecisionFilter {
        would_refuse: true,
        ..DecisionFilter::default()
    };
    let decisions = fixture
        .gate
        .storage()
        .decisions(&told, None, 10)
        .await
        .unwrap();
    assert_eq!(decisions.len(), 1);
    assert_eq!(
        (decisions[0].id, decisions[0].outcome.as_str()),
        (permit.decision(), "permitted")
    );
    assert_eq!(
        decisions[0].would_refuse.as_deref(),
        Some("require-second-factor, owner-mandate")
    );
}

#[test]
fn a_set_that_could_permit_nothing_is_known_before_it_is_applied() {
    let engine = policy_engine::Engine::new(policy_engine::EngineConfig::new(
        policy_engine::Compiler::InProcess,
    ))
    .unwrap();
    for (set, grade, locks_out) in [
        ("default", Grade::Enforce, false),
        ("default", Grade::Observe, true),
    ] {
        let mut package = shipped(set);
        package.cases.clear();
        package
            .spec
            .bindings
            .iter_mut()
            .for_each(|binding| binding.grade = grade);
        let judgement = package
            .verify(&engine)
            .unwrap_or_else(|error| panic!("{error}"))
            .judge();
        assert_eq!(
            (judgement.refuses(), judgement.lockouts.len()),
            (locks_out, if locks_out { 5 } else { 0 }),
            "{judgement}"
        );
        assert!(
            judgement.notes[0].contains("has no cases"),
            "{:?}",
            judgement.notes
        );
    }
}

#[test]
fn a_set_folder_cannot_make_its_reader_read_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.path().join("set.toml")).unwrap();
    let error = SetPackage::read(folder.path()).unwrap_err();
    assert!(matches!(error, PackageError::NotAFile { .. }), "{error}");
}

#[tokio::test]
async fn the_same_folder_applied_twice_is_one_set() {
    let fixture = Fixture::new().await;
    assert_eq!(
        fixture.store(shipped("default")).await,
        fixture.store(shipped("default")).await
    );
    assert_ne!(
        fixture.store(shipped("default")).await,
        fixture.store(shipped("strict")).await
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_set_that_several_servers_store_at_once_is_one_set() {
    let fixture = Fixture::new().await;
    let engine = policy_engine::Engine::new(policy_engine::EngineConfig::new(
        policy_engine::Compiler::InProcess,
    ))
    .unwrap();
    let verified = Arc::new(
        shipped("default")
            .verify(&engine)
            .unwrap_or_else(|error| panic!("{error}")),
    );
    let stores: Vec<_> = (0..6)
        .map(|_| {
            let (verified, storage) = (Arc::clone(&verified), fixture.gate.storage().clone());
            tokio::spawn(
                async move { verified.store(&storage, &Actor::System, NOW).await.unwrap() },
            )
        })
        .collect();
    for store in stores {
        assert_eq!(store.await.unwrap(), 1);
    }
}

#[tokio::test]
async fn an_activation_asked_for_by_another_process_is_followed() {
    let fixture = Fixture::with("default").await;
    let strict = fixture.store(shipped("strict")).await;
    gate::activate_first(fixture.gate.storage(), strict, NOW)
        .await
        .unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let gate = fixture.gate.clone();
    let following =
        tokio::spawn(async move { gate.follow_activations(async { drop(stopped.await) }).await });
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    while fixture.gate.active_set_number() != Some(strict) {
        assert!(
            tokio::time::Instant::now() < deadline,
            "the activation was not followed"
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    drop(stop);
    following.await.unwrap();
    assert!(
        fixture.gate.storage().servers().await.unwrap().is_empty(),
        "a server that ends signs off"
    );
}
