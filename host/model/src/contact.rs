//! How people reach the operators of the registry.

use std::fmt;

/// Longest contact, in bytes.
const MAX_BYTES: usize = 200;

/// A mail address, or the URL of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact(String);

/// The text is neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "write a mail address such as help@example.org, or the address of a page such as https://example.org/help, in at most {MAX_BYTES} characters"
)]
pub struct InvalidContact;

impl Contact {
    /// Parses a contact. It may only have characters without a special meaning in URLs, pages and
    /// mails.
    pub fn parse(text: &str) -> Result<Self, InvalidContact> {
        let is_plain = |text: &str, others: &str| {
            text.chars()
                .all(|c| c.is_ascii_alphanumeric() || others.contains(c))
        };
        let page = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"));
        let is_valid = match (page, text.split_once('@')) {
            (Some(rest), _) => {
                rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[')
                    && is_plain(rest, "-._~:/?#[]!$()*+,;=%&@")
            }
            (None, Some((local, domain))) => {
                !local.is_empty()
                    && !domain.is_empty()
                    && is_plain(local, "-._+=")
                    && is_plain(domain, "-.")
            }
            (None, None) => false,
        };
        if is_valid && text.len() <= MAX_BYTES {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidContact)
        }
    }

    /// The target of a link to it.
    pub fn address(&self) -> String {
        if self.0.contains("://") {
            self.0.clone()
        } else {
            format!("mailto:{}", self.0)
        }
    }
}

impl fmt::Display for Contact {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_is_a_mail_address_or_a_page() {
        assert_eq!(
            Contact::parse("help@example.org").unwrap().address(),
            "mailto:help@example.org"
        );
        assert_eq!(
            Contact::parse("https://example.org/help?to=us")
                .unwrap()
                .address(),
            "https://example.org/help?to=us"
        );
        let long = format!("https://{}", "a".repeat(MAX_BYTES));
        for text in [
            "",
            "help",
            "@",
            "a@",
            "@b",
            "a@b@c",
            "https://",
            "http:///x",
            "javascript:alert(1)",
            "mailto:a@b",
            "a b@c",
            "a@b\r\nBcc: c",
            "https://x/\"><b>",
            &long,
        ] {
            assert_eq!(Contact::parse(text), Err(InvalidContact), "{text}");
        }
    }
}
