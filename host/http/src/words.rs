//! Turns the words of libraries and policies into sentences.

/// A library's words as a sentence: upper case at the front.
pub(crate) fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    characters
        .next()
        .map(|first| format!("{}{}", first.to_uppercase(), characters.as_str()))
        .unwrap_or_default()
}

/// A message as people read it: upper case at the front, a full stop at the end.
pub(crate) fn sentences(message: &str) -> String {
    let text = message.trim_end();
    let stop = if text.ends_with(['.', '?', '!']) || text.is_empty() {
        ""
    } else {
        "."
    };
    let mut characters = text.chars();
    characters
        .next()
        .map(|first| format!("{}{}{stop}", first.to_uppercase(), characters.as_str()))
        .unwrap_or_default()
}

/// With a full stop, if something follows or it must end like a sentence.
pub(crate) fn ended(text: &str, follows: bool) -> String {
    let text = text.trim_end();
    if follows && !text.is_empty() && !text.ends_with(['.', '!', '?', ':']) {
        format!("{text}.")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_a_sentence() {
        assert_eq!(sentence("the code is wrong"), "The code is wrong");
        assert_eq!(sentence(""), "");
    }
}
