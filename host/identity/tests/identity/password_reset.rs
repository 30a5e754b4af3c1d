use gate::RefusalKind;
use identity::{CreateUser, DisableUser, PasswordProblem, Secret, SetPassword};
use model::UserId;
use model::audit::EventKind;
use model::mail::{MailField, MailKind};

use crate::fixture::{Fixture, PASSWORD, limits, user_name};
use crate::mails::{link_in, told};

const PAGE: &str = "/password/reset";
const NEW: &str = "battery staple";

impl Fixture {
    async fn ask(&self, name_or_email: &str) -> Result<(), gate::Refusal> {
        self.identity.request_password_reset(&self.gate, &self.attempt(), name_or_email).await
    }

    /// The link that this user gets who forgot the password.
    pub(crate) async fn reset_link(&self, name_or_email: &str) -> String {
        self.ask(name_or_email).await.unwrap();
        link_in(&self.mail().await, PAGE)
    }

    async fn reset(&self, link: &str, new: &str) -> Result<(), PasswordProblem> {
        self.identity.reset_password(&self.gate, &self.attempt(), link, Secret::new(new.to_owned())).await
    }

    pub(crate) async fn disable_password(&self, user: UserId) {
        let mut unit = self.storage.begin().await.unwrap();
        unit.disable_password(user, "policy").await.unwrap();
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
        assert_eq!(fixture.identity.password_reset(&link).await.unwrap(), Some(user_name("ana")));
    }
    assert!(fixture.prove("ana", PASSWORD, None).await.is_ok(), "to look at the page changes nothing");
    fixture.reset(&link, NEW).await.unwrap();
    assert!(fixture.prove("ana", PASSWORD, None).await.is_err());
    assert!(fixture.prove("ana", NEW, None).await.is_ok());
    assert!(fixture.sessions(ana).await.is_empty());
    let mail = fixture.mail().await;
    assert_eq!((mail.recipient.as_str(), mail.mail.kind), ("ana@example.org", MailKind::PasswordReset));
    for used_up in [&link, &earlier] {
        assert!(fixture.identity.password_reset(used_up).await.unwrap().is_none());
        assert!(matches!(fixture.reset(used_up, "another password").await, Err(PasswordProblem::UnknownLink)));
    }
    let events = fixture.events().await;
    let event = events.iter().find(|event| event.kind == EventKind::PasswordReset).unwrap();
    assert_eq!((event.user, event.detail["ended-sessions"].as_u64()), (Some(ana), Some(1)));
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
    let (one, other) = tokio::join!(fixture.reset(&link, NEW), fixture.reset(&link, "another password"));
    let (set, refused) = if one.is_ok() { (NEW, other) } else { ("another password", one) };
    assert!(matches!(refused, Err(PasswordProblem::UnknownLink)), "{refused:?}");
    assert!(fixture.prove("ana", set, None).await.is_ok());
}

/// The same answer, the same rows; but the mail for nobody is sent to nobody.
#[tokio::test]
async fn a_stranger_cannot_tell_whether_there_is_an_account() {
    let fixture = Fixture::new().await;
    fixture.user("ana").await;
    let ben = fixture.user("ben").await;
    let reason = "left the company".to_owned();
    fixture.identity.disable_user(fixture.permit(DisableUser { user: ben, reason }).await).await.unwrap();
    let target = CreateUser { name: user_name("carl"), email: Some("carl@example.org".into()), email_verified: false, staff: false };
    fixture.identity.create_user(fixture.permit(target).await).await.unwrap();
    let gone = fixture.user("gone").await;
    fixture.identity.delete_account(fixture.permit(identity::DeleteAccount { user: gone }).await).await.unwrap();
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
        assert_eq!(fixture.mails().await.len(), usize::from(is_mailed), "{number}");
        let written = fixture.storage.outbox(None, 1000).await.unwrap();
        assert_eq!(written.iter().filter(|mail| mail.kind == MailKind::PasswordResetLink).count(), number + 1);
        let events = fixture.events().await.split_off(before);
        assert_eq!(events.iter().map(|event| event.kind).collect::<Vec<_>>(), [EventKind::PasswordResetRequested]);
    }
    assert_eq!(fixture.storage.forget_ended_links(crate::fixture::NOW.plus_ms(i64::MAX / 4)).await.unwrap(), asked.len() as u64, "each wrote a link");
}

/// Whoever registers a look-alike of somebody's address gets nothing by typing it.
#[tokio::test]
async fn the_link_goes_to_the_primary_address_as_it_is_stored() {
    let fixture = Fixture::new().await;
    fixture.user("ana").await;
    fixture.ask(" ANA@EXAMPLE.ORG ").await.unwrap();
    let mail = fixture.mail().await;
    assert_eq!(mail.recipient, "ana@example.org");
    assert_eq!((mail.mail.field(MailField::UserName), mail.mail.field(MailField::RemoteAddress)), ("ana", "192.0.2.1"));
    for look_alike in ["ana@example.org.", "аna@example.org", "ana@example.org,ben@example.org", "ana@example.org\nben@example.org"] {
        fixture.ask(look_alike).await.unwrap();
        assert!(fixture.mails().await.is_empty(), "{look_alike}");
    }
}

#[tokio::test]
async fn a_link_counts_no_more_after_what_makes_it_needless() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let remembered = fixture.reset_link("ana").await;
    fixture.logged_in("ana").await;
    assert!(matches!(fixture.reset(&remembered, NEW).await, Err(PasswordProblem::UnknownLink)), "the password was remembered after all");

    let set = fixture.reset_link("ana").await;
    let target = SetPassword { user: ana, password: Secret::new(NEW.to_owned()) };
    fixture.identity.set_password(fixture.permit(target).await).await.unwrap();
    assert!(matches!(fixture.reset(&set, "another password").await, Err(PasswordProblem::UnknownLink)), "the password was set");

    let late = fixture.reset_link("ana").await;
    fixture.clock.advance_seconds(6 * 3600);
    assert!(matches!(fixture.reset(&late, "another password").await, Err(PasswordProblem::UnknownLink)), "six hours are over");

    let disabled = fixture.reset_link("ana").await;
    let reason = "stolen".to_owned();
    fixture.identity.disable_user(fixture.permit(DisableUser { user: ana, reason }).await).await.unwrap();
    assert!(matches!(fixture.reset(&disabled, "another password").await, Err(PasswordProblem::UnknownLink)), "the user is disabled");
    assert!(fixture.identity.password_reset(&disabled).await.unwrap().is_none());
}

#[tokio::test]
async fn an_unsuitable_password_leaves_the_link_as_it_was() {
    let fixture = Fixture::new().await;
    fixture.user("ana").await;
    let link = fixture.reset_link("ana").await;
    for unsuitable in ["short", "password1", "ana@example.org", "line\nfeed in it"] {
        assert!(matches!(fixture.reset(&link, unsuitable).await, Err(PasswordProblem::Unsuitable(_))), "{unsuitable}");
    }
    fixture.reset(&link, NEW).await.unwrap();
}

#[tokio::test]
async fn asking_is_limited_whether_there_is_an_account_or_not() {
    let fixture = Fixture::with(limits(3)).await;
    fixture.user("ana").await;
    let mut refused = Vec::new();
    for (place, name_or_email) in ["ana", "ana@example.org", "nobody", "nobody@example.org"].into_iter().enumerate() {
        let ask = async |number: u8| {
            let attempt = fixture.attempt_from(&format!("198.51.{place}.{number}"));
            fixture.identity.request_password_reset(&fixture.gate, &attempt, name_or_email).await
        };
        for number in 0..3 {
            ask(number).await.unwrap();
        }
        let refusal = ask(3).await.unwrap_err();
        refused.push((refusal.kind, refusal.reasons));
    }
    assert_eq!(refused[0].0, RefusalKind::Limited { retry_after_seconds: 300 });
    assert!(refused.windows(2).all(|pair| pair[0] == pair[1]), "{refused:?}");
    for number in 0..3 {
        fixture.ask(&format!("user{number}")).await.unwrap();
    }
    assert!(matches!(fixture.ask("user9").await.unwrap_err().kind, RefusalKind::Limited { .. }), "from one address");
    assert!(told(&fixture.mails().await).iter().all(|(recipient, _)| recipient == "ana@example.org"));
}
