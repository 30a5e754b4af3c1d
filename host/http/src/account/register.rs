//! Registering: the form, the mailed link, and the first user of an empty registry.

use askama::Template;
use axum::http::StatusCode;
use identity::{
    ConfirmProblem, OpenRegistration, PendingRegistration, ReadFirstUserLink, ReadRegistration,
    RegisterForm, RegisterProblem, lifetimes,
};

use crate::exchange::Exchange;
use crate::frame::answers;
use crate::frame::answers::{Told, form_layout, link_void};
use crate::frame::fields::fields;
use crate::frame::form::{Errors, Form};
use crate::frame::layout::Layout;
use crate::frame::link::Link;
use crate::frame::page::pages;
use crate::problem::Answer;
use crate::words;

fields! {
    RegisterFields {
        USER_NAME = "user-name": "User name";
        EMAIL = "email": "Email address";
        PASSWORD = "password": "Password", secret;
    }
}

fields! {
    FinishFields {
        PASSWORD = "password": "Password", secret;
    }
}

#[derive(Template)]
#[template(path = "account/register.html")]
struct RegisterPage<'a> {
    layout: Layout,
    errors: Errors,
    user_name: &'a str,
    email: &'a str,
}

#[derive(Template)]
#[template(path = "account/first_user.html")]
struct FirstUserPage<'a> {
    layout: Layout,
    errors: Errors,
    link: &'a str,
    user_name: &'a str,
    email: &'a str,
}

#[derive(Template)]
#[template(path = "account/finish_registration.html")]
struct FinishPage<'a> {
    layout: Layout,
    errors: Errors,
    link: &'a str,
    user_name: &'a str,
    email: &'a str,
}

pages!(RegisterPage<'_>, FirstUserPage<'_>, FinishPage<'_>);

/// `GET /register`
pub(crate) async fn page(exchange: Exchange) -> Answer {
    if exchange.caller.session.is_some() {
        return exchange.see_other("/account/");
    }
    exchange
        .refuse_page(OpenRegistration, &Form::none())
        .await?;
    show(&exchange, Errors::new(), "", "")
}

fn show(exchange: &Exchange, errors: Errors, user_name: &str, email: &str) -> Answer {
    let layout = form_layout(exchange, "Create an account", &errors);
    exchange.render(&RegisterPage {
        layout,
        errors,
        user_name,
        email,
    })
}

/// `POST /register`
pub(crate) async fn register(exchange: Exchange) -> Answer {
    let form = exchange.form().await?;
    match exchange.app.identity.registrations().register(exchange.context(), typed(&form)).await {
        // The same answer whether name and address were free or not.
        Ok(()) => Told {
            heading: "Check your email",
            paragraphs: &[
                &format!("We sent an email to {}. Open the link in it to continue. It works for {}.", form.text("email").trim(), lifetimes::REGISTRATION_LINK),
                "Nothing after a few minutes? Check your spam folder, or register again if you mistyped the address.",
            ],
            links: REGISTER_OR_LOG_IN,
        }
        .answer(&exchange),
        Err(problem) => again(&exchange, &form, problem, |errors| show(&exchange, errors, form.text(RegisterFields::USER_NAME), form.text(RegisterFields::EMAIL))).await,
    }
}

/// The form again, with what is wrong.
async fn again(
    exchange: &Exchange,
    form: &Form,
    problem: RegisterProblem,
    show: impl FnOnce(Errors) -> Answer,
) -> Answer {
    match problem {
        RegisterProblem::Invalid(fields) => {
            let mut errors = Errors::new();
            for error in fields {
                errors.add(error.field, words::sentence(&error.message));
            }
            answers::with_status(StatusCode::UNPROCESSABLE_ENTITY, show(errors))
        }
        RegisterProblem::UnknownLink => {
            let remedy = "Ask the operators of the registry: a new link is printed each time the server starts, as long as there is no staff.";
            link_void(exchange, remedy, LOG_IN)
        }
        RegisterProblem::Refused(refusal) => {
            answers::refused(exchange, form, refusal, "", show).await
        }
        RegisterProblem::Busy(_) => answers::busy(show),
        RegisterProblem::Storage(error) => Err(exchange.unavailable(error)),
    }
}

fn typed(form: &Form) -> RegisterForm {
    RegisterForm {
        user_name: form.text(RegisterFields::USER_NAME).trim().to_owned(),
        email: form.text(RegisterFields::EMAIL).trim().to_owned(),
        password: form.secret(RegisterFields::PASSWORD),
    }
}

/// `GET /register/confirm`
pub(crate) async fn confirm_page(exchange: Exchange) -> Answer {
    let link = exchange.query("link");
    let target = ReadRegistration {
        link: link.to_string(),
    };
    let permit = exchange.decide_page(target, &Form::none()).await?;
    match exchange
        .app
        .identity
        .registrations()
        .waiting_for(permit)
        .await
        .map_err(|error| exchange.unavailable(error))?
    {
        Some(pending) if pending.name_taken => name_taken(&exchange),
        Some(pending) => show_finish(&exchange, Errors::new(), &link, &pending),
        None => link_void(&exchange, REGISTER_AGAIN, REGISTER_OR_LOG_IN),
    }
}

fn show_finish(
    exchange: &Exchange,
    errors: Errors,
    link: &str,
    pending: &PendingRegistration,
) -> Answer {
    let layout = form_layout(exchange, "Finish your registration", &errors);
    exchange.render(&FinishPage {
        layout,
        errors,
        link,
        user_name: pending.user_name.as_written(),
        email: &pending.email,
    })
}

const REGISTER_AGAIN: &str = "If you have finished your registration with it, your account exists: log in. If not, register again; it takes a minute.";
const REGISTER_OR_LOG_IN: &[(&str, &str)] =
    &[("/register", "Register again"), ("/login", "Log in")];
const LOG_IN: &[(&str, &str)] = &[("/login", "Log in")];
const FRONT_PAGE: &[(&str, &str)] = &[("/", "Front page")];

/// `POST /register/confirm`
pub(crate) async fn confirm(exchange: Exchange) -> Answer {
    let form = exchange.form().await?;
    let link = form.text("link");
    if !form.text("discard").is_empty() {
        return discard(&exchange, link).await;
    }
    match exchange
        .app
        .identity
        .registrations()
        .confirm(exchange.context(), link, form.secret("password"))
        .await
    {
        Ok(_) => exchange.see_other("/login?notice=account-created"),
        Err(ConfirmProblem::UnknownLink) => {
            link_void(&exchange, REGISTER_AGAIN, REGISTER_OR_LOG_IN)
        }
        Err(ConfirmProblem::NameTaken) => name_taken(&exchange),
        // Only the owner of the address has the link.
        Err(ConfirmProblem::EmailTaken) => {
            let text = "Your email address belongs to an account. Log in to it, or set a new password if you forgot yours.";
            let links = [
                ("/login", "Log in"),
                ("/password/forgot", "Set a new password"),
            ];
            answers::with_status(
                StatusCode::CONFLICT,
                Told {
                    heading: "You have an account already",
                    paragraphs: &[text],
                    links: &links,
                }
                .answer(&exchange),
            )
        }
        Err(ConfirmProblem::Storage(error)) => Err(exchange.unavailable(error)),
        Err(problem) => finish_again(&exchange, &form, link, problem).await,
    }
}

/// This may be shown: the person with the link owns the address, and user names are public.
fn name_taken(exchange: &Exchange) -> Answer {
    let text = "Register again with another one. Your email address can stay the same.";
    let told = Told {
        heading: "That user name is taken",
        paragraphs: &[text],
        links: &[("/register", "Register again")],
    };
    answers::with_status(StatusCode::CONFLICT, told.answer(exchange))
}

/// The form with the password again, with what is wrong.
async fn finish_again(
    exchange: &Exchange,
    form: &Form,
    link: &str,
    problem: ConfirmProblem,
) -> Answer {
    let Some(pending) = exchange
        .app
        .identity
        .registrations()
        .still_waiting_for(link)
        .await
        .map_err(|error| exchange.unavailable(error))?
    else {
        return link_void(exchange, REGISTER_AGAIN, REGISTER_OR_LOG_IN);
    };
    let show = |errors| show_finish(exchange, errors, link, &pending);
    match problem {
        ConfirmProblem::Busy(_) => answers::busy(show),
        ConfirmProblem::Refused(refusal) => {
            answers::refused(exchange, form, refusal, "password", show).await
        }
        _ => {
            let errors = Errors::of_field(
                "password",
                "This is not the password that you chose when you registered",
            );
            let errors = errors.remedy(
                "Try again, or register again with another one.",
                Some(Link::new("/register", "Register again")),
            );
            answers::with_status(StatusCode::FORBIDDEN, show(errors))
        }
    }
}

/// For the owner of a mailbox who did not register.
async fn discard(exchange: &Exchange, link: &str) -> Answer {
    match exchange
        .app
        .identity
        .registrations()
        .discard(exchange.context(), link)
        .await
    {
        Ok(()) => {
            let text = "No account will be created with it. If you keep getting mails like this, tell the operators of the registry.";
            Told {
                heading: "The registration is discarded",
                paragraphs: &[text],
                links: FRONT_PAGE,
            }
            .answer(exchange)
        }
        Err(ConfirmProblem::Refused(refusal)) => {
            Err(exchange.refused(refusal, &Form::none()).await)
        }
        Err(ConfirmProblem::Storage(error)) => Err(exchange.unavailable(error)),
        // After any other refusal there is nothing left to discard.
        Err(_) => link_void(exchange, "There is nothing left to discard.", FRONT_PAGE),
    }
}

const NO_FIRST_USER: &str = "The first account of the registry's staff was created already, or a newer link was printed when its server started.";

/// `GET /first-user`
pub(crate) async fn first_user_page(exchange: Exchange) -> Answer {
    let link = exchange.query("link");
    let target = ReadFirstUserLink {
        link: link.to_string(),
    };
    let permit = exchange.decide_page(target, &Form::none()).await?;
    match exchange
        .app
        .identity
        .registrations()
        .is_first_user_link(permit)
        .await
        .map_err(|error| exchange.unavailable(error))?
    {
        true => show_first_user(&exchange, Errors::new(), &link, "", ""),
        false => link_void(&exchange, NO_FIRST_USER, LOG_IN),
    }
}

fn show_first_user(
    exchange: &Exchange,
    errors: Errors,
    link: &str,
    user_name: &str,
    email: &str,
) -> Answer {
    let layout = form_layout(exchange, "Create the first account", &errors);
    exchange.render(&FirstUserPage {
        layout,
        errors,
        link,
        user_name,
        email,
    })
}

/// `POST /first-user`
pub(crate) async fn first_user(exchange: Exchange) -> Answer {
    let form = exchange.form().await?;
    let link = form.text("link");
    match exchange
        .app
        .identity
        .registrations()
        .create_first_user(exchange.context(), link, typed(&form))
        .await
    {
        Ok(_) => exchange.see_other("/login?notice=account-created"),
        Err(problem) => {
            again(&exchange, &form, problem, |errors| {
                show_first_user(
                    &exchange,
                    errors,
                    link,
                    form.text(RegisterFields::USER_NAME),
                    form.text(RegisterFields::EMAIL),
                )
            })
            .await
        }
    }
}
