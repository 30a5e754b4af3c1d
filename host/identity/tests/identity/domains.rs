//! Email addresses whose domains can be written in several ways.

use identity::{
    Account, AddEmail, FieldError, PromoteEmail, RegisterForm, RegisterProblem, RemoveEmail,
    RequestContext, Secret, convert_addresses,
};
use model::audit::EventKind;
use model::mail::MailKind;
use model::{Clock as _, LinkPurpose, UserId};
use storage::users::EmailRow;

use crate::fixture::{Fixture, PASSWORD, user_name};
use crate::mails::link_in;

/// As people write it, and as mail servers write it.
const U_LABEL: &str = "ana@ex\u{e4}mple.org";
const A_LABEL: &str = "ana@xn--exmple-cua.org";

impl Fixture {
    /// An address as an earlier version stored it.
    async fn stored_before(&self, user: UserId, address: &str, verified: bool, primary: bool) {
        let mut unit = self.storage.begin().await.unwrap();
        unit.add_email(user, address, self.clock.now())
            .await
            .unwrap();
        if verified {
            unit.verify_email(user, address, self.clock.now())
                .await
                .unwrap();
        }
        if primary {
            unit.promote_email(user, address).await.unwrap();
        }
        unit.commit(&self.some_event()).await.unwrap();
        self.clock.advance_seconds(1);
    }

    async fn convert(&self) -> u64 {
        convert_addresses(&self.storage, self.clock.now())
            .await
            .unwrap()
    }

    async fn stored(&self, user: UserId) -> Vec<(String, bool, bool)> {
        let shown = |email: EmailRow| (email.address, email.verified_at.is_some(), email.primary);
        self.storage
            .emails(user)
            .await
            .unwrap()
            .into_iter()
            .map(shown)
            .collect()
    }

    async fn register_with(&self, name: &str, email: &str) -> Result<(), RegisterProblem> {
        let form = RegisterForm {
            user_name: name.to_owned(),
            email: email.to_owned(),
            password: Secret::new(PASSWORD.to_owned()),
        };
        self.identity
            .registrations()
            .register(RequestContext::new(&self.gate, &self.attempt()), form)
            .await
    }
}

fn shown(address: &str, verified: bool, primary: bool) -> (String, bool, bool) {
    (address.to_owned(), verified, primary)
}

#[tokio::test]
async fn an_address_is_one_in_every_way_its_domain_is_written() {
    let fixture = Fixture::new().await;
    fixture.register_with("ana", U_LABEL).await.unwrap();
    let mail = fixture.mail().await;
    assert_eq!(mail.recipient, A_LABEL, "sent to what mail servers know");
    let link = link_in(&mail, "/register/confirm");
    fixture
        .identity
        .registrations()
        .confirm(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            &link,
            Secret::new(PASSWORD.to_owned()),
        )
        .await
        .unwrap();
    let ana = fixture
        .storage
        .user_by_name(&user_name("ana"))
        .await
        .unwrap()
        .unwrap()
        .id;
    assert_eq!(fixture.stored(ana).await, [shown(A_LABEL, true, true)]);

    let ben = fixture.user("ben").await;
    fixture.mails().await;
    for written in [
        U_LABEL,
        A_LABEL,
        "ANA@EX\u{c4}MPLE.ORG",
        "ana@exa\u{308}mple\u{3002}org",
        "ana@XN--EXMPLE-CUA.org",
    ] {
        fixture
            .log_in(written, PASSWORD, None)
            .await
            .unwrap_or_else(|_| panic!("{written}"));
        fixture
            .identity
            .passwords()
            .request_reset(
                RequestContext::new(&fixture.gate, &fixture.attempt()),
                written,
            )
            .await
            .unwrap();
        assert_eq!(fixture.mail().await.recipient, A_LABEL, "{written}");
        // It belongs to Ana's account: no one else can register with it or add it.
        fixture.register_with("carl", written).await.unwrap();
        assert_eq!(
            fixture.mail().await.mail.kind,
            MailKind::RegistrationExisting,
            "{written}"
        );
        let target = AddEmail {
            account: Account::at_the_server(ben),
            address: written.to_owned(),
        };
        assert!(
            matches!(
                fixture
                    .identity
                    .emails()
                    .add(fixture.permit(target).await)
                    .await,
                Err(identity::AccountError::EmailTaken)
            ),
            "{written}"
        );
    }
    // Any spelling removes her own address, too.
    let target = AddEmail {
        account: Account::at_the_server(ana),
        address: "second@EX\u{c4}MPLE.org".to_owned(),
    };
    fixture
        .identity
        .emails()
        .add(fixture.permit(target).await)
        .await
        .unwrap();
    let target = RemoveEmail {
        account: Account::at_the_server(ana),
        address: "second@ex\u{e4}mple.org".to_owned(),
    };
    fixture
        .identity
        .emails()
        .remove(fixture.permit(target).await)
        .await
        .unwrap();
    assert_eq!(fixture.stored(ana).await, [shown(A_LABEL, true, true)]);
}

#[tokio::test]
async fn what_cannot_be_delivered_is_refused_at_the_door() {
    let fixture = Fixture::new().await;
    for (address, message) in [
        (
            "ana",
            "this is not an email address; one looks like name@example.org",
        ),
        (
            "ana@intranet",
            "mail cannot be sent to what follows the @; it is the name of a domain, for example example.org",
        ),
        (
            "ana@[192.0.2.1]",
            "mail cannot be sent to what follows the @; it is the name of a domain, for example example.org",
        ),
        (
            "ana@xn--zzzzzz.org",
            "mail cannot be sent to what follows the @; it is the name of a domain, for example example.org",
        ),
        (
            "\u{e1}na@example.org",
            "many mail servers cannot send to letters other than a to z before the @; use another email address",
        ),
    ] {
        let Err(RegisterProblem::Invalid(errors)) = fixture.register_with("ana", address).await
        else {
            panic!("{address}")
        };
        assert_eq!(
            errors,
            [FieldError {
                field: "email",
                message: message.to_owned()
            }],
            "{address}"
        );
    }
    assert!(fixture.mails().await.is_empty());
}

#[tokio::test]
async fn addresses_of_before_are_converted_and_their_people_notice_nothing() {
    let fixture = Fixture::new().await;
    let (ana, ben) = (fixture.user("ana").await, fixture.user("ben").await);
    fixture.stored_before(ana, U_LABEL, true, true).await;
    // Not accepted today: these stay unchanged, except for their domain.
    fixture
        .stored_before(ben, "b\u{e9}n@ex\u{e4}mple.org", true, false)
        .await;
    fixture.stored_before(ben, "ben@\u{e4}", false, false).await;
    assert_eq!(fixture.convert().await, 2);
    assert_eq!(fixture.convert().await, 0, "once");
    assert_eq!(
        fixture.stored(ana).await,
        [
            shown(A_LABEL, true, true),
            shown("ana@example.org", true, false)
        ]
    );
    let of_ben = fixture.stored(ben).await;
    assert!(
        of_ben.contains(&shown("b\u{e9}n@xn--exmple-cua.org", true, false))
            && of_ben.contains(&shown("ben@\u{e4}", false, false)),
        "{of_ben:?}"
    );
    for written in [U_LABEL, A_LABEL, "b\u{e9}n@ex\u{e4}mple.org"] {
        fixture
            .log_in(written, PASSWORD, None)
            .await
            .unwrap_or_else(|_| panic!("{written}"));
    }
    let remove = RemoveEmail {
        account: Account::at_the_server(ben),
        address: "ben@\u{e4}".to_owned(),
    };
    fixture
        .identity
        .emails()
        .remove(fixture.permit(remove).await)
        .await
        .unwrap();
    let events = fixture.events().await;
    let converted: Vec<_> = events
        .iter()
        .filter(|event| event.kind == EventKind::EmailConverted && event.user == Some(ana))
        .collect();
    assert_eq!(
        (
            converted.len(),
            converted[0].detail["before"].as_str(),
            converted[0].detail["address"].as_str()
        ),
        (1, Some(U_LABEL), Some(A_LABEL))
    );
}

#[tokio::test]
async fn of_two_that_turn_out_to_be_one_the_first_that_was_verified_stays() {
    let fixture = Fixture::new().await;
    let [ana, ben, carl, dora] = [
        fixture.user("ana").await,
        fixture.user("ben").await,
        fixture.user("carl").await,
        fixture.user("dora").await,
    ];
    // Another account's, verified later, and an unproven claim.
    fixture
        .stored_before(ana, "one@ex\u{e4}mple.org", true, true)
        .await;
    fixture
        .stored_before(ben, "one@xn--exmple-cua.org", true, true)
        .await;
    fixture
        .stored_before(carl, "two@ex\u{e4}mple.org", false, false)
        .await;
    fixture
        .stored_before(dora, "two@xn--exmple-cua.org", true, false)
        .await;
    // Both of one account.
    fixture
        .stored_before(dora, "three@xn--exmple-cua.org", true, false)
        .await;
    fixture
        .stored_before(dora, "three@EX\u{c4}MPLE.org", true, true)
        .await;
    fixture.convert().await;
    assert_eq!(
        fixture.stored(ana).await,
        [
            shown("one@xn--exmple-cua.org", true, true),
            shown("ana@example.org", true, false)
        ]
    );
    assert_eq!(
        fixture.stored(ben).await,
        [shown("ben@example.org", true, true)],
        "another address is the primary one"
    );
    assert_eq!(
        fixture.stored(carl).await,
        [shown("carl@example.org", true, true)]
    );
    let expected = [
        shown("three@xn--exmple-cua.org", true, true),
        shown("dora@example.org", true, false),
        shown("two@xn--exmple-cua.org", true, false),
    ];
    assert_eq!(fixture.stored(dora).await, expected);
    let removed: Vec<_> = fixture
        .events()
        .await
        .into_iter()
        .filter(|event| event.kind == EventKind::EmailRemoved)
        .map(|event| event.user)
        .collect();
    assert_eq!(removed.len(), 3);
    assert!(
        [ben, carl, dora]
            .iter()
            .all(|user| removed.contains(&Some(*user)))
    );
    assert_eq!(fixture.convert().await, 0);
}

/// A link that was mailed before the conversion, for an address in its old form.
#[tokio::test]
async fn a_link_of_before_verifies_the_address_in_its_one_form() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let secret = "A".repeat(43);
    let hash: [u8; 32] = {
        use sha2::{Digest, Sha256};
        Sha256::digest(
            data_encoding::BASE64URL_NOPAD
                .decode(secret.as_bytes())
                .unwrap(),
        )
        .into()
    };
    let at = fixture.clock.now();
    let link = storage::links::NewLink {
        secret: &hash,
        purpose: LinkPurpose::EmailVerify,
        user: Some(ana),
        data: U_LABEL,
        created_at: at,
        expires_at: at.plus_ms(1000),
    };
    let mut unit = fixture.storage.begin().await.unwrap();
    unit.create_link(&link).await.unwrap();
    unit.commit(&fixture.some_event()).await.unwrap();
    let confirmed = fixture
        .identity
        .emails()
        .confirm(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            &secret,
        )
        .await
        .unwrap();
    assert_eq!(confirmed.as_deref(), Some(A_LABEL));
    let promote = PromoteEmail {
        account: Account::at_the_server(ana),
        address: U_LABEL.to_owned(),
    };
    assert!(
        fixture
            .identity
            .emails()
            .promote(fixture.permit(promote).await)
            .await
            .unwrap()
    );
    assert_eq!(fixture.stored(ana).await[0], shown(A_LABEL, true, true));
}
