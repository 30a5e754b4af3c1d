//! Byte ranges and validators of files (RFC 9110 sections 13 and 14).

use std::ops::Range;

use axum::http::HeaderMap;
use axum::http::header::{IF_NONE_MATCH, IF_RANGE, RANGE};

/// Which bytes of a representation a request is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selected {
    /// All of them: 200.
    Whole,
    /// These, never none: 206.
    Part(Range<u64>),
    /// The range is outside: 416.
    Unsatisfiable,
}

/// What a `GET` with these headers selects of `size` bytes whose validator is `etag`.
///
/// Several ranges in one request are answered with the whole, as is a header that cannot be read or
/// an `If-Range` that does not name exactly this content.
pub(crate) fn select(headers: &HeaderMap, etag: &str, size: u64) -> Selected {
    let Some(Ok(range)) = headers.get(RANGE).map(|value| value.to_str()) else {
        return Selected::Whole;
    };
    if headers
        .get(IF_RANGE)
        .is_some_and(|value| value.as_bytes() != etag.as_bytes())
    {
        return Selected::Whole;
    }
    parse(range, size)
}

fn parse(header: &str, size: u64) -> Selected {
    let Some((unit, range)) = header.split_once('=') else {
        return Selected::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Selected::Whole;
    }
    let Some((first, last)) = range.trim().split_once('-') else {
        return Selected::Whole;
    };
    match (number(first), number(last)) {
        (None, Some(suffix)) if first.is_empty() => {
            let length = suffix.min(size);
            if length == 0 {
                Selected::Unsatisfiable
            } else {
                Selected::Part(size - length..size)
            }
        }
        (Some(first), None) if last.is_empty() => {
            if first < size {
                Selected::Part(first..size)
            } else {
                Selected::Unsatisfiable
            }
        }
        (Some(first), Some(last)) if first <= last => {
            if first < size {
                Selected::Part(first..last.saturating_add(1).min(size))
            } else {
                Selected::Unsatisfiable
            }
        }
        _ => Selected::Whole,
    }
}

/// A run of digits; one too large for 64 bits is as good as infinite.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

/// Whether `If-None-Match` says that the client has this content already (weak comparison).
pub(crate) fn client_has(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| {
            let value = value.trim();
            value == "*"
                || value
                    .split(',')
                    .any(|candidate| candidate.trim().trim_start_matches("W/") == etag)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(header: &str, size: u64, expected: Selected) {
        assert_eq!(parse(header, size), expected, "{header}");
    }

    #[test]
    fn the_three_forms_of_a_range_select_what_they_say() {
        check("bytes=0-499", 1000, Selected::Part(0..500));
        check("bytes=500-", 1000, Selected::Part(500..1000));
        check("bytes=-300", 1000, Selected::Part(700..1000));
        check("bytes=-3000", 1000, Selected::Part(0..1000));
        check(
            "bytes=900-99999999999999999999999",
            1000,
            Selected::Part(900..1000),
        );
    }

    #[test]
    fn a_range_outside_of_the_file_is_unsatisfiable() {
        check("bytes=1000-", 1000, Selected::Unsatisfiable);
        check("bytes=-0", 1000, Selected::Unsatisfiable);
        check("bytes=0-0", 0, Selected::Unsatisfiable);
    }

    #[test]
    fn what_is_no_single_byte_range_is_answered_with_the_whole() {
        for header in [
            "bytes=5-2",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "lines=1-2",
            "bytes",
            "bytes=0-1,5-6",
            "bytes=+1-2",
            "bytes=1--2",
        ] {
            check(header, 1000, Selected::Whole);
        }
    }

    #[test]
    fn an_if_range_with_another_validator_selects_the_whole() {
        let headers = |if_range: &str| {
            HeaderMap::from_iter([
                (RANGE, "bytes=0-1".parse().unwrap()),
                (IF_RANGE, if_range.parse().unwrap()),
            ])
        };
        assert_eq!(select(&headers("\"a\""), "\"a\"", 10), Selected::Part(0..2));
        assert_eq!(select(&headers("\"b\""), "\"a\"", 10), Selected::Whole);
        assert_eq!(select(&headers("W/\"a\""), "\"a\"", 10), Selected::Whole);
    }

    #[test]
    fn validators_are_compared_weakly_for_caches() {
        let headers = |value: &str| HeaderMap::from_iter([(IF_NONE_MATCH, value.parse().unwrap())]);
        for value in ["\"a\"", "W/\"a\"", "\"b\", \"a\"", "*"] {
            assert!(client_has(&headers(value), "\"a\""), "{value}");
        }
        assert!(!client_has(&headers("\"b\""), "\"a\""));
        assert!(!client_has(&HeaderMap::new(), "\"a\""));
    }

    proptest! {
        #[test]
        fn a_selected_part_lies_inside_the_file(header in "bytes=[0-9]{0,4}-[0-9]{0,4}", size in 0_u64..2000) {
            if let Selected::Part(range) = parse(&header, size) {
                prop_assert!(range.start < range.end && range.end <= size);
            }
        }

        #[test]
        fn no_header_panics_the_parser(header in any::<String>(), size in any::<u64>()) {
            let _ = parse(&header, size);
        }
    }
}
