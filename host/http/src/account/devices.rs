//! Confirming a browser or a command line not seen before, by a mailed link.

use askama::Template;
use identity::{MailAgain, StartSession, lifetimes};
use model::DeviceKind;

use crate::exchange::Exchange;
use crate::frame::answers;
use crate::frame::answers::{Confirm, Told, link_void};
use crate::frame::form::{Errors, Form};
use crate::frame::layout::Layout;
use crate::frame::page::pages;
use crate::problem::Answer;
use crate::url::with_next;

/// The page for somebody whose browser must be confirmed.
#[derive(Template)]
#[template(path = "account/wait_for_mail.html")]
struct WaitPage<'a> {
    layout: Layout,
    errors: Errors,
    /// Which mail was sent when.
    mailed: &'a str,
    /// How long the link works.
    lifetime: &'a str,
    /// The button that asks for another mail.
    again: &'a str,
    /// Where the login leads to.
    next: &'a str,
    /// Path of the login.
    login: &'a str,
}

pages!(WaitPage<'_>);

const LOG_IN_AGAIN: &str = "Log in again, or run the command again: if the browser or command line is still unknown, we send another link.";
const LOG_IN: &[(&str, &str)] = &[("/login", "Log in")];

/// `GET /login/device`
pub(crate) async fn page(exchange: Exchange) -> Answer {
    exchange.refuse_page(StartSession, &Form::none()).await?;
    let link = exchange.query("link");
    match exchange.app.identity.devices().device_to_confirm(&link).await.map_err(|error| exchange.unavailable(error))? {
        Some(device) if device.kind == DeviceKind::CommandLine => Confirm {
            heading: "Was this you?",
            paragraphs: &[
                "Someone sent your password and a valid one-time code from a command line that we have not seen before. Nothing was done: we let that command line in only if you confirm it.",
            ],
            facts: &[("Account", device.user.as_written()), ("Program", &device.device), ("IP address", &device.remote_address)],
            time: Some(("Time", device.at)),
            action: "/login/device",
            link: &link,
            button: "Yes, let this command line in",
            danger: false,
            after: "If this wasn’t you, do not press this button: someone knows your password.",
            no: Some(("/password/forgot", "No, it wasn’t me: set a new password")),
        }
        .answer(&exchange),
        Some(device) => Confirm {
            heading: "Was this you?",
            paragraphs: &[
                "Someone entered your password and a valid code in a browser that we have not seen before. We let that browser in only if you confirm it.",
            ],
            facts: &[("Account", device.user.as_written()), ("Browser", &device.device), ("IP address", &device.remote_address)],
            time: Some(("Time", device.at)),
            action: "/login/device",
            link: &link,
            button: "Yes, let this browser in",
            danger: false,
            after: "If this wasn’t you, do not press this button: someone knows your password.",
            no: Some(("/password/forgot", "No, it wasn’t me: set a new password")),
        }
        .answer(&exchange),
        None => link_void(&exchange, LOG_IN_AGAIN, LOG_IN),
    }
}

/// `POST /login/device`
pub(crate) async fn confirm(exchange: Exchange) -> Answer {
    let form = exchange.form().await?;
    let link = form.text("link");
    let waiting = exchange
        .app
        .identity
        .devices()
        .device_to_confirm(link)
        .await
        .map_err(|error| exchange.unavailable(error))?;
    match exchange.app.identity.devices().confirm(exchange.context(), link).await? {
        true if waiting.is_some_and(|device| device.kind == DeviceKind::CommandLine) => Told {
            heading: "The command line is confirmed",
            paragraphs: &["Go back to it and run the same command again. It is listed on your sessions page, where you can remove it again."],
            links: &[("/account/sessions/", "Your sessions")],
        }
        .answer(&exchange),
        // The mail may be read on a phone, so whether it is this browser is unknown.
        true => Told {
            heading: "The browser is confirmed",
            paragraphs: &["Go back to the browser in which you wanted to log in, and log in there again."],
            links: &[("/login", "If it is this one, log in")],
        }
        .answer(&exchange),
        false => link_void(&exchange, LOG_IN_AGAIN, LOG_IN),
    }
}

/// The page on which a browser waits for the mail about it.
pub(super) fn wait_for_mail(
    exchange: &Exchange,
    again: &str,
    mailed: MailAgain,
    next: &str,
) -> Answer {
    show_waiting(exchange, Errors::new(), again, mailed, next)
}

fn show_waiting(
    exchange: &Exchange,
    errors: Errors,
    again: &str,
    mailed: MailAgain,
    next: &str,
) -> Answer {
    let mailed = match mailed {
        MailAgain::SentBefore => {
            "We sent a link to your primary email address a moment ago. Give it two minutes before you ask for another one."
        }
        _ => "We sent a link to your primary email address.",
    };
    let layout = answers::form_layout(exchange, "Confirm this browser", &errors);
    exchange.render(&WaitPage {
        layout,
        errors,
        mailed,
        lifetime: lifetimes::DEVICE_LINK,
        again,
        next,
        login: &with_next("/login", next),
    })
}

/// `POST /login/device/again`
pub(crate) async fn mail_again(exchange: Exchange) -> Answer {
    let form = exchange.form().await?;
    let (again, next) = (form.text("again"), exchange.next(form.text("next")));
    let identity = &exchange.app.identity;
    match identity
        .devices()
        .mail_about_browser_again(exchange.context(), again, exchange.browser.device())
        .await
    {
        Ok(mailed @ (MailAgain::Sent | MailAgain::SentBefore)) => {
            show_waiting(&exchange, Errors::new(), again, mailed, next)
        }
        Ok(MailAgain::Confirmed) => {
            exchange.see_other(&with_next("/login?notice=device-confirmed", next))
        }
        Ok(MailAgain::NotWaiting) => {
            exchange.see_other(&with_next("/login?notice=login-expired", next))
        }
        Err(refusal) => {
            answers::refused(&exchange, &form, refusal, "", |errors| {
                show_waiting(&exchange, errors, again, MailAgain::SentBefore, next)
            })
            .await
        }
    }
}
