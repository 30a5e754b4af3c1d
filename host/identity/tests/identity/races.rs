//! A login that is under way while its account changes, through two servers.

use std::sync::Arc;

use identity::{
    Account, DisableUser, LoginStep, NewTokenScope, Secret, SecureAccount, SetPassword, TokenError,
};
use model::time::ManualClock;
use storage::Conflict;
use tokio::sync::Barrier;

use crate::fixture::{Fixture, NOW, PASSWORD, limits};
use crate::postgres;

/// What happens to the account while logins are under way.
#[derive(Clone, Copy, Debug)]
enum Change {
    Password,
    Secured,
    Disabled,
}

async fn change(server: &Fixture, user: model::UserId, what: Change) {
    match what {
        Change::Password => {
            let target = SetPassword {
                account: Account::at_the_server(user),
                password: Secret::new("another horse entirely 7!".to_owned()),
            };
            server
                .identity
                .accounts()
                .set_password(server.permit(target).await)
                .await
                .unwrap();
        }
        Change::Secured => drop(
            server
                .identity
                .accounts()
                .secure(
                    server
                        .permit(SecureAccount {
                            account: Account::at_the_server(user),
                        })
                        .await,
                )
                .await
                .unwrap(),
        ),
        Change::Disabled => {
            let target = DisableUser {
                user,
                reason: "test".into(),
            };
            server
                .identity
                .accounts()
                .disable(server.permit(target).await)
                .await
                .unwrap();
        }
    }
}

/// Whichever comes first, no session that the old password opened survives.
async fn no_login_outlives_a_change(url: &str, rounds: usize) {
    let clock = Arc::new(ManualClock::at(NOW));
    let server = || async {
        let folder = tempfile::tempdir().unwrap();
        Arc::new(
            Fixture::at(url, folder, clock.clone(), "", |config| {
                config.limits = limits(1000)
            })
            .await,
        )
    };
    let servers = [server().await, server().await];
    for round in 0..rounds {
        for what in [Change::Password, Change::Secured, Change::Disabled] {
            let name = format!("user{round}{what:?}").to_lowercase();
            let user = servers[0].user(&name).await;
            let start = Arc::new(Barrier::new(7));
            let mut logins = Vec::new();
            for number in 0..6 {
                let (server, start, name) =
                    (servers[number % 2].clone(), start.clone(), name.clone());
                logins.push(tokio::spawn(async move {
                    start.wait().await;
                    server.log_in(&name, PASSWORD, None).await
                }));
            }
            start.wait().await;
            change(&servers[round % 2], user, what).await;
            for login in logins {
                let Ok(LoginStep::Started(session)) = login.await.unwrap() else {
                    continue;
                };
                let caller = servers[0].present_session(&session.secret).await;
                assert_eq!(caller.session, None, "{what:?}: a login outlived it");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_login_outlives_a_change_of_the_account() {
    let folder = tempfile::tempdir().unwrap();
    no_login_outlives_a_change(
        &format!("sqlite:{}", folder.path().join("shared.sqlite").display()),
        6,
    )
    .await;
    if let Some(database) = tokio::task::spawn_blocking(postgres::new_database)
        .await
        .unwrap()
    {
        no_login_outlives_a_change(&database.url, 6).await;
    }
}

/// Tokens and addresses created by a session while "this wasn't me" ends it.
async fn nothing_outlives_the_session_that_made_it(url: &str, rounds: usize) {
    let clock = Arc::new(ManualClock::at(NOW));
    let server = || async {
        let folder = tempfile::tempdir().unwrap();
        Arc::new(
            Fixture::at(url, folder, clock.clone(), "", |config| {
                config.limits = limits(1000)
            })
            .await,
        )
    };
    let servers = [server().await, server().await];
    for round in 0..rounds {
        let name = format!("maker{round}");
        let user = servers[0].user(&name).await;
        let session = servers[0].logged_in(&name).await;
        let start = Arc::new(Barrier::new(9));
        let mut makers = Vec::new();
        for number in 0..8 {
            let (server, start, name) = (servers[number % 2].clone(), start.clone(), name.clone());
            let caller = server.present_session(&session.secret).await;
            makers.push(tokio::spawn(async move {
                let description = format!("token {number}");
                let target = server
                    .identity
                    .tokens()
                    .to_create(
                        server.account(&name).await,
                        &description,
                        NewTokenScope::Account,
                        None,
                        None,
                    )
                    .await
                    .unwrap();
                // Decided while the session is live; executed at any time.
                let permit = server
                    .gate
                    .decide(&server.attempt(), &caller, target)
                    .await
                    .unwrap();
                start.wait().await;
                server.identity.tokens().create(permit).await
            }));
        }
        let caller = servers[0].present_session(&session.secret).await;
        // One is certainly late: permitted while the session is live, executed after its end.
        let late = servers[1]
            .identity
            .tokens()
            .to_create(
                servers[1].account(&name).await,
                "too late",
                NewTokenScope::Account,
                None,
                None,
            )
            .await
            .unwrap();
        let late = servers[1]
            .gate
            .decide(&servers[1].attempt(), &caller, late)
            .await
            .unwrap();
        let permit = servers[0]
            .gate
            .decide(
                &servers[0].attempt(),
                &caller,
                SecureAccount {
                    account: Account::at_the_server(user),
                },
            )
            .await
            .unwrap();
        start.wait().await;
        servers[0].identity.accounts().secure(permit).await.unwrap();
        let Err(TokenError::Storage(error)) = servers[1].identity.tokens().create(late).await
        else {
            panic!("a token was made too late")
        };
        assert_eq!(error.conflict(), Some(Conflict::SessionEnded));
        for maker in makers {
            match maker.await.unwrap() {
                Ok(_) => {}
                Err(TokenError::Storage(error)) => {
                    assert_eq!(error.conflict(), Some(Conflict::SessionEnded))
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert!(
            servers[1].storage.tokens_of(user).await.unwrap().is_empty(),
            "a live token was left"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_token_outlives_this_was_not_me() {
    let folder = tempfile::tempdir().unwrap();
    nothing_outlives_the_session_that_made_it(
        &format!("sqlite:{}", folder.path().join("shared.sqlite").display()),
        6,
    )
    .await;
    if let Some(database) = tokio::task::spawn_blocking(postgres::new_database)
        .await
        .unwrap()
    {
        nothing_outlives_the_session_that_made_it(&database.url, 12).await;
    }
}
