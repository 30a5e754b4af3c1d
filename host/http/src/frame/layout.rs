//! The frame around each page, and the rules for a page in a browser.

use axum::body::Body;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use model::Contact;

use super::menu::{Entry, menu};
use super::notices::Notice;
use super::viewer::Viewer;
use crate::answer::answer;
use crate::config::AppConfig;
use crate::url::quoted;

/// The content type of pages.
pub(crate) const HTML: &str = "text/html; charset=utf-8";

/// A script that helps with a page. Each page works without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// For buttons that copy.
    Copying,
    /// For security keys and passkeys.
    Keys,
}

impl Script {
    /// Its path below the registry's address.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Copying => "/static/copy.js",
            Self::Keys => "/static/webauthn.js",
        }
    }
}

/// The kind of page, which decides what it may do in a browser; among an answer's extensions.
/// Without it, an answer may do nothing at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Security {
    /// A page with forms and without scripts.
    Page,
    /// The same with the script that copies, which makes no requests.
    PageWithCopying,
    /// The same with the script for security keys.
    PageWithKeys,
}

/// The frame around a page; the field `layout` of each template.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// The registry's address, without a slash at the end.
    pub(crate) url: String,
    /// What people call the registry, if its operators set a name.
    pub(crate) given_name: Option<String>,
    /// How to reach its operators.
    pub(crate) contact: Option<Contact>,
    pub(crate) title: String,
    pub(crate) viewer: Viewer,
    /// Path and query of this page, below the registry's address.
    pub(crate) path: String,
    /// Whether the request was a `GET`, so that a browser can return to this page.
    pub(crate) is_get: bool,
    /// Whether somebody without an account can create one: no if the active set refuses it.
    pub(crate) can_register: bool,
    /// Whether programs read the index without a credential.
    pub(crate) is_open: bool,
    /// The text that was searched for.
    pub(crate) search: String,
    pub(crate) notices: Vec<Notice>,
    /// The script that runs, if one does.
    pub(crate) script: Option<Script>,
}

impl Layout {
    pub(crate) fn new(public_url: &str, title: &str, viewer: Viewer) -> Self {
        let (url, title) = (public_url.to_owned(), title.to_owned());
        Self {
            url,
            given_name: None,
            contact: None,
            title,
            viewer,
            path: "/".to_owned(),
            is_get: true,
            can_register: true,
            is_open: true,
            search: String::new(),
            notices: Vec::new(),
            script: None,
        }
    }

    /// The frame of the answer to this request.
    pub(crate) fn of_request(config: &AppConfig, uri: &Uri, is_get: bool) -> Self {
        let path = uri
            .path_and_query()
            .map_or("/", |path| path.as_str())
            .to_owned();
        Self {
            path,
            is_get,
            given_name: config.name.clone(),
            contact: config.contact.clone(),
            ..Self::new(&config.public_url, "", Viewer::Unknown)
        }
    }

    /// Makes the page run the script for security keys and passkeys.
    pub(crate) fn with_keys(mut self) -> Self {
        self.script = Some(Script::Keys);
        self
    }

    /// Makes the page run the script for buttons that copy.
    pub(crate) fn with_copying(mut self) -> Self {
        self.script = Some(Script::Copying);
        self
    }

    /// Name of the logged-in person, and whether they are staff.
    pub(crate) fn person(&self) -> Option<(&str, bool)> {
        match &self.viewer {
            Viewer::Person { name, staff } => Some((name, *staff)),
            Viewer::Unknown | Viewer::Nobody => None,
        }
    }

    /// Whether the caller was not determined, so that the page is the same for all.
    pub(crate) fn is_for_all(&self) -> bool {
        self.viewer == Viewer::Unknown
    }

    /// The registry's name in titles: the one it was given, or its host.
    pub(crate) fn name(&self) -> &str {
        if let Some(name) = &self.given_name {
            return name;
        }
        let rest = self
            .url
            .split_once("://")
            .map_or(&*self.url, |(_, rest)| rest);
        rest.split('/').next().unwrap_or(rest)
    }

    /// The name next to the logo on top of each page.
    pub(crate) fn brand(&self) -> &str {
        self.given_name.as_deref().unwrap_or("Portcullis")
    }

    /// Path of the registry's address, so that the style sheet is found under any host name.
    pub(crate) fn base(&self) -> &str {
        self.url
            .match_indices('/')
            .nth(2)
            .map_or("", |(place, _)| &self.url[place..])
    }

    /// The registry's host without a port: its name in `.netrc`.
    pub(crate) fn host(&self) -> String {
        self.url
            .parse::<Uri>()
            .ok()
            .and_then(|url| url.host().map(str::to_owned))
            .unwrap_or_default()
    }

    /// Whether the viewer of the page can read the index for tools.
    pub(crate) fn can_read(&self) -> bool {
        self.is_open || self.viewer != Viewer::Nobody
    }

    /// The menu next to the page; empty if there is none.
    pub(crate) fn menu(&self) -> Vec<Entry> {
        menu(&self.path, &self.viewer)
    }

    /// Marks a link in the header that leads to this page, or to one above it; markup.
    pub(crate) fn mark(&self, path: &str) -> &'static str {
        let here = self.path.split('?').next().unwrap_or("");
        // Pages of projects have an address of their own.
        let is_below = path.ends_with('/') && here.starts_with(path)
            || path == "/projects/" && here.starts_with("/project/");
        match here == path {
            true => " aria-current=\"page\"",
            false if is_below => " aria-current=\"true\"",
            false => "",
        }
    }

    /// The address of the login that leads back here.
    pub(crate) fn login_address(&self) -> String {
        if !self.is_get
            || ["/login", "/register", "/logout", "/password", "/first-user"]
                .iter()
                .any(|start| self.path.starts_with(start))
            || self.path == "/"
        {
            return format!("{}/login", self.url);
        }
        format!("{}/login?next={}", self.url, quoted(&self.path))
    }

    fn security(&self) -> Security {
        match self.script {
            None => Security::Page,
            Some(Script::Copying) => Security::PageWithCopying,
            Some(Script::Keys) => Security::PageWithKeys,
        }
    }
}

/// A rendered page as an answer.
pub(crate) fn html(status: StatusCode, text: String, layout: &Layout) -> Response {
    let mut response = answer(HTML, Body::from(text));
    *response.status_mut() = status;
    response.extensions_mut().insert(layout.security());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_marks_where_a_page_belongs() {
        let at = |path: &str| Layout {
            path: path.to_owned(),
            ..Layout::new("https://index.example", "", Viewer::Nobody)
        };
        assert_eq!(
            at("/projects/?q=a").mark("/projects/"),
            " aria-current=\"page\""
        );
        assert_eq!(
            at("/project/demo/").mark("/projects/"),
            " aria-current=\"true\""
        );
        assert_eq!(
            at("/account/tokens/create").mark("/account/"),
            " aria-current=\"true\""
        );
        assert_eq!(
            (
                at("/login/factor").mark("/login"),
                at("/").mark("/account/")
            ),
            ("", "")
        );
    }
}
