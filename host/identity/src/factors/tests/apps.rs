//! One-time password apps, enrolled in a browser.

use model::MailKind;

use super::*;
use crate::RequestContext;
use crate::factors::{ConfirmTotp, FactorName, ProposeTotp, ProposedTotp};

impl Fixture {
    async fn propose_app(&self, person: Person) -> Result<ProposedTotp, FactorError> {
        let permit = self
            .permit(
                person,
                ProposeTotp {
                    session: self.own_session(person).await,
                },
            )
            .await;
        self.identity.factors().propose_totp_for(permit).await
    }

    async fn confirm_app(
        &self,
        person: Person,
        ceremony: &str,
        code: &str,
    ) -> Result<(), FactorError> {
        let target = ConfirmTotp {
            session: self.own_session(person).await,
            ceremony: ceremony.to_owned(),
            code: code.to_owned(),
        };
        self.identity
            .factors()
            .confirm_totp(self.permit(person, target).await)
            .await
            .map(drop)
    }

    fn code(&self, secret: &Secret<String>, steps: i64) -> String {
        let bytes = data_encoding::BASE32_NOPAD
            .decode(secret.expose().as_bytes())
            .unwrap();
        let totp = totp_rs::Builder::new()
            .with_secret(bytes)
            .with_account_name("-")
            .build()
            .unwrap();
        totp.generate(u64::try_from(self.clock.now().seconds() + 30 * steps).unwrap())
            .to_string()
    }

    pub(super) async fn enroll_app(&self, person: Person) -> Secret<String> {
        let proposed = self.propose_app(person).await.unwrap();
        self.confirm_app(
            person,
            proposed.ceremony.expose(),
            &self.code(&proposed.secret, 0),
        )
        .await
        .unwrap();
        proposed.secret
    }
}

#[tokio::test]
async fn an_app_is_enrolled_by_a_code_that_counts_for_nothing_else() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    fixture.mails().await;
    let proposed = fixture.propose_app(ana).await.unwrap();
    assert!(proposed.url.expose().contains(proposed.secret.expose()));
    assert!(!fixture.user(ana).await.facts().factors.any());
    let code = fixture.code(&proposed.secret, 0);
    // As apps show it and people type it.
    let spaced = format!(" {} {} ", &code[..3], &code[3..]);
    fixture
        .confirm_app(ana, proposed.ceremony.expose(), &spaced)
        .await
        .unwrap();

    let user = fixture.user(ana).await;
    assert_eq!(user.totp_last_step, Some(NOW.seconds() / 30));
    assert!(
        !fixture
            .storage
            .accept_totp_step(ana.user, NOW.seconds() / 30)
            .await
            .unwrap()
    );
    assert!(
        fixture
            .storage
            .accept_totp_step(ana.user, NOW.seconds() / 30 + 1)
            .await
            .unwrap()
    );
    assert_eq!(
        fixture
            .identity
            .factors()
            .of(fixture.view(ana).await)
            .await
            .unwrap()
            .totp,
        Some(NOW)
    );
    assert_eq!(fixture.details(EventKind::TotpEnrolled).await.len(), 1);
    assert_eq!(
        fixture.mails().await,
        [(MailKind::FactorAdded, "ana@example.org".to_owned())]
    );
}

#[tokio::test]
async fn a_wrong_code_keeps_the_secret_and_the_right_one_uses_it_up() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let proposed = fixture.propose_app(ana).await.unwrap();
    let ceremony = proposed.ceremony.expose();
    let [early, late] = [2, -2].map(|steps| fixture.code(&proposed.secret, steps));
    let counting = [-1, 0, 1].map(|steps| fixture.code(&proposed.secret, steps));
    // Six digits sometimes repeat; skip such a coincidence.
    for wrong in ["", "12345", &early, &late]
        .into_iter()
        .filter(|code| counting.iter().all(|right| right != code))
    {
        assert!(
            matches!(
                fixture.confirm_app(ana, ceremony, wrong).await,
                Err(FactorError::WrongCode)
            ),
            "{wrong}"
        );
    }
    let wrong = fixture.details(EventKind::AuthenticationFailed).await;
    assert!(
        wrong.len() >= 2
            && wrong
                .iter()
                .all(|detail| detail["second-factor"] == "totp"
                    && detail["action"] == "factor:enroll"),
        "{wrong:?}"
    );
    let again = fixture
        .identity
        .factors()
        .proposed_totp(fixture.own_session(ana).await, ceremony)
        .await
        .unwrap();
    assert_eq!(
        (&again.secret, &again.url),
        (&proposed.secret, &proposed.url)
    );
    fixture
        .confirm_app(ana, ceremony, &fixture.code(&proposed.secret, 1))
        .await
        .unwrap();
    assert!(matches!(
        fixture
            .identity
            .factors()
            .proposed_totp(fixture.own_session(ana).await, ceremony)
            .await,
        Err(FactorError::UnknownCeremony)
    ));
    assert!(matches!(
        fixture
            .confirm_app(ana, ceremony, &fixture.code(&proposed.secret, 0))
            .await,
        Err(FactorError::UnknownCeremony)
    ));
}

#[tokio::test]
async fn a_secret_belongs_to_its_session_and_its_user_and_expires() {
    let fixture = Fixture::new().await;
    let (ana, bob) = (fixture.person("ana").await, fixture.person("bob").await);
    let proposed = fixture.propose_app(ana).await.unwrap();
    let (ceremony, code) = (
        proposed.ceremony.expose(),
        fixture.code(&proposed.secret, 0),
    );
    for other in [
        Person {
            session: SessionId::new(),
            ..ana
        },
        Person {
            session: ana.session,
            ..bob
        },
        bob,
    ] {
        assert!(matches!(
            fixture.confirm_app(other, ceremony, &code).await,
            Err(FactorError::UnknownCeremony)
        ));
        assert!(matches!(
            fixture
                .identity
                .factors()
                .proposed_totp(fixture.own_session(other).await, ceremony)
                .await,
            Err(FactorError::UnknownCeremony)
        ));
    }
    // A challenge for a key is not a secret for an app.
    let challenge = fixture.propose(ana, KeyKind::Passkey).await.unwrap();
    assert!(matches!(
        fixture
            .confirm_app(ana, challenge.ceremony.expose(), &code)
            .await,
        Err(FactorError::UnknownCeremony)
    ));
    fixture.later(15 * 60);
    assert!(matches!(
        fixture
            .confirm_app(ana, ceremony, &fixture.code(&proposed.secret, 0))
            .await,
        Err(FactorError::UnknownCeremony)
    ));
}

#[tokio::test]
async fn nobody_puts_another_app_over_an_enrolled_one() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let elsewhere = Person {
        session: fixture.session(ana.user).await,
        ..ana
    };
    let (first, second) = (
        fixture.propose_app(ana).await.unwrap(),
        fixture.propose_app(elsewhere).await.unwrap(),
    );
    fixture
        .confirm_app(
            ana,
            first.ceremony.expose(),
            &fixture.code(&first.secret, 0),
        )
        .await
        .unwrap();
    let over = fixture
        .confirm_app(
            elsewhere,
            second.ceremony.expose(),
            &fixture.code(&second.secret, 0),
        )
        .await;
    assert!(
        matches!(over, Err(FactorError::UnknownCeremony)),
        "the first factor ended the other session: {over:?}"
    );
    assert!(matches!(
        fixture.propose_app(ana).await,
        Err(FactorError::TotpEnrolled)
    ));
    assert_eq!(
        fixture.user(ana).await.totp_secret.as_ref(),
        Some(&first.secret)
    );
}

#[tokio::test]
async fn of_two_apps_confirmed_at_once_one_is_enrolled() {
    let fixture = Arc::new(Fixture::new().await);
    let ana = fixture.person("ana").await;
    let mut tries = Vec::new();
    for _ in 0..4 {
        let ana = Person {
            session: fixture.session(ana.user).await,
            ..ana
        };
        let proposed = fixture.propose_app(ana).await.unwrap();
        let fixture = Arc::clone(&fixture);
        tries.push(tokio::spawn(async move {
            let code = fixture.code(&proposed.secret, 0);
            fixture
                .confirm_app(ana, proposed.ceremony.expose(), &code)
                .await
                .is_ok()
        }));
    }
    let mut enrolled = 0;
    for one in tries {
        enrolled += usize::from(one.await.unwrap());
    }
    assert_eq!(
        (
            enrolled,
            fixture.details(EventKind::TotpEnrolled).await.len()
        ),
        (1, 1)
    );
}

#[tokio::test]
async fn an_app_takes_a_verified_address_and_recovery_codes_that_were_kept() {
    let fixture = Fixture::new().await;
    let unverified = fixture.newcomer("una", false).await;
    assert!(matches!(
        fixture.propose_app(unverified).await,
        Err(FactorError::EmailNotVerified)
    ));
    let ana = fixture.newcomer("ana", true).await;
    assert!(matches!(
        fixture.propose_app(ana).await,
        Err(FactorError::RecoveryCodesNotConfirmed)
    ));
    let codes = fixture.codes_of(ana).await;
    fixture.confirm(ana, codes[0].expose()).await.unwrap();
    fixture.enroll_app(ana).await;
}

#[tokio::test]
async fn guesses_at_the_first_code_are_limited() {
    let fixture = Fixture::at(ORIGIN, limits(3)).await;
    let ana = fixture.person("ana").await;
    let proposed = fixture.propose_app(ana).await.unwrap();
    for _ in 0..3 {
        assert!(matches!(
            fixture
                .confirm_app(ana, proposed.ceremony.expose(), "x")
                .await,
            Err(FactorError::WrongCode)
        ));
    }
    let right = fixture.code(&proposed.secret, 0);
    assert!(matches!(
        fixture
            .confirm_app(ana, proposed.ceremony.expose(), &right)
            .await,
        Err(FactorError::Limited {
            retry_after_seconds: 300
        })
    ));
}

#[tokio::test]
async fn a_session_enrolls_one_app_and_one_key_at_a_time() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let elsewhere = Person {
        session: fixture.session(ana.user).await,
        ..ana
    };
    let [first, other, second] = [
        fixture.propose_app(ana).await.unwrap(),
        fixture.propose_app(elsewhere).await.unwrap(),
        fixture.propose_app(ana).await.unwrap(),
    ];
    for (person, proposed, lives) in [
        (ana, first, false),
        (elsewhere, other, true),
        (ana, second, true),
    ] {
        assert_eq!(
            fixture
                .identity
                .factors()
                .proposed_totp(
                    fixture.own_session(person).await,
                    proposed.ceremony.expose()
                )
                .await
                .is_ok(),
            lives
        );
    }
    let mut key = SoftwareKey::at(ORIGIN);
    let [first, second] = [
        fixture.propose(ana, KeyKind::Passkey).await.unwrap(),
        fixture.propose(ana, KeyKind::Passkey).await.unwrap(),
    ];
    let made = key.make(&first.options);
    assert!(matches!(
        fixture
            .enroll_answer(ana, "phone", first.ceremony.expose(), made)
            .await,
        Err(FactorError::UnknownCeremony)
    ));
    fixture
        .enroll_answer(
            ana,
            "phone",
            second.ceremony.expose(),
            key.make(&second.options),
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn what_is_proposed_is_limited_like_other_challenges() {
    let fixture = Fixture::with(
        ORIGIN,
        Limits {
            challenges_per_address: vec![Limit {
                attempts: 3,
                window_seconds: 60,
            }],
            ..Limits::default()
        },
        |_| {},
    )
    .await;
    let ana = fixture.person("ana").await;
    fixture.propose_app(ana).await.unwrap();
    fixture.propose(ana, KeyKind::Passkey).await.unwrap();
    fixture.propose_app(ana).await.unwrap();
    assert!(matches!(
        fixture.propose_app(ana).await,
        Err(FactorError::Limited { .. })
    ));
    assert!(matches!(
        fixture.propose(ana, KeyKind::SecurityKey).await,
        Err(FactorError::Limited { .. })
    ));
}

#[tokio::test]
async fn a_factor_that_is_added_or_removed_gives_the_session_another_secret() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let is_ana_s = async |renewed: Option<crate::StartedSession>| {
        let renewed = renewed.unwrap();
        let hash = opaque::hash(renewed.secret.expose()).unwrap();
        let found = fixture
            .storage
            .session(&hash, Timestamp(0), fixture.clock.now())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (found.session.id, renewed.session),
            (ana.session, ana.session)
        );
        hash
    };
    let proposed = fixture.propose_app(ana).await.unwrap();
    let confirm = ConfirmTotp {
        session: fixture.own_session(ana).await,
        ceremony: proposed.ceremony.expose().clone(),
        code: fixture.code(&proposed.secret, 0),
    };
    let first = is_ana_s(
        fixture
            .identity
            .factors()
            .confirm_totp(fixture.permit(ana, confirm).await)
            .await
            .unwrap(),
    )
    .await;
    let mut key = SoftwareKey::at(ORIGIN);
    let challenge = fixture.propose(ana, KeyKind::SecurityKey).await.unwrap();
    let answer = KeyAnswer {
        ceremony: challenge.ceremony.expose().clone(),
        response: key.make(&challenge.options),
    };
    let enroll = EnrollKey {
        session: fixture.own_session(ana).await,
        name: "blue".into(),
        answer,
    };
    let (id, renewed) = fixture
        .identity
        .factors()
        .enroll_key(fixture.permit(ana, enroll).await)
        .await
        .unwrap();
    let second = is_ana_s(renewed).await;
    let target = fixture
        .identity
        .factors()
        .to_remove(
            RequestContext::new(&fixture.gate, &fixture.attempt()),
            &fixture.caller(ana).await,
            FactorName::Key(id),
        )
        .await
        .unwrap();
    is_ana_s(
        fixture
            .identity
            .factors()
            .remove(fixture.permit(ana, target).await)
            .await
            .unwrap(),
    )
    .await;
    for old in [first, second] {
        assert!(
            fixture
                .storage
                .session(&old, Timestamp(0), fixture.clock.now())
                .await
                .unwrap()
                .is_none()
        );
    }
}

#[tokio::test]
async fn nothing_is_enrolled_for_a_session_that_ended_after_the_decision() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let proposed = fixture.propose_app(ana).await.unwrap();
    let confirm = ConfirmTotp {
        session: fixture.own_session(ana).await,
        ceremony: proposed.ceremony.expose().clone(),
        code: fixture.code(&proposed.secret, 0),
    };
    let confirm = fixture.permit(ana, confirm).await;
    let generate = fixture
        .permit(
            ana,
            GenerateRecoveryCodes {
                account: Account::at_the_server(ana.user),
            },
        )
        .await;
    let secure = fixture
        .permit(
            ana,
            crate::SecureAccount {
                account: Account::at_the_server(ana.user),
            },
        )
        .await;
    fixture.identity.accounts().secure(secure).await.unwrap();
    assert!(
        fixture
            .identity
            .factors()
            .confirm_totp(confirm)
            .await
            .is_err()
    );
    let refused = fixture
        .identity
        .factors()
        .generate_recovery_codes(generate)
        .await
        .unwrap_err();
    assert!(
        matches!(refused, FactorError::Storage(error) if error.conflict() == Some(storage::Conflict::SessionEnded))
    );
    assert!(!fixture.user(ana).await.facts().factors.any());
}
