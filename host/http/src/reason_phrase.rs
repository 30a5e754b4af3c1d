//! The HTTP/1.1 reason phrase, the only text that several upload clients show.
//!
//! twine, flit and hatch print the status line of a failed upload and nothing else. So the
//! sentence, the remedy and the address of the page that helps have to fit into it, as
//! ISO-8859-1 (RFC 9112 section 4, and what Python's `http.client` decodes it as).

use hyper::ext::ReasonPhrase;

/// Longest reason phrase, in bytes.
pub(crate) const MAX_BYTES: usize = 400;

/// Least part of a sentence that is kept when the remedy is long.
const MIN_SENTENCE_BYTES: usize = 120;

/// Puts a sentence, what to do, and the address of a page into one reason phrase.
///
/// Where not all of it fits, the sentence is cut first, then the remedy, never the address
/// (unless the address alone is too long, then it is left out).
pub(crate) fn compose(sentence: &str, remedy: &str, url: Option<&str>) -> ReasonPhrase {
    let mut tail = url.map(|url| [b"See ".as_slice(), &latin1(url)].concat()).unwrap_or_default();
    if tail.len() > MAX_BYTES / 2 {
        tail.clear();
    }
    let sentence = latin1(sentence);
    let remedy = latin1(remedy);

    let space = |length: usize| if length == 0 { 0 } else { length + 1 };
    let for_remedy = MAX_BYTES - space(tail.len()) - space(sentence.len().min(MIN_SENTENCE_BYTES)) - 1;
    let remedy = cut(&remedy, for_remedy);
    let for_sentence = MAX_BYTES - space(tail.len()) - space(remedy.len());
    let sentence = cut(&sentence, for_sentence);

    let parts: Vec<&[u8]> = [sentence.as_slice(), remedy.as_slice(), tail.as_slice()].into_iter().filter(|part| !part.is_empty()).collect();
    ReasonPhrase::try_from(parts.join(&b' ')).unwrap_or(ReasonPhrase::from_static(b"Refused"))
}

/// The text in ISO-8859-1 on one line: control characters become spaces, typographic signs
/// their ASCII look-alikes, anything else outside of the character set a question mark.
fn latin1(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ' '..='~' => out.push(c as u8),
            '\u{a1}'..='\u{ff}' => out.push(c as u32 as u8),
            '‘' | '’' | '‚' => out.push(b'\''),
            '“' | '”' | '„' => out.push(b'"'),
            '–' | '—' | '‑' => out.push(b'-'),
            '…' => out.extend_from_slice(b"..."),
            _ if c.is_whitespace() || c.is_control() => {
                if out.last() != Some(&b' ') {
                    out.push(b' ');
                }
            }
            _ => out.push(b'?'),
        }
    }
    out.trim_ascii().to_vec()
}

/// At most `limit` bytes of `text`, cut at a space where there is one, with dots where
/// something is missing.
fn cut(text: &[u8], limit: usize) -> Vec<u8> {
    if text.len() <= limit {
        return text.to_vec();
    }
    if limit < 4 {
        return Vec::new();
    }
    let head = &text[..limit - 3];
    let end = head.iter().rposition(|&byte| byte == b' ').filter(|&at| at > head.len() / 2).unwrap_or(head.len());
    [head[..end].trim_ascii_end(), b"..."].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(sentence: &str, remedy: &str, url: Option<&str>, expected: &str) {
        let phrase = compose(sentence, remedy, url);
        assert_eq!(phrase.as_bytes().iter().map(|&byte| byte as char).collect::<String>(), expected);
    }

    #[test]
    fn a_short_refusal_stands_in_full() {
        check("No.", "Use a token.", Some("http://x/help/#tokens"), "No. Use a token. See http://x/help/#tokens");
        check("No.", "", None, "No.");
        check("", "", None, "");
    }

    #[test]
    fn what_latin1_lacks_is_replaced() {
        check("user ‘é’ – 名\r\nSet-Cookie: x", "", None, "user 'é' - ? Set-Cookie: x");
    }

    #[test]
    fn the_remedy_and_the_address_outlive_a_long_sentence() {
        let phrase = compose(&"word ".repeat(200), "Use an API token.", Some("https://index.example/help/#tokens"));
        let text = String::from_utf8(phrase.as_bytes().to_vec()).unwrap();
        assert!(text.ends_with("... Use an API token. See https://index.example/help/#tokens"), "{text}");
        assert!(text.len() <= MAX_BYTES);
    }

    proptest! {
        #[test]
        fn a_reason_phrase_is_one_bounded_line_of_latin1(sentence in any::<String>(), remedy in ".{0,900}", url in proptest::option::of("[ -~]{0,300}")) {
            let phrase = compose(&sentence, &remedy, url.as_deref());
            prop_assert!(phrase.as_bytes().len() <= MAX_BYTES);
            prop_assert!(phrase.as_bytes().iter().all(|&byte| (0x20..0x7f).contains(&byte) || byte >= 0xa1));
        }

        #[test]
        fn long_texts_keep_the_address(sentence in "[a-z ]{0,900}", remedy in "[a-z ]{0,900}") {
            let phrase = compose(&sentence, &remedy, Some("https://index.example/help/#tokens"));
            prop_assert!(phrase.as_bytes().ends_with(b"See https://index.example/help/#tokens"));
        }
    }
}
