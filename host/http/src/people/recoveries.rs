//! Recovery of accounts by staff, and the mailed link by which its owner stops one.

use askama::Template;
use axum::http::StatusCode;
use identity::recovery::is_reason;
use identity::{
    AnnouncedRecovery, CancelRecovery, ListRecoveries, OwnSession, RecoverAccount, RecoveryError,
    StopOwnRecovery,
};
use model::{Action, Caller, RecoveryId, Timestamp, UserName};

use super::{Confirm, Look, Told, form_layout, link_void};
use crate::app::Shared;
use crate::exchange::Exchange;
use crate::form::{Errors, Form};
use crate::pages::layout::{Layout, Notice, NoticeKind, pages, time};
use crate::problem::{Answer, Problem};
use crate::routes::{Audience, Route};

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

pages!(RecoveriesPage<'_>, StopPage);

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
        outcome: super::sentence(&listed.outcome.unwrap_or_default()),
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

/// What a person is told on each page of their account while a recovery of it waits: the mail
/// may not have been read.
pub(crate) async fn announcement(app: &Shared, route: &Route, caller: &Caller) -> Option<Notice> {
    let session = OwnSession::of(caller)
        .filter(|_| route.audience == Audience::People && route.path.starts_with("/account/"))?;
    let recovery = match app.identity.recoveries().announced_in(session).await {
        Ok(recovery) => recovery?,
        Err(error) => {
            // The page itself will say that the registry cannot answer.
            tracing::error!(%error, "whether a recovery waits could not be read");
            return None;
        }
    };
    let text = format!(
        "The registry’s staff have started to recover this account. Reason: {}. At {} its second factors will be removed and its password will stop working.",
        recovery.reason.trim_end_matches('.'),
        minute(recovery.effective_at)
    );
    Some(Notice {
        link: Some((STOP_OWN, "Didn’t ask for this? Stop it")),
        ..Notice::new(NoticeKind::Warning, text)
    })
}

/// `2026-01-05 12:00 UTC`, the last space one that no line ends at.
fn minute(at: Timestamp) -> String {
    let text = at.to_string();
    format!(
        "{}\u{a0}UTC",
        text.get(..16).unwrap_or(&text).replace('T', " ")
    )
}

const STOP_OWN: &str = "/account/recovery";

#[derive(Template)]
#[template(path = "people/stop_recovery.html")]
struct StopPage {
    layout: Layout,
    /// Its reason, and when it happens; none if none waits.
    recovery: Option<(String, String)>,
}

/// `GET /account/recovery`
pub(crate) async fn own(exchange: Exchange) -> Answer {
    let view = exchange.read_account().await?;
    let recovery = exchange
        .app
        .identity
        .recoveries()
        .of(view)
        .await
        .map_err(|error| exchange.unavailable(error))?;
    let mut layout = exchange.layout("Recovery of your account");
    // The page says it all itself.
    layout.notices.retain(|notice| notice.link.is_none());
    let recovery = recovery.map(
        |AnnouncedRecovery {
             reason,
             effective_at,
             ..
         }| (reason, time(effective_at)),
    );
    exchange.render(&StopPage { layout, recovery })
}

/// `POST /account/recovery`
pub(crate) async fn stop_own(exchange: Exchange) -> Answer {
    let account = exchange.account()?;
    let form = exchange.form().await?;
    let permit = exchange
        .decide_page(StopOwnRecovery { account }, &form)
        .await?;
    match exchange.app.identity.recoveries().stop_own(permit).await {
        Ok(()) => exchange.see_other("/account/?notice=recovery-cancelled"),
        // One that has ended: the page says so.
        Err(RecoveryError::UnknownRecovery) => exchange.see_other(STOP_OWN),
        Err(error) => Err(failed(&exchange, error)),
    }
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
    let (name, reason) = (form.text("user").trim(), &*in_one_line);
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
        errors.add(field, super::sentence(&error.to_string()));
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
                    return super::limited(
                        retry_after_seconds,
                        show(&exchange, errors, name, reason).await,
                    );
                }
                Err(error) => wrong(error),
            }
        }
    }
    super::with_status(
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

const NOTHING_TO_STOP: &str = "The recovery was stopped already, or has happened. If it has happened and you did not ask for it, set a new password, and tell the operators of the registry.";
const AFTER_A_RECOVERY: &[(&str, &str)] = &[
    ("/password/forgot", "Set a new password"),
    ("/help/#contact", "Reach the operators"),
];

/// `GET /recovery/cancel`
pub(crate) async fn stop_page(exchange: Exchange) -> Answer {
    exchange
        .refuse_page(Look(Action::PasswordReset), &Form::none())
        .await?;
    let link = exchange.query("link");
    match exchange.app.identity.recoveries().announced(&link).await.map_err(|error| exchange.unavailable(error))? {
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
            danger: false,
            after: "If you close this page, the recovery goes ahead.",
            no: None,
        }
        .answer(&exchange),
        None => link_void(&exchange, NOTHING_TO_STOP, AFTER_A_RECOVERY),
    }
}

/// `POST /recovery/cancel`
pub(crate) async fn stop(exchange: Exchange) -> Answer {
    let form = exchange.form().await?;
    match exchange.app.identity.recoveries().cancel_by_link(exchange.context(), form.text("link")).await {
        Ok(()) => Told {
            heading: "The recovery is stopped",
            paragraphs: &["Your second factors and your password stay unchanged. If someone tried to get into your account, check its security history."],
            links: &[("/account/history/", "Security history")],
        }
        .answer(&exchange),
        Err(RecoveryError::UnknownRecovery) => link_void(&exchange, NOTHING_TO_STOP, AFTER_A_RECOVERY),
        Err(error) => Err(failed(&exchange, error)),
    }
}
