//! Checks whether a password is known from a breach, with a service that speaks the range protocol
//! of Have I Been Pwned. Only five hex characters of the password's SHA-1 are sent, and padding
//! hides the length of the answer from anyone who watches the connection.
//!
//! <https://haveibeenpwned.com/API/v3#SearchingPwnedPasswordsByRange>

mod range;

use std::sync::Arc;
use std::time::Duration;

use gate::{Page, Reason, RefusalKind};
use model::audit::Detail;
use model::{Caller, CredentialKind, PasswordState, UserId};
use moka::future::Cache;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, StatusCode, Url};
use storage::Secret;

use crate::password_change::Passwords;
use crate::passwords::normalized;
use crate::refusals::Failure;
use crate::request::UseCase;
use range::{Fingerprint, Range};

/// What happens to a login while the service is unavailable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// The person is let in; the next login checks again.
    Allow,
    /// The person is asked to come back later.
    Refuse,
}

/// Which service to ask, and how.
#[derive(Clone, Debug)]
pub struct BreachConfig {
    /// Address before `/range/…`, without a trailing slash; none to disable the check.
    pub base_url: Option<String>,
    /// Longest time to wait for an answer.
    pub timeout: Duration,
    /// How long an answer is cached in memory.
    pub keep: Duration,
    /// What happens while the service does not answer.
    pub unreachable: Unreachable,
}

impl Default for BreachConfig {
    fn default() -> Self {
        Self {
            base_url: None,
            timeout: Duration::from_secs(3),
            keep: Duration::from_secs(24 * 3600),
            unreachable: Unreachable::Allow,
        }
    }
}

/// The result of looking for a password in known breaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreachOutcome {
    /// It is in none.
    Clean,
    /// It is in one.
    Breached,
    /// No answer came in time, or it did not follow the protocol.
    Unavailable,
    /// The operators disabled the check.
    Off,
}

impl BreachOutcome {
    /// The state that a decision uses.
    pub fn state(self) -> PasswordState {
        match self {
            Self::Clean => PasswordState::Clean,
            Self::Breached => PasswordState::Breached,
            Self::Unavailable | Self::Off => PasswordState::Unchecked,
        }
    }
}

/// Maximum size of an answer in bytes; real ones have about 40 KB with their padding.
const MAX_ANSWER: usize = 512 * 1024;
/// Maximum bytes of answers cached in memory.
const MAX_KEPT: u64 = 16 * 1024 * 1024;

/// The counter of checks. It exists from the start: an alert on a missing metric never fires.
const CHECKS: &str = "portcullis_breach_checks_total";

/// Why the service cannot be asked with this configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidBreachConfig {
    #[error("`{0}` is not an http or https address without user, query and fragment")]
    Address(String),
    #[error("no HTTP client: {0}")]
    Client(reqwest::Error),
}

/// Why there is no answer. Never with the requested address: its end comes from a password.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    #[error("{0}")]
    Request(#[source] reqwest::Error),
    #[error("status {0}")]
    Status(StatusCode),
    #[error("more than {MAX_ANSWER} bytes")]
    TooLong,
    #[error("not in the range format")]
    Format,
}

/// The one place that asks the service.
pub(crate) struct Breaches {
    service: Option<Service>,
}

struct Service {
    client: Client,
    base_url: String,
    /// By prefix. One request at a time for each prefix; failures are not cached.
    answers: Cache<String, Arc<Range>>,
}

/// The base of every HTTP client of this program: sends our user agent and follows no redirect.
/// Chooses the TLS provider, since the libraries of this build bring none.
pub fn http_client() -> ClientBuilder {
    // Fails if one was already installed, which is just as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
}

impl Breaches {
    pub(crate) fn new(config: &BreachConfig) -> Result<Self, InvalidBreachConfig> {
        let Some(base_url) = &config.base_url else {
            return Ok(Self { service: None });
        };
        let is_plain = |url: Url| {
            let has_more = !url.username().is_empty()
                || url.password().is_some()
                || url.query().is_some()
                || url.fragment().is_some();
            matches!(url.scheme(), "http" | "https") && url.has_host() && !has_more
        };
        if !Url::parse(base_url).is_ok_and(is_plain) {
            return Err(InvalidBreachConfig::Address(base_url.clone()));
        }
        let client = http_client()
            .timeout(config.timeout)
            .pool_max_idle_per_host(4)
            .build()
            .map_err(InvalidBreachConfig::Client)?;
        for label in ["clean", "breached", "unavailable"] {
            metrics::counter!(CHECKS, "outcome" => label).increment(0);
        }
        let answers = Cache::builder()
            .max_capacity(MAX_KEPT)
            .weigher(|_: &String, range: &Arc<Range>| {
                u32::try_from(range.bytes()).unwrap_or(u32::MAX)
            })
            .time_to_live(config.keep)
            .build();
        Ok(Self {
            service: Some(Service {
                client,
                base_url: base_url.trim_end_matches('/').to_owned(),
                answers,
            }),
        })
    }

    /// Looks for the normalized form and, if it differs, for the text as typed: the passwords in
    /// breach collections were typed into sites that do not normalize.
    async fn look_for(&self, password: &Secret<String>) -> BreachOutcome {
        let form = normalized(password);
        let outcome = self.look_for_text(&form).await;
        if form == *password || outcome == BreachOutcome::Breached {
            return outcome;
        }
        match (outcome, self.look_for_text(password).await) {
            (BreachOutcome::Unavailable, BreachOutcome::Clean) => BreachOutcome::Unavailable,
            (_, as_typed) => as_typed,
        }
    }

    async fn look_for_text(&self, password: &Secret<String>) -> BreachOutcome {
        let Some(service) = &self.service else {
            return BreachOutcome::Off;
        };
        let fingerprint = Fingerprint::of(password);
        let prefix = fingerprint.prefix();
        let outcome = match service
            .answers
            .try_get_with(prefix.clone(), service.ask(&prefix))
            .await
        {
            Ok(range) if range.holds(&fingerprint) => BreachOutcome::Breached,
            Ok(_) => BreachOutcome::Clean,
            Err(error) => {
                tracing::warn!(%error, "the service for breached passwords gave no answer");
                BreachOutcome::Unavailable
            }
        };
        let label = match outcome {
            BreachOutcome::Clean | BreachOutcome::Off => "clean",
            BreachOutcome::Breached => "breached",
            BreachOutcome::Unavailable => "unavailable",
        };
        metrics::counter!(CHECKS, "outcome" => label).increment(1);
        outcome
    }
}

impl Service {
    async fn ask(&self, prefix: &str) -> Result<Arc<Range>, NoAnswer> {
        let without_url = |error: reqwest::Error| NoAnswer::Request(error.without_url());
        let request = self
            .client
            .get(format!("{}/range/{prefix}", self.base_url))
            .header("Add-Padding", "true");
        let mut response = request.send().await.map_err(without_url)?;
        if response.status() != StatusCode::OK {
            return Err(NoAnswer::Status(response.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(without_url)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(NoAnswer::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Range::parse(&body).map(Arc::new).ok_or(NoAnswer::Format)
    }
}

impl Passwords<'_> {
    /// Looks for a password in known breaches. Only for a password that was proven or is about to
    /// be set.
    pub async fn breach_state(self, password: &Secret<String>) -> BreachOutcome {
        self.identity.inner.breaches.look_for(password).await
    }

    /// The same for a decision. If the service is unavailable, that is recorded with the user, and
    /// refused if the operators chose so.
    pub(crate) async fn password_state(
        self,
        case: &UseCase<'_>,
        password: &Secret<String>,
        user: Option<UserId>,
    ) -> Result<PasswordState, Failure> {
        let UseCase {
            gate,
            attempt,
            action,
            ..
        } = *case;
        let outcome = self.breach_state(password).await;
        if outcome != BreachOutcome::Unavailable {
            return Ok(outcome.state());
        }
        // Rate-limited, so neither strangers nor somebody with a password can fill the log.
        let recorder = gate.recorder();
        let is_recorded = match user {
            Some(user) => {
                recorder.wants_failure_of(user, "breach-check-unavailable", None, true, attempt.at)
            }
            None => recorder.wants_refusal(attempt, &Caller::anonymous(), action),
        };
        if is_recorded {
            let unavailable = Detail::BreachCheckUnavailable {
                action: action.into(),
            };
            let event = attempt.event(&Caller::anonymous(), unavailable).about(user);
            recorder
                .audit(event)
                .await
                .map_err(|error| Failure::unavailable(CredentialKind::Session, &error))?;
        }
        match self.config().breaches.unreachable {
            Unreachable::Allow => Ok(outcome.state()),
            Unreachable::Refuse => Err(not_checked(user)),
        }
    }
}

fn not_checked(user: Option<UserId>) -> Failure {
    let reason = Reason {
        code: "password-not-checked".to_owned(),
        message: "The password cannot be checked against known breaches now.".to_owned(),
        remedy: "Try again in some minutes.".to_owned(),
        page: Some(Page::Contact),
    };
    Failure {
        credential: CredentialKind::Session,
        why: "breach-check-unavailable",
        factor: None,
        user,
        token: None,
        kind: RefusalKind::Failed,
        reason,
    }
}
