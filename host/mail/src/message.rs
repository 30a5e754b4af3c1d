//! From a letter to a message in its transport format (RFC 5322, MIME).

use std::time::{Duration, SystemTime};

use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, MultiPart, SinglePart};
use lettre::{Address, Message};
use model::email::comparable;
use model::{MailId, Timestamp};

use crate::letter::Letter;

/// Why a message could not be built. A retry does not help.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MessageError {
    #[error("the recipient is no email address")]
    Recipient,
    #[error("the template cannot be filled: {0}")]
    Template(#[from] askama::Error),
    #[error("the message cannot be put together: {0}")]
    Message(#[from] lettre::error::Error),
}

/// The message for `letter`. The same mail has the same `Message-ID` and `Date` however often it is
/// sent, so that a duplicate can be recognized.
pub(crate) fn message(
    id: MailId,
    at: Timestamp,
    from: &Mailbox,
    recipient: &str,
    letter: &Letter,
) -> Result<Message, MessageError> {
    // Only a parsed address: no name, second address or line can hide in it. Its domain is in the
    // form that mail servers know, even for mails written before that form was used.
    let to: Address = comparable(recipient)
        .parse()
        .map_err(|_| MessageError::Recipient)?;
    let date =
        SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(at.seconds()).unwrap_or(0));
    // Prevents automatic replies (RFC 3834).
    let automatic = HeaderValue::new(
        HeaderName::new_from_ascii_str("Auto-Submitted"),
        "auto-generated".to_owned(),
    );
    let message = Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(&letter.subject)
        .date(date)
        .message_id(Some(format!("<{id}@{}>", from.email.domain())))
        .raw_header(automatic)
        .multipart(
            MultiPart::alternative()
                .singlepart(plain(letter.text()?))
                .singlepart(SinglePart::html(letter.html()?)),
        )?;
    Ok(message)
}

/// Longest line that may be sent unencoded, in bytes (RFC 5322, section 2.1.1).
const MAX_LINE: usize = 998;

/// The text part. Unencoded if that is allowed, so that a link stays whole when the mail is read as
/// a file; otherwise quoted-printable breaks it after 76 characters.
fn plain(text: String) -> SinglePart {
    let may_stay = text.bytes().all(|byte| matches!(byte, b'\n' | b' '..=b'~'))
        && text.lines().all(|line| line.len() <= MAX_LINE);
    let body = if may_stay {
        Body::dangerous_pre_encoded(
            text.replace('\n', "\r\n").into_bytes(),
            ContentTransferEncoding::SevenBit,
        )
    } else {
        Body::new(text)
    };
    SinglePart::builder()
        .header(ContentType::TEXT_PLAIN)
        .body(body)
}

#[cfg(test)]
mod tests {
    use model::{Mail, MailField, MailKind};

    use super::*;
    use crate::letter::Registry;

    fn registry() -> Registry {
        Registry {
            name: "packages.example.org".to_owned(),
            public_url: "https://packages.example.org".to_owned(),
            contact: None,
        }
    }

    fn formatted(recipient: &str, user: &str) -> Result<String, MessageError> {
        let mail = Mail::new(
            MailKind::RecoveryCodesLow,
            [
                (MailField::UserName, user.to_owned()),
                (MailField::Left, "2".to_owned()),
            ],
        );
        let from = "Packages <noreply@packages.example.org>".parse().unwrap();
        let id = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let message = message(
            id,
            Timestamp::from_seconds(1_767_614_400),
            &from,
            recipient,
            &Letter::new(&mail, &registry()),
        )?;
        Ok(String::from_utf8(message.formatted()).unwrap())
    }

    #[test]
    fn a_message_is_the_same_each_time_but_for_its_boundary() {
        let text = formatted("ana@example.org", "ana").unwrap();
        let (headers, _) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            headers.contains(
                "Message-ID: <01890a5d-ac96-774b-bcce-b302099a8057@packages.example.org>"
            ),
            "{headers}"
        );
        assert!(
            headers.contains("Date: Mon, 05 Jan 2026 12:00:00 +0000")
                && headers.contains("To: ana@example.org"),
            "{headers}"
        );
        assert!(
            headers.contains("Auto-Submitted: auto-generated")
                && headers.contains("From: Packages <noreply@packages.example.org>"),
            "{headers}"
        );
        assert!(
            text.contains("text/plain")
                && text.contains("text/html")
                && text.contains("multipart/alternative"),
            "{text}"
        );
    }

    #[test]
    fn a_recipient_is_one_address_and_nothing_else() {
        for recipient in [
            "",
            "ana",
            "ana@example.org, bert@example.org",
            "ana@example.org\r\nBcc: bert@example.org",
            "Ana <ana@example.org>",
            "ana@example.org>\r\nRCPT TO:<bert@example.org",
        ] {
            assert!(
                matches!(formatted(recipient, "ana"), Err(MessageError::Recipient)),
                "{recipient:?}"
            );
        }
    }

    #[test]
    fn a_link_stands_whole_on_a_line_of_what_travels() {
        let link = format!(
            "https://packages.example.org/password/reset?link={}",
            "x".repeat(43)
        );
        let written = |user: &str| {
            let words = [
                MailField::UserName,
                MailField::RemoteAddress,
                MailField::LinkLifetime,
                MailField::Link,
            ]
            .map(|field| {
                let word = match field {
                    MailField::UserName => user,
                    MailField::Link => &link,
                    _ => "x",
                };
                (field, word.to_owned())
            });
            let letter = Letter::new(&Mail::new(MailKind::PasswordResetLink, words), &registry());
            let from = "noreply@packages.example.org".parse().unwrap();
            String::from_utf8(
                message(
                    MailId::new(),
                    Timestamp(0),
                    &from,
                    "ana@example.org",
                    &letter,
                )
                .unwrap()
                .formatted(),
            )
            .unwrap()
        };
        assert!(written("ana").contains(&format!("\r\n{link}\r\n")));
        // Non-ASCII text, and lines that are too long, are encoded.
        for odd in ["ána", &"x".repeat(499)] {
            let text = written(odd);
            assert!(
                text.is_ascii() && text.lines().all(|line| line.len() <= MAX_LINE),
                "{text}"
            );
        }
    }

    #[test]
    fn a_name_adds_no_header() {
        let text = formatted("ana@example.org", "ana\r\nBcc: bert@example.org\r\n\r\n").unwrap();
        assert!(!text.lines().any(|line| line.starts_with("Bcc")), "{text}");
    }
}
