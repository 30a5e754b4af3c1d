use identity::{
    Account, AccountError, AddEmail, DisableUser, EnableUser, NewTokenScope, PromoteEmail,
    RemoveEmail, RequestContext, SetStaff, TokenError, VerifyEmail,
};
use model::audit::EventKind;
use model::{Action, UserId};

use crate::fixture::{Fixture, PASSWORD, user_name};

async fn disable(fixture: &Fixture, user: UserId, reason: &str) -> Result<(), AccountError> {
    fixture
        .identity
        .accounts()
        .disable(
            fixture
                .permit(DisableUser {
                    user,
                    reason: reason.to_owned(),
                })
                .await,
        )
        .await
}

async fn enable(fixture: &Fixture, user: UserId) -> Result<(), AccountError> {
    fixture
        .identity
        .accounts()
        .enable(fixture.permit(EnableUser { user }).await)
        .await
}

#[tokio::test]
async fn no_credential_of_a_disabled_user_counts_until_the_user_is_enabled() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let token = fixture.token("ana", NewTokenScope::Account).await;
    let garbage = fixture
        .present_token(&format!("{token}x"))
        .await
        .unwrap_err();
    let wrong = fixture
        .present_password("ana", "wrong horse", Action::FileUpload)
        .await
        .unwrap_err();
    let nobody = fixture.prove("nobody", PASSWORD, None).await.unwrap_err();
    disable(&fixture, ana, " left the company ").await.unwrap();

    let refused = fixture.present_token(&token).await.unwrap_err();
    assert_eq!(fixture.last_failure().await, "disabled-user");
    assert_eq!(
        (refused.kind, refused.reasons),
        (garbage.kind, garbage.reasons)
    );
    let refused = fixture
        .present_password("ana", PASSWORD, Action::FileUpload)
        .await
        .unwrap_err();
    assert_eq!(fixture.last_failure().await, "disabled-user");
    assert_eq!((refused.kind, refused.reasons), (wrong.kind, wrong.reasons));
    let refused = fixture.prove("ana", PASSWORD, None).await.unwrap_err();
    assert_eq!(
        (refused.kind, refused.reasons),
        (nobody.kind, nobody.reasons)
    );

    enable(&fixture, ana).await.unwrap();
    assert!(fixture.present_token(&token).await.is_ok());
    assert!(
        fixture
            .present_password("ana", PASSWORD, Action::FileUpload)
            .await
            .is_ok()
    );
    assert!(fixture.prove("ana", PASSWORD, None).await.is_ok());
}

/// Like an upload that was authenticated first, and whose body arrived later.
#[tokio::test]
async fn a_user_who_is_disabled_during_a_request_is_refused_at_the_second_look() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let token = fixture.token("ana", NewTokenScope::Account).await;
    let presented = || identity::Presented::Token(identity::Secret::new(token.clone()));
    let attempt = fixture.attempt();
    fixture
        .identity
        .authenticate(
            RequestContext::new(&fixture.gate, &attempt),
            presented(),
            Action::FileUpload,
        )
        .await
        .unwrap();
    disable(&fixture, ana, "left").await.unwrap();
    assert!(
        fixture
            .identity
            .authenticate_again(
                RequestContext::new(&fixture.gate, &attempt),
                presented(),
                Action::FileUpload
            )
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_right_password_of_a_disabled_user_counts_as_a_wrong_one_and_no_token_is_made() {
    let fixture = Fixture::with(crate::fixture::limits(2)).await;
    let ana = fixture.user("ana").await;
    let secret = fixture.enroll(ana).await;
    disable(&fixture, ana, "left").await.unwrap();
    for _ in 0..2 {
        assert_eq!(
            fixture
                .prove("ana", PASSWORD, Some(&fixture.code(&secret, 0)))
                .await
                .unwrap_err()
                .kind,
            gate::RefusalKind::Denied
        );
    }
    assert!(matches!(
        fixture.prove("ana", PASSWORD, None).await.unwrap_err().kind,
        gate::RefusalKind::Limited { .. }
    ));
    let made = fixture
        .identity
        .tokens()
        .to_create(
            fixture.account("ana").await,
            "ci",
            NewTokenScope::Account,
            None,
            None,
        )
        .await;
    assert!(matches!(made, Err(TokenError::UserDisabled)));
    let proven = fixture
        .identity
        .tokens()
        .prove_second_factor(&user_name("ana"), &fixture.code(&secret, 0))
        .await;
    assert!(matches!(proven, Err(TokenError::UserDisabled)));
}

#[tokio::test]
async fn disabling_and_enabling_are_told_with_their_reason_and_change_something_or_fail() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    for reason in ["", "  ", "a\nb", &"x".repeat(301)] {
        assert!(
            matches!(
                disable(&fixture, ana, reason).await,
                Err(AccountError::InvalidReason)
            ),
            "{reason:?}"
        );
    }
    assert!(matches!(
        enable(&fixture, ana).await,
        Err(AccountError::UserNotDisabled)
    ));
    assert!(matches!(
        disable(&fixture, UserId::new(), "left").await,
        Err(AccountError::UnknownUser)
    ));
    let before = fixture.events().await.len();
    disable(&fixture, ana, "left").await.unwrap();
    assert!(matches!(
        disable(&fixture, ana, "again").await,
        Err(AccountError::UserDisabled)
    ));
    enable(&fixture, ana).await.unwrap();
    let events = fixture.events().await.split_off(before);
    assert_eq!(
        events
            .iter()
            .map(|event| (event.kind, event.user))
            .collect::<Vec<_>>(),
        [
            (EventKind::AccountDisabled, Some(ana)),
            (EventKind::AccountEnabled, Some(ana)),
        ]
    );
    assert_eq!(events[0].detail["reason"], "left");
}

#[tokio::test]
async fn staff_is_granted_and_revoked_once_each() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let before = fixture.events().await.len();
    for (staff, changed) in [(false, false), (true, true), (true, false), (false, true)] {
        assert_eq!(
            fixture
                .identity
                .accounts()
                .set_staff(fixture.permit(SetStaff { user: ana, staff }).await)
                .await
                .unwrap(),
            changed
        );
        assert_eq!(
            fixture.storage.user(ana).await.unwrap().unwrap().staff,
            staff
        );
    }
    let kinds: Vec<_> = fixture
        .events()
        .await
        .split_off(before)
        .into_iter()
        .map(|event| event.kind)
        .collect();
    assert_eq!(kinds, [EventKind::StaffGranted, EventKind::StaffRevoked]);
}

#[tokio::test]
async fn an_address_is_added_verified_promoted_and_the_old_one_removed() {
    let fixture = Fixture::new().await;
    let (identity, ana) = (&fixture.identity, fixture.user("ana").await);
    let ben = fixture.user("ben").await;
    let before = fixture.events().await.len();
    let address = || "New@example.org".to_owned();
    let folded = || "new@EXAMPLE.org".to_owned();
    let add = async |user, address| {
        identity
            .emails()
            .add(
                fixture
                    .permit(AddEmail {
                        account: Account::at_the_server(user),
                        address,
                    })
                    .await,
            )
            .await
    };
    let verify = async |user| {
        identity
            .emails()
            .verify(
                fixture
                    .permit(VerifyEmail {
                        account: Account::at_the_server(user),
                        address: folded(),
                    })
                    .await,
            )
            .await
    };
    let promote = async |user| {
        identity
            .emails()
            .promote(
                fixture
                    .permit(PromoteEmail {
                        account: Account::at_the_server(user),
                        address: folded(),
                    })
                    .await,
            )
            .await
    };
    let remove = async |user, address: &str| {
        identity
            .emails()
            .remove(
                fixture
                    .permit(RemoveEmail {
                        account: Account::at_the_server(user),
                        address: address.to_owned(),
                    })
                    .await,
            )
            .await
    };

    assert!(matches!(
        add(ana, "no address".to_owned()).await,
        Err(AccountError::InvalidEmail(_))
    ));
    assert!(matches!(verify(ana).await, Err(AccountError::UnknownEmail)));
    add(ana, address()).await.unwrap();
    assert!(matches!(
        add(ben, folded()).await,
        Err(AccountError::EmailTaken)
    ));
    assert!(
        matches!(promote(ana).await, Err(AccountError::EmailNotVerified)),
        "what counts is a verified primary address"
    );
    for (result, what) in [
        (verify(ben).await, "verify"),
        (promote(ben).await, "promote"),
    ] {
        assert!(
            matches!(result, Err(AccountError::UnknownEmail)),
            "{what}: only one's own"
        );
    }
    assert!(matches!(
        remove(ben, "new@example.org").await,
        Err(AccountError::UnknownEmail)
    ));
    assert!(verify(ana).await.unwrap() && !verify(ana).await.unwrap());
    assert!(matches!(
        remove(ana, "ana@example.org").await,
        Err(AccountError::PrimaryEmail)
    ));
    assert!(promote(ana).await.unwrap() && !promote(ana).await.unwrap());
    remove(ana, "ANA@example.org").await.unwrap();

    let emails = fixture.storage.emails(ana).await.unwrap();
    assert_eq!(
        emails
            .iter()
            .map(|email| (&*email.address, email.primary, email.verified_at.is_some()))
            .collect::<Vec<_>>(),
        [("New@example.org", true, true)]
    );
    let events = fixture.events().await.split_off(before);
    assert_eq!(
        events
            .iter()
            .map(|event| (event.kind, event.detail["address"].as_str().unwrap()))
            .collect::<Vec<_>>(),
        [
            (EventKind::EmailAdded, "New@example.org"),
            (EventKind::EmailVerified, "New@example.org"),
            (EventKind::EmailPromoted, "New@example.org"),
            (EventKind::EmailRemoved, "ana@example.org"),
        ]
    );
}

#[tokio::test]
async fn who_is_disabled_has_no_session_when_enabled_again() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let session = fixture.logged_in("ana").await;
    fixture.enroll(ana).await;
    let waiting = crate::fixture::pending(fixture.log_in("ana", PASSWORD, None).await.unwrap());
    fixture
        .identity
        .accounts()
        .disable(
            fixture
                .permit(DisableUser {
                    user: ana,
                    reason: "stolen".to_owned(),
                })
                .await,
        )
        .await
        .unwrap();
    fixture
        .identity
        .accounts()
        .enable(fixture.permit(EnableUser { user: ana }).await)
        .await
        .unwrap();
    assert_eq!(fixture.sessions(ana).await, []);
    assert!(!fixture.lives(&session).await);
    assert_eq!(
        fixture
            .identity
            .logins()
            .pending(waiting.expose())
            .await
            .unwrap(),
        None
    );
}
