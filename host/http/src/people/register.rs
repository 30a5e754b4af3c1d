//! Registering: the form, the mailed link, and the first user of an empty registry.

use askama::Template;
use axum::http::StatusCode;
use identity::{ConfirmProblem, RegisterForm, RegisterProblem};
use model::Action;

use super::{Confirm, Look, Told, form_layout, link_void};
use crate::exchange::Exchange;
use crate::form::{Errors, Form};
use crate::pages::layout::{Layout, pages};
use crate::problem::Answer;

#[derive(Template)]
#[template(path = "people/register.html")]
struct RegisterPage<'a> {
    layout: Layout,
    errors: Errors,
    user_name: &'a str,
    email: &'a str,
}

#[derive(Template)]
#[template(path = "people/first_user.html")]
struct FirstUserPage<'a> {
    layout: Layout,
    errors: Errors,
    link: &'a str,
    user_name: &'a str,
    email: &'a str,
}

pages!(RegisterPage<'_>, FirstUserPage<'_>);

/// `GET /register`
pub(crate) async fn page(exchange: Exchange) -> Answer {
    if exchange.caller.session.is_some() {
        return exchange.see_other("/account/");
    }
    let _ = exchange.decide_page(Look(Action::AccountCreate), &Form::none()).await?;
    show(&exchange, Errors::new(), "", "")
}

fn show(exchange: &Exchange, errors: Errors, user_name: &str, email: &str) -> Answer {
    let layout = form_layout(exchange, "Create an account", &errors);
    exchange.render(&RegisterPage { layout, errors, user_name, email })
}

/// `POST /register`
pub(crate) async fn register(exchange: Exchange) -> Answer {
    let form = exchange.form().await?;
    match exchange.app.identity.register(&exchange.app.gate, &exchange.attempt, typed(&form)).await {
        // The same whether name and address were free or not.
        Ok(()) => Told {
            heading: "Look into your mail",
            paragraphs: &[
                &format!("We sent a mail to {}. Open the link in it to finish. It counts for 24 hours.", form.text("email").trim()),
                "If nothing comes within some minutes, look among unwanted mail, or try again with another address.",
            ],
            links: &[],
        }
        .answer(&exchange),
        Err(problem) => again(&exchange, &form, problem, |errors| show(&exchange, errors, form.text("user-name"), form.text("email"))).await,
    }
}

/// The form once more, with what is wrong.
async fn again(exchange: &Exchange, form: &Form, problem: RegisterProblem, show: impl FnOnce(Errors) -> Answer) -> Answer {
    match problem {
        RegisterProblem::Invalid(fields) => {
            let mut errors = Errors::new();
            for error in fields {
                errors.add(error.field, super::sentence(&error.message));
            }
            super::with_status(StatusCode::UNPROCESSABLE_ENTITY, show(errors))
        }
        RegisterProblem::UnknownLink => {
            link_void(exchange, "Ask whoever runs the registry: a new link is printed each time its server starts, as long as there is no account.")
        }
        RegisterProblem::Refused(refusal) => super::refused(exchange, form, refusal, "", show).await,
        RegisterProblem::Busy(_) => super::busy(show),
        RegisterProblem::Storage(error) => Err(exchange.unavailable(error)),
    }
}

fn typed(form: &Form) -> RegisterForm {
    RegisterForm { user_name: form.text("user-name").trim().to_owned(), email: form.text("email").trim().to_owned(), password: form.secret("password") }
}

/// `GET /register/confirm`
pub(crate) async fn confirm_page(exchange: Exchange) -> Answer {
    let _ = exchange.decide_page(Look(Action::AccountCreate), &Form::none()).await?;
    let link = exchange.query("link");
    match exchange.app.identity.registration(&link).await.map_err(|error| exchange.unavailable(error))? {
        Some(pending) => Confirm {
            heading: "Finish your registration",
            paragraphs: &["With this your account is made, and this address counts as verified."],
            facts: &[("User name", pending.user_name.as_written()), ("E-mail address", &pending.email)],
            time: None,
            action: "/register/confirm",
            link: &link,
            button: "Create the account",
            danger: false,
            after: "You did not register here? Then close this page: without the button nothing happens.",
        }
        .answer(&exchange),
        None => link_void(&exchange, REGISTER_AGAIN),
    }
}

const REGISTER_AGAIN: &str = "Register again: it takes a minute.";

/// `POST /register/confirm`
pub(crate) async fn confirm(exchange: Exchange) -> Answer {
    let form = exchange.form().await?;
    match exchange.app.identity.confirm_registration(&exchange.app.gate, &exchange.attempt, form.text("link")).await {
        Ok(_) => exchange.see_other("/login?notice=account-created"),
        Err(ConfirmProblem::UnknownLink) => link_void(&exchange, REGISTER_AGAIN),
        // Who opens the link owns the address, and user names are public.
        Err(ConfirmProblem::NameTaken) => {
            let text = "Register again with another one. Your e-mail address can stay the same.";
            let told = Told { heading: "That user name is taken", paragraphs: &[text], links: &[("/register", "Register")] };
            super::with_status(StatusCode::CONFLICT, told.answer(&exchange))
        }
        // Only the owner of the address has the link.
        Err(ConfirmProblem::EmailTaken) => {
            let text = "Your e-mail address belongs to an account. Log in to it, or set a new password if you forgot yours.";
            let links = [("/login", "Log in"), ("/password/forgot", "Set a new password")];
            super::with_status(StatusCode::CONFLICT, Told { heading: "You have an account already", paragraphs: &[text], links: &links }.answer(&exchange))
        }
        Err(ConfirmProblem::Refused(refusal)) => Err(refusal.into()),
        Err(ConfirmProblem::Storage(error)) => Err(exchange.unavailable(error)),
    }
}

const NO_FIRST_USER: &str = "The first account of this registry was made already, or a newer link was printed when its server started.";

/// `GET /first-user`
pub(crate) async fn first_user_page(exchange: Exchange) -> Answer {
    let _ = exchange.decide_page(Look(Action::AccountCreate), &Form::none()).await?;
    let link = exchange.query("link");
    match exchange.app.identity.is_first_user_link(&link).await.map_err(|error| exchange.unavailable(error))? {
        true => show_first_user(&exchange, Errors::new(), &link, "", ""),
        false => link_void(&exchange, NO_FIRST_USER),
    }
}

fn show_first_user(exchange: &Exchange, errors: Errors, link: &str, user_name: &str, email: &str) -> Answer {
    let layout = form_layout(exchange, "Create the first account", &errors);
    exchange.render(&FirstUserPage { layout, errors, link, user_name, email })
}

/// `POST /first-user`
pub(crate) async fn first_user(exchange: Exchange) -> Answer {
    let form = exchange.form().await?;
    let link = form.text("link");
    match exchange.app.identity.create_first_user(&exchange.app.gate, &exchange.attempt, link, typed(&form)).await {
        Ok(_) => exchange.see_other("/login?notice=account-created"),
        Err(problem) => again(&exchange, &form, problem, |errors| show_first_user(&exchange, errors, link, form.text("user-name"), form.text("email"))).await,
    }
}
