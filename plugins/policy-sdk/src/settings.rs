//! Settings: declared once with [`settings!`](crate::settings!), read as a plain struct.

use std::marker::PhantomData;

use crate::action::ActionSet;
use crate::contract::{Setting, SettingError, SettingKind, SettingValue};

/// A struct of settings, made by [`settings!`](crate::settings!). `()` has none.
pub trait Settings: Default + Sized {
    /// The settings, in the order of the fields.
    fn describe() -> Vec<Setting>;

    /// Reads one value for each field, in their order.
    fn read(values: Vec<SettingValue>) -> Self;
}

impl Settings for () {
    fn describe() -> Vec<Setting> {
        Vec::new()
    }

    fn read(_: Vec<SettingValue>) -> Self {}
}

/// The possible types of a field: each stands for one kind of value.
pub trait Value: Sized {
    /// Reads the value; `None` if it is of another kind.
    fn from_setting(value: SettingValue) -> Option<Self>;
}

impl Value for bool {
    fn from_setting(value: SettingValue) -> Option<Self> {
        if let SettingValue::Boolean(value) = value {
            Some(value)
        } else {
            None
        }
    }
}

impl Value for i64 {
    fn from_setting(value: SettingValue) -> Option<Self> {
        if let SettingValue::Integer(value) = value {
            Some(value)
        } else {
            None
        }
    }
}

/// Seconds.
impl Value for u32 {
    fn from_setting(value: SettingValue) -> Option<Self> {
        if let SettingValue::Integer(value) = value {
            u32::try_from(value).ok()
        } else {
            None
        }
    }
}

impl Value for String {
    fn from_setting(value: SettingValue) -> Option<Self> {
        if let SettingValue::Text(value) = value {
            Some(value)
        } else {
            None
        }
    }
}

impl Value for Vec<String> {
    fn from_setting(value: SettingValue) -> Option<Self> {
        if let SettingValue::Texts(value) = value {
            Some(value)
        } else {
            None
        }
    }
}

impl Value for ActionSet {
    fn from_setting(value: SettingValue) -> Option<Self> {
        if let SettingValue::Actions(value) = value {
            Some(value.into_iter().collect())
        } else {
            None
        }
    }
}

/// A closed set of words that a setting offers; made by [`choice!`](crate::choice!).
pub trait Choice: Copy + 'static {
    /// Every value, in order.
    const ALL: &'static [Self];

    /// The word shown for it.
    fn word(self) -> &'static str;

    /// Its position in `ALL`.
    fn position(self) -> u32;
}

/// The properties of one field: label, kind and default. Made by the functions of [`offer`].
pub struct Offer<T> {
    label: &'static str,
    kind: SettingKind,
    default: SettingValue,
    of: PhantomData<T>,
}

impl<T: Value> Offer<T> {
    fn new(label: &'static str, kind: SettingKind, default: SettingValue) -> Self {
        Self {
            label,
            kind,
            default,
            of: PhantomData,
        }
    }

    /// The setting as the host sees it. Its name is the field's, with hyphens.
    pub fn describe(self, field: &str, help: &str) -> Setting {
        Setting {
            name: field.replace('_', "-"),
            label: self.label.to_owned(),
            help: help.trim().to_owned(),
            kind: self.kind,
            default: self.default,
        }
    }

    /// The default.
    pub fn default(self) -> T {
        next(&mut std::iter::once(self.default))
    }
}

/// The kinds of settings. In scope, without a prefix, inside `settings!`.
pub mod offer {
    use std::ops::RangeInclusive;

    use super::{Choice, Offer, Value};
    use crate::action::ActionSet;
    use crate::contract::{Range, SettingKind, SettingValue};

    /// On or off.
    pub fn boolean(label: &'static str, default: bool) -> Offer<bool> {
        Offer::new(label, SettingKind::Boolean, SettingValue::Boolean(default))
    }

    /// A whole number.
    pub fn integer(label: &'static str, range: RangeInclusive<i64>, default: i64) -> Offer<i64> {
        let range = Range {
            minimum: *range.start(),
            maximum: *range.end(),
        };
        Offer::new(
            label,
            SettingKind::Integer(range),
            SettingValue::Integer(default),
        )
    }

    /// A number of seconds.
    pub fn seconds(label: &'static str, range: RangeInclusive<u32>, default: u32) -> Offer<u32> {
        let range = Range {
            minimum: i64::from(*range.start()),
            maximum: i64::from(*range.end()),
        };
        Offer::new(
            label,
            SettingKind::Seconds(range),
            SettingValue::Integer(i64::from(default)),
        )
    }

    /// Text of at most `max` characters.
    pub fn text(label: &'static str, max: u32, default: &str) -> Offer<String> {
        Offer::new(
            label,
            SettingKind::Text(max),
            SettingValue::Text(default.to_owned()),
        )
    }

    /// At most `max` texts of at most 200 characters.
    pub fn texts(label: &'static str, max: u32, default: &[&str]) -> Offer<Vec<String>> {
        Offer::new(
            label,
            SettingKind::Texts(max),
            SettingValue::Texts(default.iter().map(|&text| text.to_owned()).collect()),
        )
    }

    /// One of the words of a [`choice!`](crate::choice!).
    pub fn choice<T: Choice + Value>(label: &'static str, default: T) -> Offer<T> {
        let words = T::ALL.iter().map(|value| value.word().to_owned()).collect();
        Offer::new(
            label,
            SettingKind::Choice(words),
            SettingValue::Choice(default.position()),
        )
    }

    /// A set of actions.
    pub fn actions(label: &'static str, default: impl Into<ActionSet>) -> Offer<ActionSet> {
        Offer::new(
            label,
            SettingKind::Actions,
            SettingValue::Actions(default.into().iter().collect()),
        )
    }
}

/// Reads the next value. The host checks every value against `describe` before it calls, so a
/// missing value or one of another kind means a broken host: stop, which denies.
pub fn next<T: Value>(values: &mut impl Iterator<Item = SettingValue>) -> T {
    match values.next().and_then(T::from_setting) {
        Some(value) => value,
        None => mismatch(),
    }
}

#[cfg(target_arch = "wasm32")]
fn mismatch() -> ! {
    core::arch::wasm32::unreachable()
}

#[cfg(not(target_arch = "wasm32"))]
fn mismatch() -> ! {
    panic!("the values do not fit the settings that `describe` offers")
}

impl SettingError {
    /// The problem with a setting, and what would be right.
    pub fn new(setting: impl Into<String>, message: impl Into<String>) -> Self {
        SettingError {
            setting: setting.into(),
            message: message.into(),
        }
    }
}

/// Declares settings as a struct. The doc comment of a field is its help text, the field's name is
/// its name in set files (with hyphens), and the expression gives its kind and default; see
/// [`settings::offer`](mod@crate::settings::offer) for the kinds.
#[macro_export]
macro_rules! settings {
    ($(#[$meta:meta])* $visibility:vis struct $name:ident {
        $( $(#[doc = $help:literal])+ $field_visibility:vis $field:ident : $type:ty = $offer:expr ),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        $visibility struct $name {
            $( $(#[doc = $help])+ $field_visibility $field: $type ),*
        }

        impl $crate::settings::Settings for $name {
            fn describe() -> ::std::vec::Vec<$crate::contract::Setting> {
                #[allow(unused_imports)]
                use $crate::settings::offer::*;
                ::std::vec![$( {
                    let offer: $crate::settings::Offer<$type> = $offer;
                    offer.describe(stringify!($field), concat!($($help),+))
                } ),*]
            }

            fn read(values: ::std::vec::Vec<$crate::contract::SettingValue>) -> Self {
                let mut values = values.into_iter();
                Self { $( $field: $crate::settings::next(&mut values) ),* }
            }
        }

        impl ::std::default::Default for $name {
            fn default() -> Self {
                #[allow(unused_imports)]
                use $crate::settings::offer::*;
                Self { $( $field: { let offer: $crate::settings::Offer<$type> = $offer; offer.default() } ),* }
            }
        }
    };
}

/// Declares a closed set of words for a setting:
/// `choice! { pub enum Mode { Off = "off", All = "all" } }`. Ordered as written.
#[macro_export]
macro_rules! choice {
    ($(#[$meta:meta])* $visibility:vis enum $name:ident { $( $(#[$variant_meta:meta])* $variant:ident = $word:literal ),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        $visibility enum $name { $( $(#[$variant_meta])* $variant ),* }

        impl $crate::settings::Choice for $name {
            const ALL: &'static [Self] = &[$( Self::$variant ),*];

            fn word(self) -> &'static str {
                match self { $( Self::$variant => $word ),* }
            }

            fn position(self) -> u32 {
                self as u32
            }
        }

        impl $crate::settings::Value for $name {
            fn from_setting(value: $crate::contract::SettingValue) -> ::std::option::Option<Self> {
                match value {
                    $crate::contract::SettingValue::Choice(position) => <Self as $crate::settings::Choice>::ALL.get(position as usize).copied(),
                    _ => None,
                }
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Action, Range};

    choice! {
        enum Mode { Off = "off", Some = "some", All = "all" }
    }

    settings! {
        struct Offered {
            /// Says how much
            /// is held.
            hold_back: Mode = choice("Hold back", Mode::Some),
            /// How old.
            within: u32 = seconds("At most this old", 0..=86_400, 300),
            /// Which.
            which: ActionSet = actions("Which", &[Action::FileUpload, Action::IndexRead, Action::FileUpload]),
            /// Names.
            names: Vec<String> = texts("Names", 3, &["a"]),
        }
    }

    #[test]
    fn a_field_becomes_a_setting_with_its_doc_comment_as_help() {
        let described = Offered::describe();
        assert_eq!(described[0].name, "hold-back");
        assert_eq!(described[0].help, "Says how much is held.");
        assert_eq!(
            described[0].kind,
            SettingKind::Choice(vec!["off".into(), "some".into(), "all".into()])
        );
        assert_eq!(described[0].default, SettingValue::Choice(1));
        assert_eq!(
            described[1].kind,
            SettingKind::Seconds(Range {
                minimum: 0,
                maximum: 86_400
            })
        );
        assert_eq!(
            described[2].default,
            SettingValue::Actions(vec![Action::IndexRead, Action::FileUpload])
        );
    }

    #[test]
    fn the_described_defaults_read_as_the_default() {
        let defaults = Offered::describe()
            .into_iter()
            .map(|setting| setting.default)
            .collect();
        assert_eq!(Offered::read(defaults), Offered::default());
    }

    #[test]
    #[should_panic(expected = "do not fit")]
    fn a_value_of_another_kind_is_never_read_as_a_default() {
        Offered::read(vec![SettingValue::Boolean(true)]);
    }
}
