//! What all requests share, and the router made from the table of routes.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::routing::{MethodRouter, any};
use gate::Gate;
use identity::Identity;
use model::{Action, Contact, CredentialKind};
use registry::Registry;

use crate::body::{BodyLimits, Rest};
use crate::client_address::Network;
use crate::metrics::{Metrics, RequestMetrics};
use crate::pages::Pages;
use crate::pipeline;
use crate::routes::{Route, routes};
use crate::upload::places::Places;

/// What an operator can choose about HTTP.
#[derive(Clone, Debug)]
pub struct AppConfig {
    /// The registry's address as clients see it, without a slash at the end. Every link and
    /// every redirect is made from it.
    pub public_url: String,
    /// What people call the registry; without, its host.
    pub name: Option<String>,
    /// Where people reach whoever runs the registry, if it says so.
    pub contact: Option<Contact>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Who may read `/metrics`.
    pub metrics_allowed: Vec<Network>,
    /// What `/metrics` answers; without, it is not found.
    pub metrics: Option<Metrics>,
    /// Connections at the same time; further ones wait to be accepted.
    pub max_connections: usize,
    /// Connections from one address that is no trusted proxy; further ones are closed.
    pub max_connections_per_address: usize,
    /// Uploads that one user may have under way; further ones wait, then are answered 429.
    pub max_uploads_per_uploader: usize,
    /// Longest wait of an upload for its turn.
    pub upload_wait: Duration,
    /// Longest time for a client to send the headers of a request, or to be idle between two.
    pub header_timeout: Duration,
    /// Longest silence within the body of a request, or of a client that does not read its answer.
    pub body_idle_timeout: Duration,
    /// How long requests in flight may go on after a shutdown was asked for.
    pub shutdown_grace: Duration,
}

/// The public address is of no use for links.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot be the registry's public address; write http:// or https://, a host name, and nothing that needs quoting, for example https://pypi.example.org"
)]
pub struct InvalidPublicUrl(pub String);

impl AppConfig {
    /// The defaults for a registry at this address: metrics for the machine itself only, no
    /// trusted proxy, 4096 connections (256 from one address), 8 uploads of one user at a
    /// time, 30 seconds of patience.
    pub fn new(public_url: &str) -> Result<Self, InvalidPublicUrl> {
        let public_url = public_url.trim_end_matches('/');
        let host = public_url
            .strip_prefix("https://")
            .or_else(|| public_url.strip_prefix("http://"))
            .unwrap_or("");
        let plain = |c: char| {
            c.is_ascii_alphanumeric()
                || matches!(c, '.' | '-' | '_' | '~' | ':' | '/' | '[' | ']' | '%')
        };
        if host.is_empty()
            || host.starts_with('/')
            || public_url.len() > 200
            || !host.chars().all(plain)
        {
            return Err(InvalidPublicUrl(public_url.chars().take(200).collect()));
        }
        Ok(Self {
            public_url: public_url.to_owned(),
            name: None,
            contact: None,
            trusted_proxies: Vec::new(),
            metrics_allowed: Network::loopback(),
            metrics: None,
            max_connections: model::limit::CONNECTIONS.length(),
            max_connections_per_address: model::limit::CONNECTIONS_PER_ADDRESS.length(),
            max_uploads_per_uploader: model::limit::UPLOADS_AT_A_TIME.length(),
            upload_wait: Duration::from_millis(model::limit::UPLOAD_WAIT.milliseconds()),
            header_timeout: Duration::from_millis(model::limit::HEADER_TIME.milliseconds()),
            body_idle_timeout: Duration::from_millis(model::limit::BODY_SILENCE.milliseconds()),
            shutdown_grace: Duration::from_secs(30),
        })
    }
}

/// The registry as people and tools reach it. Cheap to clone.
#[derive(Clone)]
pub struct App {
    pub(crate) inner: Arc<AppInner>,
}

/// The same, as the inside of this crate passes it around.
pub(crate) type Shared = Arc<AppInner>;

pub(crate) struct AppInner {
    pub(crate) config: AppConfig,
    pub(crate) gate: Gate,
    pub(crate) identity: Identity,
    pub(crate) registry: Registry,
    pub(crate) pages: Pages,
    pub(crate) request_metrics: RequestMetrics,
    pub(crate) body_limits: BodyLimits,
    /// Uploads whose form is being read; twice as many as the registry spools, so that the
    /// next ones are at hand when a place becomes free.
    pub(crate) upload_places: Places,
}

impl AppInner {
    /// The registry's address as clients see it, without a slash at the end.
    pub(crate) fn public_url(&self) -> &str {
        &self.config.public_url
    }

    /// Whether pages lead to the form where accounts are made: not where the set that serves
    /// refuses it to everybody who has none.
    pub(crate) fn can_register(&self) -> bool {
        !self
            .gate
            .never_permits(Action::AccountCreate, CredentialKind::None)
    }

    /// Whether the set that serves may let a program without a credential read the index.
    pub(crate) fn is_open(&self) -> bool {
        !self
            .gate
            .never_permits(Action::IndexRead, CredentialKind::None)
    }
}

/// Time that a body has before its average rate counts.
const SLOW_START: Duration = Duration::from_secs(60);

/// Slowest a body may arrive on average: a modem of the nineties.
const SLOWEST_BYTES_PER_SECOND: u64 = model::limit::SLOWEST_UPLOAD.get();

/// Longest time for the largest body: so long, and what it takes at a rate that any line has
/// that is used for uploads of this size.
const LONGEST: Duration = Duration::from_millis(model::limit::BODY_TIME.milliseconds());
const USUAL_BYTES_PER_SECOND: u64 = 64 << 10;

/// Room for an upload's text fields and the framing of its parts.
const FORM_BYTES: u64 = 2 * model::limit::FORM_TEXT_BYTES.get();

impl App {
    /// Puts the parts together. Nothing is started.
    pub fn new(config: AppConfig, gate: Gate, identity: Identity, registry: Registry) -> Self {
        let pages = Pages::new(&config);
        // The registry reads up to twice its limit, so that a file which is a little too
        // large is refused by name instead of by a broken connection.
        let bytes = registry
            .config()
            .max_file_bytes
            .saturating_mul(2)
            .saturating_add(FORM_BYTES);
        let body_limits = BodyLimits {
            bytes,
            idle: config.body_idle_timeout,
            grace: SLOW_START,
            slowest_bytes_per_second: SLOWEST_BYTES_PER_SECOND,
            longest: LONGEST + Duration::from_secs(bytes / USUAL_BYTES_PER_SECOND),
            drained: Rest::OF_CALLERS.bytes,
        };
        let places = registry.config().max_concurrent_uploads.clamp(1, 1024);
        let upload_places =
            Places::new(places, config.max_uploads_per_uploader, config.upload_wait);
        let inner = AppInner {
            config,
            gate,
            identity,
            registry,
            pages,
            request_metrics: RequestMetrics::new(),
            body_limits,
            upload_places,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The router, made from the table of routes and nothing else. Requests without a
    /// [`crate::PeerAddress`] among their extensions count as coming from nowhere.
    pub fn router(&self) -> Router {
        let mut paths: Vec<(&'static str, Vec<(usize, &'static Route)>)> = Vec::new();
        for (index, route) in routes().iter().enumerate() {
            match paths.iter_mut().find(|(path, _)| *path == route.path) {
                Some((_, methods)) => methods.push((index, route)),
                None => paths.push((route.path, vec![(index, route)])),
            }
        }
        let mut router = Router::new();
        for (path, methods) in paths {
            router = router.route(path, self.endpoint(methods));
        }
        router.fallback_service(self.endpoint(Vec::new()))
    }

    /// What serves all methods of one path.
    fn endpoint(&self, methods: Vec<(usize, &'static Route)>) -> MethodRouter {
        let app = self.inner.clone();
        let methods: Arc<[(usize, &'static Route)]> = methods.into();
        any(move |request: Request| pipeline::answer(app, methods, request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_address_is_a_plain_http_address() {
        assert_eq!(
            AppConfig::new("https://pypi.example.org/")
                .unwrap()
                .public_url,
            "https://pypi.example.org"
        );
        assert_eq!(
            AppConfig::new("http://127.0.0.1:8080").unwrap().public_url,
            "http://127.0.0.1:8080"
        );
        for address in [
            "",
            "pypi.example.org",
            "ftp://x",
            "http://",
            "http:///x",
            "http://x/\"><script>",
            "http://x\r\ny",
            "http://a b",
        ] {
            assert!(AppConfig::new(address).is_err(), "{address}");
        }
    }
}
