//! How the fields of a detail are written and read.
//!
//! Invariant: no stored event makes reading fail. A value that an older version left out is missing
//! (an empty text, no number, none), and an unknown word stays a text.

use std::fmt;

use serde_json::{Map, Value};

use super::parts::{ConfirmedBy, Demand, LoginDevice, LoginMethod};
use crate::action::Action;
use crate::caller::{CredentialKind, Factor};
use crate::device::{DeviceKind, KeyKind};
use crate::id::{KeyId, MailId, RecoveryId, SessionId, TokenId, UserId};
use crate::mail::MailKind;
use crate::project::{ProjectStatus, Role};

/// A word of a closed list, or an id, as it is in an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word<T> {
    Known(T),
    /// What another version wrote; empty if it wrote nothing.
    Other(String),
}

impl<T: Copy> Word<T> {
    /// The value, unless only another version knows it.
    pub fn known(&self) -> Option<T> {
        match self {
            Self::Known(value) => Some(*value),
            Self::Other(_) => None,
        }
    }
}

impl<T> From<T> for Word<T> {
    fn from(value: T) -> Self {
        Self::Known(value)
    }
}

impl<T: PartialEq> PartialEq<T> for Word<T> {
    fn eq(&self, other: &T) -> bool {
        matches!(self, Self::Known(value) if value == other)
    }
}

impl<T: Spelled> fmt::Display for Word<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(value) => out.write_str(&value.spelled()),
            Self::Other(text) => out.write_str(text),
        }
    }
}

/// A type with one text for each value.
pub(super) trait Spelled: Copy {
    fn spelled(self) -> String;
    fn from_text(text: &str) -> Option<Self>;
}

macro_rules! spelled {
    (words $($word:ident),*; ids $($id:ident),* $(,)?) => {
        $(impl Spelled for $word {
            fn spelled(self) -> String { self.as_str().to_owned() }
            fn from_text(text: &str) -> Option<Self> { Self::from_word(text) }
        })*
        $(impl Spelled for $id {
            fn spelled(self) -> String { self.to_string() }
            fn from_text(text: &str) -> Option<Self> { text.parse().ok() }
        })*
    };
}

spelled! {
    words CredentialKind, Demand, DeviceKind, Factor, KeyKind, LoginDevice, LoginMethod, MailKind, ProjectStatus, Role;
    ids Action, KeyId, MailId, RecoveryId, SessionId, TokenId, UserId,
}

impl Spelled for ConfirmedBy {
    fn spelled(self) -> String {
        match self {
            Self::Password => "password".to_owned(),
            Self::Factor(factor) => factor.spelled(),
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        match text {
            "password" => Some(Self::Password),
            _ => Factor::from_word(text).map(Self::Factor),
        }
    }
}

/// A value of a detail. A secret must never be one.
pub(super) trait Field: Sized {
    fn to_json(&self) -> Value;
    /// None if the value is not in the form that this type is written in.
    fn from_json(stored: &Value) -> Option<Self>;
    /// The value to use if it is missing.
    fn missing() -> Self;

    fn read(fields: &Value, key: &str) -> Self {
        fields
            .get(key)
            .and_then(Self::from_json)
            .unwrap_or_else(Self::missing)
    }
}

/// Several fields that only make sense together.
pub(super) trait Fields: Sized {
    fn write(&self, fields: &mut Map<String, Value>);
    fn read(fields: &Value) -> Self;
}

impl Field for String {
    fn to_json(&self) -> Value {
        Value::from(self.as_str())
    }

    fn from_json(stored: &Value) -> Option<Self> {
        stored.as_str().map(str::to_owned)
    }

    fn missing() -> Self {
        Self::new()
    }
}

impl Field for bool {
    fn to_json(&self) -> Value {
        Value::from(*self)
    }

    fn from_json(stored: &Value) -> Option<Self> {
        stored.as_bool()
    }

    fn missing() -> Self {
        false
    }
}

impl Field for u64 {
    fn to_json(&self) -> Value {
        Value::from(*self)
    }

    fn from_json(stored: &Value) -> Option<Self> {
        stored.as_u64()
    }

    fn missing() -> Self {
        0
    }
}

impl Field for i64 {
    fn to_json(&self) -> Value {
        Value::from(*self)
    }

    fn from_json(stored: &Value) -> Option<Self> {
        stored.as_i64()
    }

    fn missing() -> Self {
        0
    }
}

/// Settings of a policy, chosen by others. Stored unchanged.
impl Field for Value {
    fn to_json(&self) -> Value {
        self.clone()
    }

    fn from_json(stored: &Value) -> Option<Self> {
        Some(stored.clone())
    }

    fn missing() -> Self {
        Value::Null
    }
}

impl<T: Spelled> Field for Word<T> {
    fn to_json(&self) -> Value {
        Value::from(self.to_string())
    }

    fn from_json(stored: &Value) -> Option<Self> {
        let text = stored.as_str()?;
        Some(T::from_text(text).map_or_else(|| Self::Other(text.to_owned()), Self::Known))
    }

    fn missing() -> Self {
        Self::Other(String::new())
    }
}

impl<T: Field> Field for Option<T> {
    fn to_json(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::to_json)
    }

    fn from_json(stored: &Value) -> Option<Self> {
        Some(match stored {
            Value::Null => None,
            stored => T::from_json(stored),
        })
    }

    fn missing() -> Self {
        None
    }
}

impl<T: Field> Field for Vec<T> {
    fn to_json(&self) -> Value {
        self.iter().map(T::to_json).collect()
    }

    fn from_json(stored: &Value) -> Option<Self> {
        Some(stored.as_array()?.iter().filter_map(T::from_json).collect())
    }

    fn missing() -> Self {
        Self::new()
    }
}

/// A source of requests, and how many came from it.
impl Field for (String, u64) {
    fn to_json(&self) -> Value {
        [Value::from(self.0.as_str()), Value::from(self.1)]
            .into_iter()
            .collect()
    }

    fn from_json(stored: &Value) -> Option<Self> {
        let [source, count] = stored.as_array()?.as_slice() else {
            return None;
        };
        Some((source.as_str()?.to_owned(), count.as_u64()?))
    }

    fn missing() -> Self {
        (String::new(), 0)
    }
}

/// Writes one field, or several that only make sense together.
macro_rules! write_field {
    ($fields:ident, _, $value:expr,) => {
        super::field::Fields::write($value, &mut $fields)
    };
    ($fields:ident, $key:tt, $value:expr,) => {
        $fields.insert($key.to_owned(), super::field::Field::to_json($value))
    };
    ($fields:ident, $key:tt, $value:expr, unless_none) => {
        if let Some(value) = $value {
            $fields.insert($key.to_owned(), super::field::Field::to_json(value));
        }
    };
}

/// Reads what [`write_field`] wrote.
macro_rules! read_field {
    ($fields:ident, _) => {
        super::field::Fields::read($fields)
    };
    ($fields:ident, $key:tt) => {
        super::field::Field::read($fields, $key)
    };
}

/// The list of events: for each its kind, its word, and its fields with their storage keys. `_` in
/// place of a key: several fields that only make sense together. `unless_none`: a missing value has
/// no key at all, instead of `null`.
macro_rules! details {
    ($(
        $(#[$doc:meta])*
        $variant:ident = $word:literal
        $({ $($(#[$field_doc:meta])* $field:ident: $type:ty = $key:tt $($unless:ident)?),* $(,)? })?
    ),* $(,)?) => {
        crate::project::words! {
            /// What happened.
            EventKind { $($(#[$doc])* $variant = $word),* }
        }

        /// What happened, with all details. Never a secret.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Detail {
            $($(#[$doc])* $variant $({ $($(#[$field_doc])* $field: $type),* })?),*
        }

        impl Detail {
            pub fn kind(&self) -> EventKind {
                match self { $(Self::$variant { .. } => EventKind::$variant),* }
            }

            /// As it is stored, an object.
            pub fn to_json(&self) -> Value {
                let mut fields = Map::new();
                match self {
                    $(Self::$variant $({ $($field),* })? => {
                        $($(super::field::write_field!(fields, $key, $field, $($unless)?);)*)?
                    })*
                }
                Value::Object(fields)
            }

            /// Reads a stored detail, whatever version wrote it.
            pub fn read(kind: EventKind, stored: &Value) -> Self {
                match kind {
                    $(EventKind::$variant => Self::$variant $({
                        $($field: super::field::read_field!(stored, $key)),*
                    })?),*
                }
            }
        }
    };
}

pub(super) use {details, read_field, write_field};
