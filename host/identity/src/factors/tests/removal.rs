//! Removing factors, and keeping the last one.

use gate::demands::{Demand, DemandedBy};
use model::{MailKind, Role};
use serde_json::json;
use storage::projects::NewProject;

use super::*;
use crate::RequestContext;
use crate::factors::{FactorName, RemoveFactor};

/// A set that demands no second factor, except where owners do.
async fn lenient() -> Fixture {
    Fixture::with(ORIGIN, Limits::default(), |package| {
        let keeps = ["restrict-routes", "owner-mandate"];
        let (bindings, modules) = (
            std::mem::take(&mut package.spec.bindings),
            std::mem::take(&mut package.modules),
        );
        let kept = bindings
            .into_iter()
            .zip(modules)
            .filter(|(binding, _)| keeps.contains(&binding.policy.as_str()));
        (package.spec.bindings, package.modules) = kept.unzip();
    })
    .await
}

impl Fixture {
    async fn to_remove(
        &self,
        person: Person,
        which: FactorName,
    ) -> Result<RemoveFactor, FactorError> {
        self.identity
            .factors()
            .to_remove(
                RequestContext::new(&self.gate, &self.attempt()),
                &self.caller(person).await,
                which,
            )
            .await
    }

    async fn remove(&self, person: Person, which: FactorName) -> Result<(), FactorError> {
        let target = self.to_remove(person, which).await?;
        self.identity
            .factors()
            .remove(self.permit(person, target).await)
            .await
            .map(drop)
    }

    async fn key(&self, person: Person, name: &str) -> FactorName {
        let keys = self
            .identity
            .factors()
            .of(self.view(person).await)
            .await
            .unwrap()
            .keys;
        FactorName::Key(keys.iter().find(|key| key.name == name).unwrap().id)
    }

    /// A project that demands a second factor of everyone on it.
    async fn demanding_project(&self, owner: Person, name: &str) {
        let (id, name) = (
            model::ProjectId::new(),
            model::ProjectName::parse(name).unwrap(),
        );
        let mut unit = self.storage.begin().await.unwrap();
        unit.create_project(&NewProject {
            id,
            name: &name,
            created_at: NOW,
        })
        .await
        .unwrap();
        unit.grant_role(id, owner.user, Role::Owner, NOW)
            .await
            .unwrap();
        let chosen = json!({ "second-factor": true });
        unit.set_project_settings(id, "owner-mandate", chosen.as_object().unwrap(), NOW)
            .await
            .unwrap();
        let event = AuditEvent::of_server(
            NOW,
            Detail::read(EventKind::ProjectCreated, &serde_json::json!({})),
        )
        .in_project(id);
        unit.commit(&event).await.unwrap();
    }
}

fn demanded(result: Result<(), FactorError>) -> Vec<Demand> {
    match result {
        Err(FactorError::Demanded(demands)) => demands,
        other => panic!("{other:?}"),
    }
}

fn by_project(name: &str) -> Demand {
    Demand {
        by: DemandedBy::Project {
            name: name.to_owned(),
            policy: "owner-mandate".to_owned(),
        },
    }
}

#[tokio::test]
async fn a_factor_that_nobody_demands_is_removed_even_as_the_last_one() {
    let fixture = lenient().await;
    let ana = fixture.person("ana").await;
    fixture.enroll_app(ana).await;
    fixture.enroll(ana, KeyKind::Passkey, "phone").await;
    fixture.mails().await;
    let phone = fixture.key(ana, "phone").await;
    let target = fixture.to_remove(ana, phone).await.unwrap();
    assert_eq!(
        (target.name(), target.is_last(), target.demands()),
        ("phone", false, &[][..])
    );
    fixture.remove(ana, phone).await.unwrap();
    assert!(
        fixture
            .to_remove(ana, FactorName::Totp)
            .await
            .unwrap()
            .is_last()
    );
    fixture.remove(ana, FactorName::Totp).await.unwrap();
    assert!(!fixture.user(ana).await.facts().factors.any());
    assert_eq!(
        fixture.details(EventKind::KeyRemoved).await[0]["name"],
        "phone"
    );
    assert_eq!(fixture.details(EventKind::TotpRemoved).await.len(), 1);
    assert_eq!(
        fixture
            .mails()
            .await
            .into_iter()
            .map(|(kind, _)| kind)
            .collect::<Vec<_>>(),
        [MailKind::FactorRemoved; 2]
    );
    assert!(matches!(
        fixture.remove(ana, FactorName::Totp).await,
        Err(FactorError::TotpNotEnrolled)
    ));
    assert!(matches!(
        fixture.remove(ana, phone).await,
        Err(FactorError::UnknownKey)
    ));
}

#[tokio::test]
async fn an_operator_removes_a_lost_key_for_its_owner_who_is_told() {
    let fixture = lenient().await;
    let (ana, eve) = (fixture.person("ana").await, fixture.person("eve").await);
    fixture.enroll(ana, KeyKind::SecurityKey, "blue").await;
    fixture.mails().await;
    let FactorName::Key(blue) = fixture.key(ana, "blue").await else {
        panic!("a key")
    };
    assert!(
        matches!(
            fixture
                .identity
                .factors()
                .key_to_remove(Account::at_the_server(eve.user), blue)
                .await,
            Err(FactorError::UnknownKey)
        ),
        "each has their own keys"
    );
    let target = fixture
        .identity
        .factors()
        .key_to_remove(Account::at_the_server(ana.user), blue)
        .await
        .unwrap();
    assert!(target.is_last());
    let permit = gate::break_glass(&fixture.storage, &*fixture.clock, "operator", target)
        .await
        .unwrap();
    assert!(
        fixture
            .identity
            .factors()
            .remove(permit)
            .await
            .unwrap()
            .is_none(),
        "no session of the operator's"
    );
    assert!(!fixture.user(ana).await.facts().factors.any());
    assert_eq!(
        fixture.details(EventKind::KeyRemoved).await[0]["name"],
        "blue"
    );
    assert_eq!(
        fixture
            .mails()
            .await
            .into_iter()
            .map(|(kind, _)| kind)
            .collect::<Vec<_>>(),
        [MailKind::FactorRemoved]
    );
}

#[tokio::test]
async fn the_last_factor_stays_while_a_policy_demands_one() {
    let fixture = Fixture::with(ORIGIN, Limits::default(), |_| ()).await;
    let ana = fixture.person("ana").await;
    fixture.enroll_app(ana).await;
    let target = fixture.to_remove(ana, FactorName::Totp).await.unwrap();
    assert!(target.is_last());
    let of_all = Demand {
        by: DemandedBy::Policy("require-second-factor".to_owned()),
    };
    assert_eq!(target.demands(), std::slice::from_ref(&of_all));
    assert_eq!(
        demanded(fixture.remove(ana, FactorName::Totp).await),
        [of_all]
    );
    assert!(fixture.user(ana).await.totp_secret.is_some());
    assert!(fixture.details(EventKind::TotpRemoved).await.is_empty());
}

#[tokio::test]
async fn the_last_factor_stays_while_a_project_demands_one_and_the_project_is_named() {
    let fixture = lenient().await;
    let ana = fixture.person("ana").await;
    fixture.demanding_project(ana, "Tower").await;
    fixture.enroll(ana, KeyKind::Passkey, "phone").await;
    fixture.enroll(ana, KeyKind::SecurityKey, "blue").await;
    let (phone, blue) = (
        fixture.key(ana, "phone").await,
        fixture.key(ana, "blue").await,
    );
    fixture.remove(ana, phone).await.unwrap();
    assert_eq!(
        demanded(fixture.remove(ana, blue).await),
        [by_project("tower")]
    );
    assert!(fixture.user(ana).await.facts().factors.webauthn);
}

#[tokio::test]
async fn of_two_factors_removed_at_once_one_stays_while_one_is_demanded() {
    let fixture = Arc::new(lenient().await);
    for round in 0..5 {
        let ana = fixture.person(&format!("ana{round}")).await;
        fixture
            .demanding_project(ana, &format!("tower-{round}"))
            .await;
        fixture.enroll_app(ana).await;
        fixture.enroll(ana, KeyKind::SecurityKey, "blue").await;
        // Both are looked up and permitted while there are two.
        let mut permits = Vec::new();
        for which in [FactorName::Totp, fixture.key(ana, "blue").await] {
            let target = fixture.to_remove(ana, which).await.unwrap();
            assert!(!target.is_last());
            permits.push(fixture.permit(ana, target).await);
        }
        let tries = permits.into_iter().map(|permit| {
            let fixture = Arc::clone(&fixture);
            tokio::spawn(async move { fixture.identity.factors().remove(permit).await })
        });
        // All of them start before any is awaited.
        let tries: Vec<_> = tries.collect();
        let mut refused = Vec::new();
        for one in tries {
            match one.await.unwrap() {
                Ok(_) => {}
                Err(FactorError::Demanded(demands)) => refused.push(demands),
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(refused, [vec![by_project(&format!("tower-{round}"))]]);
        assert!(fixture.user(ana).await.facts().factors.any());
    }
}

#[tokio::test]
async fn nobody_removes_the_key_of_somebody_else() {
    let fixture = lenient().await;
    let (ana, bob) = (fixture.person("ana").await, fixture.person("bob").await);
    fixture.enroll(ana, KeyKind::SecurityKey, "blue").await;
    let blue = fixture.key(ana, "blue").await;
    assert!(matches!(
        fixture.remove(bob, blue).await,
        Err(FactorError::UnknownKey)
    ));
    assert!(matches!(
        fixture
            .identity
            .factors()
            .to_remove(
                RequestContext::new(&fixture.gate, &fixture.attempt()),
                &Caller::anonymous(),
                blue
            )
            .await,
        Err(FactorError::UnknownUser)
    ));
}
