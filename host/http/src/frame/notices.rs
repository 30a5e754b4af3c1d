//! Sentences on top of a page, and the texts of `?notice=<word>`.

use super::link::Link;

/// The kind of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoticeKind {
    /// Something was done.
    Done,
    /// Something to know.
    Note,
    /// Something that needs attention.
    Warning,
}

impl NoticeKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Note => "note",
            Self::Warning => "warning",
        }
    }

    pub(crate) fn role(self) -> &'static str {
        if self == Self::Warning {
            "alert"
        } else {
            "status"
        }
    }
}

/// A sentence on top of a page.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    pub(crate) kind: NoticeKind,
    pub(crate) text: String,
    /// Where to act on it.
    pub(crate) link: Option<Link>,
}

impl Notice {
    pub(crate) fn new(kind: NoticeKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            link: None,
        }
    }

    /// The notice for a word of a URL; none if the word is not on the list.
    pub(crate) fn named(word: &str) -> Option<Self> {
        NOTICES
            .iter()
            .find(|(known, ..)| *known == word)
            .map(|(_, kind, text)| Self::new(*kind, *text))
    }
}

/// What `?notice=<word>` may show on the page after a change. A closed list: a link from elsewhere
/// must not put words into the registry's mouth, so each text is harmless if nothing happened.
const NOTICES: &[(&str, NoticeKind, &str)] = &[
    ("saved", NoticeKind::Done, "Saved."),
    ("logged-in", NoticeKind::Done, "You are logged in."),
    ("logged-out", NoticeKind::Done, "You are logged out."),
    ("log-in", NoticeKind::Note, "Log in to continue."),
    (
        "session-ended",
        NoticeKind::Note,
        "You were logged out because your session expired or was ended. Log in to continue.",
    ),
    (
        "not-done",
        NoticeKind::Warning,
        "You are no longer logged in, so what you just sent was not done. Log in, then try again.",
    ),
    (
        "login-expired",
        NoticeKind::Note,
        "The login was not finished in time. Log in again.",
    ),
    (
        "device-confirmed",
        NoticeKind::Done,
        "This browser is confirmed. Log in again.",
    ),
    (
        "account-created",
        NoticeKind::Done,
        "Your account has been created. Log in to continue.",
    ),
    (
        "account-deleted",
        NoticeKind::Done,
        "The account is deleted.",
    ),
    (
        "account-secured",
        NoticeKind::Done,
        "Every session is ended and every token revoked. We have mailed you a link to set a new password.",
    ),
    (
        "password-changed",
        NoticeKind::Done,
        "Your password is changed.",
    ),
    (
        "password-reset",
        NoticeKind::Done,
        "Your password is changed. Log in with it.",
    ),
    (
        "email-added",
        NoticeKind::Done,
        "We have sent a link to the address. Open it to verify the address.",
    ),
    (
        "email-verified",
        NoticeKind::Done,
        "The address is verified.",
    ),
    (
        "email-promoted",
        NoticeKind::Done,
        "Your primary address is changed.",
    ),
    ("email-removed", NoticeKind::Done, "The address is removed."),
    (
        "email-link-sent",
        NoticeKind::Done,
        "We have sent the link again.",
    ),
    (
        "factor-added",
        NoticeKind::Done,
        "The second factor is added.",
    ),
    (
        "factor-removed",
        NoticeKind::Done,
        "The second factor is removed.",
    ),
    ("key-added", NoticeKind::Done, "The key is added."),
    ("key-renamed", NoticeKind::Done, "The key has its new name."),
    ("key-removed", NoticeKind::Done, "The key is removed."),
    (
        "codes-confirmed",
        NoticeKind::Done,
        "Your recovery codes are confirmed. Now add a second factor.",
    ),
    (
        "session-ended-by-you",
        NoticeKind::Done,
        "The session is ended.",
    ),
    (
        "sessions-ended",
        NoticeKind::Done,
        "All other sessions are ended.",
    ),
    (
        "device-forgotten",
        NoticeKind::Done,
        "Forgotten. The next login from there must be confirmed by email.",
    ),
    (
        "token-revoked",
        NoticeKind::Done,
        "The token has been revoked and no longer works.",
    ),
    ("proven", NoticeKind::Done, "Confirmed. You can continue."),
    (
        "recovery-started",
        NoticeKind::Done,
        "The recovery has started. We emailed the account's owner.",
    ),
    (
        "recovery-cancelled",
        NoticeKind::Done,
        "The recovery is stopped.",
    ),
];
