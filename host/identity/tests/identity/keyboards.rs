//! One password from different keyboards.

use argon2::password_hash::PasswordHasher as _;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, Version};
use identity::{
    Account, BreachConfig, BreachOutcome, LoginStep, RegisterForm, RequestContext, Secret,
    SetPassword, UnsuitablePassword,
};
use model::audit::EventKind;
use model::{Action, UserId};

use crate::fixture::{Fixture, pending};
use crate::mails::{Reply, Service, link_in};

/// As a phone enters it, with a no-break space.
const COMPOSED: &str = "cr\u{e8}me br\u{fb}l\u{e9}e\u{a0}chaude";
/// As another machine enters it: letters and accents separate.
const DECOMPOSED: &str = "cre\u{300}me bru\u{302}le\u{301}e chaude";

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

impl Fixture {
    /// A user whose password was hashed as typed, before passwords had one form.
    async fn user_of_before(&self, name: &str, typed: &str) -> UserId {
        let user = self.user(name).await;
        let hasher = Argon2::new(
            Algorithm::Argon2id,
            Version::V0x13,
            Params::new(8, 1, 1, None).unwrap(),
        );
        let hash: PasswordHash = hasher.hash_password(typed.as_bytes()).unwrap();
        let mut unit = self.storage.begin().await.unwrap();
        unit.set_password_hash(user, &hash.to_string(), crate::fixture::NOW)
            .await
            .unwrap();
        unit.commit(&self.some_event()).await.unwrap();
        user
    }

    async fn rehashed(&self) -> usize {
        self.events()
            .await
            .iter()
            .filter(|event| event.kind == EventKind::PasswordRehashed)
            .count()
    }

    async fn is_right(&self, name: &str, password: &str) -> bool {
        self.present_password(name, password, Action::FileUpload)
            .await
            .is_ok()
    }
}

#[tokio::test]
async fn a_password_is_right_from_every_keyboard_wherever_it_is_typed() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    // Set on the command line ...
    fixture
        .identity
        .accounts()
        .set_password(
            fixture
                .permit(SetPassword {
                    account: Account::at_the_server(ana),
                    password: secret(DECOMPOSED),
                })
                .await,
        )
        .await
        .unwrap();
    for typed in [COMPOSED, DECOMPOSED] {
        assert!(fixture.is_right("ana", typed).await, "{typed}");
        assert!(fixture.prove("ana", typed, None).await.is_ok(), "{typed}");
        assert!(
            matches!(
                fixture.log_in("ana", typed, None).await,
                Ok(LoginStep::Started(_))
            ),
            "{typed}"
        );
    }
    assert!(
        !fixture
            .is_right("ana", &COMPOSED.replace('\u{e8}', "e"))
            .await,
        "no accent is another letter"
    );
    assert!(
        !fixture.is_right("ana", &COMPOSED.to_uppercase()).await,
        "case stays"
    );
    // ... changed by its owner, who enters the current one on the other keyboard ...
    let caller = fixture.person_with(ana, fixture.session(ana).await).await;
    let new = "na\u{ef}ve na\u{ef}ve na\u{ef}ve horse";
    fixture
        .identity
        .passwords()
        .change(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            &caller,
            secret(COMPOSED),
            secret(new),
            None,
        )
        .await
        .unwrap();
    assert!(
        fixture
            .is_right("ana", &new.replace('\u{ef}', "i\u{308}"))
            .await
    );
    // ... set by a link ...
    fixture.mails().await;
    let link = fixture.reset_link("ana").await;
    fixture
        .identity
        .passwords()
        .reset(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            &link,
            secret(COMPOSED),
        )
        .await
        .unwrap();
    assert!(fixture.is_right("ana", DECOMPOSED).await);
    // ... and chosen at registration, and typed again with the link.
    fixture.mails().await;
    let form = RegisterForm {
        user_name: "ben".to_owned(),
        email: "ben@example.org".to_owned(),
        password: secret(COMPOSED),
    };
    fixture
        .identity
        .registrations()
        .register(RequestContext::new(&fixture.gate, &fixture.attempt()), form)
        .await
        .unwrap();
    let link = link_in(&fixture.mail().await, "/register/confirm");
    fixture
        .identity
        .registrations()
        .confirm(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            &link,
            secret(DECOMPOSED),
        )
        .await
        .unwrap();
    assert!(fixture.is_right("ben", DECOMPOSED).await && fixture.is_right("ben", COMPOSED).await);
    assert_eq!(fixture.rehashed().await, 0);
}

#[tokio::test]
async fn a_hash_from_before_is_renewed_when_its_password_is_proven_and_then_right_from_every_keyboard()
 {
    let fixture = Fixture::new().await;
    fixture.user_of_before("ana", DECOMPOSED).await;
    assert!(
        !fixture.is_right("ana", COMPOSED).await,
        "nothing tells that it is the same password"
    );
    assert!(!fixture.is_right("ana", "cre\u{300}me").await);
    assert_eq!(fixture.rehashed().await, 0);
    assert!(fixture.is_right("ana", DECOMPOSED).await);
    assert_eq!(fixture.rehashed().await, 1);
    for typed in [COMPOSED, DECOMPOSED] {
        assert!(fixture.is_right("ana", typed).await, "{typed}");
    }
    assert_eq!(fixture.rehashed().await, 1, "once");
}

/// The first step replaces the hash; the second step compares with the new one.
#[tokio::test]
async fn a_login_in_two_steps_survives_the_renewal() {
    let fixture = Fixture::new().await;
    let ana = fixture.user_of_before("ana", DECOMPOSED).await;
    let totp = fixture.enroll(ana).await;
    let waiting = pending(fixture.log_in("ana", DECOMPOSED, None).await.unwrap());
    assert_eq!(fixture.rehashed().await, 1);
    let step = fixture
        .identity
        .logins()
        .with_totp(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            waiting.expose(),
            &fixture.code(&totp, 0),
            None,
        )
        .await
        .unwrap();
    assert!(matches!(step, LoginStep::ConfirmDevice { .. }), "{step:?}");
}

#[tokio::test]
async fn what_nobody_could_set_today_lets_in_whoever_set_it_before() {
    let fixture = Fixture::new().await;
    let odd = "tab\there\u{200b}\u{fdd0}\u{202e}";
    let ana = fixture.user_of_before("ana", odd).await;
    assert!(fixture.is_right("ana", odd).await);
    let refused = fixture
        .identity
        .accounts()
        .set_password(
            fixture
                .permit(SetPassword {
                    account: Account::at_the_server(ana),
                    password: secret(odd),
                })
                .await,
        )
        .await;
    assert!(
        matches!(
            refused,
            Err(identity::AccountError::Password(
                UnsuitablePassword::ControlCharacter
            ))
        ),
        "{refused:?}"
    );
}

#[tokio::test]
async fn emojis_are_as_good_a_password_as_words() {
    let fixture = Fixture::new().await;
    let ana = fixture.user("ana").await;
    let emojis = "\u{1f468}\u{200d}\u{1f4bb} \u{2764}\u{fe0f} fourteen ferrets";
    fixture
        .identity
        .accounts()
        .set_password(
            fixture
                .permit(SetPassword {
                    account: Account::at_the_server(ana),
                    password: secret(emojis),
                })
                .await,
        )
        .await
        .unwrap();
    assert!(fixture.is_right("ana", emojis).await);
}

/// `sha1(DECOMPOSED)` and `sha1` of its form. Breach collections have what was typed elsewhere.
#[tokio::test]
async fn a_breach_is_looked_for_in_both_forms() {
    use data_encoding::HEXUPPER;
    use sha1::{Digest, Sha1};
    let form = COMPOSED.replace('\u{a0}', " ");
    let row = |text: &str| {
        format!(
            "{}:7",
            &HEXUPPER.encode(&Sha1::digest(text.as_bytes()))[5..]
        )
    };
    for (listed, expected) in [
        (row(&form), BreachOutcome::Breached),
        (row(DECOMPOSED), BreachOutcome::Breached),
        (row("other"), BreachOutcome::Clean),
    ] {
        let service = Service::start(Reply::Body(listed)).await;
        let breaches = BreachConfig {
            base_url: Some(service.url.clone()),
            ..BreachConfig::default()
        };
        let fixture = Fixture::configured("", |config| config.breaches = breaches).await;
        assert_eq!(
            fixture
                .identity
                .passwords()
                .breach_state(&secret(DECOMPOSED))
                .await,
            expected
        );
        assert!(service.asked().len() <= 2);
    }
    let service = Service::start(Reply::Raw(
        b"HTTP/1.1 500 no\r\ncontent-length: 0\r\n\r\n".to_vec(),
    ))
    .await;
    let breaches = BreachConfig {
        base_url: Some(service.url.clone()),
        ..BreachConfig::default()
    };
    let fixture = Fixture::configured("", |config| config.breaches = breaches).await;
    assert_eq!(
        fixture
            .identity
            .passwords()
            .breach_state(&secret(DECOMPOSED))
            .await,
        BreachOutcome::Unavailable
    );
}
