//! Browser and authenticator in one.

use std::collections::HashMap;

use serde_json::{Value, json};
use webauthn_authenticator_rs::WebauthnAuthenticator;
use webauthn_authenticator_rs::prelude::{
    CreationChallengeResponse, RequestChallengeResponse, Url,
};
use webauthn_authenticator_rs::softpasskey::SoftPasskey;

/// A key in the browser of somebody who visits a page of this origin.
///
/// The authenticator underneath cannot find keys by itself, so this remembers the owners of its
/// keys, like an authenticator with its own storage.
pub(super) struct SoftwareKey {
    authenticator: SoftPasskey,
    origin: Url,
    /// Credential id and user handle, both in base64url.
    made: HashMap<String, String>,
}

impl SoftwareKey {
    pub(super) fn at(origin: &str) -> Self {
        Self {
            authenticator: SoftPasskey::new(true),
            origin: Url::parse(origin).unwrap(),
            made: HashMap::new(),
        }
    }

    /// The same key, on a page of another origin.
    pub(super) fn moved_to(self, origin: &str) -> Self {
        Self {
            origin: Url::parse(origin).unwrap(),
            ..self
        }
    }

    /// The result of `navigator.credentials.create`, as JSON.
    pub(super) fn make(&mut self, options: &Value) -> String {
        self.make_told(options, |_| ())
    }

    /// The same, from an authenticator that was sent something other than what was asked.
    pub(super) fn make_told(&mut self, options: &Value, change: impl Fn(&mut Value)) -> String {
        let handle = options["user"]["id"].as_str().unwrap().to_owned();
        let mut options = options.clone();
        options["authenticatorSelection"]["requireResidentKey"] = json!(false);
        verify_if_preferred(&mut options["authenticatorSelection"]["userVerification"]);
        change(&mut options);
        let challenge: CreationChallengeResponse =
            serde_json::from_value(json!({ "publicKey": options })).unwrap();
        let answer = self
            .authenticator
            .do_registration(self.origin.clone(), challenge)
            .unwrap();
        let mut answer = serde_json::to_value(answer).unwrap();
        self.made
            .insert(answer["id"].as_str().unwrap().to_owned(), handle);
        answer["response"]["transports"] = json!(["usb", "smart-card"]);
        as_browsers_say(answer, json!({ "credProps": { "rk": true } }))
    }

    /// Every key it created, as a list of allowed credentials.
    pub(super) fn ids(&self) -> Value {
        self.made
            .keys()
            .map(|id| json!({ "type": "public-key", "id": id }))
            .collect()
    }

    /// The result of `navigator.credentials.get`, as JSON.
    pub(super) fn answer(&mut self, options: &Value) -> String {
        self.answer_told(options, |_| ()).to_string()
    }

    pub(super) fn answer_told(&mut self, options: &Value, change: impl Fn(&mut Value)) -> Value {
        let mut options = options.clone();
        let is_usernameless = options["allowCredentials"]
            .as_array()
            .is_none_or(Vec::is_empty);
        if is_usernameless {
            options["allowCredentials"] = self.ids();
        }
        verify_if_preferred(&mut options["userVerification"]);
        change(&mut options);
        let challenge: RequestChallengeResponse =
            serde_json::from_value(json!({ "publicKey": options })).unwrap();
        let answer = self
            .authenticator
            .do_authentication(self.origin.clone(), challenge)
            .unwrap();
        let mut answer = serde_json::to_value(answer).unwrap();
        if is_usernameless {
            answer["response"]["userHandle"] = json!(self.made[answer["id"].as_str().unwrap()]);
        } else {
            // Left out, as in browsers for keys that return no user handle.
            answer["response"]
                .as_object_mut()
                .unwrap()
                .remove("userHandle");
        }
        serde_json::from_str(&as_browsers_say(answer, json!({}))).unwrap()
    }
}

/// It can verify, so it does; the authenticator underneath only does what is required.
fn verify_if_preferred(verification: &mut Value) {
    if *verification == "preferred" {
        *verification = json!("required");
    }
}

/// In the form of `PublicKeyCredential.toJSON` (WebAuthn, 5.1).
fn as_browsers_say(mut answer: Value, extensions: Value) -> String {
    let members = answer.as_object_mut().unwrap();
    members.remove("extensions");
    members.insert("clientExtensionResults".to_owned(), extensions);
    members.insert(
        "authenticatorAttachment".to_owned(),
        json!("cross-platform"),
    );
    answer.to_string()
}
