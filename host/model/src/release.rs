//! Releases.

crate::project::words! {
    /// How far a release or one of its files is published.
    ReleaseState {
        /// Stored, and visible only to those who may publish it.
        Staged = "staged",
        /// Visible to everyone.
        Published = "published",
    }
}
