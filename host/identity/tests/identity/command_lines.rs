//! Password and code within a call, from known and unknown command lines.

use std::collections::HashSet;

use gate::RefusalKind;
use identity::limits::Limit;
use identity::{
    Account, CreateUser, ForgetDevice, Limits, ListDevices, ListedDevice, LoginStep, NotProven,
    RequestContext, Secret, SetPassword,
};
use model::audit::EventKind;
use model::mail::{MailField, MailKind};
use model::{DeviceKind, UserId};

use crate::fixture::{Fixture, NOW, PASSWORD, limits, pending, started, user_name};
use crate::mails::link_in;

impl Fixture {
    /// The answer to password and code from an unknown command line.
    async fn unknown(&self, name: &str, code: &str, device: Option<&str>) -> NotProven {
        self.prove_from(&self.attempt(), (name, PASSWORD, Some(code)), device)
            .await
            .map(|_| ())
            .unwrap_err()
    }

    async fn is_proven(&self, name: &str, code: &str, device: Option<&str>) -> bool {
        self.prove_from(&self.attempt(), (name, PASSWORD, Some(code)), device)
            .await
            .is_ok()
    }

    /// A confirmed command line of the user.
    async fn command_line(&self, name: &str, code: &str) -> Secret<String> {
        let device = self.unknown(name, code, None).await.device.unwrap();
        let link = link_in(&self.mail().await, "/login/device");
        assert!(
            self.identity
                .devices()
                .confirm(RequestContext::new(&self.gate, &self.attempt()), &link)
                .await
                .unwrap()
        );
        device
    }

    async fn known_devices(&self, user: UserId) -> Vec<ListedDevice> {
        self.identity
            .devices()
            .list(
                self.permit(ListDevices {
                    account: Account::at_the_server(user),
                })
                .await,
                None,
            )
            .await
            .unwrap()
    }
}

fn code_of(not_proven: &NotProven) -> &str {
    &not_proven.refusal.reasons[0].code
}

#[tokio::test]
async fn password_and_code_from_an_unknown_command_line_prove_nobody_and_use_up_no_code() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let secret = fixture.enroll(ana).await;
    let code = fixture.code(&secret, 0);
    let unknown = fixture.unknown("ana", &code, None).await;
    assert_eq!(
        (unknown.refusal.kind.clone(), code_of(&unknown)),
        (RefusalKind::Denied, "device-unknown")
    );
    let device = unknown.device.unwrap();

    let mail = fixture.mail().await;
    assert_eq!(
        (mail.mail.kind, mail.recipient.as_str()),
        (MailKind::CommandLineConfirm, "ana@example.org")
    );
    assert_eq!(mail.mail.field(MailField::RemoteAddress), "192.0.2.1");
    assert!(
        mail.mail
            .fields
            .iter()
            .all(|(_, word)| !word.contains("laptop")),
        "who sends a host name does not write to its owner"
    );
    let link = link_in(&mail, "/login/device");
    assert_ne!(
        &link,
        device.expose(),
        "who has the command line alone cannot confirm it"
    );
    let shown = fixture
        .identity
        .devices()
        .device_to_confirm(&link)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (shown.kind, shown.remote_address.as_str(), shown.at),
        (DeviceKind::CommandLine, "192.0.2.1", NOW)
    );
    assert_eq!(fixture.known_devices(ana).await, []);

    // Neither the secret alone nor the mail alone is enough.
    assert_eq!(
        code_of(&fixture.unknown("ana", &code, Some(device.expose())).await),
        "device-unknown"
    );
    assert!(
        fixture
            .identity
            .devices()
            .confirm(
                RequestContext::new(&fixture.gate, &fixture.attempt()),
                &link
            )
            .await
            .unwrap()
    );
    assert_eq!(
        code_of(&fixture.unknown("ana", &code, None).await),
        "device-unknown"
    );
    assert!(
        fixture.is_proven("ana", &code, Some(device.expose())).await,
        "the code was not used up by all this"
    );
    let listed = fixture.known_devices(ana).await;
    assert_eq!(
        listed
            .iter()
            .map(|device| (device.kind, device.device.as_str()))
            .collect::<Vec<_>>(),
        [(DeviceKind::CommandLine, "Command line on laptop")]
    );

    let events = fixture.events().await;
    let count = |kind| events.iter().filter(|event| event.kind == kind).count();
    assert_eq!(
        (
            count(EventKind::DeviceUnrecognized),
            count(EventKind::DeviceConfirmed)
        ),
        (2, 1)
    );
    assert!(
        events
            .iter()
            .all(|event| !event.detail.to_string().contains(device.expose().as_str())),
        "no secret is in an event"
    );
}

#[tokio::test]
async fn only_who_has_password_and_code_is_told_of_devices_and_causes_mails() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let secret = fixture.enroll(ana).await;
    let (right, wrong) = (fixture.code(&secret, 0), fixture.wrong_code(&secret));
    let mut answers = HashSet::new();
    let made_up = "A".repeat(43);
    for device in [None, Some(made_up.as_str()), Some("x")] {
        for sent in [
            ("ana", "guess", Some(right.as_str())),
            ("ana", PASSWORD, Some(wrong.as_str())),
            ("ana", PASSWORD, None),
            ("nobody", PASSWORD, Some("1")),
        ] {
            let refused = fixture
                .prove_from(&fixture.attempt(), sent, device)
                .await
                .map(|_| ())
                .unwrap_err();
            assert!(refused.device.is_none());
            answers.insert(format!(
                "{:?} {:?}",
                refused.refusal.kind, refused.refusal.reasons
            ));
        }
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(fixture.mails().await.len(), 0);
}

#[tokio::test]
async fn nobody_plants_the_secret_of_a_command_line_for_somebody_else() {
    let fixture = Fixture::new().await;
    let (ana, ben) = (fixture.user("ana").await, fixture.user("ben").await);
    let (of_ana, of_ben) = (fixture.enroll(ana).await, fixture.enroll(ben).await);
    let own = fixture.command_line("ben", &fixture.code(&of_ben, 0)).await;
    let chosen = "A".repeat(43);
    for planted in [own.expose().as_str(), chosen.as_str()] {
        let unknown = fixture
            .unknown("ana", &fixture.code(&of_ana, 0), Some(planted))
            .await;
        assert_ne!(unknown.device.unwrap().expose(), planted);
        let link = link_in(&fixture.mail().await, "/login/device");
        fixture
            .identity
            .devices()
            .confirm(
                RequestContext::new(&fixture.gate, &fixture.attempt()),
                &link,
            )
            .await
            .unwrap();
        assert!(
            !fixture
                .is_proven("ana", &fixture.code(&of_ana, 0), Some(planted))
                .await
        );
        fixture.mails().await;
    }
}

/// A browser's secret is useless to a program, and vice versa.
#[tokio::test]
async fn a_known_browser_makes_no_command_line_known_and_a_known_command_line_no_browser() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let cookie = fixture.logged_in("ana").await.device.unwrap();
    let secret = fixture.enroll(ana).await;
    assert_eq!(
        code_of(
            &fixture
                .unknown("ana", &fixture.code(&secret, 0), Some(cookie.expose()))
                .await
        ),
        "device-unknown"
    );
    fixture.mails().await;
    let device = fixture.command_line("ana", &fixture.code(&secret, 0)).await;
    let waiting = pending(
        fixture
            .log_in("ana", PASSWORD, Some(device.expose()))
            .await
            .unwrap(),
    );
    let code = fixture.code(&secret, 0);
    let step = fixture
        .identity
        .logins()
        .with_totp(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            waiting.expose(),
            &code,
            Some(device.expose()),
        )
        .await
        .unwrap();
    assert!(matches!(step, LoginStep::ConfirmDevice { .. }), "{step:?}");
    assert_eq!(fixture.mail().await.mail.kind, MailKind::DeviceConfirm);
    let waiting = pending(
        fixture
            .log_in("ana", PASSWORD, Some(cookie.expose()))
            .await
            .unwrap(),
    );
    fixture.clock.advance_seconds(30);
    let code = fixture.code(&secret, 0);
    started(
        fixture
            .identity
            .logins()
            .with_totp(
                RequestContext::new(&fixture.gate, &fixture.attempt()),
                waiting.expose(),
                &code,
                Some(cookie.expose()),
            )
            .await
            .unwrap(),
    );
}

#[tokio::test]
async fn a_phished_code_causes_few_mails() {
    let fixture = Fixture::with(Limits::default()).await;
    let ana = fixture.user("ana").await;
    let secret = fixture.enroll(ana).await;
    let code = fixture.code(&secret, 0);
    let device = fixture.unknown("ana", &code, None).await.device.unwrap();
    let same = fixture.unknown("ana", &code, Some(device.expose())).await;
    assert_eq!(
        (same.device.unwrap(), fixture.mails().await.len()),
        (device, 1),
        "one mail about one command line"
    );
    for _ in 0..3 {
        fixture.unknown("ana", &code, None).await;
    }
    assert_eq!(fixture.mails().await.len(), 3);
    for _ in 0..20 {
        let none = fixture.unknown("ana", &code, None).await;
        assert!(
            matches!(none.refusal.kind, RefusalKind::Limited { .. }) && none.device.is_none(),
            "{:?}",
            none.refusal
        );
        assert!(
            none.refusal.reasons[0]
                .message
                .contains("none was sent for it")
        );
    }
    assert_eq!(fixture.mails().await.len(), 0);
    let events = fixture.events().await;
    assert_eq!(
        events
            .iter()
            .filter(|event| event.kind == EventKind::DeviceUnrecognized)
            .count(),
        4,
        "no mail, no device that is remembered"
    );
}

#[tokio::test]
async fn strangers_who_fail_keep_nobody_out_of_a_command_line_that_is_known() {
    let some = |attempts| {
        vec![Limit {
            attempts,
            window_seconds: 300,
        }]
    };
    let fixture = Fixture::with(Limits {
        password_of_all: some(3),
        password_checks: some(6),
        totp_of_all: some(3),
        ..limits(3)
    })
    .await;
    let (ana, ben) = (fixture.user("ana").await, fixture.user("ben").await);
    let secret = fixture.enroll(ana).await;
    fixture.enroll(ben).await;
    let device = fixture.command_line("ana", &fixture.code(&secret, 0)).await;
    let guess = async |password, code, device| {
        fixture
            .prove_from(&fixture.attempt(), ("ana", password, code), device)
            .await
            .map(|_| ())
            .unwrap_err()
            .refusal
            .kind
    };
    // By the code alone, by the password, and repeatedly from the same address.
    let wrong = fixture.wrong_code(&secret);
    for _ in 0..2 {
        assert_eq!(
            guess(PASSWORD, Some(&wrong), None).await,
            RefusalKind::Denied
        );
    }
    for _ in 0..10 {
        guess("guess", Some("123456"), None).await;
    }
    let code = fixture.code(&secret, 0);
    assert!(
        matches!(
            guess(PASSWORD, Some(&code), None).await,
            RefusalKind::Limited { .. }
        ),
        "of the account, of the address, and of all"
    );
    assert!(fixture.is_proven("ana", &code, Some(device.expose())).await);
    // The command line is known for ana alone, and has a limit of its own.
    let other = fixture
        .prove_from(
            &fixture.attempt(),
            ("ben", PASSWORD, None),
            Some(device.expose()),
        )
        .await
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(other.refusal.kind, RefusalKind::Limited { .. }));
    for _ in 0..3 {
        assert_eq!(
            guess(PASSWORD, Some(&wrong), Some(device.expose())).await,
            RefusalKind::Denied
        );
    }
    assert!(matches!(
        guess(PASSWORD, Some(&code), Some(device.expose())).await,
        RefusalKind::Limited { .. }
    ));
}

#[tokio::test]
async fn a_command_line_that_waits_to_be_confirmed_is_a_stranger_s() {
    let fixture = Fixture::with(limits(3)).await;
    let ana = fixture.user("ana").await;
    let secret = fixture.enroll(ana).await;
    let device = fixture
        .unknown("ana", &fixture.code(&secret, 0), None)
        .await
        .device
        .unwrap();
    for _ in 0..3 {
        fixture
            .prove_from(&fixture.attempt(), ("ana", "guess", None), None)
            .await
            .map(|_| ())
            .unwrap_err();
    }
    let refused = fixture
        .unknown("ana", &fixture.code(&secret, 0), Some(device.expose()))
        .await;
    assert!(matches!(refused.refusal.kind, RefusalKind::Limited { .. }));
}

#[tokio::test]
async fn who_cannot_be_asked_by_mail_and_who_has_no_factor_is_not_asked() {
    let fixture = Fixture::new().await;
    let target = CreateUser {
        name: user_name("ana"),
        email: None,
        email_verified: false,
        staff: false,
    };
    let ana = fixture
        .identity
        .accounts()
        .create(fixture.permit(target).await)
        .await
        .unwrap();
    fixture
        .identity
        .accounts()
        .set_password(
            fixture
                .permit(SetPassword {
                    account: Account::at_the_server(ana),
                    password: Secret::new(PASSWORD.to_owned()),
                })
                .await,
        )
        .await
        .unwrap();
    let secret = fixture.enroll(ana).await;
    assert!(
        fixture
            .is_proven("ana", &fixture.code(&secret, 0), None)
            .await
    );
    fixture.user("ben").await;
    assert!(
        fixture.is_proven("ben", "", None).await,
        "as at the login: the policies see that no factor was proven"
    );
    assert_eq!(fixture.mails().await.len(), 0);
}

#[tokio::test]
async fn no_command_line_stays_known_over_a_changed_password() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let session = fixture.logged_in("ana").await;
    let secret = fixture.enroll(ana).await;
    let device = fixture.command_line("ana", &fixture.code(&secret, 0)).await;
    let waiting = fixture
        .unknown("ana", &fixture.code(&secret, 0), None)
        .await
        .device
        .unwrap();
    let link = link_in(&fixture.mail().await, "/login/device");
    let caller = fixture.present_session(&session.secret).await;
    let password = || Secret::new(PASSWORD.to_owned());
    // Even if a thief sends its secret as the browser's cookie.
    fixture
        .identity
        .passwords()
        .change(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            &caller,
            password(),
            password(),
            None,
        )
        .await
        .unwrap();
    fixture.mails().await;
    assert!(
        !fixture
            .identity
            .devices()
            .confirm(
                RequestContext::new(&fixture.gate, &fixture.attempt()),
                &link
            )
            .await
            .unwrap(),
        "nor does a link from before"
    );
    for device in [device, waiting] {
        assert_eq!(
            code_of(
                &fixture
                    .unknown("ana", &fixture.code(&secret, 0), Some(device.expose()))
                    .await
            ),
            "device-unknown"
        );
    }
}

#[tokio::test]
async fn a_known_device_is_listed_with_its_last_use_and_forgotten_by_its_owner_alone() {
    let fixture = Fixture::new().await;
    let (ana, eve) = (fixture.user("ana").await, fixture.user("eve").await);
    let cookie = fixture.logged_in("ana").await.device.unwrap();
    let secret = fixture.enroll(ana).await;
    let device = fixture.command_line("ana", &fixture.code(&secret, 0)).await;
    fixture.clock.advance_seconds(120);
    let attempt = fixture.attempt_from("198.51.100.9");
    fixture
        .prove_from(
            &attempt,
            ("ana", PASSWORD, Some(&fixture.code(&secret, 0))),
            Some(device.expose()),
        )
        .await
        .map(|_| ())
        .unwrap();

    let listed = fixture
        .identity
        .devices()
        .list(
            fixture
                .permit(ListDevices {
                    account: Account::at_the_server(ana),
                })
                .await,
            Some(cookie.expose()),
        )
        .await
        .unwrap();
    let [command_line, browser] = &listed[..] else {
        panic!("{listed:?}")
    };
    assert_eq!(
        (
            command_line.kind,
            command_line.remote_address.as_str(),
            command_line.current
        ),
        (DeviceKind::CommandLine, "198.51.100.9", false)
    );
    assert_eq!(
        (command_line.confirmed_at, command_line.last_used_at),
        (NOW, NOW.plus_ms(120_000))
    );
    assert_eq!((browser.kind, browser.current), (DeviceKind::Browser, true));

    let forget = async |user, mark: &str| {
        fixture
            .identity
            .devices()
            .forget(
                fixture
                    .permit(ForgetDevice::new(Account::at_the_server(user), mark).unwrap())
                    .await,
            )
            .await
            .unwrap()
    };
    assert!(
        !forget(eve, &command_line.mark).await,
        "another user's does not exist"
    );
    assert!(
        fixture
            .is_proven("ana", &fixture.code(&secret, 0), Some(device.expose()))
            .await
    );
    assert!(forget(ana, &command_line.mark).await && !forget(ana, &command_line.mark).await);
    assert_eq!(
        code_of(
            &fixture
                .unknown("ana", &fixture.code(&secret, 0), Some(device.expose()))
                .await
        ),
        "device-unknown"
    );
    assert_eq!(fixture.known_devices(ana).await.len(), 1);
    let event = fixture
        .events()
        .await
        .into_iter()
        .find(|event| event.kind == EventKind::DeviceForgotten)
        .unwrap();
    assert_eq!(
        (event.user, event.detail["host"].as_str()),
        (Some(ana), Some("laptop"))
    );
    for mark in ["", "x", "00", device.expose()] {
        assert!(
            ForgetDevice::new(Account::at_the_server(ana), mark).is_none(),
            "{mark}"
        );
    }
}

#[tokio::test]
async fn a_machine_is_called_by_one_plain_word_or_by_none() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let secret = fixture.enroll(ana).await;
    let password = Secret::new(PASSWORD.to_owned());
    for (host, expected) in [
        ("build-7", "Command line on build-7"),
        ("www.evil-site.example", "Command line ("),
        ("call 0800 now", "Command line ("),
        ("\u{202e}x", "Command line ("),
        ("", "Command line ("),
    ] {
        let code = fixture.code(&secret, 0);
        let proof = identity::PersonalProof {
            user_name: "ana",
            password: &password,
            totp_code: Some(&code),
            device: None,
            host: Some(host),
        };
        let action = model::Action::ReleasePublish;
        fixture
            .identity
            .proofs()
            .prove_person(
                RequestContext::new(&fixture.gate, &fixture.attempt()),
                action,
                proof,
            )
            .await
            .map(|_| ())
            .unwrap_err();
        let link = link_in(&fixture.mail().await, "/login/device");
        assert!(
            fixture
                .identity
                .devices()
                .confirm(
                    RequestContext::new(&fixture.gate, &fixture.attempt()),
                    &link
                )
                .await
                .unwrap()
        );
        let device = &fixture.known_devices(ana).await[0];
        assert!(
            device.device.starts_with(expected),
            "{host}: {}",
            device.device
        );
        assert!(
            fixture
                .identity
                .devices()
                .forget(
                    fixture
                        .permit(
                            ForgetDevice::new(Account::at_the_server(ana), &device.mark).unwrap()
                        )
                        .await
                )
                .await
                .unwrap()
        );
    }
}

#[tokio::test]
async fn whoever_knows_a_password_keeps_nobody_from_proving_a_code_on_the_server() {
    let fixture = Fixture::with(limits(3)).await;
    let ana = fixture.user("ana").await;
    let secret = fixture.enroll(ana).await;
    for _ in 0..4 {
        fixture
            .unknown("ana", &fixture.wrong_code(&secret), None)
            .await;
    }
    assert!(matches!(
        fixture
            .unknown("ana", &fixture.code(&secret, 0), None)
            .await
            .refusal
            .kind,
        RefusalKind::Limited { .. }
    ));
    fixture
        .identity
        .tokens()
        .prove_second_factor(&user_name("ana"), &fixture.code(&secret, 0))
        .await
        .unwrap();
}
