//! The routes for reading: the Simple API, the JSON API, files, and the pages of projects.

mod front;
mod files;
pub(crate) mod json_api;
mod project;
mod projects;
mod range;
mod reading;
mod simple;

use model::Action;

use crate::route::Route;
use crate::route::Verb::Get;

/// The routes of this room.
pub(crate) const ROUTES: &[Route] = &[
    Route::page("/", Action::IndexRead, |exchange| {
        Box::pin(front::front(exchange))
    }),
    Route::decided(Get, "/simple/", Action::IndexRead, |exchange| {
        Box::pin(simple::index(exchange))
    }),
    Route::decided(Get, "/simple/{project}", Action::IndexRead, |exchange| {
        Box::pin(simple::without_slash(exchange))
    }),
    Route::decided(Get, "/simple/{project}/", Action::IndexRead, |exchange| {
        Box::pin(simple::project(exchange))
    }),
    Route::page("/projects/", Action::IndexRead, |exchange| {
        Box::pin(projects::list(exchange))
    }),
    // The JSON API, flit and hatch send people here.
    Route::page("/project/{project}", Action::IndexRead, |exchange| {
        Box::pin(project::project_without_slash(exchange))
    }),
    Route::page("/project/{project}/", Action::IndexRead, |exchange| {
        Box::pin(project::project(exchange))
    }),
    Route::page(
        "/project/{project}/{version}",
        Action::IndexRead,
        |exchange| Box::pin(project::release_elsewhere(exchange)),
    ),
    Route::page(
        "/project/{project}/{version}/",
        Action::IndexRead,
        |exchange| Box::pin(project::release(exchange)),
    ),
    Route::page(
        "/legacy/{project}/{version}/",
        Action::IndexRead,
        |exchange| Box::pin(project::release_elsewhere(exchange)),
    ),
    Route::decided(Get, "/pypi/{project}/json", Action::IndexRead, |exchange| {
        Box::pin(json_api::project(exchange))
    }),
    Route::decided(
        Get,
        "/pypi/{project}/{version}/json",
        Action::IndexRead,
        |exchange| Box::pin(json_api::release(exchange)),
    ),
    Route::decided(
        Get,
        "/files/{first}/{second}/{rest}/{name}",
        Action::FileDownload,
        |exchange| Box::pin(files::download(exchange)),
    ),
    // hatch looks for the simple API below the upload address, with the plus sign encoded.
    Route::decided(
        Get,
        "/legacy/+simple/{project}/",
        Action::IndexRead,
        |exchange| Box::pin(simple::project(exchange)),
    ),
    Route::decided(
        Get,
        "/legacy/%2Bsimple/{project}/",
        Action::IndexRead,
        |exchange| Box::pin(simple::project(exchange)),
    ),
];
