//! The answer of a policy.

use serde::{Deserialize, Serialize};
use wasmtime::component::{ComponentType, Lift, Lower};

use super::words;

/// Something that the caller must confirm before the action is allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lower, Lift)]
#[component(variant)]
#[serde(rename_all = "kebab-case")]
pub enum Requirement {
    /// The user has a second factor enrolled.
    #[component(name = "enrolled-second-factor")]
    EnrolledSecondFactor,
    /// A second factor was proven at most this many seconds ago.
    #[component(name = "second-factor-within")]
    SecondFactorWithin(u32),
    /// The password was proven at most this many seconds ago.
    #[component(name = "password-within")]
    PasswordWithin(u32),
    /// The user's primary email address is verified.
    #[component(name = "verified-email")]
    VerifiedEmail,
    /// The token was minted for projects. Restrictions by its holder do not make it one.
    #[component(name = "project-token")]
    ProjectToken,
    /// The creator of the token confirmed a second factor for it.
    #[component(name = "token-made-with-second-factor")]
    TokenMadeWithSecondFactor,
}

/// The decision of a policy. Among several policies, deny beats require beats stage beats permit
/// beats abstain; if no policy permits or stages, the action is denied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lower, Lift)]
#[component(variant)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// No opinion.
    #[component(name = "abstain")]
    Abstain,
    /// Allowed, as far as this policy is concerned.
    #[component(name = "permit")]
    Permit,
    /// Allowed, but the file is held back until a person publishes the release. Only an answer to
    /// `file-upload`.
    #[component(name = "stage")]
    Stage,
    /// Not allowed until all of these are met. Requirements that are already met are no obstacle,
    /// but no permission either: another policy must permit.
    #[component(name = "require")]
    Require(Vec<Requirement>),
    /// Refused.
    #[component(name = "deny")]
    Deny,
}

words! {
    /// A page of the registry that helps with a refusal. The host knows its address.
    Page {
        /// How to create and use API tokens.
        Tokens = "tokens",
        /// How to enroll a second factor.
        SecondFactor = "second-factor",
        /// How to prove a second factor again.
        StepUp = "step-up",
        /// How to verify an email address.
        Email = "email",
        /// How to reset a password.
        PasswordReset = "password-reset",
        /// How staged releases are published.
        StagedReleases = "staged-releases",
        /// A project's settings.
        ProjectSettings = "project-settings",
        /// How to ask the operators of the registry.
        Contact = "contact",
    }
}

/// The reason, in words for the person who is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lower, Lift)]
#[component(record)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Reason {
    /// Stable code for programs: lower-case words joined by hyphens, at most 64 characters.
    pub code: String,
    /// One sentence that says what is wrong, at most 300 characters.
    pub message: String,
    /// One sentence that says what to do, at most 300 characters; empty if nothing helps.
    pub remedy: String,
    /// The page that helps, if there is one; its address is added to the remedy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<Page>,
}

/// Something that the host must do for the decision to hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lower, Lift)]
#[component(variant)]
#[serde(rename_all = "kebab-case")]
pub enum Obligation {
    /// Disable the user's password; only a reset by mail enables it again.
    #[component(name = "disable-password")]
    DisablePassword,
    /// Send the user the mail with this name.
    #[component(name = "send-mail")]
    SendMail(String),
    /// Anything that a later host may know. A host that does not know it denies.
    #[component(name = "other")]
    Other(String),
}

/// A policy's answer about one context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lower, Lift)]
#[component(record)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Verdict {
    /// The decision.
    pub outcome: Outcome,
    /// Why. At most 8; a deny or require without one is answered with a general text.
    #[serde(default)]
    pub reasons: Vec<Reason>,
    /// Things that the host must do. At most 8.
    #[serde(default)]
    pub obligations: Vec<Obligation>,
    /// Lines for the operator's log, never shown to the caller. At most 16 of 512 characters.
    #[serde(default)]
    pub notes: Vec<String>,
}
