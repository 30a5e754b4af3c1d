//! Downloads: immutable bytes with validators and ranges.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH,
    CONTENT_RANGE, CONTENT_TYPE, ETAG, RANGE,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use registry::files::StoredFile;
use tokio::task::spawn_blocking;

use crate::exchange::Exchange;
use crate::problem::{Answer, Problem};
use crate::range::{self, Selected};
use crate::reading::read_file;

/// Bytes read from disk at a time, and the most that one slow client holds in memory.
const CHUNK: u64 = 64 << 10;

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
    let ranged =
        (!is_head && exchange.headers().contains_key(RANGE)).then(|| exchange.headers().clone());
    let opened = open(file, ranged, is_head)
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
        if is_head {
            Body::empty()
        } else {
            opened.into_body()
        },
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

/// To be saved, never shown: what people upload is not ours to render.
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

/// A file on disk, at the part of it that is sent.
struct Opened {
    size: u64,
    selected: Selected,
    reader: Reader,
    /// The first bytes, read in the same breath: all there is of most files.
    first: Bytes,
}

/// Opens a file and finds the part of it that `ranged` headers ask for. Without `first`
/// bytes for who wants none.
async fn open(
    file: StoredFile,
    ranged: Option<HeaderMap>,
    without_content: bool,
) -> io::Result<Opened> {
    spawn_blocking(move || {
        let mut opened = File::open(&file.path)?;
        let size = opened.metadata()?.len();
        if file.size.is_some_and(|expected| expected != size) {
            return Err(io::Error::other(format!(
                "{} has not the size the database says",
                file.path.display()
            )));
        }
        let selected = ranged.map_or(Selected::Whole, |headers| {
            range::select(&headers, &file.etag, size)
        });
        let part = match &selected {
            Selected::Whole => 0..size,
            Selected::Part(part) => part.clone(),
            Selected::Unsatisfiable => 0..0,
        };
        if part.start > 0 {
            opened.seek(SeekFrom::Start(part.start))?;
        }
        let mut reader = Reader {
            file: opened,
            left: part.end - part.start,
        };
        let first = if without_content {
            Bytes::new()
        } else {
            reader.next()?
        };
        Ok(Opened {
            size,
            selected,
            reader,
            first,
        })
    })
    .await?
}

impl Opened {
    fn into_body(self) -> Body {
        if self.reader.left == 0 {
            return Body::from(self.first);
        }
        let rest = stream::try_unfold(self.reader, |mut reader| async move {
            if reader.left == 0 {
                return Ok(None);
            }
            spawn_blocking(move || reader.next().map(|chunk| (chunk, reader)))
                .await?
                .map(Some)
        });
        Body::from_stream(stream::iter([Ok::<Bytes, io::Error>(self.first)]).chain(rest))
    }
}

/// A file being sent.
struct Reader {
    file: File,
    left: u64,
}

impl Reader {
    /// The next bytes; an error if the file ends before the range does, which ends the
    /// connection, so that no client takes a torn file for a whole one.
    fn next(&mut self) -> io::Result<Bytes> {
        let mut chunk = vec![0; self.left.min(CHUNK) as usize];
        self.file.read_exact(&mut chunk)?;
        self.left -= chunk.len() as u64;
        Ok(chunk.into())
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;
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
        let content: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        let path = folder.path().join("blob");
        std::fs::write(&path, &content).unwrap();
        let file = StoredFile {
            path,
            size: Some(size),
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
        let range = range.unwrap_or(0..size);

        let opened = open(file.clone(), headers.clone(), false).await.unwrap();
        assert_eq!(opened.size, size);
        let sent = opened.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(sent, &content[range.start as usize..range.end as usize]);

        assert!(
            open(
                StoredFile {
                    size: Some(size + 1),
                    ..file.clone()
                },
                headers.clone(),
                false
            )
            .await
            .is_err()
        );
        assert_eq!(
            open(StoredFile { size: None, ..file }, headers, true)
                .await
                .unwrap()
                .size,
            size
        );
    }

    #[tokio::test]
    async fn small_and_large_files_and_their_parts_arrive_whole() {
        check(0, None).await;
        check(10, None).await;
        check(10, Some(3..4)).await;
        check(CHUNK * 3 + 1, None).await;
        check(CHUNK * 3 + 1, Some(5..CHUNK * 2 + 7)).await;
    }
}
