//! A recovery of one's own account: how its owner learns of it and stops it.

use askama::Template;
use identity::{AnnouncedRecovery, OwnSession, ReadRecoveryLink, RecoveryError, StopOwnRecovery};
use model::{Caller, Timestamp};

use crate::exchange::Exchange;
use crate::frame::answers::{Confirm, Told, link_void};
use crate::frame::form::Form;
use crate::frame::layout::Layout;
use crate::frame::link::Link;
use crate::frame::markup::time;
use crate::frame::notices::{Notice, NoticeKind};
use crate::frame::page::pages;
use crate::problem::{Answer, Problem};
use crate::route::{Audience, Route};
use crate::shared::Shared;

/// The notice on each page of an account while its recovery waits: the person may not have read the
/// mail.
pub(crate) async fn announcement(app: &Shared, route: &Route, caller: &Caller) -> Option<Notice> {
    let session = OwnSession::of(caller)
        .filter(|_| route.audience == Audience::People && route.path.starts_with("/account/"))?;
    let recovery = match app.identity.recoveries().announced_in(session).await {
        Ok(recovery) => recovery?,
        Err(error) => {
            // The page itself reports that the registry cannot answer.
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
        link: Some(Link::new(STOP_OWN, "Didn’t ask for this? Stop it")),
        ..Notice::new(NoticeKind::Warning, text)
    })
}

/// `2026-01-05 12:00 UTC`, the last space a no-break space.
fn minute(at: Timestamp) -> String {
    let text = at.to_string();
    format!(
        "{}\u{a0}UTC",
        text.get(..16).unwrap_or(&text).replace('T', " ")
    )
}

pages!(StopPage);

const STOP_OWN: &str = "/account/recovery";

#[derive(Template)]
#[template(path = "account/stop_recovery.html")]
struct StopPage {
    layout: Layout,
    /// Its reason and its time; none if none waits.
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
    // The page itself says all of it.
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
        // It has already ended; the page says so.
        Err(RecoveryError::UnknownRecovery) => exchange.see_other(STOP_OWN),
        Err(error) => Err(failed(&exchange, error)),
    }
}

pub(crate) fn failed(exchange: &Exchange, error: RecoveryError) -> Problem {
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
    let link = exchange.query("link");
    let target = ReadRecoveryLink { link: link.clone() };
    let permit = exchange.decide_page(target, &Form::none()).await?;
    match exchange.app.identity.recoveries().announced(permit).await.map_err(|error| exchange.unavailable(error))? {
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
