//! How a template becomes an answer: within the frame, for the caller.

use askama::Template;
use axum::http::StatusCode;

use super::layout::{Layout, html};
use super::notices::{Notice, NoticeKind};
use super::viewer::Viewer;
use crate::exchange::Exchange;
use crate::fetch_metadata::SEC_FETCH_SITE;
use crate::problem::Answer;
use crate::url::query_value;

impl Exchange {
    /// The frame of a page with this title, for the caller.
    pub(crate) fn layout(&self, title: &str) -> Layout {
        let uri = &self.request.uri;
        let mut layout = Layout::of_request(&self.app.config, uri, self.body.is_none());
        (layout.title, layout.viewer) = (title.to_owned(), Viewer::of(&self.caller));
        layout.can_register = self.app.can_register();
        layout.is_open = self.app.is_open();
        let word = query_value(uri.query(), "notice").unwrap_or_default();
        // Only this registry's own pages may say that something was done: a link from elsewhere
        // must not tell people that their account is deleted.
        let is_ours = self
            .headers()
            .get(SEC_FETCH_SITE)
            .is_none_or(|site| site.as_bytes() == b"same-origin");
        // Nor may it say that they were logged out if they were not.
        let is_person = matches!(layout.viewer, Viewer::Person { .. });
        let is_shown = |kind: NoticeKind| is_ours || kind != NoticeKind::Done && !is_person;
        layout
            .notices
            .extend(Notice::named(&word).filter(|notice| is_shown(notice.kind)));
        layout.notices.extend(
            self.announcement
                .clone()
                .filter(|_| matches!(layout.viewer, Viewer::Person { .. })),
        );
        layout
    }

    /// "ask the operators …", in the middle of a sentence, and how to reach them.
    pub(crate) fn ask_operators(&self) -> String {
        match &self.app.config.contact {
            Some(contact) => format!("ask the operators of the registry: {contact}"),
            None => "ask the operators of the registry".to_owned(),
        }
    }

    /// A page; never to be stored.
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

/// Declares that templates have the field `layout`.
macro_rules! pages {
    ($($page:ty),* $(,)?) => {
        $(impl $crate::frame::page::Page for $page {
            fn layout(&self) -> &$crate::frame::layout::Layout {
                &self.layout
            }
        })*
    };
}
pub(crate) use pages;
