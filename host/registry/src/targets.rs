//! What decisions are made about. Each holds what its use case acts on and the facts a
//! decision may use, loaded in one go by the loader of its use case.

use gate::{Target, TargetFacts};
use model::Action;

macro_rules! targets {
    ($($(#[$doc:meta])* $name:ident = $action:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {}

        impl Target for $name {
            fn facts(&self) -> TargetFacts<'_> { TargetFacts::of(Action::$action) }
        }
    )*};
}

targets! {
    /// Upload one file.
    UploadFile = FileUpload,
    /// Create a project by a first upload.
    CreateProject = ProjectCreate,
    /// Read the list of projects or a project's pages.
    ReadIndex = IndexRead,
    /// Download a file or its metadata.
    DownloadFile = FileDownload,
    /// See staged releases.
    PreviewReleases = ReleasePreview,
    /// Publish a staged release.
    PublishRelease = ReleasePublish,
    /// Throw a staged release away.
    RejectRelease = ReleaseReject,
    /// Give a user a role.
    GrantRole = RoleGrant,
    /// Take a role away.
    RevokeRole = RoleRevoke,
    /// Change what the owners chose for a policy.
    ConfigureProject = ProjectConfigure,
    /// Change a project's status.
    SetProjectStatus = ProjectConfigure,
}
