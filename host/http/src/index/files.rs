//! Downloads: immutable bytes with validators and ranges.

use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH,
    CONTENT_RANGE, CONTENT_TYPE, ETAG,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::Response;
use futures_util::{StreamExt, stream};
use registry::files::{ReadError, Reading, StoredFile};

use crate::exchange::Exchange;
use crate::index::range::{self, Selected};
use crate::index::reading::read_file;
use crate::problem::{Answer, Problem};

/// `GET /files/{first}/{second}/{rest}/{name}`
pub(crate) async fn download(exchange: Exchange) -> Answer {
    let parameters = &exchange.parameters;
    let digest = (
        parameters.get("first"),
        parameters.get("second"),
        parameters.get("rest"),
    );
    let permit = read_file(&exchange, digest, parameters.get("name")).await?;
    let Some(file) = exchange
        .app
        .registry
        .open_file(permit)
        .await
        .map_err(|error| exchange.unavailable(error))?
    else {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "Not Found",
        ));
    };
    send(&exchange, file).await
}

async fn send(exchange: &Exchange, file: StoredFile) -> Answer {
    let headers = describe(&file, exchange.presents_credential());
    if range::client_has(exchange.headers(), &file.etag) {
        return Ok(response(StatusCode::NOT_MODIFIED, headers, Body::empty()));
    }
    let is_head = exchange.request.method == Method::HEAD;
    // Ranges have a meaning for GET only.
    let ranged = (!is_head).then_some(exchange.headers());
    let opened = open(&file, ranged, is_head)
        .await
        .map_err(|error| exchange.unavailable(error))?;
    let size = opened.size;
    let (status, part) = match opened.selected {
        Selected::Whole => (StatusCode::OK, 0..size),
        Selected::Part(ref part) => (StatusCode::PARTIAL_CONTENT, part.clone()),
        Selected::Unsatisfiable => {
            let problem = Problem::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                "range-not-satisfiable",
                format!("The file has {size} bytes."),
            );
            let value = HeaderValue::try_from(format!("bytes */{size}"))
                .map_err(|error| exchange.unavailable(error))?;
            return Err(problem.header(CONTENT_RANGE, value));
        }
    };
    let mut response = response(
        status,
        headers,
        opened.reading.map_or_else(Body::empty, body),
    );
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(part.end - part.start));
    if status == StatusCode::PARTIAL_CONTENT {
        let range = HeaderValue::try_from(format!("bytes {}-{}/{size}", part.start, part.end - 1))
            .map_err(|error| exchange.unavailable(error))?;
        response.headers_mut().insert(CONTENT_RANGE, range);
    }
    Ok(response)
}

fn response(status: StatusCode, headers: HeaderMap, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The headers of every answer about a file.
fn describe(file: &StoredFile, is_private: bool) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(16);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(file.content_type));
    let control = if is_private {
        "private, max-age=31536000, immutable"
    } else {
        "public, max-age=31536000, immutable"
    };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(control));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(CONTENT_DISPOSITION, disposition(&file.name));
    if let Ok(etag) = HeaderValue::try_from(file.etag.as_str()) {
        headers.insert(ETAG, etag);
    }
    headers
}

/// Files are saved, never shown in a browser, since their content is not ours.
fn disposition(name: &str) -> HeaderValue {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'+' | b'!');
    let named = name
        .bytes()
        .all(plain)
        .then(|| HeaderValue::try_from(format!("attachment; filename=\"{name}\"")).ok());
    named
        .flatten()
        .unwrap_or(HeaderValue::from_static("attachment"))
}

/// A file, at the part to send.
struct Opened {
    size: u64,
    selected: Selected,
    /// Its bytes, unless the answer has none.
    reading: Option<Reading>,
}

/// Opens a file and finds the part of it that `ranged` headers ask for. The file is opened even for
/// an answer without content, so that no answer describes a missing file.
async fn open(
    file: &StoredFile,
    ranged: Option<&HeaderMap>,
    without_content: bool,
) -> Result<Opened, ReadError> {
    let size = match file.blob.known_size() {
        Some(size) if !without_content => size,
        _ => file.blob.size().await?,
    };
    let selected = ranged.map_or(Selected::Whole, |headers| {
        range::select(headers, &file.etag, size)
    });
    let part = match &selected {
        Selected::Whole => 0..size,
        Selected::Part(part) => part.clone(),
        Selected::Unsatisfiable => 0..0,
    };
    let reading = match without_content {
        true => None,
        false => Some(file.blob.read(part).await?),
    };
    Ok(Opened {
        size,
        selected,
        reading,
    })
}

/// An error in the middle ends the connection, so that no client takes a truncated file for a whole
/// one.
fn body(reading: Reading) -> Body {
    let Reading { first, rest } = reading;
    if rest.is_none() {
        return Body::from(first);
    }
    let rest = stream::try_unfold(rest, async |rest| match rest {
        Some(rest) => rest.next().await.map(Some),
        None => Ok(None),
    });
    Body::from_stream(stream::iter([Ok(first)]).chain(rest))
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;
    use axum::http::header::RANGE;
    use blobs::{BlobName, Blobs};
    use http_body_util::BodyExt;

    #[test]
    fn a_file_name_that_needs_quoting_is_not_put_into_a_header() {
        assert_eq!(
            disposition("a-1.0+x-py3-none-any.whl"),
            "attachment; filename=\"a-1.0+x-py3-none-any.whl\""
        );
        assert_eq!(disposition("a\"; x=\"b"), "attachment");
        assert_eq!(disposition("ä"), "attachment");
    }

    async fn check(size: u64, range: Option<Range<u64>>) {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path()).unwrap();
        let content: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        let mut incoming = blobs.receive().await.unwrap();
        incoming.write(content.clone().into()).await.unwrap();
        let received = incoming.finish().await.unwrap();
        let name = BlobName::File(received.digests().blake2_256);
        received.keep().await.unwrap();
        let file = |known_size| StoredFile {
            blob: blobs.blob(name, known_size),
            etag: "\"a\"".into(),
            content_type: "text/plain",
            name: "blob".into(),
        };
        let headers = range.clone().map(|range| {
            HeaderMap::from_iter([(
                RANGE,
                format!("bytes={}-{}", range.start, range.end - 1)
                    .parse()
                    .unwrap(),
            )])
        });
        let headers = headers.as_ref();
        let range = range.unwrap_or(0..size);

        for known_size in [Some(size), None] {
            let opened = open(&file(known_size), headers, false).await.unwrap();
            assert_eq!(opened.size, size);
            let body = body(opened.reading.unwrap());
            let sent = body.collect().await.unwrap().to_bytes();
            assert_eq!(sent, &content[range.start as usize..range.end as usize]);
        }

        for without_content in [false, true] {
            let torn = file(Some(size + 1));
            assert!(open(&torn, headers, without_content).await.is_err());
        }
        let described = open(&file(None), headers, true).await.unwrap();
        assert_eq!(described.size, size);
        assert!(described.reading.is_none());
    }

    #[tokio::test]
    async fn small_and_large_files_and_their_parts_arrive_whole() {
        const PART: u64 = 64 << 10;
        check(0, None).await;
        check(10, None).await;
        check(10, Some(3..4)).await;
        check(PART * 3 + 1, None).await;
        check(PART * 3 + 1, Some(5..PART * 2 + 7)).await;
    }
}
