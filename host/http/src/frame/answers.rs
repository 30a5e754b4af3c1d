//! Answers of pages other than content: that something was done, that a link is not valid, the same
//! form with what is wrong with it.

use std::borrow::Cow;

use askama::Template;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use gate::{Page, Reason, Refusal, RefusalKind};
use model::Timestamp;
use model::time::wait_in_words;

use crate::exchange::Exchange;
use crate::frame::form::{Errors, Form};
use crate::frame::layout::Layout;
use crate::frame::page::pages;
use crate::frame::problem_page::mended_at;
use crate::frame::viewer::Viewer;
use crate::problem::Answer;
use crate::refusal::RETRY_AFTER_FAILURE_SECONDS;

/// What happened, and what comes next.
pub(crate) struct Told<'a> {
    pub(crate) heading: &'a str,
    pub(crate) paragraphs: &'a [&'a str],
    /// Path and text.
    pub(crate) links: &'a [(&'a str, &'a str)],
}

/// The page behind a mailed link, with one button that acts.
pub(crate) struct Confirm<'a> {
    pub(crate) heading: &'a str,
    pub(crate) paragraphs: &'a [&'a str],
    pub(crate) facts: &'a [(&'a str, &'a str)],
    /// A fact that is a time.
    pub(crate) time: Option<(&'a str, Timestamp)>,
    /// Path that the button sends to.
    pub(crate) action: &'a str,
    pub(crate) link: &'a str,
    pub(crate) button: &'a str,
    pub(crate) danger: bool,
    pub(crate) after: &'a str,
    /// The alternative for somebody who did not ask for the mail: a path, and the link's text.
    pub(crate) no: Option<(&'a str, &'a str)>,
}

#[derive(Template)]
#[template(path = "frame/told.html")]
struct ToldPage<'a> {
    layout: Layout,
    page: &'a Told<'a>,
}

#[derive(Template)]
#[template(path = "frame/confirm.html")]
struct ConfirmPage<'a> {
    layout: Layout,
    page: &'a Confirm<'a>,
}

pages!(ToldPage<'_>, ConfirmPage<'_>);

impl Told<'_> {
    pub(crate) fn answer(&self, exchange: &Exchange) -> Answer {
        exchange.render(&ToldPage {
            layout: exchange.layout(self.heading),
            page: self,
        })
    }

    /// The same for somebody whose session has just ended.
    pub(crate) fn answer_logged_out(&self, exchange: &Exchange) -> Answer {
        let layout = Layout {
            viewer: Viewer::Nobody,
            ..exchange.layout(self.heading)
        };
        exchange.render(&ToldPage { layout, page: self })
    }
}

impl Confirm<'_> {
    pub(crate) fn answer(&self, exchange: &Exchange) -> Answer {
        exchange.render(&ConfirmPage {
            layout: exchange.layout(self.heading),
            page: self,
        })
    }
}

/// The page for a link that is not valid: used before, too old, cut off, or made up. `links` lead
/// to what the remedy suggests.
pub(crate) fn link_void(exchange: &Exchange, remedy: &str, links: &[(&str, &str)]) -> Answer {
    let heading = "This link no longer works";
    let paragraphs = [
        "It may have been used already, have expired, have been replaced by a newer one, or not have been copied in full.",
        remedy,
    ];
    with_status(
        StatusCode::NOT_FOUND,
        Told {
            heading,
            paragraphs: &paragraphs,
            links,
        }
        .answer(exchange),
    )
}

/// The frame of a page with a form; its title says when something is wrong.
pub(crate) fn form_layout(exchange: &Exchange, title: &str, errors: &Errors) -> Layout {
    match errors.is_empty() {
        true => exchange.layout(title),
        false => exchange.layout(&format!("Error: {title}")),
    }
}

/// Gives a page another status, for a form with errors.
pub(crate) fn with_status(status: StatusCode, page: Answer) -> Answer {
    let mut response = page?;
    *response.status_mut() = status;
    Ok(response)
}

/// Like [`with_status`], for a person who has to wait.
pub(crate) fn limited(retry_after_seconds: u64, page: Answer) -> Answer {
    later(StatusCode::TOO_MANY_REQUESTS, retry_after_seconds, page)
}

/// Like [`with_status`], for a failure that is not the form's fault.
pub(crate) fn unavailable(page: Answer) -> Answer {
    later(
        StatusCode::SERVICE_UNAVAILABLE,
        RETRY_AFTER_FAILURE_SECONDS,
        page,
    )
}

fn later(status: StatusCode, retry_after_seconds: u64, page: Answer) -> Answer {
    let mut response = with_status(status, page)?;
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from(retry_after_seconds.max(1)));
    Ok(response)
}

/// Codes of refusals that are about typed values, and so are shown next to the field. Any other
/// refusal is a decision and has a page of its own with the remedy.
const TOLD_IN_FORM: &[&str] = &[
    "wrong-credentials",
    "wrong-password",
    "wrong-code",
    "wrong-key",
    "wrong-recovery-code",
    "wrong-passkey",
    "too-many-attempts",
    "busy",
    "authentication-failed",
];

/// Whether a policy refuses the password that somebody chose: they can type another one. (A
/// password already in use needs a reset, which is another page.)
fn is_chosen_password(reason: &Reason) -> bool {
    reason.code == "password-breached" && reason.page.is_none()
}

/// A refusal of what was typed: the form again. `field` is the one with the wrong value.
pub(crate) async fn refused(
    exchange: &Exchange,
    form: &Form,
    refusal: Refusal,
    field: impl Into<Cow<'static, str>>,
    show: impl FnOnce(Errors) -> Answer,
) -> Answer {
    let is_told_in_form = |reason: &Reason| {
        TOLD_IN_FORM.contains(&reason.code.as_str()) || is_chosen_password(reason)
    };
    let Some(reason) = refusal
        .reasons
        .first()
        .filter(|reason| is_told_in_form(reason))
    else {
        return Err(exchange.refused(refusal, form).await);
    };
    let field = match refusal.kind {
        RefusalKind::Denied if is_chosen_password(reason) => "password".into(),
        RefusalKind::Denied => field.into(),
        // A limit on everybody's attempts is not about a field.
        _ => "".into(),
    };
    let page = show(typed_wrong(field, reason));
    match refusal.kind {
        RefusalKind::Limited {
            retry_after_seconds,
        } => limited(retry_after_seconds, page),
        RefusalKind::Failed => unavailable(page),
        RefusalKind::Denied | RefusalKind::CredentialRequired | RefusalKind::Required(_) => {
            with_status(StatusCode::FORBIDDEN, page)
        }
    }
}

/// The error for a refused value of this field.
pub(crate) fn typed_wrong(field: impl Into<Cow<'static, str>>, reason: &Reason) -> Errors {
    // The other pages are about what somebody has set up, which does not help after a typing error.
    let page = reason
        .page
        .filter(|page| *page == Page::PasswordReset)
        .and_then(mended_at);
    Errors::of_field(field, reason.message.as_str()).remedy(&reason.remedy, page)
}

/// The message for somebody who has to wait.
pub(crate) fn tried_too_often(retry_after_seconds: u64) -> String {
    format!(
        "This was tried too often. Try again in {}.",
        wait_in_words(retry_after_seconds)
    )
}

/// Too many passwords are being hashed: the form again.
pub(crate) fn busy(show: impl FnOnce(Errors) -> Answer) -> Answer {
    let page = show(Errors::of_field(
        "",
        "Too many passwords are being checked. Try again in a moment.",
    ));
    unavailable(page)
}

#[cfg(test)]
mod tests {
    use axum::response::Response;

    use super::*;

    #[test]
    fn a_form_that_cannot_be_looked_at_now_says_when_to_send_it_again() {
        let response = unavailable(Ok(Response::default())).unwrap();
        assert_eq!(
            (
                response.status(),
                response.headers()[RETRY_AFTER].to_str().unwrap()
            ),
            (StatusCode::SERVICE_UNAVAILABLE, "5")
        );
    }
}
