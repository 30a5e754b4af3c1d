//! What people do to become someone on the registry and to prove it: pages, one file for
//! each topic, with the same parts in the same order: the template, what a `GET` shows, what
//! a `POST` does.
//!
//! `GET` shows and changes nothing, whoever opens a link: mail scanners open them all. `POST`
//! changes and answers with a redirect, or with the same page and what is wrong with it.
//! Nothing here tells somebody who is not logged in whether an account exists.

pub(crate) mod register;
pub(crate) mod login;
pub(crate) mod second_step;
pub(crate) mod passkeys;
pub(crate) mod devices;
pub(crate) mod password;
pub(crate) mod emails;
pub(crate) mod overview;
pub(crate) mod factors;
pub(crate) mod sessions;
pub(crate) mod history;
pub(crate) mod secure;
pub(crate) mod delete;
pub(crate) mod recoveries;
mod qr_code;

use askama::Template;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use gate::{Page, Reason, Refusal, RefusalKind, Target, TargetFacts};
use identity::factors::KeyChallenge;
use identity::{OwnSession, StartedSession};
use model::{Action, Timestamp};
use serde_json::{Value, json};

use crate::cookies;
use crate::exchange::Exchange;
use crate::form::{Errors, Form};
use crate::json_api::quoted;
use crate::pages::layout::{Layout, Viewer, pages};
use crate::problem::{Answer, Problem, mended_at, wait_in_words};
use crate::refusal::RETRY_AFTER_FAILURE_SECONDS;

/// Look at the page of an action that is about no account yet: an empty form, or what a link that
/// was mailed would do. What is of an account is read with a permit of it, `AccountView`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look(pub(crate) Action);

impl Target for Look {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(self.0)
    }
}

/// What happened, and what comes next.
struct Told<'a> {
    heading: &'a str,
    paragraphs: &'a [&'a str],
    /// Path and text.
    links: &'a [(&'a str, &'a str)],
}

/// What the page behind a mailed link would do with its one button.
struct Confirm<'a> {
    heading: &'a str,
    paragraphs: &'a [&'a str],
    facts: &'a [(&'a str, &'a str)],
    /// A fact that is a time.
    time: Option<(&'a str, Timestamp)>,
    /// Path that the button sends to.
    action: &'a str,
    link: &'a str,
    button: &'a str,
    danger: bool,
    after: &'a str,
    /// What is done instead by whoever it was not: a path, and what the link says.
    no: Option<(&'a str, &'a str)>,
}

#[derive(Template)]
#[template(path = "people/told.html")]
struct ToldPage<'a> {
    layout: Layout,
    page: &'a Told<'a>,
}

#[derive(Template)]
#[template(path = "people/confirm.html")]
struct ConfirmPage<'a> {
    layout: Layout,
    page: &'a Confirm<'a>,
}

pages!(ToldPage<'_>, ConfirmPage<'_>);

impl Told<'_> {
    fn answer(&self, exchange: &Exchange) -> Answer {
        exchange.render(&ToldPage {
            layout: exchange.layout(self.heading),
            page: self,
        })
    }

    /// The same for somebody whose session has just ended.
    fn answer_logged_out(&self, exchange: &Exchange) -> Answer {
        let layout = Layout {
            viewer: Viewer::Nobody,
            ..exchange.layout(self.heading)
        };
        exchange.render(&ToldPage { layout, page: self })
    }
}

impl Confirm<'_> {
    fn answer(&self, exchange: &Exchange) -> Answer {
        exchange.render(&ConfirmPage {
            layout: exchange.layout(self.heading),
            page: self,
        })
    }
}

/// The page for a link that does not count: used before, too old, cut off, or made up. `links`
/// lead to what the remedy says.
fn link_void(exchange: &Exchange, remedy: &str, links: &[(&str, &str)]) -> Answer {
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

/// `path` with where to go on afterwards.
fn with_next(path: &str, next: &str) -> String {
    let mark = if path.contains('?') { '&' } else { '?' };
    format!("{path}{mark}next={}", quoted(next))
}

/// The session of a person. Whoever presents something else is refused by the policies,
/// where they do not let it pass, and cannot go on in any case.
async fn own_session(exchange: &Exchange, action: Action) -> Result<OwnSession, Problem> {
    if let Some(session) = OwnSession::of(&exchange.caller) {
        return Ok(session);
    }
    exchange.person()?;
    exchange.decide(Look(action)).await.map(drop)?;
    let problem = Problem::new(
        StatusCode::FORBIDDEN,
        "session-required",
        "This is done in a browser that is logged in.",
    );
    Err(problem.remedy("Log in with a browser.", None))
}

/// On to another page, with the cookie of a session that got another secret.
fn renewed(exchange: &Exchange, session: Option<StartedSession>, path: &str) -> Answer {
    let mut response = exchange.see_other(path)?;
    if let Some(session) = session {
        cookies::set_session(&exchange.app, &mut response, &session);
    }
    Ok(response)
}

/// Answers with a page whose form was not right.
fn with_status(status: StatusCode, page: Answer) -> Answer {
    let mut response = page?;
    *response.status_mut() = status;
    Ok(response)
}

/// Like [`with_status`], for who has to wait.
fn limited(retry_after_seconds: u64, page: Answer) -> Answer {
    later(StatusCode::TOO_MANY_REQUESTS, retry_after_seconds, page)
}

/// Like [`with_status`], for what is not wrong with the form.
fn unavailable(page: Answer) -> Answer {
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

/// Codes of refusals that are about what was typed, and so are told beside it. Everything
/// else is a decision, and has a page of its own that says what mends it.
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

/// Whether a policy refuses the password that somebody wants to have: they can type another
/// one. (One that they have already needs a reset, which is another page.)
fn is_chosen_password(reason: &Reason) -> bool {
    reason.code == "password-breached" && reason.page.is_none()
}

/// A refusal of what was typed: the form once more. `field` is what was typed wrong.
async fn refused(
    exchange: &Exchange,
    form: &Form,
    refusal: Refusal,
    field: &'static str,
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
    let field = if is_chosen_password(reason) {
        "password"
    } else {
        field
    };
    // What is wrong with everybody's attempts is not wrong with a field.
    let field = if matches!(refusal.kind, RefusalKind::Denied) {
        field
    } else {
        ""
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

/// What is told of a refusal of what was typed in this field.
pub(crate) fn typed_wrong(field: &'static str, reason: &Reason) -> Errors {
    // The other pages are about what somebody has set up, which helps nobody who types it wrong.
    let page = reason
        .page
        .filter(|page| *page == Page::PasswordReset)
        .and_then(mended_at);
    Errors::of_field(field, reason.message.as_str()).remedy(&reason.remedy, page)
}

/// What is told to who has to wait.
pub(crate) fn tried_too_often(retry_after_seconds: u64) -> String {
    format!(
        "This was tried too often. Try again in {}.",
        wait_in_words(retry_after_seconds)
    )
}

/// Too many passwords are being hashed: the form once more.
fn busy(show: impl FnOnce(Errors) -> Answer) -> Answer {
    let page = show(Errors::of_field(
        "",
        "Too many passwords are being checked. Try again in a moment.",
    ));
    unavailable(page)
}

/// What the script for security keys is answered.
fn challenge(challenge: &KeyChallenge) -> Value {
    json!({ "ceremony": challenge.ceremony.expose(), "options": challenge.options })
}

/// A library's words as a sentence: upper case at the front.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    characters
        .next()
        .map(|first| format!("{}{}", first.to_uppercase(), characters.as_str()))
        .unwrap_or_default()
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

    #[test]
    fn where_to_go_on_is_quoted() {
        assert_eq!(
            with_next("/login/factor", "/account/?a=b&c=d"),
            "/login/factor?next=%2Faccount%2F%3Fa%3Db%26c%3Dd"
        );
        assert_eq!(
            with_next("/login?notice=login-expired", "/"),
            "/login?notice=login-expired&next=%2F"
        );
    }

    #[test]
    fn words_become_a_sentence() {
        assert_eq!(sentence("the code is wrong"), "The code is wrong");
        assert_eq!(sentence(""), "");
    }
}
