//! A credential neither takes away what anonymous callers may read nor adds to it.

use serde_json::{Value, json};

use super::*;

/// A set of one guest: the project `open` is read by everybody, others by users with a role; for
/// `odd`, which is open too, a decision with a credential fails.
async fn of_members() -> Fixture {
    let module =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/guests/members_read.wasm");
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(&module, folder.path().join("members.wasm")).unwrap_or_else(|cause| {
        panic!(
            "{}: {cause}; run `cargo xtask build-plugins`",
            module.display()
        )
    });
    let set = "name = \"members\"\nsummary = \"Members read.\"\n[[binding]]\npolicy = \"members-read\"\nmodule = \"members.wasm\"\n";
    std::fs::write(folder.path().join("set.toml"), set).unwrap();
    let fixture = Fixture::new().await;
    let number = fixture
        .store(SetPackage::read(folder.path()).unwrap())
        .await;
    fixture.gate.install(number).await.unwrap();
    fixture
}

/// Reads a project that was loaded for somebody with this role.
#[derive(Clone, Debug)]
struct Read {
    action: Action,
    project: &'static str,
    role: Option<Role>,
}

impl Read {
    fn of(project: &'static str, role: Option<Role>) -> Self {
        Self {
            action: Action::IndexRead,
            project,
            role,
        }
    }
}

impl Target for Read {
    fn facts(&self) -> TargetFacts<'_> {
        let project = ProjectFacts {
            id: Some(ProjectId::new()),
            normalized: self.project,
            status: ProjectStatus::Active,
            role: self.role,
            owner_settings: Cow::Owned(json!({})),
        };
        TargetFacts {
            project: Some(project),
            ..TargetFacts::of(self.action)
        }
    }
}

fn for_project(name: &str) -> Vec<Caveat> {
    vec![Caveat::ProjectNames(vec![name.to_owned()])]
}

fn presenting(credential: CredentialKind) -> Caller {
    Caller {
        credential,
        token: None,
        ..token_caller(ENROLLED, vec![])
    }
}

impl Fixture {
    async fn read(&self, caller: &Caller, read: Read) -> Result<gate::Permit<Read>, gate::Refusal> {
        let attempt = self.gate.begin(
            "/simple/{project}/",
            Method::Get,
            "192.0.2.1".parse().unwrap(),
            "test",
        );
        self.gate.decide(&attempt, caller, read).await
    }

    async fn record(&self, decision: model::DecisionId) -> Value {
        self.gate.recorder().flush().await;
        serde_json::from_str(
            &self
                .gate
                .storage()
                .decision(decision)
                .await
                .unwrap()
                .expect("the decision is on record")
                .record,
        )
        .unwrap()
    }
}

#[tokio::test]
async fn whatever_is_presented_reads_what_anonymous_callers_read() {
    for set in ["default", "strict", "observe"] {
        let fixture = Fixture::with(set).await;
        for action in [Action::IndexRead, Action::FileDownload] {
            for caller in [
                token_caller(ENROLLED, vec![]),
                token_caller(Factors::default(), for_project("other")),
                token_caller(
                    ENROLLED,
                    vec![Caveat::Expiration {
                        expires_at: 0,
                        not_before: 0,
                    }],
                ),
                presenting(CredentialKind::BasicPassword),
                presenting(CredentialKind::PublisherToken),
            ] {
                let permit = fixture
                    .read(
                        &caller,
                        Read {
                            action,
                            ..Read::of("sample", None)
                        },
                    )
                    .await
                    .unwrap();
                assert!(permit.is_without_credential(), "{set} {action}");
                assert!(
                    matches!(
                        permit.actor(),
                        Actor::Caller {
                            user: None,
                            token: None,
                            ..
                        }
                    ),
                    "{:?}",
                    permit.actor()
                );
            }
            let nobody = fixture
                .read(
                    &Caller::anonymous(),
                    Read {
                        action,
                        ..Read::of("sample", None)
                    },
                )
                .await
                .unwrap();
            assert!(!nobody.is_without_credential());
        }
    }
}

/// Anonymous callers may log in, register and reset a password; a token may not.
#[tokio::test]
async fn nothing_but_reading_goes_on_without_a_credential() {
    for set in ["default", "strict", "observe"] {
        let fixture = Fixture::with(set).await;
        for &action in Action::ALL.iter().filter(|action| !action.is_read()) {
            let nobody = fixture
                .decide(&Caller::anonymous(), Thing::alone(action))
                .await
                .is_ok();
            let token = fixture
                .decide(&token_caller(ENROLLED, vec![]), Thing::alone(action))
                .await;
            let may = matches!(action, Action::FileUpload | Action::ProjectCreate);
            assert!(
                may || token.is_err(),
                "{set} {action}: anonymous callers: {nobody}"
            );
            let refused_as = token.err().map(|refusal| refusal.kind);
            assert!(
                refused_as != Some(RefusalKind::CredentialRequired),
                "{set} {action}"
            );
        }
    }
}

#[tokio::test]
async fn where_anonymous_callers_do_not_read_the_credential_decides() {
    let fixture = of_members().await;
    let nobody = fixture
        .read(&Caller::anonymous(), Read::of("closed", None))
        .await
        .unwrap_err();
    assert_eq!(
        (&nobody.kind, nobody.reasons[0].code.as_str()),
        (&RefusalKind::CredentialRequired, "members-only")
    );
    let stranger = fixture
        .read(&token_caller(ENROLLED, vec![]), Read::of("closed", None))
        .await
        .unwrap_err();
    assert_eq!(
        (&stranger.kind, stranger.reasons[0].code.as_str()),
        (&RefusalKind::Denied, "members-only")
    );
    let member = fixture
        .read(
            &token_caller(ENROLLED, vec![]),
            Read::of("closed", Some(Role::Maintainer)),
        )
        .await
        .unwrap();
    assert!(!member.is_without_credential());
    assert!(matches!(
        member.actor(),
        Actor::Caller {
            user: Some(_),
            token: Some(_),
            ..
        }
    ));
}

/// A token for one project reads another one anonymously, not with its owner's role there.
#[tokio::test]
async fn a_role_of_the_owner_does_not_outlive_the_token_that_was_set_aside() {
    let fixture = of_members().await;
    let caller = token_caller(ENROLLED, for_project("other"));
    let refusal = fixture
        .read(&caller, Read::of("closed", Some(Role::Owner)))
        .await
        .unwrap_err();
    assert_eq!(
        (&refusal.kind, refusal.reasons[0].code.as_str()),
        (&RefusalKind::Denied, "token-caveat")
    );
    assert!(
        fixture
            .read(&caller, Read::of("open", Some(Role::Owner)))
            .await
            .unwrap()
            .is_without_credential()
    );
}

#[tokio::test]
async fn a_policy_that_fails_with_a_credential_takes_no_reading_away() {
    let fixture = of_members().await;
    assert!(
        fixture
            .read(&token_caller(ENROLLED, vec![]), Read::of("odd", None))
            .await
            .unwrap()
            .is_without_credential()
    );
    let upload = Read {
        action: Action::FileUpload,
        ..Read::of("odd", Some(Role::Owner))
    };
    assert_eq!(
        fixture
            .read(&token_caller(ENROLLED, vec![]), upload)
            .await
            .unwrap_err()
            .kind,
        RefusalKind::Failed
    );
}

#[tokio::test]
async fn what_was_set_aside_is_on_record_and_once_in_an_hour_in_its_owners_history() {
    let fixture = Fixture::with("default").await;
    let known = fixture.known_person(true).await;
    let caller = Caller {
        principal: known.principal,
        ..token_caller(ENROLLED, vec![])
    };
    let user = caller.user().unwrap().id;
    for _ in 0..5 {
        let permit = fixture
            .read(&caller, Read::of("sample", None))
            .await
            .unwrap();
        let record = fixture.record(permit.decision()).await;
        assert_eq!(record["context"]["credential"], "none");
        let expected = json!({ "credential": "api-token", "why": "credential-not-allowed", "user": user, "token": caller.token_id() });
        assert_eq!(record["set-aside"], expected);
    }
    let filter = AuditFilter {
        user: Some(user),
        ..AuditFilter::default()
    };
    let events = fixture
        .gate
        .storage()
        .events(&filter, None, 10)
        .await
        .unwrap();
    assert_eq!(
        events
            .iter()
            .map(|row| row.event.kind())
            .collect::<Vec<_>>(),
        [EventKind::AuthenticationSetAside]
    );
    assert_eq!(events[0].stored["token"], json!(caller.token_id()));
}

#[tokio::test]
async fn the_record_of_a_refused_read_says_what_was_not_accepted() {
    let fixture = of_members().await;
    let attempt = fixture.gate.begin(
        "/simple/{project}/",
        Method::Get,
        "192.0.2.1".parse().unwrap(),
        "test",
    );
    let set_aside = gate::SetAside {
        credential: CredentialKind::ApiToken,
        why: "unknown-token".into(),
        user: None,
        token: None,
    };
    attempt.goes_without(set_aside);
    let refusal = fixture
        .gate
        .decide(&attempt, &Caller::anonymous(), Read::of("closed", None))
        .await
        .unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::CredentialRequired);
    let record = fixture.record(refusal.decision).await;
    assert_eq!(record["set-aside"]["why"], "unknown-token");
}
