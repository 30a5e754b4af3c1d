//! Credentials that come with reads. The set of these tests lets anonymous callers read the
//! index and download nothing.

use gate::{Refusal, RefusalKind, Target, TargetFacts};
use identity::{
    Account, InvalidAuthorization, NewTokenScope, Presented, RequestContext, RevokeToken, Secret,
};
use model::audit::EventKind;
use model::{Action, Caller, UserId};

use crate::fixture::{Fixture, PASSWORD, Recorded, limits};

const OPEN: Action = Action::IndexRead;
const CLOSED: Action = Action::FileDownload;

#[derive(Debug)]
struct Read(Action);

impl Target for Read {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(self.0)
    }
}

fn token(text: &str) -> Result<Presented, InvalidAuthorization> {
    Ok(Presented::Token(Secret::new(text.to_owned())))
}

fn password(user: &str, password: &str) -> Result<Presented, InvalidAuthorization> {
    Ok(Presented::Basic {
        user: user.to_owned(),
        password: Secret::new(password.to_owned()),
    })
}

impl Fixture {
    /// Reads like the pipeline; returns whether it was permitted without the credential.
    async fn read(
        &self,
        presented: Result<Presented, InvalidAuthorization>,
        action: Action,
    ) -> Result<bool, Refusal> {
        let attempt = self.gate.begin(
            "/simple/",
            gate::Method::Get,
            "192.0.2.1".parse().unwrap(),
            "test",
        );
        let (caller, unaccepted) = self
            .identity
            .readers()
            .authenticate(&attempt, presented, action)
            .await;
        match self.gate.decide(&attempt, &caller, Read(action)).await {
            Ok(permit) => {
                let without = permit.is_without_credential();
                self.identity
                    .readers()
                    .permitted(
                        RequestContext::new(&self.gate, &attempt),
                        action,
                        &caller,
                        without,
                        unaccepted.as_ref(),
                    )
                    .await?;
                Ok(without)
            }
            Err(refusal) => Err(self
                .identity
                .readers()
                .refused(
                    RequestContext::new(&self.gate, &attempt),
                    action,
                    &caller,
                    unaccepted.as_ref(),
                    refusal,
                )
                .await),
        }
    }

    async fn revoked(&self, user: UserId, name: &str) -> String {
        let text = self.token(name, NewTokenScope::Account).await;
        let id = self.present_token(&text).await.unwrap().token_id().unwrap();
        self.identity
            .tokens()
            .revoke(
                self.permit(RevokeToken {
                    account: Account::at_the_server(user),
                    token: id,
                })
                .await,
            )
            .await
            .unwrap();
        text
    }

    async fn of_kind(&self, kind: EventKind) -> Vec<Recorded> {
        self.events()
            .await
            .into_iter()
            .filter(|event| event.kind == kind)
            .collect()
    }

    /// The event about a name that was sent with a password, which no request waits for.
    async fn set_aside(&self, count: usize) -> Vec<Recorded> {
        for _ in 0..1000 {
            let events = self.of_kind(EventKind::AuthenticationSetAside).await;
            if events.len() >= count {
                return events;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("there are fewer than {count} such events");
    }
}

#[tokio::test]
async fn what_anybody_may_read_is_read_whatever_comes_with_it() {
    let fixture = Fixture::with(limits(3)).await;
    let ana = fixture.user("ana").await;
    let valid = fixture.token("ana", NewTokenScope::Account).await;
    let revoked = fixture.revoked(ana, "ana").await;
    // Far more refusals than one address may cause.
    for _ in 0..5 {
        for presented in [
            token(&valid),
            token(&revoked),
            token("pypi-nonsense"),
            password("ana", PASSWORD),
            password("ana", "wrong horse"),
            password("nobody", "x"),
            Err(InvalidAuthorization::Several),
            Err(InvalidAuthorization::Malformed),
        ] {
            assert_eq!(fixture.read(presented, OPEN).await, Ok(true));
        }
    }
    assert_eq!(fixture.read(Ok(Presented::None), OPEN).await, Ok(false));
    let events = fixture.events().await;
    assert!(
        events
            .iter()
            .all(|event| event.kind != EventKind::AuthenticationFailed),
        "nothing failed"
    );
    // The limit on refused credentials is unaffected.
    assert_eq!(
        fixture.present_token("pypi-x").await.unwrap_err().kind,
        RefusalKind::Denied
    );
}

#[tokio::test]
async fn a_token_that_a_read_did_without_was_not_used() {
    let fixture = Fixture::new().await;
    fixture.user("ana").await;
    let text = fixture.token("ana", NewTokenScope::Account).await;
    fixture.read(token(&text), OPEN).await.unwrap();
    assert_eq!(
        fixture
            .present_token(&text)
            .await
            .unwrap()
            .token
            .unwrap()
            .last_used_at,
        None
    );
}

#[tokio::test]
async fn the_owner_of_a_name_or_token_that_came_with_a_read_learns_of_it_once_in_an_hour() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let (valid, revoked) = (
        fixture.token("ana", NewTokenScope::Account).await,
        fixture.revoked(ana, "ana").await,
    );
    for _ in 0..3 {
        for presented in [token(&valid), token(&revoked)] {
            fixture.read(presented, OPEN).await.unwrap();
        }
    }
    fixture.set_aside(2).await;
    fixture
        .read(password("ANA", "wrong horse"), OPEN)
        .await
        .unwrap();
    let events = fixture.set_aside(3).await;
    let told: Vec<_> = events
        .iter()
        .map(|event| {
            (
                event.user,
                event.detail["method"].as_str().unwrap(),
                event.detail["reason"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (Some(ana), "api-token", "credential-not-allowed"),
            (Some(ana), "api-token", "revoked-token"),
            (Some(ana), "basic-password", "password-not-accepted"),
        ]
    );
    assert!(
        events
            .iter()
            .all(|event| event.detail["action"] == "index:read"
                && !event.detail.to_string().contains("wrong horse")),
        "{events:?}"
    );
}

/// Whatever the set permits: it would be an oracle, and one hash for each file.
#[tokio::test]
async fn no_password_is_verified_for_a_read() {
    let fixture = Fixture::new().await;
    fixture.user("ana").await;
    for action in [OPEN, CLOSED] {
        let answers = [
            password("ana", PASSWORD),
            password("ana", "wrong horse"),
            password("nobody", PASSWORD),
        ]
        .map(async |presented| {
            let attempt = fixture.attempt();
            let (caller, _) = fixture
                .identity
                .readers()
                .authenticate(&attempt, presented, action)
                .await;
            assert_eq!(caller, Caller::anonymous());
        });
        for answer in answers {
            answer.await;
        }
    }
    assert_eq!(
        fixture.of_kind(EventKind::AuthenticationSucceeded).await,
        []
    );
    assert_eq!(fixture.of_kind(EventKind::AuthenticationFailed).await, []);
}

#[tokio::test]
async fn where_nobody_reads_without_a_credential_a_bad_one_is_told_so_recorded_and_counted() {
    let fixture = Fixture::with(limits(6)).await;
    let ana = fixture.user("ana").await;
    let revoked = fixture.revoked(ana, "ana").await;
    let mut answers = Vec::new();
    for (presented, code, why, user) in [
        (token(&revoked), "invalid-token", "revoked-token", Some(ana)),
        (
            token("pypi-nonsense"),
            "invalid-token",
            "unreadable-token",
            None,
        ),
        (
            password("ana", PASSWORD),
            "password-not-accepted",
            "password-not-accepted",
            Some(ana),
        ),
        (
            password("ana", "wrong horse"),
            "password-not-accepted",
            "password-not-accepted",
            Some(ana),
        ),
        (
            password("nobody", "x"),
            "password-not-accepted",
            "password-not-accepted",
            None,
        ),
        (
            Err(InvalidAuthorization::Malformed),
            "malformed-authorization",
            "malformed-authorization",
            None,
        ),
    ] {
        let refusal = fixture.read(presented, CLOSED).await.unwrap_err();
        assert_eq!(
            (&refusal.kind, refusal.reasons[0].code.as_str()),
            (&RefusalKind::CredentialRequired, code)
        );
        let failed = fixture
            .of_kind(EventKind::AuthenticationFailed)
            .await
            .pop()
            .unwrap();
        assert_eq!(
            (
                failed.detail["reason"].as_str(),
                failed.user,
                failed.decision
            ),
            (Some(why), user, Some(refusal.decision))
        );
        answers.push(refusal.reasons);
    }
    assert!(
        answers[2] == answers[3] && answers[3] == answers[4],
        "right, wrong and unknown are the same"
    );
    assert!(matches!(
        fixture
            .read(token("pypi-x"), CLOSED)
            .await
            .unwrap_err()
            .kind,
        RefusalKind::Limited { .. }
    ));
    // A request without a credential is the first step of every tool, and no failure.
    let nothing = fixture.read(Ok(Presented::None), CLOSED).await.unwrap_err();
    assert_eq!(
        (&nothing.kind, nothing.reasons[0].code.as_str()),
        (&RefusalKind::CredentialRequired, "credential-required")
    );
    let valid = fixture.token("ana", NewTokenScope::Account).await;
    let refusal = fixture.read(token(&valid), CLOSED).await.unwrap_err();
    assert_eq!(
        (&refusal.kind, refusal.reasons[0].code.as_str()),
        (&RefusalKind::Denied, "credential-not-allowed"),
        "a good one that is not enough"
    );
}

#[tokio::test]
async fn a_history_says_in_words_what_came_with_a_read() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let target = fixture
        .identity
        .tokens()
        .to_create(
            fixture.account("ana").await,
            "laptop",
            NewTokenScope::Account,
            None,
            None,
        )
        .await
        .unwrap();
    let text = fixture
        .identity
        .tokens()
        .create(fixture.permit(target).await)
        .await
        .unwrap()
        .text
        .expose()
        .clone();
    fixture.read(token(&text), OPEN).await.unwrap();
    fixture.set_aside(1).await;
    fixture.read(password("ana", "x"), OPEN).await.unwrap();
    fixture.set_aside(2).await;
    let history = fixture
        .identity
        .histories()
        .of(
            fixture
                .permit(identity::ReadHistory {
                    account: Account::at_the_server(ana),
                })
                .await,
            None,
            2,
        )
        .await
        .unwrap();
    let told: Vec<_> = history
        .entries
        .iter()
        .rev()
        .map(|entry| (entry.sentence.as_str(), entry.alarming))
        .collect();
    assert_eq!(
        told,
        [
            (
                "The API token “laptop” was sent for reading the index, which needs no token.",
                false
            ),
            (
                "Someone sent your user name with a password for reading the index, which needs neither; nobody looked whether it is right. \
                 If that was a program of yours, take the password out of it.",
                false
            ),
        ]
    );
}
