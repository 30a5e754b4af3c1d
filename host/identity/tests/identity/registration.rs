use gate::RefusalKind;
use identity::{
    Account, ConfirmProblem, FieldError, ReadEmailLink, ReadFirstUserLink, ReadRegistration,
    ReadResetLink, RegisterForm, RegisterProblem, RequestContext, Secret,
};
use model::audit::{Actor, EventKind};
use model::mail::{MailField, MailKind};
use storage::outbox::OutboxRow;

use crate::fixture::{Fixture, PASSWORD, limits, user_name};
use crate::mails::{link_in, told};

const PAGE: &str = "/register/confirm";

fn form(user_name: &str, email: &str) -> RegisterForm {
    RegisterForm {
        user_name: user_name.to_owned(),
        email: email.to_owned(),
        password: Secret::new(PASSWORD.to_owned()),
    }
}

impl Fixture {
    async fn register(&self, user_name: &str, email: &str) -> Result<(), RegisterProblem> {
        self.identity
            .registrations()
            .register(
                RequestContext::new(&self.gate, &self.attempt()),
                form(user_name, email),
            )
            .await
    }

    /// The mail for a registration.
    async fn registered(&self, user_name: &str, email: &str) -> OutboxRow {
        self.register(user_name, email).await.unwrap();
        self.mail().await
    }

    async fn confirm(&self, link: &str) -> Result<model::UserName, ConfirmProblem> {
        self.confirm_with(link, PASSWORD).await
    }

    async fn confirm_with(
        &self,
        link: &str,
        password: &str,
    ) -> Result<model::UserName, ConfirmProblem> {
        self.identity
            .registrations()
            .confirm(
                RequestContext::new(&self.gate, &self.attempt()),
                link,
                Secret::new(password.to_owned()),
            )
            .await
    }
}

#[tokio::test]
async fn a_registration_is_an_account_once_its_link_is_confirmed() {
    let fixture = Fixture::new().await;
    let mail = fixture.registered(" Ana ", " Ana@example.org ").await;
    assert_eq!(
        (mail.mail.kind, mail.recipient.as_str()),
        (MailKind::RegistrationConfirm, "Ana@example.org")
    );
    assert_eq!(
        (
            mail.mail.field(MailField::UserName),
            mail.mail.field(MailField::RemoteAddress)
        ),
        ("Ana", "192.0.2.1")
    );
    let link = link_in(&mail, PAGE);
    for _ in 0..3 {
        // Programs that open every link in a mail change nothing.
        let pending = fixture
            .identity
            .registrations()
            .waiting_for(
                fixture
                    .permit(ReadRegistration { link: link.clone() })
                    .await,
            )
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (
                pending.user_name,
                pending.email.as_str(),
                pending.name_taken
            ),
            (user_name("Ana"), "Ana@example.org", false)
        );
        assert_eq!(fixture.storage.user_count().await.unwrap(), 0);
    }
    assert_eq!(fixture.confirm(&link).await.unwrap(), user_name("Ana"));
    let ana = fixture
        .storage
        .user_by_name(&user_name("ana"))
        .await
        .unwrap()
        .unwrap();
    assert!(ana.email_verified && !ana.staff);
    assert!(fixture.prove("ana", PASSWORD, None).await.is_ok());
    assert!(matches!(
        fixture.confirm(&link).await,
        Err(ConfirmProblem::UnknownLink)
    ));
    assert!(
        fixture
            .identity
            .registrations()
            .waiting_for(
                fixture
                    .permit(ReadRegistration { link: link.clone() })
                    .await
            )
            .await
            .unwrap()
            .is_none()
    );
    let made = [
        EventKind::RegistrationRequested,
        EventKind::EmailAdded,
        EventKind::EmailVerified,
        EventKind::PasswordSet,
        EventKind::AccountCreated,
    ];
    let events = fixture.events().await;
    let seen: Vec<_> = events
        .iter()
        .filter(|event| made.contains(&event.kind))
        .collect();
    assert_eq!(
        seen.iter().map(|event| event.kind).collect::<Vec<_>>(),
        made
    );
    assert!(seen.iter().all(|event| matches!(&event.actor, Actor::Caller { user: None, remote_address, .. } if remote_address == "192.0.2.1")));
    assert!(seen[1..].iter().all(|event| event.user == Some(ana.id)));
}

/// The answer and the writes are the same; the owner of the address learns more.
#[tokio::test]
async fn a_stranger_cannot_tell_what_is_taken() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let deleted = fixture.user("gone").await;
    fixture
        .identity
        .accounts()
        .delete(
            fixture
                .permit(identity::DeleteAccount {
                    account: Account::at_the_server(deleted),
                    reason: None,
                })
                .await,
        )
        .await
        .unwrap();
    fixture.mails().await;
    for (name, address, kind, owner) in [
        (
            "ben",
            "ben@example.org",
            MailKind::RegistrationConfirm,
            None,
        ),
        (
            "ANA",
            "ben@example.org",
            MailKind::RegistrationNameTaken,
            None,
        ),
        (
            "gone",
            "gone@example.org",
            MailKind::RegistrationNameTaken,
            None,
        ),
        (
            "ben",
            "ANA@example.org",
            MailKind::RegistrationExisting,
            Some(ana),
        ),
        (
            "ana",
            "ana@example.org",
            MailKind::RegistrationExisting,
            Some(ana),
        ),
    ] {
        let before = fixture.events().await.len();
        fixture.register(name, address).await.unwrap();
        let mail = fixture.mail().await;
        assert_eq!(
            (mail.mail.kind, mail.user),
            (kind, owner),
            "{name} {address}"
        );
        assert!(mail.recipient.eq_ignore_ascii_case(address));
        let events = fixture.events().await.split_off(before);
        let [event] = &events[..] else {
            panic!("{events:?}")
        };
        assert_eq!(
            (event.kind, event.user),
            (EventKind::RegistrationRequested, owner)
        );
    }
    assert_eq!(fixture.void_mails().await, 0);
    assert_eq!(
        fixture
            .storage
            .forget_ended_links(crate::fixture::NOW.plus_ms(i64::MAX / 4))
            .await
            .unwrap(),
        5,
        "each wrote a link"
    );
}

#[tokio::test]
async fn a_taken_name_is_told_to_whoever_has_the_mailbox() {
    let fixture = Fixture::new().await;
    fixture.user("ana").await;
    let deleted = fixture.user("gone").await;
    fixture
        .identity
        .accounts()
        .delete(
            fixture
                .permit(identity::DeleteAccount {
                    account: Account::at_the_server(deleted),
                    reason: None,
                })
                .await,
        )
        .await
        .unwrap();
    fixture.mails().await;
    for name in ["Ana", "gone"] {
        let mail = fixture.registered(name, "ben@example.org").await;
        assert_eq!(
            (mail.mail.kind, mail.mail.field(MailField::UserName)),
            (MailKind::RegistrationNameTaken, name)
        );
    }
    // The page of the link informs the user who was slower.
    let link = link_in(&fixture.registered("carl", "ben@example.org").await, PAGE);
    fixture.user("carl").await;
    assert!(
        fixture
            .identity
            .registrations()
            .waiting_for(
                fixture
                    .permit(ReadRegistration { link: link.clone() })
                    .await
            )
            .await
            .unwrap()
            .unwrap()
            .name_taken
    );
    assert!(matches!(
        fixture.confirm(&link).await,
        Err(ConfirmProblem::NameTaken)
    ));
    assert!(
        fixture
            .storage
            .email("ben@example.org")
            .await
            .unwrap()
            .is_none(),
        "nothing stays behind"
    );
}

#[tokio::test]
async fn of_several_registrations_of_one_name_or_address_one_becomes_an_account() {
    let fixture = Fixture::new().await;
    let first = link_in(&fixture.registered("ana", "ana@example.org").await, PAGE);
    let same_name = link_in(&fixture.registered("ana", "ana@example.net").await, PAGE);
    let same_address = link_in(&fixture.registered("ben", "ANA@example.org").await, PAGE);
    let (one, other) = tokio::join!(fixture.confirm(&first), fixture.confirm(&first));
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    assert!(matches!(
        fixture.confirm(&same_name).await,
        Err(ConfirmProblem::NameTaken)
    ));
    assert!(matches!(
        fixture.confirm(&same_address).await,
        Err(ConfirmProblem::EmailTaken)
    ));
    assert_eq!(fixture.storage.user_count().await.unwrap(), 1);
}

#[tokio::test]
async fn an_address_that_was_only_claimed_goes_to_whoever_proves_it() {
    let fixture = Fixture::new().await;
    let target = identity::CreateUser {
        name: user_name("mallory"),
        email: Some("ana@example.org".into()),
        email_verified: false,
        staff: false,
    };
    let mallory = fixture
        .identity
        .accounts()
        .create(fixture.permit(target).await)
        .await
        .unwrap();
    let mail = fixture.registered("ana", "ana@example.org").await;
    assert_eq!(
        (mail.mail.kind, mail.user),
        (MailKind::RegistrationConfirm, None),
        "a claim is nobody's account"
    );
    fixture.confirm(&link_in(&mail, PAGE)).await.unwrap();
    assert!(fixture.storage.emails(mallory).await.unwrap().is_empty());
    assert!(
        fixture
            .events()
            .await
            .iter()
            .any(|event| event.kind == EventKind::EmailRemoved && event.user == Some(mallory))
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_form_is_said_by_field() {
    let fixture = Fixture::new().await;
    let wrong = async |name: &str, email: &str, password: &str| {
        let form = RegisterForm {
            user_name: name.to_owned(),
            email: email.to_owned(),
            password: Secret::new(password.to_owned()),
        };
        match fixture
            .identity
            .registrations()
            .register(RequestContext::new(&fixture.gate, &fixture.attempt()), form)
            .await
        {
            Err(RegisterProblem::Invalid(errors)) => errors
                .into_iter()
                .map(|FieldError { field, .. }| field)
                .collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(wrong("", "", "").await, ["user-name", "email", "password"]);
    assert_eq!(
        wrong("Al ice!", "ana@example.net", "password1").await,
        ["user-name", "password"],
        "easily guessed, told with the rest"
    );
    assert_eq!(
        wrong("ana", "ana@", "password1").await,
        ["email", "password"]
    );
    assert_eq!(
        wrong("__token__", "ana@example.org", PASSWORD).await,
        ["user-name"]
    );
    assert_eq!(
        wrong("ana", "ana@example.org\r\nBcc: ben@example.org", PASSWORD).await,
        ["email"]
    );
    assert_eq!(
        wrong("ana", "ana@example.org", "password1").await,
        ["password"]
    );
    assert_eq!(
        wrong("kwisatz-haderach", "ana@example.org", "kwisatz-haderach").await,
        ["password"]
    );
    assert_eq!(
        wrong("ana", "ana@example.org", &"x".repeat(1_000_000)).await,
        ["password"]
    );
    assert!(fixture.mails().await.is_empty() && fixture.void_mails().await == 0);
}

#[tokio::test]
async fn registrations_are_limited_whether_what_they_name_is_taken_or_not() {
    let fixture = Fixture::with(limits(3)).await;
    fixture.user("ana").await;
    for (network, address) in ["198.51.100", "203.0.113"]
        .into_iter()
        .zip(["ana@example.org", "ben@example.org"])
    {
        let mut kinds = Vec::new();
        for number in 0..16 {
            let attempt = fixture.attempt_from(&format!("{network}.{}", number / 2));
            let answer = fixture
                .identity
                .registrations()
                .register(
                    RequestContext::new(&fixture.gate, &attempt),
                    form("carl", address),
                )
                .await;
            kinds.push(match answer {
                Ok(()) => None,
                Err(RegisterProblem::Refused(refusal)) => Some((refusal.kind, refusal.reasons)),
                Err(problem) => panic!("{problem}"),
            });
        }
        // Five times the limit of one address, from all together.
        assert!(kinds[..15].iter().all(Option::is_none), "{kinds:?}");
        assert!(
            matches!(
                kinds[15],
                Some((
                    RefusalKind::Limited {
                        retry_after_seconds: 300
                    },
                    _
                ))
            ),
            "{kinds:?}"
        );
    }
    for number in 0..3 {
        fixture
            .register("dora", &format!("dora{number}@example.org"))
            .await
            .unwrap();
    }
    assert!(
        matches!(
            fixture.register("dora", "dora@example.org").await,
            Err(RegisterProblem::Refused(_))
        ),
        "from one address"
    );
}

#[tokio::test]
async fn a_password_that_is_refused_uses_up_no_registration() {
    let fixture = Fixture::with(limits(3)).await;
    for _ in 0..3 {
        let weak = RegisterForm {
            password: Secret::new("password1".to_owned()),
            ..form("dora", "dora@example.org")
        };
        let attempt = fixture.attempt();
        let context = RequestContext::new(&fixture.gate, &attempt);
        let answer = fixture
            .identity
            .registrations()
            .register(context, weak)
            .await;
        assert!(
            matches!(answer, Err(RegisterProblem::Invalid(_))),
            "{answer:?}"
        );
    }
    for _ in 0..3 {
        fixture.register("dora", "dora@example.org").await.unwrap();
    }
    let fourth = fixture.register("dora", "dora@example.org").await;
    assert!(matches!(fourth, Err(RegisterProblem::Refused(_))));
}

/// Repeatedly registering an address does not lock its owner out.
#[tokio::test]
async fn registrations_of_an_address_are_limited_for_each_who_asks() {
    let fixture = Fixture::with(limits(3)).await;
    let from = async |from: &str| {
        fixture
            .identity
            .registrations()
            .register(
                RequestContext::new(&fixture.gate, &fixture.attempt_from(from)),
                form("carl", "ben@example.org"),
            )
            .await
    };
    for _ in 0..3 {
        from("198.51.100.1").await.unwrap();
    }
    assert!(matches!(
        from("198.51.100.1").await,
        Err(RegisterProblem::Refused(_))
    ));
    from("203.0.113.9").await.unwrap();
}

#[tokio::test]
async fn a_link_counts_for_a_day_and_for_nothing_else() {
    let fixture = Fixture::new().await;
    let link = link_in(&fixture.registered("ana", "ana@example.org").await, PAGE);
    assert!(
        fixture
            .identity
            .passwords()
            .waiting_for(fixture.permit(ReadResetLink { link: link.clone() }).await)
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        fixture
            .identity
            .emails()
            .waiting_for(fixture.permit(ReadEmailLink { link: link.clone() }).await)
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        !fixture
            .identity
            .registrations()
            .is_first_user_link(
                fixture
                    .permit(ReadFirstUserLink { link: link.clone() })
                    .await
            )
            .await
            .unwrap()
    );
    fixture.clock.advance_seconds(24 * 3600);
    assert!(matches!(
        fixture.confirm(&link).await,
        Err(ConfirmProblem::UnknownLink)
    ));
    for nonsense in ["", "x", &"A".repeat(43), &"A".repeat(10_000)] {
        assert!(matches!(
            fixture.confirm(nonsense).await,
            Err(ConfirmProblem::UnknownLink)
        ));
    }
}

#[tokio::test]
async fn the_first_user_comes_by_the_printed_link_and_is_staff() {
    let fixture = Fixture::new().await;
    let outdated = fixture
        .identity
        .registrations()
        .first_user_link()
        .await
        .unwrap()
        .unwrap();
    let link = fixture
        .identity
        .registrations()
        .first_user_link()
        .await
        .unwrap()
        .unwrap();
    let create = async |link: &str, name: &str| {
        let form = form(name, &format!("{name}@example.org"));
        fixture
            .identity
            .registrations()
            .create_first_user(
                RequestContext::new(&fixture.gate, &fixture.attempt()),
                link,
                form,
            )
            .await
    };
    assert!(
        !fixture
            .identity
            .registrations()
            .is_first_user_link(
                fixture
                    .permit(ReadFirstUserLink {
                        link: outdated.expose().clone()
                    })
                    .await
            )
            .await
            .unwrap()
    );
    assert!(matches!(
        create(outdated.expose(), "ana").await,
        Err(RegisterProblem::UnknownLink)
    ));
    assert!(
        fixture
            .identity
            .registrations()
            .is_first_user_link(
                fixture
                    .permit(ReadFirstUserLink {
                        link: link.expose().clone()
                    })
                    .await
            )
            .await
            .unwrap()
    );
    assert!(matches!(
        create(link.expose(), "not a name").await,
        Err(RegisterProblem::Invalid(_))
    ));
    let (one, other) = tokio::join!(create(link.expose(), "ana"), create(link.expose(), "ben"));
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    let name = one.or(other).unwrap();
    let first = fixture.storage.user_by_name(&name).await.unwrap().unwrap();
    assert!(
        first.staff && !first.email_verified,
        "the link came with the server's output, not by mail"
    );
    assert!(
        fixture
            .prove(name.as_written(), PASSWORD, None)
            .await
            .is_ok()
    );
    assert_eq!(
        told(&fixture.mails().await),
        [(format!("{name}@example.org"), MailKind::EmailVerify)]
    );
    assert!(
        fixture
            .identity
            .registrations()
            .first_user_link()
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        !fixture
            .identity
            .registrations()
            .is_first_user_link(
                fixture
                    .permit(ReadFirstUserLink {
                        link: link.expose().clone()
                    })
                    .await
            )
            .await
            .unwrap()
    );
    assert_eq!(fixture.storage.user_count().await.unwrap(), 1);
    assert!(
        fixture
            .events()
            .await
            .iter()
            .any(|event| event.kind == EventKind::StaffGranted && event.user == Some(first.id))
    );
}

#[tokio::test]
async fn whoever_registers_first_does_not_void_the_printed_link() {
    let fixture = Fixture::new().await;
    let link = fixture
        .identity
        .registrations()
        .first_user_link()
        .await
        .unwrap()
        .unwrap();
    fixture
        .confirm(&link_in(
            &fixture.registered("stranger", "stranger@example.org").await,
            PAGE,
        ))
        .await
        .unwrap();
    assert!(
        !fixture
            .storage
            .user_by_name(&user_name("stranger"))
            .await
            .unwrap()
            .unwrap()
            .staff
    );
    assert!(
        fixture
            .identity
            .registrations()
            .is_first_user_link(
                fixture
                    .permit(ReadFirstUserLink {
                        link: link.expose().clone()
                    })
                    .await
            )
            .await
            .unwrap()
    );
    let create = async |name: &str, email: &str| {
        fixture
            .identity
            .registrations()
            .create_first_user(
                RequestContext::new(&fixture.gate, &fixture.attempt()),
                link.expose(),
                form(name, email),
            )
            .await
    };
    for (name, email, field) in [
        ("Stranger", "ana@example.org", "user-name"),
        ("ana", "STRANGER@example.org", "email"),
    ] {
        match create(name, email).await {
            Err(RegisterProblem::Invalid(errors)) => assert_eq!(
                errors.iter().map(|error| error.field).collect::<Vec<_>>(),
                [field]
            ),
            other => panic!("{other:?}"),
        }
    }
    create("ana", "ana@example.org").await.unwrap();
    assert!(
        fixture
            .storage
            .user_by_name(&user_name("ana"))
            .await
            .unwrap()
            .unwrap()
            .staff
    );
    assert!(matches!(
        create("ben", "ben@example.org").await,
        Err(RegisterProblem::UnknownLink)
    ));
}

#[tokio::test]
async fn a_server_prints_another_link_until_somebody_was_staff() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let link = fixture
        .identity
        .registrations()
        .first_user_link()
        .await
        .unwrap()
        .unwrap();
    for staff in [true, false] {
        fixture
            .identity
            .accounts()
            .set_staff(
                fixture
                    .permit(identity::SetStaff { user: ana, staff })
                    .await,
            )
            .await
            .unwrap();
        assert!(
            fixture
                .identity
                .registrations()
                .first_user_link()
                .await
                .unwrap()
                .is_none(),
            "a registry that its staff left is not a new one"
        );
        assert!(
            !fixture
                .identity
                .registrations()
                .is_first_user_link(
                    fixture
                        .permit(ReadFirstUserLink {
                            link: link.expose().clone()
                        })
                        .await
                )
                .await
                .unwrap()
        );
        let answer = fixture
            .identity
            .registrations()
            .create_first_user(
                RequestContext::new(&fixture.gate, &fixture.attempt()),
                link.expose(),
                form("ben", "ben@example.org"),
            )
            .await;
        assert!(matches!(answer, Err(RegisterProblem::UnknownLink)));
    }
}

/// An attacker who registers with another person's address has a password, but not the mail; the
/// other has the mail, but not the password.
#[tokio::test]
async fn a_link_makes_no_account_without_the_password_that_was_chosen() {
    let fixture = Fixture::with(limits(3)).await;
    let link = link_in(
        &fixture.registered("mallory", "ana@example.org").await,
        PAGE,
    );
    for wrong in ["", "another password", &"x".repeat(1_000_000)] {
        assert!(matches!(
            fixture.confirm_with(&link, wrong).await,
            Err(ConfirmProblem::WrongPassword)
        ));
    }
    assert_eq!(
        fixture.last_failure().await,
        "wrong-password-of-registration"
    );
    // Counted for the link, wherever the tries come from and whoever makes them.
    let elsewhere = fixture.attempt_from("198.51.100.7");
    let tried = fixture
        .identity
        .registrations()
        .confirm(
            RequestContext::new(&fixture.gate, &elsewhere),
            &link,
            Secret::new(PASSWORD.to_owned()),
        )
        .await;
    assert!(
        matches!(tried, Err(ConfirmProblem::Refused(refusal)) if matches!(refusal.kind, RefusalKind::Limited { .. }))
    );
    assert_eq!(fixture.storage.user_count().await.unwrap(), 0);
    assert!(
        fixture
            .storage
            .email("ana@example.org")
            .await
            .unwrap()
            .is_none()
    );
    fixture.clock.advance_seconds(300);
    for _ in 0..2 {
        assert!(matches!(
            fixture.confirm_with(&link, "another password").await,
            Err(ConfirmProblem::WrongPassword)
        ));
    }
    assert!(
        fixture.confirm(&link).await.is_ok(),
        "the person who registered may mistype"
    );
}

#[tokio::test]
async fn a_registration_that_is_thrown_away_makes_no_account() {
    let fixture = Fixture::new().await;
    let link = link_in(
        &fixture.registered("mallory", "ana@example.org").await,
        PAGE,
    );
    let discard = async |link: &str| {
        fixture
            .identity
            .registrations()
            .discard(RequestContext::new(&fixture.gate, &fixture.attempt()), link)
            .await
    };
    assert!(matches!(
        discard(&"A".repeat(43)).await,
        Err(ConfirmProblem::UnknownLink)
    ));
    discard(&link).await.unwrap();
    assert!(matches!(
        fixture.confirm(&link).await,
        Err(ConfirmProblem::UnknownLink)
    ));
    assert!(matches!(
        discard(&link).await,
        Err(ConfirmProblem::UnknownLink)
    ));
    assert!(
        fixture
            .identity
            .registrations()
            .waiting_for(
                fixture
                    .permit(ReadRegistration { link: link.clone() })
                    .await
            )
            .await
            .unwrap()
            .is_none()
    );
    let events = fixture.events().await;
    let event = events
        .iter()
        .find(|event| event.kind == EventKind::RegistrationDiscarded)
        .unwrap();
    assert_eq!(
        (event.user, event.detail["address"].as_str()),
        (None, Some("ana@example.org"))
    );
}

#[tokio::test]
async fn no_secret_of_a_registration_is_in_the_log() {
    let fixture = Fixture::new().await;
    let link = link_in(&fixture.registered("ana", "ana@example.org").await, PAGE);
    fixture.confirm(&link).await.unwrap();
    let first = Fixture::new().await;
    let printed = first
        .identity
        .registrations()
        .first_user_link()
        .await
        .unwrap()
        .unwrap();
    let log = format!("{:?} {:?}", fixture.events().await, first.events().await);
    for hidden in [PASSWORD, "$argon2", &link, printed.expose()] {
        assert!(!log.contains(hidden), "{hidden}");
    }
}
