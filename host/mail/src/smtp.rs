//! Delivery through an SMTP server (RFC 5321, submission by RFC 6409).

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use lettre::transport::smtp::PoolConfig;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use storage::Secret;

/// Longest wait for one answer of the server. Some scan a mail before they accept it, and a client
/// that does not wait for them sends it twice.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How long a connection is kept for the next mail.
const IDLE: Duration = Duration::from_secs(20);

/// Answers about our credentials and not about the mail: authentication required (530), mechanism
/// too weak (534), wrong credentials (535), encryption required (538).
const ABOUT_CREDENTIALS: [u16; 4] = [530, 534, 535, 538];

/// Whether traffic to the server can be read on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// TLS from the first byte (RFC 8314): `smtps://`.
    Tls,
    /// STARTTLS (RFC 3207), and nothing is sent to a server that does not offer it.
    StartTls,
    /// None: for a server on this machine only.
    Loopback,
}

/// The SMTP server that takes mails.
#[derive(Clone, PartialEq, Eq)]
pub struct SmtpServer {
    pub host: String,
    pub port: u16,
    pub encryption: Encryption,
    /// User and password.
    pub credentials: Option<(String, Secret<String>)>,
}

/// Why a URL names no SMTP server. Does not contain the URL, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSmtpUrl {
    #[error("begins with neither smtp:// nor smtps://")]
    Scheme,
    #[error("has something after the port; write scheme, user, password, host and port only")]
    Rest,
    #[error("names no host")]
    Host,
    #[error("has a port that is none")]
    Port,
    #[error("has a user or a password that is not percent-encoded UTF-8")]
    Credentials,
    #[error("has a user without a password, or a password without a user")]
    HalfCredentials,
}

impl SmtpServer {
    /// Reads `smtp://user:password@host:587` or `smtps://user:password@host:465`. User and
    /// password are percent-encoded, and may be left out together. Without a port: 465 for
    /// `smtps`, 25 for `smtp` on this machine, 587 for `smtp` elsewhere.
    ///
    /// Invariant: a host other than this machine is only ever contacted over TLS.
    pub fn parse(url: &str) -> Result<Self, InvalidSmtpUrl> {
        let (scheme, rest) = url.split_once("://").ok_or(InvalidSmtpUrl::Scheme)?;
        let is_tls = match scheme {
            "smtp" => false,
            "smtps" => true,
            _ => return Err(InvalidSmtpUrl::Scheme),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (credentials, place) = match rest.rsplit_once('@') {
            Some((credentials, place)) => (Some(read_credentials(credentials)?), place),
            None => (None, rest),
        };
        if place.contains(['/', '?', '#']) {
            return Err(InvalidSmtpUrl::Rest);
        }
        let (host, port) = match place
            .strip_prefix('[')
            .and_then(|place| place.split_once(']'))
        {
            Some((host, port)) => (host, port),
            None => place.split_at(place.find(':').unwrap_or(place.len())),
        };
        let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty()
            || !host.chars().all(is_host)
            || (host.contains(':') && host.parse::<IpAddr>().is_err())
        {
            return Err(InvalidSmtpUrl::Host);
        }
        let encryption = match (is_tls, is_loopback(host)) {
            (true, _) => Encryption::Tls,
            (false, true) => Encryption::Loopback,
            (false, false) => Encryption::StartTls,
        };
        let port = match (port, encryption) {
            ("", Encryption::Tls) => 465,
            ("", Encryption::StartTls) => 587,
            ("", Encryption::Loopback) => 25,
            (port, _) => {
                let number = port
                    .strip_prefix(':')
                    .and_then(|number| number.parse().ok())
                    .filter(|number| *number != 0);
                number.ok_or(InvalidSmtpUrl::Port)?
            }
        };
        Ok(Self {
            host: host.to_owned(),
            port,
            encryption,
            credentials,
        })
    }
}

fn read_credentials(text: &str) -> Result<(String, Secret<String>), InvalidSmtpUrl> {
    let (user, password) = text
        .split_once(':')
        .ok_or(InvalidSmtpUrl::HalfCredentials)?;
    let (user, password) = (
        percent_decoded(user)?,
        Secret::new(percent_decoded(password)?),
    );
    if user.is_empty() || password.expose().is_empty() {
        return Err(InvalidSmtpUrl::HalfCredentials);
    }
    Ok((user, password))
}

fn percent_decoded(text: &str) -> Result<String, InvalidSmtpUrl> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |digit: &u8| {
                    char::from(*digit)
                        .to_digit(16)
                        .ok_or(InvalidSmtpUrl::Credentials)
                };
                bytes.push(
                    u8::try_from(digit(high)? * 16 + digit(low)?)
                        .expect("two hexadecimal digits are a byte"),
                );
                rest = after;
            }
            (b'%', _) => return Err(InvalidSmtpUrl::Credentials),
            (byte, after) => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    // A NUL ends a field of AUTH PLAIN (RFC 4616).
    String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.chars().any(char::is_control))
        .ok_or(InvalidSmtpUrl::Credentials)
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Without the password.
impl fmt::Display for SmtpServer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.encryption == Encryption::Tls {
            "smtps"
        } else {
            "smtp"
        };
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        match &self.credentials {
            Some(_) => write!(out, "{scheme}://***:***@{host}:{}", self.port),
            None => write!(out, "{scheme}://{host}:{}", self.port),
        }
    }
}

impl fmt::Debug for SmtpServer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SmtpServer({self})")
    }
}

/// How the server refused a mail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// It cannot be reached, cannot be trusted, or does not accept us: no mail would fare better.
    #[error("the SMTP server takes nothing now: {0}")]
    Unavailable(String),
    /// Not now (4xx).
    #[error("the SMTP server wants the mail later: {0}")]
    Later(String),
    /// Never (5xx).
    #[error("the SMTP server refuses the mail: {0}")]
    Never(String),
}

/// A server with the connection to it.
#[derive(Clone, Debug)]
pub(crate) struct Smtp(AsyncSmtpTransport<Tokio1Executor>);

impl Smtp {
    /// Does not connect yet. `own_name` is used to greet the server.
    pub(crate) fn new(server: &SmtpServer, own_name: &str) -> Result<Self, String> {
        let parameters =
            || TlsParameters::new(server.host.clone()).map_err(|error| error.to_string());
        let tls = match server.encryption {
            Encryption::Tls => Tls::Wrapper(parameters()?),
            Encryption::StartTls => Tls::Required(parameters()?),
            Encryption::Loopback => Tls::None,
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&server.host)
            .port(server.port)
            .tls(tls)
            .timeout(Some(TIMEOUT))
            .hello_name(hello_name(own_name))
            .pool_config(PoolConfig::new().max_size(1).idle_timeout(IDLE));
        if let Some((user, password)) = &server.credentials {
            builder =
                builder.credentials(Credentials::new(user.clone(), password.expose().clone()));
        }
        Ok(Self(builder.build()))
    }

    /// Hands a mail over. `Ok` once the server has accepted it.
    pub(crate) async fn send(&self, message: Message) -> Result<(), Refused> {
        // First only connect and log in: a server that refuses that refuses us, not the mail, and
        // so the mail must not be given up.
        match self.0.test_connection().await {
            Ok(true) => {}
            Ok(false) => return Err(Refused::Unavailable("it does not answer".to_owned())),
            Err(error) => return Err(Refused::Unavailable(reason(&error))),
        }
        let Err(error) = self.0.send(message).await else {
            return Ok(());
        };
        let code = error.status().map(u16::from);
        if code.is_some_and(|code| ABOUT_CREDENTIALS.contains(&code)) {
            Err(Refused::Unavailable(reason(&error)))
        } else if error.is_permanent() || error.is_client() {
            // On our side only problems of this mail can still come up: a non-ASCII address, and a
            // server that does not support one (RFC 6531).
            Err(Refused::Never(reason(&error)))
        } else if error.is_transient() {
            Err(Refused::Later(reason(&error)))
        } else {
            Err(Refused::Unavailable(reason(&error)))
        }
    }
}

/// A host name or an address literal (RFC 5321, section 4.1.3).
fn hello_name(own_name: &str) -> ClientId {
    match own_name.trim_matches(['[', ']']).parse() {
        Ok(IpAddr::V4(address)) => ClientId::Ipv4(address),
        Ok(IpAddr::V6(address)) => ClientId::Ipv6(address),
        Err(_) => ClientId::Domain(own_name.to_owned()),
    }
}

/// The error on one line. The server's own text can be long.
fn reason(error: &lettre::transport::smtp::Error) -> String {
    let words: String = error
        .to_string()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(300)
        .collect();
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_host_port_and_encryption() {
        for (url, host, port, encryption) in [
            (
                "smtp://mail.example.org",
                "mail.example.org",
                587,
                Encryption::StartTls,
            ),
            (
                "smtp://mail.example.org:2525/",
                "mail.example.org",
                2525,
                Encryption::StartTls,
            ),
            (
                "smtps://mail.example.org",
                "mail.example.org",
                465,
                Encryption::Tls,
            ),
            ("smtp://localhost", "localhost", 25, Encryption::Loopback),
            (
                "smtp://127.0.0.1:1025",
                "127.0.0.1",
                1025,
                Encryption::Loopback,
            ),
            ("smtp://[::1]:1025", "::1", 1025, Encryption::Loopback),
            ("smtps://localhost:465", "localhost", 465, Encryption::Tls),
            (
                "smtp://[2001:db8::1]",
                "2001:db8::1",
                587,
                Encryption::StartTls,
            ),
            (
                "smtp://localhost.example.org",
                "localhost.example.org",
                587,
                Encryption::StartTls,
            ),
            (
                "smtp://127.0.0.1.example.org",
                "127.0.0.1.example.org",
                587,
                Encryption::StartTls,
            ),
        ] {
            let server = SmtpServer::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!(
                (
                    server.host.as_str(),
                    server.port,
                    server.encryption,
                    &server.credentials
                ),
                (host, port, encryption, &None),
                "{url}"
            );
        }
    }

    #[test]
    fn credentials_are_decoded_and_never_shown() {
        let server =
            SmtpServer::parse("smtp://robot%40example.org:s%3Acr%40t%2F@mail.example.org").unwrap();
        let (user, password) = server.credentials.clone().unwrap();
        assert_eq!(
            (user.as_str(), password.expose().as_str()),
            ("robot@example.org", "s:cr@t/")
        );
        for shown in [format!("{server}"), format!("{server:?}")] {
            assert!(
                !shown.contains("s:cr") && !shown.contains("robot"),
                "{shown}"
            );
        }
        assert_eq!(server.to_string(), "smtp://***:***@mail.example.org:587");
    }

    #[test]
    fn what_is_no_smtp_url_is_refused() {
        for (url, why) in [
            ("mail.example.org", InvalidSmtpUrl::Scheme),
            ("http://mail.example.org", InvalidSmtpUrl::Scheme),
            ("smtp://", InvalidSmtpUrl::Host),
            ("smtp://a b", InvalidSmtpUrl::Host),
            ("smtp://host\r\nQUIT", InvalidSmtpUrl::Host),
            ("smtp://host:0", InvalidSmtpUrl::Port),
            ("smtp://host:99999", InvalidSmtpUrl::Port),
            ("smtp://host:", InvalidSmtpUrl::Port),
            ("smtp://[::1]x", InvalidSmtpUrl::Port),
            ("smtp://host/path", InvalidSmtpUrl::Rest),
            ("smtp://host?tls=none", InvalidSmtpUrl::Rest),
            ("smtp://user@host", InvalidSmtpUrl::HalfCredentials),
            ("smtp://:password@host", InvalidSmtpUrl::HalfCredentials),
            ("smtp://user:@host", InvalidSmtpUrl::HalfCredentials),
            ("smtp://user:%zz@host", InvalidSmtpUrl::Credentials),
            ("smtp://user:%0a@host", InvalidSmtpUrl::Credentials),
            ("smtp://user:%ff@host", InvalidSmtpUrl::Credentials),
            ("smtp://user:a%2@host", InvalidSmtpUrl::Credentials),
        ] {
            assert_eq!(SmtpServer::parse(url).unwrap_err(), why, "{url}");
        }
    }
}
