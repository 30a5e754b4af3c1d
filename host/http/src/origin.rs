//! The origin and target of a request: whether a page of another site made it, and whether it names
//! the registry by its public address.

use axum::http::header::{AUTHORIZATION, HOST, LOCATION, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Version};
use axum::response::Response;
use gate::Attempt;
use model::Caller;

use crate::cookies::{self, Browser};
use crate::exchange::redirect;
use crate::fetch_metadata::SEC_FETCH_SITE;
use crate::negotiate::ProblemFormat;
use crate::problem::Problem;
use crate::route::{Access, Audience, Credentials, Route, Verb};
use crate::shared::Shared;

/// Whether the request names one host, as HTTP demands (RFC 9112 3.2): proxies would read a request
/// with two of them differently. HTTP/1.0 need not name any.
pub(crate) fn names_one_host(request: &Parts) -> bool {
    let hosts = request.headers.get_all(HOST).iter().count();
    hosts == 1 || hosts == 0 && request.version < Version::HTTP_11
}

/// A browser that asks for a page under another name is sent to the public address: cookies,
/// security keys and the origin of forms belong to that one name.
///
/// Invariant: the target is the configured address, whatever `Host` says. Programs are never
/// redirected. Behind a proxy that hides the requested name every request looks like this, so a
/// browser that was redirected a moment ago gets its answer.
pub(crate) fn to_public_address(
    app: &Shared,
    route: &Route,
    request: &Parts,
    format: ProblemFormat,
) -> Option<Response> {
    if !route.is_page()
        || format != ProblemFormat::Html
        || is_public_host(&request.headers, app.public_url())
        || cookies::was_moved(app, &request.headers)
    {
        return None;
    }
    let path = request.uri.path_and_query()?.as_str();
    let mut response = redirect(app, StatusCode::TEMPORARY_REDIRECT, path).ok()?;
    cookies::set_moved(app, &mut response);
    response
        .headers()
        .contains_key(LOCATION)
        .then_some(response)
}

/// Whether the request names the public address's host, or no host.
fn is_public_host(headers: &HeaderMap, public_url: &str) -> bool {
    let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else {
        return true;
    };
    let origin = origin_of(public_url);
    let (default_port, own) = match origin.strip_prefix("https://") {
        Some(own) => (":443", own),
        None => (":80", origin.strip_prefix("http://").unwrap_or(origin)),
    };
    let without_port = |host: &'_ str| {
        host.strip_suffix(default_port)
            .unwrap_or(host)
            .to_ascii_lowercase()
    };
    without_port(host) == without_port(own)
}

/// Scheme, host and port: the address up to the slash after its `://`.
fn origin_of(public_url: &str) -> &str {
    public_url
        .match_indices('/')
        .nth(2)
        .map_or(public_url, |(path, _)| &public_url[..path])
}

/// What a request's headers say about the page that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MadeBy {
    /// A page of this registry.
    Us,
    /// A page of another site, or of this one under another name.
    Others,
    /// The headers do not say: a program, or a person with the address bar.
    Unknown,
}

/// A page of another site must not act with what this browser provides by itself: a session, a
/// password that was once part of an address (RFC 7617), or the network it is in. Browsers say
/// where a `POST` comes from (`Origin`; Fetch Metadata). Upload clients say nothing, and need not
/// as long as they do not look like a browser.
pub(crate) async fn refuse_other_sites(
    app: &Shared,
    route: &Route,
    attempt: &Attempt,
    headers: &HeaderMap,
    browser: &Browser,
) -> Result<(), Problem> {
    let Access::Decided(action) = route.access else {
        return Ok(());
    };
    if route.verb != Verb::Post {
        return Ok(());
    }
    let is_form = route.credentials == Credentials::Form;
    let must_tell = match headers.get(AUTHORIZATION) {
        None => is_form || browser.is_any(),
        // Browsers remember passwords of this scheme and send them by themselves; any other scheme
        // comes from a program.
        Some(value) => {
            is_form
                && value
                    .as_bytes()
                    .get(..5)
                    .is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"basic"))
        }
    };
    let again = format!(
        "Open {} in your browser, go to the page from there, and send the form again.",
        app.public_url()
    );
    let (code, message, remedy) = match (made_by(headers, app.public_url()), route.audience) {
        (MadeBy::Us, _) => return Ok(()),
        (MadeBy::Unknown, _) if !must_tell => return Ok(()),
        (MadeBy::Others, Audience::Programs) => (
            "cross-site-request",
            "This request was made by a page of another site.",
            "Use an upload client, or a program of your own.".to_owned(),
        ),
        (MadeBy::Others, Audience::People) => (
            "cross-site-request",
            "This form was sent by a page of another site, or of this one under another name.",
            again,
        ),
        (MadeBy::Unknown, _) => (
            "unknown-origin",
            "Your browser did not say which page this was sent from, so it could have been any.",
            format!(
                "{again} If that does not help, something between you and the registry removes the header Origin."
            ),
        ),
    };
    Err(app
        .gate
        .refuse(
            attempt,
            &Caller::anonymous(),
            action,
            code,
            message,
            &remedy,
            None,
        )
        .await
        .into())
}

fn made_by(headers: &HeaderMap, public_url: &str) -> MadeBy {
    let own_origin = origin_of(public_url).as_bytes();
    let sites = || {
        headers
            .get_all(SEC_FETCH_SITE)
            .iter()
            .map(HeaderValue::as_bytes)
    };
    let origins = || {
        headers
            .get_all(ORIGIN)
            .iter()
            .map(|origin| origin.as_bytes().eq_ignore_ascii_case(own_origin))
    };
    if sites().any(|site| !matches!(site, b"same-origin" | b"none"))
        || origins().any(|is_own| !is_own)
    {
        return MadeBy::Others;
    }
    if sites().any(|site| site == b"same-origin") || origins().any(|is_own| is_own) {
        MadeBy::Us
    } else {
        MadeBy::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderName;

    #[test]
    fn a_browser_on_another_site_is_told_from_a_client() {
        let check = |public_url: &str, said: &[(&'static str, &'static str)], expected| {
            let headers = said
                .iter()
                .map(|(name, value)| {
                    (
                        HeaderName::from_static(name),
                        HeaderValue::from_static(value),
                    )
                })
                .collect();
            assert_eq!(made_by(&headers, public_url), expected, "{said:?}");
        };
        let url = "https://index.example:8443/pypi";
        check(url, &[], MadeBy::Unknown);
        check(url, &[("sec-fetch-site", "none")], MadeBy::Unknown);
        check(url, &[("sec-fetch-site", "same-origin")], MadeBy::Us);
        check(
            url,
            &[
                ("origin", "https://index.example:8443"),
                ("sec-fetch-site", "same-origin"),
            ],
            MadeBy::Us,
        );
        check(url, &[("origin", "https://INDEX.example:8443")], MadeBy::Us);
        check(
            "http://index.example",
            &[("origin", "http://index.example")],
            MadeBy::Us,
        );
        for origin in [
            "https://evil.example",
            "null",
            "https://index.example",
            "http://index.example:8443",
            "https://index.example:8443.evil.example",
            "",
        ] {
            check(url, &[("origin", origin)], MadeBy::Others);
            check(
                url,
                &[("origin", origin), ("sec-fetch-site", "same-origin")],
                MadeBy::Others,
            );
        }
        check(url, &[("sec-fetch-site", "cross-site")], MadeBy::Others);
        check(
            url,
            &[
                ("sec-fetch-site", "same-site"),
                ("origin", "https://index.example:8443"),
            ],
            MadeBy::Others,
        );
        check(
            url,
            &[
                ("sec-fetch-site", "same-origin"),
                ("sec-fetch-site", "cross-site"),
            ],
            MadeBy::Others,
        );
    }

    #[test]
    fn a_page_is_at_home_under_one_name() {
        let check = |public_url: &str, host: Option<&'static str>, expected| {
            let headers = host
                .into_iter()
                .map(|host| (HOST, HeaderValue::from_static(host)))
                .collect();
            assert_eq!(
                is_public_host(&headers, public_url),
                expected,
                "{public_url} {host:?}"
            );
        };
        for host in [
            None,
            Some("index.example"),
            Some("INDEX.example"),
            Some("index.example:443"),
        ] {
            check("https://index.example/pypi", host, true);
        }
        for host in [
            "index.example:80",
            "index.example:8443",
            "other.example",
            "127.0.0.1:8080",
            "index.example.evil.example",
            "",
        ] {
            check("https://index.example", Some(host), false);
        }
        check("http://localhost:8080", Some("localhost:8080"), true);
        check("http://localhost:8080", Some("127.0.0.1:8080"), false);
        check("http://index.example", Some("index.example:80"), true);
    }
}
