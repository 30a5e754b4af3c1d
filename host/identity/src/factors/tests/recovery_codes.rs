//! Recovery codes: each works once.

use std::collections::HashSet;

use model::MailKind;

use super::*;

impl Fixture {
    /// Used as a second factor in a login; how many are left, or none if it was not spent.
    async fn spend(&self, person: Person, code: &str) -> Option<u32> {
        let mut unit = self.storage.begin().await.unwrap();
        if !self
            .identity
            .factors()
            .spend_recovery_code(&mut unit, &self.attempt(), &self.user(person).await, code)
            .await
            .unwrap()
        {
            return None;
        }
        let at = self.clock.now();
        let event = AuditEvent::of_server(
            at,
            Detail::read(EventKind::SessionStarted, &serde_json::json!({})),
        )
        .about(person.user);
        unit.commit(&event).await.unwrap();
        Some(
            self.identity
                .factors()
                .of(self.view(person).await)
                .await
                .unwrap()
                .recovery
                .unused,
        )
    }
}

#[tokio::test]
async fn there_are_eight_codes_and_the_database_has_none_of_them() {
    let fixture = Fixture::new().await;
    let ana = fixture.newcomer("ana", true).await;
    let codes = fixture.codes_of(ana).await;
    assert_eq!(
        codes
            .iter()
            .map(|code| code.expose().clone())
            .collect::<HashSet<_>>()
            .len(),
        8
    );
    let recovery = fixture
        .identity
        .factors()
        .of(fixture.view(ana).await)
        .await
        .unwrap()
        .recovery;
    assert_eq!(
        (
            recovery.total,
            recovery.unused,
            recovery.generated_at,
            recovery.confirmed_at
        ),
        (8, 8, Some(NOW), None)
    );
    assert_eq!(
        fixture.mails().await,
        [(
            MailKind::RecoveryCodesGenerated,
            "ana@example.org".to_owned()
        )]
    );

    let database = std::fs::read(fixture._folder.path().join("test.sqlite")).unwrap();
    let log = std::fs::read(fixture._folder.path().join("test.sqlite-wal")).unwrap_or_default();
    for code in &codes {
        let plain = code.expose().replace('-', "");
        for bytes in [&database, &log] {
            assert!(
                !bytes
                    .windows(plain.len())
                    .any(|window| window == plain.as_bytes())
            );
            assert!(
                !bytes
                    .windows(code.expose().len())
                    .any(|window| window == code.expose().as_bytes())
            );
        }
    }
}

#[tokio::test]
async fn a_code_burns_once_and_its_owner_is_told() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let codes = fixture.codes_of(ana).await;
    fixture.mails().await;
    assert_eq!(fixture.spend(ana, codes[0].expose()).await, Some(7));
    assert_eq!(fixture.spend(ana, codes[0].expose()).await, None);
    // The same code typed differently is the same code.
    assert_eq!(
        fixture
            .spend(ana, &codes[0].expose().to_uppercase().replace('-', " "))
            .await,
        None
    );
    assert_eq!(
        fixture
            .spend(ana, &codes[1].expose().to_uppercase().replace('-', " "))
            .await,
        Some(6)
    );
    assert_eq!(
        fixture
            .mails()
            .await
            .into_iter()
            .map(|(kind, _)| kind)
            .collect::<Vec<_>>(),
        [MailKind::RecoveryCodeUsed; 2]
    );
    let used = fixture.details(EventKind::RecoveryCodeUsed).await;
    assert_eq!(
        used.iter()
            .map(|detail| detail["left"].as_u64())
            .collect::<Vec<_>>(),
        [Some(7), Some(6)]
    );
}

#[tokio::test]
async fn who_has_few_codes_left_is_told_so() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let codes = fixture.codes_of(ana).await;
    for code in &codes[..5] {
        fixture.spend(ana, code.expose()).await.unwrap();
    }
    assert!(
        !fixture
            .mails()
            .await
            .iter()
            .any(|(kind, _)| *kind == MailKind::RecoveryCodesLow)
    );
    assert_eq!(fixture.spend(ana, codes[5].expose()).await, Some(2));
    assert!(
        fixture
            .mails()
            .await
            .iter()
            .any(|(kind, _)| *kind == MailKind::RecoveryCodesLow)
    );
}

#[tokio::test]
async fn a_code_sent_many_times_at_once_counts_once() {
    let fixture = Arc::new(Fixture::new().await);
    let ana = fixture.person("ana").await;
    let code = fixture.codes_of(ana).await[0].expose().clone();
    let tries: Vec<_> = (0..8)
        .map(|_| {
            let (fixture, code) = (Arc::clone(&fixture), code.clone());
            tokio::spawn(async move { fixture.spend(ana, &code).await.is_some() })
        })
        .collect();
    let mut counted = 0;
    for one in tries {
        counted += usize::from(one.await.unwrap());
    }
    assert_eq!(counted, 1);
    assert_eq!(
        fixture
            .identity
            .factors()
            .of(fixture.view(ana).await)
            .await
            .unwrap()
            .recovery
            .unused,
        7
    );
}

#[tokio::test]
async fn new_codes_end_the_old_ones() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let (old, new) = (fixture.codes_of(ana).await, fixture.codes_of(ana).await);
    for code in &old {
        assert_eq!(fixture.spend(ana, code.expose()).await, None);
    }
    assert_eq!(
        fixture
            .identity
            .factors()
            .of(fixture.view(ana).await)
            .await
            .unwrap()
            .recovery
            .confirmed_at,
        None
    );
    assert_eq!(fixture.spend(ana, new[0].expose()).await, Some(7));
}

#[tokio::test]
async fn a_code_of_one_user_is_none_of_another() {
    let fixture = Fixture::new().await;
    let (ana, bob) = (fixture.person("ana").await, fixture.person("bob").await);
    let codes = fixture.codes_of(ana).await;
    assert_eq!(fixture.spend(bob, codes[0].expose()).await, None);
    assert_eq!(fixture.spend(ana, codes[0].expose()).await, Some(7));
    assert_eq!(fixture.spend(ana, "what is no code").await, None);
}

#[tokio::test]
async fn using_one_confirms_that_they_were_kept() {
    let fixture = Fixture::new().await;
    let ana = fixture.newcomer("ana", true).await;
    assert!(matches!(
        fixture.confirm(ana, "0000-0000-0000-0000").await,
        Err(FactorError::WrongCode)
    ));
    let codes = fixture.codes_of(ana).await;
    fixture.later(60);
    assert!(matches!(
        fixture.confirm(ana, "0000-0000-0000-0000").await,
        Err(FactorError::WrongCode)
    ));
    fixture.confirm(ana, codes[2].expose()).await.unwrap();
    let recovery = fixture
        .identity
        .factors()
        .of(fixture.view(ana).await)
        .await
        .unwrap()
        .recovery;
    assert_eq!(
        (recovery.unused, recovery.confirmed_at),
        (7, Some(fixture.clock.now()))
    );
    assert!(matches!(
        fixture.confirm(ana, codes[2].expose()).await,
        Err(FactorError::WrongCode)
    ));
    assert_eq!(
        fixture
            .details(EventKind::RecoveryCodesConfirmed)
            .await
            .len(),
        1
    );
    let wrong = fixture.details(EventKind::AuthenticationFailed).await;
    assert_eq!(wrong.len(), 3, "each that was wrong is on record");
    assert!(
        wrong
            .iter()
            .all(|detail| detail["second-factor"] == "recovery-code"
                && detail["action"] == "recovery-codes:generate"),
        "{wrong:?}"
    );
    fixture.mails().await;
    fixture.confirm(ana, codes[3].expose()).await.unwrap();
    assert_eq!(
        fixture
            .mails()
            .await
            .into_iter()
            .map(|(kind, _)| kind)
            .collect::<Vec<_>>(),
        [MailKind::RecoveryCodeUsed],
        "none burns unnoticed"
    );
}

#[tokio::test]
async fn codes_take_a_verified_address() {
    let fixture = Fixture::new().await;
    let una = fixture.newcomer("una", false).await;
    let permit = fixture
        .permit(
            una,
            GenerateRecoveryCodes {
                account: Account::at_the_server(una.user),
            },
        )
        .await;
    assert!(matches!(
        fixture
            .identity
            .factors()
            .generate_recovery_codes(permit)
            .await,
        Err(FactorError::EmailNotVerified)
    ));
}

#[tokio::test]
async fn guesses_are_limited_and_right_codes_do_not_count() {
    let fixture = Fixture::at(ORIGIN, limits(3)).await;
    let ana = fixture.newcomer("ana", true).await;
    let codes = fixture.codes_of(ana).await;
    for code in &codes[..4] {
        fixture.confirm(ana, code.expose()).await.unwrap();
    }
    for _ in 0..3 {
        assert!(matches!(
            fixture.confirm(ana, "0000-0000-0000-0000").await,
            Err(FactorError::WrongCode)
        ));
    }
    for _ in 0..3 {
        assert!(matches!(
            fixture.confirm(ana, codes[5].expose()).await,
            Err(FactorError::Limited {
                retry_after_seconds: 300
            })
        ));
    }
    let waited = fixture
        .details(EventKind::AuthenticationFailed)
        .await
        .into_iter()
        .filter(|detail| detail["reason"] == "too-many-attempts")
        .count();
    assert_eq!(waited, 1, "on record once a minute");
    fixture.later(300);
    fixture.confirm(ana, codes[5].expose()).await.unwrap();
}
