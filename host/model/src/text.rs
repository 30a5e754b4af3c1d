//! Text that people write and others read later.

/// Whether a text is one line and fully visible: no control characters, and none that ends a line,
/// changes the text direction or is invisible. Names, descriptions and reasons appear in pages,
/// mails and audit logs among words of ours, and must not pass for them.
pub fn is_plain_line(text: &str) -> bool {
    text.chars().all(is_plain)
}

/// Whether a character is visible in its place and does not affect others.
pub fn is_plain(character: char) -> bool {
    !character.is_control() && !is_unseen(character)
}

/// Foreign text for a terminal or a log, which do not isolate it: characters that would move the
/// cursor, change the direction of other words or be invisible show as U+FFFD.
pub fn visible(text: &str) -> String {
    text.chars()
        .map(|character| {
            if is_plain(character) {
                character
            } else {
                char::REPLACEMENT_CHARACTER
            }
        })
        .collect()
}

/// The same for an element of a page that isolates it (`<bdi>`). There only control characters and
/// those that change the direction until something ends it show as U+FFFD: these would reorder the
/// words of the text itself. Marks and joiners stay, since some scripts need them; line ends become
/// spaces.
pub fn legible(text: &str) -> String {
    let shown = |character: char| match character {
        '\t' | '\n' | '\r' | '\u{2028}' | '\u{2029}' => ' ',
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => char::REPLACEMENT_CHARACTER,
        character if character.is_control() => char::REPLACEMENT_CHARACTER,
        character => character,
    };
    text.chars().map(shown).collect()
}

/// Format characters of Unicode (category Cf) and the separators of lines and paragraphs.
fn is_unseen(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{34f}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_act_is_shown() {
        assert_eq!(
            visible("a\u{1b}[2J\u{202e}b\u{9b}\u{200f}c\u{2067}\n"),
            "a\u{fffd}[2J\u{fffd}b\u{fffd}\u{fffd}c\u{fffd}\u{fffd}"
        );
        assert_eq!(
            legible("wheel\u{202e}gpj.exe\u{2066}\u{0}\r\nb"),
            "wheel\u{fffd}gpj.exe\u{fffd}\u{fffd}  b"
        );
        for text in [
            "می\u{200c}خواهم",
            "👩\u{200d}💻",
            "שלום\u{200f}!",
            "plain – text",
        ] {
            assert_eq!(legible(text), text);
        }
    }

    #[test]
    fn what_is_seen_is_all_there_is() {
        for text in [
            "",
            "laptop",
            "Zoë’s key",
            "работа",
            "日本語",
            "المفتاح",
            "key 🔑",
            "a  b",
        ] {
            assert!(is_plain_line(text), "{text}");
        }
        for character in [
            '\n',
            '\r',
            '\0',
            '\u{7f}',
            '\u{85}',
            '\u{ad}',
            '\u{61c}',
            '\u{200b}',
            '\u{200d}',
            '\u{200e}',
            '\u{200f}',
            '\u{2028}',
            '\u{2029}',
            '\u{202a}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{feff}',
            '\u{e0041}',
        ] {
            assert!(
                !is_plain_line(&format!("lap{character}top")),
                "{}",
                character.escape_unicode()
            );
        }
    }
}
