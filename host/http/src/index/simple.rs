//! The Simple API (PEP 503, 629, 691, 700): read by pip and uv.

use std::net::IpAddr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE,
    ETAG, VARY,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use futures_util::stream;
use gate::Permit;
use model::limit::LARGE_PAGES_PER_ADDRESS;
use registry::index::{ListPage, Page, PageBytes, Parts};
use registry::targets::ReadProject;

use crate::crowd::{Crowd, InCrowd};
use crate::exchange::{Exchange, redirect};
use crate::index::range::client_has;
use crate::index::reading::{read_list, read_named_project};
use crate::negotiate::{SimpleFormat, accepts_gzip};
use crate::problem::{Answer, Problem};

static X_PYPI_LAST_SERIAL: HeaderName = HeaderName::from_static("x-pypi-last-serial");

/// `GET /simple/`
pub(crate) async fn index(exchange: Exchange) -> Answer {
    let permit = read_list(&exchange).await?;
    let format = SimpleFormat::preferred(exchange.headers());
    let page = exchange
        .app
        .registry
        .simple_list(permit, format.page_format())
        .await
        .map_err(|error| exchange.not_read(error))?;
    Ok(list(&exchange, page, format.content_type()).await)
}

/// `GET /simple/{project}/`
pub(crate) async fn project(exchange: Exchange) -> Answer {
    let Ok(permit) = read_named_project(&exchange).await? else {
        return Ok(not_found());
    };
    if permit.target().normalized() != exchange.parameters.get("project") {
        return to_normalized(&exchange, permit);
    }
    let format = SimpleFormat::preferred(exchange.headers());
    let page = exchange
        .app
        .registry
        .simple_page(permit, format.page_format())
        .await
        .map_err(|error| exchange.not_read(error))?;
    match page {
        Some(page) => cacheable(&exchange, page, format.content_type()).await,
        None => Ok(not_found()),
    }
}

/// `GET /simple/{project}`: redirects to the path with a slash.
pub(crate) async fn without_slash(exchange: Exchange) -> Answer {
    match read_named_project(&exchange).await? {
        Ok(permit) => to_normalized(&exchange, permit),
        Err(_) => Ok(not_found()),
    }
}

/// A name that is not normalized redirects to the page of the normalized one, whether there is such
/// a project or not.
fn to_normalized(exchange: &Exchange, permit: Permit<ReadProject>) -> Answer {
    redirect(
        &exchange.app,
        StatusCode::MOVED_PERMANENTLY,
        &format!("/simple/{}/", permit.target().normalized()),
    )
}

/// A page that clients and caches keep for ten minutes, or the answer that it is unchanged.
pub(crate) async fn cacheable(
    exchange: &Exchange,
    page: Page,
    content_type: &'static str,
) -> Answer {
    let validators = Validators {
        etag: &page.etag,
        last_serial: page.last_serial,
        is_large: page.is_large(),
    };
    let reads_too_much = AtomicBool::new(false);
    let body = |bytes: &PageBytes| {
        let body = body_of(bytes, exchange.attempt.remote_address);
        reads_too_much.fetch_or(body.is_none(), Ordering::Relaxed);
        (body.unwrap_or_default(), Some(bytes.length()))
    };
    let compressed = async || page.gzip().await.map(|bytes| body(&bytes));
    let response = validated(
        exchange,
        content_type,
        validators,
        || body(&page.body),
        compressed,
    )
    .await;
    match reads_too_much.load(Ordering::Relaxed) {
        false => Ok(response),
        true => {
            let problem = Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "too-many-large-pages",
                "Your address reads too many large pages at the same time.",
            );
            Err(problem
                .remedy("Try again in a few seconds.", None)
                .retry_after(5))
        }
    }
}

/// Bytes of pages in files that each address is reading.
static LARGE_PAGES: LazyLock<Crowd> = LazyLock::new(Crowd::default);

/// From memory at once, or from a file while it is read; none if this address is reading too much.
fn body_of(bytes: &PageBytes, address: IpAddr) -> Option<Body> {
    if let PageBytes::Memory(bytes) = bytes {
        return Some(Body::from(bytes.clone()));
    }
    let length = usize::try_from(bytes.length()).unwrap_or(usize::MAX);
    let held = LARGE_PAGES.enter_with(length, address, LARGE_PAGES_PER_ADDRESS.length())?;
    let next = async |(bytes, position, held): (PageBytes, u64, InCrowd)| {
        let part = bytes.part(position).await?;
        Ok::<_, std::io::Error>(part.map(|part| {
            let position = position + part.len() as u64;
            (part, (bytes, position, held))
        }))
    };
    Some(Body::from_stream(stream::try_unfold(
        (bytes.clone(), 0, held),
        next,
    )))
}

/// The list of projects, generated while it is sent.
async fn list(exchange: &Exchange, page: ListPage, content_type: &'static str) -> Response {
    let body = |compressed| {
        let next = async |mut parts: Parts| {
            Ok::<_, std::io::Error>(parts.next().await?.map(|part| (part, parts)))
        };
        Body::from_stream(stream::try_unfold(page.parts(compressed), next))
    };
    let validators = Validators {
        etag: page.etag(),
        last_serial: page.last_serial(),
        is_large: page.is_large(),
    };
    validated(
        exchange,
        content_type,
        validators,
        || (body(false), Some(page.length())),
        async || Some((body(true), None)),
    )
    .await
}

/// The validators of a page.
struct Validators<'a> {
    /// With its quotation marks.
    etag: &'a str,
    last_serial: i64,
    is_large: bool,
}

/// `plain` and `compressed` make the body. A body that does not know its length comes with it.
async fn validated(
    exchange: &Exchange,
    content_type: &'static str,
    page: Validators<'_>,
    plain: impl FnOnce() -> (Body, Option<u64>),
    compressed: impl AsyncFnOnce() -> Option<(Body, Option<u64>)>,
) -> Response {
    // Other bytes need another validator; both are valid for as long as the page is.
    let compressed_etag = (page.is_large && accepts_gzip(exchange.headers()))
        .then(|| format!("{}-gzip\"", page.etag.trim_end_matches('"')));
    let had = [compressed_etag.as_deref(), Some(page.etag)]
        .into_iter()
        .flatten()
        .find(|etag| client_has(exchange.headers(), etag));
    let compressed = match (had, compressed_etag.as_deref()) {
        (None, Some(etag)) => compressed().await.map(|body| (body, etag)),
        _ => None,
    };
    let is_compressed = compressed.is_some();
    let (status, (body, length), etag) = match (had, compressed) {
        (Some(etag), _) => (StatusCode::NOT_MODIFIED, (Body::empty(), None), etag),
        (None, Some((body, etag))) => (StatusCode::OK, body, etag),
        (None, None) => (StatusCode::OK, plain(), page.etag),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    // An answer to a credential is not for shared caches, whether it was needed or not.
    let control = if exchange.presents_credential() {
        "private, max-age=600"
    } else {
        "public, max-age=600"
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if is_compressed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(control));
    headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        X_PYPI_LAST_SERIAL.clone(),
        HeaderValue::from(page.last_serial),
    );
    if let Ok(etag) = HeaderValue::from_str(etag) {
        headers.insert(ETAG, etag);
    }
    response
}

/// The text that clients of PyPI know.
fn not_found() -> Response {
    let mut response =
        crate::answer::answer("text/plain; charset=utf-8", Body::from("404 Not Found"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
        .headers_mut()
        .insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}
