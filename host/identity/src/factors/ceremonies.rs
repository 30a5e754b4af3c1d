//! WebAuthn (Level 3) as this registry wants it, around webauthn-rs: what browsers are asked, and
//! which answers are valid. The only place that names that library.
//!
//! A few things are edited in the library's requests; nothing that it verifies in the answer is
//! relaxed. Passkeys must be discoverable, or a login without a name would be impossible. Security
//! keys must not be protected by a PIN of their own (`credProtect`): a key without a PIN would be
//! useless after it was enrolled, and the password has that role.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use storage::keys::{KeyKind, KeyRow};
use storage::users::UserRow;
use webauthn_rs::Webauthn;
use webauthn_rs::prelude::{
    AuthenticationResult, Credential, CredentialID, DiscoverableAuthentication, DiscoverableKey,
    ParsedAttestation, Passkey, PasskeyRegistration, PublicKeyCredential,
    RegisterPublicKeyCredential, SecurityKey, SecurityKeyAuthentication, SecurityKeyRegistration,
    Url, WebauthnBuilder, WebauthnError,
};

/// Maximum size of a browser's answer, in bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// Maximum size of a stored public key, in bytes of JSON: all keys of a user fit one challenge.
const MAX_CREDENTIAL: usize = 2800;

const IS_ADDRESS: &str = "Security keys and passkeys are bound to a host name, and this registry's public address has an IP address or none; \
                          its operators can give it a name.";
const IS_PLAIN: &str = "Security keys and passkeys need https, and this registry's public address begins with http; its operators can change that.";

/// Why an answer proves nothing, for the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rejected(pub(super) &'static str);

/// This registry, from the view of keys.
pub(crate) struct RelyingParty {
    webauthn: Result<Webauthn, &'static str>,
}

/// The state of an enrollment that waits for a new key.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Enrollment {
    SecurityKey(SecurityKeyRegistration),
    Passkey(PasskeyRegistration),
}

/// The request to a browser, and the state to keep until it answers.
pub(super) struct Asked {
    /// The object *inside* `publicKey`.
    pub(super) options: Value,
    pub(super) state: String,
}

/// A key that a browser created.
pub(super) struct MadeKey {
    pub(super) kind: KeyKind,
    pub(super) credential_id: Vec<u8>,
    /// The part of it that is stored.
    pub(super) credential: String,
    pub(super) counter: i64,
}

/// A browser's answer to the request for a key.
pub(super) struct Answer(PublicKeyCredential);

/// A verified answer of a key.
pub(super) struct Proof {
    result: AuthenticationResult,
}

impl RelyingParty {
    pub(crate) fn new(public_url: &str) -> Self {
        Self {
            webauthn: relying_party(public_url),
        }
    }

    /// Why keys cannot be used at this address.
    pub(super) fn unavailable(&self) -> Option<&'static str> {
        self.webauthn.as_ref().err().copied()
    }

    fn webauthn(&self) -> Result<&Webauthn, Rejected> {
        self.webauthn
            .as_ref()
            .map_err(|_| Rejected("keys-unavailable"))
    }

    /// Asks for a new key, and for none that the user already has.
    pub(super) fn ask_for_new_key(
        &self,
        kind: KeyKind,
        user: &UserRow,
        known: &[KeyRow],
    ) -> Result<Asked, Rejected> {
        let webauthn = self.webauthn()?;
        let known: Vec<CredentialID> = known.iter().map(|key| key.credential_id.clone()).collect();
        let name = user.name.as_written();
        let (challenge, state) = match kind {
            KeyKind::SecurityKey => {
                let (challenge, state) = webauthn
                    .start_securitykey_registration(user.id.0, name, name, Some(known), None, None)
                    .map_err(rejected)?;
                (challenge, Enrollment::SecurityKey(state))
            }
            KeyKind::Passkey => {
                let (challenge, state) = webauthn
                    .start_passkey_registration(user.id.0, name, name, Some(known))
                    .map_err(rejected)?;
                (challenge, Enrollment::Passkey(state))
            }
        };
        let mut options = inside(serde_json::to_value(&challenge))?;
        match kind {
            KeyKind::SecurityKey => {
                if let Some(extensions) = options["extensions"].as_object_mut() {
                    extensions.remove("credentialProtectionPolicy");
                    extensions.remove("enforceCredentialProtectionPolicy");
                }
            }
            KeyKind::Passkey => {
                options["authenticatorSelection"]["residentKey"] = json!("required");
                options["authenticatorSelection"]["requireResidentKey"] = json!(true);
            }
        }
        Ok(Asked {
            options,
            state: remembered(&state)?,
        })
    }

    /// The key that the browser created.
    pub(super) fn new_key(&self, state: &str, answer: &str) -> Result<MadeKey, Rejected> {
        let webauthn = self.webauthn()?;
        let answer: RegisterPublicKeyCredential = read_answer(answer)?;
        let (kind, mut credential) = match recalled(state)? {
            Enrollment::SecurityKey(state) => {
                let key = webauthn
                    .finish_securitykey_registration(&answer, &state)
                    .map_err(rejected)?;
                (KeyKind::SecurityKey, Credential::from(key))
            }
            Enrollment::Passkey(state) => {
                let key = webauthn
                    .finish_passkey_registration(&answer, &state)
                    .map_err(rejected)?;
                (KeyKind::Passkey, Credential::from(key))
            }
        };
        // We request no attestation. It would reveal the device model and fill the database.
        credential.attestation = ParsedAttestation::default();
        let (credential_id, counter) = (credential.cred_id.to_vec(), i64::from(credential.counter));
        let credential = remembered(&credential)?;
        if credential.len() > MAX_CREDENTIAL {
            return Err(Rejected("key-too-long"));
        }
        Ok(MadeKey {
            kind,
            credential_id,
            credential,
            counter,
        })
    }

    /// Asks for a passkey of any user, who must be verified by the device.
    pub(super) fn ask_for_passkey(&self) -> Result<Asked, Rejected> {
        let (challenge, state) = self
            .webauthn()?
            .start_discoverable_authentication()
            .map_err(rejected)?;
        Ok(Asked {
            options: inside(serde_json::to_value(&challenge))?,
            state: remembered(&state)?,
        })
    }

    pub(super) fn verify_passkey(
        &self,
        state: &str,
        answer: &Answer,
        key: &KeyRow,
    ) -> Result<Proof, Rejected> {
        let state: DiscoverableAuthentication = recalled(state)?;
        let key = DiscoverableKey::from(Passkey::from(credential(key)?));
        let result = self
            .webauthn()?
            .finish_discoverable_authentication_v2(&answer.0, state, &key)
            .map_err(rejected)?;
        Ok(Proof { result })
    }

    /// Asks for one of these keys, as a second factor.
    pub(super) fn ask_for_key(&self, keys: &[KeyRow]) -> Result<Asked, Rejected> {
        let credentials = keys
            .iter()
            .map(|key| credential(key).map(SecurityKey::from))
            .collect::<Result<Vec<_>, _>>()?;
        let (challenge, state) = self
            .webauthn()?
            .start_securitykey_authentication(&credentials)
            .map_err(rejected)?;
        let mut options = inside(serde_json::to_value(&challenge))?;
        let passkeys = keys
            .iter()
            .filter(|key| key.kind == KeyKind::Passkey)
            .count();
        // The hint would hide the passkeys behind instructions for a device to plug in.
        if passkeys > 0
            && let Some(options) = options.as_object_mut()
        {
            options.remove("hints");
        }
        // Passkeys are accepted only with user verification, which some devices skip if it is
        // merely preferred. A security key may have no means of verification.
        if passkeys == keys.len() {
            options["userVerification"] = json!("required");
        }
        Ok(Asked {
            options,
            state: remembered(&state)?,
        })
    }

    pub(super) fn verify_key(&self, state: &str, answer: &Answer) -> Result<Proof, Rejected> {
        let state: SecurityKeyAuthentication = recalled(state)?;
        let result = self
            .webauthn()?
            .finish_securitykey_authentication(&answer.0, &state)
            .map_err(rejected)?;
        Ok(Proof { result })
    }
}

impl Answer {
    pub(super) fn read(text: &str) -> Result<Self, Rejected> {
        let answer: PublicKeyCredential = read_answer(text)?;
        // The library checks this for enrollments only. A frame in another site must not get an
        // answer, whatever the person clicked in it.
        let client_data: Value = serde_json::from_slice(&answer.response.client_data_json)
            .map_err(|_| Rejected("key-answer-unreadable"))?;
        if client_data["crossOrigin"] == json!(true) {
            return Err(Rejected("key-cross-origin"));
        }
        Ok(Self(answer))
    }

    pub(super) fn credential_id(&self) -> &[u8] {
        self.0.get_credential_id()
    }

    /// The user handle from the authenticator; security keys do not send one.
    pub(super) fn user_handle(&self) -> Option<&[u8]> {
        self.0.get_user_unique_id()
    }
}

impl Proof {
    /// The key's new counter and what to store for it. A counter that does not increase indicates a
    /// second key with the same secret (WebAuthn, 7.2 step 22): both are refused.
    pub(super) fn renew(&self, stored: &KeyRow) -> Result<(i64, String), Rejected> {
        let counter = i64::from(self.result.counter());
        if (counter > 0 || stored.counter > 0) && counter <= stored.counter {
            return Err(Rejected("key-counter-went-back"));
        }
        let mut key = Passkey::from(credential(stored)?);
        if key.update_credential(&self.result).is_none() {
            return Err(Rejected("key-unknown"));
        }
        Ok((counter, remembered(&Credential::from(key))?))
    }
}

fn relying_party(public_url: &str) -> Result<Webauthn, &'static str> {
    let url = Url::parse(public_url).map_err(|_| IS_ADDRESS)?;
    let host = url.domain().ok_or(IS_ADDRESS)?;
    // Origins that browsers consider trustworthy (Secure Contexts, 3.1).
    let is_this_machine = host == "localhost" || host.ends_with(".localhost");
    if url.scheme() != "https" && !(url.scheme() == "http" && is_this_machine) {
        return Err(IS_PLAIN);
    }
    WebauthnBuilder::new(host, &url)
        .and_then(|builder| builder.rp_name(host).build())
        .map_err(|_| IS_ADDRESS)
}

fn credential(key: &KeyRow) -> Result<Credential, Rejected> {
    serde_json::from_str(&key.credential).map_err(|error| {
        tracing::error!(key = %key.id, user = %key.user, %error, "a stored key is unreadable; remove it and enroll it again");
        Rejected("key-unreadable")
    })
}

fn read_answer<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, Rejected> {
    if text.len() > MAX_ANSWER {
        return Err(Rejected("key-answer-too-long"));
    }
    serde_json::from_str(text).map_err(|_| Rejected("key-answer-unreadable"))
}

fn inside(challenge: serde_json::Result<Value>) -> Result<Value, Rejected> {
    challenge
        .ok()
        .and_then(|mut challenge| challenge.get_mut("publicKey").map(Value::take))
        .ok_or(Rejected("key-state-unwritable"))
}

fn remembered<T: Serialize>(state: &T) -> Result<String, Rejected> {
    serde_json::to_string(state).map_err(|_| Rejected("key-state-unwritable"))
}

fn recalled<T: for<'de> Deserialize<'de>>(state: &str) -> Result<T, Rejected> {
    serde_json::from_str(state).map_err(|error| {
        // Another version of this program stored it, minutes ago.
        tracing::warn!(%error, "what a browser was asked cannot be read any more");
        Rejected("key-challenge-unreadable")
    })
}

fn rejected(error: WebauthnError) -> Rejected {
    Rejected(match error {
        WebauthnError::InvalidRPOrigin => "key-wrong-origin",
        WebauthnError::InvalidRPIDHash => "key-wrong-registry",
        WebauthnError::MismatchedChallenge => "key-wrong-challenge",
        WebauthnError::InvalidClientDataType => "key-wrong-purpose",
        WebauthnError::CredentialCrossOrigin => "key-cross-origin",
        WebauthnError::UserNotPresent | WebauthnError::UserNotVerified => "key-person-not-verified",
        WebauthnError::CredentialNotFound => "key-not-asked-for",
        WebauthnError::CredentialPossibleCompromise => "key-counter-went-back",
        WebauthnError::AuthenticationFailure => "key-wrong-signature",
        _ => "key-not-accepted",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_work_where_browsers_let_them() {
        for url in [
            "https://pypi.example.org",
            "https://pypi.example.org:8443",
            "https://example.org/registry",
            "http://localhost:8080",
            "http://a.localhost",
        ] {
            assert_eq!(RelyingParty::new(url).unavailable(), None, "{url}");
        }
    }

    #[test]
    fn where_keys_cannot_work_the_reason_is_told() {
        for url in [
            "https://192.0.2.1",
            "http://127.0.0.1:8080",
            "https://[2001:db8::1]",
            "http://[::1]:8080",
            "nonsense",
            "",
        ] {
            assert_eq!(
                RelyingParty::new(url).unavailable(),
                Some(IS_ADDRESS),
                "{url}"
            );
        }
        for url in [
            "http://pypi.example.org",
            "http://localhost.example.org",
            "ftp://localhost",
        ] {
            assert_eq!(
                RelyingParty::new(url).unavailable(),
                Some(IS_PLAIN),
                "{url}"
            );
        }
    }
}
