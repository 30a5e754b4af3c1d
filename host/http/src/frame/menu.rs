//! The menu next to each page of an account: it shows the current page and links to all others.

use super::viewer::Viewer;

/// A page of the menu.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) path: &'static str,
    pub(crate) text: &'static str,
    /// Its value of `aria-current`: "page" on that page, "true" on one below it, empty elsewhere.
    pub(crate) current: &'static str,
}

/// This page is above all others, and so is current only on itself.
const OVERVIEW: &str = "/account/";

const OF_EVERYBODY: &[(&str, &str)] = &[
    (OVERVIEW, "Overview"),
    ("/account/emails/", "Email addresses"),
    ("/account/password", "Password"),
    ("/account/factors/", "Second factors"),
    ("/account/tokens/", "API tokens"),
    ("/account/sessions/", "Sessions"),
    ("/account/history/", "Security history"),
    ("/account/delete", "Delete account"),
];

const OF_STAFF: &[(&str, &str)] = &[("/staff/recoveries/", "Account recoveries")];

/// Pages that are reached from a page other than their address suggests.
const ELSEWHERE: &[(&str, &str)] = &[
    ("/account/secure", "/account/history/"),
    ("/account/recovery", OVERVIEW),
];

/// The menu of a page; empty outside of account pages, and for a viewer without an account.
pub(crate) fn menu(path: &str, viewer: &Viewer) -> Vec<Entry> {
    let path = path.split('?').next().unwrap_or("");
    let Viewer::Person { staff, .. } = viewer else {
        return Vec::new();
    };
    if !path.starts_with("/account/") && !path.starts_with("/staff/") {
        return Vec::new();
    }
    let (is_elsewhere, place) = match ELSEWHERE.iter().find(|(known, _)| *known == path) {
        Some((_, place)) => (true, *place),
        None => (false, path),
    };
    let current = |entry: &str| match entry {
        _ if entry == place && !is_elsewhere => "page",
        _ if entry == place
            || entry != OVERVIEW && entry.ends_with('/') && place.starts_with(entry) =>
        {
            "true"
        }
        _ => "",
    };
    let entry = |(path, text): &(&'static str, &'static str)| Entry {
        path,
        text,
        current: current(path),
    };
    OF_EVERYBODY
        .iter()
        .chain(OF_STAFF.iter().filter(|_| *staff))
        .map(entry)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Audience;
    use crate::routes::{routes, site_map};

    fn person(staff: bool) -> Viewer {
        Viewer::Person {
            name: "ana".to_owned(),
            staff,
        }
    }

    /// Each current entry at a path, with its `aria-current`.
    fn current(path: &str) -> Vec<(&'static str, &'static str)> {
        let entries = menu(path, &person(true));
        entries
            .into_iter()
            .filter(|entry| !entry.current.is_empty())
            .map(|entry| (entry.path, entry.current))
            .collect()
    }

    #[test]
    fn every_page_of_an_account_leads_to_all_others_and_says_where_it_is() {
        for route in routes().iter().filter(|route| {
            route.audience == Audience::People
                && (route.path.starts_with("/account/") || route.path.starts_with("/staff/"))
        }) {
            let entries = menu(route.path, &person(true));
            assert_eq!(
                entries.len(),
                OF_EVERYBODY.len() + OF_STAFF.len(),
                "{route:?}"
            );
            // Confirming a second factor is a step of the action that asks for it.
            let expected = if route.path.starts_with("/account/step-up") {
                0
            } else {
                1
            };
            assert_eq!(
                current(route.path).len(),
                expected,
                "{route:?}: {:?}",
                current(route.path)
            );
        }
        for entry in OF_EVERYBODY.iter().chain(OF_STAFF) {
            assert!(site_map().has_page(entry.0), "{entry:?}");
            assert_eq!(current(entry.0), [(entry.0, "page")]);
        }
        assert_eq!(
            current("/account/tokens/create?scope=account"),
            [("/account/tokens/", "true")]
        );
        assert_eq!(
            current("/account/factors/keys/0195/remove"),
            [("/account/factors/", "true")]
        );
        assert_eq!(current("/account/secure"), [("/account/history/", "true")]);
    }

    #[test]
    fn only_who_is_logged_in_has_a_menu_and_only_staff_has_theirs() {
        assert!(
            menu("/account/", &Viewer::Nobody).is_empty()
                && menu("/account/", &Viewer::Unknown).is_empty()
        );
        assert!(
            menu("/projects/", &person(true)).is_empty() && menu("/", &person(true)).is_empty()
        );
        assert!(
            menu("/account/", &person(false))
                .iter()
                .all(|entry| !entry.path.starts_with("/staff/"))
        );
    }
}
