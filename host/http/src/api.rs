//! The JSON API for programs of a project's people.

mod staged;

use model::Action;

use crate::route::Route;
use crate::route::Verb::Get;

/// The routes of this room.
pub(crate) const ROUTES: &[Route] = &[
    Route::decided(
        Get,
        "/api/projects/{project}/staged",
        Action::ReleasePreview,
        |exchange| Box::pin(staged::list(exchange)),
    ),
    Route::proven(
        "/api/projects/{project}/staged",
        Action::ReleasePreview,
        |exchange| Box::pin(staged::list(exchange)),
    ),
    Route::proven(
        "/api/projects/{project}/releases/{version}/publish",
        Action::ReleasePublish,
        |exchange| Box::pin(staged::publish(exchange)),
    ),
    Route::proven(
        "/api/projects/{project}/releases/{version}/reject",
        Action::ReleaseReject,
        |exchange| Box::pin(staged::reject(exchange)),
    ),
];
