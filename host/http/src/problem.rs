//! Every answer that is not a success, in the form that its client shows to people.
//!
//! The same text goes into the reason phrase (twine, flit, hatch, poetry), JSON `code` (uv)
//! and `message`, `detail` of problem+json (RFC 9457), HTML for browsers, and plain text.

use std::fmt::Write as _;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, VARY, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use gate::{Page, Reason, Requirement};
use model::DecisionId;
use serde_json::{Value, json};
use storage::Secret;

use crate::frame::layout::Layout;
use crate::frame::problem_page;
use crate::negotiate::ProblemFormat;
use crate::reason_phrase::{self, ALSO, Told};
use crate::words::ended;

/// What a handler answers.
pub(crate) type Answer = Result<Response, Problem>;

/// Something other than success. Boxed: it is large, rare, and travels in results.
#[derive(Debug)]
pub(crate) struct Problem(Box<Fields>);

#[derive(Debug)]
struct Fields {
    status: StatusCode,
    /// Never empty; the first one is the last to be left out if there is little room.
    reasons: Vec<Reason>,
    requirements: Vec<Requirement>,
    decision: Option<DecisionId>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The new device secret for the command line that asked. For programs only.
    device: Option<Secret<String>>,
    /// The answer for browsers, if they get another one.
    in_browsers: Option<Response>,
}

impl Problem {
    /// A problem with one reason. `code` is for programs, `message` for people.
    pub(crate) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self::with_reasons(
            status,
            vec![Reason {
                code: code.to_owned(),
                message: message.into(),
                remedy: String::new(),
                page: None,
            }],
        )
    }

    /// A problem with the reasons of a decision, the most important first.
    pub(crate) fn with_reasons(status: StatusCode, mut reasons: Vec<Reason>) -> Self {
        if reasons.is_empty() {
            let message = status.canonical_reason().unwrap_or("Refused").to_owned();
            reasons.push(Reason {
                code: "refused".to_owned(),
                message,
                remedy: String::new(),
                page: None,
            });
        }
        Self(Box::new(Fields {
            status,
            reasons,
            requirements: Vec::new(),
            decision: None,
            headers: Vec::new(),
            device: None,
            in_browsers: None,
        }))
    }

    /// Sets what to do, and the page that helps.
    pub(crate) fn remedy(mut self, remedy: impl Into<String>, page: Option<Page>) -> Self {
        if let Some(reason) = self.0.reasons.first_mut() {
            reason.remedy = remedy.into();
            reason.page = page;
        }
        self
    }

    pub(crate) fn requirements(mut self, requirements: Vec<Requirement>) -> Self {
        self.0.requirements = requirements;
        self
    }

    pub(crate) fn decided_by(mut self, decision: DecisionId) -> Self {
        self.0.decision = Some(decision);
        self
    }

    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// Sets the device secret that the command line must send from now on.
    pub(crate) fn device(mut self, device: Secret<String>) -> Self {
        self.0.device = Some(device);
        self
    }

    pub(crate) fn retry_after(self, seconds: u64) -> Self {
        self.header(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// Sets another answer for browsers: to log in, or to prove something first.
    pub(crate) fn in_browsers(mut self, response: Response) -> Self {
        self.0.in_browsers = Some(response);
        self
    }

    /// A failure of ours. The cause goes to the log; the answer says only that something failed.
    pub(crate) fn unavailable(cause: &dyn std::fmt::Display, id: DecisionId) -> Self {
        tracing::error!(request = %id, cause = %cause, "a request failed");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "The registry cannot answer right now.",
        )
        .remedy("Try again in a few seconds.", None)
        .retry_after(5)
    }

    /// A handler panicked. Its message goes to the log.
    pub(crate) fn of_panic(panic: &(dyn std::any::Any + Send), id: DecisionId) -> Self {
        let cause = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("a panic without a text");
        tracing::error!(request = %id, cause, "a handler panicked");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            format!("Something went wrong in the registry; its log says more under {id}."),
        )
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The decision that refused, if it was one.
    pub(crate) fn decision(&self) -> Option<DecisionId> {
        self.0.decision
    }

    /// The answer, in the form that the client prefers. `frame` is for a page.
    pub(crate) fn answer(self, format: ProblemFormat, frame: Layout) -> Response {
        let mut fields = *self.0;
        let frame_url = frame.url.clone();
        let phrase = reason_phrase::compose(
            &told(&fields.reasons, &frame.url),
            &closing(fields.decision),
        );
        let mut response = match (format, fields.in_browsers.take()) {
            (ProblemFormat::Html, Some(response)) => response,
            (ProblemFormat::Html, None) => match page(&fields, frame) {
                Ok(response) => response,
                Err(error) => {
                    tracing::error!(cause = %error, "the page of a problem could not be written");
                    plain(&fields, ProblemFormat::Plain, &frame_url)
                }
            },
            _ => {
                let mut response = plain(&fields, format, &frame_url);
                response.extensions_mut().insert(phrase);
                response
            }
        };
        // For this challenge pip prompts and looks into keyring, and uv asks again with its
        // credentials.
        let challenge = (response.status() == StatusCode::UNAUTHORIZED)
            .then(|| challenge(&frame_url))
            .flatten();
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(VARY, HeaderValue::from_static("Accept"));
        if let Some(challenge) = challenge {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        for (name, value) in fields.headers {
            headers.insert(name, value);
        }
        response
    }
}

/// The answer without a page.
fn plain(fields: &Fields, format: ProblemFormat, public_url: &str) -> Response {
    let mut response = Response::new(Body::from(body(fields, format, public_url)));
    *response.status_mut() = fields.status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static(format.content_type()),
    );
    response
}

fn page(fields: &Fields, frame: Layout) -> Result<Response, askama::Error> {
    let retry_after = fields.headers.iter().find(|(name, _)| name == RETRY_AFTER);
    let told = problem_page::Told {
        status: fields.status,
        reasons: &fields.reasons,
        requirements: &fields.requirements,
        decision: fields.decision,
        retry_after_seconds: retry_after.and_then(|(_, value)| value.to_str().ok()?.parse().ok()),
    };
    problem_page::page(&told, frame)
}

/// Asks for user name and password, in which API tokens travel (RFC 7617).
fn challenge(public_url: &str) -> Option<HeaderValue> {
    let host = public_url
        .split_once("://")
        .map_or(public_url, |(_, rest)| rest)
        .split('/')
        .next()
        .unwrap_or("");
    let host: String = host
        .chars()
        .filter(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\\'))
        .collect();
    HeaderValue::try_from(format!("Basic realm=\"{host}\", charset=\"UTF-8\"")).ok()
}

fn body(fields: &Fields, format: ProblemFormat, public_url: &str) -> String {
    let status = fields.status.as_u16();
    let title = fields.status.canonical_reason().unwrap_or("Refused");
    let told = told(&fields.reasons, public_url);
    let mut text = told
        .iter()
        .map(full_text)
        .collect::<Vec<_>>()
        .join(&format!(" {ALSO}"));
    if fields.decision.is_some() {
        text = format!("{text} {}", closing(fields.decision));
    }
    let reasons = || -> Vec<Value> {
        let one = |reason: &Reason| json!({ "code": reason.code, "message": reason.message, "remedy": reason.remedy, "url": address(reason, public_url) });
        fields.reasons.iter().map(one).collect()
    };
    let decision = fields.decision.map(|id| id.to_string());
    let with_device = |mut body: Value| {
        if let Some(device) = &fields.device {
            body["device"] = device.expose().as_str().into();
        }
        body.to_string()
    };
    match format {
        ProblemFormat::Plain | ProblemFormat::Html => {
            let mut out = format!("{status} {title}\n\n");
            for reason in &told {
                let _ = writeln!(out, "{}", full_text(reason));
            }
            if let Some(decision) = decision {
                let _ = writeln!(out, "\nDecision: {decision}");
            }
            if let (ProblemFormat::Plain, Some(device)) = (format, &fields.device) {
                let _ = writeln!(out, "Device: {}", device.expose());
            }
            out
        }
        ProblemFormat::Json => with_device(json!({
            "code": format!("{status} {text}"), "message": text, "title": title,
            "decision": decision, "reasons": reasons(), "requirements": fields.requirements, "step-up": step_up_address(&fields.requirements, public_url),
        })),
        ProblemFormat::Problem => with_device(json!({
            "type": fields.reasons.first().and_then(|reason| address(reason, public_url)).unwrap_or_else(|| "about:blank".to_owned()),
            "status": status, "title": title, "detail": text,
            "decision": decision, "reasons": reasons(), "requirements": fields.requirements, "step-up": step_up_address(&fields.requirements, public_url),
        })),
    }
}

/// Where a person can give the missing proof in a browser, for programs that show the address.
fn step_up_address(requirements: &[Requirement], public_url: &str) -> Option<String> {
    let path = requirements
        .iter()
        .find_map(|requirement| match requirement {
            Requirement::EnrolledSecondFactor => Some("/account/factors/"),
            Requirement::VerifiedEmail => Some("/account/emails/"),
            Requirement::SecondFactorWithin(_) | Requirement::PasswordWithin(_) => {
                Some("/account/step-up")
            }
            Requirement::ProjectToken | Requirement::TokenMadeWithSecondFactor => None,
        });
    path.map(|path| format!("{public_url}{path}"))
}

/// Address of the page that helps.
fn address(reason: &Reason, public_url: &str) -> Option<String> {
    reason
        .page
        .map(|page| format!("{public_url}/help/#{}", page.as_str()))
}

/// The reasons as they are shown, no text twice: several policies may demand the same.
fn told(reasons: &[Reason], public_url: &str) -> Vec<Told> {
    let mut all: Vec<Told> = Vec::with_capacity(reasons.len());
    for (position, reason) in reasons.iter().enumerate() {
        let url = address(reason, public_url);
        let is_followed = position + 1 < reasons.len();
        let sentence = ended(
            &reason.message,
            is_followed || url.is_some() || !reason.remedy.is_empty(),
        );
        let remedy = ended(&reason.remedy, is_followed || url.is_some());
        match all.iter_mut().find(|known| known.sentence == sentence) {
            // The same complaint with another remedy: either helps.
            Some(known) if known.remedy.is_empty() => (known.remedy, known.url) = (remedy, url),
            Some(_) => {}
            None => {
                let url = url.filter(|url| all.iter().all(|known| known.url.as_ref() != Some(url)));
                let remedy = if all
                    .iter()
                    .any(|known| !remedy.is_empty() && known.remedy == remedy)
                {
                    String::new()
                } else {
                    remedy
                };
                all.push(Told {
                    sentence,
                    remedy,
                    url,
                });
            }
        }
    }
    all
}

/// Message, remedy and address in one line.
fn full_text(told: &Told) -> String {
    let Told {
        sentence,
        remedy,
        url,
    } = told;
    let mut text = sentence.clone();
    if !remedy.is_empty() {
        let _ = write!(text, " {remedy}");
    }
    if let Some(url) = url {
        let _ = write!(text, " See {url}");
    }
    text
}

/// Names the decision at the end of a text; empty without one.
fn closing(decision: Option<DecisionId>) -> String {
    decision
        .map(|id| format!("(decision {id})"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::viewer::Viewer;
    use axum::http::HeaderMap;
    use axum::http::header::ACCEPT;
    use http_body_util::BodyExt;
    use hyper::ext::ReasonPhrase;
    use model::time::wait_in_words;

    const URL: &str = "http://index.example";

    fn refusal() -> Problem {
        let reason = Reason {
            code: "second-factor-missing".to_owned(),
            message: "User <b> has no second factor".to_owned(),
            remedy: "Enroll one".to_owned(),
            page: Some(Page::SecondFactor),
        };
        Problem::with_reasons(StatusCode::FORBIDDEN, vec![reason]).requirements(vec![
            Requirement::EnrolledSecondFactor,
            Requirement::SecondFactorWithin(900),
        ])
    }

    async fn text(accept: &'static str, problem: Problem) -> (Response, String) {
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
        let (parts, body) = problem
            .answer(
                ProblemFormat::preferred(&headers),
                Layout::new(URL, "", Viewer::Nobody),
            )
            .into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (
            Response::from_parts(parts, Body::empty()),
            String::from_utf8(bytes.to_vec()).unwrap(),
        )
    }

    const SENTENCE: &str =
        "User <b> has no second factor. Enroll one. See http://index.example/help/#second-factor";

    #[tokio::test]
    async fn the_reason_phrase_carries_the_remedy_and_its_address() {
        let (response, _) = text("*/*", refusal()).await;
        assert_eq!(response.status(), 403);
        assert_eq!(
            response.extensions().get::<ReasonPhrase>().unwrap().as_bytes(),
            b"User <b> has no second factor. Enroll one. See http://index.example/help/#second-factor"
        );
    }

    #[tokio::test]
    async fn json_carries_it_in_code_and_message() {
        let (response, body) = text(
            "application/json;q=0.9, text/plain;q=0.8, text/html;q=0.7",
            refusal(),
        )
        .await;
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["code"], format!("403 {SENTENCE}"));
        assert_eq!(body["message"], SENTENCE);
        assert_eq!(
            body["requirements"],
            json!(["enrolled-second-factor", { "second-factor-within": 900 }])
        );
        assert_eq!(
            body["reasons"][0]["url"],
            "http://index.example/help/#second-factor"
        );
    }

    #[tokio::test]
    async fn every_reason_and_the_decision_reach_every_client_and_nothing_twice() {
        let id = DecisionId::new();
        let one = |message: &str, page| Reason {
            code: "c".to_owned(),
            message: message.to_owned(),
            remedy: format!("Mend {message}."),
            page,
        };
        let problem = || {
            Problem::with_reasons(
                StatusCode::FORBIDDEN,
                vec![
                    one("a", Some(Page::Email)),
                    one("b", Some(Page::Email)),
                    one("a", None),
                ],
            )
            .decided_by(id)
        };
        let expected = format!("a. Mend a. See {URL}/help/#email Also: b. Mend b. (decision {id})");
        let (response, body) = text("*/*", problem()).await;
        assert_eq!(
            response
                .extensions()
                .get::<ReasonPhrase>()
                .unwrap()
                .as_bytes(),
            expected.as_bytes()
        );
        assert_eq!(
            body,
            format!(
                "403 Forbidden\n\na. Mend a. See {URL}/help/#email\nb. Mend b.\n\nDecision: {id}\n"
            )
        );
        let body: Value =
            serde_json::from_str(&text("application/json", problem()).await.1).unwrap();
        assert_eq!(
            (&body["code"], &body["message"]),
            (&json!(format!("403 {expected}")), &json!(expected))
        );
        assert_eq!(body["reasons"].as_array().unwrap().len(), 3);
        let body: Value =
            serde_json::from_str(&text("application/problem+json", problem()).await.1).unwrap();
        assert_eq!(body["detail"], expected);
    }

    #[tokio::test]
    async fn problem_json_carries_it_in_detail() {
        let (response, body) = text("application/problem+json", refusal()).await;
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (&body["title"], &body["detail"], &body["status"]),
            (&json!("Forbidden"), &json!(SENTENCE), &json!(403))
        );
    }

    #[tokio::test]
    async fn browsers_get_a_page_without_markup_of_others() {
        let (_, body) = text("text/html", refusal()).await;
        assert!(
            body.contains("User &#60;b&#62; has no second factor"),
            "{body}"
        );
        assert!(
            body.contains(
                "href=\"http://index.example/account/factors/\">Set up a second factor</a>"
            ),
            "{body}"
        );
        assert!(
            body.contains("href=\"http://index.example/help/#second-factor\""),
            "{body}"
        );
        assert!(!body.contains("<b>"));
    }

    #[tokio::test]
    async fn programs_are_told_where_a_person_proves_what_is_missing() {
        let check = async |requirements, expected: Value| {
            let problem = Problem::new(StatusCode::FORBIDDEN, "c", "m").requirements(requirements);
            let body: Value =
                serde_json::from_str(&text("application/json", problem).await.1).unwrap();
            assert_eq!(body["step-up"], expected);
        };
        check(
            vec![Requirement::SecondFactorWithin(900)],
            json!("http://index.example/account/step-up"),
        )
        .await;
        check(
            vec![
                Requirement::EnrolledSecondFactor,
                Requirement::SecondFactorWithin(900),
            ],
            json!("http://index.example/account/factors/"),
        )
        .await;
        check(
            vec![Requirement::VerifiedEmail],
            json!("http://index.example/account/emails/"),
        )
        .await;
        check(vec![Requirement::ProjectToken], Value::Null).await;
    }

    #[tokio::test]
    async fn a_browser_is_told_in_words_how_long_to_wait() {
        let (response, body) = text(
            "text/html",
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "c", "Too often").retry_after(600),
        )
        .await;
        assert_eq!(
            (
                response.status().as_u16(),
                response.headers()[RETRY_AFTER].to_str().unwrap()
            ),
            (429, "600")
        );
        assert!(
            body.contains("Try again in <strong>10 minutes</strong>"),
            "{body}"
        );
        for (seconds, words) in [
            (0, "1 second"),
            (1, "1 second"),
            (90, "90 seconds"),
            (91, "2 minutes"),
            (3600, "60 minutes"),
            (7200, "2 hours"),
            (200_000, "3 days"),
        ] {
            assert_eq!(wait_in_words(seconds), words);
        }
    }

    #[tokio::test]
    async fn a_text_that_clients_match_on_stays_first_and_as_it_is() {
        let (response, body) = text(
            "*/*",
            Problem::new(
                StatusCode::BAD_REQUEST,
                "file-exists",
                "File already exists ('f')",
            ),
        )
        .await;
        assert!(
            response
                .extensions()
                .get::<ReasonPhrase>()
                .unwrap()
                .as_bytes()
                .starts_with(b"File already exists")
        );
        assert_eq!(body, "400 Bad Request\n\nFile already exists ('f')\n");
    }
}
