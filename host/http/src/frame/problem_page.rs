//! A refusal as a page.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use gate::{Page, Reason, Requirement};
use model::DecisionId;
use model::time::wait_in_words;

use super::layout::{Layout, html};
use super::link::Link;
use super::viewer::{Viewer, to_the_person};
use crate::words::ended;

/// A refusal as a page: what is wrong, why, and the button that fixes it.
#[derive(Template)]
#[template(path = "frame/problem.html")]
struct ProblemPage {
    layout: Layout,
    heading: &'static str,
    reasons: Vec<ToldReason>,
    /// How long to wait, in words; empty if that does not matter.
    wait: String,
    /// Whether logging in may help.
    log_in: bool,
    decision: Option<String>,
    status: u16,
}

/// A reason on a page.
struct ToldReason {
    message: String,
    remedy: String,
    /// The page where it can be fixed, and the text of its button.
    mend: Option<Link>,
    /// The section of the help page, empty if there is none, and the text of its link.
    help: String,
    help_text: &'static str,
}

/// Longest address that is repeated, in bytes; it is percent-encoded, and so plain ASCII.
const MAX_REPEATED: usize = 100;

fn no_page_at(path: &str) -> String {
    let path = path.split('?').next().unwrap_or("");
    if path.len() > MAX_REPEATED || !path.is_ascii() {
        "There is no page at this address".to_owned()
    } else {
        format!("There is no page at {path}")
    }
}

/// The refusal, as its page shows it.
pub(crate) struct Told<'a> {
    pub(crate) status: StatusCode,
    pub(crate) reasons: &'a [Reason],
    pub(crate) requirements: &'a [Requirement],
    pub(crate) decision: Option<DecisionId>,
    pub(crate) retry_after_seconds: Option<u64>,
}

/// The page; an error if it cannot be written.
pub(crate) fn page(problem: &Told<'_>, mut frame: Layout) -> Result<Response, askama::Error> {
    let heading = heading(problem.status);
    // Somebody without a factor cannot confirm one: setting one up is the only way, and confirms
    // it, too.
    let can_prove = !problem
        .requirements
        .contains(&Requirement::EnrolledSecondFactor);
    let mut reasons: Vec<ToldReason> = Vec::new();
    for reason in problem.reasons {
        // The short text that tools know; the heading already says it.
        let message = if reason.message.eq_ignore_ascii_case(heading) {
            no_page_at(&frame.path)
        } else {
            to_the_person(&frame.viewer, &reason.message)
        };
        let told = ToldReason {
            message: ended(&message, true),
            remedy: ended(&reason.remedy, true),
            mend: reason
                .page
                .filter(|page| *page != Page::StepUp || can_prove)
                .and_then(mended_at),
            help: reason
                .page
                .map(|page| page.as_str().to_owned())
                .unwrap_or_default(),
            help_text: if reason.page == Some(Page::Contact) {
                "How to reach the operators"
            } else {
                "How that works"
            },
        };
        // Several policies may demand the same: one button is enough.
        let is_known =
            |known: &ToldReason| known.message == told.message && known.remedy == told.remedy;
        if !reasons.iter().any(is_known) {
            let mend = told.mend.clone().filter(|mend| {
                reasons
                    .iter()
                    .all(|known| known.mend.as_ref() != Some(mend))
            });
            reasons.push(ToldReason { mend, ..told });
        }
    }
    let is_mended = reasons.iter().any(|reason| reason.mend.is_some());
    // A person who can fix it did nothing wrong.
    let heading = if is_mended && problem.status == StatusCode::FORBIDDEN {
        "One step is missing"
    } else {
        heading
    };
    frame.title = heading.to_owned();
    let page = ProblemPage {
        heading,
        reasons,
        wait: problem
            .retry_after_seconds
            .map(wait_in_words)
            .unwrap_or_default(),
        // If something else must be fixed, logging in would only lead back here.
        log_in: matches!(
            problem.status,
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED
        ) && frame.viewer == Viewer::Nobody
            && !is_mended
            && !problem.reasons.iter().any(is_about_origin),
        decision: problem.decision.map(|id| id.to_string()),
        status: problem.status.as_u16(),
        layout: frame,
    };
    let text = page.render()?;
    Ok(html(problem.status, text, &page.layout))
}

/// Whether it was refused because of the page it came from, whoever the caller is.
fn is_about_origin(reason: &Reason) -> bool {
    matches!(
        reason.code.as_str(),
        "cross-site-request" | "unknown-origin"
    )
}

fn heading(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 | 409 | 422 => "That did not work",
        401 => "Log in first",
        403 => "Not allowed",
        404 => "Not found",
        405 => "Not like this",
        408 => "That took too long",
        410 => "No longer here",
        413 => "Too much at once",
        415 => "Not in this form",
        429 => "Too many attempts",
        500 => "Something went wrong",
        503 => "Not possible right now",
        _ => "Refused",
    }
}

/// Where a person can fix what a reason's page is about.
pub(crate) fn mended_at(page: Page) -> Option<Link> {
    let (path, text) = match page {
        Page::Tokens => ("/account/tokens/", "Go to your API tokens"),
        Page::SecondFactor => ("/account/factors/", "Set up a second factor"),
        Page::StepUp => ("/account/step-up", "Confirm it’s you"),
        Page::Email => ("/account/emails/", "Verify your email address"),
        Page::PasswordReset => ("/password/forgot", "Set a new password"),
        // A reason does not say which project's pages would help.
        Page::StagedReleases | Page::ProjectSettings | Page::Contact => return None,
    };
    Some(Link::new(path, text))
}
