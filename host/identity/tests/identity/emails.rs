use identity::{
    Account, AccountError, AddEmail, PasswordProblem, PromoteEmail, ReadEmailLink, RemoveEmail,
    RequestContext, Secret, SendVerification, VerifyEmail,
};
use model::UserId;
use model::audit::EventKind;
use model::mail::{MailField, MailKind};

use crate::fixture::{Fixture, limits, user_name};
use crate::mails::{link_in, told};

const PAGE: &str = "/email/confirm";
const NEW: &str = "ana@example.net";

impl Fixture {
    /// The permit of a user who is logged in.
    pub(crate) async fn permit_person<T: gate::Target>(
        &self,
        user: UserId,
        target: T,
    ) -> gate::Permit<T> {
        let caller = self.person_with(user, self.session(user).await).await;
        self.gate
            .decide(&self.attempt(), &caller, target)
            .await
            .unwrap()
    }

    async fn add(&self, user: UserId, address: &str) -> Result<(), AccountError> {
        self.identity
            .emails()
            .add(
                self.permit_person(
                    user,
                    AddEmail {
                        account: Account::at_the_server(user),
                        address: address.to_owned(),
                    },
                )
                .await,
            )
            .await
    }

    async fn confirm_address(&self, link: &str) -> Option<String> {
        self.identity
            .emails()
            .confirm(RequestContext::new(&self.gate, &self.attempt()), link)
            .await
            .unwrap()
    }

    async fn addresses(&self, user: UserId) -> Vec<(String, bool, bool)> {
        let rows = self
            .identity
            .emails()
            .of(self.view(user).await)
            .await
            .unwrap();
        rows.into_iter()
            .map(|row| (row.address, row.primary, row.verified_at.is_some()))
            .collect()
    }
}

#[tokio::test]
async fn an_address_is_ones_own_once_its_link_is_confirmed() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    fixture.add(ana, NEW).await.unwrap();
    let mail = fixture.mail().await;
    assert_eq!(
        (mail.recipient.as_str(), mail.mail.kind),
        (NEW, MailKind::EmailVerify)
    );
    let link = link_in(&mail, PAGE);
    for _ in 0..3 {
        let pending = fixture
            .identity
            .emails()
            .waiting_for(fixture.permit(ReadEmailLink { link: link.clone() }).await)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (pending.user, pending.address.as_str()),
            (user_name("ana"), NEW)
        );
    }
    let old = ("ana@example.org".to_owned(), true, true);
    assert_eq!(
        fixture.addresses(ana).await,
        std::slice::from_ref(&old),
        "to look changes nothing"
    );
    assert_eq!(fixture.confirm_address(&link).await.as_deref(), Some(NEW));
    assert_eq!(
        fixture.addresses(ana).await,
        [old, (NEW.to_owned(), false, true)]
    );
    assert_eq!(
        told(&fixture.mails().await),
        [("ana@example.org".to_owned(), MailKind::EmailAdded)]
    );
    assert_eq!(fixture.confirm_address(&link).await, None);
    let events = fixture.events().await;
    let kinds: Vec<_> = events
        .iter()
        .rev()
        .take(2)
        .map(|event| event.kind)
        .collect();
    assert_eq!(kinds, [EventKind::EmailVerified, EventKind::EmailAdded]);
}

/// The answer and the writes are the same; the mail for a taken address is never sent.
#[tokio::test]
async fn whoever_adds_an_address_does_not_learn_whether_it_is_taken() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let ben = fixture.user("ben").await;
    let before = fixture.addresses(ana).await;
    for (address, is_mailed) in [("free@example.org", true), ("BEN@example.org", false)] {
        let (mails, void) = (
            fixture.storage.outbox(None, 100).await.unwrap().len(),
            fixture.void_mails().await,
        );
        fixture.add(ana, address).await.unwrap();
        assert_eq!(
            fixture.storage.outbox(None, 100).await.unwrap().len(),
            mails + 1
        );
        assert_eq!(fixture.void_mails().await, void + usize::from(!is_mailed));
        assert_eq!(fixture.addresses(ana).await, before);
    }
    assert_eq!(told(&fixture.mails().await).len(), 1);
    assert_eq!(fixture.addresses(ben).await.len(), 1);
}

#[tokio::test]
async fn of_two_who_add_one_address_whoever_confirms_first_has_it() {
    let fixture = Fixture::new().await;
    let (ana, ben) = (fixture.user("ana").await, fixture.user("ben").await);
    let mut links = Vec::new();
    for user in [ana, ben] {
        fixture.add(user, "both@example.org").await.unwrap();
        links.push(link_in(&fixture.mail().await, PAGE));
    }
    assert!(fixture.confirm_address(&links[1]).await.is_some());
    assert!(fixture.confirm_address(&links[0]).await.is_none());
    assert_eq!(fixture.addresses(ben).await.len(), 2);
    assert_eq!(fixture.addresses(ana).await.len(), 1);
}

#[tokio::test]
async fn what_would_reach_into_a_mail_is_no_address() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    for address in [
        "",
        "ana",
        "ana@example.net\r\nBcc: ben@example.org",
        "ana@example.net, ben@example.org",
        "\"ana\"@example.net",
        "<ana@example.net>",
        "ana@example.net\0",
    ] {
        assert!(
            matches!(
                fixture.add(ana, address).await,
                Err(AccountError::InvalidEmail(_))
            ),
            "{address:?}"
        );
    }
    assert!(fixture.mails().await.is_empty());
}

#[tokio::test]
async fn an_account_has_few_addresses_and_asks_for_few_mails() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    for number in 1..10 {
        let target = AddEmail {
            account: Account::at_the_server(ana),
            address: format!("ana{number}@example.org"),
        };
        fixture
            .identity
            .emails()
            .add(fixture.permit(target).await)
            .await
            .unwrap();
    }
    assert!(matches!(
        fixture.add(ana, NEW).await,
        Err(AccountError::TooManyEmails)
    ));
    let target = AddEmail {
        account: Account::at_the_server(ana),
        address: NEW.to_owned(),
    };
    assert!(matches!(
        fixture
            .identity
            .emails()
            .add(fixture.permit(target).await)
            .await,
        Err(AccountError::TooManyEmails)
    ));
    assert!(
        matches!(
            fixture.add(ana, "ANA1@example.org").await,
            Err(AccountError::EmailTaken)
        ),
        "by herself"
    );

    let fixture = Fixture::with(limits(3)).await;
    let ana = fixture.user("ana").await;
    fixture.user("ben").await;
    for address in ["ben@example.org", "a@example.net", "b@example.net"] {
        fixture.add(ana, address).await.unwrap();
    }
    for address in ["ben@example.org", "c@example.net"] {
        assert!(
            matches!(
                fixture.add(ana, address).await,
                Err(AccountError::Limited {
                    retry_after_seconds: 300
                })
            ),
            "{address}"
        );
    }
}

#[tokio::test]
async fn over_the_network_only_the_mailed_link_verifies() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let target = AddEmail {
        account: Account::at_the_server(ana),
        address: NEW.to_owned(),
    };
    fixture
        .identity
        .emails()
        .add(fixture.permit(target).await)
        .await
        .unwrap();
    let verify = VerifyEmail {
        account: Account::at_the_server(ana),
        address: NEW.to_owned(),
    };
    let asked = fixture
        .identity
        .emails()
        .verify(fixture.permit_person(ana, verify.clone()).await)
        .await;
    assert!(matches!(asked, Err(AccountError::VerifiedByLink)));
    assert!(fixture.mails().await.is_empty());
    let send = SendVerification {
        account: Account::at_the_server(ana),
        address: NEW.to_owned(),
    };
    fixture
        .identity
        .emails()
        .send_verification(fixture.permit_person(ana, send).await)
        .await
        .unwrap();
    let link = link_in(&fixture.mail().await, PAGE);
    assert_eq!(fixture.confirm_address(&link).await.as_deref(), Some(NEW));
    assert!(
        fixture.mails().await.is_empty(),
        "nothing was added that was not there before"
    );
    assert!(
        !fixture
            .identity
            .emails()
            .verify(fixture.permit(verify).await)
            .await
            .unwrap(),
        "it is verified"
    );
    let foreign = SendVerification {
        account: Account::at_the_server(ana),
        address: "ben@example.org".to_owned(),
    };
    fixture.user("ben").await;
    assert!(matches!(
        fixture
            .identity
            .emails()
            .send_verification(fixture.permit_person(ana, foreign).await)
            .await,
        Err(AccountError::UnknownEmail)
    ));
}

#[tokio::test]
async fn another_primary_address_is_told_to_both_and_voids_links_to_the_old_one() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    fixture.add(ana, NEW).await.unwrap();
    let link = link_in(&fixture.mail().await, PAGE);
    fixture.confirm_address(&link).await.unwrap();
    fixture.mails().await;
    let reset = fixture.reset_link("ana").await;
    let promote = PromoteEmail {
        account: Account::at_the_server(ana),
        address: NEW.to_owned(),
    };
    assert!(
        fixture
            .identity
            .emails()
            .promote(fixture.permit_person(ana, promote).await)
            .await
            .unwrap()
    );
    let mails = fixture.mails().await;
    assert_eq!(
        told(&mails),
        ["ana@example.org", NEW].map(|address| (address.to_owned(), MailKind::PrimaryEmailChanged))
    );
    assert_eq!(
        (
            mails[0].mail.field(MailField::Address),
            mails[0].mail.field(MailField::OtherAddress)
        ),
        (NEW, "ana@example.org")
    );
    let asked = fixture
        .identity
        .passwords()
        .reset(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            &reset,
            Secret::new("battery staple".to_owned()),
        )
        .await;
    assert!(matches!(asked, Err(PasswordProblem::UnknownLink)));

    let remove = RemoveEmail {
        account: Account::at_the_server(ana),
        address: "ana@example.org".to_owned(),
    };
    fixture
        .identity
        .emails()
        .remove(fixture.permit_person(ana, remove).await)
        .await
        .unwrap();
    assert_eq!(
        told(&fixture.mails().await),
        [NEW, "ana@example.org"].map(|address| (address.to_owned(), MailKind::EmailRemoved))
    );
    let remove = RemoveEmail {
        account: Account::at_the_server(ana),
        address: NEW.to_owned(),
    };
    assert!(matches!(
        fixture
            .identity
            .emails()
            .remove(fixture.permit_person(ana, remove).await)
            .await,
        Err(AccountError::PrimaryEmail)
    ));
}

/// Each click on "add" mails a link, until the address is the user's own.
#[tokio::test]
async fn no_link_brings_back_an_address_that_was_removed() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    fixture.add(ana, NEW).await.unwrap();
    fixture.add(ana, NEW).await.unwrap();
    let mails = fixture.mails().await;
    let [first, second] = [link_in(&mails[0], PAGE), link_in(&mails[1], PAGE)];
    fixture.confirm_address(&first).await.unwrap();
    let remove = RemoveEmail {
        account: Account::at_the_server(ana),
        address: NEW.to_owned(),
    };
    fixture
        .identity
        .emails()
        .remove(fixture.permit_person(ana, remove).await)
        .await
        .unwrap();
    assert_eq!(fixture.confirm_address(&second).await, None);
    assert_eq!(fixture.addresses(ana).await.len(), 1);
}

#[tokio::test]
async fn a_link_to_an_address_dies_with_its_day_its_user_and_a_new_password() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let added = async || {
        fixture.add(ana, NEW).await.unwrap();
        link_in(&fixture.mail().await, PAGE)
    };
    let late = added().await;
    fixture.clock.advance_seconds(24 * 3600);
    assert!(fixture.confirm_address(&late).await.is_none());
    // An intruder had the account for a while, and added their own address.
    let intruder = added().await;
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
    assert!(fixture.confirm_address(&intruder).await.is_none());
    let orphan = added().await;
    fixture
        .identity
        .accounts()
        .delete(
            fixture
                .permit(identity::DeleteAccount {
                    account: Account::at_the_server(ana),
                    reason: None,
                })
                .await,
        )
        .await
        .unwrap();
    assert!(fixture.confirm_address(&orphan).await.is_none());
    assert!(fixture.storage.email(NEW).await.unwrap().is_none());
}

#[tokio::test]
async fn nobody_changes_the_addresses_of_another() {
    let fixture = Fixture::new().await;
    let (ana, ben) = (fixture.user("ana").await, fixture.user("ben").await);
    for address in ["second@example.org", "third@example.org"] {
        let target = AddEmail {
            account: Account::at_the_server(ben),
            address: address.to_owned(),
        };
        fixture
            .identity
            .emails()
            .add(fixture.permit(target).await)
            .await
            .unwrap();
    }
    let verify = VerifyEmail {
        account: Account::at_the_server(ben),
        address: "second@example.org".to_owned(),
    };
    fixture
        .identity
        .emails()
        .verify(fixture.permit(verify).await)
        .await
        .unwrap();
    let before = fixture.addresses(ben).await;
    let address = |address: &str| address.to_owned();
    let add = AddEmail {
        account: Account::at_the_server(ben),
        address: address(NEW),
    };
    let send = SendVerification {
        account: Account::at_the_server(ben),
        address: address("third@example.org"),
    };
    let promote = PromoteEmail {
        account: Account::at_the_server(ben),
        address: address("second@example.org"),
    };
    let remove = RemoveEmail {
        account: Account::at_the_server(ben),
        address: address("second@example.org"),
    };
    let answers = [
        fixture
            .identity
            .emails()
            .add(fixture.permit_person(ana, add).await)
            .await,
        fixture
            .identity
            .emails()
            .send_verification(fixture.permit_person(ana, send).await)
            .await,
        fixture
            .identity
            .emails()
            .promote(fixture.permit_person(ana, promote).await)
            .await
            .map(drop),
        fixture
            .identity
            .emails()
            .remove(fixture.permit_person(ana, remove).await)
            .await,
        fixture
            .identity
            .accounts()
            .delete(
                fixture
                    .permit_person(
                        ana,
                        identity::DeleteAccount {
                            account: Account::at_the_server(ben),
                            reason: None,
                        },
                    )
                    .await,
            )
            .await,
    ];
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer, Err(AccountError::UnknownUser))),
        "{answers:?}"
    );
    assert_eq!(fixture.addresses(ben).await, before);
    assert!(fixture.mails().await.is_empty());
}
