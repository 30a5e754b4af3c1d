use std::sync::Arc;
use std::time::Duration;

use gate::RefusalKind;
use identity::{
    BreachConfig, NewTokenScope, OwnSession, PasswordProblem, ReadResetLink, RequestContext, Secret,
};
use model::audit::EventKind;
use model::mail::MailKind;
use model::{Action, Assurance, Caller, Clock, CredentialKind, Principal, SessionId, UserId};
use tokio::sync::Semaphore;

use crate::fixture::{Fixture, PASSWORD, limits};
use crate::mails::{Reply, Service, told};

const NEW: &str = "battery staple";

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

impl Fixture {
    /// A person who is logged in.
    pub(crate) async fn person_with(&self, user: UserId, session: SessionId) -> Caller {
        let row = self.storage.user(user).await.unwrap().unwrap();
        let principal = Principal::User(row.facts());
        Caller {
            credential: CredentialKind::Session,
            principal,
            token: None,
            session: Some(session),
            assurance: Assurance::NONE,
        }
    }

    /// This session of the user, as the session of a request.
    pub(crate) async fn own_session(&self, user: UserId, session: SessionId) -> OwnSession {
        OwnSession::of(&self.person_with(user, session).await).unwrap()
    }

    async fn change(
        &self,
        caller: &Caller,
        current: &str,
        new: &str,
    ) -> Result<(), PasswordProblem> {
        self.identity
            .passwords()
            .change(
                RequestContext::new(&self.gate, &self.attempt()),
                caller,
                secret(current),
                secret(new),
                None,
            )
            .await
            .map(drop)
    }
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions_and_leaves_the_links_for_another() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let (mine, other) = (fixture.session(ana).await, fixture.session(ana).await);
    let link = fixture.reset_link("ana").await;
    let caller = fixture.person_with(ana, mine).await;
    fixture.change(&caller, PASSWORD, NEW).await.unwrap();
    assert_eq!(fixture.sessions(ana).await, [mine], "not {other}");
    assert!(fixture.prove("ana", PASSWORD, None).await.is_err());
    assert!(fixture.prove("ana", NEW, None).await.is_ok());
    assert!(
        fixture
            .identity
            .passwords()
            .waiting_for(fixture.permit(ReadResetLink { link: link.clone() }).await)
            .await
            .unwrap()
            .is_some(),
        "whoever knows the password voids no link of its owner"
    );
    assert_eq!(
        told(&fixture.mails().await),
        [("ana@example.org".to_owned(), MailKind::PasswordChanged)]
    );
    let events = fixture.events().await;
    let event = events
        .iter()
        .rev()
        .find(|event| event.kind == EventKind::PasswordSet)
        .unwrap();
    assert_eq!(
        (event.user, event.detail["ended-sessions"].as_u64()),
        (Some(ana), Some(1))
    );
}

#[tokio::test]
async fn whoever_does_not_know_the_current_password_changes_nothing_and_is_counted() {
    let fixture = Fixture::with(limits(3)).await;
    let ana = fixture.user("ana").await;
    let caller = fixture.person_with(ana, fixture.session(ana).await).await;
    for wrong in ["wrong horse", "", NEW] {
        assert!(
            matches!(
                fixture.change(&caller, wrong, NEW).await,
                Err(PasswordProblem::WrongCurrent)
            ),
            "{wrong}"
        );
        assert_eq!(fixture.last_failure().await, "wrong-password");
    }
    let limited = fixture.change(&caller, PASSWORD, NEW).await;
    assert!(
        matches!(limited, Err(PasswordProblem::Refused(refusal)) if refusal.kind == RefusalKind::Limited { retry_after_seconds: 300 })
    );
    fixture.clock.advance_seconds(300);
    assert!(fixture.prove("ana", PASSWORD, None).await.is_ok());
    assert!(fixture.mails().await.is_empty());
}

#[tokio::test]
async fn an_unsuitable_password_is_told_why() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let caller = fixture.person_with(ana, fixture.session(ana).await).await;
    for (unsuitable, why) in [
        ("short", "8 to 1024"),
        ("ana@example.org", "easy to guess"),
        ("pypi.example.org", "easy to guess"),
        ("iloveyou12", "easy to guess"),
    ] {
        let problem = fixture
            .change(&caller, PASSWORD, unsuitable)
            .await
            .unwrap_err();
        assert!(
            matches!(&problem, PasswordProblem::Unsuitable(_)) && problem.to_string().contains(why),
            "{unsuitable}: {problem}"
        );
    }
}

#[tokio::test]
async fn a_disabled_password_is_no_current_one() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let caller = fixture.person_with(ana, fixture.session(ana).await).await;
    fixture.disable_password(ana).await;
    for password in [PASSWORD, "wrong horse"] {
        assert!(
            matches!(
                fixture.change(&caller, password, NEW).await,
                Err(PasswordProblem::Disabled)
            ),
            "{password}"
        );
    }
    assert!(fixture.prove("ana", NEW, None).await.is_err());
}

/// If no policy could permit it, a token or a stranger learns nothing about a password.
#[tokio::test]
async fn only_a_person_who_is_logged_in_changes_a_password() {
    let fixture = Fixture::new().await;
    fixture.user("ana").await;
    let token = fixture.token("ana", NewTokenScope::Account).await;
    let with_token = fixture.present_token(&token).await.unwrap();
    let mut answers = Vec::new();
    for (caller, current) in [
        (&with_token, PASSWORD),
        (&with_token, "wrong horse"),
        (&Caller::anonymous(), PASSWORD),
        (&Caller::anonymous(), "x"),
    ] {
        match fixture.change(caller, current, NEW).await {
            Err(PasswordProblem::Refused(refusal)) => answers.push((refusal.kind, refusal.reasons)),
            other => panic!("{other:?}"),
        }
    }
    assert!(
        answers.windows(2).all(|pair| pair[0] == pair[1]),
        "{answers:?}"
    );
    assert!(
        fixture
            .present_password("ana", PASSWORD, Action::FileUpload)
            .await
            .is_ok()
    );
}

/// An attacker has the password and is about to change it when its owner sets a new one.
#[tokio::test]
async fn a_reset_that_comes_between_proof_and_change_wins() {
    let until = Arc::new(Semaphore::new(0));
    let service = Service::start(Reply::Late(Arc::clone(&until), String::new())).await;
    let breaches = BreachConfig {
        base_url: Some(service.url.clone()),
        timeout: Duration::from_secs(60),
        ..BreachConfig::default()
    };
    let fixture = Arc::new(Fixture::configured("", |config| config.breaches = breaches).await);
    let ana = fixture.user("ana").await;
    let caller = fixture.person_with(ana, fixture.session(ana).await).await;
    let link = fixture.reset_link("ana").await;
    let changing = tokio::spawn({
        let fixture = Arc::clone(&fixture);
        async move { fixture.change(&caller, PASSWORD, NEW).await }
    });
    // The change has verified the old password when it checks the new one for breaches.
    while service.asked().is_empty() {
        tokio::task::yield_now().await;
    }
    service.answers(Reply::Body(String::new()));
    fixture
        .identity
        .passwords()
        .reset(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            &link,
            secret("another password"),
        )
        .await
        .unwrap();
    until.add_permits(1);
    assert!(matches!(
        changing.await.unwrap(),
        Err(PasswordProblem::WrongCurrent)
    ));
    assert!(
        fixture
            .storage
            .user(ana)
            .await
            .unwrap()
            .unwrap()
            .password_hash
            .is_some()
    );
    assert!(fixture.prove("ana", "another password", None).await.is_ok());
}

#[tokio::test]
async fn a_copy_of_the_session_s_cookie_does_not_survive_the_new_password() {
    let fixture = Fixture::new().await;
    fixture.user("ana").await;
    let session = fixture.logged_in("ana").await;
    fixture.clock.advance_seconds(3600);
    let caller = fixture.present_session(&session.secret).await;
    let renewed = fixture
        .identity
        .passwords()
        .change(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            &caller,
            secret(PASSWORD),
            secret(NEW),
            None,
        )
        .await
        .unwrap()
        .unwrap();
    assert_eq!(fixture.present_session(&session.secret).await.session, None);
    let caller = fixture.present_session(&renewed.secret).await;
    assert_eq!(
        (caller.session, renewed.session),
        (Some(session.session), session.session),
        "it is the same session"
    );
    assert_eq!(caller.assurance.password_at, Some(fixture.clock.now()));
    assert_eq!(
        (renewed.expires_at, renewed.device),
        (session.expires_at, None)
    );
}

#[tokio::test]
async fn strangers_who_fail_do_not_keep_anybody_from_changing_the_password() {
    let fixture = Fixture::with(limits(3)).await;
    fixture.user("ana").await;
    let session = fixture.logged_in("ana").await;
    for _ in 0..4 {
        fixture.log_in("ana", "guess", None).await.unwrap_err();
    }
    let caller = fixture.present_session(&session.secret).await;
    fixture.change(&caller, PASSWORD, NEW).await.unwrap();
}
