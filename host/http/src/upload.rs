//! `POST /legacy/`: the uploads of twine, uv, flit, hatch and poetry.
//!
//! The credential is accepted or refused before the body is read, the uploader's role before the
//! file is; the file goes to disk chunk by chunk. The pipeline drains unread bytes, within limits,
//! so that the client sees the answer.

pub(crate) mod places;

use std::time::Duration;

use axum::body::Body;
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use gate::{Page, Reason, RefusalKind};
use model::limit::bytes_in_words;
use model::{Action, Principal, limit};
use registry::form::{FilePart, FormBuilder};
use registry::spool::{Spool, SpoolError};
use registry::upload::{UploadError, Uploaded};
use serde_json::json;
use tokio::time::timeout;

use crate::answer::answer;
use crate::body::Incoming;
use crate::credential::{authenticate_again, presented};
use crate::early::refuse_unread;
use crate::exchange::{Exchange, json};
use crate::negotiate::ProblemFormat;
use crate::presence::Presence;
use crate::problem::{Answer, Problem};
use crate::route::{Route, Verb};
use places::NoPlace;

/// How often a credential is checked while its body arrives.
const LOOK_AGAIN: Duration = Duration::from_millis(limit::ENDED_CREDENTIAL.milliseconds());

/// The routes of this room.
pub(crate) const ROUTES: &[Route] = &[Route::decided(
    Verb::Post,
    "/legacy/",
    Action::FileUpload,
    |exchange| Box::pin(upload(exchange)),
)];

/// `POST /legacy/`
async fn upload(mut exchange: Exchange) -> Answer {
    let app = exchange.app.clone();
    let Exchange {
        attempt, caller, ..
    } = &exchange;
    // Core rule, not a policy: a file needs an uploader. Checked before the body is read, so that
    // anonymous callers cost nothing.
    if caller.principal == Principal::Anonymous {
        let message = "Invalid or non-existent authentication information.";
        let remedy =
            "Use an API token: user name __token__, and the token with its prefix as password.";
        let refusal = app
            .gate
            .refuse(
                attempt,
                caller,
                Action::FileUpload,
                "authentication-missing",
                message,
                remedy,
                Some(Page::Tokens),
            )
            .await;
        return Err(refusal.into());
    }
    if let Some(gone) = exchange
        .request
        .uri
        .query()
        .and_then(action_of_query)
        .and_then(|action| gone(&action))
    {
        return Err(gone);
    }
    let body = exchange
        .body
        .clone()
        .ok_or_else(|| malformed("The upload has no body"))?;
    app.gate
        .check_token(attempt, caller, Action::FileUpload)
        .await?;
    // An upload that the set always refuses with such a credential is refused before a byte is
    // stored.
    if app
        .gate
        .never_permits(Action::FileUpload, caller.credential)
    {
        refuse_unread(&app, attempt, caller, Action::FileUpload).await?;
    }
    let place = tokio::select! {
        place = app.upload_places.take(caller, &body) => match place {
            Ok(place) => place,
            Err(none) => return Err(no_place(&exchange, none).await),
        },
        // A client that went away leaves the queue, so that clients that reconnect again and again
        // do not delay others.
        () = client_gone(&exchange) => return Err(busy()),
    };
    let _under_way = UnderWay::begin();

    let form = tokio::select! {
        form = read_form(&exchange, &body) => form.map(Some),
        () = credential_ended(&exchange) => Ok(None),
        () = place.gives_way() => Err(gave_way()),
    };
    let form = form?;
    place.arrived();
    authenticate_again(&mut exchange, Action::FileUpload).await?;
    let Some(form) = form else {
        // Either the credential ended, which the check above reports, or it no longer permits
        // uploads.
        let Exchange {
            attempt, caller, ..
        } = &exchange;
        refuse_unread(&app, attempt, caller, Action::FileUpload).await?;
        return Err(busy());
    };
    let Exchange {
        attempt, caller, ..
    } = &exchange;
    let uploaded = app
        .registry
        .upload(&app.gate, attempt, caller, form.finish())
        .await
        .map_err(|error| failed(&exchange, error))?;
    succeeded(exchange.headers(), uploaded, app.public_url())
}

/// Waits until the client is gone.
async fn client_gone(exchange: &Exchange) {
    match exchange.request.extensions.get::<Presence>() {
        Some(presence) => presence.clone().gone().await,
        None => std::future::pending().await,
    }
}

/// Waits until the credential is useless, for example because owners revoked it to lock somebody
/// out. Otherwise a body that is made to take an hour would keep a place that its owner waits for.
async fn credential_ended(exchange: &Exchange) {
    let Exchange {
        app,
        caller,
        request,
        browser,
        ..
    } = exchange;
    let Ok(presented) = presented(&request.headers, browser) else {
        return;
    };
    loop {
        tokio::time::sleep(LOOK_AGAIN).await;
        if app
            .gate
            .never_permits(Action::FileUpload, caller.credential)
            || app.identity.has_ended(caller, &presented).await
        {
            return;
        }
    }
}

async fn read_form(exchange: &Exchange, body: &Incoming) -> Result<FormBuilder, Problem> {
    let mut form = FormBuilder::new();
    let mut parts = multipart(exchange.headers(), body).await?;
    while let Some(mut part) = parts
        .next_field()
        .await
        .map_err(|error| unreadable(body, &error))?
    {
        body.parsed();
        let name = part.name().unwrap_or("").to_owned();
        if part.file_name().is_none() {
            let value = read_text(&mut part, body).await?;
            if name == ":action"
                && let Some(gone) = std::str::from_utf8(&value).ok().and_then(gone)
            {
                return Err(gone);
            }
            form.text(&name, &value)
                .map_err(|error| failed(exchange, error))?;
            continue;
        }
        match form
            .file_part(&name)
            .map_err(|error| failed(exchange, error))?
        {
            FilePart::Content => read_content(exchange, body, &mut form, part).await?,
            FilePart::Ignored => while next_chunk(&mut part, body).await?.is_some() {},
        }
    }
    Ok(form)
}

/// The distribution itself, straight to disk.
async fn read_content(
    exchange: &Exchange,
    body: &Incoming,
    form: &mut FormBuilder,
    mut part: Field<'_>,
) -> Result<(), Problem> {
    let Exchange {
        app,
        attempt,
        caller,
        ..
    } = exchange;
    app.registry
        .check_uploader(&app.gate, attempt, caller, form)
        .await
        .map_err(|error| failed(exchange, error))?;
    let file_name = part.file_name().map(str::to_owned);
    let content_type = part.content_type().map(str::to_owned);
    let mut spool = match timeout(app.config.upload_wait, Spool::create(&app.registry)).await {
        Ok(spool) => spool.map_err(|error| not_spooled(exchange, error))?,
        Err(_) => return Err(busy()),
    };
    while let Some(chunk) = next_chunk(&mut part, body).await? {
        spool
            .write(chunk)
            .await
            .map_err(|error| not_spooled(exchange, error))?;
    }
    let file = spool
        .finish()
        .await
        .map_err(|error| not_spooled(exchange, error))?;
    form.content(file_name.as_deref(), content_type.as_deref(), file)
        .map_err(|error| failed(exchange, error))
}

/// The body's parts, read from the network as they are asked for.
async fn multipart(headers: &HeaderMap, body: &Incoming) -> Result<Multipart, Problem> {
    let mut request = Request::new(Body::from_stream(body.chunks()));
    if let Some(content_type) = headers.get(CONTENT_TYPE) {
        request
            .headers_mut()
            .insert(CONTENT_TYPE, content_type.clone());
    }
    // The body itself keeps the limits; axum's own would cut files at 2 MiB.
    DefaultBodyLimit::disable().apply(&mut request);
    Multipart::from_request(request, &())
        .await
        .map_err(|_| malformed("The upload is no multipart/form-data"))
}

/// A text field, read no further than the form accepts.
async fn read_text(part: &mut Field<'_>, body: &Incoming) -> Result<Vec<u8>, Problem> {
    let mut value = Vec::new();
    while let Some(chunk) = next_chunk(part, body).await? {
        let room = FormBuilder::MAX_FIELD_BYTES + 1 - value.len();
        value.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
    Ok(value)
}

async fn next_chunk(
    part: &mut Field<'_>,
    body: &Incoming,
) -> Result<Option<bytes::Bytes>, Problem> {
    let chunk = part
        .chunk()
        .await
        .map_err(|error| unreadable(body, &error))?;
    body.parsed();
    Ok(chunk)
}

/// Why the parts could not be read: the failure of the body, if it failed.
fn unreadable(body: &Incoming, error: &MultipartError) -> Problem {
    match body.failure() {
        Some(failure) => failure.into(),
        None => malformed(&format!("The upload cannot be read: {}", error.body_text())),
    }
}

fn malformed(message: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "upload-malformed", message).remedy(
        "Upload with twine, uv or another tool that speaks the upload API.",
        None,
    )
}

fn busy() -> Problem {
    let problem = Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "too-many-uploads",
        "Too many uploads are under way.",
    );
    problem
        .remedy("Try again in a few seconds.", None)
        .retry_after(10)
}

fn gave_way() -> Problem {
    let problem = Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        "upload-too-slow",
        "The upload arrives too slowly while others wait for its place.",
    );
    problem.remedy(
        "Try again over a faster connection, or when fewer people upload.",
        None,
    )
}

async fn no_place(exchange: &Exchange, none: NoPlace) -> Problem {
    let NoPlace::Own { most } = none else {
        return busy();
    };
    let reason = Reason {
        code: "too-many-own-uploads".to_owned(),
        message: format!("Too many of your uploads are under way; at most {most} may be at a time."),
        remedy: "Wait until one of them is done, then try again. If they are not yours, revoke the token that they use.".to_owned(),
        page: Some(Page::Tokens),
    };
    let kind = RefusalKind::Limited {
        retry_after_seconds: 30,
    };
    exchange
        .app
        .gate
        .refuse_as(
            &exchange.attempt,
            &exchange.caller,
            Action::FileUpload,
            kind,
            reason,
        )
        .await
        .into()
}

fn not_spooled(exchange: &Exchange, error: SpoolError) -> Problem {
    match error {
        SpoolError::FarTooLarge { limit } => {
            let message = format!("File too large. Limit is {}.", bytes_in_words(limit));
            Problem::new(StatusCode::BAD_REQUEST, "file-too-large", message)
        }
        error @ SpoolError::Write(_) => exchange.unavailable(error),
    }
}

fn failed(exchange: &Exchange, error: UploadError) -> Problem {
    match error {
        UploadError::Rejected {
            status,
            code,
            message,
        } => {
            let status = StatusCode::from_u16(status)
                .ok()
                .filter(|status| status.is_client_error())
                .unwrap_or(StatusCode::BAD_REQUEST);
            Problem::new(status, code, message)
        }
        UploadError::Refused(refusal) => refusal.into(),
        UploadError::Unavailable(cause) => exchange.unavailable(cause),
    }
}

/// 200 with any messages, one on each line; usually none. Clients that prefer JSON get everything.
fn succeeded(headers: &HeaderMap, mut uploaded: Uploaded, public_url: &str) -> Answer {
    if uploaded.staged {
        uploaded
            .messages
            .push(how_to_publish(&uploaded, public_url));
    }
    if ProblemFormat::preferred(headers) == ProblemFormat::Json {
        return json(&json!({
            "project": uploaded.project, "version": uploaded.version, "file": uploaded.file, "staged": uploaded.staged,
            "unchanged": uploaded.unchanged, "created_project": uploaded.created_project, "messages": uploaded.messages,
        }));
    }
    Ok(answer(
        "text/plain; charset=utf-8",
        Body::from(uploaded.messages.join("\n")),
    ))
}

/// How to publish the release, for people and for programs.
fn how_to_publish(uploaded: &Uploaded, public_url: &str) -> String {
    let Uploaded {
        project,
        version,
        messages,
        ..
    } = uploaded;
    let page = format!("{public_url}/help/#{}", Page::StagedReleases);
    let see = if messages.iter().any(|message| message.contains(&page)) {
        String::new()
    } else {
        format!(" See {page}")
    };
    format!(
        "A maintainer publishes the release with `portcullis release publish {project} {version} --url {public_url}`, or by POST {public_url}/api/projects/{project}/releases/{version}/publish.{see}"
    )
}

/// `:action` of a query, where old tools put it.
fn action_of_query(query: &str) -> Option<String> {
    let value = query.split('&').find_map(|pair| {
        pair.strip_prefix(":action=")
            .or_else(|| pair.strip_prefix("%3Aaction="))
    })?;
    Some(value.chars().take(32).collect())
}

/// PyPI's answer to requests of very old tools.
fn gone(action: &str) -> Option<Problem> {
    let message = match action {
        "submit" | "submit_pkg_info" => {
            "Project pre-registration is no longer required or supported, upload your files instead."
        }
        "doc_upload" => {
            "Uploading documentation is no longer supported, we recommend using https://readthedocs.org/."
        }
        _ => return None,
    };
    Some(Problem::new(StatusCode::GONE, "action-gone", message))
}

/// Counts an upload in flight for as long as it lives.
struct UnderWay(metrics::Gauge);

impl UnderWay {
    fn begin() -> Self {
        let gauge = metrics::gauge!(crate::metrics::UPLOADS_IN_FLIGHT);
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::BodyLimits;
    use crate::frame::layout::Layout;
    use crate::frame::viewer::Viewer;
    use axum::http::HeaderValue;
    use futures_util::stream;

    const LIMITS: BodyLimits = BodyLimits::OF_TESTS;

    fn headers() -> HeaderMap {
        HeaderMap::from_iter([(
            CONTENT_TYPE,
            HeaderValue::from_static("multipart/form-data; boundary=b"),
        )])
    }

    #[test]
    fn actions_of_another_time_are_gone() {
        assert!(
            gone("submit").is_some()
                && gone("doc_upload").is_some()
                && gone("file_upload").is_none()
        );
        assert_eq!(
            action_of_query("a=b&:action=submit").as_deref(),
            Some("submit")
        );
        assert_eq!(
            action_of_query("%3Aaction=doc_upload").as_deref(),
            Some("doc_upload")
        );
        assert_eq!(action_of_query("action=submit"), None);
    }

    #[tokio::test]
    async fn parts_are_read_in_order_and_their_texts_bounded() {
        let long = "x".repeat(FormBuilder::MAX_FIELD_BYTES + 10);
        let text = format!(
            "--b\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nfoo\r\n--b\r\nContent-Disposition: form-data; name=\"long\"\r\n\r\n{long}\r\n--b--\r\n"
        );
        let body = Incoming::new(Body::from(text), LIMITS);
        let mut parts = multipart(&headers(), &body).await.ok().unwrap();
        let mut part = parts.next_field().await.unwrap().unwrap();
        body.parsed();
        assert_eq!(part.name(), Some("name"));
        assert_eq!(read_text(&mut part, &body).await.ok().unwrap(), b"foo");
        drop(part);
        let mut part = parts.next_field().await.unwrap().unwrap();
        body.parsed();
        assert_eq!(
            read_text(&mut part, &body).await.ok().unwrap().len(),
            FormBuilder::MAX_FIELD_BYTES + 1
        );
    }

    #[tokio::test]
    async fn a_part_whose_headers_never_end_is_not_kept_in_memory() {
        let endless =
            stream::iter((0..1000).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 16 << 10])));
        let start = stream::iter([Ok(
            b"--b\r\nContent-Disposition: form-data; name=\"".to_vec()
        )]);
        let body = Incoming::new(
            Body::from_stream(futures_util::StreamExt::chain(start, endless)),
            LIMITS,
        );
        let mut parts = multipart(&headers(), &body).await.ok().unwrap();
        let error = parts.next_field().await.err().unwrap();
        assert_eq!(body.failure(), Some(crate::body::BodyError::Unparsable));
        let answer = unreadable(&body, &error).answer(
            ProblemFormat::Plain,
            Layout::new("http://index.example", "", Viewer::Unknown),
        );
        assert_eq!(answer.status(), 400);
    }

    #[tokio::test]
    async fn a_staged_upload_says_how_it_is_published() {
        let uploaded = Uploaded {
            project: "demo".into(),
            version: "1.0".into(),
            file: "demo-1.0.tar.gz".into(),
            staged: true,
            unchanged: false,
            created_project: false,
            messages: vec!["It is held back.".into()],
            decision: model::DecisionId::new(),
            set_number: 1,
        };
        let response = succeeded(&HeaderMap::new(), uploaded, "http://index.example")
            .ok()
            .unwrap();
        let body = http_body_util::BodyExt::collect(response.into_body())
            .await
            .unwrap()
            .to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(
            text.starts_with("It is held back.\nA maintainer publishes"),
            "{text}"
        );
        assert!(
            text.contains("`portcullis release publish demo 1.0 --url http://index.example`"),
            "{text}"
        );
        assert!(
            text.contains("http://index.example/api/projects/demo/releases/1.0/publish."),
            "{text}"
        );
    }

    #[tokio::test]
    async fn what_is_no_multipart_is_malformed() {
        let body = Incoming::new(Body::from("{}"), LIMITS);
        assert!(multipart(&HeaderMap::new(), &body).await.is_err());
    }
}
