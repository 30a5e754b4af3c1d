//! Releases.

crate::project::words! {
    /// Where a release or one of its files is on its way to readers.
    ReleaseState {
        /// Stored, and visible to nobody but those who may publish it.
        Staged = "staged",
        /// Visible to everyone.
        Published = "published",
    }
}
