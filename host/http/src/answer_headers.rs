//! The headers of every answer: which decision it comes from, what a browser may do with it, and
//! who may store it.

use axum::body::{Body, HttpBody};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use gate::Attempt;
use model::DecisionId;

use crate::cookies;
use crate::frame::layout::Security;
use crate::shared::Shared;

/// The id of the decision (and of the request) an answer comes from; `portcullis explain` takes it.
pub static DECISION_HEADER: HeaderName = HeaderName::from_static("portcullis-decision");
/// The number of the policy set that decided.
pub static POLICY_SET_HEADER: HeaderName = HeaderName::from_static("portcullis-policy-set");

/// Isolates the window of a page from pages that opened it and that it opens.
const CROSS_ORIGIN_OPENER_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-opener-policy");

/// Names the decision and the policy set that a decided answer comes from.
pub(crate) fn name_decision(
    response: &mut Response,
    attempt: Option<&Attempt>,
    decision: Option<DecisionId>,
) {
    let Some(attempt) = attempt else { return };
    if let Ok(value) =
        HeaderValue::try_from(decision.unwrap_or_else(|| attempt.decision()).to_string())
    {
        response
            .headers_mut()
            .insert(DECISION_HEADER.clone(), value);
    }
    response.headers_mut().insert(
        POLICY_SET_HEADER.clone(),
        HeaderValue::from(attempt.set_number()),
    );
}

/// The rules for browsers in every answer: no framing, no inline scripts, and no forms to other
/// sites.
pub(crate) fn secure(app: &Shared, response: &mut Response) {
    let kind = response.extensions().get::<Security>().copied();
    let policy = match kind {
        None => {
            "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        }
        Some(Security::Page) => {
            "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        }
        Some(Security::PageWithCopying) => {
            "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        }
        Some(Security::PageWithKeys) => {
            "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; \
             frame-ancestors 'none'"
        }
    };
    // Without a referrer, browsers send `Origin: null` with the forms of the page.
    let referrer = if kind.is_some() {
        "same-origin"
    } else {
        "no-referrer"
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static(referrer));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(
        CROSS_ORIGIN_OPENER_POLICY,
        HeaderValue::from_static("same-origin"),
    );
    // For this host alone: rules for its subdomains are not ours to set.
    if cookies::is_https(app) {
        headers.insert(
            STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000"),
        );
    }
}

/// Keeps answers out of shared caches: an answer to a credential is never stored there, and an
/// answer decided for one credential is not served to another one. Handlers choose the rest.
pub(crate) fn keep_from_others(headers: &mut HeaderMap, is_decided: bool, has_credential: bool) {
    if is_decided {
        headers.append(VARY, HeaderValue::from_static("Authorization, Cookie"));
    }
    let is_private = |control: &HeaderValue| matches!(control.to_str(), Ok(text) if text.starts_with("private") || text.starts_with("no-store"));
    if !headers.get(CACHE_CONTROL).is_some_and(is_private)
        && (has_credential || !headers.contains_key(CACHE_CONTROL))
    {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// `HEAD`: the headers of `GET`, its length included, and no body.
pub(crate) fn strip_body(response: &mut Response) {
    let length = response.body().size_hint().exact();
    if let Some(length) = length.filter(|_| !response.headers().contains_key(CONTENT_LENGTH)) {
        response
            .headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    *response.body_mut() = Body::empty();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_a_credential_is_for_no_shared_cache() {
        let check = |control: Option<&'static str>, has_credential, expected: &str| {
            let mut headers: HeaderMap = control
                .map(|control| (CACHE_CONTROL, HeaderValue::from_static(control)))
                .into_iter()
                .collect();
            keep_from_others(&mut headers, true, has_credential);
            assert_eq!(
                (
                    headers[CACHE_CONTROL].to_str().unwrap(),
                    headers[VARY].to_str().unwrap()
                ),
                (expected, "Authorization, Cookie")
            );
        };
        check(Some("public, max-age=600"), true, "no-store");
        check(Some("public, max-age=600"), false, "public, max-age=600");
        check(Some("private, max-age=600"), true, "private, max-age=600");
        check(None, true, "no-store");
        check(None, false, "no-store");
    }

    #[test]
    fn what_is_answered_to_head_has_the_length_of_get() {
        let mut response = Response::new(Body::from("four"));
        strip_body(&mut response);
        assert_eq!(response.headers()[CONTENT_LENGTH], "4");
        assert_eq!(response.body().size_hint().exact(), Some(0));
    }
}
