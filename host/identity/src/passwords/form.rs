//! One form for texts that people consider the same password (RFC 8265, OpaqueString): keyboards
//! differ in how they enter `é` and a space.

use storage::Secret;
use unicode_normalization::UnicodeNormalization;

/// The maximum growth of a text in bytes (Unicode Standard Annex 15). With it, the buffer never
/// grows, which would leave copies of a password in memory.
const MOST_GROWTH: usize = 3;

/// The form in which passwords are hashed and compared: every space is U+0020, and the text is in
/// NFC. Everything else, including case and width, is unchanged.
///
/// RFC 8265 would also refuse characters outside its FreeformClass. Control characters are refused
/// when a password is set ([`super::check_suitable`]); the others are accepted: at worst they cause
/// a password that does not match, phones type them in every emoji (U+FE0F, U+200D), and people who
/// already use them must still get in.
pub(crate) fn normalized(password: &Secret<String>) -> Secret<String> {
    let text = password.expose();
    if text.is_ascii() {
        return password.clone();
    }
    let mut form = String::with_capacity(MOST_GROWTH * text.len());
    form.extend(
        text.chars()
            .map(|character| if is_space(character) { ' ' } else { character })
            .nfc(),
    );
    Secret::new(form)
}

/// Whether two texts are the same password.
pub fn is_same(one: &Secret<String>, other: &Secret<String>) -> bool {
    normalized(one) == normalized(other)
}

/// The general category Zs.
fn is_space(character: char) -> bool {
    matches!(
        character,
        ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'
            ..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn form(text: &str) -> String {
        normalized(&Secret::new(text.to_owned())).expose().clone()
    }

    #[test]
    fn a_password_is_the_same_from_every_keyboard() {
        for (typed, expected) in [
            ("correct horse", "correct horse"),
            ("cafe\u{301} noir", "caf\u{e9} noir"),
            ("caf\u{e9}\u{a0}noir\u{3000}\u{2003}", "caf\u{e9} noir  "),
            // One form for characters that are drawn alike by definition ...
            ("\u{212b}ngstr\u{f6}m", "\u{c5}ngstr\u{f6}m"),
            ("\u{1112}\u{1161}\u{11ab}", "\u{d55c}"),
            // ... and not for those that only look or sound alike.
            ("Stra\u{df}e", "Stra\u{df}e"),
            ("\u{ff50}ass", "\u{ff50}ass"),
            ("\u{fb01}sh", "\u{fb01}sh"),
            // Nothing is lost.
            (
                "\u{1f468}\u{200d}\u{1f4bb}\u{fe0f}\t\u{200b}",
                "\u{1f468}\u{200d}\u{1f4bb}\u{fe0f}\t\u{200b}",
            ),
        ] {
            assert_eq!(form(typed), expected, "{}", typed.escape_unicode());
        }
        assert!(is_same(
            &Secret::new("cafe\u{301}".to_owned()),
            &Secret::new("caf\u{e9}".to_owned())
        ));
        assert!(!is_same(
            &Secret::new("Cafe".to_owned()),
            &Secret::new("cafe".to_owned())
        ));
    }

    proptest! {
        #[test]
        fn the_form_of_a_form_is_itself_and_fits_the_buffer(text in "\\PC{0,40}|[\u{a0}-\u{2000}\u{fb1d}-\u{fb4f}\u{1d15e}-\u{1d1c0}]{0,40}") {
            let once = form(&text);
            prop_assert_eq!(&form(&once), &once);
            prop_assert!(once.len() <= MOST_GROWTH * text.len());
        }
    }
}
