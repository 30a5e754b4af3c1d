//! Values of statements.

use std::borrow::Cow;

use model::{
    DecisionId, FileId, KeyId, MailId, ModuleDigest, ProjectId, RecoveryId, ReleaseId, SessionId,
    Timestamp, TokenId, UserId,
};
use uuid::Uuid;

/// A value for a `$N`. Nulls are typed, because PostgreSQL requires it. No `Debug`: it may be a
/// secret.
pub(crate) enum Value<'a> {
    Integer(Option<i64>),
    Boolean(bool),
    Text(Option<Cow<'a, str>>),
    Bytes(Option<Cow<'a, [u8]>>),
}

impl Value<'_> {
    /// Whether it is a text with a NUL, which PostgreSQL cannot hold.
    pub(super) fn has_nul(&self) -> bool {
        matches!(self, Self::Text(Some(text)) if text.contains('\0'))
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

macro_rules! values {
    ($($type:ty => |$value:ident| $variant:ident($some:expr)),* $(,)?) => {$(
        impl<'a> From<$type> for Value<'a> {
            fn from($value: $type) -> Self { Self::$variant(Some($some)) }
        }
        impl<'a> From<Option<$type>> for Value<'a> {
            fn from(value: Option<$type>) -> Self { Self::$variant(value.map(|$value| $some)) }
        }
    )*};
}

values! {
    i64 => |value| Integer(value),
    u32 => |value| Integer(i64::from(value)),
    Timestamp => |value| Integer(value.0),
    &'a str => |value| Text(Cow::Borrowed(value)),
    &'a String => |value| Text(Cow::Borrowed(value.as_str())),
    String => |value| Text(Cow::Owned(value)),
    Cow<'a, str> => |value| Text(value),
    Uuid => |value| Text(Cow::Owned(value.hyphenated().to_string())),
    UserId => |value| Text(Cow::Owned(value.to_string())),
    TokenId => |value| Text(Cow::Owned(value.to_string())),
    ProjectId => |value| Text(Cow::Owned(value.to_string())),
    ReleaseId => |value| Text(Cow::Owned(value.to_string())),
    FileId => |value| Text(Cow::Owned(value.to_string())),
    SessionId => |value| Text(Cow::Owned(value.to_string())),
    KeyId => |value| Text(Cow::Owned(value.to_string())),
    MailId => |value| Text(Cow::Owned(value.to_string())),
    RecoveryId => |value| Text(Cow::Owned(value.to_string())),
    DecisionId => |value| Text(Cow::Owned(value.to_string())),
    ModuleDigest => |value| Text(Cow::Owned(value.to_string())),
    &'a [u8] => |value| Bytes(Cow::Borrowed(value)),
    &'a [u8; 16] => |value| Bytes(Cow::Borrowed(value.as_slice())),
    &'a [u8; 32] => |value| Bytes(Cow::Borrowed(value.as_slice())),
}

/// The text as a log can store it: NULs replaced, at most `length` characters. For text from
/// outside that must be stored anyway; everywhere else a NUL is refused.
pub(crate) fn fitting(text: &str, length: usize) -> Cow<'_, str> {
    let cut = text
        .char_indices()
        .nth(length)
        .map_or(text, |(end, _)| &text[..end]);
    if cut.contains('\0') {
        Cow::Owned(cut.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(cut)
    }
}
