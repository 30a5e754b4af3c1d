//! Security keys and passkeys: enrolled, named, counted.

use data_encoding::BASE64URL_NOPAD;
use gate::RefusalKind;
use serde_json::json;

use super::*;
use crate::factors::RenameKey;
use crate::factors::keys::{MAX_KEYS, MAX_NAME};

#[tokio::test]
async fn browsers_are_asked_for_what_the_kind_of_key_needs() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let security_key = fixture
        .propose(ana, KeyKind::SecurityKey)
        .await
        .unwrap()
        .options;
    assert_eq!(security_key["hints"], json!(["security-key"]));
    let selection = &security_key["authenticatorSelection"];
    assert_eq!(
        (
            &selection["residentKey"],
            &selection["requireResidentKey"],
            &selection["userVerification"]
        ),
        (&json!("discouraged"), &json!(false), &json!("preferred"))
    );
    assert!(
        !security_key["extensions"]
            .to_string()
            .contains("redentialProtection"),
        "{security_key}"
    );

    let passkey = fixture
        .propose(ana, KeyKind::Passkey)
        .await
        .unwrap()
        .options;
    let selection = &passkey["authenticatorSelection"];
    assert_eq!(
        (
            &selection["residentKey"],
            &selection["requireResidentKey"],
            &selection["userVerification"]
        ),
        (&json!("required"), &json!(true), &json!("required"))
    );

    for options in [&security_key, &passkey] {
        assert_eq!(
            (&options["attestation"], &options["rp"]["id"]),
            (&json!("none"), &json!("pypi.example.org"))
        );
        assert_eq!(
            (&options["user"]["id"], &options["user"]["name"]),
            (
                &json!(BASE64URL_NOPAD.encode(ana.user.0.as_bytes())),
                &json!("ana")
            )
        );
        assert_eq!(options["excludeCredentials"], json!([]));
    }
    fixture.enroll(ana, KeyKind::SecurityKey, "one").await;
    assert_eq!(
        fixture
            .propose(ana, KeyKind::Passkey)
            .await
            .unwrap()
            .options["excludeCredentials"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let asked = fixture.challenge_for_step_up(ana).await.unwrap().options;
    assert_eq!(
        (
            &asked["hints"],
            asked["allowCredentials"].as_array().unwrap().len()
        ),
        (&json!(["security-key"]), 1)
    );

    // With a passkey among them, the browser offers both.
    fixture.enroll(ana, KeyKind::Passkey, "two").await;
    let asked = fixture.challenge_for_step_up(ana).await.unwrap().options;
    assert_eq!(
        (
            asked.get("hints"),
            asked["allowCredentials"].as_array().unwrap().len()
        ),
        (None, 2)
    );
    assert_eq!(asked["userVerification"], json!("preferred"));
    let bob = fixture.person("bob").await;
    fixture.enroll(bob, KeyKind::Passkey, "only").await;
    assert_eq!(
        fixture.challenge_for_step_up(bob).await.unwrap().options["userVerification"],
        json!("required")
    );

    let asked = fixture.challenge_for_passkey().await.unwrap().options;
    assert_eq!(
        (&asked["allowCredentials"], &asked["userVerification"]),
        (&json!([]), &json!("required"))
    );
}

#[tokio::test]
async fn one_key_belongs_to_one_user() {
    let fixture = Fixture::new().await;
    let (ana, bob) = (fixture.person("ana").await, fixture.person("bob").await);
    let challenge = fixture.propose(ana, KeyKind::SecurityKey).await.unwrap();
    let mut key = SoftwareKey::at(ORIGIN);
    let made: Value = serde_json::from_str(&key.make(&challenge.options)).unwrap();
    fixture
        .enroll_answer(ana, "blue", challenge.ceremony.expose(), made.to_string())
        .await
        .unwrap();

    // An attacker who knows a user's credential id can claim it for a key made in software.
    let challenge = fixture.propose(bob, KeyKind::SecurityKey).await.unwrap();
    let mut claimed: Value =
        serde_json::from_str(&SoftwareKey::at(ORIGIN).make(&challenge.options)).unwrap();
    let bytes = |text: &Value| {
        BASE64URL_NOPAD
            .decode(text.as_str().unwrap().as_bytes())
            .unwrap()
    };
    let object = with_credential_id(
        &bytes(&claimed["response"]["attestationObject"]),
        &bytes(&claimed["rawId"]),
        &bytes(&made["rawId"]),
    );
    claimed["response"]["attestationObject"] = json!(BASE64URL_NOPAD.encode(&object));
    (claimed["id"], claimed["rawId"]) = (made["id"].clone(), made["rawId"].clone());
    assert!(matches!(
        fixture
            .enroll_answer(
                bob,
                "mine",
                challenge.ceremony.expose(),
                claimed.to_string()
            )
            .await,
        Err(FactorError::KeyTaken)
    ));
}

/// The attestation object (WebAuthn, 6.5.4, in CBOR) of a key that claims another id of the same
/// length as its own, without the statement that would reveal it.
fn with_credential_id(object: &[u8], id: &[u8], other: &[u8]) -> Vec<u8> {
    let place = |bytes: &[u8]| {
        object
            .windows(bytes.len())
            .position(|window| window == bytes)
            .unwrap()
    };
    let data = place(b"authData") + b"authData".len();
    assert_eq!(object[data], 0x58, "bytes, whose number is in the next one");
    let (from, length) = (data + 2, usize::from(object[data + 1]));
    let mut data = object[from..from + length].to_vec();
    data[place(id) - from..][..id.len()].copy_from_slice(other);
    [
        &b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58"[..],
        &[object[from - 1]],
        &data,
    ]
    .concat()
}

#[tokio::test]
async fn names_of_keys_are_short_and_unique_for_each_user() {
    let fixture = Fixture::new().await;
    let (ana, bob) = (fixture.person("ana").await, fixture.person("bob").await);
    fixture.enroll(ana, KeyKind::SecurityKey, "Blue").await;
    fixture.enroll(bob, KeyKind::SecurityKey, "blue").await;
    let long = "ä".repeat(MAX_NAME + 1);
    for name in ["", "  ", "a\nb", "a\u{7f}", &long] {
        assert!(
            matches!(
                fixture
                    .enroll_with(
                        ana,
                        KeyKind::SecurityKey,
                        name,
                        &mut SoftwareKey::at(ORIGIN)
                    )
                    .await,
                Err(FactorError::InvalidKeyName)
            ),
            "{name:?}"
        );
    }
    // A bad name does not use up the ceremony: the same answer works with a better name.
    let challenge = fixture.propose(ana, KeyKind::SecurityKey).await.unwrap();
    let made = SoftwareKey::at(ORIGIN).make(&challenge.options);
    assert!(matches!(
        fixture
            .enroll_answer(ana, "bLUE", challenge.ceremony.expose(), made.clone())
            .await,
        Err(FactorError::KeyNameTaken)
    ));
    let key = fixture
        .enroll_answer(
            ana,
            &"ä".repeat(MAX_NAME),
            challenge.ceremony.expose(),
            made,
        )
        .await
        .unwrap();

    let rename = |person: Person, name: &str| {
        let (name, fixture) = (name.to_owned(), &fixture);
        async move {
            fixture
                .identity
                .factors()
                .rename_key(
                    fixture
                        .permit(
                            person,
                            RenameKey {
                                account: Account::at_the_server(person.user),
                                key: Some(key),
                                name,
                            },
                        )
                        .await,
                )
                .await
        }
    };
    assert!(matches!(
        rename(ana, "blue").await,
        Err(FactorError::KeyNameTaken)
    ));
    assert!(matches!(
        rename(ana, &long).await,
        Err(FactorError::InvalidKeyName)
    ));
    assert!(matches!(
        rename(bob, "stolen").await,
        Err(FactorError::UnknownKey)
    ));
    rename(ana, "Green").await.unwrap();
    let details = fixture.details(EventKind::KeyRenamed).await;
    assert_eq!(
        (details.len(), details[0]["name"].as_str()),
        (1, Some("Green"))
    );
}

#[tokio::test]
async fn nobody_has_more_than_twenty_keys_and_all_of_them_fit_a_challenge() {
    let fixture = Fixture::new().await;
    let ana = fixture.person("ana").await;
    let proposed = fixture.propose(ana, KeyKind::SecurityKey).await.unwrap();
    let mut last = SoftwareKey::at(ORIGIN);
    for number in 0..MAX_KEYS {
        last = fixture
            .enroll(ana, KeyKind::SecurityKey, &format!("key {number}"))
            .await;
    }
    assert!(matches!(
        fixture.propose(ana, KeyKind::Passkey).await,
        Err(FactorError::TooManyKeys)
    ));
    let made = SoftwareKey::at(ORIGIN).make(&proposed.options);
    assert!(matches!(
        fixture
            .enroll_answer(ana, "more", proposed.ceremony.expose(), made)
            .await,
        Err(FactorError::TooManyKeys)
    ));
    fixture.second_factor(ana, &mut last).await.unwrap();
}

#[tokio::test]
async fn keys_take_a_verified_address_and_recovery_codes_that_were_kept() {
    let fixture = Fixture::new().await;
    let unverified = fixture.newcomer("una", false).await;
    assert!(matches!(
        fixture.propose(unverified, KeyKind::Passkey).await,
        Err(FactorError::EmailNotVerified)
    ));
    let ana = fixture.newcomer("ana", true).await;
    assert!(matches!(
        fixture.propose(ana, KeyKind::Passkey).await,
        Err(FactorError::RecoveryCodesNotConfirmed)
    ));
    let codes = fixture.codes_of(ana).await;
    assert!(matches!(
        fixture.propose(ana, KeyKind::Passkey).await,
        Err(FactorError::RecoveryCodesNotConfirmed)
    ));
    fixture.confirm(ana, codes[3].expose()).await.unwrap();
    let challenge = fixture.propose(ana, KeyKind::Passkey).await.unwrap();
    // Codes that are generated again in between must be confirmed again.
    fixture.codes_of(ana).await;
    let made = SoftwareKey::at(ORIGIN).make(&challenge.options);
    assert!(matches!(
        fixture
            .enroll_answer(ana, "one", challenge.ceremony.expose(), made)
            .await,
        Err(FactorError::RecoveryCodesNotConfirmed)
    ));
}

#[tokio::test]
async fn where_keys_cannot_work_nobody_is_asked_for_one() {
    let fixture = Fixture::at("http://192.0.2.1:8080", Limits::default()).await;
    let ana = fixture.person("ana").await;
    assert!(fixture.identity.factors().webauthn_unavailable().is_some());
    assert!(matches!(
        fixture.propose(ana, KeyKind::Passkey).await,
        Err(FactorError::WebauthnUnavailable(_))
    ));
    assert_eq!(
        fixture.challenge_for_passkey().await.unwrap_err().kind,
        RefusalKind::Denied
    );
}
