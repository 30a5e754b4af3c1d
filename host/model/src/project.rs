//! Projects and the roles people have on them.

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vdoc])* $variant),* }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [$name] = &[$($name::$variant),*];

            /// The word used in the database, in logs and on the wire.
            pub fn as_str(self) -> &'static str { match self { $($name::$variant => $text),* } }

            /// Reads the word back.
            pub fn from_word(text: &str) -> Option<Self> { Self::ALL.iter().copied().find(|value| value.as_str() == text) }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { out.write_str(self.as_str()) }
        }
    };
}
pub(crate) use words;

words! {
    /// What a person may do on a project. Ordered: an owner may do all that a maintainer may.
    Role {
        /// Upload.
        Maintainer = "maintainer",
        /// Upload and manage.
        Owner = "owner",
    }
}

words! {
    /// The status of a project (PEP 792).
    ProjectStatus {
        /// Open for uploads.
        Active = "active",
        /// Readable, closed to uploads.
        Archived = "archived",
        /// Hidden for safety.
        Quarantined = "quarantined",
        /// Open, but its owners recommend against its use.
        Deprecated = "deprecated",
    }
}
