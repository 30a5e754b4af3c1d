//! Who the caller is and how well that is proven: from the `Authorization` header to a
//! [`model::Caller`]; and the use cases that change accounts, passwords, second factors and API
//! tokens.
//!
//! How to read this crate: [`presented`] parses the header once, or takes the session cookie;
//! [`Identity::authenticate`] turns the credential into a caller, on any route, without asking what
//! the route is for: refusing a token there is up to the policies. A read continues without a
//! credential that is not accepted (`readers`). [`login`] creates a [session](sessions) from a
//! password and a second factor, or from a passkey; [`step_up`] verifies one of them again;
//! [`devices`] asks by mail about an unknown device. [`Proofs::prove_person`] verifies password and
//! second factor within one call, without a session. [`factors`] enrolls second factors and
//! verifies them. [`tokens`] is the macaroon format and its arithmetic; [`passwords`] and [`totp`]
//! are the same for what people type. [`accounts`], [`registration`], [`recovery`],
//! [`account_tokens`] and their neighbours are the use cases. [`history`] shows people what
//! happened to their account; [`secure`] is for the case that someone else did it.
//!
//! The use cases are grouped into areas: `identity.sessions()`, `identity.factors()` and so on, see
//! `areas`. If the decision can be made before it begins, a use case takes a [`gate::Permit`] of a
//! target defined in its file, so that pages and the command line run the same code. If it must
//! first check a credential or a mailed link, it takes a [`RequestContext`], lets the gate decide
//! halfway, and refuses in one way, see `request`.
//!
//! To add a use case: put its target and its function into the file of its noun, in the area of
//! that noun; a new noun declares an area and gets an accessor below.
//!
//! A target identifies an account by an [`Account`], which is built from the caller; a page reads
//! an account's data with an [`AccountView`], which is built from a permit.
//!
//! Invariants: no secret is ever in an audit event, an error or a log line. A password is verified
//! only where the attempt's policy set could permit one, and never for a read; a TOTP code is
//! accepted once, whichever way it is sent. Secrets in a browser or a mail are created here, never
//! taken over from a client, and stored as a hash ([`opaque`]).

mod areas;
pub mod presented;
mod authenticate;
mod readers;
mod prove_person;
pub mod sessions;
pub mod login;
pub mod step_up;
pub mod devices;
pub mod factors;
pub mod totp;
pub mod passwords;
pub mod breaches;
pub mod accounts;
pub mod registration;
pub mod password_change;
pub mod password_reset;
pub mod deletion;
pub mod invitation;
pub mod recovery;
pub mod history;
pub mod secure;
pub mod account_tokens;
pub mod tokens;
pub mod limits;
mod own;
mod named;
pub mod random;
mod opaque;
mod even;
mod request;
mod refusals;

/// How long mailed links are valid, as mails and pages say it.
pub mod lifetimes {
    pub use crate::accounts::emails::LINK_LIFETIME as EMAIL_LINK;
    pub use crate::devices::LINK_LIFETIME as DEVICE_LINK;
    pub use crate::invitation::LINK_LIFETIME as INVITATION_LINK;
    pub use crate::password_reset::LINK_LIFETIME as PASSWORD_LINK;
    pub use crate::registration::LINK_LIFETIME as REGISTRATION_LINK;
}

use std::sync::Arc;
use std::time::Duration;

use model::Clock;
use storage::Storage;

pub use account_tokens::{
    CreateToken, CreatedToken, ListTokens, ListedToken, NewTokenScope, OpenTokenForm, RevokeToken,
    SecondFactorProof, TokenError, Tokens,
};
pub use accounts::conversion::convert_addresses;
pub use accounts::emails::{
    AddEmail, Emails, PromoteEmail, ReadEmailLink, RemoveEmail, SendVerification, UnverifiedEmail,
    VerifyEmail,
};
pub use accounts::standing::{DisableUser, EnableUser, SetStaff};
pub use accounts::{AccountError, Accounts, CreateUser, EnrollTotp, RemoveTotp, SetPassword};
pub use breaches::{BreachConfig, BreachOutcome, Unreachable};
pub use deletion::DeleteAccount;
pub use devices::{
    DeviceInWords, Devices, ForgetDevice, ListDevices, ListedDevice, MailAgain, NotProven,
};
pub use factors::{Factors, OpenEnrollment};
pub use history::{DoneBy, Histories, History, HistoryEntry, ReadHistory, device_in_words};
pub use invitation::InviteUser;
pub use limits::Limits;
pub use login::{LoginStep, Logins, PendingLogin};
pub use own::{Account, AccountView, OfAccount, OwnSession, ReadAccount};
pub use password_change::{OpenPasswordChange, PasswordProblem, Passwords};
pub use password_reset::{OpenResetRequest, ReadResetLink};
pub use passwords::{PasswordHashing, UnsuitablePassword, check_suitable};
pub use presented::{InvalidAuthorization, Presented};
pub use prove_person::{PersonalProof, Proofs, UnspentCode};
pub use readers::{Readers, Unaccepted};
pub use recovery::{
    AnnouncedRecovery, CancelRecovery, ListRecoveries, ListedRecovery, ReadRecoveryLink,
    RecoverAccount, Recoveries, RecoveryError, StopOwnRecovery,
};
pub use registration::{
    ConfirmProblem, FieldError, OpenRegistration, PendingRegistration, ReadFirstUserLink,
    ReadRegistration, RegisterForm, RegisterProblem, Registrations,
};
pub use request::RequestContext;
pub use secure::SecureAccount;
pub use sessions::{
    EndSession, EndSessions, ListSessions, ListedSession, Sessions, StartSession, StartedSession,
};
pub use step_up::{OpenStepUp, StepUp, StepUps};
pub use storage::Secret;
pub use totp::EnrolledTotp;

/// The operator's choices about identity.
#[derive(Clone, Debug)]
pub struct IdentityConfig {
    /// Prefix of tokens, before the `-`: `pypi`, unless secret scanners should distinguish this
    /// registry's tokens from PyPI's. ASCII letters, digits and `_`, 1 to 32.
    pub token_prefix: String,
    /// The registry's host name; written into tokens as the macaroon's location.
    pub token_location: String,
    /// The name that authenticator apps show next to the code.
    pub totp_issuer: String,
    /// How costly passwords are to guess.
    pub password_hashing: PasswordHashing,
    /// How often a caller may fail.
    pub limits: Limits,
    /// The registry's address as browsers see it, without a trailing slash: links in mails start
    /// with it, and WebAuthn is bound to it.
    pub public_url: String,
    /// How long an unused session lasts.
    pub session_idle: Duration,
    /// The maximum lifetime of a session.
    pub session_lifetime: Duration,
    /// Whether passwords are checked against known breaches.
    pub breaches: BreachConfig,
    /// Answers that must not reveal whether an account exists are sent at a multiple of this time
    /// after the request, however long the work took. Should be longer than the work usually takes.
    /// Zero sends them at once.
    pub even_answers: Duration,
    /// How long staff's recovery of an account waits, so that its owner can stop it.
    pub recovery_wait: Duration,
}

impl IdentityConfig {
    /// Defaults for the registry at this host name.
    pub fn for_host(host: &str) -> Self {
        Self {
            token_prefix: "pypi".to_owned(),
            token_location: host.to_owned(),
            // Apps interpret the text after a colon as the account's name.
            totp_issuer: host
                .split(':')
                .next()
                .filter(|name| !name.is_empty())
                .unwrap_or("Portcullis")
                .to_owned(),
            password_hashing: PasswordHashing::default(),
            limits: Limits::default(),
            public_url: format!("https://{host}"),
            session_idle: Duration::from_secs(12 * 3600),
            session_lifetime: Duration::from_secs(30 * 24 * 3600),
            breaches: BreachConfig::default(),
            even_answers: Duration::from_millis(100),
            recovery_wait: Duration::from_secs(72 * 3600),
        }
    }
}

impl IdentityConfig {
    fn check(&self) -> Result<(), InvalidConfig> {
        let prefix = self.token_prefix.as_bytes();
        if !(1..=32).contains(&prefix.len())
            || !prefix
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        {
            return Err(InvalidConfig::TokenPrefix);
        }
        let location = self.token_location.as_bytes();
        if !(1..=255).contains(&location.len()) || !location.iter().all(u8::is_ascii_graphic) {
            return Err(InvalidConfig::TokenLocation);
        }
        let issuer = &self.totp_issuer;
        if !(1..=100).contains(&issuer.chars().count())
            || issuer.contains(':')
            || issuer.chars().any(char::is_control)
        {
            return Err(InvalidConfig::TotpIssuer);
        }
        Ok(())
    }
}

/// Why the configuration is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfig {
    #[error("the token prefix must be 1 to 32 ASCII letters, digits or `_`, for example `pypi`")]
    TokenPrefix,
    #[error(
        "the token location must be a host name of 1 to 255 printable ASCII characters, for example `pypi.example.org`"
    )]
    TokenLocation,
    #[error("the TOTP issuer must have 1 to 100 characters and no `:`")]
    TotpIssuer,
    #[error("the password hashing parameters are refused by argon2: {0}")]
    PasswordHashing(String),
    #[error("breached passwords cannot be looked for: {0}")]
    BreachCheck(String),
}

/// Authenticates callers, and manages accounts and their credentials. Cheap to clone.
#[derive(Clone)]
pub struct Identity {
    pub(crate) inner: Arc<IdentityInner>,
}

pub(crate) struct IdentityInner {
    pub(crate) storage: Storage,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) config: IdentityConfig,
    pub(crate) passwords: passwords::Hashing,
    pub(crate) breaches: breaches::Breaches,
    pub(crate) relying_party: factors::ceremonies::RelyingParty,
    /// Replaces the key of a token that does not exist, so that the answer takes as long.
    pub(crate) dummy_key: Secret<[u8; 32]>,
    /// Replaces the TOTP secret of a user who has none.
    pub(crate) dummy_totp: Secret<String>,
    /// Limits the lookups of users named in credentials that a read ignored to one at a time.
    pub(crate) noting: Arc<tokio::sync::Semaphore>,
}

impl Identity {
    /// Checks the configuration and prepares what authentication needs (a dummy password
    /// hash, so that unknown users take as long as known ones).
    pub fn new(
        storage: Storage,
        clock: Arc<dyn Clock>,
        config: IdentityConfig,
    ) -> Result<Self, InvalidConfig> {
        config.check()?;
        let passwords = passwords::Hashing::new(config.password_hashing)
            .map_err(|error| InvalidConfig::PasswordHashing(error.to_string()))?;
        let breaches = breaches::Breaches::new(&config.breaches)
            .map_err(|error| InvalidConfig::BreachCheck(error.to_string()))?;
        let relying_party = factors::ceremonies::RelyingParty::new(&config.public_url);
        let (dummy_key, dummy_totp) = (tokens::generate_key(), totp::generate_secret());
        let noting = Arc::new(tokio::sync::Semaphore::new(1));
        Ok(Self {
            inner: Arc::new(IdentityInner {
                storage,
                clock,
                config,
                passwords,
                breaches,
                relying_party,
                dummy_key,
                dummy_totp,
                noting,
            }),
        })
    }

    /// Logins: a password and then a second factor, or a passkey alone.
    pub fn logins(&self) -> Logins<'_> {
        Logins { identity: self }
    }

    /// Proving one's identity again, within a session.
    pub fn step_ups(&self) -> StepUps<'_> {
        StepUps { identity: self }
    }

    /// Sessions: started, listed, ended.
    pub fn sessions(&self) -> Sessions<'_> {
        Sessions { identity: self }
    }

    /// The known browsers and command lines of a user, and the mails that confirm them.
    pub fn devices(&self) -> Devices<'_> {
        Devices { identity: self }
    }

    /// Second factors: enrolled, asked for, verified, removed.
    pub fn factors(&self) -> Factors<'_> {
        Factors { identity: self }
    }

    /// Accounts: created, secured, disabled, deleted, and what operators do to them.
    pub fn accounts(&self) -> Accounts<'_> {
        Accounts { identity: self }
    }

    /// Email addresses of accounts.
    pub fn emails(&self) -> Emails<'_> {
        Emails { identity: self }
    }

    /// Registrations, and the first user of an empty registry.
    pub fn registrations(&self) -> Registrations<'_> {
        Registrations { identity: self }
    }

    /// Passwords: changed, set by a mailed link, checked against breaches.
    pub fn passwords(&self) -> Passwords<'_> {
        Passwords { identity: self }
    }

    /// Proofs of identity: passwords and codes, counted and compared.
    pub fn proofs(&self) -> Proofs<'_> {
        Proofs { identity: self }
    }

    /// Recoveries of accounts by staff.
    pub fn recoveries(&self) -> Recoveries<'_> {
        Recoveries { identity: self }
    }

    /// What happened to an account, for its owner.
    pub fn histories(&self) -> Histories<'_> {
        Histories { identity: self }
    }

    /// API tokens of accounts.
    pub fn tokens(&self) -> Tokens<'_> {
        Tokens { identity: self }
    }

    /// Readers of the index and its files.
    pub fn readers(&self) -> Readers<'_> {
        Readers { identity: self }
    }

    pub(crate) fn storage(&self) -> &Storage {
        &self.inner.storage
    }

    pub(crate) fn config(&self) -> &IdentityConfig {
        &self.inner.config
    }

    pub(crate) fn now(&self) -> model::Timestamp {
        self.inner.clock.now()
    }
}
