//! Recovery of accounts by staff.

use askama::Template;
use axum::http::StatusCode;
use identity::recovery::is_reason;
use identity::{CancelRecovery, ListRecoveries, RecoverAccount, RecoveryError};
use model::{RecoveryId, UserName};

use crate::account::recovery::failed;
use crate::exchange::Exchange;
use crate::frame::answers::{form_layout, limited, with_status};
use crate::frame::fields::fields;
use crate::frame::form::{Errors, Form};
use crate::frame::layout::Layout;
use crate::frame::markup::time;
use crate::frame::page::pages;
use crate::problem::Answer;
use crate::words::sentence;

/// Recoveries on the page.
const LISTED: u32 = 100;

fields! {
    RecoveryFields {
        USER = "user": "User name";
        REASON = "reason": "Reason";
    }
}

#[derive(Template)]
#[template(path = "staff/recoveries.html")]
struct RecoveriesPage<'a> {
    layout: Layout,
    errors: Errors,
    user: &'a str,
    reason: &'a str,
    recoveries: Vec<Recovery>,
}

pages!(RecoveriesPage<'_>);

struct Recovery {
    id: RecoveryId,
    user: String,
    by: String,
    reason: String,
    started: String,
    effective: String,
    waits: bool,
    ended: String,
    outcome: String,
}

/// `GET /staff/recoveries/`
pub(crate) async fn page(exchange: Exchange) -> Answer {
    exchange.person()?;
    show(&exchange, Errors::new(), "", "").await
}

async fn show(exchange: &Exchange, errors: Errors, user: &str, reason: &str) -> Answer {
    let permit = exchange
        .decide_page(ListRecoveries { limit: LISTED }, &Form::none())
        .await?;
    let listed = exchange
        .app
        .identity
        .recoveries()
        .list(permit)
        .await
        .map_err(|error| exchange.unavailable(error))?;
    let recovery = |listed: identity::ListedRecovery| Recovery {
        id: listed.id,
        user: listed.user.to_string(),
        by: listed.started_by,
        reason: listed.reason,
        started: time(listed.started_at),
        effective: time(listed.effective_at),
        waits: listed.ended_at.is_none(),
        ended: listed.ended_at.map(time).unwrap_or_default(),
        outcome: sentence(&listed.outcome.unwrap_or_default()),
    };
    let recoveries = listed.into_iter().map(recovery).collect();
    let layout = form_layout(exchange, "Account recoveries", &errors);
    exchange.render(&RecoveriesPage {
        layout,
        errors,
        user,
        reason,
        recoveries,
    })
}

/// `POST /staff/recoveries/start`
pub(crate) async fn start(exchange: Exchange) -> Answer {
    exchange.person()?;
    let form = exchange.form().await?;
    let permit = exchange
        .decide_page(ListRecoveries { limit: LISTED }, &form)
        .await?;
    // It is typed into a box of several lines.
    let in_one_line = form
        .text("reason")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let (name, reason) = (form.text(RecoveryFields::USER).trim(), &*in_one_line);
    let known = match UserName::parse(name) {
        Ok(name) => exchange
            .app
            .identity
            .recoveries()
            .user_to_recover(&permit, &name)
            .await
            .map_err(|error| exchange.unavailable(error))?,
        Err(_) => None,
    };
    let mut errors = Errors::new();
    let mut wrong = |error: RecoveryError| {
        let field = if matches!(error, RecoveryError::InvalidReason) {
            "reason"
        } else {
            "user"
        };
        errors.add(field, sentence(&error.to_string()));
    };
    match known {
        None => {
            wrong(RecoveryError::UnknownUser);
            if !is_reason(reason) {
                wrong(RecoveryError::InvalidReason);
            }
        }
        Some(user) => {
            let permit = exchange
                .decide_page(
                    RecoverAccount {
                        user,
                        reason: reason.to_owned(),
                    },
                    &form,
                )
                .await?;
            match exchange.app.identity.recoveries().start(permit).await {
                Ok(_) => return exchange.see_other("/staff/recoveries/?notice=recovery-started"),
                Err(RecoveryError::Refused(refusal)) => return Err(refusal.into()),
                Err(RecoveryError::Storage(error)) => return Err(exchange.unavailable(error)),
                Err(
                    error @ RecoveryError::Limited {
                        retry_after_seconds,
                    },
                ) => {
                    wrong(error);
                    return limited(
                        retry_after_seconds,
                        show(&exchange, errors, name, reason).await,
                    );
                }
                Err(error) => wrong(error),
            }
        }
    }
    with_status(
        StatusCode::UNPROCESSABLE_ENTITY,
        show(&exchange, errors, name, reason).await,
    )
}

/// `POST /staff/recoveries/cancel`
pub(crate) async fn cancel(exchange: Exchange) -> Answer {
    exchange.person()?;
    let form = exchange.form().await?;
    let Ok(recovery) = form.text("recovery").parse() else {
        exchange
            .refuse_page(ListRecoveries { limit: LISTED }, &form)
            .await?;
        return exchange.see_other("/staff/recoveries/");
    };
    let permit = exchange
        .decide_page(CancelRecovery { recovery }, &form)
        .await?;
    match exchange.app.identity.recoveries().cancel(permit).await {
        Ok(()) => exchange.see_other("/staff/recoveries/?notice=recovery-cancelled"),
        // A recovery that has ended cannot be stopped; the list shows it.
        Err(RecoveryError::UnknownRecovery) => exchange.see_other("/staff/recoveries/"),
        Err(error) => Err(failed(&exchange, error)),
    }
}
