//! Roles, settings and status.

use model::audit::EventKind;
use model::{ProjectStatus, Role, UserName};
use registry::projects::ManageError;

use crate::fixture::{File, Fixture};

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

    // A maintainer uploads and manages nothing.
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
    // Whoever has no verified address cannot be told; the owners still are. A maintainer is not.
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
    // A change that fails tells nobody.
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
    assert!(matches!(
        fixture
            .registry
            .load_grant_role(None, "other", &name("ana"), Role::Owner)
            .await,
        Err(ManageError::NoProject(_))
    ));
    assert!(matches!(
        fixture
            .registry
            .load_grant_role(None, "sample", &name("nobody"), Role::Owner)
            .await,
        Err(ManageError::NoUser(_))
    ));
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
    let check = |policy: &str, chosen: &serde_json::Value| {
        gate.check_owner_settings(policy, chosen)
            .map_err(|errors| format!("{errors:?}"))
    };
    for (policy, settings) in [
        ("staged-release", serde_json::json!({ "mode": "sometimes" })),
        ("staged-release", serde_json::json!({ "colour": 1 })),
        ("nobody", serde_json::json!({ "mode": "all" })),
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
        assert!(
            matches!(result, Err(ManageError::InvalidSettings { .. })),
            "{result:?}"
        );
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
