//! The grammar of versions (PEP 440), for texts of which only the form matters: numbers may have
//! any size.
//!
//! As in `packaging`, each part matches as much as it can, and letters match in either case.

/// The epoch and release at the beginning of a text: number of bytes, and of numbers in the
/// release.
pub fn release(text: &str) -> Option<(usize, usize)> {
    let start = usize::from(text.starts_with(['v', 'V']));
    let mut at = start;
    let mut numbers = 0;
    loop {
        let digits = digits(&text[at..]);
        if digits == 0 {
            // The dot does not belong to the release.
            return (numbers > 0).then(|| (at - 1, numbers));
        }
        at += digits;
        match text[at..].chars().next() {
            Some('!')
                if numbers == 0
                    && !text[start..at].contains('!')
                    && self::digits(&text[at + 1..]) > 0 => {}
            Some('.') => numbers += 1,
            _ => return Some((at, numbers + 1)),
        }
        at += 1;
    }
}

/// Number of bytes of the parts after a release: pre-, post- and development release, all optional.
pub fn suffix(text: &str) -> usize {
    let at = lettered(
        text,
        &["alpha", "beta", "preview", "pre", "a", "b", "c", "rc"],
    )
    .unwrap_or(0);
    let at = at + post(&text[at..]);
    at + lettered(&text[at..], &["dev"]).unwrap_or(0)
}

/// Number of bytes of a local part with its plus, if there is one.
pub fn local(text: &str) -> usize {
    let mut end = 0;
    let mut at = 0;
    // The plus comes before the first word, and separators before the others.
    while text[at..].starts_with(if at == 0 {
        &['+'][..]
    } else {
        &['-', '_', '.']
    }) {
        let word = text[at + 1..]
            .bytes()
            .take_while(u8::is_ascii_alphanumeric)
            .count();
        if word == 0 {
            break;
        }
        at += 1 + word;
        end = at;
    }
    end
}

/// Whether the whole text, without surrounding white space, has the form of a version.
pub fn is_version(text: &str) -> bool {
    let text = text.trim();
    release(text).is_some_and(|(end, _)| {
        let end = end + suffix(&text[end..]);
        end + local(&text[end..]) == text.len()
    })
}

fn post(text: &str) -> usize {
    match text.strip_prefix('-').map(digits) {
        Some(digits) if digits > 0 => digits + 1,
        _ => lettered(text, &["post", "rev", "r"]).unwrap_or(0),
    }
}

/// Matches the first of these words that fits, with optional separators and an optional number
/// after it.
fn lettered(text: &str, words: &[&str]) -> Option<usize> {
    let separator = |text: &str| usize::from(text.starts_with(['-', '_', '.']));
    let start = separator(text);
    let word = words.iter().find(|word| {
        text[start..]
            .get(..word.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(word))
    })?;
    let at = start + word.len();
    let at = at + separator(&text[at..]);
    Some(at + digits(&text[at..]))
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_take_as_much_as_they_can() {
        assert_eq!(release("1.2.3"), Some((5, 3)));
        assert_eq!(release("v1!2.*"), Some((4, 1)));
        assert_eq!(release("1.x"), Some((1, 1)));
        assert_eq!(
            (release(""), release("v"), release("1!"), release(".1")),
            (None, None, Some((1, 1)), None)
        );
        assert_eq!(
            (
                suffix(".dev1"),
                suffix("a.post-2.dev"),
                suffix("-1"),
                suffix("-x"),
                suffix("rc"),
                suffix(".*")
            ),
            (5, 12, 2, 0, 2, 0)
        );
        assert_eq!(
            (
                local("+a.1-b"),
                local("+a."),
                local("+"),
                local("a"),
                local("+\u{e9}"),
                local("+a+b")
            ),
            (6, 2, 0, 0, 0, 2)
        );
    }

    #[test]
    fn numbers_have_no_end() {
        assert!(is_version(
            " 99999999999999999999!99999999999999999999.0rc99999999999999999999 "
        ));
        assert!(
            !is_version("1.0 0") && !is_version("1..0") && !is_version("1.0+") && !is_version("x")
        );
    }

    proptest! {
        #[test]
        fn whatever_parses_has_the_form(text in "v?([0-9]!)?[0-9.]{1,4}([-_.]?(a|RC|pre|c)[-_.]?[0-9]?)?([-_.]?(post|r)?1)?(\\.dev)?(\\+[a-z0-9.]{1,3})?") {
            prop_assert_eq!(text.parse::<pep440_rs::Version>().is_ok(), is_version(&text), "{}", text);
        }

        #[test]
        fn no_text_panics_the_parser(text in "\\PC{0,20}") {
            let _ = (release(&text), suffix(&text), local(&text), is_version(&text));
        }
    }
}
