//! The few pages for people: what this is, and the help that refusals link to.

pub(crate) mod project;

use std::sync::{Mutex, PoisonError};

use axum::body::Body;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use storage::StorageError;

use crate::app::Shared;
use crate::exchange::{Exchange, OpenExchange, answer, redirect};
use crate::problem::{Answer, Problem, document, escape};

const HTML: &str = "text/html; charset=utf-8";
const STYLESHEET: &str = include_str!("pages/portcullis.css");
const HELP: &str = include_str!("pages/help.html");
const FRONT: &str = include_str!("pages/front.html");

/// Pages made once, when the public address is known.
pub(crate) struct Pages {
    help: Bytes,
    /// How many projects there were at a serial.
    projects: Mutex<Option<(i64, usize)>>,
}

impl Pages {
    pub(crate) fn new(public_url: &str) -> Self {
        let help = document("Help", &HELP.replace("{url}", &escape(public_url)), public_url);
        Self { help: help.into(), projects: Mutex::new(None) }
    }

    /// How many projects have published something; counted again only after a change.
    async fn project_count(&self, app: &Shared) -> Result<usize, StorageError> {
        let storage = app.registry.storage();
        let serial = storage.known_marker().serial;
        let known = *self.projects.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, count)) = known.filter(|(at, _)| *at == serial) {
            return Ok(count);
        }
        let count = storage.index().await?.len();
        *self.projects.lock().unwrap_or_else(PoisonError::into_inner) = Some((serial, count));
        Ok(count)
    }
}

/// `GET /`
pub(crate) async fn front(exchange: Exchange) -> Answer {
    let app = &exchange.app;
    let target = app.registry.load_read_index(&exchange.caller, None).await.map_err(|error| exchange.unavailable(error))?;
    let _ = exchange.decide(target).await?;
    let count = app.pages.project_count(app).await.map_err(|error| exchange.unavailable(error))?;
    let projects = if count == 1 { "1 project".to_owned() } else { format!("{count} projects") };
    let main = FRONT.replace("{url}", &escape(app.public_url())).replace("{projects}", &projects);
    Ok(answer(HTML, Body::from(document("Portcullis", &main, app.public_url()))))
}

/// `GET /help/`: the page that refusals link to, one section for each of its anchors.
pub(crate) async fn help(exchange: OpenExchange) -> Answer {
    Ok(kept(answer(HTML, Body::from(exchange.app.pages.help.clone()))))
}

/// `GET /static/portcullis.css`
pub(crate) async fn stylesheet(_: OpenExchange) -> Answer {
    Ok(kept(answer("text/css; charset=utf-8", Body::from(STYLESHEET))))
}

/// The same address with a slash at its end. The method and its body are kept (308), and
/// the address is a whole one: uv does not follow a relative redirect of an upload.
pub(crate) async fn with_slash(exchange: OpenExchange) -> Answer {
    let path = format!("{}/", exchange.request.uri.path());
    redirect(&exchange.app, StatusCode::PERMANENT_REDIRECT, &path)
}

/// `POST /pypi`: where tools of another time upload to.
pub(crate) async fn uploads_moved(exchange: OpenExchange) -> Answer {
    Err(Problem::new(StatusCode::GONE, "api-moved", format!("This API has moved to {}/legacy/.", exchange.app.public_url())))
}

fn kept(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate::Page;

    #[test]
    fn every_page_that_a_refusal_can_name_has_a_section() {
        for page in Page::ALL {
            assert!(HELP.contains(&format!("id=\"{page}\"")), "{page}");
        }
    }

    #[test]
    fn pages_name_the_public_address_and_leave_no_hole() {
        let pages = Pages::new("https://pypi.example.org");
        let help = String::from_utf8(pages.help.to_vec()).unwrap();
        assert!(help.contains("https://pypi.example.org/legacy/") && !help.contains("{url}"));
    }
}
