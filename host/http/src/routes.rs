//! The one table of everything that can be asked over HTTP.
//!
//! The router is built from [`ROUTES`] and from nothing else. A row either names the action
//! that the gate decides, or is open: answered without a decision, because it tells nothing
//! about projects, people or policies and changes nothing.

use futures_util::future::BoxFuture;
use model::Action;

use crate::exchange::{Exchange, OpenExchange};
use crate::problem::Answer;
use crate::{files, health, json_api, metrics, pages, people, simple, staged, step_up, upload};

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

    const fn decided(
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
    const fn proven(
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
    const fn page(
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
    const fn form(
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

    const fn open(
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
    const fn open_page(
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

/// Every route there is.
pub fn routes() -> &'static [Route] {
    ROUTES
}

/// Whether a page for people is at this path, with or without a query: a browser may be sent
/// there.
pub(crate) fn page_at(path_and_query: &str) -> bool {
    is_at(path_and_query, Verb::Get)
}

/// Whether the form of a page is sent to this path.
pub(crate) fn form_at(path_and_query: &str) -> bool {
    is_at(path_and_query, Verb::Post)
}

/// Longest path and query that a browser is sent to, in bytes.
const MAX_TARGET_BYTES: usize = 1000;

fn is_at(path_and_query: &str, verb: Verb) -> bool {
    // Browsers take a backslash for a slash, drop tabs and ends of lines, and take what begins
    // with two slashes for another site.
    let is_plain = path_and_query
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#' | b'"' | b'<' | b'>'));
    if !is_plain
        || path_and_query.len() > MAX_TARGET_BYTES
        || !path_and_query.starts_with('/')
        || path_and_query.starts_with("//")
    {
        return false;
    }
    let path = path_and_query.split('?').next().unwrap_or("");
    routes().iter().any(|route| {
        route.audience == Audience::People && route.verb == verb && matches(route.path, path)
    })
}

/// Whether a path is one of a row's. Segments `.` and `..`, which browsers resolve before they
/// ask, match no parameter.
fn matches(pattern: &str, path: &str) -> bool {
    let (mut patterns, mut segments) = (pattern.split('/'), path.split('/'));
    loop {
        match (patterns.next(), segments.next()) {
            (None, None) => return true,
            (Some(pattern), Some(segment)) if pattern.starts_with('{') => {
                let lower = segment.to_ascii_lowercase().replace("%2e", ".");
                if segment.is_empty() || lower == "." || lower == ".." {
                    return false;
                }
            }
            (Some(pattern), Some(segment)) if pattern == segment => {}
            _ => return false,
        }
    }
}

use Verb::{Get, Post};

/// The table.
static ROUTES: &[Route] = &[
    // What pip, uv and people read.
    Route::page("/", Action::IndexRead, |exchange| {
        Box::pin(pages::front(exchange))
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
        Box::pin(pages::projects::list(exchange))
    }),
    // What the JSON API, flit and hatch send people to.
    Route::page("/project/{project}", Action::IndexRead, |exchange| {
        Box::pin(pages::project::project_without_slash(exchange))
    }),
    Route::page("/project/{project}/", Action::IndexRead, |exchange| {
        Box::pin(pages::project::project(exchange))
    }),
    Route::page(
        "/project/{project}/{version}",
        Action::IndexRead,
        |exchange| Box::pin(pages::project::release_elsewhere(exchange)),
    ),
    Route::page(
        "/project/{project}/{version}/",
        Action::IndexRead,
        |exchange| Box::pin(pages::project::release(exchange)),
    ),
    Route::page(
        "/legacy/{project}/{version}/",
        Action::IndexRead,
        |exchange| Box::pin(pages::project::release_elsewhere(exchange)),
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
    // What upload clients and release managers do.
    Route::decided(Post, "/legacy/", Action::FileUpload, |exchange| {
        Box::pin(upload::upload(exchange))
    }),
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
    // What people do to become someone and to prove it.
    Route::page("/register", Action::AccountCreate, |exchange| {
        Box::pin(people::register::page(exchange))
    }),
    Route::form("/register", Action::AccountCreate, |exchange| {
        Box::pin(people::register::register(exchange))
    }),
    Route::page("/register/confirm", Action::AccountCreate, |exchange| {
        Box::pin(people::register::confirm_page(exchange))
    }),
    Route::form("/register/confirm", Action::AccountCreate, |exchange| {
        Box::pin(people::register::confirm(exchange))
    }),
    Route::page("/first-user", Action::AccountCreate, |exchange| {
        Box::pin(people::register::first_user_page(exchange))
    }),
    Route::form("/first-user", Action::AccountCreate, |exchange| {
        Box::pin(people::register::first_user(exchange))
    }),
    Route::page("/login", Action::SessionStart, |exchange| {
        Box::pin(people::login::page(exchange))
    }),
    Route::form("/login", Action::SessionStart, |exchange| {
        Box::pin(people::login::log_in(exchange))
    }),
    Route::page("/login/factor", Action::SessionStart, |exchange| {
        Box::pin(people::second_step::page(exchange))
    }),
    Route::form("/login/factor", Action::SessionStart, |exchange| {
        Box::pin(people::second_step::prove(exchange))
    }),
    Route::form("/login/factor/options", Action::SessionStart, |exchange| {
        Box::pin(people::second_step::options(exchange))
    }),
    Route::form("/login/passkey", Action::SessionStart, |exchange| {
        Box::pin(people::passkeys::log_in(exchange))
    }),
    Route::form("/login/passkey/options", Action::SessionStart, |exchange| {
        Box::pin(people::passkeys::options(exchange))
    }),
    Route::page("/login/device", Action::SessionStart, |exchange| {
        Box::pin(people::devices::page(exchange))
    }),
    Route::form("/login/device", Action::SessionStart, |exchange| {
        Box::pin(people::devices::confirm(exchange))
    }),
    Route::form("/login/device/again", Action::SessionStart, |exchange| {
        Box::pin(people::devices::mail_again(exchange))
    }),
    Route::form("/logout", Action::SessionEnd, |exchange| {
        Box::pin(people::login::log_out(exchange))
    }),
    Route::page("/password/forgot", Action::PasswordReset, |exchange| {
        Box::pin(people::password::forgot_page(exchange))
    }),
    Route::form("/password/forgot", Action::PasswordReset, |exchange| {
        Box::pin(people::password::forgot(exchange))
    }),
    Route::page("/password/reset", Action::PasswordReset, |exchange| {
        Box::pin(people::password::reset_page(exchange))
    }),
    Route::form("/password/reset", Action::PasswordReset, |exchange| {
        Box::pin(people::password::reset(exchange))
    }),
    Route::page("/email/confirm", Action::EmailVerify, |exchange| {
        Box::pin(people::emails::confirm_page(exchange))
    }),
    Route::form("/email/confirm", Action::EmailVerify, |exchange| {
        Box::pin(people::emails::confirm(exchange))
    }),
    Route::page("/recovery/cancel", Action::PasswordReset, |exchange| {
        Box::pin(people::recoveries::stop_page(exchange))
    }),
    Route::form("/recovery/cancel", Action::PasswordReset, |exchange| {
        Box::pin(people::recoveries::stop(exchange))
    }),
    // What people do to their accounts.
    Route::page("/account/", Action::AccountRead, |exchange| {
        Box::pin(people::overview::page(exchange))
    }),
    Route::page("/account/emails/", Action::AccountRead, |exchange| {
        Box::pin(people::emails::page(exchange))
    }),
    Route::form("/account/emails/", Action::EmailAdd, |exchange| {
        Box::pin(people::emails::add(exchange))
    }),
    Route::form("/account/emails/verify", Action::EmailVerify, |exchange| {
        Box::pin(people::emails::send_link(exchange))
    }),
    Route::form(
        "/account/emails/promote",
        Action::EmailPromote,
        |exchange| Box::pin(people::emails::promote(exchange)),
    ),
    Route::form("/account/emails/remove", Action::EmailRemove, |exchange| {
        Box::pin(people::emails::remove(exchange))
    }),
    Route::page("/account/password", Action::PasswordChange, |exchange| {
        Box::pin(people::password::page(exchange))
    }),
    Route::form("/account/password", Action::PasswordChange, |exchange| {
        Box::pin(people::password::change(exchange))
    }),
    Route::page("/account/factors/", Action::AccountRead, |exchange| {
        Box::pin(people::factors::page(exchange))
    }),
    Route::page(
        "/account/factors/recovery-codes",
        Action::AccountRead,
        |exchange| Box::pin(people::factors::recovery_codes::page(exchange)),
    ),
    Route::form(
        "/account/factors/recovery-codes",
        Action::RecoveryCodesGenerate,
        |exchange| Box::pin(people::factors::recovery_codes::generate(exchange)),
    ),
    Route::form(
        "/account/factors/recovery-codes/confirm",
        Action::RecoveryCodesGenerate,
        |exchange| Box::pin(people::factors::recovery_codes::confirm(exchange)),
    ),
    Route::page("/account/factors/totp", Action::FactorEnroll, |exchange| {
        Box::pin(people::factors::totp::page(exchange))
    }),
    Route::form("/account/factors/totp", Action::FactorEnroll, |exchange| {
        Box::pin(people::factors::totp::enroll(exchange))
    }),
    Route::page(
        "/account/factors/totp/remove",
        Action::AccountRead,
        |exchange| Box::pin(people::factors::totp::removal(exchange)),
    ),
    Route::form(
        "/account/factors/totp/remove",
        Action::FactorRemove,
        |exchange| Box::pin(people::factors::totp::remove(exchange)),
    ),
    Route::form("/account/factors/keys", Action::FactorEnroll, |exchange| {
        Box::pin(people::factors::keys::enroll(exchange))
    }),
    Route::form(
        "/account/factors/keys/options",
        Action::FactorEnroll,
        |exchange| Box::pin(people::factors::keys::options(exchange)),
    ),
    Route::page(
        "/account/factors/keys/{key}/rename",
        Action::AccountRead,
        |exchange| Box::pin(people::factors::keys::rename_page(exchange)),
    ),
    Route::form(
        "/account/factors/keys/{key}/rename",
        Action::AccountUpdate,
        |exchange| Box::pin(people::factors::keys::rename(exchange)),
    ),
    Route::page(
        "/account/factors/keys/{key}/remove",
        Action::AccountRead,
        |exchange| Box::pin(people::factors::keys::removal(exchange)),
    ),
    Route::form(
        "/account/factors/keys/{key}/remove",
        Action::FactorRemove,
        |exchange| Box::pin(people::factors::keys::remove(exchange)),
    ),
    Route::page("/account/sessions/", Action::SessionList, |exchange| {
        Box::pin(people::sessions::page(exchange))
    }),
    Route::form("/account/sessions/end", Action::SessionEnd, |exchange| {
        Box::pin(people::sessions::end(exchange))
    }),
    Route::form(
        "/account/sessions/end-others",
        Action::SessionEnd,
        |exchange| Box::pin(people::sessions::end_others(exchange)),
    ),
    Route::form(
        "/account/sessions/forget-device",
        Action::SessionEnd,
        |exchange| Box::pin(people::sessions::forget_device(exchange)),
    ),
    Route::page("/account/history/", Action::AccountRead, |exchange| {
        Box::pin(people::history::page(exchange))
    }),
    Route::page(
        "/account/history/history.json",
        Action::AccountRead,
        |exchange| Box::pin(people::history::export(exchange)),
    ),
    Route::page("/account/secure", Action::AccountRead, |exchange| {
        Box::pin(people::secure::page(exchange))
    }),
    Route::form("/account/secure", Action::SessionEnd, |exchange| {
        Box::pin(people::secure::secure(exchange))
    }),
    Route::page("/account/recovery", Action::AccountRead, |exchange| {
        Box::pin(people::recoveries::own(exchange))
    }),
    Route::form("/account/recovery", Action::AccountUpdate, |exchange| {
        Box::pin(people::recoveries::stop_own(exchange))
    }),
    Route::page("/account/delete", Action::AccountRead, |exchange| {
        Box::pin(people::delete::page(exchange))
    }),
    Route::form("/account/delete", Action::AccountDelete, |exchange| {
        Box::pin(people::delete::delete(exchange))
    }),
    Route::page("/staff/recoveries/", Action::AccountRecover, |exchange| {
        Box::pin(people::recoveries::page(exchange))
    }),
    Route::form(
        "/staff/recoveries/start",
        Action::AccountRecover,
        |exchange| Box::pin(people::recoveries::start(exchange)),
    ),
    Route::form(
        "/staff/recoveries/cancel",
        Action::AccountRecover,
        |exchange| Box::pin(people::recoveries::cancel(exchange)),
    ),
    // API tokens.
    Route::page("/account/tokens/", Action::TokenList, |exchange| {
        Box::pin(pages::tokens::list(exchange))
    }),
    Route::page("/account/tokens/create", Action::TokenCreate, |exchange| {
        Box::pin(pages::tokens::new(exchange))
    }),
    Route::form("/account/tokens/create", Action::TokenCreate, |exchange| {
        Box::pin(pages::tokens::create(exchange))
    }),
    Route::page(
        "/account/tokens/{token}/revoke",
        Action::TokenRevoke,
        |exchange| Box::pin(pages::tokens::ask(exchange)),
    ),
    Route::form(
        "/account/tokens/{token}/revoke",
        Action::TokenRevoke,
        |exchange| Box::pin(pages::tokens::revoke(exchange)),
    ),
    // Proving once more who one is.
    Route::page("/account/step-up", Action::SessionStepUp, |exchange| {
        Box::pin(step_up::show(exchange))
    }),
    Route::form("/account/step-up", Action::SessionStepUp, |exchange| {
        Box::pin(step_up::prove(exchange))
    }),
    Route::form(
        "/account/step-up/options",
        Action::SessionStepUp,
        |exchange| Box::pin(step_up::options(exchange)),
    ),
    // Open: nothing about projects, people or policies, and no change.
    Route::open(Get, "/simple", |exchange| {
        Box::pin(pages::with_slash(exchange))
    }),
    Route::open(Post, "/legacy", |exchange| {
        Box::pin(pages::with_slash(exchange))
    }),
    Route::open(Post, "/pypi", |exchange| {
        Box::pin(pages::uploads_moved(exchange))
    }),
    Route::open(Get, "/help", |exchange| {
        Box::pin(pages::with_slash(exchange))
    }),
    Route::open_page("/help/", |exchange| Box::pin(pages::help(exchange))),
    Route::open(Get, "/static/portcullis.css", |exchange| {
        Box::pin(pages::stylesheet(exchange))
    }),
    Route::open(Get, "/static/icon.svg", |exchange| {
        Box::pin(pages::icon(exchange))
    }),
    Route::open(Get, "/static/copy.js", |exchange| {
        Box::pin(pages::copy_script(exchange))
    }),
    Route::open(Get, "/static/webauthn.js", |exchange| {
        Box::pin(pages::webauthn_script(exchange))
    }),
    Route::open(Get, "/health", |exchange| {
        Box::pin(health::health(exchange))
    }),
    Route::open(Get, "/metrics", |exchange| {
        Box::pin(metrics::render(exchange))
    }),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The closed list of what is answered without a decision. Adding to it needs a reason.
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
            // A person who proves password and second factor needs a body for it, even to read.
            let reads = !action.effect().is_change();
            let proves = route.credentials == Credentials::HeadersOrPerson;
            if route.audience == Audience::Programs {
                assert_eq!(reads && !proves, route.verb == Verb::Get, "{route:?}");
            }
            // A page may show the form of a change; that a form is sent is what its row says.
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
            assert!(page_at(path), "{path}");
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
            assert!(!page_at(path), "{path}");
        }
        assert!(!page_at(&format!(
            "/help/?{}",
            "a".repeat(MAX_TARGET_BYTES)
        )));
        assert!(!form_at("/help/") && !form_at("/legacy/"));
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
