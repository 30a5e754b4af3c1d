//! Texts as markup: made safe, with foreign text isolated.

use std::fmt;

use model::Timestamp;
use model::text::legible;

/// Text made safe for HTML, in content and in quoted attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

/// Text that somebody else wrote, in a page; markup. It is isolated, so that its direction does not
/// reorder the text around it, and characters that would reorder its own words are made visible.
pub(crate) fn foreign(text: impl fmt::Display) -> String {
    format!("<bdi>{}</bdi>", escape(&legible(&text.to_string())))
}

/// A sentence of ours that quotes foreign text; markup. The quote is isolated from the first
/// quotation mark to the last, so that one within it does not end it.
pub(crate) fn sentence(text: &str) -> String {
    let quoted = text
        .split_once('“')
        .and_then(|(before, rest)| Some((before, rest.rsplit_once('”')?)));
    match quoted {
        Some((before, (quoted, after))) => format!(
            "{}“{}”{}",
            escape(&legible(before)),
            foreign(quoted),
            escape(&legible(after))
        ),
        None => escape(&legible(text)),
    }
}

/// A time as people read it, with the exact one for programs; markup. No line break comes before
/// "UTC".
pub(crate) fn time(at: Timestamp) -> String {
    let text = at.to_string();
    let shown = text.get(..16).unwrap_or(&text).replace('T', " ");
    format!(
        "<time datetime=\"{}\">{}\u{a0}UTC</time>",
        escape(&text),
        escape(&shown)
    )
}

/// The day alone, where the time does not matter; markup.
pub(crate) fn day(at: Timestamp) -> String {
    let text = at.to_string();
    format!(
        "<time datetime=\"{}\">{}</time>",
        escape(&text),
        escape(text.get(..10).unwrap_or(&text))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_turns_nothing_around_it() {
        assert_eq!(
            foreign("a \u{202e}gpj.exe & <b>\u{2066}"),
            "<bdi>a \u{fffd}gpj.exe &amp; &lt;b&gt;\u{fffd}</bdi>"
        );
        assert_eq!(foreign("שלום\u{200f}!"), "<bdi>שלום\u{200f}!</bdi>");
        assert_eq!(
            sentence("The API token “שלום” was made."),
            "The API token “<bdi>שלום</bdi>” was made."
        );
        assert_eq!(
            sentence("The key “a” evil “b\u{202e}” was added."),
            "The key “<bdi>a” evil “b\u{fffd}</bdi>” was added."
        );
        assert_eq!(sentence("You logged in <b>."), "You logged in &lt;b&gt;.");
    }
}
