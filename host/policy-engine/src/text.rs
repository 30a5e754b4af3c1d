//! Text that comes from modules: never trusted, shown to people and written to logs.

/// `text` as one line of at most `maximum` characters without control characters, so that it cannot
/// forge log lines, move a terminal's cursor or hide text.
pub(crate) fn line(text: &str, maximum: usize) -> String {
    let mut out = String::with_capacity(text.len().min(4 * maximum));
    for (count, character) in text.chars().filter_map(shown).enumerate() {
        if count == maximum {
            out.pop();
            out.push('…');
            break;
        }
        out.push(character);
    }
    out
}

/// Whether `line` would leave the text unchanged.
pub(crate) fn is_line(text: &str, maximum: usize) -> bool {
    (text.len() <= maximum || text.chars().count() <= maximum)
        && text
            .chars()
            .all(|character| shown(character) == Some(character))
}

/// The replacement of a character: white space becomes a space, and characters that are invisible
/// or change the direction of writing are removed.
fn shown(character: char) -> Option<char> {
    match character {
        '\t' | '\n' | '\r' | '\u{2028}' | '\u{2029}' | '\u{85}' => Some(' '),
        character if character.is_control() => None,
        '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' => None,
        character => Some(character),
    }
}

/// Whether `text` is lower-case words joined by hyphens, at most `maximum` characters.
pub(crate) fn is_name(text: &str, maximum: usize) -> bool {
    let word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    text.len() <= maximum
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.split('-').all(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_escapes_and_no_line_breaks() {
        assert_eq!(line("a\u{1b}[31mb\nc\0d\u{202e}e", 100), "a[31mb cde");
        assert_eq!(line("abcdef", 4), "abc…");
        assert_eq!(line("abcd", 4), "abcd");
        assert!(is_line("abcd", 4));
        assert!(!is_line("abcde", 4));
        assert!(!is_line("a\nb", 4));
    }

    #[test]
    fn names_are_lower_case_words() {
        for good in ["a", "no-policy-permits", "x86"] {
            assert!(is_name(good, 64), "{good}");
        }
        for bad in ["", "-", "a-", "-a", "a--b", "A", "a b", "ä", "1a"] {
            assert!(!is_name(bad, 64), "{bad}");
        }
        assert!(!is_name(&"a".repeat(65), 64));
    }
}
