use gate::RefusalKind;
use identity::{
    Account, EndSession, EndSessions, ListSessions, Presented, ReadResetLink, RequestContext,
    Secret, SecureAccount, StartedSession,
};
use model::audit::EventKind;
use model::mail::{MailField, MailKind};
use model::{Action, Caller, CredentialKind, Factor, FactorUse, Principal, UserId};

use crate::fixture::{Fixture, NOW, PASSWORD, limits, pending, started};
use crate::mails::link_in;

const HOUR: i64 = 3600;

impl Fixture {
    pub(crate) async fn lives(&self, session: &StartedSession) -> bool {
        self.present_session(&session.secret).await.session == Some(session.session)
    }

    async fn step_up_with_password(
        &self,
        session: &StartedSession,
        password: &str,
    ) -> Result<StartedSession, gate::Refusal> {
        let caller = self.present_session(&session.secret).await;
        let password = Secret::new(password.to_owned());
        self.identity
            .step_ups()
            .with_password(
                RequestContext::new(&self.gate, &self.attempt()),
                &caller,
                session.secret.expose(),
                password,
            )
            .await
    }

    async fn step_up_with_totp(
        &self,
        session: &StartedSession,
        code: &str,
    ) -> Result<StartedSession, gate::Refusal> {
        let caller = self.present_session(&session.secret).await;
        self.identity
            .step_ups()
            .with_totp(
                RequestContext::new(&self.gate, &self.attempt()),
                &caller,
                session.secret.expose(),
                code,
            )
            .await
    }

    /// The user's live sessions.
    async fn list(&self, user: UserId) -> Vec<identity::ListedSession> {
        self.identity
            .sessions()
            .list(
                self.permit(ListSessions {
                    account: Account::at_the_server(user),
                })
                .await,
            )
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn a_session_ends_when_it_is_not_used_and_at_its_end_however_it_is_used() {
    let fixture = Fixture::new().await;
    fixture.user("ana").await;
    let session = fixture.logged_in("ana").await;
    fixture.clock.advance_seconds(12 * HOUR - 1);
    assert!(fixture.lives(&session).await);
    fixture.clock.advance_seconds(12 * HOUR - 1);
    assert!(fixture.lives(&session).await, "its use put the end off");
    fixture.clock.advance_seconds(12 * HOUR);
    assert!(!fixture.lives(&session).await);

    let session = fixture.logged_in("ana").await;
    for _ in 0..59 {
        fixture.clock.advance_seconds(12 * HOUR - 1);
        assert!(fixture.lives(&session).await);
    }
    fixture.clock.advance_seconds(59);
    assert!(fixture.lives(&session).await);
    fixture.clock.advance_seconds(12 * HOUR - 1);
    assert!(!fixture.lives(&session).await, "thirty days are over");
}

#[tokio::test]
async fn a_session_that_ended_is_nobody_and_no_failure() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let session = fixture.logged_in("ana").await;
    fixture
        .identity
        .sessions()
        .end(
            fixture
                .permit(EndSession {
                    account: Account::at_the_server(ana),
                    session: session.session,
                })
                .await,
        )
        .await
        .unwrap();
    let before = fixture.events().await.len();
    for secret in [session.secret.expose().as_str(), &"A".repeat(43), "x", ""] {
        let caller = fixture
            .present(
                Presented::None.with_session_cookie(Some(secret)),
                Action::AccountRead,
            )
            .await
            .unwrap();
        assert_eq!(caller, Caller::anonymous());
    }
    assert_eq!(fixture.events().await.len(), before);
}

#[tokio::test]
async fn a_session_of_a_user_who_was_disabled_counts_no_more() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let session = fixture.logged_in("ana").await;
    let disable = identity::DisableUser {
        user: ana,
        reason: "test".into(),
    };
    fixture
        .identity
        .accounts()
        .disable(fixture.permit(disable).await)
        .await
        .unwrap();
    assert!(!fixture.lives(&session).await);
    fixture
        .step_up_with_password(&session, PASSWORD)
        .await
        .unwrap_err();
}

#[tokio::test]
async fn each_login_has_a_secret_of_its_own_and_none_is_what_was_presented() {
    let fixture = Fixture::new().await;
    fixture.user("ana").await;
    let [first, second] = [
        fixture.logged_in("ana").await,
        fixture.logged_in("ana").await,
    ];
    assert_ne!(first.secret, second.secret);
    assert_ne!(first.session, second.session);
    // A foreign session secret or a made-up device cookie is never adopted.
    let planted = "A".repeat(43);
    for device in [first.secret.expose().as_str(), &planted] {
        let started = started(fixture.log_in("ana", PASSWORD, Some(device)).await.unwrap());
        assert!(started.secret.expose() != device && started.device.unwrap().expose() != device);
    }
    assert!(fixture.lives(&first).await && fixture.lives(&second).await);
}

#[tokio::test]
async fn sessions_are_listed_and_ended_by_their_owner_alone() {
    let fixture = Fixture::new().await;
    let [ana, ben] = [fixture.user("ana").await, fixture.user("ben").await];
    let first = fixture.logged_in("ana").await;
    fixture.clock.advance_seconds(1);
    let [second, third] = [
        fixture.logged_in("ana").await,
        fixture.logged_in("ana").await,
    ];
    let foreign = fixture.logged_in("ben").await;
    let listed = fixture.list(ana).await;
    assert_eq!(listed.len(), 3);
    assert_eq!(listed[2].id, first.session, "the newest is first");
    assert_eq!(
        (
            listed[0].remote_address.as_str(),
            listed[0].device.as_str(),
            listed[0].factor
        ),
        ("192.0.2.1", "an unknown program", None)
    );

    let end = async |user, session: &StartedSession| {
        fixture
            .identity
            .sessions()
            .end(
                fixture
                    .permit(EndSession {
                        account: Account::at_the_server(user),
                        session: session.session,
                    })
                    .await,
            )
            .await
            .unwrap()
    };
    assert!(
        !end(ben, &first).await,
        "another one's session does not exist"
    );
    assert!(fixture.lives(&first).await);
    assert!(end(ana, &first).await);
    assert!(!end(ana, &first).await);
    assert!(!fixture.lives(&first).await && fixture.lives(&second).await);
    let others = EndSessions {
        account: Account::at_the_server(ana),
        except: Some(second.session),
    };
    assert_eq!(
        fixture
            .identity
            .sessions()
            .end_all(fixture.permit(others).await)
            .await
            .unwrap(),
        1
    );
    assert!(
        fixture.lives(&second).await
            && !fixture.lives(&third).await
            && fixture.lives(&foreign).await
    );
    let ended = fixture
        .events()
        .await
        .into_iter()
        .filter(|event| event.kind == EventKind::SessionEnded)
        .count();
    assert_eq!(ended, 2, "what ended nothing is no event");
}

#[tokio::test]
async fn a_step_up_renews_what_was_proven_and_the_secret() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let session = fixture.logged_in("ana").await;
    let secret = fixture.enroll(ana).await;
    fixture.clock.advance_seconds(HOUR);
    let code = fixture.code(&secret, 0);
    let risen = fixture.step_up_with_totp(&session, &code).await.unwrap();
    assert_eq!(
        (risen.session, risen.expires_at, &risen.device),
        (session.session, session.expires_at, &None)
    );
    assert_ne!(risen.secret, session.secret);
    assert_eq!(
        fixture.present_session(&session.secret).await,
        Caller::anonymous(),
        "the cookie from before counts no more"
    );
    let assurance = fixture.present_session(&risen.secret).await.assurance;
    let at = NOW.plus_ms(HOUR * 1000);
    assert_eq!(
        (assurance.password_at, assurance.second_factor),
        (
            Some(NOW),
            Some(FactorUse {
                factor: Factor::Totp,
                at
            })
        )
    );
    fixture.clock.advance_seconds(60);
    let again = fixture
        .step_up_with_password(&risen, PASSWORD)
        .await
        .unwrap();
    let assurance = fixture.present_session(&again.secret).await.assurance;
    assert_eq!(
        (assurance.password_at, assurance.second_factor),
        (
            Some(at.plus_ms(60_000)),
            Some(FactorUse {
                factor: Factor::Totp,
                at
            })
        )
    );
    let methods: Vec<_> = fixture
        .events()
        .await
        .into_iter()
        .filter(|event| event.kind == EventKind::SessionSteppedUp)
        .map(|event| event.detail["method"].clone())
        .collect();
    assert_eq!(methods, ["totp", "password"]);
}

#[tokio::test]
async fn a_failed_step_up_leaves_the_session_and_is_counted() {
    let fixture = Fixture::with(limits(3)).await;
    let ana = fixture.user("ana").await;
    let session = fixture.logged_in("ana").await;
    let secret = fixture.enroll(ana).await;
    let code = fixture.code(&secret, 0);
    let risen = fixture.step_up_with_totp(&session, &code).await.unwrap();
    for wrong in ["000", &code, ""] {
        let refusal = fixture.step_up_with_totp(&risen, wrong).await.unwrap_err();
        assert_eq!(
            (refusal.kind, refusal.reasons[0].code.as_str()),
            (RefusalKind::Denied, "wrong-code")
        );
    }
    assert!(matches!(
        fixture
            .step_up_with_totp(&risen, &fixture.code(&secret, 1))
            .await
            .unwrap_err()
            .kind,
        RefusalKind::Limited { .. }
    ));
    for _ in 0..3 {
        assert_eq!(
            fixture
                .step_up_with_password(&risen, "wrong horse")
                .await
                .unwrap_err()
                .reasons[0]
                .code,
            "wrong-password"
        );
    }
    assert!(matches!(
        fixture
            .step_up_with_password(&risen, PASSWORD)
            .await
            .unwrap_err()
            .kind,
        RefusalKind::Limited { .. }
    ));
    assert!(fixture.lives(&risen).await);
}

#[tokio::test]
async fn a_step_up_needs_the_cookie_of_ones_own_session() {
    let fixture = Fixture::new().await;
    let [ana, _] = [fixture.user("ana").await, fixture.user("ben").await];
    let [session, second, foreign] = [
        fixture.logged_in("ana").await,
        fixture.logged_in("ana").await,
        fixture.logged_in("ben").await,
    ];
    let caller = fixture.present_session(&session.secret).await;
    let without = Caller {
        session: None,
        ..caller.clone()
    };
    let Principal::User(_) = caller.principal else {
        panic!("nobody")
    };
    for (caller, cookie) in [
        (&caller, second.secret.expose().as_str()),
        (&caller, foreign.secret.expose()),
        (&caller, ""),
        (&without, session.secret.expose()),
        (&Caller::anonymous(), session.secret.expose()),
    ] {
        let password = Secret::new(PASSWORD.to_owned());
        let refusal = fixture
            .identity
            .step_ups()
            .with_password(
                RequestContext::new(&fixture.gate, &fixture.attempt()),
                caller,
                cookie,
                password,
            )
            .await
            .unwrap_err();
        assert_eq!(refusal.reasons[0].code, "session-ended");
    }
    assert_eq!(fixture.list(ana).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_step_ups_at_once_one_has_the_session() {
    let fixture = std::sync::Arc::new(Fixture::new().await);
    fixture.user("ana").await;
    let session = fixture.logged_in("ana").await;
    let steps: Vec<_> = (0..8)
        .map(|_| {
            let (fixture, session) = (fixture.clone(), session.clone());
            tokio::spawn(
                async move { fixture.step_up_with_password(&session, PASSWORD).await.ok() },
            )
        })
        .collect();
    let mut risen = Vec::new();
    for step in steps {
        risen.extend(step.await.unwrap());
    }
    assert_eq!(risen.len(), 1);
    assert!(fixture.lives(&risen[0]).await && !fixture.lives(&session).await);
}

#[tokio::test]
async fn this_was_not_me_ends_everything_that_lets_somebody_in() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let session = fixture.logged_in("ana").await;
    let device = session.device.clone().unwrap();
    let token = fixture.token("ana", identity::NewTokenScope::Account).await;
    fixture.present_token(&token).await.unwrap();
    let secret = fixture.enroll(ana).await;
    let waiting = pending(
        fixture
            .log_in("ana", PASSWORD, Some(device.expose()))
            .await
            .unwrap(),
    );
    fixture.mails().await;
    fixture
        .identity
        .accounts()
        .secure(
            fixture
                .permit(SecureAccount {
                    account: Account::at_the_server(ana),
                })
                .await,
        )
        .await
        .unwrap();

    assert!(!fixture.lives(&session).await);
    fixture.present_token(&token).await.unwrap_err();
    fixture.log_in("ana", PASSWORD, None).await.unwrap_err();
    assert_eq!(fixture.last_failure().await, "password-disabled");
    assert_eq!(
        fixture
            .identity
            .logins()
            .pending(waiting.expose())
            .await
            .unwrap(),
        None
    );
    let refusal = fixture
        .identity
        .logins()
        .with_totp(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            waiting.expose(),
            &fixture.code(&secret, 0),
            None,
        )
        .await
        .unwrap_err();
    assert_eq!(refusal.reasons[0].code, "login-expired");

    let mail = fixture.mail().await;
    assert_eq!(
        (mail.mail.kind, mail.recipient.as_str()),
        (MailKind::AccountSecured, "ana@example.org")
    );
    assert_eq!(mail.mail.field(MailField::UserName), "ana");
    let link = link_in(&mail, "/password/reset");
    let event = fixture
        .events()
        .await
        .into_iter()
        .find(|event| event.kind == EventKind::AccountSecured)
        .unwrap();
    assert_eq!(
        (
            event.detail["sessions"].as_u64(),
            event.detail["tokens"].as_u64()
        ),
        (Some(1), Some(1))
    );
    assert!(!event.detail.to_string().contains(&link));

    // The way back: the mailed link, and a browser that is unknown again.
    let new = Secret::new("a new and better horse 7!".to_owned());
    fixture
        .identity
        .passwords()
        .reset(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            &link,
            new.clone(),
        )
        .await
        .unwrap();
    let waiting = pending(
        fixture
            .log_in("ana", new.expose(), Some(device.expose()))
            .await
            .unwrap(),
    );
    let step = fixture
        .identity
        .logins()
        .with_totp(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            waiting.expose(),
            &fixture.code(&secret, 0),
            Some(device.expose()),
        )
        .await;
    assert!(matches!(
        step,
        Ok(identity::LoginStep::ConfirmDevice { .. })
    ));
}

#[tokio::test]
async fn who_knows_the_password_voids_no_link_for_a_new_one() {
    let fixture = Fixture::new().await;
    fixture.user("ana").await;
    fixture
        .identity
        .passwords()
        .request_reset(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            "ana",
        )
        .await
        .unwrap();
    let link = link_in(&fixture.mail().await, "/password/reset");
    assert!(
        fixture
            .identity
            .passwords()
            .waiting_for(fixture.permit(ReadResetLink { link: link.clone() }).await)
            .await
            .unwrap()
            .is_some()
    );
    let thief = fixture.logged_in("ana").await;
    let caller = fixture.present_session(&thief.secret).await;
    let [old, new] = [PASSWORD, "a thief's own horse 7!"].map(|text| Secret::new(text.to_owned()));
    fixture
        .identity
        .passwords()
        .change(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            &caller,
            old,
            new,
            None,
        )
        .await
        .unwrap();
    assert!(
        fixture
            .identity
            .passwords()
            .waiting_for(fixture.permit(ReadResetLink { link: link.clone() }).await)
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn what_ended_is_forgotten_and_what_lives_is_not() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    fixture.logged_in("ana").await;
    fixture.enroll(ana).await;
    pending(fixture.log_in("ana", PASSWORD, None).await.unwrap());
    assert_eq!(
        fixture
            .identity
            .sessions()
            .forget_what_ended()
            .await
            .unwrap(),
        0
    );
    fixture.clock.advance_seconds(12 * HOUR);
    assert_eq!(
        fixture
            .identity
            .sessions()
            .forget_what_ended()
            .await
            .unwrap(),
        2
    );
    assert_eq!(
        fixture
            .present(Presented::None, Action::AccountRead)
            .await
            .unwrap()
            .credential,
        CredentialKind::None
    );
}

#[tokio::test]
async fn a_log_in_ends_the_session_that_the_browser_had() {
    let fixture = Fixture::new().await;
    fixture.user("ana").await;
    fixture.user("ben").await;
    let [first, other] = [
        fixture.logged_in("ana").await,
        fixture.logged_in("ana").await,
    ];
    let had = fixture.present_session(&first.secret).await;
    let second = fixture.logged_in("ben").await;
    fixture
        .identity
        .sessions()
        .end_replaced(&fixture.attempt(), &had, &second)
        .await
        .unwrap();
    assert!(
        !fixture.lives(&first).await && fixture.lives(&second).await && fixture.lives(&other).await
    );
    fixture
        .identity
        .sessions()
        .end_replaced(&fixture.attempt(), &Caller::anonymous(), &second)
        .await
        .unwrap();
    assert!(fixture.lives(&second).await);
    let event = fixture
        .events()
        .await
        .into_iter()
        .rfind(|event| event.kind == EventKind::SessionEnded)
        .unwrap();
    assert_eq!(
        (event.user, event.detail["session"].as_str()),
        (
            had.user().map(|user| user.id),
            Some(&*first.session.to_string())
        )
    );
}

#[tokio::test]
async fn strangers_who_fail_do_not_keep_anybody_from_a_step_up() {
    let fixture = Fixture::with(limits(3)).await;
    fixture.user("ana").await;
    let session = fixture.logged_in("ana").await;
    for _ in 0..4 {
        fixture.log_in("ana", "guess", None).await.unwrap_err();
    }
    fixture
        .step_up_with_password(&session, PASSWORD)
        .await
        .unwrap();
}
