//! An intruder had a session for a while, and made their own address the primary one.

use identity::{
    Account, PromoteEmail, ReadResetLink, RemoveEmail, RequestContext, Secret, SecureAccount,
};
use model::UserId;
use model::mail::{MailField, MailKind};

use crate::fixture::Fixture;
use crate::mails::{link_in, told};

const OWNER: &str = "ana@example.org";
const THIEF: &str = "thief@example.net";
const DAY: i64 = 24 * 3600;
const NEW: &str = "a new and better horse 7!";

impl Fixture {
    /// Adds an address, verifies it and makes it the primary one, with a session alone.
    async fn take_over(&self, user: UserId, address: &str) {
        let add = identity::AddEmail {
            account: Account::at_the_server(user),
            address: address.to_owned(),
        };
        self.identity
            .emails()
            .add(self.permit_person(user, add).await)
            .await
            .unwrap();
        let link = link_in(&self.mail().await, "/email/confirm");
        self.identity
            .emails()
            .confirm(RequestContext::new(&self.gate, &self.attempt()), &link)
            .await
            .unwrap()
            .unwrap();
        self.promote(user, address).await;
    }

    async fn promote(&self, user: UserId, address: &str) {
        let promote = PromoteEmail {
            account: Account::at_the_server(user),
            address: address.to_owned(),
        };
        assert!(
            self.identity
                .emails()
                .promote(self.permit_person(user, promote).await)
                .await
                .unwrap()
        );
        self.mails().await;
    }

    async fn take_away(&self, user: UserId, address: &str) {
        let remove = RemoveEmail {
            account: Account::at_the_server(user),
            address: address.to_owned(),
        };
        self.identity
            .emails()
            .remove(self.permit_person(user, remove).await)
            .await
            .unwrap();
        self.mails().await;
    }

    /// "This wasn't me": where the link goes according to the page, and who got which mail.
    async fn not_me(
        &self,
        user: UserId,
    ) -> (Option<String>, Vec<(String, MailKind)>, Option<String>) {
        let announced = self
            .identity
            .accounts()
            .secured_through(self.view(user).await)
            .await
            .unwrap();
        let said = self
            .identity
            .accounts()
            .secure(
                self.permit_person(
                    user,
                    SecureAccount {
                        account: Account::at_the_server(user),
                    },
                )
                .await,
            )
            .await
            .unwrap();
        assert_eq!(said, announced);
        let mails = self.mails().await;
        let linked = mails
            .iter()
            .find(|mail| mail.mail.kind == MailKind::AccountSecured);
        assert!(
            mails
                .iter()
                .filter(|mail| mail.mail.kind != MailKind::AccountSecured)
                .all(|mail| mail.mail.field(MailField::Link).is_empty())
        );
        (
            said,
            told(&mails),
            linked.map(|mail| link_in(mail, "/password/reset")),
        )
    }

    async fn primary(&self, user: UserId) -> (String, bool) {
        let primary = self
            .identity
            .emails()
            .of(self.view(user).await)
            .await
            .unwrap()
            .remove(0);
        assert!(primary.primary);
        (primary.address, primary.verified_at.is_some())
    }

    async fn give_back(&self, link: &str) {
        self.identity
            .passwords()
            .reset(
                RequestContext::new(&self.gate, &self.attempt()),
                link,
                Secret::new(NEW.to_owned()),
            )
            .await
            .unwrap();
    }
}

fn mail(address: &str, kind: MailKind) -> (String, MailKind) {
    (address.to_owned(), kind)
}

#[tokio::test]
async fn who_made_an_address_the_primary_one_is_not_given_the_account() {
    for is_removed in [false, true] {
        let fixture = Fixture::new().await;
        let ana = fixture.user("ana").await;
        fixture.take_over(ana, THIEF).await;
        if is_removed {
            fixture.take_away(ana, OWNER).await;
        }
        let (said, mails, link) = fixture.not_me(ana).await;
        assert_eq!(said.as_deref(), Some("a…@example.org"));
        assert_eq!(
            mails,
            [
                mail(THIEF, MailKind::AccountSecuredElsewhere),
                mail(OWNER, MailKind::AccountSecured)
            ]
        );

        // The thief requests a link, by name and by address, and waits.
        for (asked, days) in [("ana", 0), (THIEF, 0), ("ana", 8)] {
            fixture.clock.advance_seconds(days * DAY);
            fixture
                .identity
                .passwords()
                .request_reset(
                    RequestContext::new(&fixture.gate, &fixture.attempt()),
                    asked,
                )
                .await
                .unwrap();
        }
        let asked = fixture.mails().await;
        assert!(
            !asked.is_empty() && asked.iter().all(|mail| mail.recipient == OWNER),
            "{:?}",
            told(&asked)
        );

        assert!(
            fixture
                .identity
                .passwords()
                .waiting_for(
                    fixture
                        .permit(ReadResetLink {
                            link: link.unwrap()
                        })
                        .await
                )
                .await
                .unwrap()
                .is_none(),
            "its six hours are over"
        );
        fixture
            .give_back(&link_in(asked.last().unwrap(), "/password/reset"))
            .await;
        assert_eq!(fixture.primary(ana).await, (OWNER.to_owned(), true));
        let mails = told(&fixture.mails().await);
        assert_eq!(
            mails,
            [
                mail(THIEF, MailKind::PrimaryEmailChanged),
                mail(OWNER, MailKind::PrimaryEmailChanged),
                mail(OWNER, MailKind::PasswordReset)
            ]
        );
        // It takes effect at once.
        assert_eq!(
            fixture
                .identity
                .accounts()
                .secured_through(fixture.view(ana).await)
                .await
                .unwrap()
                .as_deref(),
            Some("a…@example.org")
        );
    }
}

#[tokio::test]
async fn the_mailed_link_itself_puts_the_address_back() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    fixture.take_over(ana, THIEF).await;
    fixture.take_away(ana, OWNER).await;
    let (_, _, link) = fixture.not_me(ana).await;
    fixture.give_back(&link.unwrap()).await;
    assert_eq!(fixture.primary(ana).await, (OWNER.to_owned(), true));
    fixture.log_in("ana", NEW, None).await.unwrap();
}

#[tokio::test]
async fn no_number_of_changes_within_a_week_makes_an_address_stand() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    fixture.take_over(ana, "first@example.net").await;
    fixture.take_over(ana, THIEF).await;
    fixture.take_away(ana, OWNER).await;
    fixture.clock.advance_seconds(3 * DAY);
    for _ in 0..60 {
        fixture.promote(ana, "first@example.net").await;
        fixture.promote(ana, THIEF).await;
    }
    fixture.clock.advance_seconds(6 * DAY);
    fixture.promote(ana, "first@example.net").await;
    let (_, mails, _) = fixture.not_me(ana).await;
    assert_eq!(
        mails,
        [
            mail("first@example.net", MailKind::AccountSecuredElsewhere),
            mail(OWNER, MailKind::AccountSecured)
        ]
    );
}

#[tokio::test]
async fn an_address_that_its_owner_took_back_stands_again() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    fixture.take_over(ana, THIEF).await;
    fixture.clock.advance_seconds(DAY);
    fixture.promote(ana, OWNER).await;
    fixture.clock.advance_seconds(6 * DAY + DAY / 2);
    let (_, mails, _) = fixture.not_me(ana).await;
    assert_eq!(mails, [mail(OWNER, MailKind::AccountSecured)]);
}

#[tokio::test]
async fn an_address_stands_after_a_week_or_when_operators_set_it() {
    let fixture = Fixture::new().await;
    let (ana, ben) = (fixture.user("ana").await, fixture.user("ben").await);
    fixture.take_over(ana, "ana@example.net").await;
    fixture.clock.advance_seconds(7 * DAY);
    assert_eq!(
        fixture.not_me(ana).await.1,
        [mail("ana@example.net", MailKind::AccountSecured)]
    );

    let address = || "ben@example.net".to_owned();
    fixture
        .identity
        .emails()
        .add(
            fixture
                .permit(identity::AddEmail {
                    account: Account::at_the_server(ben),
                    address: address(),
                })
                .await,
        )
        .await
        .unwrap();
    fixture
        .identity
        .emails()
        .verify(
            fixture
                .permit(identity::VerifyEmail {
                    account: Account::at_the_server(ben),
                    address: address(),
                })
                .await,
        )
        .await
        .unwrap();
    fixture
        .identity
        .emails()
        .promote(
            fixture
                .permit(PromoteEmail {
                    account: Account::at_the_server(ben),
                    address: address(),
                })
                .await,
        )
        .await
        .unwrap();
    fixture.mails().await;
    assert_eq!(
        fixture.not_me(ben).await.1,
        [mail("ben@example.net", MailKind::AccountSecured)]
    );
}

#[tokio::test]
async fn an_address_that_is_anothers_by_now_is_not_put_back() {
    let fixture = Fixture::new().await;
    let (ana, ben) = (fixture.user("ana").await, fixture.user("ben").await);
    fixture.take_over(ana, THIEF).await;
    fixture.take_away(ana, OWNER).await;
    let (_, _, link) = fixture.not_me(ana).await;
    let add = identity::AddEmail {
        account: Account::at_the_server(ben),
        address: OWNER.to_owned(),
    };
    fixture
        .identity
        .emails()
        .add(fixture.permit(add).await)
        .await
        .unwrap();
    fixture
        .identity
        .emails()
        .verify(
            fixture
                .permit(identity::VerifyEmail {
                    account: Account::at_the_server(ben),
                    address: OWNER.to_owned(),
                })
                .await,
        )
        .await
        .unwrap();
    fixture.give_back(&link.unwrap()).await;
    assert_eq!(fixture.primary(ana).await.0, THIEF);
    assert_eq!(
        fixture
            .identity
            .emails()
            .of(fixture.view(ben).await)
            .await
            .unwrap()
            .len(),
        2
    );
}
