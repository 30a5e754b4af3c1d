//! Logging in with a password, and logging out.

use askama::Template;
use axum::http::StatusCode;
use identity::{Account, EndSession, EndSessions, LoginStep, MailAgain, StartSession};

use super::{devices, own_session};
use crate::cookies;
use crate::exchange::Exchange;
use crate::frame::answers;
use crate::frame::answers::form_layout;
use crate::frame::fields::fields;
use crate::frame::form::{Errors, Form};
use crate::frame::layout::Layout;
use crate::frame::page::pages;
use crate::problem::Answer;
use crate::url::with_next;

fields! {
    LoginFields {
        USER = "user": "User name or email address";
        PASSWORD = "password": "Password", secret;
    }
}

#[derive(Template)]
#[template(path = "account/login.html")]
struct LoginPage<'a> {
    layout: Layout,
    errors: Errors,
    next: &'a str,
    user: &'a str,
    keys_unavailable: Option<&'static str>,
}

pages!(LoginPage<'_>);

/// `GET /login`
pub(crate) async fn page(exchange: Exchange) -> Answer {
    let wanted = exchange.query("next");
    let next = exchange.next(&wanted);
    if exchange.caller.session.is_some() {
        return exchange.see_other(next);
    }
    exchange.refuse_page(StartSession, &Form::none()).await?;
    show(&exchange, Errors::new(), next, "")
}

pub(super) fn show(exchange: &Exchange, errors: Errors, next: &str, user: &str) -> Answer {
    let layout = form_layout(exchange, "Log in", &errors).with_keys();
    let keys_unavailable = exchange.app.identity.factors().webauthn_unavailable();
    exchange.render(&LoginPage {
        layout,
        errors,
        next,
        user,
        keys_unavailable,
    })
}

/// `POST /login`
pub(crate) async fn log_in(exchange: Exchange) -> Answer {
    let form = exchange.form().await?;
    let (next, user) = (
        exchange.next(form.text("next")),
        form.text(LoginFields::USER).trim(),
    );
    let mut errors = Errors::new();
    if user.is_empty() {
        errors.add(LoginFields::USER, "Type your user name or email address");
    }
    if form.text(LoginFields::PASSWORD).is_empty() {
        errors.add(LoginFields::PASSWORD, "Type your password");
    }
    if !errors.is_empty() {
        return answers::with_status(
            StatusCode::UNPROCESSABLE_ENTITY,
            show(&exchange, errors, next, user),
        );
    }
    match exchange
        .app
        .identity
        .logins()
        .with_password(
            exchange.context(),
            user,
            form.secret("password"),
            exchange.browser.device(),
        )
        .await
    {
        Ok(step) => go_on(&exchange, step, next).await,
        Err(refusal) => {
            answers::refused(&exchange, &form, refusal, "", |errors| {
                show(&exchange, errors, next, user)
            })
            .await
        }
    }
}

/// Goes on after a step of the login that succeeded.
pub(super) async fn go_on(exchange: &Exchange, step: LoginStep, next: &str) -> Answer {
    let app = &exchange.app;
    match step {
        LoginStep::Started(session) => {
            app.identity
                .sessions()
                .end_replaced(&exchange.attempt, &exchange.caller, &session)
                .await
                .map_err(|error| exchange.unavailable(error))?;
            let mut response = exchange.see_other(next)?;
            cookies::set_session(app, &mut response, &session);
            Ok(response)
        }
        LoginStep::SecondFactor { pending } => {
            let mut response = exchange.see_other(&with_next("/login/factor", next))?;
            cookies::set_pending(app, &mut response, &pending);
            Ok(response)
        }
        LoginStep::ConfirmDevice {
            device,
            again,
            mailed_before,
        } => {
            let mailed = if mailed_before {
                MailAgain::SentBefore
            } else {
                MailAgain::Sent
            };
            let mut response = devices::wait_for_mail(exchange, again.expose(), mailed, next)?;
            cookies::set_device(app, &mut response, &device);
            cookies::clear_pending(app, &mut response);
            Ok(response)
        }
    }
}

/// `POST /logout`
pub(crate) async fn log_out(exchange: Exchange) -> Answer {
    let mut response = exchange.see_other("/login?notice=logged-out")?;
    if let Some(account) = Account::of(&exchange.caller) {
        let session = own_session(&exchange, |account| EndSessions {
            account,
            except: None,
        })
        .await?
        .id();
        let permit = exchange
            .decide_page(EndSession { account, session }, &exchange.form().await?)
            .await?;
        exchange
            .app
            .identity
            .sessions()
            .end(permit)
            .await
            .map_err(|error| exchange.unavailable(error))?;
    }
    cookies::clear_session(&exchange.app, &mut response);
    Ok(response)
}
