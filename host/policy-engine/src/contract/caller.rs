//! The caller, and how surely it is known.

use serde::{Deserialize, Serialize};
use wasmtime::component::{ComponentType, Lift, Lower};

use super::{flag_words, words};

words! {
    /// What the client presented. The name of a header never matters: a token is a
    /// token in every header that can carry one.
    CredentialKind {
        /// Nothing was presented.
        None = "none",
        /// A browser session, or a person who confirmed password and second factor within this
        /// request.
        Session = "session",
        /// A user name and password in an `Authorization: Basic` header.
        BasicPassword = "basic-password",
        /// An API token of a user.
        ApiToken = "api-token",
        /// A short-lived token minted for a trusted publisher.
        PublisherToken = "publisher-token",
    }
}

words! {
    /// A role on a project.
    Role {
        /// No role at all.
        None = "none",
        /// May upload.
        Maintainer = "maintainer",
        /// May upload and manage.
        Owner = "owner",
    }
}

wasmtime::component::flags! {
    Factors {
        #[component(name = "totp")]
        const TOTP;
        #[component(name = "webauthn")]
        const WEBAUTHN;
    }
}

flag_words! {
    Factors {
        TOTP = "totp",
        WEBAUTHN = "webauthn",
    }
}

words! {
    /// One use of a second factor.
    Factor {
        /// A time-based one-time password.
        Totp = "totp",
        /// A WebAuthn security key or passkey.
        Webauthn = "webauthn",
        /// A recovery code.
        RecoveryCode = "recovery-code",
    }
}

words! {
    /// The result of checking the password against known breaches.
    PasswordState {
        /// Not checked in this request, or no password was involved.
        Unchecked = "unchecked",
        /// Checked and not found.
        Clean = "clean",
        /// Checked and found in a breach.
        Breached = "breached",
    }
}

/// A person's account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lower, Lift)]
#[component(record)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct User {
    /// The name the person logs in with.
    pub name: String,
    /// Seconds since the account was created.
    pub age: u64,
    /// Whether the primary email address is verified.
    #[component(name = "email-verified")]
    #[serde(default)]
    pub email_verified: bool,
    /// The second factors that are enrolled and usable.
    #[serde(default)]
    pub factors: Factors,
    /// Whether the account belongs to the registry's staff.
    #[serde(default)]
    pub staff: bool,
}

/// One claim a trusted publisher made and the registry verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lower, Lift)]
#[component(record)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Claim {
    /// Name of the claim, for example `repository`.
    pub name: String,
    /// Its value as text.
    pub value: String,
}

/// A trusted publisher: an automation that identified itself with an identity token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lower, Lift)]
#[component(record)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Publisher {
    /// The provider, for example `github`.
    pub provider: String,
    /// The verified claims, in order of name.
    #[serde(default)]
    pub claims: Vec<Claim>,
}

/// The caller that the credential identifies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lower, Lift)]
#[component(variant)]
#[serde(rename_all = "kebab-case")]
pub enum Principal {
    /// No one in particular.
    #[component(name = "anonymous")]
    Anonymous,
    /// A person.
    #[component(name = "user")]
    User(User),
    /// A trusted publisher.
    #[component(name = "publisher")]
    Publisher(Publisher),
}

/// What a token was minted for, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lower, Lift)]
#[component(variant)]
#[serde(rename_all = "kebab-case")]
pub enum TokenScope {
    /// All projects of the account.
    #[component(name = "account")]
    Account,
    /// Only the projects listed here by normalized name.
    #[component(name = "projects")]
    Projects(Vec<String>),
}

/// The API token or publisher token that was presented. Never the secret itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lower, Lift)]
#[component(record)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Token {
    /// Identifier of the token (a UUID).
    pub id: String,
    /// Seconds since it was created.
    pub age: u64,
    /// Seconds until it expires as it was minted, if it does.
    #[component(name = "expires-in")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
    /// The scope that it was minted with, without its holder's restrictions.
    pub scope: TokenScope,
    /// Seconds since something was last permitted with it, if ever.
    #[component(name = "last-used")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<u64>,
    /// Whether a second factor was confirmed when it was created.
    #[component(name = "made-with-second-factor")]
    #[serde(default)]
    pub made_with_second_factor: bool,
    /// The projects of `scope` that are left after the holder's restrictions, if there are any.
    /// Chosen by the holder: may make a policy stricter, never more lenient.
    #[component(name = "narrowed-to")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub narrowed_to: Option<Vec<String>>,
    /// Seconds until it expires by the holder's restrictions, if that is sooner. Chosen by the
    /// holder: may make a policy stricter, never more lenient.
    #[component(name = "narrowed-expires-in")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub narrowed_expires_in: Option<u64>,
}

/// A second factor that was confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lower, Lift)]
#[component(record)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FactorUse {
    /// Which one.
    pub factor: Factor,
    /// Seconds since then.
    pub age: u64,
}

/// The factors that the person has confirmed, and how long ago.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lower, Lift)]
#[component(record)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Assurance {
    /// Seconds since the password was confirmed, if it was.
    #[component(name = "password-age")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_age: Option<u64>,
    /// The second factor confirmed last, if any. An API token never carries one.
    #[component(name = "second-factor")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_factor: Option<FactorUse>,
    /// The result of a breach check of the password.
    #[component(name = "password-state")]
    pub password_state: PasswordState,
}
