//! What an operator can choose about HTTP.

use std::time::Duration;

use model::Contact;

use crate::client_address::Network;
use crate::metrics::Metrics;

/// What an operator can choose about HTTP.
#[derive(Clone, Debug)]
pub struct AppConfig {
    /// The registry's address as clients see it, without a slash at the end. Every link and
    /// every redirect is made from it.
    pub public_url: String,
    /// What people call the registry; its host if not set.
    pub name: Option<String>,
    /// How people reach the operators of the registry, if set.
    pub contact: Option<Contact>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Who may read `/metrics`.
    pub metrics_allowed: Vec<Network>,
    /// The metrics that `/metrics` shows; without them, it is not found.
    pub metrics: Option<Metrics>,
    /// Most connections at the same time; further ones wait to be accepted.
    pub max_connections: usize,
    /// Most connections from one address that is not a trusted proxy; further ones are closed.
    pub max_connections_per_address: usize,
    /// Uploads that one user may have under way; further ones wait, then get a 429.
    pub max_uploads_per_uploader: usize,
    /// Longest wait of an upload for its turn.
    pub upload_wait: Duration,
    /// Longest time for a client to send the headers of a request, or to be idle between two.
    pub header_timeout: Duration,
    /// Longest silence within the body of a request, or of a client that does not read its answer.
    pub body_idle_timeout: Duration,
    /// How long requests in flight may continue after a shutdown was requested.
    pub shutdown_grace: Duration,
}

/// The public address cannot be used for links.
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
