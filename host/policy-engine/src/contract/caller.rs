//! Who asks, and how surely.

use serde::{Deserialize, Serialize};
use wasmtime::component::{ComponentType, Lift, Lower};

use super::{flag_words, words};

words! {
    /// What the client presented. The name of a header never matters: a token is a
    /// token in every header that can carry one.
    CredentialKind {
        /// Nothing was presented.
        None = "none",
        /// A browser session, or a person who proved password and second factor within
        /// this very request.
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
    /// What a check of the password against known breaches came to.
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

/// A trusted publisher: an automation that proved who it is by an identity token.
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

/// Who the credential stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lower, Lift)]
#[component(variant)]
#[serde(rename_all = "kebab-case")]
pub enum Principal {
    /// Nobody in particular.
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
    /// What it was minted for; what its holder added is not in it.
    pub scope: TokenScope,
    /// Seconds since something was last permitted with it, if ever.
    #[component(name = "last-used")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<u64>,
    /// Whether a second factor was proven when it was made.
    #[component(name = "made-with-second-factor")]
    #[serde(default)]
    pub made_with_second_factor: bool,
    /// The projects that are left of `scope` by what the holder added, where that is less.
    /// Chosen by the holder: may make a policy stricter, never more lenient.
    #[component(name = "narrowed-to")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub narrowed_to: Option<Vec<String>>,
    /// Seconds until it expires by what the holder added, where that is sooner. Chosen by the
    /// holder: may make a policy stricter, never more lenient.
    #[component(name = "narrowed-expires-in")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub narrowed_expires_in: Option<u64>,
}

/// A second factor that was proven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lower, Lift)]
#[component(record)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FactorUse {
    /// Which one.
    pub factor: Factor,
    /// Seconds since then.
    pub age: u64,
}

/// What has been proven about the person, and how long ago.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lower, Lift)]
#[component(record)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Assurance {
    /// Seconds since the password was proven, if it was.
    #[component(name = "password-age")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_age: Option<u64>,
    /// The second factor proven last, if any. An API token never carries one.
    #[component(name = "second-factor")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_factor: Option<FactorUse>,
    /// What a breach check of the password came to.
    #[component(name = "password-state")]
    pub password_state: PasswordState,
}
