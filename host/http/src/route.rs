//! A row of the table of routes.

use futures_util::future::BoxFuture;
use model::Action;

use crate::exchange::{Exchange, OpenExchange};
use crate::problem::Answer;

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
    /// Nothing is decided and no credential is checked.
    Open,
}

/// Which credentials a route reads. Any valid one yields a principal; refusing it is up to the
/// policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// None is read (open routes).
    Unread,
    /// `Authorization` headers; without one, the session of a browser.
    Headers,
    /// The same in a form of a page: a browser's request must show that it comes from this site.
    Form,
    /// `Authorization` headers or a session; without both, a person who proves password and second factor
    /// in a JSON body `{"user": …, "password": …, "totp": …, "device": …}`.
    HeadersOrPerson,
}

/// Who a route is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Tools, scripts, and the parts of pages.
    Programs,
    /// People with a browser. They are redirected to the public address if they came by another
    /// one, and other pages of the registry may send them here.
    People,
}

/// One row of the table.
#[derive(Clone, Copy)]
pub struct Route {
    pub verb: Verb,
    /// Path with `{parameters}`; also the name of the route in logs, metrics and policies.
    pub path: &'static str,
    pub access: Access,
    pub credentials: Credentials,
    pub audience: Audience,
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
    /// Whether it is a page, as opposed to the form of a page.
    pub(crate) fn is_page(&self) -> bool {
        self.audience == Audience::People && self.verb == Verb::Get
    }

    pub(crate) const fn decided(
        verb: Verb,
        path: &'static str,
        action: Action,
        handler: fn(Exchange) -> BoxFuture<'static, Answer>,
    ) -> Self {
        let (access, handler) = (Access::Decided(action), Handler::Decided(handler));
        Self {
            verb,
            path,
            access,
            credentials: Credentials::Headers,
            audience: Audience::Programs,
            handler,
        }
    }

    /// Like `decided`, for an action that a person confirms with password and second factor in the
    /// call itself.
    pub(crate) const fn proven(
        path: &'static str,
        action: Action,
        handler: fn(Exchange) -> BoxFuture<'static, Answer>,
    ) -> Self {
        Self {
            credentials: Credentials::HeadersOrPerson,
            ..Self::decided(Verb::Post, path, action, handler)
        }
    }

    /// A page for people, shown with `GET`; it changes nothing.
    pub(crate) const fn page(
        path: &'static str,
        action: Action,
        handler: fn(Exchange) -> BoxFuture<'static, Answer>,
    ) -> Self {
        Self {
            audience: Audience::People,
            ..Self::decided(Verb::Get, path, action, handler)
        }
    }

    /// The action of a page's form.
    pub(crate) const fn form(
        path: &'static str,
        action: Action,
        handler: fn(Exchange) -> BoxFuture<'static, Answer>,
    ) -> Self {
        Self {
            credentials: Credentials::Form,
            audience: Audience::People,
            ..Self::decided(Verb::Post, path, action, handler)
        }
    }

    pub(crate) const fn open(
        verb: Verb,
        path: &'static str,
        handler: fn(OpenExchange) -> BoxFuture<'static, Answer>,
    ) -> Self {
        let (access, handler) = (Access::Open, Handler::Open(handler));
        Self {
            verb,
            path,
            access,
            credentials: Credentials::Unread,
            audience: Audience::Programs,
            handler,
        }
    }

    /// A page that is the same for every caller.
    pub(crate) const fn open_page(
        path: &'static str,
        handler: fn(OpenExchange) -> BoxFuture<'static, Answer>,
    ) -> Self {
        Self {
            audience: Audience::People,
            ..Self::open(Verb::Get, path, handler)
        }
    }

    /// The action, if the gate decides about one.
    pub fn action(&self) -> Option<Action> {
        match self.access {
            Access::Decided(action) => Some(action),
            Access::Open => None,
        }
    }
}

impl std::fmt::Debug for Route {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            out,
            "{:?} {} {:?} {:?}",
            self.verb, self.path, self.access, self.credentials
        )
    }
}
