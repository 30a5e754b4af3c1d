//! Mails about changes: the first of each kind is sent, the rest is counted in one.

use model::limit::{LISTED_CHANGES, MAIL_BYTES};
use model::mail::{Mail, MailField, MailKind};
use model::{MailId, UserId};
use storage::mail_rates::{AT_ONCE, GATHERING_MS, OF_PROJECTS_AT_ONCE, WINDOW_MS};
use storage::outbox::{MailState, NewMail, OutboxListing};
use storage::{Result, Storage};

use crate::fixture::{Fixture, at, at_once, commit, on_both};

fn mail(kind: MailKind) -> Mail {
    Mail {
        kind,
        fields: kind
            .fields()
            .iter()
            .map(|field| (*field, "word".to_owned()))
            .collect(),
    }
}

async fn tell_all(
    storage: &Storage,
    kinds: &[MailKind],
    recipients: &[&str],
    now: i64,
) -> Result<()> {
    let mails: Vec<Mail> = kinds.iter().map(|kind| mail(*kind)).collect();
    commit(storage, async |unit| {
        for mail in &mails {
            for recipient in recipients {
                unit.enqueue_mail(&NewMail {
                    id: MailId::new(),
                    mail,
                    user: Some(UserId::new()),
                    recipient: Some(recipient),
                    at: at(now),
                })
                .await?;
            }
        }
        Ok(())
    })
    .await
}

async fn tell_of_release(
    storage: &Storage,
    recipient: &str,
    project: &str,
    version: &str,
    now: i64,
) {
    let mut mail = mail(MailKind::ReleaseStaged);
    for (field, word) in &mut mail.fields {
        match field {
            MailField::Project => project.clone_into(word),
            MailField::Version => version.clone_into(word),
            _ => *word = "a long word ".repeat(40),
        }
    }
    let told = commit(storage, async |unit| {
        unit.enqueue_mail(&NewMail {
            id: MailId::new(),
            mail: &mail,
            user: Some(UserId::new()),
            recipient: Some(recipient),
            at: at(now),
        })
        .await
    });
    told.await.unwrap();
}

async fn tell(storage: &Storage, kind: MailKind, recipient: &str, now: i64) {
    tell_all(storage, &[kind], &[recipient], now).await.unwrap();
}

impl Fixture {
    async fn waiting(&self, recipient: &str, kind: MailKind) -> Vec<OutboxListing> {
        let all = self
            .storage
            .outbox(Some(MailState::Waiting), 1000)
            .await
            .unwrap();
        all.into_iter()
            .filter(|mail| mail.recipient == recipient && mail.kind == kind)
            .collect()
    }

    /// The contents of the gathering mails that are sent at this time.
    async fn gathered(&self, now: i64) -> Vec<(String, String)> {
        let leased = self
            .storage
            .lease_mails(at(now), at(now + 60), 1000)
            .await
            .unwrap();
        let gathered = leased
            .iter()
            .filter(|row| row.mail.kind == MailKind::ChangesGathered);
        gathered
            .map(|row| {
                (
                    row.recipient.clone(),
                    row.mail.field(MailField::Changes).to_owned(),
                )
            })
            .collect()
    }
}

const ADA: &str = "Ada@example.org";
const WINDOW: i64 = WINDOW_MS / 1000;
const GATHERING: i64 = GATHERING_MS / 1000;

#[tokio::test]
async fn a_flood_of_changes_is_a_few_mails_and_one_that_counts_the_rest() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        for number in 0..60 {
            tell(storage, MailKind::TokenCreated, ADA, 10 + number % 3).await;
        }
        tell(storage, MailKind::TokenCreated, "ben@example.org", 12).await;
        assert_eq!(
            fixture.waiting(ADA, MailKind::TokenCreated).await.len(),
            AT_ONCE
        );
        assert_eq!(
            fixture
                .waiting("ben@example.org", MailKind::TokenCreated)
                .await
                .len(),
            1,
            "each address by itself"
        );
        let [gathering] = &fixture.waiting(ADA, MailKind::ChangesGathered).await[..] else {
            panic!("one mail")
        };
        assert_eq!(gathering.due_at.0 - gathering.created_at.0, GATHERING_MS);
        assert_eq!(fixture.gathered(100).await, [], "not yet");
        assert_eq!(
            fixture.gathered(12 + GATHERING).await,
            [(ADA.to_owned(), "token-created=55".to_owned())]
        );
    })
    .await;
}

/// Owners of the project see nowhere else that a release waits, or that something was removed.
#[tokio::test]
async fn mails_about_projects_have_a_bound_of_their_own_and_beyond_it_each_is_listed() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        for _ in 0..20 {
            tell(storage, MailKind::TokenCreated, ADA, 10).await;
        }
        let bound = OF_PROJECTS_AT_ONCE;
        for number in 0..bound + LISTED_CHANGES.length() + 7 {
            let version = format!("1.{number}");
            tell_of_release(storage, ADA, "demo", &version, 11).await;
        }
        tell(storage, MailKind::ContentRemoved, ADA, 12).await;
        let waiting = async |kind| fixture.waiting(ADA, kind).await.len();
        assert_eq!(waiting(MailKind::ReleaseStaged).await, bound);
        assert_eq!(waiting(MailKind::ContentRemoved).await, 1);
        assert_eq!(waiting(MailKind::TokenCreated).await, AT_ONCE);
        let leased = storage
            .lease_mails(at(12 + GATHERING), at(72 + GATHERING), 1000)
            .await
            .unwrap();
        let mut gathering = leased
            .iter()
            .filter(|row| row.mail.kind == MailKind::ChangesGathered);
        let (gathering, None) = (gathering.next().unwrap(), gathering.next()) else {
            panic!("one mail")
        };
        let listed = gathering.mail.listed();
        assert_eq!(listed.len(), LISTED_CHANGES.length());
        for (number, mail) in listed.iter().enumerate() {
            let version = format!("1.{}", bound + number);
            assert_eq!(mail.field(MailField::Version), version);
            assert_eq!(mail.field(MailField::Project), "demo");
        }
        let staged = LISTED_CHANGES.length() + 7;
        assert_eq!(
            gathering.mail.field(MailField::Changes),
            format!("release-staged={staged} token-created=15")
        );
        // However long the fields are, a mail has a size limit: changes without room are counted.
        for number in 0..bound + LISTED_CHANGES.length() {
            let version = "\"\\\u{1f600}".repeat(100) + &number.to_string();
            tell_of_release(storage, "ben@example.org", "demo", &version, 11).await;
        }
        let leased = storage
            .lease_mails(at(80 + GATHERING), at(90 + GATHERING), 1000)
            .await
            .unwrap();
        let bens = leased.iter().find(|row| {
            row.mail.kind == MailKind::ChangesGathered && row.recipient == "ben@example.org"
        });
        let mail = &bens.unwrap().mail;
        let length: usize = mail.fields.iter().map(|(_, word)| word.len()).sum();
        let listed = mail.listed().len();
        assert!(length <= MAIL_BYTES.length(), "{length}");
        assert!((5..LISTED_CHANGES.length()).contains(&listed), "{listed}");
        let all = format!("release-staged={}", LISTED_CHANGES.length());
        assert_eq!(mail.field(MailField::Changes), all);
    })
    .await;
}

/// An early flood does not hide later changes.
#[tokio::test]
async fn the_first_mail_of_each_kind_goes_at_once_after_any_flood() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        for _ in 0..20 {
            tell(storage, MailKind::TokenCreated, ADA, 10).await;
        }
        let kinds = || {
            MailKind::ALL.iter().copied().filter(|kind| {
                *kind != MailKind::TokenCreated && *kind != MailKind::ChangesGathered
            })
        };
        let is_gathered = |kind: MailKind| kind.can_be_gathered() && !kind.has_own_bound();
        for kind in kinds() {
            tell(storage, kind, ADA, 11).await;
            tell(storage, kind, ADA, 11).await;
        }
        for kind in kinds() {
            let expected = if is_gathered(kind) { 1 } else { 2 };
            assert_eq!(fixture.waiting(ADA, kind).await.len(), expected, "{kind}");
        }
        let gathered = fixture.gathered(11 + GATHERING).await;
        let counts: u64 = MailKind::gathered_in(&gathered[0].1)
            .map(|(_, count)| count)
            .sum();
        let gatherable = kinds().filter(|kind| is_gathered(*kind)).count();
        assert_eq!(
            (gathered.len(), counts),
            (1, 15 + gatherable as u64),
            "{gathered:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn after_a_quiet_hour_mails_go_at_once_again() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        for _ in 0..=AT_ONCE {
            tell(storage, MailKind::EmailAdded, ADA, 10).await;
        }
        assert_eq!(storage.forget_mail_rates(at(9 + WINDOW)).await.unwrap(), 0);
        tell(storage, MailKind::EmailAdded, "ada@EXAMPLE.org", 9 + WINDOW).await;
        assert!(
            fixture
                .waiting("ada@EXAMPLE.org", MailKind::EmailAdded)
                .await
                .is_empty(),
            "one address in any case of its letters"
        );
        tell(storage, MailKind::EmailAdded, ADA, 10 + WINDOW).await;
        assert_eq!(
            fixture.waiting(ADA, MailKind::EmailAdded).await.len(),
            AT_ONCE + 1
        );
        assert_eq!(
            storage
                .forget_mail_rates(at(10 + 2 * WINDOW))
                .await
                .unwrap(),
            1
        );
    })
    .await;
}

/// A mail that was sent, or may have been, is not sent again with other text.
#[tokio::test]
async fn what_comes_after_a_gathering_mail_was_taken_is_in_the_next_one() {
    on_both(async |fixture| {
        let storage = &fixture.storage;
        for _ in 0..AT_ONCE + 2 {
            tell(storage, MailKind::FactorAdded, ADA, 10).await;
        }
        assert_eq!(
            fixture.gathered(10 + GATHERING).await,
            [(ADA.to_owned(), "factor-added=2".to_owned())]
        );
        tell(storage, MailKind::FactorAdded, ADA, 11 + GATHERING).await;
        assert_eq!(
            fixture.waiting(ADA, MailKind::ChangesGathered).await.len(),
            2
        );
        assert_eq!(
            fixture.gathered(20 + 2 * GATHERING).await.last(),
            Some(&(ADA.to_owned(), "factor-added=1".to_owned()))
        );
    })
    .await;
}

#[tokio::test]
async fn changes_of_a_unit_that_failed_are_counted_nowhere() {
    on_both(async |fixture| {
        for _ in 0..20 {
            let mut unit = fixture.storage.begin().await.unwrap();
            let mail = mail(MailKind::TokenCreated);
            unit.enqueue_mail(&NewMail {
                id: MailId::new(),
                mail: &mail,
                user: None,
                recipient: Some(ADA),
                at: at(10),
            })
            .await
            .unwrap();
            drop(unit);
        }
        tell(&fixture.storage, MailKind::TokenCreated, ADA, 10).await;
        assert_eq!(fixture.storage.outbox(None, 100).await.unwrap().len(), 1);
    })
    .await;
}

/// Two servers, six requests at once, and recipients in every order.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn however_many_change_something_at_once_the_mails_are_bounded() {
    on_both(async |fixture| {
        let done = at_once(&fixture, 6, |storage, number| async move {
            for round in 0..5 {
                let mut recipients = [ADA, "ben@example.org", "carl@example.org"];
                recipients.rotate_left((number + round) % 3);
                tell_all(
                    &storage,
                    &[MailKind::TokenCreated, MailKind::RoleChanged],
                    &recipients,
                    10,
                )
                .await
                .unwrap();
            }
        })
        .await;
        assert_eq!(done.len(), 6);
        for recipient in [ADA, "ben@example.org", "carl@example.org"] {
            let [tokens, roles] = [MailKind::TokenCreated, MailKind::RoleChanged]
                .map(|kind| fixture.waiting(recipient, kind));
            let (tokens, roles) = (tokens.await.len(), roles.await.len());
            assert_eq!(
                (tokens + roles, tokens > 0, roles > 0),
                (AT_ONCE, true, true),
                "{recipient}"
            );
            assert_eq!(
                fixture
                    .waiting(recipient, MailKind::ChangesGathered)
                    .await
                    .len(),
                1,
                "{recipient}"
            );
        }
        let total: u64 = fixture
            .gathered(10 + GATHERING)
            .await
            .iter()
            .flat_map(|(_, changes)| MailKind::gathered_in(changes).collect::<Vec<_>>())
            .map(|(_, count)| count)
            .sum();
        assert_eq!(
            total as usize,
            6 * 5 * 2 * 3 - 3 * AT_ONCE,
            "each is told of"
        );
    })
    .await;
}
