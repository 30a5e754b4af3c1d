//! Content negotiation (RFC 9110 section 12.5.1): which representation a client prefers.

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, ACCEPT_ENCODING};
use registry::index::PageFormat;

/// The format of an answer that is not a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProblemFormat {
    Plain,
    Json,
    /// `application/problem+json` (RFC 9457).
    Problem,
    Html,
}

impl ProblemFormat {
    /// In order of our own preference among equals: programs that accept anything (twine)
    /// get plain text, which they may print.
    const OFFERS: &'static [(&'static str, ProblemFormat)] = &[
        ("text/plain", ProblemFormat::Plain),
        ("application/json", ProblemFormat::Json),
        ("application/problem+json", ProblemFormat::Problem),
        ("text/html", ProblemFormat::Html),
    ];

    /// What the client prefers; plain text if it accepts nothing of ours.
    pub(crate) fn preferred(headers: &HeaderMap) -> Self {
        preferred(headers, Self::OFFERS).unwrap_or(ProblemFormat::Plain)
    }

    /// The value of `Content-Type`.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            ProblemFormat::Plain => "text/plain; charset=utf-8",
            ProblemFormat::Json => "application/json",
            ProblemFormat::Problem => "application/problem+json",
            ProblemFormat::Html => "text/html; charset=utf-8",
        }
    }
}

/// A representation of the Simple API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SimpleFormat {
    /// `text/html` (PEP 503).
    Html,
    /// `application/vnd.pypi.simple.v1+html` (PEP 691).
    HtmlV1,
    /// `application/vnd.pypi.simple.v1+json` (PEP 691).
    JsonV1,
}

impl SimpleFormat {
    const OFFERS: &'static [(&'static str, SimpleFormat)] = &[
        ("text/html", SimpleFormat::Html),
        ("application/vnd.pypi.simple.v1+html", SimpleFormat::HtmlV1),
        ("application/vnd.pypi.simple.v1+json", SimpleFormat::JsonV1),
        (
            "application/vnd.pypi.simple.latest+html",
            SimpleFormat::HtmlV1,
        ),
        (
            "application/vnd.pypi.simple.latest+json",
            SimpleFormat::JsonV1,
        ),
    ];

    /// What the client prefers; `text/html` if it accepts nothing of ours, never a 406.
    pub(crate) fn preferred(headers: &HeaderMap) -> Self {
        preferred(headers, Self::OFFERS).unwrap_or(SimpleFormat::Html)
    }

    /// The value of `Content-Type`.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            SimpleFormat::Html => "text/html; charset=utf-8",
            SimpleFormat::HtmlV1 => "application/vnd.pypi.simple.v1+html",
            SimpleFormat::JsonV1 => "application/vnd.pypi.simple.v1+json",
        }
    }

    /// The registry's format for it.
    pub(crate) fn page_format(self) -> PageFormat {
        match self {
            SimpleFormat::Html | SimpleFormat::HtmlV1 => PageFormat::Html,
            SimpleFormat::JsonV1 => PageFormat::Json,
        }
    }
}

/// Whether the client takes an answer compressed with gzip (RFC 9110 section 12.5.3).
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    for value in headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
    {
        for coding in value.split(',') {
            let mut parameters = coding.split(';');
            let name = parameters.next().unwrap_or("").trim();
            let is_wanted = parameters
                .filter_map(|parameter| parameter.trim().strip_prefix("q=").map(thousandths))
                .next()
                .unwrap_or(1000)
                > 0;
            if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
                return is_wanted;
            }
            any |= name == "*" && is_wanted;
        }
    }
    any
}

/// The offer with the highest quality; the earlier one among equals. Without an `Accept`
/// header, the first.
fn preferred<T: Copy>(headers: &HeaderMap, offers: &[(&str, T)]) -> Option<T> {
    if !headers.contains_key(ACCEPT) {
        return offers.first().map(|(_, value)| *value);
    }
    let mut best = None;
    let mut best_quality = 0;
    for (media_type, value) in offers {
        let quality = quality(headers, media_type);
        if quality > best_quality {
            best = Some(*value);
            best_quality = quality;
        }
    }
    best
}

/// The quality, in thousandths, that the client gives to `media_type`: that of the most specific
/// range that covers it, 0 if none does.
fn quality(headers: &HeaderMap, media_type: &str) -> u16 {
    let (main, _) = media_type.split_once('/').unwrap_or((media_type, ""));
    let mut found = (0, 0);
    for value in headers.get_all(ACCEPT) {
        let Ok(value) = value.to_str() else { continue };
        for range in value.split(',') {
            let mut parameters = range.split(';');
            let name = parameters.next().unwrap_or("").trim();
            let specificity = if name.eq_ignore_ascii_case(media_type) {
                3
            } else if name
                .strip_suffix("/*")
                .is_some_and(|prefix| prefix.eq_ignore_ascii_case(main))
            {
                2
            } else if name == "*/*" || name == "*" {
                1
            } else {
                continue;
            };
            if specificity > found.0 {
                let quality = parameters
                    .filter_map(|parameter| parameter.trim().strip_prefix("q=").map(thousandths))
                    .next()
                    .unwrap_or(1000);
                found = (specificity, quality);
            }
        }
    }
    found.1
}

/// A quality value (`0` to `1` with at most three decimals) in thousandths; 0 if it is not one.
fn thousandths(text: &str) -> u16 {
    let (whole, decimals) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return 0;
    }
    let fraction = decimals
        .bytes()
        .fold(0, |sum: u16, digit| sum * 10 + u16::from(digit - b'0'))
        * 10_u16.pow(3 - decimals.len() as u32);
    match whole {
        "1" if fraction == 0 => 1000,
        "0" => fraction,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn accept(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, value.parse().unwrap())])
    }

    fn check_simple(value: &str, expected: SimpleFormat) {
        assert_eq!(SimpleFormat::preferred(&accept(value)), expected, "{value}");
    }

    #[test]
    fn pip_and_uv_get_json_and_browsers_get_html() {
        check_simple(
            "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01",
            SimpleFormat::JsonV1,
        );
        check_simple(
            "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01",
            SimpleFormat::JsonV1,
        );
        check_simple(
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            SimpleFormat::Html,
        );
        check_simple(
            "application/vnd.pypi.simple.latest+json",
            SimpleFormat::JsonV1,
        );
        check_simple("application/vnd.pypi.simple.v1+html", SimpleFormat::HtmlV1);
    }

    #[test]
    fn nothing_acceptable_and_anything_acceptable_are_html() {
        check_simple("image/png", SimpleFormat::Html);
        check_simple("*/*", SimpleFormat::Html);
        check_simple("text/html;q=0", SimpleFormat::Html);
        assert_eq!(
            SimpleFormat::preferred(&HeaderMap::new()),
            SimpleFormat::Html
        );
    }

    #[test]
    fn a_range_that_names_the_type_beats_a_wildcard() {
        check_simple(
            "*/*, text/html;q=0.5, application/vnd.pypi.simple.v1+html;q=0.4",
            SimpleFormat::JsonV1,
        );
        check_simple("application/*;q=0.9, text/html;q=0.1", SimpleFormat::HtmlV1);
    }

    #[test]
    fn gzip_is_for_who_names_it_or_takes_anything() {
        let check = |value: &'static str, expected| {
            let headers = HeaderMap::from_iter([(
                ACCEPT_ENCODING,
                axum::http::HeaderValue::from_static(value),
            )]);
            assert_eq!(accepts_gzip(&headers), expected, "{value}");
        };
        for value in [
            "gzip",
            "gzip, deflate",
            "br;q=1.0, GZIP;q=0.5",
            "*",
            "identity;q=0.5, *;q=0.1",
        ] {
            check(value, true);
        }
        for value in [
            "",
            "identity",
            "br",
            "gzip;q=0",
            "*, gzip;q=0",
            "*;q=0",
            "gzipped",
        ] {
            check(value, false);
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn each_upload_client_gets_the_form_it_shows() {
        let check = |value: &str, expected| {
            assert_eq!(
                ProblemFormat::preferred(&accept(value)),
                expected,
                "{value}"
            )
        };
        check("*/*", ProblemFormat::Plain);
        check(
            "application/json;q=0.9, text/plain;q=0.8, text/html;q=0.7",
            ProblemFormat::Json,
        );
        check("application/problem+json", ProblemFormat::Problem);
        check(
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            ProblemFormat::Html,
        );
        check("image/png", ProblemFormat::Plain);
    }

    proptest! {
        #[test]
        fn no_header_panics_the_parser(value in "[ -~]{0,80}") {
            let _ = SimpleFormat::preferred(&accept(&value));
        }

        #[test]
        fn qualities_are_at_most_one(text in "[0-9.]{0,6}") {
            prop_assert!(thousandths(&text) <= 1000);
        }
    }
}
