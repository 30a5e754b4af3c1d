//! Pages for people: what this is, what there is, and the help that refusals link to.
//!
//! How to add a page: a template in `templates/` that extends `layout.html` and fills its
//! block `main`; a struct with `layout: Layout` and what the template shows, named in
//! [`layout::pages!`]; a handler that decides, makes the frame with
//! `exchange.layout("Title")` and ends with `exchange.render(&page)`; a row
//! `Route::page(path, action, handler)` in `routes`, and its line in `docs/http-api.md`.
//!
//! How to add a form: the macros of `templates/forms.html` draw fields with what is wrong
//! beside them; `Route::form(path, action, handler)` is where it is sent. The handler reads
//! `exchange.form()`, checks, decides with `exchange.decide_page(target, &form)`, which asks
//! the person to prove what is missing and sends the form once more after that (but for
//! passwords and codes: decide about a form with secrets before it is shown as well), and
//! ends with `exchange.see_other("/path/?notice=saved")`, or with
//! `exchange.render_with(StatusCode::UNPROCESSABLE_ENTITY, &page)` and `Errors` when fields
//! are wrong. `exchange.person()?` comes first where somebody must be logged in.
//!
//! Everything is escaped by the templates; `|safe` is for markup made here, such as
//! [`layout::time`]. What somebody else wrote goes through [`layout::foreign`], which isolates it. No page has inline style or script: the policy that goes with it forbids
//! both.

pub(crate) mod layout;
pub(crate) mod menu;
pub(crate) mod project;
pub(crate) mod projects;
pub(crate) mod tokens;

use std::collections::HashMap;

use askama::Template;
use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, VARY};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::Response;
use bytes::Bytes;

use crate::answer_headers::Security;
use crate::app::AppConfig;
use crate::cookies::Browser;
use crate::exchange::{Exchange, OpenExchange, answer, redirect};
use crate::problem::{Answer, Problem};
use crate::reading::read_list;
use layout::{Layout, Viewer, pages};
use projects::Line;

const HTML: &str = "text/html; charset=utf-8";
const STYLESHEET: &str = include_str!("pages/portcullis.css");
const ICON: &str = include_str!("pages/icon.svg");
const COPY_SCRIPT: &str = include_str!("pages/copy.js");
const WEBAUTHN_SCRIPT: &str = include_str!("pages/webauthn.js");

/// What refusals link to, one section for each of its anchors.
#[derive(Template)]
#[template(path = "registry/help.html")]
struct Help {
    layout: Layout,
}

#[derive(Template)]
#[template(path = "registry/front.html")]
struct Front {
    layout: Layout,
    /// How many there are; empty for none.
    projects: String,
    newest: Vec<Line>,
}

pages!(Help, Front);

/// Pages made once, when the public address is known.
pub(crate) struct Pages {
    /// The help page, for each of what it depends on.
    help: HashMap<HelpFor, Bytes>,
}

/// What the help page depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct HelpFor {
    has_session: bool,
    can_register: bool,
    is_open: bool,
}

impl HelpFor {
    fn all() -> impl Iterator<Item = Self> {
        let bit = |number: u8, bit: u8| number & bit != 0;
        (0..8).map(move |number| Self {
            has_session: bit(number, 1),
            can_register: bit(number, 2),
            is_open: bit(number, 4),
        })
    }
}

impl Pages {
    pub(crate) fn new(config: &AppConfig) -> Self {
        let help = |it: HelpFor| {
            let frame =
                Layout::of_request(config, &Uri::from_static("/help/"), true).with_copying();
            let viewer = if it.has_session {
                Viewer::Unknown
            } else {
                Viewer::Nobody
            };
            let layout = Layout {
                title: "Help".to_owned(),
                viewer,
                can_register: it.can_register,
                is_open: it.is_open,
                ..frame
            };
            (
                it,
                Help { layout }
                    .render()
                    .expect("the help page has no parts that could fail")
                    .into(),
            )
        };
        Self {
            help: HelpFor::all().map(help).collect(),
        }
    }
}

/// `GET /`
pub(crate) async fn front(exchange: Exchange) -> Answer {
    let app = &exchange.app;
    let permit = read_list(&exchange).await?;
    let overview = app
        .registry
        .overview(&permit)
        .await
        .map_err(|error| exchange.unavailable(error))?;
    let projects = match overview.count {
        0 => String::new(),
        1 => "1 project".to_owned(),
        count => format!("{count} projects"),
    };
    let newest = overview.newest.iter().cloned().map(Line::from).collect();
    exchange.render(&Front {
        layout: exchange.layout("Python packages").with_copying(),
        projects,
        newest,
    })
}

/// `GET /help/`
pub(crate) async fn help(exchange: OpenExchange) -> Answer {
    let app = &exchange.app;
    // Whose session it is, and whether it still counts, nobody looks.
    let has_session = Browser::of(app, &exchange.request.headers)
        .session_cookie
        .is_some();
    let wanted = HelpFor {
        has_session,
        can_register: app.can_register(),
        is_open: app.is_open(),
    };
    let mut response = kept(answer(HTML, Body::from(app.pages.help[&wanted].clone())));
    response
        .headers_mut()
        .insert(VARY, HeaderValue::from_static("Cookie"));
    response.extensions_mut().insert(Security::PageWithCopying);
    Ok(response)
}

/// `GET /static/icon.svg`
pub(crate) async fn icon(_: OpenExchange) -> Answer {
    Ok(kept(answer("image/svg+xml", Body::from(ICON))))
}

/// `GET /static/copy.js`
pub(crate) async fn copy_script(_: OpenExchange) -> Answer {
    Ok(kept(answer(
        "text/javascript; charset=utf-8",
        Body::from(COPY_SCRIPT),
    )))
}

/// `GET /static/webauthn.js`
pub(crate) async fn webauthn_script(_: OpenExchange) -> Answer {
    Ok(kept(answer(
        "text/javascript; charset=utf-8",
        Body::from(WEBAUTHN_SCRIPT),
    )))
}

/// `GET /static/portcullis.css`
pub(crate) async fn stylesheet(_: OpenExchange) -> Answer {
    Ok(kept(answer(
        "text/css; charset=utf-8",
        Body::from(STYLESHEET),
    )))
}

/// The same address with a slash at its end. The method and its body are kept (308), and
/// the address is a whole one: uv does not follow a relative redirect of an upload.
pub(crate) async fn with_slash(exchange: OpenExchange) -> Answer {
    let path = format!("{}/", exchange.request.uri.path());
    redirect(&exchange.app, StatusCode::PERMANENT_REDIRECT, &path)
}

/// `POST /pypi`: where tools of another time upload to.
pub(crate) async fn uploads_moved(exchange: OpenExchange) -> Answer {
    Err(Problem::new(
        StatusCode::GONE,
        "api-moved",
        format!(
            "This API has moved to {}/legacy/.",
            exchange.app.public_url()
        ),
    ))
}

fn kept(mut response: Response) -> Response {
    response.headers_mut().insert(
        CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=300"),
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate::Page;
    use model::Contact;

    fn config() -> AppConfig {
        AppConfig::new("https://pypi.example.org").unwrap()
    }

    /// The page for whoever has a session, in an open registry.
    fn help_with(config: &AppConfig) -> String {
        let wanted = HelpFor {
            has_session: true,
            can_register: true,
            is_open: true,
        };
        String::from_utf8(Pages::new(config).help[&wanted].to_vec()).unwrap()
    }

    fn help() -> String {
        help_with(&config())
    }

    #[test]
    fn where_nobody_can_register_no_page_leads_there() {
        let help = |is_open| {
            let wanted = HelpFor {
                has_session: false,
                can_register: is_open,
                is_open,
            };
            String::from_utf8(Pages::new(&config()).help[&wanted].to_vec()).unwrap()
        };
        assert!(
            help(true).contains("example.org/register\"")
                && help(true).contains(">Simple index</a>")
        );
        assert!(
            !help(false).contains("/register")
                && help(false).contains("Ask the operators of the registry for an invitation")
        );
        assert!(
            !help(false).contains(">Simple index</a>"),
            "it is closed, and a browser would ask for a password"
        );
        assert!(
            help(false).contains("machine pypi.example.org login __token__")
                && !help(false).contains("You don’t need an account")
        );
        assert!(help(true).contains("You don’t need an account") && !help(true).contains("netrc"));
    }

    #[test]
    fn the_help_says_how_to_reach_the_operators_or_that_it_does_not_know() {
        let contact = Contact::parse("help@example.org").unwrap();
        let help_of = |contact| {
            help_with(&AppConfig {
                contact,
                ..config()
            })
        };
        assert!(
            help_of(Some(contact))
                .contains("href=\"mailto:help@example.org\">help@example.org</a>")
        );
        assert!(
            help_of(None).contains("No contact details are published for it")
                && !help_of(None).contains("mailto:")
        );
    }

    #[test]
    fn a_registry_with_a_name_goes_by_it() {
        let help_of = |name| help_with(&AppConfig { name, ..config() });
        let named = help_of(Some("Müller & Söhne".to_owned()));
        assert!(
            named.contains("<title>Help · Müller &#38; Söhne</title>")
                && named.contains("</svg><span>Müller &#38; Söhne</span>"),
            "{named}"
        );
        let unnamed = help_of(None);
        assert!(
            unnamed.contains("<title>Help · pypi.example.org</title>")
                && unnamed.contains("</svg><span>Portcullis</span>"),
            "{unnamed}"
        );
    }

    #[test]
    fn every_page_that_a_refusal_can_name_has_a_section() {
        for page in Page::ALL {
            assert!(help().contains(&format!("id=\"{page}\"")), "{page}");
        }
    }

    #[test]
    fn pages_name_the_public_address_and_leave_no_hole() {
        let help = help();
        assert!(help.contains("https://pypi.example.org/legacy/") && !help.contains("{{"));
    }
}
