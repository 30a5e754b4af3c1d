//! Passwords: changed with the old one, or reset with a mailed link.

use askama::Template;
use axum::http::StatusCode;
use identity::{OpenResetRequest, PasswordProblem, ReadResetLink, check_suitable, lifetimes};

use crate::cookies;
use crate::exchange::Exchange;
use crate::frame::answers;
use crate::frame::answers::{Told, form_layout, link_void};
use crate::frame::fields::fields;
use crate::frame::form::{Errors, Form};
use crate::frame::layout::Layout;
use crate::frame::page::pages;
use crate::problem::Answer;
use crate::words;

fields! {
    PasswordFields {
        CURRENT = "current": "Current password", secret;
        PASSWORD = "password": "New password", secret;
    }
}

fields! {
    ForgotFields {
        USER = "user": "User name or email address";
    }
}

fields! {
    ResetFields {
        PASSWORD = "password": "New password", secret;
    }
}

#[derive(Template)]
#[template(path = "account/password.html")]
struct ChangePage<'a> {
    layout: Layout,
    errors: Errors,
    user: &'a str,
}

#[derive(Template)]
#[template(path = "account/forgot.html")]
struct ForgotPage<'a> {
    layout: Layout,
    errors: Errors,
    user: &'a str,
}

#[derive(Template)]
#[template(path = "account/reset.html")]
struct ResetPage<'a> {
    layout: Layout,
    errors: Errors,
    link: &'a str,
    user: &'a str,
}

pages!(ChangePage<'_>, ForgotPage<'_>, ResetPage<'_>);

/// `GET /account/password`
pub(crate) async fn page(exchange: Exchange) -> Answer {
    exchange.person()?;
    let account = exchange.account()?;
    match exchange
        .app
        .identity
        .passwords()
        .open_change(exchange.context(), account, &exchange.caller)
        .await
    {
        Ok(_) => show(&exchange, Errors::new()),
        Err(refusal) => Err(exchange.refused(refusal, &Form::none()).await),
    }
}

fn show(exchange: &Exchange, errors: Errors) -> Answer {
    let layout = form_layout(exchange, "Change your password", &errors);
    exchange.render(&ChangePage {
        layout,
        errors,
        user: exchange.person()?.name.as_written(),
    })
}

/// `POST /account/password`
pub(crate) async fn change(exchange: Exchange) -> Answer {
    exchange.person()?;
    let form = exchange.form().await?;
    let (current, new) = (
        form.secret(PasswordFields::CURRENT),
        form.secret(PasswordFields::PASSWORD),
    );
    match exchange
        .app
        .identity
        .passwords()
        .change(
            exchange.context(),
            &exchange.caller,
            current,
            new,
            exchange.browser.device(),
        )
        .await
    {
        Ok(renewed) => super::renewed(&exchange, renewed, "/account/?notice=password-changed"),
        Err(problem) => again(&exchange, &form, problem, |errors| show(&exchange, errors)).await,
    }
}

/// The form again, with what is wrong.
async fn again(
    exchange: &Exchange,
    form: &Form,
    problem: PasswordProblem,
    show: impl FnOnce(Errors) -> Answer,
) -> Answer {
    let errors = match problem {
        PasswordProblem::Unsuitable(unsuitable) => Errors::of_field(
            PasswordFields::PASSWORD,
            words::sentence(&unsuitable.to_string()),
        ),
        PasswordProblem::WrongCurrent => {
            let mut errors =
                Errors::of_field(PasswordFields::CURRENT, "This is not your current password");
            // Also says what is wrong with the new password, as far as it shows without rating its
            // strength.
            if let Err(unsuitable) = check_suitable(
                &form.secret(PasswordFields::PASSWORD),
                &exchange.person()?.name,
            ) {
                errors.add(
                    PasswordFields::PASSWORD,
                    words::sentence(&unsuitable.to_string()),
                );
            }
            errors
        }
        PasswordProblem::Disabled => Errors::of_field(
            "",
            "Your password no longer works. Log out, and set a new one through a link that we email you.",
        ),
        PasswordProblem::UnknownLink => return forgot_again(exchange),
        PasswordProblem::Refused(refusal) => {
            return answers::refused(exchange, form, refusal, PasswordFields::CURRENT, show).await;
        }
        PasswordProblem::Busy(_) => return answers::busy(show),
        PasswordProblem::Storage(error) => return Err(exchange.unavailable(error)),
    };
    answers::with_status(StatusCode::UNPROCESSABLE_ENTITY, show(errors))
}

/// For a link that can no longer set a password.
fn forgot_again(exchange: &Exchange) -> Answer {
    let remedy = format!("A link works once, for {}.", lifetimes::PASSWORD_LINK);
    link_void(
        exchange,
        &remedy,
        &[
            ("/password/forgot", "Send another link"),
            ("/login", "Log in"),
        ],
    )
}

/// `GET /password/forgot`
pub(crate) async fn forgot_page(exchange: Exchange) -> Answer {
    exchange
        .refuse_page(OpenResetRequest, &Form::none())
        .await?;
    show_forgot(&exchange, Errors::new(), "")
}

fn show_forgot(exchange: &Exchange, errors: Errors, user: &str) -> Answer {
    let layout = form_layout(exchange, "Set a new password", &errors);
    exchange.render(&ForgotPage {
        layout,
        errors,
        user,
    })
}

/// `POST /password/forgot`
pub(crate) async fn forgot(exchange: Exchange) -> Answer {
    let form = exchange.form().await?;
    let user = form.text(ForgotFields::USER).trim();
    if user.is_empty() {
        let errors = Errors::of_field(ForgotFields::USER, "Type your user name or email address");
        return answers::with_status(
            StatusCode::UNPROCESSABLE_ENTITY,
            show_forgot(&exchange, errors, user),
        );
    }
    match exchange.app.identity.passwords().request_reset(exchange.context(), user).await {
        // The same answer whether there is such an account or not.
        Ok(()) => Told {
            heading: "Check your email",
            paragraphs: &[
                &format!(
                    "If there is an account with this name or address, and its primary email address is verified, we sent a link to that address. It works for {}.",
                    lifetimes::PASSWORD_LINK
                ),
                &format!("Nothing after a few minutes? Check your spam folder. If your address was never verified, {}.", exchange.ask_operators()),
            ],
            links: &[("/login", "Log in")],
        }
        .answer(&exchange),
        Err(refusal) => answers::refused(&exchange, &form, refusal, "user", |errors| show_forgot(&exchange, errors, user)).await,
    }
}

/// `GET /password/reset`
pub(crate) async fn reset_page(exchange: Exchange) -> Answer {
    let link = exchange.query("link");
    let target = ReadResetLink {
        link: link.to_string(),
    };
    let permit = exchange.decide_page(target, &Form::none()).await?;
    match exchange
        .app
        .identity
        .passwords()
        .waiting_for(permit)
        .await
        .map_err(|error| exchange.unavailable(error))?
    {
        Some(user) => show_reset(&exchange, Errors::new(), &link, user.as_written()),
        None => forgot_again(&exchange),
    }
}

fn show_reset(exchange: &Exchange, errors: Errors, link: &str, user: &str) -> Answer {
    let layout = form_layout(exchange, "Set a new password", &errors);
    exchange.render(&ResetPage {
        layout,
        errors,
        link,
        user,
    })
}

/// `POST /password/reset`
pub(crate) async fn reset(exchange: Exchange) -> Answer {
    let form = exchange.form().await?;
    let (link, identity) = (form.text("link"), &exchange.app.identity);
    let Some(user) = identity
        .passwords()
        .still_waiting_for(link)
        .await
        .map_err(|error| exchange.unavailable(error))?
    else {
        return forgot_again(&exchange);
    };
    match identity
        .passwords()
        .reset(exchange.context(), link, form.secret("password"))
        .await
    {
        Ok(device) => {
            let mut response = exchange.see_other("/login?notice=password-reset")?;
            // Every session of the account ended, including this browser's if it was one of them.
            cookies::clear_session(&exchange.app, &mut response);
            cookies::set_device(&exchange.app, &mut response, &device);
            Ok(response)
        }
        Err(problem) => {
            again(&exchange, &form, problem, |errors| {
                show_reset(&exchange, errors, link, user.as_written())
            })
            .await
        }
    }
}
