use std::collections::BTreeSet;

use model::mail::{Mail, MailField, MailKind};
use model::{MailId, UserId};
use storage::outbox::{MailState, NewMail, OutboxDepth, OutboxRow};
use storage::{Conflict, Result, Storage};

use crate::fixture::{at, at_once, commit, conflict, on_both};

fn low() -> Mail {
    Mail::new(
        MailKind::RecoveryCodesLow,
        [
            (MailField::UserName, "ada".to_owned()),
            (MailField::Left, "2".to_owned()),
        ],
    )
}

async fn enqueue(storage: &Storage, recipient: Option<&str>, now: i64) -> Result<MailId> {
    let id = MailId::new();
    let mail = low();
    let mail = NewMail {
        id,
        mail: &mail,
        user: Some(UserId::new()),
        recipient,
        at: at(now),
    };
    commit(storage, async |unit| unit.enqueue_mail(&mail).await).await?;
    Ok(id)
}

async fn lease(storage: &Storage, now: i64) -> Vec<OutboxRow> {
    storage
        .lease_mails(at(now), at(now + 60), 10)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_mail_is_leased_with_its_words_and_sent_once() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let id = enqueue(storage, Some("Ada@example.org"), 10).await.unwrap();
        assert!(lease(storage, 9).await.is_empty(), "not due");
        let [row] = &lease(storage, 10).await[..] else {
            panic!("one mail")
        };
        assert_eq!(
            (
                row.id,
                &row.mail,
                row.recipient.as_str(),
                row.created_at,
                row.attempts
            ),
            (id, &low(), "Ada@example.org", at(10), 1)
        );
        assert!(lease(storage, 11).await.is_empty(), "leased");
        assert!(storage.mail_sent(id, at(12)).await.unwrap());
        assert!(!storage.mail_sent(id, at(13)).await.unwrap());
        assert!(lease(storage, 500).await.is_empty());
        let [listed] = &storage.outbox(Some(MailState::Sent), 10).await.unwrap()[..] else {
            panic!("one mail")
        };
        assert_eq!(
            (listed.id, listed.kind, listed.ended_at, listed.attempts),
            (id, MailKind::RecoveryCodesLow, Some(at(12)), 1)
        );
        assert!(
            fixture
                .by_hand("UPDATE outbox SET state = 'waiting', leased_until = NULL")
                .await
                .is_ok()
        );
        let error = storage.lease_mails(at(600), at(660), 1).await.unwrap_err();
        assert!(
            error.to_string().contains("fields"),
            "the words are forgotten: {error}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_mail_to_nobody_is_never_sent() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        enqueue(storage, None, 10).await.unwrap();
        assert!(lease(storage, 500).await.is_empty());
        assert_eq!(
            storage.outbox_depth().await.unwrap(),
            OutboxDepth {
                waiting: 0,
                failed: 0,
                oldest_waiting: None
            }
        );
        assert_eq!(
            storage.outbox(None, 10).await.unwrap()[0].state,
            MailState::Void
        );
    })
    .await;
}

#[tokio::test]
async fn a_mail_of_a_unit_that_failed_does_not_exist() {
    on_both(async |fixture| {
        let mail = low();
        let mail = NewMail {
            id: MailId::new(),
            mail: &mail,
            user: None,
            recipient: Some("a@example.org"),
            at: at(10),
        };
        let mut unit = fixture.storage.begin().await.unwrap();
        unit.enqueue_mail(&mail).await.unwrap();
        drop(unit);
        assert_eq!(fixture.storage.outbox(None, 10).await.unwrap(), []);
    })
    .await;
}

/// A server that dies while it sends a mail loses its lease and nothing else.
#[tokio::test]
async fn a_mail_of_a_dead_server_is_sent_by_another() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let id = enqueue(storage, Some("a@example.org"), 10).await.unwrap();
        let dead = lease(storage, 10).await.remove(0);
        assert!(lease(storage, 69).await.is_empty());
        let taken = lease(storage, 70).await.remove(0);
        assert_eq!((taken.id, taken.attempts), (id, 2));
        assert!(
            !storage.mail_deferred(&dead, at(71), "late").await.unwrap(),
            "who comes back late frees nothing"
        );
        assert!(
            !commit(storage, async |unit| unit
                .mail_failed(&dead, at(71), "late")
                .await)
            .await
            .unwrap()
        );
        assert!(lease(storage, 72).await.is_empty());
        assert!(
            storage
                .mail_deferred(&taken, at(200), "421 try again")
                .await
                .unwrap()
        );
        assert!(lease(storage, 199).await.is_empty());
        assert_eq!(lease(storage, 200).await[0].attempts, 3);
        assert!(
            storage.mail_sent(dead.id, at(201)).await.unwrap(),
            "what was sent was sent, by whomever"
        );
    })
    .await;
}

#[tokio::test]
async fn a_mail_is_put_off_hurried_and_given_up() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        let id = enqueue(storage, Some("a@example.org"), 10).await.unwrap();
        enqueue(storage, Some("b@example.org"), 20).await.unwrap();
        let first = lease(storage, 10).await.remove(0);
        assert!(
            storage
                .mail_deferred(&first, at(5_000), &"ü".repeat(9_000))
                .await
                .unwrap()
        );
        let listed = storage.outbox(Some(MailState::Waiting), 10).await.unwrap();
        assert_eq!(
            listed
                .iter()
                .map(|mail| (mail.created_at, mail.due_at))
                .collect::<Vec<_>>(),
            [(at(20), at(20)), (at(10), at(5_000))],
            "newest first"
        );
        assert_eq!(listed[1].last_error.as_ref().unwrap().chars().count(), 500);
        assert_eq!(
            storage.outbox_depth().await.unwrap(),
            OutboxDepth {
                waiting: 2,
                failed: 0,
                oldest_waiting: Some(at(10))
            }
        );
        assert_eq!(storage.hurry_mails(at(30)).await.unwrap(), 1);
        let both = lease(storage, 30).await;
        assert_eq!(
            both.iter().map(|mail| mail.attempts).collect::<Vec<_>>(),
            [2, 1],
            "oldest first"
        );
        assert!(
            commit(storage, async |unit| unit
                .mail_failed(&both[0], at(40), "550 no such user")
                .await)
            .await
            .unwrap()
        );
        assert!(
            !commit(storage, async |unit| unit
                .mail_failed(&both[0], at(41), "again")
                .await)
            .await
            .unwrap()
        );
        let failed = &storage.outbox(Some(MailState::Failed), 10).await.unwrap()[0];
        assert_eq!(
            (failed.id, failed.ended_at, failed.last_error.as_deref()),
            (id, Some(at(40)), Some("550 no such user"))
        );
        assert_eq!(
            storage.outbox_depth().await.unwrap(),
            OutboxDepth {
                waiting: 1,
                failed: 1,
                oldest_waiting: Some(at(20))
            }
        );
        assert_eq!(
            storage.forget_ended_mails(at(1_000)).await.unwrap(),
            1,
            "what waits is never forgotten"
        );
        assert_eq!(storage.outbox(None, 10).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_mail_is_leased_to_two_servers_at_once() {
    on_both(async |fixture| {
        for round in 0..4 {
            let now = 1_000 * (round + 1);
            let mut written = BTreeSet::new();
            for number in 0..20 {
                // To one address they would be gathered.
                written.insert(
                    enqueue(
                        &fixture.storage,
                        Some(&format!("a{number}@example.org")),
                        now,
                    )
                    .await
                    .unwrap(),
                );
            }
            let leased = at_once(&fixture, 6, |storage, _| async move {
                let mut mine = Vec::new();
                loop {
                    let mails = storage.lease_mails(at(now), at(now + 60), 3).await.unwrap();
                    assert!(mails.len() <= 3);
                    if mails.is_empty() {
                        return mine;
                    }
                    mine.extend(mails.into_iter().map(|mail| mail.id));
                }
            })
            .await
            .concat();
            assert_eq!(leased.len(), 20);
            assert_eq!(
                BTreeSet::from_iter(leased.iter().copied()),
                written,
                "each once"
            );
            for id in leased {
                fixture.storage.mail_sent(id, at(now)).await.unwrap();
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_mail_has_a_bounded_length() {
    on_both(async |fixture| {
        let mail = Mail::new(MailKind::Test, [(MailField::At, "x".repeat(65_536))]);
        let mail = NewMail {
            id: MailId::new(),
            mail: &mail,
            user: None,
            recipient: Some("a@example.org"),
            at: at(10),
        };
        assert_eq!(
            conflict(
                commit(&fixture.storage, async |unit| unit
                    .enqueue_mail(&mail)
                    .await)
                .await
            ),
            Conflict::TextRefused
        );
    })
    .await;
}
