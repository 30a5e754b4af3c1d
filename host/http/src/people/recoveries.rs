//! Recovery of accounts by staff, and the mailed link by which its owner stops one.

use askama::Template;
use axum::http::StatusCode;
use identity::{CancelRecovery, ListRecoveries, RecoverAccount, RecoveryError};
use model::{Action, RecoveryId, UserName};

use super::{Confirm, Look, Told, form_layout, link_void};
use crate::exchange::Exchange;
use crate::form::{Errors, Form};
use crate::pages::layout::{Layout, pages, time};
use crate::problem::{Answer, Problem};

/// Recoveries on the page.
const LISTED: u32 = 100;

#[derive(Template)]
#[template(path = "people/recoveries.html")]
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
    let permit = exchange.decide_page(ListRecoveries { limit: LISTED }, &Form::none()).await?;
    let listed = exchange.app.identity.recoveries(permit).await.map_err(|error| exchange.unavailable(error))?;
    let recovery = |listed: identity::ListedRecovery| Recovery {
        id: listed.id,
        user: listed.user.to_string(),
        by: listed.started_by,
        reason: listed.reason,
        started: time(listed.started_at),
        effective: time(listed.effective_at),
        waits: listed.ended_at.is_none(),
        ended: listed.ended_at.map(time).unwrap_or_default(),
        outcome: super::sentence(&listed.outcome.unwrap_or_default()),
    };
    let recoveries = listed.into_iter().map(recovery).collect();
    let layout = form_layout(exchange, "Account recoveries", &errors);
    exchange.render(&RecoveriesPage { layout, errors, user, reason, recoveries })
}

/// `POST /staff/recoveries/start`
pub(crate) async fn start(exchange: Exchange) -> Answer {
    exchange.person()?;
    let form = exchange.form().await?;
    let (name, reason) = (form.text("user").trim(), form.text("reason").trim());
    let known = match UserName::parse(name) {
        Ok(name) => exchange.app.registry.storage().user_by_name(&name).await.map_err(|error| exchange.unavailable(error))?,
        Err(_) => None,
    };
    let error = match known {
        // Decided before anything is said about whether there is such a user: `show` decides, too.
        None => RecoveryError::UnknownUser,
        Some(user) => {
            let permit = exchange.decide_page(RecoverAccount { user: user.id, reason: reason.to_owned() }, &form).await?;
            match exchange.app.identity.start_recovery(permit).await {
                Ok(_) => return exchange.see_other("/staff/recoveries/?notice=recovery-started"),
                Err(RecoveryError::Refused(refusal)) => return Err(refusal.into()),
                Err(RecoveryError::Storage(error)) => return Err(exchange.unavailable(error)),
                Err(error) => error,
            }
        }
    };
    let field = if matches!(error, RecoveryError::InvalidReason) { "reason" } else { "user" };
    let errors = Errors::of_field(field, super::sentence(&error.to_string()));
    super::with_status(StatusCode::UNPROCESSABLE_ENTITY, show(&exchange, errors, name, reason).await)
}

/// `POST /staff/recoveries/cancel`
pub(crate) async fn cancel(exchange: Exchange) -> Answer {
    exchange.person()?;
    let form = exchange.form().await?;
    let Ok(recovery) = form.text("recovery").parse() else { return exchange.see_other("/staff/recoveries/") };
    let permit = exchange.decide_page(CancelRecovery { recovery }, &form).await?;
    match exchange.app.identity.cancel_recovery(permit).await {
        Ok(()) => exchange.see_other("/staff/recoveries/?notice=recovery-cancelled"),
        // One that has ended cannot be stopped; the list says so.
        Err(RecoveryError::UnknownRecovery) => exchange.see_other("/staff/recoveries/"),
        Err(error) => Err(failed(&exchange, error)),
    }
}

fn failed(exchange: &Exchange, error: RecoveryError) -> Problem {
    match error {
        RecoveryError::Refused(refusal) => refusal.into(),
        error => exchange.unavailable(error),
    }
}

const NOTHING_TO_STOP: &str = "The recovery was stopped already or has happened. If it has happened and was not asked for by you, set a new password, and tell the operators of the registry.";

/// `GET /recovery/cancel`
pub(crate) async fn stop_page(exchange: Exchange) -> Answer {
    let _ = exchange.decide_page(Look(Action::PasswordReset), &Form::none()).await?;
    let link = exchange.query("link");
    match exchange.app.identity.announced_recovery(&link).await.map_err(|error| exchange.unavailable(error))? {
        Some(recovery) => Confirm {
            heading: "Stop the recovery of your account",
            paragraphs: &["The registry's staff was asked to let you back into your account without your second factors. If you asked for it, just wait. If you did not, stop it."],
            facts: &[
                ("Account", recovery.user.as_written()),
                ("Reason they gave", &recovery.reason),
            ],
            time: Some(("Happens on", recovery.effective_at)),
            action: "/recovery/cancel",
            link: &link,
            button: "Stop the recovery",
            danger: true,
            after: "Without the button nothing is stopped.",
        }
        .answer(&exchange),
        None => link_void(&exchange, NOTHING_TO_STOP),
    }
}

/// `POST /recovery/cancel`
pub(crate) async fn stop(exchange: Exchange) -> Answer {
    let form = exchange.form().await?;
    match exchange.app.identity.cancel_recovery_by_link(&exchange.app.gate, &exchange.attempt, form.text("link")).await {
        Ok(()) => Told {
            heading: "The recovery is stopped",
            paragraphs: &[
                "Your second factors and your password stay as they are. If somebody tried to get into your account, look through its security history.",
            ],
            links: &[("/account/history/", "Security history")],
        }
        .answer(&exchange),
        Err(RecoveryError::UnknownRecovery) => link_void(&exchange, NOTHING_TO_STOP),
        Err(error) => Err(failed(&exchange, error)),
    }
}
