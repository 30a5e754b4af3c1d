//! The email addresses of an account, and the mailed link that verifies one.

use askama::Template;
use axum::http::StatusCode;
use identity::{
    AccountError, AccountView, AddEmail, PromoteEmail, ReadEmailLink, RemoveEmail, SendVerification,
};

use crate::exchange::Exchange;
use crate::frame::answers;
use crate::frame::answers::{Confirm, form_layout, link_void};
use crate::frame::fields::fields;
use crate::frame::form::{Errors, Form};
use crate::frame::layout::Layout;
use crate::frame::page::pages;
use crate::problem::Answer;
use crate::words;
use model::time::wait_in_words;

fields! {
    EmailFields {
        ADDRESS = "address": "Email address";
    }
}

#[derive(Template)]
#[template(path = "account/emails.html")]
struct EmailsPage<'a> {
    layout: Layout,
    errors: Errors,
    emails: Vec<Email>,
    address: &'a str,
}

pages!(EmailsPage<'_>);

struct Email {
    address: String,
    primary: bool,
    verified: bool,
}

/// `GET /account/emails/`
pub(crate) async fn page(exchange: Exchange) -> Answer {
    let view = exchange.read_account().await?;
    show(&exchange, view, Errors::new(), "").await
}

async fn show(exchange: &Exchange, view: AccountView, errors: Errors, address: &str) -> Answer {
    let rows = exchange
        .app
        .identity
        .emails()
        .of(view)
        .await
        .map_err(|error| exchange.unavailable(error))?;
    let emails = rows
        .into_iter()
        .map(|row| Email {
            address: row.address,
            primary: row.primary,
            verified: row.verified_at.is_some(),
        })
        .collect();
    let layout = form_layout(exchange, "Email addresses", &errors);
    exchange.render(&EmailsPage {
        layout,
        errors,
        emails,
        address,
    })
}

/// The page again, with what is wrong.
async fn again(
    exchange: &Exchange,
    view: AccountView,
    error: AccountError,
    address: &str,
) -> Answer {
    let (status, text) = match error {
        AccountError::Storage(error) => return Err(exchange.unavailable(error)),
        AccountError::Limited {
            retry_after_seconds,
        } => {
            let page = show(
                exchange,
                view,
                Errors::of_field(
                    "address",
                    format!(
                        "Too many mails were requested. Try again in {}",
                        wait_in_words(retry_after_seconds)
                    ),
                ),
                address,
            )
            .await;
            return answers::limited(retry_after_seconds, page);
        }
        AccountError::UnknownEmail => (
            StatusCode::CONFLICT,
            "This address is not one of yours, or its link was not opened yet".to_owned(),
        ),
        AccountError::PrimaryEmail => (
            StatusCode::CONFLICT,
            "This is your primary address: make another one primary first".to_owned(),
        ),
        // Nothing is said about other people's addresses.
        AccountError::EmailTaken => (
            StatusCode::CONFLICT,
            "This address is yours already".to_owned(),
        ),
        AccountError::InvalidEmail(error) => (
            StatusCode::UNPROCESSABLE_ENTITY,
            words::sentence(&error.to_string()),
        ),
        error => (StatusCode::CONFLICT, words::sentence(&error.to_string())),
    };
    answers::with_status(
        status,
        show(
            exchange,
            view,
            Errors::of_field(EmailFields::ADDRESS, text),
            address,
        )
        .await,
    )
}

/// `POST /account/emails/`
pub(crate) async fn add(exchange: Exchange) -> Answer {
    let account = exchange.account()?;
    let form = exchange.form().await?;
    let address = form.text(EmailFields::ADDRESS).trim().to_owned();
    let permit = exchange
        .decide_page(
            AddEmail {
                account,
                address: address.clone(),
            },
            &form,
        )
        .await?;
    let view = AccountView::of(&permit);
    match exchange.app.identity.emails().add(permit).await {
        Ok(()) => exchange.see_other("/account/emails/?notice=email-added"),
        Err(error) => again(&exchange, view, error, &address).await,
    }
}

/// `POST /account/emails/verify`
pub(crate) async fn send_link(exchange: Exchange) -> Answer {
    let account = exchange.account()?;
    let form = exchange.form().await?;
    let permit = exchange
        .decide_page(
            SendVerification {
                account,
                address: form.text(EmailFields::ADDRESS).to_owned(),
            },
            &form,
        )
        .await?;
    let view = AccountView::of(&permit);
    match exchange
        .app
        .identity
        .emails()
        .send_verification(permit)
        .await
    {
        Ok(()) => exchange.see_other("/account/emails/?notice=email-link-sent"),
        Err(error) => again(&exchange, view, error, "").await,
    }
}

/// `POST /account/emails/promote`
pub(crate) async fn promote(exchange: Exchange) -> Answer {
    let account = exchange.account()?;
    let form = exchange.form().await?;
    let permit = exchange
        .decide_page(
            PromoteEmail {
                account,
                address: form.text(EmailFields::ADDRESS).to_owned(),
            },
            &form,
        )
        .await?;
    let view = AccountView::of(&permit);
    match exchange.app.identity.emails().promote(permit).await {
        Ok(_) => exchange.see_other("/account/emails/?notice=email-promoted"),
        Err(error) => again(&exchange, view, error, "").await,
    }
}

/// `POST /account/emails/remove`
pub(crate) async fn remove(exchange: Exchange) -> Answer {
    let account = exchange.account()?;
    let form = exchange.form().await?;
    let permit = exchange
        .decide_page(
            RemoveEmail {
                account,
                address: form.text(EmailFields::ADDRESS).to_owned(),
            },
            &form,
        )
        .await?;
    let view = AccountView::of(&permit);
    match exchange.app.identity.emails().remove(permit).await {
        Ok(()) => exchange.see_other("/account/emails/?notice=email-removed"),
        Err(error) => again(&exchange, view, error, "").await,
    }
}

const SEND_AGAIN: &str =
    "If the address is not verified yet, send another link from the page of your email addresses.";
const YOUR_ADDRESSES: &[(&str, &str)] = &[("/account/emails/", "Your email addresses")];

/// `GET /email/confirm`
pub(crate) async fn confirm_page(exchange: Exchange) -> Answer {
    let link = exchange.query("link");
    let target = ReadEmailLink {
        link: link.to_string(),
    };
    let permit = exchange.decide_page(target, &Form::none()).await?;
    match exchange
        .app
        .identity
        .emails()
        .waiting_for(permit)
        .await
        .map_err(|error| exchange.unavailable(error))?
    {
        Some(email) => Confirm {
            heading: "Verify your email address",
            paragraphs: &["Press the button to confirm that this address is yours."],
            facts: &[
                ("Account", email.user.as_written()),
                ("Email address", &email.address),
            ],
            time: None,
            action: "/email/confirm",
            link: &link,
            button: "Verify the address",
            danger: false,
            after: "Not your account? Close this page: nothing happens until you press the button.",
            no: None,
        }
        .answer(&exchange),
        None => link_void(&exchange, SEND_AGAIN, YOUR_ADDRESSES),
    }
}

/// `POST /email/confirm`
pub(crate) async fn confirm(exchange: Exchange) -> Answer {
    let form = exchange.form().await?;
    match exchange
        .app
        .identity
        .emails()
        .confirm(exchange.context(), form.text("link"))
        .await?
    {
        Some(_) if exchange.caller.session.is_some() => {
            exchange.see_other("/account/?notice=email-verified")
        }
        Some(_) => exchange.see_other("/login?notice=email-verified"),
        None => link_void(&exchange, SEND_AGAIN, YOUR_ADDRESSES),
    }
}
