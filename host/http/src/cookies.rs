//! The cookies: a session, a half-done login, a passkey challenge, and a browser's device secret.
//!
//! Each holds 32 random bytes of `identity`. The one other thing stored in a browser is, for some
//! seconds, that it was sent to the public address.

use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use identity::StartedSession;
use storage::Secret;

use crate::shared::{Shared, State};

/// Seconds that a half-done login or a challenge is valid; the database forgets it as well.
const PENDING_SECONDS: u64 = 5 * 60;
/// Seconds that a browser stays known after its last use.
const DEVICE_SECONDS: u64 = 400 * 24 * 3600;
/// Seconds within which no browser is sent to the public address twice.
const MOVED_SECONDS: u64 = 10;
/// Longest value that is read, in bytes.
const MAX_VALUE_BYTES: usize = 64;

/// One of our cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cookie {
    Session,
    /// A login whose password was right.
    Pending,
    /// The challenge for a passkey, so that a stolen answer is of no use in another browser.
    Passkey,
    Device,
    /// That this browser was just sent to the public address.
    Moved,
}

impl Cookie {
    fn word(self) -> &'static str {
        match self {
            Self::Session => "portcullis-session",
            Self::Pending => "portcullis-login",
            Self::Passkey => "portcullis-passkey",
            Self::Device => "portcullis-device",
            Self::Moved => "portcullis-moved",
        }
    }

    /// The session is also sent with a link from elsewhere, or people would seem logged out there.
    /// The others are needed within the login pages only.
    fn same_site(self) -> &'static str {
        match self {
            Self::Session | Self::Moved => "Lax",
            Self::Pending | Self::Passkey | Self::Device => "Strict",
        }
    }
}

/// Our cookies that a browser sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Browser {
    pub(crate) session_cookie: Option<Secret<String>>,
    pub(crate) pending_cookie: Option<Secret<String>>,
    pub(crate) passkey_cookie: Option<Secret<String>>,
    pub(crate) device_cookie: Option<Secret<String>>,
}

impl Browser {
    pub(crate) fn of(app: &State, headers: &HeaderMap) -> Self {
        // The usual case for programs, and the fastest.
        if !headers.contains_key(COOKIE) {
            return Self::default();
        }
        let secure = is_https(app);
        let read =
            |cookie| value(headers, cookie, secure).map(|value| Secret::new(value.to_owned()));
        Self {
            session_cookie: read(Cookie::Session),
            pending_cookie: read(Cookie::Pending),
            passkey_cookie: read(Cookie::Passkey),
            device_cookie: read(Cookie::Device),
        }
    }

    /// Whether the browser sent a cookie that it can act with.
    pub(crate) fn is_any(&self) -> bool {
        [
            &self.session_cookie,
            &self.pending_cookie,
            &self.passkey_cookie,
            &self.device_cookie,
        ]
        .into_iter()
        .any(Option::is_some)
    }

    pub(crate) fn session(&self) -> Option<&str> {
        self.session_cookie
            .as_ref()
            .map(|cookie| cookie.expose().as_str())
    }

    pub(crate) fn pending(&self) -> Option<&str> {
        self.pending_cookie
            .as_ref()
            .map(|cookie| cookie.expose().as_str())
    }

    pub(crate) fn passkey(&self) -> Option<&str> {
        self.passkey_cookie
            .as_ref()
            .map(|cookie| cookie.expose().as_str())
    }

    pub(crate) fn device(&self) -> Option<&str> {
        self.device_cookie
            .as_ref()
            .map(|cookie| cookie.expose().as_str())
    }
}

/// The `__Host-` prefix (RFC 6265bis 4.1.3.2) keeps other hosts of the domain from setting the
/// cookie. Browsers accept it over TLS only.
fn name(cookie: Cookie, secure: bool) -> String {
    format!("{}{}", if secure { "__Host-" } else { "" }, cookie.word())
}

pub(crate) fn is_https(app: &State) -> bool {
    app.public_url().starts_with("https://")
}

/// The value of a cookie; none if it was sent twice, since another host must have set one of them.
fn value(headers: &HeaderMap, cookie: Cookie, secure: bool) -> Option<&str> {
    let name = name(cookie, secure);
    let pairs = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'));
    let mut values = pairs
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(known, _)| *known == name)
        .map(|(_, value)| value);
    let value = values.next()?;
    (values.next().is_none() && !value.is_empty() && value.len() <= MAX_VALUE_BYTES)
        .then_some(value)
}

fn set(app: &State, response: &mut Response, cookie: Cookie, value: &str, seconds: u64) {
    let secure = is_https(app);
    let tail = if secure { "; Secure" } else { "" };
    let text = format!(
        "{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite={}{tail}",
        name(cookie, secure),
        cookie.same_site()
    );
    // Values are base64url, so this always holds.
    if let Ok(mut value) = HeaderValue::try_from(text) {
        value.set_sensitive(true);
        response.headers_mut().append(SET_COOKIE, value);
    }
}

/// Logs the browser in: sets the session, and the device secret if it is new. Ends any half-done
/// login.
pub(crate) fn set_session(app: &Shared, response: &mut Response, started: &StartedSession) {
    let seconds = app.gate.clock().now().age_at(started.expires_at);
    set(
        app,
        response,
        Cookie::Session,
        started.secret.expose(),
        seconds,
    );
    set(app, response, Cookie::Pending, "", 0);
    if let Some(device) = &started.device {
        set_device(app, response, device);
    }
}

/// Logs the browser out.
pub(crate) fn clear_session(app: &Shared, response: &mut Response) {
    set(app, response, Cookie::Session, "", 0);
}

/// Remembers a login whose password was right.
pub(crate) fn set_pending(app: &Shared, response: &mut Response, pending: &Secret<String>) {
    set(
        app,
        response,
        Cookie::Pending,
        pending.expose(),
        PENDING_SECONDS,
    );
}

/// Remembers which challenge for a passkey this browser was given, until the next one.
pub(crate) fn set_passkey(app: &Shared, response: &mut Response, ceremony: &Secret<String>) {
    set(
        app,
        response,
        Cookie::Passkey,
        ceremony.expose(),
        PENDING_SECONDS,
    );
}

/// Forgets a half-done login.
pub(crate) fn clear_pending(app: &Shared, response: &mut Response) {
    set(app, response, Cookie::Pending, "", 0);
}

/// Stores the device secret of this browser.
pub(crate) fn set_device(app: &Shared, response: &mut Response, device: &Secret<String>) {
    set(
        app,
        response,
        Cookie::Device,
        device.expose(),
        DEVICE_SECONDS,
    );
}

/// Remembers that the browser was sent to the public address. It prevents endless redirects behind
/// a proxy that hides the requested name.
pub(crate) fn set_moved(app: &Shared, response: &mut Response) {
    set(app, response, Cookie::Moved, "1", MOVED_SECONDS);
}

/// Whether the browser was sent to the public address a moment ago.
pub(crate) fn was_moved(app: &Shared, headers: &HeaderMap) -> bool {
    value(headers, Cookie::Moved, is_https(app)).is_some()
}
