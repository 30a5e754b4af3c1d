//! The HTTP/1.1 reason phrase, the only text that several upload clients show.
//!
//! twine, flit, hatch and poetry print the status line of a failed upload and nothing else. So what
//! is wrong, the remedies, the addresses of the pages that help and the id of the decision must fit
//! into it, as ISO-8859-1 (RFC 9112 section 4, and what Python's `http.client` decodes it as).

use hyper::ext::ReasonPhrase;

/// Longest reason phrase, in bytes.
pub(crate) const MAX_BYTES: usize = 400;

/// Least part of the first sentence that stays if the rest is long.
const MIN_SENTENCE_BYTES: usize = 120;

/// Shortest part of a later sentence that is worth its room.
const MIN_LATER_BYTES: usize = 40;

/// The start of every reason except the first.
pub(crate) const ALSO: &str = "Also: ";

/// One reason as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// What is wrong.
    pub(crate) sentence: String,
    /// What to do; may be empty.
    pub(crate) remedy: String,
    /// Address of the page that helps.
    pub(crate) url: Option<String>,
}

/// Puts reasons, the most important first, and a closing text into one reason phrase.
///
/// If not all of it fits, parts are left out in this order: addresses of later reasons, remedies of
/// later reasons, later reasons themselves (the last ones before the others), the end of the first
/// sentence, the end of the first remedy. The closing text and the first address stay, unless one
/// of them alone is too long.
pub(crate) fn compose(reasons: &[Told], closing: &str) -> ReasonPhrase {
    let closing = short(latin1(closing));
    let room = MAX_BYTES - after(&closing);
    let mut lines: Vec<Line> = reasons.iter().map(Line::of).collect();
    fit(&mut lines, room);
    let mut parts: Vec<Vec<u8>> = Vec::new();
    let later = lines.iter().skip(1).map(Line::room).sum::<usize>();
    for (position, line) in lines.into_iter().enumerate() {
        match position {
            0 => parts.extend(line.within(room - later)),
            _ => parts.push([ALSO.as_bytes(), &line.joined()].concat()),
        }
    }
    parts.push(closing);
    parts.retain(|part| !part.is_empty());
    ReasonPhrase::try_from(parts.join(&b' ')).unwrap_or(ReasonPhrase::from_static(b"Refused"))
}

/// One reason in ISO-8859-1.
struct Line {
    sentence: Vec<u8>,
    remedy: Vec<u8>,
    address: Vec<u8>,
}

impl Line {
    fn of(told: &Told) -> Self {
        let address = told
            .url
            .as_ref()
            .map(|url| [b"See ".as_slice(), &latin1(url)].concat())
            .unwrap_or_default();
        Self {
            sentence: latin1(&told.sentence),
            remedy: latin1(&told.remedy),
            address: short(address),
        }
    }

    fn joined(&self) -> Vec<u8> {
        let parts: Vec<&[u8]> = [&self.sentence, &self.remedy, &self.address]
            .into_iter()
            .map(Vec::as_slice)
            .filter(|part| !part.is_empty())
            .collect();
        parts.join(&b' ')
    }

    /// Bytes it takes as a reason after the first.
    fn room(&self) -> usize {
        1 + ALSO.len() + self.joined().len()
    }

    /// Its parts in at most `limit` bytes: the sentence is cut first, then the remedy.
    fn within(self, limit: usize) -> [Vec<u8>; 3] {
        let kept = after(&self.address) + (self.sentence.len().min(MIN_SENTENCE_BYTES) + 1);
        let remedy = cut(&self.remedy, limit.saturating_sub(kept));
        let sentence = cut(
            &self.sentence,
            limit.saturating_sub(after(&self.address) + after(&remedy)),
        );
        [sentence, remedy, self.address]
    }
}

/// Drops parts of the later lines that do not fit next to the whole first one.
fn fit(lines: &mut Vec<Line>, room: usize) {
    let Some(first) = lines.first().map(|line| line.joined().len()) else {
        return;
    };
    let needed = |lines: &[Line]| first + lines.iter().skip(1).map(Line::room).sum::<usize>();
    let parts: [fn(&mut Line) -> &mut Vec<u8>; 2] =
        [|line| &mut line.address, |line| &mut line.remedy];
    for part in parts {
        for at in (1..lines.len()).rev() {
            if needed(lines) > room {
                part(&mut lines[at]).clear();
            }
        }
    }
    while lines.len() > 1 && needed(lines) > room {
        let over = needed(lines) - room;
        let Some(last) = lines.last_mut() else { return };
        let left = last.sentence.len().saturating_sub(over);
        if left >= MIN_LATER_BYTES {
            last.sentence = cut(&last.sentence, left);
        } else {
            lines.pop();
        }
    }
}

/// Bytes that a part takes after another one.
fn after(part: &[u8]) -> usize {
    if part.is_empty() { 0 } else { part.len() + 1 }
}

/// Nothing if the text would leave no room for the rest: it is useless when cut.
fn short(text: Vec<u8>) -> Vec<u8> {
    if text.len() > MAX_BYTES / 3 {
        Vec::new()
    } else {
        text
    }
}

/// The text in ISO-8859-1 on one line: control characters become spaces, typographic signs their
/// ASCII look-alikes, anything else outside the character set a question mark.
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

/// At most `limit` bytes of `text`, cut at a space where there is one, with dots in place of the
/// missing part.
fn cut(text: &[u8], limit: usize) -> Vec<u8> {
    if text.len() <= limit {
        return text.to_vec();
    }
    if limit < 4 {
        return Vec::new();
    }
    let head = &text[..limit - 3];
    let end = head
        .iter()
        .rposition(|&byte| byte == b' ')
        .filter(|&at| at > head.len() / 2)
        .unwrap_or(head.len());
    [head[..end].trim_ascii_end(), b"..."].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(sentence: &str, remedy: &str, url: Option<&str>) -> Told {
        Told {
            sentence: sentence.to_owned(),
            remedy: remedy.to_owned(),
            url: url.map(str::to_owned),
        }
    }

    fn text(reasons: &[Told], closing: &str) -> String {
        compose(reasons, closing)
            .as_bytes()
            .iter()
            .map(|&byte| byte as char)
            .collect()
    }

    const DECISION: &str = "(decision 0199c2f4-0000-7000-8000-000000000000)";
    const URL: &str = "https://index.example/help/#tokens";

    #[test]
    fn short_refusals_stand_in_full() {
        assert_eq!(
            text(
                &[told("No.", "Use a token.", Some("http://x/help/#tokens"))],
                ""
            ),
            "No. Use a token. See http://x/help/#tokens"
        );
        assert_eq!(
            text(&[told("No.", "", None)], DECISION),
            format!("No. {DECISION}")
        );
        assert_eq!(text(&[told("", "", None)], ""), "");
        let both = [
            told("No.", "Use a token.", Some("http://x/#a")),
            told("Never.", "Go.", Some("http://x/#b")),
        ];
        assert_eq!(
            text(&both, DECISION),
            format!("No. Use a token. See http://x/#a Also: Never. Go. See http://x/#b {DECISION}")
        );
    }

    #[test]
    fn what_latin1_lacks_is_replaced() {
        assert_eq!(
            text(&[told("user ‘é’ – 名\r\nSet-Cookie: x", "", None)], ""),
            "user 'é' - ? Set-Cookie: x"
        );
    }

    #[test]
    fn the_remedy_the_address_and_the_decision_outlive_a_long_sentence() {
        let text = text(
            &[told(&"word ".repeat(200), "Use an API token.", Some(URL))],
            DECISION,
        );
        assert!(
            text.ends_with(&format!("... Use an API token. See {URL} {DECISION}")),
            "{text}"
        );
        assert!(text.len() <= MAX_BYTES);
    }

    #[test]
    fn addresses_and_remedies_of_later_reasons_give_way_to_what_is_wrong() {
        let remedy = "Do what has to be done about it. ".repeat(3);
        let reasons =
            ["First.", "Second.", "Third."].map(|sentence| told(sentence, &remedy, Some(URL)));
        let remedy = remedy.trim_end();
        assert_eq!(
            text(&reasons, DECISION),
            format!("First. {remedy} See {URL} Also: Second. {remedy} Also: Third. {DECISION}")
        );
    }

    #[test]
    fn later_reasons_that_find_no_room_are_left_out_from_the_end() {
        let reasons: Vec<Told> = (0..20)
            .map(|number| {
                told(
                    &format!("Reason number {number} stands here."),
                    "Do it.",
                    Some(URL),
                )
            })
            .collect();
        let text = text(&reasons, DECISION);
        assert!(text.starts_with(&format!("Reason number 0 stands here. Do it. See {URL} Also: Reason number 1 stands here. Also: ")), "{text}");
        assert!(
            text.ends_with(DECISION) && !text.contains("number 19"),
            "{text}"
        );
    }

    prop_compose! {
        fn any_reason()(sentence in any::<String>(), remedy in ".{0,900}", url in proptest::option::of("[ -~]{0,300}")) -> Told {
            Told { sentence, remedy, url }
        }
    }

    proptest! {
        #[test]
        fn a_reason_phrase_is_one_bounded_line_of_latin1(reasons in proptest::collection::vec(any_reason(), 0..5), closing in ".{0,300}") {
            let phrase = compose(&reasons, &closing);
            prop_assert!(phrase.as_bytes().len() <= MAX_BYTES);
            prop_assert!(phrase.as_bytes().iter().all(|&byte| (0x20..0x7f).contains(&byte) || byte >= 0xa1));
        }

        #[test]
        fn the_first_address_and_the_decision_always_stand(sentence in "[a-z ]{0,900}", remedy in "[a-z ]{0,900}", later in proptest::collection::vec("[a-z]{0,300}", 0..3)) {
            let mut reasons = vec![told(&sentence, &remedy, Some(URL))];
            reasons.extend(later.iter().map(|sentence| told(sentence, "", None)));
            let text = text(&reasons, DECISION);
            prop_assert!(text.contains(&format!("See {URL} ")), "{text}");
            prop_assert!(text.ends_with(DECISION), "{text}");
        }
    }
}
