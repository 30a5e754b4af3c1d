//! What a row of the table of routes says.

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
    /// Nothing is decided and no credential is looked at.
    Open,
}

/// What a route takes for a credential. Whatever valid one it is yields a principal; it is
/// the policies that refuse it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// None is looked at (open routes).
    Unread,
    /// `Authorization` headers; without one, the session of a browser.
    Headers,
    /// The same in a form of a page: what a browser sends must say that it comes from here.
    Form,
    /// `Authorization` headers or a session; without both, a person who proves password and second factor
    /// in a JSON body `{"user": …, "password": …, "totp": …, "device": …}`.
    HeadersOrPerson,
}

/// Who asks for what a route answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Tools, scripts, and what a page consists of.
    Programs,
    /// People with a browser. They are sent to the public address when they came by another,
    /// and may be sent here from elsewhere on the registry.
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
    /// Whether it is a page, as opposed to a form of one.
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

    /// Like `decided`, for what a person does with password and second factor in the call itself.
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

    /// What the form of a page does.
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

    /// A page that is the same for everybody, whoever asks.
    pub(crate) const fn open_page(
        path: &'static str,
        handler: fn(OpenExchange) -> BoxFuture<'static, Answer>,
    ) -> Self {
        Self {
            audience: Audience::People,
            ..Self::open(Verb::Get, path, handler)
        }
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
        write!(
            out,
            "{:?} {} {:?} {:?}",
            self.verb, self.path, self.access, self.credentials
        )
    }
}
