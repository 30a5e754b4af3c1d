//! Downloads: immutable bytes with validators and ranges.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use axum::body::Body;
use axum::http::header::{ACCEPT_RANGES, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use model::CredentialKind;
use registry::files::StoredFile;
use tokio::task::spawn_blocking;

use crate::exchange::Exchange;
use crate::problem::{Answer, Problem};
use crate::range::{self, Selected};

/// Bytes read from disk at a time, and the most that one slow client holds in memory.
const CHUNK: u64 = 64 << 10;

/// `GET /files/{first}/{second}/{rest}/{name}`
pub(crate) async fn download(exchange: Exchange) -> Answer {
    let parameters = &exchange.parameters;
    let digest = (parameters.get("first"), parameters.get("second"), parameters.get("rest"));
    let registry = &exchange.app.registry;
    let target = registry.load_download(&exchange.caller, digest, parameters.get("name")).await.map_err(|error| exchange.unavailable(error))?;
    let permit = exchange.decide(target).await?;
    let Some(file) = registry.open_file(permit).await.map_err(|error| exchange.unavailable(error))? else {
        return Err(Problem::new(StatusCode::NOT_FOUND, "not-found", "Not Found"));
    };
    send(&exchange, file).await
}

async fn send(exchange: &Exchange, file: StoredFile) -> Answer {
    let headers = describe(&file, exchange.caller.credential);
    if range::client_has(exchange.headers(), &file.etag) {
        return Ok(response(StatusCode::NOT_MODIFIED, headers, Body::empty()));
    }
    let (status, part) = match range::select(exchange.headers(), &file.etag, file.size) {
        Selected::Whole => (StatusCode::OK, 0..file.size),
        Selected::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
        Selected::Unsatisfiable => {
            let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "range-not-satisfiable", format!("The file has {} bytes.", file.size));
            let value = HeaderValue::try_from(format!("bytes */{}", file.size)).map_err(|error| exchange.unavailable(error))?;
            return Err(problem.header(CONTENT_RANGE, value));
        }
    };
    let (size, length) = (file.size, part.end - part.start);
    let range = HeaderValue::try_from(format!("bytes {}-{}/{size}", part.start, part.end.saturating_sub(1))).ok();
    let body = match exchange.request.method {
        Method::HEAD => Body::empty(),
        _ => read(file, part).await.map_err(|error| exchange.unavailable(error))?,
    };
    let mut response = response(status, headers, body);
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    if let Some(range) = range.filter(|_| status == StatusCode::PARTIAL_CONTENT) {
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
fn describe(file: &StoredFile, credential: CredentialKind) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(16);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(file.content_type));
    let control = match credential {
        CredentialKind::None => "public, max-age=31536000, immutable",
        _ => "private, max-age=31536000, immutable",
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
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'+' | b'!');
    let named = name.bytes().all(plain).then(|| HeaderValue::try_from(format!("attachment; filename=\"{name}\"")).ok());
    named.flatten().unwrap_or(HeaderValue::from_static("attachment"))
}

/// The bytes of a file in this range: at once when they are few, else piece by piece.
async fn read(file: StoredFile, range: Range<u64>) -> io::Result<Body> {
    let (reader, first) = spawn_blocking(move || {
        let mut opened = File::open(&file.path)?;
        if opened.metadata()?.len() != file.size {
            return Err(io::Error::other(format!("{} has not the size the database says", file.path.display())));
        }
        if range.start > 0 {
            opened.seek(SeekFrom::Start(range.start))?;
        }
        let mut reader = Reader { file: opened, left: range.end - range.start };
        let first = reader.next()?;
        Ok((reader, first))
    })
    .await??;
    if reader.left == 0 {
        return Ok(Body::from(first));
    }
    let rest = stream::try_unfold(reader, |mut reader| async move {
        if reader.left == 0 {
            return Ok(None);
        }
        let step = spawn_blocking(move || reader.next().map(|chunk| (chunk, reader)));
        step.await?.map(Some)
    });
    let whole = futures_util::StreamExt::chain(stream::iter([Ok::<Bytes, io::Error>(first)]), rest);
    Ok(Body::from_stream(whole))
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
    use super::*;
    use http_body_util::BodyExt;

    #[test]
    fn a_file_name_that_needs_quoting_is_not_put_into_a_header() {
        assert_eq!(disposition("a-1.0+x-py3-none-any.whl"), "attachment; filename=\"a-1.0+x-py3-none-any.whl\"");
        assert_eq!(disposition("a\"; x=\"b"), "attachment");
        assert_eq!(disposition("ä"), "attachment");
    }

    async fn check(size: u64, range: Range<u64>) {
        let folder = std::env::temp_dir().join(format!("portcullis-http-{}", model::DecisionId::new()));
        std::fs::create_dir(&folder).unwrap();
        let content: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        let path = folder.join("blob");
        std::fs::write(&path, &content).unwrap();
        let file = StoredFile { path, size, etag: "\"a\"".into(), content_type: "text/plain", name: "blob".into() };
        let sent = read(file.clone(), range.clone()).await.unwrap().collect().await.unwrap().to_bytes();
        assert_eq!(sent, &content[range.start as usize..range.end as usize]);
        assert!(read(StoredFile { size: size + 1, ..file }, range).await.is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[tokio::test]
    async fn small_and_large_files_and_their_parts_arrive_whole() {
        check(0, 0..0).await;
        check(10, 0..10).await;
        check(10, 3..4).await;
        check(CHUNK * 3 + 1, 0..CHUNK * 3 + 1).await;
        check(CHUNK * 3 + 1, 5..CHUNK * 2 + 7).await;
    }
}
