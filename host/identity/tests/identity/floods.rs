//! How many mails an account can cause.

use identity::{Account, AddEmail, NewTokenScope, PromoteEmail, RemoveEmail, VerifyEmail};
use model::Clock as _;
use model::mail::{MailField, MailKind};
use storage::mail_rates::{AT_ONCE, GATHERING_MS};

use crate::fixture::Fixture;
use crate::mails::told;

/// With any credential: the limit is applied when mails are written.
#[tokio::test]
async fn an_account_cannot_flood_its_owner_and_a_takeover_is_told_of_at_once() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let thief = "thief@example.net".to_owned();
    for address in [&thief, &"other@example.org".to_owned()] {
        fixture
            .identity
            .emails()
            .add(
                fixture
                    .permit(AddEmail {
                        account: Account::at_the_server(ana),
                        address: address.clone(),
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
                    .permit(VerifyEmail {
                        account: Account::at_the_server(ana),
                        address: address.clone(),
                    })
                    .await,
            )
            .await
            .unwrap();
    }
    fixture.mails().await;
    for _ in 0..60 {
        fixture.token("ana", NewTokenScope::Account).await;
    }
    let flooded = told(&fixture.mails().await);
    assert_eq!(
        flooded
            .iter()
            .filter(|(_, kind)| *kind == MailKind::TokenCreated)
            .count(),
        AT_ONCE
    );
    // The flood hides nothing: the owner gets a mail about each of these at once.
    fixture
        .identity
        .emails()
        .promote(
            fixture
                .permit(PromoteEmail {
                    account: Account::at_the_server(ana),
                    address: thief.clone(),
                })
                .await,
        )
        .await
        .unwrap();
    let mails = told(&fixture.mails().await);
    assert_eq!(
        mails,
        ["ana@example.org", &thief]
            .map(|address| (address.to_owned(), MailKind::PrimaryEmailChanged))
    );
    fixture
        .identity
        .emails()
        .remove(
            fixture
                .permit(RemoveEmail {
                    account: Account::at_the_server(ana),
                    address: "ana@example.org".to_owned(),
                })
                .await,
        )
        .await
        .unwrap();
    let mails = told(&fixture.mails().await);
    assert!(
        mails.contains(&("ana@example.org".to_owned(), MailKind::EmailRemoved)),
        "{mails:?}"
    );
    // The other mails follow a little later, to the address that was primary during the changes.
    fixture.clock.advance_seconds(GATHERING_MS / 1000);
    let now = fixture.clock.now();
    let gathered: Vec<_> = fixture
        .storage
        .lease_mails(now, now.plus_ms(1), 10)
        .await
        .unwrap();
    let words: Vec<_> = gathered
        .iter()
        .map(|mail| (mail.recipient.as_str(), mail.mail.field(MailField::Changes)))
        .collect();
    assert_eq!(
        words,
        [(
            "ana@example.org",
            &*format!("token-created={}", 60 - AT_ONCE)
        )]
    );
}
