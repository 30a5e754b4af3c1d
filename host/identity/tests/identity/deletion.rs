use identity::{Account, AccountError, DeleteAccount, NewTokenScope, ReadResetLink};
use model::audit::EventKind;
use model::mail::MailKind;
use model::{ProjectId, ProjectName, Role, UserId};
use storage::projects::NewProject;

use crate::fixture::{Fixture, NOW, PASSWORD, user_name};
use crate::mails::told;

impl Fixture {
    async fn project(&self, name: &str, owners: &[UserId]) {
        let (id, name) = (ProjectId::new(), ProjectName::parse(name).unwrap());
        let mut unit = self.storage.begin().await.unwrap();
        unit.create_project(&NewProject {
            id,
            name: &name,
            created_at: NOW,
        })
        .await
        .unwrap();
        for owner in owners {
            unit.grant_role(id, *owner, Role::Owner, NOW).await.unwrap();
        }
        unit.commit(&self.some_event()).await.unwrap();
    }

    async fn delete(&self, user: UserId) -> Result<(), AccountError> {
        self.identity
            .accounts()
            .delete(
                self.permit_person(
                    user,
                    DeleteAccount {
                        account: Account::at_the_server(user),
                        reason: None,
                    },
                )
                .await,
            )
            .await
    }
}

#[tokio::test]
async fn a_deleted_account_proves_nothing_any_more_and_its_name_stays_taken() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    fixture
        .project("shared", &[ana, fixture.user("ben").await])
        .await;
    let token = fixture.token("ana", NewTokenScope::Account).await;
    let link = {
        fixture.mails().await;
        fixture.reset_link("ana").await
    };
    fixture.delete(ana).await.unwrap();
    assert_eq!(
        told(&fixture.mails().await),
        [("ana@example.org".to_owned(), MailKind::AccountDeleted)]
    );
    assert!(fixture.prove("ana", PASSWORD, None).await.is_err());
    assert!(fixture.present_token(&token).await.is_err());
    assert!(fixture.sessions(ana).await.is_empty());
    assert!(
        fixture
            .identity
            .passwords()
            .waiting_for(fixture.permit(ReadResetLink { link: link.clone() }).await)
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        fixture
            .storage
            .user_by_name(&user_name("ana"))
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        fixture
            .storage
            .is_name_taken(&user_name("ANA"))
            .await
            .unwrap()
    );
    let target = identity::CreateUser {
        name: user_name("ana"),
        email: Some("ana@example.org".into()),
        email_verified: true,
        staff: false,
    };
    assert!(matches!(
        fixture
            .identity
            .accounts()
            .create(fixture.permit(target).await)
            .await,
        Err(AccountError::UserNameTaken)
    ));
    let target = identity::CreateUser {
        name: user_name("anna"),
        email: Some("ana@example.org".into()),
        email_verified: true,
        staff: false,
    };
    assert!(
        fixture
            .identity
            .accounts()
            .create(fixture.permit(target).await)
            .await
            .is_ok(),
        "the address is free"
    );
    let events = fixture.events().await;
    assert_eq!(
        events
            .iter()
            .filter(|event| event.kind == EventKind::AccountDeleted && event.user == Some(ana))
            .count(),
        1
    );
}

#[tokio::test]
async fn whoever_alone_owns_a_project_is_told_which() {
    let fixture = Fixture::new().await;
    let (ana, ben) = (fixture.user("ana").await, fixture.user("ben").await);
    fixture.project("Zebra", &[ana]).await;
    fixture.project("shared", &[ana, ben]).await;
    fixture.project("apple.tree", &[ana]).await;
    let alone = ["apple-tree".to_owned(), "zebra".to_owned()];
    assert_eq!(
        fixture
            .identity
            .accounts()
            .sole_owner_of(fixture.view(ana).await)
            .await
            .unwrap(),
        alone
    );
    let Err(AccountError::SoleOwner(projects)) = fixture.delete(ana).await else {
        panic!("deleted")
    };
    assert_eq!(projects, alone);
    assert!(
        fixture.prove("ana", PASSWORD, None).await.is_ok(),
        "nothing is gone"
    );
    assert!(fixture.mails().await.is_empty());
    fixture.delete(ben).await.unwrap();
    assert_eq!(
        fixture
            .identity
            .accounts()
            .sole_owner_of(fixture.view(ana).await)
            .await
            .unwrap()
            .len(),
        3
    );
    assert!(matches!(
        fixture
            .identity
            .accounts()
            .delete(
                fixture
                    .permit(DeleteAccount {
                        account: Account::at_the_server(ben),
                        reason: None
                    })
                    .await
            )
            .await,
        Err(AccountError::UnknownUser)
    ));
}
