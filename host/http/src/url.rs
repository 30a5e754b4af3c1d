//! Paths and queries as text: quoting values in them, and reading values from them.

/// A path segment with everything but plain characters percent-encoded.
pub(crate) fn quoted(segment: &str) -> String {
    let mut out = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b'+' | b'!' => {
                out.push(byte as char)
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// `path` with the page to go on to afterwards.
pub(crate) fn with_next(path: &str, next: &str) -> String {
    let mark = if path.contains('?') { '&' } else { '?' };
    format!("{path}{mark}next={}", quoted(next))
}

/// The value of a parameter of a query, the first of several.
pub(crate) fn query_value(query: Option<&str>, name: &str) -> Option<String> {
    let pairs = query?
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let (_, value) = pairs.into_iter().find(|(known, _)| *known == name)?;
    decode(value.as_bytes())
}

/// Decodes one name or value; none if it is not UTF-8 or contains a NUL.
pub(crate) fn decode(bytes: &[u8]) -> Option<String> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match (byte, tail) {
            (b'+', _) => out.push(b' '),
            (b'%', [high, low, tail @ ..]) => {
                let digit = |byte: &u8| (*byte as char).to_digit(16);
                out.push((digit(high)? * 16 + digit(low)?) as u8);
                rest = tail;
            }
            (b'%', _) => return None,
            _ => out.push(*byte),
        }
    }
    String::from_utf8(out)
        .ok()
        .filter(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_version_cannot_hold_does_not_reach_a_location() {
        assert_eq!(quoted("1.0+local!1"), "1.0+local!1");
        assert_eq!(quoted("../x?\r\n"), "..%2Fx%3F%0D%0A");
    }

    #[test]
    fn where_to_go_on_is_quoted() {
        assert_eq!(
            with_next("/login/factor", "/account/?a=b&c=d"),
            "/login/factor?next=%2Faccount%2F%3Fa%3Db%26c%3Dd"
        );
        assert_eq!(
            with_next("/login?notice=login-expired", "/"),
            "/login?notice=login-expired&next=%2F"
        );
    }

    #[test]
    fn a_query_is_decoded_and_its_first_value_counts() {
        let check = |query, name, expected: Option<&str>| {
            assert_eq!(query_value(query, name).as_deref(), expected)
        };
        check(Some("q=a+b&page=2&q=c"), "q", Some("a b"));
        check(Some("q=%ff"), "q", None);
        check(Some("page"), "page", Some(""));
        check(Some("page=2"), "q", None);
        check(None, "q", None);
    }
}
