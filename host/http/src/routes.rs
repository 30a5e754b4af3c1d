//! The one table of everything that is served over HTTP.
//!
//! Each room has its own rows; here they are joined, and the router is built from this table and
//! from nothing else. A row either names the action that the gate decides, or is open: answered
//! without a decision, because it says nothing about projects, people or policies and changes
//! nothing.

use std::sync::LazyLock;

use crate::frame::fields::{self, Fields};
use crate::route::{Audience, Route, Verb};
use crate::site_map::SiteMap;
use crate::{account, api, index, open, staff, upload};

/// The rooms, in the order of `docs/http-api.md`.
const ROOMS: &[&[Route]] = &[
    index::ROUTES,
    upload::ROUTES,
    api::ROUTES,
    account::ROUTES,
    staff::ROUTES,
    open::ROUTES,
];

/// The table.
static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(|| ROOMS.concat());

/// Every route.
pub fn routes() -> &'static [Route] {
    &ROUTES
}

/// The fields of every form.
pub(crate) fn forms() -> impl Iterator<Item = &'static Fields> {
    [fields::FORMS, account::FORMS, staff::FORMS]
        .into_iter()
        .flatten()
}

/// The names of the fields that are secrets, of every form.
pub(crate) fn secrets() -> &'static [&'static str] {
    static SECRETS: LazyLock<Vec<&str>> = LazyLock::new(|| fields::secrets(forms()));
    &SECRETS
}

/// Which paths are pages, and which are forms of pages.
pub(crate) fn site_map() -> SiteMap {
    let paths = |verb| {
        let for_people = |route: &&Route| route.audience == Audience::People && route.verb == verb;
        routes()
            .iter()
            .filter(for_people)
            .map(|route| route.path)
            .collect()
    };
    SiteMap::new(paths(Verb::Get), paths(Verb::Post))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{Access, Credentials, Handler};
    use std::collections::BTreeSet;

    /// The closed list of routes without a decision. Adding to it needs a reason.
    const OPEN: &[&str] = &[
        "/simple",
        "/legacy",
        "/pypi",
        "/help",
        "/help/",
        "/static/portcullis.css",
        "/static/icon.svg",
        "/static/copy.js",
        "/static/webauthn.js",
        "/health",
        "/metrics",
    ];

    #[test]
    fn every_route_has_an_action_or_is_on_the_closed_list() {
        for route in routes() {
            assert_eq!(
                route.action().is_none(),
                OPEN.contains(&route.path),
                "{route:?}"
            );
        }
    }

    #[test]
    fn only_open_routes_leave_credentials_unread() {
        for route in routes() {
            assert_eq!(
                route.credentials == Credentials::Unread,
                route.access == Access::Open,
                "{route:?}"
            );
            assert_eq!(
                matches!(route.handler, Handler::Open(_)),
                route.access == Access::Open,
                "{route:?}"
            );
        }
    }

    #[test]
    fn reads_are_never_behind_a_post_and_changes_never_behind_a_get() {
        for route in routes() {
            let Some(action) = route.action() else {
                continue;
            };
            // A proof with password and second factor needs a body, even to read.
            let reads = !action.effect().is_change();
            let proves = route.credentials == Credentials::HeadersOrPerson;
            if route.audience == Audience::Programs {
                assert_eq!(reads && !proves, route.verb == Verb::Get, "{route:?}");
            }
            // A page may show the form of a change; only sending it is what its row names.
            assert_eq!(
                route.credentials == Credentials::Form,
                route.audience == Audience::People && route.verb == Verb::Post,
                "{route:?}"
            );
        }
    }

    #[test]
    fn browsers_are_sent_to_pages_of_the_table_and_nowhere_else() {
        for path in [
            "/",
            "/project/demo/",
            "/project/demo/?a=b&c=//d",
            "/help/",
            "/projects/?q=a%20b",
        ] {
            assert!(site_map().has_page(path), "{path}");
        }
        for path in [
            "",
            "?",
            "//",
            "//evil.example",
            "//evil.example/help/",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example/",
            "javascript:alert(1)",
            "help/",
            " /help/",
            "/help/ ",
            "/\thelp/",
            "/help/\r\nSet-Cookie:a=b",
            "/help/#x",
            "/help",
            "/nothing",
            "/simple/",
            "/legacy/",
            "/project/../",
            "/project/%2e%2E/",
            "/project//",
            "/project/demo/1/2/",
            "/static/portcullis.css",
            "/héllo",
            "/@evil.example",
        ] {
            assert!(!site_map().has_page(path), "{path}");
        }
        assert!(!site_map().has_page(&format!("/help/?{}", "a".repeat(1000))));
        assert!(!site_map().has_form("/help/") && !site_map().has_form("/legacy/"));
    }

    #[test]
    fn no_route_stands_twice() {
        let names: BTreeSet<_> = routes()
            .iter()
            .map(|route| (route.path, route.verb.methods()))
            .collect();
        assert_eq!(names.len(), routes().len());
    }

    #[test]
    fn the_documentation_names_exactly_these_routes() {
        let page = include_str!("../../../docs/http-api.md");
        let documented: Vec<&str> = page
            .lines()
            .filter(|line| line.starts_with("| `GET` |") || line.starts_with("| `POST` |"))
            .collect();
        assert_eq!(documented.len(), routes().len());
        for (route, line) in routes().iter().zip(documented) {
            let action = route
                .action()
                .map_or("*open*".to_owned(), |action| format!("`{action}`"));
            let expected = format!(
                "| `{}` | `{}` | {action} |",
                route.verb.methods()[0],
                route.path
            );
            assert!(
                line.starts_with(&expected),
                "the documentation says `{line}`, the table `{expected}`"
            );
        }
    }
}
