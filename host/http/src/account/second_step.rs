//! The second step of a login: exactly the factors that the user has.

use askama::Template;
use axum::http::StatusCode;
use identity::factors::KeyAnswer;
use identity::{PendingLogin, StartSession};

use super::login;
use crate::cookies;
use crate::exchange::{Exchange, json};
use crate::frame::answers;
use crate::frame::answers::form_layout;
use crate::frame::fields::fields;
use crate::frame::form::{Errors, Form};
use crate::frame::layout::Layout;
use crate::frame::page::pages;
use crate::problem::{Answer, Problem};
use crate::url::with_next;

fields! {
    SecondStepFields {
        CODE = "code": "Code from the app", secret;
        RECOVERY_CODE = "recovery-code": "One of your codes", secret;
    }
}

#[derive(Template)]
#[template(path = "account/second_factor.html")]
struct SecondStepPage<'a> {
    layout: Layout,
    errors: Errors,
    next: &'a str,
    pending: &'a PendingLogin,
}

pages!(SecondStepPage<'_>);

/// `GET /login/factor`
pub(crate) async fn page(exchange: Exchange) -> Answer {
    let wanted = exchange.query("next");
    let next = exchange.next(&wanted);
    exchange.refuse_page(StartSession, &Form::none()).await?;
    match pending(&exchange).await? {
        Some((_, pending)) => show(&exchange, Errors::new(), next, &pending),
        None => expired(&exchange, next),
    }
}

fn show(exchange: &Exchange, errors: Errors, next: &str, pending: &PendingLogin) -> Answer {
    let layout = form_layout(exchange, "Second step", &errors).with_keys();
    exchange.render(&SecondStepPage {
        layout,
        errors,
        next,
        pending,
    })
}

/// The cookie of the login that waits, and what it offers.
async fn pending(exchange: &Exchange) -> Result<Option<(&str, PendingLogin)>, Problem> {
    let Some(cookie) = exchange.browser.pending() else {
        return Ok(None);
    };
    let pending = exchange
        .app
        .identity
        .logins()
        .pending(cookie)
        .await
        .map_err(|error| exchange.unavailable(error))?;
    Ok(pending.map(|pending| (cookie, pending)))
}

fn expired(exchange: &Exchange, next: &str) -> Answer {
    let mut response = exchange.see_other(&with_next("/login?notice=login-expired", next))?;
    cookies::clear_pending(&exchange.app, &mut response);
    Ok(response)
}

/// `POST /login/factor`
pub(crate) async fn prove(exchange: Exchange) -> Answer {
    let form = exchange.form().await?;
    let next = exchange.next(form.text("next"));
    let Some((cookie, pending)) = pending(&exchange).await? else {
        return expired(&exchange, next);
    };
    let identity = &exchange.app.identity;
    let device = exchange.browser.device();
    let (field, step) = match form.text("factor") {
        "totp" => (
            "code",
            identity
                .logins()
                .with_totp(exchange.context(), cookie, form.text("code"), device)
                .await,
        ),
        "recovery-code" => (
            "recovery-code",
            identity
                .logins()
                .with_recovery_code(
                    exchange.context(),
                    cookie,
                    form.text("recovery-code"),
                    device,
                )
                .await,
        ),
        "key" => {
            let answer = KeyAnswer {
                ceremony: form.text("ceremony").to_owned(),
                response: form.text("response").to_owned(),
            };
            (
                "",
                identity
                    .logins()
                    .with_key(exchange.context(), cookie, &answer, device)
                    .await,
            )
        }
        _ => {
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "invalid-form",
                "The form was not understood.",
            ));
        }
    };
    match step {
        Ok(step) => login::go_on(&exchange, step, next).await,
        // It ended after it was read for this answer.
        Err(refusal)
            if refusal
                .reasons
                .first()
                .is_some_and(|reason| reason.code == "login-expired") =>
        {
            expired(&exchange, next)
        }
        Err(refusal) => {
            answers::refused(&exchange, &form, refusal, field, |errors| {
                show(&exchange, errors, next, &pending)
            })
            .await
        }
    }
}

/// `POST /login/factor/options`
pub(crate) async fn options(exchange: Exchange) -> Answer {
    let pending = exchange.browser.pending().unwrap_or("");
    let challenge = exchange
        .app
        .identity
        .factors()
        .challenge_for_pending(exchange.context(), pending)
        .await?;
    json(&super::challenge(&challenge))
}
