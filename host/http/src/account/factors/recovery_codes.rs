//! Recovery codes: shown once, then one is used to prove that they were stored.

use askama::Template;
use axum::http::StatusCode;
use identity::AccountView;
use identity::factors::{ConfirmRecoveryCodes, FactorError, GenerateRecoveryCodes};

use crate::exchange::Exchange;
use crate::frame::answers::{form_layout, with_status};
use crate::frame::fields::fields;
use crate::frame::form::Errors;
use crate::frame::layout::Layout;
use crate::frame::page::pages;
use crate::problem::Answer;

fields! {
    RecoveryCodeFields {
        CODE = "code": "One of your recovery codes", secret;
    }
}

#[derive(Template)]
#[template(path = "account/recovery_codes.html")]
struct CodesPage<'a> {
    layout: Layout,
    errors: Errors,
    registry: &'a str,
    user: &'a str,
    /// Empty unless they were just created.
    codes: Vec<&'a str>,
    confirmed: bool,
}

pages!(CodesPage<'_>);

/// `GET /account/factors/recovery-codes`
pub(crate) async fn page(exchange: Exchange) -> Answer {
    let view = exchange.read_account().await?;
    let recovery = exchange
        .app
        .identity
        .factors()
        .of(view)
        .await
        .map_err(|error| exchange.unavailable(error))?
        .recovery;
    if recovery.total == 0 {
        return exchange.see_other("/account/factors/");
    }
    show(
        &exchange,
        Errors::new(),
        Vec::new(),
        recovery.confirmed_at.is_some(),
    )
}

fn show(exchange: &Exchange, errors: Errors, codes: Vec<&str>, confirmed: bool) -> Answer {
    let mut layout = form_layout(exchange, "Recovery codes", &errors);
    if !codes.is_empty() {
        layout = layout.with_copying();
    }
    let (registry, user) = (
        exchange.app.public_url(),
        exchange.person()?.name.as_written(),
    );
    exchange.render(&CodesPage {
        layout,
        errors,
        registry,
        user,
        codes,
        confirmed,
    })
}

/// `POST /account/factors/recovery-codes`
pub(crate) async fn generate(exchange: Exchange) -> Answer {
    let account = exchange.account()?;
    let form = exchange.form().await?;
    let permit = exchange
        .decide_page(GenerateRecoveryCodes { account }, &form)
        .await?;
    let view = AccountView::of(&permit);
    match exchange
        .app
        .identity
        .factors()
        .generate_recovery_codes(permit)
        .await
    {
        // Shown in this answer and nowhere else.
        Ok(codes) => show(
            &exchange,
            Errors::new(),
            codes.iter().map(|code| code.expose().as_str()).collect(),
            false,
        ),
        Err(error) => super::again(&exchange, view, error, "", "", "").await,
    }
}

/// `POST /account/factors/recovery-codes/confirm`
pub(crate) async fn confirm(exchange: Exchange) -> Answer {
    let account = exchange.account()?;
    let form = exchange.form().await?;
    let permit = exchange
        .decide_page(
            ConfirmRecoveryCodes {
                account,
                code: form.text(RecoveryCodeFields::CODE).to_owned(),
            },
            &form,
        )
        .await?;
    if form.text(RecoveryCodeFields::CODE).is_empty() {
        // This also happens after a step-up, which does not carry the codes along.
        return with_status(
            StatusCode::UNPROCESSABLE_ENTITY,
            show(
                &exchange,
                Errors::of_field(RecoveryCodeFields::CODE, "Type one of your recovery codes"),
                Vec::new(),
                false,
            ),
        );
    }
    match exchange
        .app
        .identity
        .factors()
        .confirm_recovery_codes(permit)
        .await
    {
        Ok(()) => exchange.see_other("/account/factors/?notice=codes-confirmed"),
        Err(error) => {
            // The general text is about the clock of an app.
            let wrong = matches!(error, FactorError::WrongCode);
            let (status, mut text) = super::told(&exchange, error)?;
            if wrong {
                text = "This is not one of your unused recovery codes".to_owned();
            }
            status.of(show(
                &exchange,
                Errors::of_field(RecoveryCodeFields::CODE, text),
                Vec::new(),
                false,
            ))
        }
    }
}
