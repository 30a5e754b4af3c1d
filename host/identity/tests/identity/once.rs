//! What happens only once, however many requests come at the same time and through any server.

use std::sync::Arc;

use identity::{
    Account, AddEmail, DeleteAccount, ReadRecoveryLink, RecoverAccount, RegisterForm,
    RequestContext, Secret,
};
use model::audit::EventKind;
use model::time::ManualClock;
use model::{ProjectId, ProjectName, Role};
use storage::projects::NewProject;
use tokio::sync::Barrier;

use crate::fixture::{Fixture, NOW, PASSWORD, limits, user_name};
use crate::mails::link_in;
use crate::postgres;

/// Number of requests at once.
const MANY: usize = 6;

type Servers = [Arc<Fixture>; 2];

/// Sends many requests at once, through both servers; returns how many succeeded.
async fn at_once<F>(servers: &Servers, ask: impl Fn(Arc<Fixture>, usize) -> F) -> usize
where
    F: Future<Output = bool> + Send + 'static,
{
    let start = Arc::new(Barrier::new(MANY));
    let asked: Vec<_> = (0..MANY)
        .map(|number| {
            let (start, asking) = (start.clone(), ask(servers[number % 2].clone(), number));
            tokio::spawn(async move {
                start.wait().await;
                asking.await
            })
        })
        .collect();
    let mut succeeded = 0;
    for one in asked {
        succeeded += usize::from(one.await.unwrap());
    }
    succeeded
}

fn form(name: String) -> RegisterForm {
    RegisterForm {
        email: format!("{name}@example.org"),
        user_name: name,
        password: Secret::new(PASSWORD.to_owned()),
    }
}

async fn one_first_user(servers: &Servers) {
    let link = servers[0]
        .identity
        .registrations()
        .first_user_link()
        .await
        .unwrap()
        .unwrap();
    let made = at_once(servers, |server, number| {
        let link = link.clone();
        async move {
            server
                .identity
                .registrations()
                .create_first_user(
                    RequestContext::new(&server.gate, &server.attempt()),
                    link.expose(),
                    form(format!("first{number}")),
                )
                .await
                .is_ok()
        }
    });
    assert_eq!(made.await, 1);
    assert_eq!(servers[0].storage.user_count().await.unwrap(), 1);
    servers[0].mails().await;
}

async fn one_account_for_a_link(servers: &Servers, round: usize) {
    let server = &servers[0];
    server
        .identity
        .registrations()
        .register(
            RequestContext::new(&server.gate, &server.attempt()),
            form(format!("ana{round}")),
        )
        .await
        .unwrap();
    let link = link_in(&server.mail().await, "/register/confirm");
    let before = server.storage.user_count().await.unwrap();
    let confirmed = at_once(servers, |server, _| {
        let link = link.clone();
        async move {
            server
                .identity
                .registrations()
                .confirm(
                    RequestContext::new(&server.gate, &server.attempt()),
                    &link,
                    Secret::new(PASSWORD.to_owned()),
                )
                .await
                .is_ok()
        }
    });
    assert_eq!(confirmed.await, 1);
    assert_eq!(server.storage.user_count().await.unwrap(), before + 1);
}

async fn one_password_for_a_link(servers: &Servers, round: usize) {
    let server = &servers[0];
    let link = server.reset_link(&format!("ana{round}")).await;
    let set = at_once(servers, |server, number| {
        let (link, new) = (
            link.clone(),
            Secret::new(format!("battery staple {number}")),
        );
        async move {
            server
                .identity
                .passwords()
                .reset(
                    RequestContext::new(&server.gate, &server.attempt()),
                    &link,
                    new,
                )
                .await
                .is_ok()
        }
    });
    assert_eq!(set.await, 1);
    let ana = server
        .storage
        .user_by_name(&user_name(&format!("ana{round}")))
        .await
        .unwrap()
        .unwrap();
    let resets = server
        .events()
        .await
        .into_iter()
        .filter(|event| event.kind == EventKind::PasswordReset && event.user == Some(ana.id));
    assert_eq!(resets.count(), 1);
    server.mails().await;
}

/// A due recovery is completed, or stopped at the last moment, but not both.
async fn one_end_of_a_recovery(servers: &Servers, round: usize) {
    let server = &servers[0];
    let ana = server
        .storage
        .user_by_name(&user_name(&format!("ana{round}")))
        .await
        .unwrap()
        .unwrap();
    let target = RecoverAccount {
        user: ana.id,
        reason: "Lost the phone and the codes.".to_owned(),
    };
    server
        .identity
        .recoveries()
        .start(server.permit(target).await)
        .await
        .unwrap();
    let link = link_in(&server.mail().await, "/recovery/cancel");
    server.clock.advance_seconds(72 * 3600 - 1);
    let shown = server
        .identity
        .recoveries()
        .announced(server.permit(ReadRecoveryLink { link: link.clone() }).await)
        .await
        .unwrap();
    assert!(shown.is_some());
    let ended = at_once(servers, |server, number| {
        let link = link.clone();
        async move {
            if number < 3 {
                return server
                    .identity
                    .recoveries()
                    .cancel_by_link(RequestContext::new(&server.gate, &server.attempt()), &link)
                    .await
                    .is_ok();
            }
            server.clock.advance_seconds(1);
            server
                .identity
                .recoveries()
                .complete_due()
                .await
                .is_ok_and(|completed| completed == 1)
        }
    });
    assert_eq!(ended.await, 1);
    let about = |kind| {
        move |event: &&crate::fixture::Recorded| event.kind == kind && event.user == Some(ana.id)
    };
    let events = server.events().await;
    let completed = events
        .iter()
        .filter(about(EventKind::RecoveryCompleted))
        .count();
    assert_eq!(
        completed
            + events
                .iter()
                .filter(about(EventKind::RecoveryCancelled))
                .count(),
        1
    );
    let is_disabled = server
        .storage
        .user(ana.id)
        .await
        .unwrap()
        .unwrap()
        .password_disabled
        .is_some();
    assert_eq!(is_disabled, completed == 1);
    server.mails().await;
}

/// Of the owners of a project, one stays.
async fn one_owner_stays(servers: &Servers, round: usize) {
    let server = &servers[0];
    let (project, name) = (
        ProjectId::new(),
        ProjectName::parse(&format!("shared{round}")).unwrap(),
    );
    let mut owners = Vec::new();
    for number in 0..MANY {
        owners.push(server.user(&format!("owner{round}-{number}")).await);
    }
    let mut unit = server.storage.begin().await.unwrap();
    unit.create_project(&NewProject {
        id: project,
        name: &name,
        created_at: NOW,
    })
    .await
    .unwrap();
    for owner in &owners {
        unit.grant_role(project, *owner, Role::Owner, NOW)
            .await
            .unwrap();
    }
    unit.commit(&server.some_event()).await.unwrap();
    let left = at_once(servers, |server, number| {
        let user = owners[number];
        async move {
            server
                .identity
                .accounts()
                .delete(
                    server
                        .permit(DeleteAccount {
                            account: Account::at_the_server(user),
                            reason: None,
                        })
                        .await,
                )
                .await
                .is_ok()
        }
    });
    assert!(left.await < MANY);
    assert!(!server.storage.roles_on(project).await.unwrap().is_empty());
    server.mails().await;
}

/// If links are mailed to more addresses than an account has room for, only as many are confirmed
/// as there is room.
async fn ten_addresses(servers: &Servers, round: usize) {
    const MOST: usize = 10;
    let server = &servers[0];
    let eve = server.user(&format!("eve{round}")).await;
    let add = |address: String| AddEmail {
        account: Account::at_the_server(eve),
        address,
    };
    // The first one was created by `user`.
    for number in 2..MOST {
        let target = add(format!("eve{round}-{number}@example.org"));
        let permit = server.permit(target).await;
        server.identity.emails().add(permit).await.unwrap();
    }
    let mut links = Vec::new();
    for number in 0..MANY {
        let target = add(format!("eve{round}-more{number}@example.org"));
        let permit = server.permit_person(eve, target).await;
        server.identity.emails().add(permit).await.unwrap();
        links.push(link_in(&server.mail().await, "/email/confirm"));
    }
    let confirmed = at_once(servers, |server, number| {
        let link = links[number].clone();
        async move {
            server
                .identity
                .emails()
                .confirm(RequestContext::new(&server.gate, &server.attempt()), &link)
                .await
                .unwrap()
                .is_some()
        }
    });
    assert_eq!(confirmed.await, 1);
    assert_eq!(server.storage.emails(eve).await.unwrap().len(), MOST);
    server.mails().await;
}

async fn once(url: &str, rounds: usize) {
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
    one_first_user(&servers).await;
    for round in 0..rounds {
        one_account_for_a_link(&servers, round).await;
        one_password_for_a_link(&servers, round).await;
        one_end_of_a_recovery(&servers, round).await;
        one_owner_stays(&servers, round).await;
        ten_addresses(&servers, round).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_happens_once_happens_once_through_any_number_of_servers() {
    let folder = tempfile::tempdir().unwrap();
    once(
        &format!("sqlite:{}", folder.path().join("shared.sqlite").display()),
        3,
    )
    .await;
    if let Some(database) = tokio::task::spawn_blocking(postgres::new_database)
        .await
        .unwrap()
    {
        once(&database.url, 3).await;
    }
}
