//! Confirming one's identity again in the middle of an action, and going on with it.
//!
//! A refusal that names missing proofs becomes a page that asks for exactly those. It keeps the
//! form that was sent, except its secrets. After the proof, a 307 makes the browser send the form
//! again by itself, with the session's new cookie. Programs get the requirements and the page's
//! address instead.

mod back;

use askama::Template;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use gate::{Permit, Refusal, RefusalKind, Requirement, Target};
use identity::factors::KeyAnswer;
use identity::{AccountView, OpenStepUp, ReadAccount};
use serde_json::json;

use crate::cookies;
use crate::exchange::{Exchange, json, redirect};
use crate::frame::answers::{form_layout, tried_too_often, typed_wrong};
use crate::frame::fields::fields;
use crate::frame::form::{Errors, Form};
use crate::frame::layout::{Layout, html};
use crate::frame::page::{Page as _, pages};
use crate::frame::viewer::Viewer;
use crate::frame::viewer::to_the_person;
use crate::problem::{Answer, Problem};
use back::Return;

/// Longest answer of a security key, in bytes.
const MAX_ANSWER_BYTES: usize = 60 << 10;

/// Most reasons that the page carries along, and most characters of one.
const MAX_REASONS: usize = 3;
const MAX_REASON: usize = 300;

/// What must be proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Factor,
    Password,
}

impl Need {
    fn as_str(self) -> &'static str {
        match self {
            Self::Factor => "factor",
            Self::Password => "password",
        }
    }

    fn parse(text: &str) -> Self {
        if text == "password" {
            Self::Password
        } else {
            Self::Factor
        }
    }
}

/// The reasons for the proof, as the page's own form carries them, so that somebody who mistyped
/// still reads them. They are treated as text and bounded, like anything that is sent.
fn carried(form: &Form) -> Vec<String> {
    form.texts("step-up-reason")
        .take(MAX_REASONS)
        .map(|reason| reason.chars().take(MAX_REASON).collect())
        .collect()
}

fields! {
    StepUpFields {
        STEP_UP_PASSWORD = "step-up-password": "Your password", secret;
        STEP_UP_CODE = "step-up-code": "Code from the app", secret;
        STEP_UP_RECOVERY_CODE = "step-up-recovery-code": "One of your codes", secret;
    }
}

/// The page that asks for a proof.
#[derive(Template)]
#[template(path = "account/step_up.html")]
struct StepUpPage {
    layout: Layout,
    errors: Errors,
    /// The reasons, in the words of the policies.
    reasons: Vec<String>,
    need: Need,
    back: Return,
    has_app: bool,
    has_keys: bool,
    keys_unavailable: Option<&'static str>,
    recovery_codes: u32,
}

pages!(StepUpPage);

impl StepUpPage {
    /// Whether the person has anything to prove it with.
    fn is_possible(&self) -> bool {
        self.need == Need::Password || self.has_app || self.has_keys
    }
}

/// Decisions of pages, where people can be asked for a missing proof.
impl Exchange {
    /// Lets the gate decide about a page. If only a proof is missing that the person can give now,
    /// the answer is the page that asks for it, and `form` is sent again after that. Secrets of the
    /// form are not kept, so a form with secrets is also decided about before it is shown.
    pub(crate) async fn decide_page<T: Target>(
        &self,
        target: T,
        form: &Form,
    ) -> Result<Permit<T>, Problem> {
        match self.permitted(target).await {
            Ok(permit) => Ok(permit),
            Err(refusal) => Err(self.refused(refusal, form).await),
        }
    }

    /// Refuses a form that would lead to nothing even if permitted, because it is empty or has
    /// something wrong in it. A caller who may not send the form learns nothing about it.
    pub(crate) async fn refuse_page<T: Target>(
        &self,
        target: T,
        form: &Form,
    ) -> Result<(), Problem> {
        self.decide_page(target, form).await.map(drop)
    }

    /// A refusal as [`decide_page`](Self::decide_page) answers it, for use cases that ask the gate
    /// themselves.
    pub(crate) async fn refused(&self, refusal: Refusal, form: &Form) -> Problem {
        page_of_refusal(self, refusal, form).await
    }

    /// Decides about a page that shows one's own account.
    pub(crate) async fn read_account(&self) -> Result<AccountView, Problem> {
        let account = self.account()?;
        let permit = self
            .decide_page(ReadAccount { account }, &Form::none())
            .await?;
        Ok(AccountView::of(&permit))
    }
}

/// Turns a refusal into a page: the one that asks for a proof, if the person can give it now, else
/// the refusal itself.
async fn page_of_refusal(exchange: &Exchange, refusal: Refusal, form: &Form) -> Problem {
    let need = match &refusal.kind {
        RefusalKind::Required(requirements) if exchange.caller.session.is_some() => {
            provable(requirements)
        }
        _ => None,
    };
    let viewer = Viewer::of(&exchange.caller);
    let reasons = refusal
        .reasons
        .iter()
        .map(|reason| to_the_person(&viewer, &reason.message))
        .collect();
    let problem = Problem::from(refusal);
    let Some(need) = need else { return problem };
    let page = match page(
        exchange,
        need,
        Return::of(exchange, form),
        Errors::new(),
        reasons,
    )
    .await
    {
        Ok(page) if page.is_possible() => page,
        Ok(_) => return problem,
        Err(problem) => return problem,
    };
    match page.render() {
        Ok(text) => problem.in_browsers(html(StatusCode::FORBIDDEN, text, page.layout())),
        Err(error) => exchange.unavailable(error),
    }
}

/// What a person with a session can prove at once; none if something else is missing that proofs
/// cannot supply. The factor comes first: most rules are about it.
fn provable(requirements: &[Requirement]) -> Option<Need> {
    let is_proof = |requirement: &Requirement| {
        matches!(
            requirement,
            Requirement::SecondFactorWithin(_) | Requirement::PasswordWithin(_)
        )
    };
    if !requirements.iter().all(is_proof) {
        return None;
    }
    let is_factor =
        |requirement: &Requirement| matches!(requirement, Requirement::SecondFactorWithin(_));
    requirements.first().map(|_| {
        if requirements.iter().any(is_factor) {
            Need::Factor
        } else {
            Need::Password
        }
    })
}

async fn page(
    exchange: &Exchange,
    need: Need,
    back: Return,
    errors: Errors,
    reasons: Vec<String>,
) -> Result<StepUpPage, Problem> {
    let identity = &exchange.app.identity;
    let provable = identity
        .factors()
        .provable_by(exchange.account()?)
        .await
        .map_err(|error| exchange.unavailable(error))?;
    let keys_unavailable = identity.factors().webauthn_unavailable();
    let has_keys = provable.keys;
    let mut layout = form_layout(exchange, "Confirm it’s you", &errors);
    if need == Need::Factor && has_keys && keys_unavailable.is_none() {
        layout = layout.with_keys();
    }
    let (has_app, recovery_codes) = (provable.app, provable.recovery_codes);
    Ok(StepUpPage {
        layout,
        errors,
        reasons,
        need,
        back,
        has_app,
        has_keys,
        keys_unavailable,
        recovery_codes,
    })
}

/// `GET /account/step-up`: to prove it before an action asks for it.
pub(crate) async fn show(exchange: Exchange) -> Answer {
    let person = exchange.person()?;
    let has_factor = person.factors.any();
    refuse_strangers(&exchange).await?;
    let wanted = exchange.query("next");
    let back = Return::page(if wanted.is_empty() {
        "/account/?notice=proven"
    } else {
        exchange.next(&wanted)
    });
    let need = if has_factor && exchange.query("need") != "password" {
        Need::Factor
    } else {
        Need::Password
    };
    exchange.render(&page(&exchange, need, back, Errors::new(), Vec::new()).await?)
}

/// Refuses callers who may not step up before anything they own is shown. Not with the page that
/// asks for a proof: this is that page.
async fn refuse_strangers(exchange: &Exchange) -> Result<(), Problem> {
    let account = exchange.account()?;
    exchange.decide(OpenStepUp { account }).await.map(drop)
}

/// `POST /account/step-up`
pub(crate) async fn prove(exchange: Exchange) -> Answer {
    exchange.person()?;
    let form = exchange.whole_form().await?;
    let (back, need, reasons) = (
        Return::parse(&exchange, &form),
        Need::parse(form.text("step-up-need")),
        carried(&form),
    );
    let Exchange {
        app,
        caller,
        browser,
        ..
    } = &exchange;
    let (identity, cookie) = (&app.identity, browser.session().unwrap_or(""));
    let (field, proven) = match form.text("step-up-proof") {
        "password" => (
            "step-up-password",
            identity
                .step_ups()
                .with_password(
                    exchange.context(),
                    caller,
                    cookie,
                    form.secret("step-up-password"),
                )
                .await,
        ),
        "totp" => (
            "step-up-code",
            identity
                .step_ups()
                .with_totp(
                    exchange.context(),
                    caller,
                    cookie,
                    form.text("step-up-code"),
                )
                .await,
        ),
        "recovery-code" => (
            "step-up-recovery-code",
            identity
                .step_ups()
                .with_recovery_code(
                    exchange.context(),
                    caller,
                    cookie,
                    form.text("step-up-recovery-code"),
                )
                .await,
        ),
        "key"
            if form.text("response").len() <= MAX_ANSWER_BYTES
                && !form.text("response").is_empty() =>
        {
            let answer = KeyAnswer {
                ceremony: form.text("ceremony").to_owned(),
                response: form.text("response").to_owned(),
            };
            (
                "",
                identity
                    .step_ups()
                    .with_key(exchange.context(), caller, cookie, &answer)
                    .await,
            )
        }
        _ => {
            refuse_strangers(&exchange).await?;
            return exchange.render_with(
                StatusCode::UNPROCESSABLE_ENTITY,
                &page(
                    &exchange,
                    need,
                    back,
                    Errors::of_field("", "Choose one of the ways below."),
                    reasons,
                )
                .await?,
            );
        }
    };
    let started = match proven {
        Ok(started) => started,
        Err(refusal) if refusal.kind == RefusalKind::Denied => {
            let errors = refusal.reasons.first().map_or_else(
                || Errors::of_field(field, refusal.to_string()),
                |reason| typed_wrong(field, reason),
            );
            let page = page(&exchange, need, back, errors, reasons).await?;
            return exchange.render_with(StatusCode::FORBIDDEN, &page);
        }
        // The form that was sent stays in the page, to go on with it after the wait.
        Err(Refusal {
            kind: RefusalKind::Limited {
                retry_after_seconds,
            },
            ..
        }) => {
            let page = page(
                &exchange,
                need,
                back,
                Errors::of_field("", tried_too_often(retry_after_seconds)),
                reasons,
            )
            .await?;
            let mut response = exchange.render_with(StatusCode::TOO_MANY_REQUESTS, &page)?;
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(retry_after_seconds.max(1)));
            return Ok(response);
        }
        Err(refusal) => return Err(refusal.into()),
    };
    // 307 keeps method and body: the browser sends the form again by itself.
    let status = if back.is_form {
        StatusCode::TEMPORARY_REDIRECT
    } else {
        StatusCode::SEE_OTHER
    };
    let mut response = redirect(app, status, &back.to)?;
    cookies::set_session(app, &mut response, &started);
    Ok(response)
}

/// `POST /account/step-up/options`: a challenge for the security key.
pub(crate) async fn options(exchange: Exchange) -> Answer {
    exchange.person()?;
    let Exchange { app, caller, .. } = &exchange;
    let challenge = app
        .identity
        .factors()
        .challenge_for_step_up(exchange.context(), caller)
        .await?;
    json(&json!({ "ceremony": challenge.ceremony.expose(), "options": challenge.options }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_asks_only_for_what_a_proof_mends() {
        use Requirement::{
            EnrolledSecondFactor, PasswordWithin, SecondFactorWithin, TokenMadeWithSecondFactor,
            VerifiedEmail,
        };
        assert_eq!(provable(&[SecondFactorWithin(60)]), Some(Need::Factor));
        assert_eq!(provable(&[PasswordWithin(60)]), Some(Need::Password));
        assert_eq!(
            provable(&[PasswordWithin(60), SecondFactorWithin(60)]),
            Some(Need::Factor)
        );
        for other in [
            EnrolledSecondFactor,
            VerifiedEmail,
            TokenMadeWithSecondFactor,
        ] {
            assert_eq!(provable(&[SecondFactorWithin(60), other]), None);
        }
        assert_eq!(provable(&[]), None);
    }
}
