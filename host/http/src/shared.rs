//! The state that all requests share.

use std::sync::Arc;
use std::time::Duration;

use gate::Gate;
use identity::Identity;
use model::{Action, CredentialKind};
use registry::Registry;

use crate::body::{BodyLimits, Rest};
use crate::config::AppConfig;
use crate::metrics::RequestMetrics;
use crate::open::help::HelpPages;
use crate::site_map::SiteMap;
use crate::upload::places::Places;

/// Time before the average rate of a body is checked.
const SLOW_START: Duration = Duration::from_secs(60);

/// Slowest a body may arrive on average: a modem of the nineties.
const SLOWEST_BYTES_PER_SECOND: u64 = model::limit::SLOWEST_UPLOAD.get();

/// Longest time for the largest body: this, plus the time it takes at a rate that any line reaches
/// that is used for uploads of this size.
const LONGEST: Duration = Duration::from_millis(model::limit::BODY_TIME.milliseconds());
const USUAL_BYTES_PER_SECOND: u64 = 64 << 10;

/// Room for an upload's text fields and the framing of its parts.
const FORM_BYTES: u64 = 2 * model::limit::FORM_TEXT_BYTES.get();

/// The state as this crate passes it around.
pub(crate) type Shared = Arc<State>;

/// The state that all requests share.
pub(crate) struct State {
    pub(crate) config: AppConfig,
    pub(crate) gate: Gate,
    pub(crate) identity: Identity,
    pub(crate) registry: Registry,
    /// Pages rendered once, when the public address is known.
    pub(crate) help: HelpPages,
    /// Which paths are pages, and which are forms of pages.
    pub(crate) site_map: SiteMap,
    /// Names of the fields that are secrets, of every form.
    pub(crate) secrets: &'static [&'static str],
    pub(crate) request_metrics: RequestMetrics,
    pub(crate) body_limits: BodyLimits,
    /// Uploads whose form is being read; twice as many as the registry spools, so that the next
    /// ones are ready when a place becomes free.
    pub(crate) upload_places: Places,
}

impl State {
    /// Puts the parts together; `routes` is the number of rows of the table.
    pub(crate) fn new(
        config: AppConfig,
        gate: Gate,
        identity: Identity,
        registry: Registry,
        site_map: SiteMap,
        routes: usize,
        secrets: &'static [&'static str],
    ) -> Self {
        let help = HelpPages::new(&config);
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
        Self {
            config,
            gate,
            identity,
            registry,
            help,
            site_map,
            secrets,
            request_metrics: RequestMetrics::new(routes),
            body_limits,
            upload_places,
        }
    }

    /// The registry's address as clients see it, without a slash at the end.
    pub(crate) fn public_url(&self) -> &str {
        &self.config.public_url
    }

    /// Whether pages link to the form that creates accounts: no if the active set refuses it to
    /// everybody without an account.
    pub(crate) fn can_register(&self) -> bool {
        !self
            .gate
            .never_permits(Action::AccountCreate, CredentialKind::None)
    }

    /// Whether the active set may let a program without a credential read the index.
    pub(crate) fn is_open(&self) -> bool {
        !self
            .gate
            .never_permits(Action::IndexRead, CredentialKind::None)
    }
}
