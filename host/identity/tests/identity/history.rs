use identity::{
    Account, EndSessions, History, HistoryEntry, ListTokens, NewTokenScope, Presented, ReadHistory,
    RequestContext, Secret,
};
use model::audit::{Actor, AuditEvent, Detail, EventKind};
use model::{Action, DecisionId, UserId};
use serde_json::{Value, json};

use crate::fixture::{Fixture, PASSWORD, pending};

impl Fixture {
    async fn history(&self, user: UserId, before: Option<i64>, limit: u32) -> History {
        self.identity
            .histories()
            .of(
                self.permit(ReadHistory {
                    account: Account::at_the_server(user),
                })
                .await,
                before,
                limit,
            )
            .await
            .unwrap()
    }

    /// Every event as an entry of its own.
    async fn told_events(&self, user: UserId) -> Vec<HistoryEntry> {
        self.identity
            .histories()
            .events(
                self.permit(ReadHistory {
                    account: Account::at_the_server(user),
                })
                .await,
                None,
                500,
            )
            .await
            .unwrap()
            .entries
    }

    /// Records an event of this user's browser.
    async fn record(&self, user: UserId, kind: EventKind, decision: DecisionId, detail: Value) {
        let actor = Actor::Caller {
            user: Some(user),
            token: None,
            remote_address: "192.0.2.1".into(),
            user_agent: "test".into(),
        };
        let event = AuditEvent {
            actor,
            user: Some(user),
            decision: Some(decision),
            detail: Detail::read(kind, &detail),
            ..self.some_event()
        };
        self.storage.record_event(&event).await.unwrap();
    }

    async fn sentences(&self, user: UserId) -> Vec<(String, bool)> {
        self.history(user, None, 100)
            .await
            .entries
            .into_iter()
            .map(|entry| (entry.sentence, entry.alarming))
            .collect()
    }

    /// The newest entry.
    async fn newest(&self, user: UserId) -> HistoryEntry {
        self.history(user, None, 1).await.entries.remove(0)
    }
}

#[tokio::test]
async fn a_person_reads_what_happened_in_plain_sentences() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let attempt = fixture.gate.begin(
        "/login",
        gate::Method::Post,
        "198.51.100.7".parse().unwrap(),
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0",
    );
    let log_in = async |password: &str| {
        fixture
            .identity
            .logins()
            .with_password(
                RequestContext::new(&fixture.gate, &attempt),
                "ana",
                Secret::new(password.to_owned()),
                None,
            )
            .await
    };
    log_in("wrong horse").await.unwrap_err();
    let failed = fixture.newest(ana).await;
    assert_eq!(
        (failed.sentence.as_str(), failed.alarming),
        ("A wrong password was used for logging in.", true)
    );
    assert_eq!(
        (
            failed.remote_address.as_deref(),
            failed.device.as_deref(),
            failed.kind
        ),
        (
            Some("198.51.100.7"),
            Some("Firefox on Linux"),
            "authentication:failed"
        )
    );

    log_in(PASSWORD).await.unwrap();
    let logged_in = fixture.newest(ana).await;
    assert_eq!(
        (logged_in.sentence.as_str(), logged_in.alarming),
        (
            "You logged in by password alone, from a new browser.",
            false
        )
    );

    let token = fixture.token("ana", NewTokenScope::Account).await;
    fixture.present_token(&token).await.unwrap();
    let used = fixture.newest(ana).await;
    assert!(
        used.sentence.starts_with("The API token “token ")
            && used.sentence.ends_with("” was used for uploading a file."),
        "{}",
        used.sentence
    );
    let caller = fixture
        .present(
            identity::Presented::Token(Secret::new(token)),
            Action::TokenCreate,
        )
        .await
        .unwrap();
    let target = identity::ListTokens {
        account: Account::at_the_server(ana),
    };
    fixture
        .gate
        .decide(&fixture.attempt(), &caller, target)
        .await
        .unwrap_err();
    let misused = fixture.newest(ana).await;
    assert!(
        misused.alarming
            && misused
                .sentence
                .contains("was used for listing API tokens, which was refused"),
        "{}",
        misused.sentence
    );

    fixture.enroll(ana).await;
    let enrolled = fixture.newest(ana).await;
    assert_eq!(
        enrolled.sentence,
        "A one-time password app was added as a second factor. An operator of the registry did this."
    );
    assert_eq!((enrolled.remote_address, enrolled.device), (None, None));
    let waiting = pending(fixture.log_in("ana", PASSWORD, None).await.unwrap());
    fixture
        .identity
        .logins()
        .with_totp(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            waiting.expose(),
            "000",
            None,
        )
        .await
        .unwrap_err();
    let sentences: Vec<_> = fixture
        .history(ana, None, 2)
        .await
        .entries
        .into_iter()
        .map(|entry| (entry.sentence, entry.alarming))
        .collect();
    assert_eq!(
        sentences,
        [
            (
                "A wrong one-time code was used for logging in.".to_owned(),
                true
            ),
            (
                "The correct password was entered; the second factor was requested.".to_owned(),
                false
            ),
        ]
    );
    fixture
        .identity
        .sessions()
        .end_all(
            fixture
                .permit(EndSessions {
                    account: Account::at_the_server(ana),
                    except: None,
                })
                .await,
        )
        .await
        .unwrap();
    assert!(
        fixture
            .newest(ana)
            .await
            .sentence
            .starts_with("Another session was ended.")
    );
}

#[tokio::test]
async fn the_history_is_paged_without_a_gap() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    fixture.user("ben").await;
    for _ in 0..7 {
        fixture.logged_in("ana").await;
        fixture.logged_in("ben").await;
    }
    let whole = fixture.history(ana, None, 100).await;
    assert_eq!(whole.next, None);
    assert!(
        whole
            .entries
            .windows(2)
            .all(|pair| pair[0].sequence > pair[1].sequence)
    );
    assert_eq!(
        whole
            .entries
            .iter()
            .filter(|entry| entry.kind == "session:started")
            .count(),
        7
    );
    let (mut paged, mut before) = (Vec::new(), None);
    loop {
        let page = fixture.history(ana, before, 3).await;
        assert!(page.entries.len() <= 3);
        paged.extend(page.entries);
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(paged, whole.entries);
}

#[tokio::test]
async fn where_another_person_was_is_not_told() {
    let fixture = Fixture::new().await;
    let [ana, staff] = [fixture.user("ana").await, fixture.user("boss").await];
    let event = model::audit::AuditEvent {
        detail: Detail::read(EventKind::RecoveryStarted, &json!({})),
        actor: model::audit::Actor::Caller {
            user: Some(staff),
            token: None,
            remote_address: "203.0.113.9".into(),
            user_agent: "Mozilla/5.0 Firefox/140.0".into(),
        },
        user: Some(ana),
        ..fixture.some_event()
    };
    fixture.storage.record_event(&event).await.unwrap();
    let entry = fixture.newest(ana).await;
    assert_eq!(
        (entry.remote_address, entry.device, entry.alarming),
        (None, None, true)
    );
    let own = fixture.newest(staff).await;
    assert_eq!(own.sentence, "You started the recovery of another account.");
    assert_eq!(
        (own.remote_address.as_deref(), own.detail),
        (Some("203.0.113.9"), serde_json::json!({}))
    );
}

#[tokio::test]
async fn a_token_where_it_should_not_be_is_told_once_and_as_what_it_is() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let token = fixture.token("ana", NewTokenScope::Account).await;
    let before = fixture.history(ana, None, 100).await.entries.len();
    let attempt = fixture.attempt();
    let presented = Presented::Token(Secret::new(token));
    let caller = fixture
        .identity
        .authenticate(
            RequestContext::new(&fixture.gate, &attempt),
            presented,
            Action::TokenList,
        )
        .await
        .unwrap();
    fixture
        .gate
        .decide(
            &attempt,
            &caller,
            ListTokens {
                account: Account::at_the_server(ana),
            },
        )
        .await
        .unwrap_err();

    let told = fixture.history(ana, None, 100).await.entries;
    assert_eq!(told.len(), before + 1, "{told:#?}");
    assert!(
        told[0].alarming
            && told[0]
                .sentence
                .contains("was used for listing API tokens, which was refused: "),
        "{}",
        told[0].sentence
    );
    let code = told[0].detail["code"].as_str().unwrap();
    assert!(!told[0].sentence.contains(code), "{code} is for programs");
    assert_eq!(told[0].kinds, ["request:refused"]);

    let events = fixture.told_events(ana).await;
    assert_eq!(
        [events[0].kind, events[1].kind],
        ["request:refused", "authentication:succeeded"],
        "the record has both"
    );
    assert_eq!(events[0].detail["code"], code);
}

#[tokio::test]
async fn an_upload_is_one_line() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let [upload, between] = [DecisionId::new(), DecisionId::new()];
    fixture
        .record(
            ana,
            EventKind::AuthenticationSucceeded,
            upload,
            json!({ "method": "api-token", "action": "file:upload" }),
        )
        .await;
    fixture
        .record(
            ana,
            EventKind::SessionSteppedUp,
            between,
            json!({ "method": "totp" }),
        )
        .await;
    fixture
        .record(
            ana,
            EventKind::FileUploaded,
            upload,
            json!({ "file": "demo-1.0.tar.gz" }),
        )
        .await;
    let told = fixture.sentences(ana).await;
    assert_eq!(told[0].0, "demo-1.0.tar.gz was uploaded to a project.");
    assert_eq!(
        told[1].0,
        "The second factor was confirmed again in a session, with a one-time code."
    );
    assert!(!told[2].0.contains("uploading"), "{told:?}");
}

#[tokio::test]
async fn a_login_in_two_steps_is_told_once_and_one_that_stops_in_between_too() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let secret = fixture.enroll(ana).await;
    fixture
        .log_in("ana", "wrong horse", None)
        .await
        .unwrap_err();
    let begun = pending(fixture.log_in("ana", PASSWORD, None).await.unwrap());
    let code = fixture.code(&secret, 0);
    fixture
        .identity
        .logins()
        .with_totp(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            begun.expose(),
            &code,
            None,
        )
        .await
        .unwrap();
    let told = fixture.sentences(ana).await;
    assert!(told[0].0.contains("from an unknown browser"), "{told:?}");
    assert_eq!(
        told[1].0, "A wrong password was used for logging in.",
        "the first step is told with the second one"
    );
    let _ = pending(fixture.log_in("ana", PASSWORD, None).await.unwrap());
    assert_eq!(
        fixture.sentences(ana).await[0].0,
        "The correct password was entered; the second factor was requested."
    );
}

#[tokio::test]
async fn a_password_from_a_breach_is_one_true_line() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let decision = DecisionId::new();
    let (before, events) = (
        fixture.sentences(ana).await.len(),
        fixture.told_events(ana).await.len(),
    );
    fixture
        .record(
            ana,
            EventKind::PasswordBreached,
            decision,
            json!({ "action": "session:start" }),
        )
        .await;
    fixture
        .record(
            ana,
            EventKind::PasswordDisabled,
            decision,
            json!({ "because": "a policy demanded it" }),
        )
        .await;
    fixture
        .record(
            ana,
            EventKind::MailRequested,
            decision,
            json!({ "mail": "password-breached" }),
        )
        .await;
    let refused = json!({ "action": "session:start", "code": "password-breached", "message": "It is known.", "credential": "session" });
    fixture
        .record(ana, EventKind::RequestRefused, decision, refused)
        .await;
    let told = fixture.sentences(ana).await;
    let expected = "The correct password was used for logging in, but it is known from a breach of another service: it was disabled, and a mail explains how to set a new one.";
    assert_eq!(
        (told.len(), &told[0]),
        (before + 1, &(expected.to_owned(), true))
    );
    assert_eq!(fixture.told_events(ana).await.len(), events + 4);
}

#[tokio::test]
async fn to_be_asked_for_a_proof_is_nothing_to_be_afraid_of() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    for (requires, expected) in [
        (
            "second-factor-within",
            "You were asked to confirm your second factor again before adding a second factor.",
        ),
        (
            "password-within",
            "You were asked to enter your password again before adding a second factor.",
        ),
        (
            "enrolled-second-factor",
            "You were asked to add a second factor before adding a second factor.",
        ),
    ] {
        let detail = json!({ "action": "factor:enroll", "code": "some-code", "message": "No.", "requires": [requires], "credential": "session" });
        let before = fixture.sentences(ana).await;
        for _page_and_form in 0..2 {
            fixture
                .record(
                    ana,
                    EventKind::RequestRefused,
                    DecisionId::new(),
                    detail.clone(),
                )
                .await;
        }
        let told = fixture.sentences(ana).await;
        assert_eq!(told[0], (expected.to_owned(), false));
        assert_eq!(told[1..], before, "one act of the person");
    }
}

#[tokio::test]
async fn a_mail_says_which_it_was() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    fixture
        .record(
            ana,
            EventKind::MailRequested,
            DecisionId::new(),
            json!({ "mail": "email-verify", "address": "a@example.org" }),
        )
        .await;
    assert_eq!(
        fixture.newest(ana).await.sentence,
        "A mail with a link to verify the address was sent to a@example.org."
    );
}

/// The password is not checked, and the sender gets the same answer for every name.
#[tokio::test]
async fn a_password_in_a_program_shows_in_the_history_of_whom_it_names() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let before = fixture.sentences(ana).await;
    let mut answers = Vec::new();
    for name in ["ana", "nobody", "ANA", "ana@example.org"] {
        let refusal = fixture
            .present_password(name, PASSWORD, Action::TokenList)
            .await
            .unwrap_err();
        answers.push((refusal.kind, refusal.reasons));
    }
    assert!(
        answers.windows(2).all(|pair| pair[0] == pair[1]),
        "{answers:?}"
    );
    let told = fixture.sentences(ana).await;
    let expected = "Someone sent your user name with a password for listing API tokens; it was refused unread. \
                    If that was a program of yours, take the password out of it and use an API token.";
    assert_eq!(told[0], (expected.to_owned(), false));
    assert_eq!(told[1..], before, "what a program repeats is told once");
    fixture
        .present_password("ana", "x", Action::TokenCreate)
        .await
        .unwrap_err();
    assert_eq!(
        fixture.sentences(ana).await.len(),
        before.len() + 2,
        "another thing is told beside it"
    );
}

#[tokio::test]
async fn however_often_a_program_repeats_itself_the_history_goes_on() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let first = fixture.history(ana, None, 10).await.entries;
    for _ in 0..700 {
        let detail = json!({ "method": "basic-password", "reason": "password-not-accepted", "action": "file:upload" });
        fixture
            .record(
                ana,
                EventKind::AuthenticationFailed,
                DecisionId::new(),
                detail,
            )
            .await;
    }
    fixture
        .record(ana, EventKind::PasswordSet, DecisionId::new(), json!({}))
        .await;
    let (mut told, mut before) = (Vec::new(), None);
    loop {
        let page = fixture.history(ana, before, 1).await;
        told.extend(page.entries);
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    let repeated = told
        .iter()
        .filter(|entry| entry.kind == "authentication:failed")
        .count();
    assert_eq!((told[0].kind, repeated), ("account:password:set", 1));
    assert_eq!(told[2..], first);
}
