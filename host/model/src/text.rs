//! Text that people give to things, and others read later.

/// Whether a text is one line and shows all that it is: no control characters, nothing that
/// ends a line or turns the direction of what follows, nothing that takes no room. Names,
/// descriptions and reasons stand in pages, mails and audit logs among words of ours, and must
/// not pass for them.
pub fn is_plain_line(text: &str) -> bool {
    !text.chars().any(|character| character.is_control() || is_unseen(character))
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
    fn what_is_seen_is_all_there_is() {
        for text in ["", "laptop", "Zoë’s key", "работа", "日本語", "المفتاح", "key 🔑", "a  b"] {
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
            assert!(!is_plain_line(&format!("lap{character}top")), "{}", character.escape_unicode());
        }
    }
}
