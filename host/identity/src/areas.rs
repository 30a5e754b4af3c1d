//! What a handle to an area of this crate is.
//!
//! Each area of [`Identity`](crate::Identity) is a borrowed handle with the use cases of one noun:
//! `identity.sessions().list(permit)`. It is declared with [`area!`] in the file of its noun, and
//! reached by the accessor in `lib.rs`, which is the list of them. Files beside that one may add
//! to an area, and an area asks another one by its accessor.

/// Declares the handle of an area.
macro_rules! area {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub struct $name<'a> {
            pub(crate) identity: &'a crate::Identity,
        }

        #[allow(dead_code, reason = "each area takes of it what it needs")]
        impl<'a> $name<'a> {
            pub(crate) fn storage(self) -> &'a storage::Storage {
                self.identity.storage()
            }

            pub(crate) fn config(self) -> &'a crate::IdentityConfig {
                self.identity.config()
            }

            pub(crate) fn now(self) -> model::Timestamp {
                self.identity.now()
            }
        }
    };
}

pub(crate) use area;
