//! Handles to the areas of this crate.
//!
//! Each area of [`Identity`](crate::Identity) is a borrowed handle with the use cases of one noun:
//! `identity.sessions().list(permit)`. [`area!`] declares it in the file of its noun, and an
//! accessor in `lib.rs` returns it; `lib.rs` lists them all. Other files may add to an area, and an
//! area reaches another one by its accessor.

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
