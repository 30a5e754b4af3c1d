//! Deleting one's account.

use askama::Template;
use axum::http::StatusCode;
use identity::{AccountError, DeleteAccount};

use crate::cookies;
use crate::exchange::Exchange;
use crate::frame::answers;
use crate::frame::answers::form_layout;
use crate::frame::fields::fields;
use crate::frame::form::Errors;
use crate::frame::layout::Layout;
use crate::frame::page::pages;
use crate::problem::Answer;

fields! {
    DeleteFields {
        USER_NAME = "user-name": "User name";
    }
}

#[derive(Template)]
#[template(path = "account/delete.html")]
struct DeletePage<'a> {
    layout: Layout,
    errors: Errors,
    hint: &'a str,
    /// The projects that nobody else owns.
    projects: Vec<String>,
}

pages!(DeletePage<'_>);

/// `GET /account/delete`
pub(crate) async fn page(exchange: Exchange) -> Answer {
    let view = exchange.read_account().await?;
    let projects = exchange
        .app
        .identity
        .accounts()
        .sole_owner_of(view)
        .await
        .map_err(|error| exchange.unavailable(error))?;
    show(&exchange, Errors::new(), projects)
}

fn show(exchange: &Exchange, errors: Errors, projects: Vec<String>) -> Answer {
    let layout = form_layout(exchange, "Delete your account", &errors);
    let hint = format!(
        "To be sure, type it exactly like this: {}",
        exchange.person()?.name
    );
    exchange.render(&DeletePage {
        layout,
        errors,
        hint: &hint,
        projects,
    })
}

/// `POST /account/delete`
pub(crate) async fn delete(exchange: Exchange) -> Answer {
    let person = exchange.person()?;
    let account = exchange.account()?;
    let form = exchange.form().await?;
    let permit = exchange
        .decide_page(
            DeleteAccount {
                account,
                reason: None,
            },
            &form,
        )
        .await?;
    if form.text(DeleteFields::USER_NAME).trim() != person.name.as_written() {
        let errors = Errors::of_field(
            "user-name",
            format!("Type {} to delete this account", person.name),
        );
        return answers::with_status(
            StatusCode::UNPROCESSABLE_ENTITY,
            show(&exchange, errors, Vec::new()),
        );
    }
    match exchange.app.identity.accounts().delete(permit).await {
        Ok(()) => {
            let mut response = exchange.see_other("/?notice=account-deleted")?;
            cookies::clear_session(&exchange.app, &mut response);
            Ok(response)
        }
        Err(AccountError::SoleOwner(projects)) => answers::with_status(
            StatusCode::CONFLICT,
            show(&exchange, Errors::new(), projects),
        ),
        Err(error) => Err(exchange.unavailable(error)),
    }
}
