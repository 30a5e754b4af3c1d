//! The one table of everything that can be asked over HTTP.
//!
//! The router is built from [`ROUTES`] and from nothing else. A row either names the action
//! that the gate decides, or is open: answered without a decision, because it tells nothing
//! about projects, people or policies and changes nothing.

use futures_util::future::BoxFuture;
use model::Action;

use crate::exchange::{Exchange, OpenExchange};
use crate::problem::Answer;
use crate::{files, health, json_api, metrics, pages, simple, staged, upload};

/// The methods that a route answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `GET`, and `HEAD` with the same headers and no body.
    Get,
    /// `POST`.
    Post,
}

impl Verb {
    /// The HTTP methods.
    pub fn methods(self) -> &'static [&'static str] {
        match self {
            Verb::Get => &["GET", "HEAD"],
            Verb::Post => &["POST"],
        }
    }
}

/// Whether the gate decides requests to a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The gate decides about this action.
    Decided(Action),
    /// Nothing is decided and no credential is looked at.
    Open,
}

/// What a route takes for a credential. Whatever valid one it is yields a principal; it is
/// the policies that refuse it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// None is looked at (open routes).
    Unread,
    /// `Authorization` headers.
    Headers,
    /// `Authorization` headers; without one, a person who proves password and second factor
    /// in a JSON body `{"user": …, "password": …, "totp": …}`.
    HeadersOrPerson,
}

/// One row of the table.
pub struct Route {
    pub verb: Verb,
    /// Path with `{parameters}`; also the name of the route in logs, metrics and policies.
    pub path: &'static str,
    pub access: Access,
    pub credentials: Credentials,
    pub(crate) handler: Handler,
}

/// What serves a route. The two kinds take different arguments, so an open route has no
/// caller to trust and a decided one always has.
#[derive(Clone, Copy)]
pub(crate) enum Handler {
    Open(fn(OpenExchange) -> BoxFuture<'static, Answer>),
    Decided(fn(Exchange) -> BoxFuture<'static, Answer>),
}

impl Route {
    const fn decided(verb: Verb, path: &'static str, action: Action, handler: fn(Exchange) -> BoxFuture<'static, Answer>) -> Self {
        Self { verb, path, access: Access::Decided(action), credentials: Credentials::Headers, handler: Handler::Decided(handler) }
    }

    /// Like `decided`, for what a person does with password and second factor in the call itself.
    const fn proven(path: &'static str, action: Action, handler: fn(Exchange) -> BoxFuture<'static, Answer>) -> Self {
        Self { credentials: Credentials::HeadersOrPerson, ..Self::decided(Verb::Post, path, action, handler) }
    }

    const fn open(verb: Verb, path: &'static str, handler: fn(OpenExchange) -> BoxFuture<'static, Answer>) -> Self {
        Self { verb, path, access: Access::Open, credentials: Credentials::Unread, handler: Handler::Open(handler) }
    }

    /// The action, where one is decided.
    pub fn action(&self) -> Option<Action> {
        match self.access {
            Access::Decided(action) => Some(action),
            Access::Open => None,
        }
    }
}

impl std::fmt::Debug for Route {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:?} {} {:?} {:?}", self.verb, self.path, self.access, self.credentials)
    }
}

/// Every route there is.
pub fn routes() -> &'static [Route] {
    ROUTES
}

use Verb::{Get, Post};

/// The table.
static ROUTES: &[Route] = &[
    // What pip, uv and people read.
    Route::decided(Get, "/", Action::IndexRead, |exchange| Box::pin(pages::front(exchange))),
    Route::decided(Get, "/simple/", Action::IndexRead, |exchange| Box::pin(simple::index(exchange))),
    Route::decided(Get, "/simple/{project}", Action::IndexRead, |exchange| Box::pin(simple::without_slash(exchange))),
    Route::decided(Get, "/simple/{project}/", Action::IndexRead, |exchange| Box::pin(simple::project(exchange))),
    // What the JSON API, flit and hatch send people to.
    Route::decided(Get, "/project/{project}", Action::IndexRead, |exchange| Box::pin(pages::project::project_without_slash(exchange))),
    Route::decided(Get, "/project/{project}/", Action::IndexRead, |exchange| Box::pin(pages::project::project(exchange))),
    Route::decided(Get, "/project/{project}/{version}", Action::IndexRead, |exchange| Box::pin(pages::project::release_elsewhere(exchange))),
    Route::decided(Get, "/project/{project}/{version}/", Action::IndexRead, |exchange| Box::pin(pages::project::release(exchange))),
    Route::decided(Get, "/legacy/{project}/{version}/", Action::IndexRead, |exchange| Box::pin(pages::project::release_elsewhere(exchange))),
    Route::decided(Get, "/pypi/{project}/json", Action::IndexRead, |exchange| Box::pin(json_api::project(exchange))),
    Route::decided(Get, "/pypi/{project}/{version}/json", Action::IndexRead, |exchange| Box::pin(json_api::release(exchange))),
    Route::decided(Get, "/files/{first}/{second}/{rest}/{name}", Action::FileDownload, |exchange| Box::pin(files::download(exchange))),
    // hatch looks for the simple API below the upload address, with the plus sign encoded.
    Route::decided(Get, "/legacy/+simple/{project}/", Action::IndexRead, |exchange| Box::pin(simple::project(exchange))),
    Route::decided(Get, "/legacy/%2Bsimple/{project}/", Action::IndexRead, |exchange| Box::pin(simple::project(exchange))),
    // What upload clients and release managers do.
    Route::decided(Post, "/legacy/", Action::FileUpload, |exchange| Box::pin(upload::upload(exchange))),
    Route::decided(Get, "/api/projects/{project}/staged", Action::ReleasePreview, |exchange| Box::pin(staged::list(exchange))),
    Route::proven("/api/projects/{project}/staged", Action::ReleasePreview, |exchange| Box::pin(staged::list(exchange))),
    Route::proven("/api/projects/{project}/releases/{version}/publish", Action::ReleasePublish, |exchange| Box::pin(staged::publish(exchange))),
    Route::proven("/api/projects/{project}/releases/{version}/reject", Action::ReleaseReject, |exchange| Box::pin(staged::reject(exchange))),
    // Open: nothing about projects, people or policies, and no change.
    Route::open(Get, "/simple", |exchange| Box::pin(pages::with_slash(exchange))),
    Route::open(Post, "/legacy", |exchange| Box::pin(pages::with_slash(exchange))),
    Route::open(Post, "/pypi", |exchange| Box::pin(pages::uploads_moved(exchange))),
    Route::open(Get, "/help", |exchange| Box::pin(pages::with_slash(exchange))),
    Route::open(Get, "/help/", |exchange| Box::pin(pages::help(exchange))),
    Route::open(Get, "/static/portcullis.css", |exchange| Box::pin(pages::stylesheet(exchange))),
    Route::open(Get, "/health", |exchange| Box::pin(health::health(exchange))),
    Route::open(Get, "/metrics", |exchange| Box::pin(metrics::render(exchange))),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The closed list of what is answered without a decision. Adding to it needs a reason.
    const OPEN: &[&str] = &["/simple", "/legacy", "/pypi", "/help", "/help/", "/static/portcullis.css", "/health", "/metrics"];

    #[test]
    fn every_route_has_an_action_or_is_on_the_closed_list() {
        for route in routes() {
            assert_eq!(route.action().is_none(), OPEN.contains(&route.path), "{route:?}");
        }
    }

    #[test]
    fn only_open_routes_leave_credentials_unread() {
        for route in routes() {
            assert_eq!(route.credentials == Credentials::Unread, route.access == Access::Open, "{route:?}");
            assert_eq!(matches!(route.handler, Handler::Open(_)), route.access == Access::Open, "{route:?}");
        }
    }

    #[test]
    fn reads_are_never_behind_a_post_and_changes_never_behind_a_get() {
        for route in routes() {
            let Some(action) = route.action() else { continue };
            // A person who proves password and second factor needs a body for it, even to read.
            let reads = action.is_read() || action == Action::ReleasePreview;
            let proves = route.credentials == Credentials::HeadersOrPerson;
            assert_eq!(reads && !proves, route.verb == Verb::Get, "{route:?}");
        }
    }

    #[test]
    fn no_route_stands_twice() {
        let names: BTreeSet<_> = routes().iter().map(|route| (route.path, route.verb.methods())).collect();
        assert_eq!(names.len(), routes().len());
    }

    #[test]
    fn the_documentation_names_exactly_these_routes() {
        let page = include_str!("../../../docs/http-api.md");
        let documented: Vec<&str> = page.lines().filter(|line| line.starts_with("| `GET` |") || line.starts_with("| `POST` |")).collect();
        assert_eq!(documented.len(), routes().len());
        for (route, line) in routes().iter().zip(documented) {
            let action = route.action().map_or("*open*".to_owned(), |action| format!("`{action}`"));
            let expected = format!("| `{}` | `{}` | {action} |", route.verb.methods()[0], route.path);
            assert!(line.starts_with(&expected), "the documentation says `{line}`, the table `{expected}`");
        }
    }
}
