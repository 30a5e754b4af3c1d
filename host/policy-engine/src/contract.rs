//! The contract with policies as Rust types: one twin for every type of `wit/policy.wit`, with the
//! same words in the same order.
//!
//! The same types serve evaluation (they are lowered into and lifted out of a sandbox), case files
//! and `explain` (they are read and written as JSON or TOML). As text, names are the contract's
//! kebab-case words; an action is `noun:verb`; flags are lists of words; a variant without a value
//! is its word, and a variant with a value is a table with a single key, for example
//! `{"second-factor-within": 900}`.

mod action;
mod caller;
mod context;
mod setting;
mod subject;
mod target;
mod verdict;

pub use action::{Action, UnknownAction};
pub use caller::{
    Assurance, Claim, CredentialKind, Factor, FactorUse, Factors, PasswordState, Principal,
    Publisher, Role, Token, TokenScope, User,
};
pub use context::{Change, Context, Method, NewToken, Request, RoleChange, Sections};
pub use setting::{Descriptor, Range, Setting, SettingError, SettingKind, SettingValue};
pub use subject::Subject;
pub use target::{
    File, FileKind, Metadata, Project, ProjectStatus, Release, ReleaseState, VersionOrder,
};
pub use verdict::{Obligation, Outcome, Page, Reason, Requirement, Verdict};

pub(crate) use context::ContextView;
pub(crate) use subject::Area;

/// Defines a closed set of words: an `enum` of the contract.
macro_rules! words {
    (
        $(#[$attribute:meta])*
        $name:ident {
            $($(#[$case_attribute:meta])* $case:ident = $text:literal,)*
        }
    ) => {
        $(#[$attribute])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord,
            serde::Serialize, serde::Deserialize,
            wasmtime::component::ComponentType, wasmtime::component::Lower, wasmtime::component::Lift,
        )]
        #[component(enum)]
        #[repr(u8)]
        pub enum $name {
            $($(#[$case_attribute])* #[component(name = $text)] #[serde(rename = $text)] $case,)*
        }

        impl $name {
            /// Every case, in the order of the contract.
            pub const ALL: &'static [$name] = &[$($name::$case),*];

            /// The word of the contract.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$case => $text),* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str(self.as_str())
            }
        }
    };
}
use words;

/// Gives a `flags` type of the contract its text form, a list of words.
macro_rules! flag_words {
    ($name:ident { $($flag:ident = $text:literal,)* }) => {
        impl $name {
            /// Every flag with its word, in the order of the contract.
            pub const ALL: &'static [($name, &'static str)] = &[$(($name::$flag, $text)),*];

            /// Whether no flag is set.
            pub fn is_empty(self) -> bool {
                self == $name::empty()
            }

            /// The words of the flags that are set, in the order of the contract.
            pub fn words(self) -> impl Iterator<Item = &'static str> {
                $name::ALL.iter().filter(move |(flag, _)| self.contains(*flag)).map(|(_, word)| *word)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq(self.words())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let mut flags = $name::empty();
                for word in <Vec<String> as serde::Deserialize>::deserialize(deserializer)? {
                    let Some((flag, _)) = $name::ALL.iter().find(|(_, known)| *known == word) else {
                        return Err(serde::de::Error::unknown_variant(&word, &[$($text),*]));
                    };
                    flags |= *flag;
                }
                Ok(flags)
            }
        }
    };
}
use flag_words;
