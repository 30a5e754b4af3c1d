//! The fields of forms: each named once, with its label and whether it is a secret.

use std::borrow::Cow;

/// One field of a form of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    /// What people read; empty for a hidden field.
    pub(crate) label: &'static str,
    /// If so, it is never written into a page, whichever form it comes with.
    pub(crate) is_secret: bool,
}

/// The fields of one form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields {
    /// The name of the type that lists them.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test holds templates to it"))]
    pub(crate) of: &'static str,
    pub(crate) all: &'static [Field],
}

/// The names of secrets of all these forms.
pub(crate) fn secrets<'a>(forms: impl Iterator<Item = &'a Fields>) -> Vec<&'static str> {
    forms
        .flat_map(|form| form.all)
        .filter(|field| field.is_secret)
        .map(|field| field.name)
        .collect()
}

/// A field that a summary of errors can name, be it one of ours or one of a policy.
pub(crate) trait Labelled {
    fn name(&self) -> &str;
    fn label(&self) -> &str;
}

impl Labelled for Field {
    fn name(&self) -> &str {
        self.name
    }

    fn label(&self) -> &str {
        self.label
    }
}

impl AsRef<str> for Field {
    fn as_ref(&self) -> &str {
        self.name
    }
}

impl From<Field> for Cow<'static, str> {
    fn from(field: Field) -> Self {
        Self::Borrowed(field.name)
    }
}

/// Names the fields of a form, each with its label; `secret` marks those that are secrets. A form
/// belongs in `FORMS` of its room, from which the names of all secrets are collected.
macro_rules! fields {
    ($of:ident { $($field:ident = $name:literal: $label:literal $(, $secret:ident)?;)+ }) => {
        pub(crate) struct $of;

        impl $of {
            $(pub(crate) const $field: $crate::frame::fields::Field =
                $crate::frame::fields::Field {
                    name: $name,
                    label: $label,
                    is_secret: $crate::frame::fields::fields!(@ $($secret)?),
                };)+
            pub(crate) const ALL: &'static [$crate::frame::fields::Field] = &[$(Self::$field),+];
            pub(crate) const FORM: $crate::frame::fields::Fields = $crate::frame::fields::Fields {
                of: stringify!($of),
                all: Self::ALL,
            };
        }
    };
    (@) => { false };
    (@ secret) => { true };
}
pub(crate) use fields;

/// The fields of a form whose errors all concern it as a whole.
pub(crate) const NONE: &[Field] = &[];

fields! {
    // Filled in by the script for security keys, in any form that uses it.
    OfKeys {
        CEREMONY = "ceremony": "", secret;
        RESPONSE = "response": "", secret;
    }
}

fields! {
    // Carries the secret of a mailed link into the form of its page.
    OfLinks {
        LINK = "link": "", secret;
    }
}

/// Forms used by every room.
pub(crate) const FORMS: &[Fields] = &[OfKeys::FORM, OfLinks::FORM];
