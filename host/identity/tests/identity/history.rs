use identity::{EndSessions, History, HistoryEntry, NewTokenScope, ReadHistory, Secret};
use model::{Action, UserId};

use crate::fixture::{Fixture, PASSWORD, pending};

impl Fixture {
    async fn history(&self, user: UserId, before: Option<i64>, limit: u32) -> History {
        self.identity.history(self.permit(ReadHistory { user }).await, before, limit).await.unwrap()
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
    let attempt = fixture.gate.begin("/login", gate::Method::Post, "198.51.100.7".parse().unwrap(), "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0");
    let log_in = async |password: &str| fixture.identity.log_in(&fixture.gate, &attempt, "ana", Secret::new(password.to_owned()), None).await;
    log_in("wrong horse").await.unwrap_err();
    let failed = fixture.newest(ana).await;
    assert_eq!((failed.sentence.as_str(), failed.alarming), ("A wrong password was given for logging in.", true));
    assert_eq!(
        (failed.remote_address.as_deref(), failed.device.as_deref(), failed.kind),
        (Some("198.51.100.7"), Some("Firefox on Linux"), "authentication:failed")
    );

    log_in(PASSWORD).await.unwrap();
    let logged_in = fixture.newest(ana).await;
    assert_eq!((logged_in.sentence.as_str(), logged_in.alarming), ("You logged in by password alone, from a browser that was not known before.", false));

    let token = fixture.token("ana", NewTokenScope::Account).await;
    fixture.present_token(&token).await.unwrap();
    let used = fixture.newest(ana).await;
    assert!(used.sentence.starts_with("The API token “token ") && used.sentence.ends_with("” was used for uploading a file."), "{}", used.sentence);
    let caller = fixture.present(identity::Presented::Token(Secret::new(token)), Action::TokenCreate).await.unwrap();
    let target = identity::ListTokens { user: ana };
    fixture.gate.decide(&fixture.attempt(), &caller, target).await.unwrap_err();
    let misused = fixture.newest(ana).await;
    assert!(misused.alarming && misused.sentence.contains("was used for listing API tokens, which was refused"), "{}", misused.sentence);

    fixture.enroll(ana).await;
    let enrolled = fixture.newest(ana).await;
    assert_eq!(enrolled.sentence, "A one-time password app was added as a second factor. An operator of the registry did this.");
    assert_eq!((enrolled.remote_address, enrolled.device), (None, None));
    let waiting = pending(fixture.log_in("ana", PASSWORD, None).await.unwrap());
    fixture.identity.log_in_with_totp(&fixture.gate, &attempt, waiting.expose(), "000000", None).await.unwrap_err();
    let sentences: Vec<_> = fixture.history(ana, None, 2).await.entries.into_iter().map(|entry| (entry.sentence, entry.alarming)).collect();
    assert_eq!(
        sentences,
        [
            ("A wrong one-time code was given for logging in.".to_owned(), true),
            ("The right password was given to log in; the second factor was asked for.".to_owned(), false),
        ]
    );
    fixture.identity.end_sessions(fixture.permit(EndSessions { user: ana, except: None }).await).await.unwrap();
    assert!(fixture.newest(ana).await.sentence.starts_with("Another session was ended."));
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
    assert!(whole.entries.windows(2).all(|pair| pair[0].sequence > pair[1].sequence));
    assert_eq!(whole.entries.iter().filter(|entry| entry.kind == "session:started").count(), 7);
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
        kind: model::audit::EventKind::RecoveryStarted,
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
    assert_eq!((entry.remote_address, entry.device, entry.alarming), (None, None, true));
    let own = fixture.newest(staff).await;
    assert_eq!(own.sentence, "You began the recovery of another account.");
    assert_eq!((own.remote_address.as_deref(), own.detail), (Some("203.0.113.9"), serde_json::json!({})));
}
