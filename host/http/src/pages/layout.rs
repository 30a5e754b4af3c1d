//! What all pages have in common: the frame around them, and how they become answers.

use std::fmt;

use askama::Template;
use axum::body::Body;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use model::text::legible;
use model::{Caller, Contact, Timestamp};

use super::HTML;
use super::menu::{Entry, menu};
use crate::answer_headers::Security;
use crate::app::AppConfig;
use crate::exchange::{Exchange, answer};
use crate::form::query_value;
use crate::json_api::quoted;
use crate::origin::SEC_FETCH_SITE;
use crate::problem::{Answer, escape};

/// Whom a page is shown to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Viewer {
    /// Nobody looked: the page is the same for all.
    Unknown,
    /// Somebody without a session.
    Nobody,
    /// Somebody with one.
    Person { name: String, staff: bool },
}

impl Viewer {
    /// Whoever asks with this. Only a session makes a person of a browser: who presents
    /// anything else is a program, and has no use for a menu.
    pub(crate) fn of(caller: &Caller) -> Self {
        match caller.user().filter(|_| caller.session.is_some()) {
            Some(user) => Self::Person {
                name: user.name.as_written().to_owned(),
                staff: user.staff,
            },
            None => Self::Nobody,
        }
    }
}

/// What kind of thing a notice says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoticeKind {
    /// Something was done.
    Done,
    /// Something to know.
    Note,
    /// Something that should be looked at.
    Warning,
}

impl NoticeKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Note => "note",
            Self::Warning => "warning",
        }
    }

    pub(crate) fn role(self) -> &'static str {
        if self == Self::Warning {
            "alert"
        } else {
            "status"
        }
    }
}

/// A sentence on top of a page.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    pub(crate) kind: NoticeKind,
    pub(crate) text: String,
    /// Where more is done about it: a path, and what the link says.
    pub(crate) link: Option<(&'static str, &'static str)>,
}

impl Notice {
    pub(crate) fn new(kind: NoticeKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            link: None,
        }
    }
}

/// What `?notice=<word>` may say on the page that somebody is sent to after a change. A
/// closed list: a link of somebody else must not put words into the registry's mouth, so
/// each is harmless where nothing happened.
const NOTICES: &[(&str, NoticeKind, &str)] = &[
    ("saved", NoticeKind::Done, "Saved."),
    ("logged-in", NoticeKind::Done, "You are logged in."),
    ("logged-out", NoticeKind::Done, "You are logged out."),
    ("log-in", NoticeKind::Note, "Log in to continue."),
    (
        "session-ended",
        NoticeKind::Note,
        "You were logged out because your session expired or was ended. Log in to continue.",
    ),
    (
        "not-done",
        NoticeKind::Warning,
        "You are no longer logged in, so what you just sent was not done. Log in, then try again.",
    ),
    (
        "login-expired",
        NoticeKind::Note,
        "The login was not finished in time. Log in again.",
    ),
    (
        "device-confirmed",
        NoticeKind::Done,
        "This browser is confirmed. Log in again.",
    ),
    (
        "account-created",
        NoticeKind::Done,
        "Your account has been created. Log in to continue.",
    ),
    (
        "account-deleted",
        NoticeKind::Done,
        "The account is deleted.",
    ),
    (
        "account-secured",
        NoticeKind::Done,
        "Every session is ended and every token revoked. We have mailed you a link to set a new password.",
    ),
    (
        "password-changed",
        NoticeKind::Done,
        "Your password is changed.",
    ),
    (
        "password-reset",
        NoticeKind::Done,
        "Your password is changed. Log in with it.",
    ),
    (
        "email-added",
        NoticeKind::Done,
        "We have sent a link to the address. Open it to verify the address.",
    ),
    (
        "email-verified",
        NoticeKind::Done,
        "The address is verified.",
    ),
    (
        "email-promoted",
        NoticeKind::Done,
        "Your primary address is changed.",
    ),
    ("email-removed", NoticeKind::Done, "The address is removed."),
    (
        "email-link-sent",
        NoticeKind::Done,
        "We have sent the link again.",
    ),
    (
        "factor-added",
        NoticeKind::Done,
        "The second factor is added.",
    ),
    (
        "factor-removed",
        NoticeKind::Done,
        "The second factor is removed.",
    ),
    ("key-added", NoticeKind::Done, "The key is added."),
    ("key-renamed", NoticeKind::Done, "The key has its new name."),
    ("key-removed", NoticeKind::Done, "The key is removed."),
    (
        "codes-confirmed",
        NoticeKind::Done,
        "Your recovery codes are confirmed. Now add a second factor.",
    ),
    (
        "session-ended-by-you",
        NoticeKind::Done,
        "The session is ended.",
    ),
    (
        "sessions-ended",
        NoticeKind::Done,
        "All other sessions are ended.",
    ),
    (
        "device-forgotten",
        NoticeKind::Done,
        "Forgotten. The next login from there must be confirmed by email.",
    ),
    (
        "token-revoked",
        NoticeKind::Done,
        "The token has been revoked and no longer works.",
    ),
    ("proven", NoticeKind::Done, "Confirmed. You can continue."),
    (
        "recovery-started",
        NoticeKind::Done,
        "The recovery has started. We emailed the account's owner.",
    ),
    (
        "recovery-cancelled",
        NoticeKind::Done,
        "The recovery is stopped.",
    ),
];

/// A script that helps with a page. Each page is whole without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// Buttons that copy.
    Copying,
    /// Security keys and passkeys.
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

/// The frame around a page; the field `layout` of each template.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// The registry's address, without a slash at the end.
    pub(crate) url: String,
    /// What people call the registry, if its operators said so.
    pub(crate) given_name: Option<String>,
    /// Where whoever runs it is reached.
    pub(crate) contact: Option<Contact>,
    pub(crate) title: String,
    pub(crate) viewer: Viewer,
    /// Path and query of this page, below the registry's address.
    pub(crate) path: String,
    /// Whether this page can be asked for again, and so be returned to.
    pub(crate) is_get: bool,
    /// Whether somebody without an account can make one: not where the set that serves refuses it.
    pub(crate) can_register: bool,
    /// Whether programs read the index without a credential.
    pub(crate) is_open: bool,
    /// What was searched for.
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

    /// The frame of what is answered to this request.
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

    /// The page runs the script for security keys and passkeys.
    pub(crate) fn with_keys(mut self) -> Self {
        self.script = Some(Script::Keys);
        self
    }

    /// The page has something that is meant to be copied.
    pub(crate) fn with_copying(mut self) -> Self {
        self.script = Some(Script::Copying);
        self
    }

    /// Name of who is logged in, and whether they are staff.
    pub(crate) fn person(&self) -> Option<(&str, bool)> {
        match &self.viewer {
            Viewer::Person { name, staff } => Some((name, *staff)),
            Viewer::Unknown | Viewer::Nobody => None,
        }
    }

    /// Whether nobody looked who asks.
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

    /// The name beside the mark on top of each page.
    pub(crate) fn brand(&self) -> &str {
        self.given_name.as_deref().unwrap_or("Portcullis")
    }

    /// Path of the registry's address: what the style sheet is found by under any host name.
    pub(crate) fn base(&self) -> &str {
        self.url
            .match_indices('/')
            .nth(2)
            .map_or("", |(place, _)| &self.url[place..])
    }

    /// The registry's host without a port: what `.netrc` knows it by.
    pub(crate) fn host(&self) -> String {
        self.url
            .parse::<Uri>()
            .ok()
            .and_then(|url| url.host().map(str::to_owned))
            .unwrap_or_default()
    }

    /// Whether the index of tools is open to whoever looks at the page.
    pub(crate) fn can_read(&self) -> bool {
        self.is_open || self.viewer != Viewer::Nobody
    }

    /// The menu beside the page; empty where there is none.
    pub(crate) fn menu(&self) -> Vec<Entry> {
        menu(self)
    }

    /// Says of a link in the header that it leads to this page, or to one above it; markup.
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

    /// Where one logs in, to come back here.
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

impl Exchange {
    /// The frame of a page with this title, for whoever asks.
    pub(crate) fn layout(&self, title: &str) -> Layout {
        let uri = &self.request.uri;
        let mut layout = Layout::of_request(&self.app.config, uri, self.body.is_none());
        (layout.title, layout.viewer) = (title.to_owned(), Viewer::of(&self.caller));
        layout.can_register = self.app.can_register();
        layout.is_open = self.app.is_open();
        let word = query_value(uri.query(), "notice").unwrap_or_default();
        // That something was done is only believed of this registry's own pages: a link from
        // elsewhere must not tell people that their account is deleted.
        let is_ours = self
            .headers()
            .get(SEC_FETCH_SITE)
            .is_none_or(|site| site.as_bytes() == b"same-origin");
        // Nor that they were logged out, who are not.
        let is_person = matches!(layout.viewer, Viewer::Person { .. });
        let is_shown = |kind: NoticeKind| is_ours || kind != NoticeKind::Done && !is_person;
        layout.notices.extend(
            NOTICES
                .iter()
                .filter(|(known, kind, _)| *known == word && is_shown(*kind))
                .map(|(_, kind, text)| Notice::new(*kind, *text)),
        );
        layout.notices.extend(
            self.announcement
                .clone()
                .filter(|_| matches!(layout.viewer, Viewer::Person { .. })),
        );
        layout
    }

    /// "ask the operators …", in the middle of a sentence, and where they are reached.
    pub(crate) fn ask_operators(&self) -> String {
        match &self.app.config.contact {
            Some(contact) => format!("ask the operators of the registry: {contact}"),
            None => "ask the operators of the registry".to_owned(),
        }
    }

    /// A page; never stored by anybody.
    pub(crate) fn render<T: Page>(&self, page: &T) -> Answer {
        self.render_with(StatusCode::OK, page)
    }

    /// A page with this status, for example 422 for a form that must be filled in again.
    pub(crate) fn render_with<T: Page>(&self, status: StatusCode, page: &T) -> Answer {
        let text = page.render().map_err(|error| self.unavailable(error))?;
        Ok(html(status, text, page.layout()))
    }
}

/// A template within the frame.
pub(crate) trait Page: Template {
    fn layout(&self) -> &Layout;
}

/// Says of templates that they have the field `layout`.
macro_rules! pages {
    ($($page:ty),* $(,)?) => {
        $(impl $crate::pages::layout::Page for $page {
            fn layout(&self) -> &$crate::pages::layout::Layout {
                &self.layout
            }
        })*
    };
}
pub(crate) use pages;

/// A rendered page as an answer.
pub(crate) fn html(status: StatusCode, text: String, layout: &Layout) -> Response {
    let mut response = answer(HTML, Body::from(text));
    *response.status_mut() = status;
    response.extensions_mut().insert(layout.security());
    response
}

/// What somebody else wrote, in a page; markup. Isolated, so that its direction changes the order
/// of nothing around it, and with what would change the order of its own words made visible.
pub(crate) fn foreign(text: impl fmt::Display) -> String {
    format!("<bdi>{}</bdi>", escape(&legible(&text.to_string())))
}

/// A sentence of ours that quotes what somebody wrote; markup. What is quoted is isolated: from the
/// first quotation mark to the last, so that one within it ends nothing.
pub(crate) fn sentence(text: &str) -> String {
    let quoted = text
        .split_once('“')
        .and_then(|(before, rest)| Some((before, rest.rsplit_once('”')?)));
    match quoted {
        Some((before, (quoted, after))) => format!(
            "{}“{}”{}",
            escape(&legible(before)),
            foreign(quoted),
            escape(&legible(after))
        ),
        None => escape(&legible(text)),
    }
}

/// A time as people read it, with the exact one for programs; markup. No line ends before "UTC".
pub(crate) fn time(at: Timestamp) -> String {
    let text = at.to_string();
    let shown = text.get(..16).unwrap_or(&text).replace('T', " ");
    format!(
        "<time datetime=\"{}\">{}\u{a0}UTC</time>",
        escape(&text),
        escape(&shown)
    )
}

/// The day alone, where nobody asks for the minute; markup.
pub(crate) fn day(at: Timestamp) -> String {
    let text = at.to_string();
    format!(
        "<time datetime=\"{}\">{}</time>",
        escape(&text),
        escape(text.get(..10).unwrap_or(&text))
    )
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

    #[test]
    fn what_others_wrote_turns_nothing_around_it() {
        assert_eq!(
            foreign("a \u{202e}gpj.exe & <b>\u{2066}"),
            "<bdi>a \u{fffd}gpj.exe &amp; &lt;b&gt;\u{fffd}</bdi>"
        );
        assert_eq!(foreign("שלום\u{200f}!"), "<bdi>שלום\u{200f}!</bdi>");
        assert_eq!(
            sentence("The API token “שלום” was made."),
            "The API token “<bdi>שלום</bdi>” was made."
        );
        assert_eq!(
            sentence("The key “a” evil “b\u{202e}” was added."),
            "The key “<bdi>a” evil “b\u{fffd}</bdi>” was added."
        );
        assert_eq!(sentence("You logged in <b>."), "You logged in &lt;b&gt;.");
    }
}
