use std::time::Duration;

use identity::{
    AnnouncedRecovery, CancelRecovery, ListRecoveries, ReadRecoveryLink, RecoverAccount,
    RecoveryError, RequestContext, Secret, SetStaff,
};
use model::audit::{Actor, EventKind};
use model::mail::{MailField, MailKind};
use model::{RecoveryId, UserId};

use crate::fixture::{Fixture, PASSWORD, user_name};
use crate::mails::{link_in, told};

const PAGE: &str = "/recovery/cancel";
const REASON: &str = "Lost the phone and the codes; showed a passport.";
const WAIT: i64 = 72 * 3600;

impl Fixture {
    async fn staff(&self, name: &str) -> UserId {
        let user = self.user(name).await;
        self.identity
            .accounts()
            .set_staff(self.permit(SetStaff { user, staff: true }).await)
            .await
            .unwrap();
        user
    }

    async fn announced(&self, link: &str) -> Option<AnnouncedRecovery> {
        let link = link.to_owned();
        let permit = self.permit(ReadRecoveryLink { link }).await;
        self.identity.recoveries().announced(permit).await.unwrap()
    }

    async fn recover(
        &self,
        by: UserId,
        user: UserId,
        reason: &str,
    ) -> Result<RecoveryId, RecoveryError> {
        self.identity
            .recoveries()
            .start(
                self.permit_person(
                    by,
                    RecoverAccount {
                        user,
                        reason: reason.to_owned(),
                    },
                )
                .await,
            )
            .await
    }

    async fn outcomes(&self) -> Vec<Option<String>> {
        let listed = self
            .identity
            .recoveries()
            .list(self.permit(ListRecoveries { limit: 10 }).await)
            .await
            .unwrap();
        listed
            .into_iter()
            .map(|recovery| recovery.outcome)
            .collect()
    }
}

#[tokio::test]
async fn a_recovery_is_announced_waits_and_ends_in_a_link_to_the_owner() {
    let fixture = Fixture::new().await;
    let (staff, ana) = (fixture.staff("operator").await, fixture.user("ana").await);
    fixture.enroll(ana).await;
    fixture.session(ana).await;
    let mut unit = fixture.storage.begin().await.unwrap();
    unit.replace_recovery_codes(ana, &[[7; 32]], crate::fixture::NOW)
        .await
        .unwrap();
    unit.commit(&fixture.some_event()).await.unwrap();
    fixture.recover(staff, ana, REASON).await.unwrap();
    let announced = fixture.mail().await;
    assert_eq!(
        (announced.recipient.as_str(), announced.mail.kind),
        ("ana@example.org", MailKind::RecoveryStarted)
    );
    assert_eq!(
        (
            announced.mail.field(MailField::Reason),
            announced.mail.field(MailField::EffectiveAt)
        ),
        (REASON, "2027-01-18T08:00:00Z")
    );
    assert_eq!(fixture.outcomes().await, [None]);

    fixture.clock.advance_seconds(WAIT - 1);
    assert_eq!(
        fixture.identity.recoveries().complete_due().await.unwrap(),
        0
    );
    assert!(
        fixture
            .storage
            .user(ana)
            .await
            .unwrap()
            .unwrap()
            .totp_secret
            .is_some()
    );
    fixture.session(ana).await;
    fixture.clock.advance_seconds(1);
    let (one, other) = tokio::join!(
        fixture.identity.recoveries().complete_due(),
        fixture.identity.recoveries().complete_due()
    );
    assert_eq!(
        one.unwrap() + other.unwrap(),
        1,
        "of two servers one completes it"
    );

    let row = fixture.storage.user(ana).await.unwrap().unwrap();
    assert!(row.totp_secret.is_none() && row.password_disabled.is_some());
    assert_eq!(
        fixture.storage.recovery_codes_of(ana).await.unwrap().total,
        0
    );
    assert!(fixture.sessions(ana).await.is_empty());
    assert!(fixture.prove("ana", PASSWORD, None).await.is_err());
    assert_eq!(fixture.outcomes().await, [Some("completed".to_owned())]);
    let mail = fixture.mail().await;
    assert_eq!(
        (mail.recipient.as_str(), mail.mail.kind),
        ("ana@example.org", MailKind::RecoveryCompleted)
    );
    let link = link_in(&mail, "/password/reset");
    fixture
        .identity
        .passwords()
        .reset(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            &link,
            Secret::new("battery staple".to_owned()),
        )
        .await
        .unwrap();
    assert!(fixture.prove("ana", "battery staple", None).await.is_ok());

    let events = fixture.events().await;
    let about: Vec<_> = events
        .iter()
        .filter(|event| {
            matches!(
                event.kind,
                EventKind::RecoveryStarted | EventKind::RecoveryCompleted
            )
        })
        .collect();
    assert!(about.iter().all(|event| event.user == Some(ana)));
    assert!(matches!(&about[0].actor, Actor::Caller { user: Some(actor), .. } if *actor == staff));
    assert_eq!(
        (
            about[0].detail["by"].as_str(),
            about[0].detail["reason"].as_str()
        ),
        (Some("operator"), Some(REASON))
    );
    let log = format!("{events:?}");
    assert!(!log.contains(&link) && !log.contains(&link_in(&announced, PAGE)));
}

/// Each announcement has a link that must arrive, so the limit is on starting recoveries.
#[tokio::test]
async fn one_of_the_staff_cannot_fill_a_mailbox_by_starting_and_stopping_recoveries() {
    let some = |attempts| {
        vec![identity::limits::Limit {
            attempts,
            window_seconds: 3600,
        }]
    };
    let limits = identity::Limits {
        recoveries_per_user: some(2),
        recoveries_per_staff: some(3),
        ..crate::fixture::limits(1000)
    };
    let fixture = Fixture::with(limits).await;
    let (staff, other) = (
        fixture.staff("operator").await,
        fixture.staff("second").await,
    );
    let [ana, ben, carl] = [
        fixture.user("ana").await,
        fixture.user("ben").await,
        fixture.user("carl").await,
    ];
    let start_and_stop = async |by, user| {
        let recovery = fixture.recover(by, user, REASON).await?;
        fixture
            .identity
            .recoveries()
            .cancel(fixture.permit_person(by, CancelRecovery { recovery }).await)
            .await
    };
    let is_limited = |result| {
        matches!(
            result,
            Err(RecoveryError::Limited {
                retry_after_seconds: 3600
            })
        )
    };
    for _ in 0..2 {
        start_and_stop(staff, ana).await.unwrap();
    }
    assert!(
        is_limited(start_and_stop(staff, ana).await)
            && is_limited(start_and_stop(other, ana).await),
        "whoever starts it"
    );
    start_and_stop(staff, ben).await.unwrap();
    assert!(
        is_limited(start_and_stop(staff, carl).await),
        "of whatever account"
    );
    start_and_stop(other, carl).await.unwrap();
    let target = RecoverAccount {
        user: ana,
        reason: REASON.to_owned(),
    };
    fixture
        .identity
        .recoveries()
        .start(fixture.permit(target).await)
        .await
        .expect("on the command line it is the operators' word");
}

#[tokio::test]
async fn its_owner_stops_a_recovery_by_the_mailed_link() {
    let fixture = Fixture::new().await;
    let (staff, ana) = (fixture.staff("operator").await, fixture.user("ana").await);
    fixture.recover(staff, ana, REASON).await.unwrap();
    let link = link_in(&fixture.mail().await, PAGE);
    // A new password does not void the link.
    let reset = fixture.reset_link("ana").await;
    fixture
        .identity
        .passwords()
        .reset(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            &reset,
            Secret::new("battery staple".to_owned()),
        )
        .await
        .unwrap();
    fixture.mails().await;
    for _ in 0..3 {
        let shown = fixture.announced(&link).await.unwrap();
        assert_eq!(
            (shown.user, shown.reason.as_str()),
            (user_name("ana"), REASON)
        );
    }
    fixture
        .identity
        .recoveries()
        .cancel_by_link(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            &link,
        )
        .await
        .unwrap();
    assert_eq!(
        told(&fixture.mails().await),
        [("ana@example.org".to_owned(), MailKind::RecoveryCancelled)]
    );
    let again = fixture
        .identity
        .recoveries()
        .cancel_by_link(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            &link,
        )
        .await;
    assert!(matches!(again, Err(RecoveryError::UnknownRecovery)));
    assert!(fixture.announced(&link).await.is_none());
    fixture.clock.advance_seconds(2 * WAIT);
    assert_eq!(
        fixture.identity.recoveries().complete_due().await.unwrap(),
        0
    );
    assert!(fixture.prove("ana", "battery staple", None).await.is_ok());
    assert_eq!(fixture.outcomes().await, [Some("cancelled".to_owned())]);
}

#[tokio::test]
async fn staff_stop_a_recovery_and_start_another() {
    let fixture = Fixture::new().await;
    let (staff, ana) = (fixture.staff("operator").await, fixture.user("ana").await);
    let recovery = fixture.recover(staff, ana, REASON).await.unwrap();
    assert!(matches!(
        fixture.recover(staff, ana, REASON).await,
        Err(RecoveryError::Running)
    ));
    fixture
        .identity
        .recoveries()
        .cancel(
            fixture
                .permit_person(staff, CancelRecovery { recovery })
                .await,
        )
        .await
        .unwrap();
    for unknown in [recovery, RecoveryId::new()] {
        let again = fixture
            .identity
            .recoveries()
            .cancel(
                fixture
                    .permit_person(staff, CancelRecovery { recovery: unknown })
                    .await,
            )
            .await;
        assert!(matches!(again, Err(RecoveryError::UnknownRecovery)));
    }
    fixture.recover(staff, ana, REASON).await.unwrap();
    let listed = fixture
        .identity
        .recoveries()
        .list(
            fixture
                .permit_person(staff, ListRecoveries { limit: 10 })
                .await,
        )
        .await
        .unwrap();
    assert_eq!(
        listed
            .iter()
            .map(|recovery| (recovery.started_by.as_str(), recovery.outcome.as_deref()))
            .collect::<Vec<_>>(),
        [("operator", None), ("operator", Some("cancelled"))]
    );
}

/// A server completes it some seconds after it is due, or once it is up again.
#[tokio::test]
async fn a_recovery_can_be_stopped_by_its_link_until_it_is_done() {
    let fixture = Fixture::new().await;
    let (staff, ana) = (fixture.staff("operator").await, fixture.user("ana").await);
    fixture.recover(staff, ana, REASON).await.unwrap();
    let link = link_in(&fixture.mail().await, PAGE);
    fixture.clock.advance_seconds(WAIT + 60);
    fixture
        .identity
        .recoveries()
        .cancel_by_link(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            &link,
        )
        .await
        .unwrap();
    assert_eq!(
        fixture.identity.recoveries().complete_due().await.unwrap(),
        0
    );
}

#[tokio::test]
async fn a_recovery_does_not_go_on_for_who_becomes_staff() {
    let fixture = Fixture::new().await;
    let (staff, ana) = (fixture.staff("operator").await, fixture.user("ana").await);
    fixture.recover(staff, ana, REASON).await.unwrap();
    fixture.mails().await;
    fixture
        .identity
        .accounts()
        .set_staff(
            fixture
                .permit(SetStaff {
                    user: ana,
                    staff: true,
                })
                .await,
        )
        .await
        .unwrap();
    assert_eq!(fixture.outcomes().await, [Some("cancelled".to_owned())]);
    assert_eq!(
        told(&fixture.mails().await),
        [("ana@example.org".to_owned(), MailKind::RecoveryCancelled)]
    );
}

#[tokio::test]
async fn over_the_network_staff_recover_neither_themselves_nor_each_other() {
    let fixture = Fixture::new().await;
    let (staff, other) = (
        fixture.staff("operator").await,
        fixture.staff("other").await,
    );
    assert!(matches!(
        fixture.recover(staff, staff, REASON).await,
        Err(RecoveryError::OwnAccount)
    ));
    assert!(matches!(
        fixture.recover(staff, other, REASON).await,
        Err(RecoveryError::StaffAccount)
    ));
    let local = RecoverAccount {
        user: other,
        reason: REASON.to_owned(),
    };
    fixture
        .identity
        .recoveries()
        .start(fixture.permit(local).await)
        .await
        .unwrap();
    let listed = fixture
        .identity
        .recoveries()
        .list(fixture.permit(ListRecoveries { limit: 1 }).await)
        .await
        .unwrap();
    assert_eq!(listed[0].started_by, "operator", "the system user");
}

#[tokio::test]
async fn a_recovery_needs_a_reason_and_somebody_to_tell() {
    let fixture = Fixture::new().await;
    let (staff, ana) = (fixture.staff("operator").await, fixture.user("ana").await);
    for reason in [
        "",
        "lost it",
        "   lost it    ",
        &"x".repeat(301),
        "lost the phone\nand the codes",
    ] {
        assert!(
            matches!(
                fixture.recover(staff, ana, reason).await,
                Err(RecoveryError::InvalidReason)
            ),
            "{reason:?}"
        );
    }
    assert!(matches!(
        fixture.recover(staff, UserId::new(), REASON).await,
        Err(RecoveryError::UnknownUser)
    ));
    let target = identity::CreateUser {
        name: user_name("carl"),
        email: Some("carl@example.org".into()),
        email_verified: false,
        staff: false,
    };
    let carl = fixture
        .identity
        .accounts()
        .create(fixture.permit(target).await)
        .await
        .unwrap();
    assert!(matches!(
        fixture.recover(staff, carl, REASON).await,
        Err(RecoveryError::NobodyToTell)
    ));
    assert!(fixture.mails().await.is_empty() && fixture.outcomes().await.is_empty());
}

#[tokio::test]
async fn the_wait_is_what_operators_choose() {
    let fixture =
        Fixture::configured("", |config| config.recovery_wait = Duration::from_secs(60)).await;
    let (staff, ana) = (fixture.staff("operator").await, fixture.user("ana").await);
    fixture.recover(staff, ana, REASON).await.unwrap();
    fixture.clock.advance_seconds(59);
    assert_eq!(
        fixture.identity.recoveries().complete_due().await.unwrap(),
        0
    );
    fixture.clock.advance_seconds(1);
    assert_eq!(
        fixture.identity.recoveries().complete_due().await.unwrap(),
        1
    );
}
