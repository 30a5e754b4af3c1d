use identity::{
    Account, AccountError, CreateUser, EnrollTotp, Identity, IdentityConfig, InvalidConfig,
    RemoveTotp, Secret, SetPassword, TokenError,
};
use model::UserId;
use model::audit::{Actor, EventKind};
use model::mail::MailKind;

use crate::fixture::{Fixture, PASSWORD, user_name};
use crate::mails::told;

fn create(name: &str, email: Option<&str>) -> CreateUser {
    CreateUser {
        name: user_name(name),
        email: email.map(str::to_owned),
        email_verified: true,
        staff: true,
    }
}

#[tokio::test]
async fn creating_a_user_tells_everything_it_did() {
    let fixture = Fixture::new().await;
    let before = fixture.events().await.len();
    let permit = fixture.permit(create("Ana", Some("Ana@Example.org"))).await;
    let decision = permit.decision();
    let user = fixture.identity.accounts().create(permit).await.unwrap();
    let row = fixture.storage.user(user).await.unwrap().unwrap();
    assert!(row.email_verified && row.staff && row.password_hash.is_none());
    let events = fixture.events().await.split_off(before);
    let kinds: Vec<_> = events.iter().map(|event| event.kind).collect();
    assert_eq!(
        kinds,
        [
            EventKind::EmailAdded,
            EventKind::EmailVerified,
            EventKind::StaffGranted,
            EventKind::AccountCreated
        ]
    );
    for event in events {
        assert_eq!((event.user, event.decision), (Some(user), Some(decision)));
        assert_eq!(
            event.actor,
            Actor::CommandLine {
                system_user: "operator".into()
            }
        );
    }
}

#[tokio::test]
async fn what_operators_change_is_told_to_whose_it_is() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    assert_eq!(
        told(&fixture.mails().await),
        [],
        "whoever had no password yet knows"
    );
    let password = Secret::new("battery staple".to_owned());
    fixture
        .identity
        .accounts()
        .set_password(
            fixture
                .permit(SetPassword {
                    account: Account::at_the_server(ana),
                    password,
                })
                .await,
        )
        .await
        .unwrap();
    fixture
        .identity
        .accounts()
        .enroll_totp(
            fixture
                .permit(EnrollTotp {
                    account: Account::at_the_server(ana),
                    secret: None,
                    code: None,
                })
                .await,
        )
        .await
        .unwrap();
    fixture
        .identity
        .accounts()
        .remove_totp(
            fixture
                .permit(RemoveTotp {
                    account: Account::at_the_server(ana),
                })
                .await,
        )
        .await
        .unwrap();
    let kinds = [
        MailKind::PasswordChanged,
        MailKind::FactorAdded,
        MailKind::FactorRemoved,
    ];
    assert_eq!(
        told(&fixture.mails().await),
        kinds.map(|kind| ("ana@example.org".to_owned(), kind))
    );
}

#[tokio::test]
async fn names_and_addresses_are_taken_whatever_their_case_and_nothing_stays_behind() {
    let fixture = Fixture::new().await;
    fixture
        .identity
        .accounts()
        .create(fixture.permit(create("ana", Some("ana@example.org"))).await)
        .await
        .unwrap();
    let events = fixture.events().await.len();
    let again = fixture
        .identity
        .accounts()
        .create(fixture.permit(create("ANA", None)).await)
        .await;
    assert!(matches!(again, Err(AccountError::UserNameTaken)));
    let again = fixture
        .identity
        .accounts()
        .create(fixture.permit(create("ben", Some("ANA@example.ORG"))).await)
        .await;
    assert!(matches!(again, Err(AccountError::EmailTaken)));
    let again = fixture
        .identity
        .accounts()
        .create(fixture.permit(create("ben", Some("no address"))).await)
        .await;
    assert!(matches!(again, Err(AccountError::InvalidEmail(_))));
    assert!(
        fixture
            .storage
            .user_by_name(&user_name("ben"))
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(fixture.events().await.len(), events);
}

#[tokio::test]
async fn a_new_password_replaces_the_old_one_and_unsuitable_ones_replace_nothing() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana-with-a-name").await;
    let set = async |user, password: &str| {
        let target = SetPassword {
            account: Account::at_the_server(user),
            password: Secret::new(password.to_owned()),
        };
        fixture
            .identity
            .accounts()
            .set_password(fixture.permit(target).await)
            .await
    };
    for unsuitable in ["short", "ANA-with-a-name", "line\nfeed in it"] {
        assert!(
            matches!(set(ana, unsuitable).await, Err(AccountError::Password(_))),
            "{unsuitable}"
        );
    }
    assert!(matches!(
        set(UserId::new(), "battery staple").await,
        Err(AccountError::UnknownUser)
    ));
    assert!(
        fixture
            .prove("ana-with-a-name", PASSWORD, None)
            .await
            .is_ok()
    );
    set(ana, "battery staple").await.unwrap();
    assert!(
        fixture
            .prove("ana-with-a-name", PASSWORD, None)
            .await
            .is_err()
    );
    assert!(
        fixture
            .prove("ana-with-a-name", "battery staple", None)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn the_code_that_enrolled_an_app_cannot_be_used_again() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let proposed = fixture
        .identity
        .accounts()
        .propose_totp(&user_name("ana"))
        .unwrap();
    assert!(proposed.url.expose().starts_with("otpauth://totp/"));
    let enroll = async |code: &str| {
        let target = EnrollTotp {
            account: Account::at_the_server(ana),
            secret: Some(proposed.secret.clone()),
            code: Some(code.to_owned()),
        };
        fixture
            .identity
            .accounts()
            .enroll_totp(fixture.permit(target).await)
            .await
    };
    let wrong = fixture.wrong_code(&proposed.secret);
    assert!(matches!(
        enroll(&wrong).await,
        Err(AccountError::WrongTotpCode)
    ));
    assert!(
        fixture
            .storage
            .user(ana)
            .await
            .unwrap()
            .unwrap()
            .totp_secret
            .is_none()
    );
    let code = fixture.code(&proposed.secret, 0);
    let enrolled = enroll(&code).await.unwrap();
    assert_eq!(enrolled.secret, proposed.secret);
    assert!(fixture.prove("ana", PASSWORD, Some(&code)).await.is_err());
    let next = fixture.code(&proposed.secret, 1);
    assert!(fixture.prove("ana", PASSWORD, Some(&next)).await.is_ok());
}

#[tokio::test]
async fn an_enrolled_factor_is_removed_before_another_takes_its_place() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let first = fixture.enroll(ana).await;
    let again = fixture
        .identity
        .accounts()
        .enroll_totp(
            fixture
                .permit(EnrollTotp {
                    account: Account::at_the_server(ana),
                    secret: None,
                    code: None,
                })
                .await,
        )
        .await;
    assert!(matches!(again, Err(AccountError::TotpEnrolled)));
    fixture
        .identity
        .accounts()
        .remove_totp(
            fixture
                .permit(RemoveTotp {
                    account: Account::at_the_server(ana),
                })
                .await,
        )
        .await
        .unwrap();
    assert!(matches!(
        fixture
            .identity
            .tokens()
            .prove_second_factor(&user_name("ana"), &fixture.code(&first, 0))
            .await,
        Err(TokenError::WrongTotpCode)
    ));
    let again = fixture
        .identity
        .accounts()
        .remove_totp(
            fixture
                .permit(RemoveTotp {
                    account: Account::at_the_server(ana),
                })
                .await,
        )
        .await;
    assert!(matches!(again, Err(AccountError::TotpNotEnrolled)));
    assert_ne!(fixture.enroll(ana).await, first);
    let kinds: Vec<_> = fixture
        .events()
        .await
        .into_iter()
        .map(|event| event.kind)
        .filter(|kind| matches!(kind, EventKind::TotpEnrolled | EventKind::TotpRemoved))
        .collect();
    assert_eq!(
        kinds,
        [
            EventKind::TotpEnrolled,
            EventKind::TotpRemoved,
            EventKind::TotpEnrolled
        ]
    );
}

#[tokio::test]
async fn a_configuration_that_makes_unreadable_tokens_is_refused() {
    let fixture = Fixture::new().await;
    let with = |change: fn(&mut IdentityConfig)| {
        let mut config = IdentityConfig::for_host("pypi.example.org:8080");
        change(&mut config);
        Identity::new(fixture.storage.clone(), fixture.clock.clone(), config).err()
    };
    assert_eq!(with(|_| ()), None);
    assert_eq!(
        with(|config| config.token_prefix = "my-prefix".into()),
        Some(InvalidConfig::TokenPrefix)
    );
    assert_eq!(
        with(|config| config.token_prefix = String::new()),
        Some(InvalidConfig::TokenPrefix)
    );
    assert_eq!(
        with(|config| config.token_location = String::new()),
        Some(InvalidConfig::TokenLocation)
    );
    assert_eq!(
        with(|config| config.totp_issuer = "a:b".into()),
        Some(InvalidConfig::TotpIssuer)
    );
    assert!(matches!(
        with(|config| config.password_hashing.memory_kib = 1),
        Some(InvalidConfig::PasswordHashing(_))
    ));
}
