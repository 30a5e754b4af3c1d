//! Roles, settings and status.

use model::audit::{AuditEvent, Detail, EventKind};
use model::{ProjectStatus, Role, UserName};
use registry::index::PageFormat;
use registry::projects::ManageError;

use crate::fixture::{File, Fixture, NOW};

fn name(text: &str) -> UserName {
    UserName::parse(text).unwrap()
}

#[tokio::test]
async fn an_owner_grants_and_takes_roles_and_the_last_one_stays() {
    let fixture = Fixture::new().await;
    let (ana, bob) = (fixture.person("ana").await, fixture.person("bob").await);
    fixture
        .upload(&ana.token(), File::wheel("sample", "1.0"))
        .await
        .unwrap();
    let registry = &fixture.registry;

    let target = registry
        .load_grant_role(
            Some(&ana.session()),
            "sample",
            &name("bob"),
            Role::Maintainer,
        )
        .await
        .unwrap();
    assert_eq!(
        registry
            .grant_role(fixture.decide(&ana.session(), target).await.unwrap())
            .await
            .unwrap(),
        None
    );
    fixture
        .upload(&bob.token(), File::wheel("sample", "1.1"))
        .await
        .unwrap();

    // A maintainer can upload but manage nothing.
    let target = registry
        .load_grant_role(Some(&bob.session()), "sample", &name("bob"), Role::Owner)
        .await
        .unwrap();
    assert!(fixture.decide(&bob.session(), target).await.is_err());

    let target = registry
        .load_revoke_role(Some(&ana.session()), "sample", &name("ana"))
        .await
        .unwrap();
    let result = registry
        .revoke_role(fixture.decide(&ana.session(), target).await.unwrap())
        .await;
    assert!(
        matches!(&result, Err(ManageError::LastOwner(user)) if user == "ana"),
        "{result:?}"
    );
    let target = registry
        .load_grant_role(None, "sample", &name("ana"), Role::Maintainer)
        .await
        .unwrap();
    assert!(matches!(
        registry.grant_role(fixture.permit(target).await).await,
        Err(ManageError::LastOwner(_))
    ));

    let target = registry
        .load_revoke_role(None, "sample", &name("bob"))
        .await
        .unwrap();
    assert_eq!(
        registry
            .revoke_role(fixture.permit(target).await)
            .await
            .unwrap(),
        Role::Maintainer
    );
    assert!(
        fixture
            .upload(&bob.token(), File::wheel("sample", "1.2"))
            .await
            .is_err()
    );
    let target = registry
        .load_revoke_role(None, "sample", &name("bob"))
        .await
        .unwrap();
    assert!(matches!(
        registry.revoke_role(fixture.permit(target).await).await,
        Err(ManageError::NoRole { .. })
    ));
    assert_eq!(
        (
            fixture.events(EventKind::RoleGranted).await.len(),
            fixture.events(EventKind::RoleRevoked).await.len()
        ),
        (1, 1)
    );
}

#[tokio::test]
async fn a_change_of_role_is_told_to_whoever_has_it_and_to_the_other_owners_once() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    for (name, verified) in [("bob", true), ("carla", true), ("dora", false)] {
        let person = fixture.person(name).await;
        fixture
            .has_address(&person, &format!("{name}@example.org"), verified)
            .await;
    }
    fixture.has_address(&ana, "ana@example.org", true).await;
    fixture
        .upload(&ana.token(), File::wheel("sample", "1.0"))
        .await
        .unwrap();
    let registry = &fixture.registry;
    let grant = async |user: &str, role: Role| {
        let target = registry
            .load_grant_role(Some(&ana.session()), "sample", &name(user), role)
            .await
            .unwrap();
        registry
            .grant_role(fixture.decide(&ana.session(), target).await.unwrap())
            .await
            .unwrap();
    };
    let told = async || {
        let mut mails: Vec<(String, &str)> = registry
            .storage()
            .outbox(None, 100)
            .await
            .unwrap()
            .into_iter()
            .map(|mail| (mail.recipient, mail.kind.as_str()))
            .collect();
        mails.sort();
        mails
    };

    grant("bob", Role::Owner).await;
    let first = [
        ("ana@example.org".to_owned(), "collaborator-changed"),
        ("bob@example.org".to_owned(), "role-changed"),
    ];
    assert_eq!(told().await, first);
    // The same role again is no change.
    grant("bob", Role::Owner).await;
    assert_eq!(told().await, first);
    // A user without a verified address gets no mail; the owners do. A maintainer does not.
    grant("carla", Role::Maintainer).await;
    grant("dora", Role::Maintainer).await;
    let target = registry
        .load_revoke_role(None, "sample", &name("bob"))
        .await
        .unwrap();
    registry
        .revoke_role(fixture.permit(target).await)
        .await
        .unwrap();
    let count = |mails: &[(String, &str)], who: &str| {
        mails
            .iter()
            .filter(|(address, _)| address.starts_with(who))
            .count()
    };
    let mails = told().await;
    assert_eq!(
        ["ana", "bob", "carla", "dora"].map(|who| count(&mails, who)),
        [4, 4, 1, 0]
    );
    // A change that fails sends no mail.
    let target = registry
        .load_revoke_role(None, "sample", &name("ana"))
        .await
        .unwrap();
    assert!(
        registry
            .revoke_role(fixture.permit(target).await)
            .await
            .is_err()
    );
    assert_eq!(told().await.len(), 9);
}

#[tokio::test]
async fn what_does_not_exist_is_named() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    fixture
        .upload(&ana.token(), File::wheel("sample", "1.0"))
        .await
        .unwrap();
    let grant = async |project: &str, user: &str| {
        let registry = &fixture.registry;
        let target = registry
            .load_grant_role(None, project, &name(user), Role::Owner)
            .await
            .unwrap();
        let check = target.check().err().map(|error| error.to_string());
        let result = registry.grant_role(fixture.permit(target).await).await;
        (check, result.err().map(|error| error.to_string()))
    };
    let no_project = Some("there is no project 'other'".to_owned());
    assert_eq!(
        grant("other", "ana").await,
        (no_project.clone(), no_project)
    );
    let no_user = Some("there is no user 'nobody'".to_owned());
    assert_eq!(grant("sample", "nobody").await, (no_user.clone(), no_user));
}

#[tokio::test]
async fn a_stranger_learns_nothing_of_what_there_is() {
    let fixture = Fixture::new().await;
    let (ana, eve) = (fixture.person("ana").await, fixture.person("eve").await);
    for version in ["1.0", "1.1"] {
        fixture
            .upload(&ana.token(), File::wheel("sample", version))
            .await
            .unwrap();
    }
    let (registry, caller) = (&fixture.registry, eve.session());
    let version = model::Version::parse("1.0").unwrap();
    let told = async |project: &str| {
        let mut all = Vec::new();
        macro_rules! refused {
            ($target:expr) => {
                let target = $target.await.unwrap();
                let refusal = fixture.decide(&caller, target).await.unwrap_err();
                all.push(format!("{refusal:?}").replace(&refusal.decision.to_string(), ""));
            };
        }
        let (by, user) = (Some(&caller), name("ana"));
        let nothing = serde_json::Map::new();
        refused!(registry.load_grant_role(by, project, &user, Role::Owner));
        refused!(registry.load_revoke_role(by, project, &user));
        refused!(registry.load_configure(by, project, "staged-release", nothing));
        refused!(registry.load_set_status(by, project, ProjectStatus::Archived, None));
        refused!(registry.load_yank(by, project, &version, "why"));
        refused!(registry.load_unyank(by, project, &version, "why"));
        refused!(registry.load_delete_release(by, project, &version, "why"));
        refused!(registry.load_delete_project(by, project, "why"));
        let file = format!("{project}-1.0-py3-none-any.whl");
        refused!(registry.load_delete_file(by, &file, "why"));
        all.iter()
            .map(|told| told.replace(project, "PROJECT"))
            .collect::<Vec<_>>()
    };
    assert_eq!(told("sample").await, told("absent").await);
}

#[tokio::test]
async fn what_was_decided_about_is_looked_at_again_when_it_is_done() {
    let fixture = Fixture::new().await;
    let (ana, bob) = (fixture.person("ana").await, fixture.person("bob").await);
    fixture
        .upload(&ana.token(), File::wheel("sample", "1.0"))
        .await
        .unwrap();
    let registry = &fixture.registry;
    let (by_ana, by_bob) = (ana.session(), bob.session());
    let grant = async |role| {
        let target = registry
            .load_grant_role(None, "sample", &name("bob"), role)
            .await
            .unwrap();
        registry.grant_role(fixture.permit(target).await).await
    };
    grant(Role::Owner).await.unwrap();

    // Everything that bob may do, decided while he is an owner.
    let version = model::Version::parse("1.0").unwrap();
    let (by, sample) = (Some(&by_bob), "sample");
    macro_rules! permitted {
        ($target:expr) => {
            fixture
                .decide(&by_bob, $target.await.unwrap())
                .await
                .unwrap()
        };
    }
    let mode = serde_json::json!({ "mode": "all" });
    let mode = mode.as_object().unwrap().clone();
    let granted = permitted!(registry.load_grant_role(by, sample, &name("bob"), Role::Maintainer));
    let revoked = permitted!(registry.load_revoke_role(by, sample, &name("ana")));
    let chosen = permitted!(registry.load_configure(by, sample, "staged-release", mode));
    let archived = permitted!(registry.load_set_status(by, sample, ProjectStatus::Archived, None));
    let yanked = permitted!(registry.load_yank(by, sample, &version, "why"));
    let deleted = permitted!(registry.load_delete_release(by, sample, &version, "why"));
    let file = "sample-1.0-py3-none-any.whl";
    let file = permitted!(registry.load_delete_file(by, file, "why"));
    let all = permitted!(registry.load_delete_project(by, sample, "why"));

    // Then he loses the role.
    let target = registry
        .load_revoke_role(Some(&by_ana), sample, &name("bob"))
        .await
        .unwrap();
    registry
        .revoke_role(fixture.decide(&by_ana, target).await.unwrap())
        .await
        .unwrap();
    let results = [
        registry.grant_role(granted).await.err().map(text),
        registry.revoke_role(revoked).await.err().map(text),
        registry
            .configure_project(chosen, |_, _| Ok(()))
            .await
            .err()
            .map(text),
        registry.set_project_status(archived).await.err().map(text),
        registry.yank_release(yanked).await.err().map(text),
        registry.delete_release(deleted).await.err().map(text),
        registry.delete_file(file).await.err().map(text),
        registry.delete_project(all).await.err().map(text),
    ];
    for result in results {
        assert_eq!(
            result.as_deref(),
            Some(
                "project 'sample' changed at this very moment, and nothing was done; look at it again and then try again"
            )
        );
    }
    assert!(
        fixture
            .simple(Some(sample), PageFormat::Html)
            .await
            .is_some()
    );
    assert_eq!(fixture.events(EventKind::ProjectConfigured).await.len(), 0);
}

fn text(error: impl std::error::Error) -> String {
    error.to_string()
}

#[tokio::test]
async fn settings_that_the_policy_does_not_offer_are_refused() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    fixture
        .upload(&ana.token(), File::wheel("sample", "1.0"))
        .await
        .unwrap();
    let gate = &fixture.gate;
    let check =
        |policy: &str, chosen: &serde_json::Value| gate.check_owner_settings(policy, chosen);
    for (policy, settings, wrong) in [
        (
            "staged-release",
            serde_json::json!({ "mode": "sometimes" }),
            "mode",
        ),
        (
            "staged-release",
            serde_json::json!({ "colour": 1 }),
            "colour",
        ),
        ("nobody", serde_json::json!({ "mode": "all" }), ""),
    ] {
        let target = fixture
            .registry
            .load_configure(
                None,
                "sample",
                policy,
                settings.as_object().unwrap().clone(),
            )
            .await
            .unwrap();
        let result = fixture
            .registry
            .configure_project(fixture.permit(target).await, check)
            .await;
        let Err(ManageError::InvalidSettings { problems, .. }) = result else {
            panic!("{result:?}");
        };
        let names: Vec<&str> = problems.iter().map(|it| it.setting.as_str()).collect();
        assert_eq!(names, [wrong], "a form says it at the field");
    }
    fixture.hold_back("sample").await;
    assert_eq!(fixture.events(EventKind::ProjectConfigured).await.len(), 1);
    assert!(
        fixture
            .upload(&ana.token(), File::wheel("sample", "1.1"))
            .await
            .unwrap()
            .staged
    );
}

#[tokio::test]
async fn an_owner_does_not_lift_a_quarantine() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    fixture
        .upload(&ana.token(), File::wheel("sample", "1.0"))
        .await
        .unwrap();
    let target = fixture
        .registry
        .load_set_status(
            Some(&ana.session()),
            "sample",
            ProjectStatus::Quarantined,
            None,
        )
        .await
        .unwrap();
    let result = fixture
        .registry
        .set_project_status(fixture.decide(&ana.session(), target).await.unwrap())
        .await;
    assert!(matches!(result, Err(ManageError::Quarantine)), "{result:?}");
    let target = fixture
        .registry
        .load_set_status(None, "sample", ProjectStatus::Quarantined, None)
        .await
        .unwrap();
    fixture
        .registry
        .set_project_status(fixture.permit(target).await)
        .await
        .unwrap();
    let target = fixture
        .registry
        .load_set_status(Some(&ana.session()), "sample", ProjectStatus::Active, None)
        .await
        .unwrap();
    assert!(fixture.decide(&ana.session(), target).await.is_err());
}

#[tokio::test]
async fn a_token_that_is_revoked_after_the_decision_stores_nothing() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    fixture
        .upload(&ana.token(), File::wheel("sample", "1.0"))
        .await
        .unwrap();
    let storage = fixture.registry.storage();
    let mut unit = storage.begin().await.unwrap();
    unit.revoke_token(ana.token_id(), NOW).await.unwrap();
    let event = AuditEvent::of_server(
        NOW,
        Detail::read(EventKind::TokenRevoked, &serde_json::json!({})),
    );
    unit.commit(&event).await.unwrap();
    for file in [File::wheel("sample", "1.1"), File::wheel("new", "1.0")] {
        let error = fixture.upload(&ana.token(), file).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "Invalid API Token: it was revoked during the upload."
        );
    }
    let page = fixture.simple(Some("sample"), PageFormat::Html).await;
    let page = String::from_utf8(page.unwrap().body.to_vec()).unwrap();
    assert!(page.contains("sample-1.0-") && !page.contains("sample-1.1-"));
    assert!(storage.project("new").await.unwrap().is_none());
}
