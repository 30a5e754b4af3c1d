use std::time::{Duration, Instant};

use gate::RefusalKind;
use identity::limits::Limit;
use identity::{
    Account, CreateUser, DisableUser, EnableUser, Limits, PasswordProblem, ReadResetLink,
    RequestContext, Secret, SetPassword, VerifyEmail,
};
use model::audit::EventKind;
use model::mail::{MailField, MailKind};
use model::{PasswordDisabled, UserId};

use crate::fixture::{Fixture, PASSWORD, limits, user_name};
use crate::mails::{link_in, told};

const PAGE: &str = "/password/reset";
const NEW: &str = "battery staple";

impl Fixture {
    async fn ask(&self, name_or_email: &str) -> Result<(), gate::Refusal> {
        self.identity
            .passwords()
            .request_reset(
                RequestContext::new(&self.gate, &self.attempt()),
                name_or_email,
            )
            .await
    }

    /// The link that this user gets after forgetting the password.
    pub(crate) async fn reset_link(&self, name_or_email: &str) -> String {
        self.ask(name_or_email).await.unwrap();
        link_in(&self.mail().await, PAGE)
    }

    async fn reset(&self, link: &str, new: &str) -> Result<(), PasswordProblem> {
        self.set_by_link(link, new).await.map(drop)
    }

    /// Returns the device secret that the browser is known by from then on.
    pub(crate) async fn set_by_link(
        &self,
        link: &str,
        new: &str,
    ) -> Result<Secret<String>, PasswordProblem> {
        self.identity
            .passwords()
            .reset(
                RequestContext::new(&self.gate, &self.attempt()),
                link,
                Secret::new(new.to_owned()),
            )
            .await
    }

    pub(crate) async fn disable_password(&self, user: UserId) {
        let mut unit = self.storage.begin().await.unwrap();
        unit.disable_password(user, PasswordDisabled::Policy)
            .await
            .unwrap();
        unit.commit(&self.some_event()).await.unwrap();
    }
}

#[tokio::test]
async fn a_link_sets_a_new_password_once_and_ends_what_the_old_one_began() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    fixture.session(ana).await;
    let earlier = fixture.reset_link("ana").await;
    let link = fixture.reset_link("ANA@example.org").await;
    for _ in 0..3 {
        assert_eq!(
            fixture
                .identity
                .passwords()
                .waiting_for(fixture.permit(ReadResetLink { link: link.clone() }).await)
                .await
                .unwrap(),
            Some(user_name("ana"))
        );
    }
    assert!(
        fixture.prove("ana", PASSWORD, None).await.is_ok(),
        "to look at the page changes nothing"
    );
    fixture.reset(&link, NEW).await.unwrap();
    assert!(fixture.prove("ana", PASSWORD, None).await.is_err());
    assert!(fixture.prove("ana", NEW, None).await.is_ok());
    assert!(fixture.sessions(ana).await.is_empty());
    let mail = fixture.mail().await;
    assert_eq!(
        (mail.recipient.as_str(), mail.mail.kind),
        ("ana@example.org", MailKind::PasswordReset)
    );
    for used_up in [&link, &earlier] {
        assert!(
            fixture
                .identity
                .passwords()
                .waiting_for(
                    fixture
                        .permit(ReadResetLink {
                            link: used_up.to_owned()
                        })
                        .await
                )
                .await
                .unwrap()
                .is_none()
        );
        assert!(matches!(
            fixture.reset(used_up, "another password").await,
            Err(PasswordProblem::UnknownLink)
        ));
    }
    let events = fixture.events().await;
    let event = events
        .iter()
        .find(|event| event.kind == EventKind::PasswordReset)
        .unwrap();
    assert_eq!(
        (event.user, event.detail["ended-sessions"].as_u64()),
        (Some(ana), Some(1))
    );
    let log = format!("{events:?}");
    assert!(!log.contains(&link) && !log.contains(NEW) && !log.contains("$argon2"));
}

#[tokio::test]
async fn a_disabled_password_is_enabled_by_a_new_one() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    fixture.disable_password(ana).await;
    assert!(fixture.prove("ana", PASSWORD, None).await.is_err());
    let link = fixture.reset_link("ana").await;
    fixture.reset(&link, NEW).await.unwrap();
    assert!(fixture.prove("ana", NEW, None).await.is_ok());
}

#[tokio::test]
async fn of_two_who_follow_one_link_at_once_one_sets_the_password() {
    let fixture = Fixture::new().await;
    fixture.user("ana").await;
    let link = fixture.reset_link("ana").await;
    let (one, other) = tokio::join!(
        fixture.reset(&link, NEW),
        fixture.reset(&link, "another password")
    );
    let (set, refused) = if one.is_ok() {
        (NEW, other)
    } else {
        ("another password", one)
    };
    assert!(
        matches!(refused, Err(PasswordProblem::UnknownLink)),
        "{refused:?}"
    );
    assert!(fixture.prove("ana", set, None).await.is_ok());
}

/// The answer and the rows are the same; but the mail for an unknown user is never sent.
#[tokio::test]
async fn a_stranger_cannot_tell_whether_there_is_an_account() {
    let fixture = Fixture::new().await;
    fixture.user("ana").await;
    let ben = fixture.user("ben").await;
    let reason = "left the company".to_owned();
    fixture
        .identity
        .accounts()
        .disable(fixture.permit(DisableUser { user: ben, reason }).await)
        .await
        .unwrap();
    let target = CreateUser {
        name: user_name("carl"),
        email: Some("carl@example.org".into()),
        email_verified: false,
        staff: false,
    };
    fixture
        .identity
        .accounts()
        .create(fixture.permit(target).await)
        .await
        .unwrap();
    let gone = fixture.user("gone").await;
    fixture
        .identity
        .accounts()
        .delete(
            fixture
                .permit(identity::DeleteAccount {
                    account: Account::at_the_server(gone),
                    reason: None,
                })
                .await,
        )
        .await
        .unwrap();
    fixture.mails().await;
    let asked = [
        "ana",
        "ana@example.org",
        "nobody",
        "nobody@example.org",
        "ben",
        "ben@example.org",
        "carl",
        "carl@example.org",
        "gone",
        "",
        "\r\nBcc: x",
        &"x".repeat(100_000),
    ];
    for (number, name_or_email) in asked.into_iter().enumerate() {
        let before = fixture.events().await.len();
        fixture.ask(name_or_email).await.unwrap();
        let is_mailed = name_or_email.starts_with("ana");
        assert_eq!(
            fixture.mails().await.len(),
            usize::from(is_mailed),
            "{number}"
        );
        let written = fixture.storage.outbox(None, 1000).await.unwrap();
        assert_eq!(
            written
                .iter()
                .filter(|mail| mail.kind == MailKind::PasswordResetLink)
                .count(),
            number + 1
        );
        let events = fixture.events().await.split_off(before);
        assert_eq!(
            events.iter().map(|event| event.kind).collect::<Vec<_>>(),
            [EventKind::PasswordResetRequested]
        );
    }
    assert_eq!(
        fixture
            .storage
            .forget_ended_links(crate::fixture::NOW.plus_ms(i64::MAX / 4))
            .await
            .unwrap(),
        asked.len() as u64,
        "each wrote a link"
    );
}

/// Registering a look-alike of another person's address has no effect.
#[tokio::test]
async fn the_link_goes_to_the_primary_address_as_it_is_stored() {
    let fixture = Fixture::new().await;
    fixture.user("ana").await;
    fixture.ask(" ANA@EXAMPLE.ORG ").await.unwrap();
    let mail = fixture.mail().await;
    assert_eq!(mail.recipient, "ana@example.org");
    assert_eq!(
        (
            mail.mail.field(MailField::UserName),
            mail.mail.field(MailField::RemoteAddress)
        ),
        ("ana", "192.0.2.1")
    );
    for look_alike in [
        "ana@example.org.",
        "аna@example.org",
        "ana@example.org,ben@example.org",
        "ana@example.org\nben@example.org",
    ] {
        fixture.ask(look_alike).await.unwrap();
        assert!(fixture.mails().await.is_empty(), "{look_alike}");
    }
}

#[tokio::test]
async fn a_link_counts_no_more_after_what_makes_it_needless() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let set = fixture.reset_link("ana").await;
    let target = SetPassword {
        account: Account::at_the_server(ana),
        password: Secret::new(NEW.to_owned()),
    };
    fixture
        .identity
        .accounts()
        .set_password(fixture.permit(target).await)
        .await
        .unwrap();
    assert!(
        matches!(
            fixture.reset(&set, "another password").await,
            Err(PasswordProblem::UnknownLink)
        ),
        "the password was set"
    );
    fixture.mails().await;

    let late = fixture.reset_link("ana").await;
    fixture.clock.advance_seconds(6 * 3600);
    assert!(
        matches!(
            fixture.reset(&late, "another password").await,
            Err(PasswordProblem::UnknownLink)
        ),
        "six hours are over"
    );

    let disabled = fixture.reset_link("ana").await;
    let reason = "stolen".to_owned();
    fixture
        .identity
        .accounts()
        .disable(fixture.permit(DisableUser { user: ana, reason }).await)
        .await
        .unwrap();
    assert!(
        matches!(
            fixture.reset(&disabled, "another password").await,
            Err(PasswordProblem::UnknownLink)
        ),
        "the user is disabled"
    );
    assert!(
        fixture
            .identity
            .passwords()
            .waiting_for(
                fixture
                    .permit(ReadResetLink {
                        link: disabled.clone()
                    })
                    .await
            )
            .await
            .unwrap()
            .is_none()
    );
    fixture
        .identity
        .accounts()
        .enable(fixture.permit(EnableUser { user: ana }).await)
        .await
        .unwrap();
    assert!(
        fixture
            .identity
            .passwords()
            .waiting_for(
                fixture
                    .permit(ReadResetLink {
                        link: disabled.clone()
                    })
                    .await
            )
            .await
            .unwrap()
            .is_none(),
        "what was mailed before does not come back with the user"
    );
}

#[tokio::test]
async fn an_unsuitable_password_leaves_the_link_as_it_was() {
    let fixture = Fixture::new().await;
    fixture.user("ana").await;
    let link = fixture.reset_link("ana").await;
    for unsuitable in ["short", "password1", "ana@example.org", "line\nfeed in it"] {
        assert!(
            matches!(
                fixture.reset(&link, unsuitable).await,
                Err(PasswordProblem::Unsuitable(_))
            ),
            "{unsuitable}"
        );
    }
    fixture.reset(&link, NEW).await.unwrap();
}

/// A caller who asks too often from one place is refused, and learns nothing else.
#[tokio::test]
async fn asking_is_limited_whether_there_is_an_account_or_not() {
    let fixture = Fixture::with(Limits {
        resets_per_user: Vec::new(),
        ..limits(3)
    })
    .await;
    fixture.user("ana").await;
    let mut refused = Vec::new();
    for (place, name_or_email) in ["ana", "ana@example.org", "nobody", "nobody@example.org", ""]
        .into_iter()
        .enumerate()
    {
        let attempt = fixture.attempt_from(&format!("198.51.100.{place}"));
        let ask = async || {
            fixture
                .identity
                .passwords()
                .request_reset(RequestContext::new(&fixture.gate, &attempt), name_or_email)
                .await
        };
        for _ in 0..3 {
            ask().await.unwrap();
        }
        let refusal = ask().await.unwrap_err();
        refused.push((refusal.kind, refusal.reasons));
    }
    assert_eq!(
        refused[0].0,
        RefusalKind::Limited {
            retry_after_seconds: 300
        }
    );
    assert!(
        refused.windows(2).all(|pair| pair[0] == pair[1]),
        "{refused:?}"
    );
    assert!(
        told(&fixture.mails().await)
            .iter()
            .all(|(recipient, _)| recipient == "ana@example.org")
    );
}

/// Requesting another user's link again and again, from any address, neither floods the mailbox nor
/// locks its owner out.
#[tokio::test]
async fn a_stranger_keeps_nobody_from_a_link_that_counts() {
    let only_for_users = Limits {
        resets_per_user: Limits::default().resets_per_user,
        ..limits(1_000_000)
    };
    let fixture = Fixture::with(only_for_users).await;
    let ana = fixture.user("ana").await;
    let mut links: Vec<String> = Vec::new();
    let mut asked = 0;
    // A day of 24 hours, with many requests per hour.
    for hour in 0..24 {
        for _ in 0..6 {
            fixture
                .ask("ana")
                .await
                .expect("who asks for an account that is asked for often is answered as ever");
            asked += 1;
        }
        links.extend(fixture.mails().await.iter().map(|mail| link_in(mail, PAGE)));
        let last = links.last().unwrap();
        assert_eq!(
            fixture
                .identity
                .passwords()
                .waiting_for(
                    fixture
                        .permit(ReadResetLink {
                            link: last.to_owned()
                        })
                        .await
                )
                .await
                .unwrap(),
            Some(user_name("ana")),
            "hour {hour}: a mailed link counts"
        );
        fixture.clock.advance_seconds(3600);
    }
    assert!(
        (11..=14).contains(&links.len()),
        "10 a day, and one whenever none counts: {}",
        links.len()
    );
    assert_eq!(
        fixture
            .events()
            .await
            .iter()
            .filter(|event| event.kind == EventKind::PasswordResetRequested)
            .count(),
        asked
    );
    // If the links become invalid, one more is mailed at once, but not a second one.
    for _ in 0..6 {
        fixture.ask("ana").await.unwrap();
    }
    let last = fixture
        .mails()
        .await
        .last()
        .map_or_else(|| links.last().unwrap().clone(), |mail| link_in(mail, PAGE));
    fixture.reset(&last, NEW).await.unwrap();
    fixture.mails().await;
    for mails in [1, 0, 0] {
        fixture.ask("ana").await.unwrap();
        assert_eq!(fixture.mails().await.len(), mails);
    }
    assert!(fixture.prove("ana", NEW, None).await.is_ok());
    assert!(fixture.storage.user(ana).await.unwrap().is_some());
}

#[tokio::test]
async fn whoever_asks_waits_equally_long_for_an_account_and_for_none() {
    let step = Duration::from_millis(40);
    let fixture = Fixture::configured("", |config| config.even_answers = step).await;
    fixture.user("ana").await;
    for name_or_email in ["ana", "nobody", "nobody@example.org", ""] {
        let begun = Instant::now();
        fixture.ask(name_or_email).await.unwrap();
        assert!(begun.elapsed() >= step, "{name_or_email}");
    }
}

#[tokio::test]
async fn of_many_who_ask_beyond_the_limit_at_once_one_has_a_link_mailed() {
    let fixture = Fixture::with(Limits {
        resets_per_user: vec![Limit {
            attempts: 0,
            window_seconds: 300,
        }],
        ..limits(1000)
    })
    .await;
    fixture.user("ana").await;
    let (one, two, three) = tokio::join!(
        fixture.ask("ana"),
        fixture.ask("ana@example.org"),
        fixture.ask("ANA")
    );
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    assert_eq!(
        told(&fixture.mails().await),
        [("ana@example.org".to_owned(), MailKind::PasswordResetLink)]
    );
}

/// A link that could not be delivered must not block one that can.
#[tokio::test]
async fn a_link_that_was_mailed_to_nobody_is_nobodys() {
    let fixture = Fixture::with(Limits {
        resets_per_user: vec![Limit {
            attempts: 0,
            window_seconds: 300,
        }],
        ..limits(1000)
    })
    .await;
    let target = CreateUser {
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
    fixture.ask("carl").await.unwrap();
    assert!(fixture.mails().await.is_empty());
    let verify = VerifyEmail {
        account: Account::at_the_server(carl),
        address: "carl@example.org".into(),
    };
    fixture
        .identity
        .emails()
        .verify(fixture.permit(verify).await)
        .await
        .unwrap();
    fixture.mails().await;
    fixture.ask("carl").await.unwrap();
    assert_eq!(fixture.mails().await.len(), 1);
}
