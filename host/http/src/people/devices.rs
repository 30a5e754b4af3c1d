//! Confirming a browser or a command line that was never seen, by a mailed link.

use identity::StartSession;
use model::DeviceKind;

use super::{Confirm, Told, link_void};
use crate::exchange::Exchange;
use crate::form::Form;
use crate::problem::Answer;

const LOG_IN_AGAIN: &str = "Log in again, or run the command again: if the browser or command line is still unknown, we send another link.";
const LOG_IN: &[(&str, &str)] = &[("/login", "Log in")];

/// `GET /login/device`
pub(crate) async fn page(exchange: Exchange) -> Answer {
    let _ = exchange.decide_page(StartSession, &Form::none()).await?;
    let link = exchange.query("link");
    match exchange.app.identity.device_to_confirm(&link).await.map_err(|error| exchange.unavailable(error))? {
        Some(device) if device.kind == DeviceKind::CommandLine => Confirm {
            heading: "Was this you?",
            paragraphs: &[
                "Somebody sent your password and a valid one-time code from a command line that we have not seen before. Nothing was done: we let that command line in only if you confirm it.",
            ],
            facts: &[("Account", device.user.as_written()), ("Program", &device.device), ("IP address", &device.remote_address)],
            time: Some(("Time", device.at)),
            action: "/login/device",
            link: &link,
            button: "Yes, let this command line in",
            danger: false,
            after: "If it was not you, do not press this button: somebody knows your password.",
            no: Some(("/password/forgot", "No, it was not me: set a new password")),
        }
        .answer(&exchange),
        Some(device) => Confirm {
            heading: "Was this you?",
            paragraphs: &[
                "Somebody entered your password and a valid code in a browser that we have not seen before. We let that browser in only if you confirm it.",
            ],
            facts: &[("Account", device.user.as_written()), ("Browser", &device.device), ("IP address", &device.remote_address)],
            time: Some(("Time", device.at)),
            action: "/login/device",
            link: &link,
            button: "Yes, let this browser in",
            danger: false,
            after: "If it was not you, do not press this button: somebody knows your password.",
            no: Some(("/password/forgot", "No, it was not me: set a new password")),
        }
        .answer(&exchange),
        None => link_void(&exchange, LOG_IN_AGAIN, LOG_IN),
    }
}

/// `POST /login/device`
pub(crate) async fn confirm(exchange: Exchange) -> Answer {
    let form = exchange.form().await?;
    let link = form.text("link");
    let waiting = exchange.app.identity.device_to_confirm(link).await.map_err(|error| exchange.unavailable(error))?;
    match exchange.app.identity.confirm_device(&exchange.app.gate, &exchange.attempt, link).await? {
        true if waiting.is_some_and(|device| device.kind == DeviceKind::CommandLine) => Told {
            heading: "The command line is confirmed",
            paragraphs: &["Go back to it and run the same command again. Your sessions page lists it, and takes it back if it is lost."],
            links: &[("/account/sessions/", "Your sessions")],
        }
        .answer(&exchange),
        // A mail is read on a telephone, say: whether it is this browser, nobody can tell.
        true => Told {
            heading: "The browser is confirmed",
            paragraphs: &["Go back to the browser that you wanted to log in with, and log in there once more."],
            links: &[("/login", "If it is this one, log in")],
        }
        .answer(&exchange),
        false => link_void(&exchange, LOG_IN_AGAIN, LOG_IN),
    }
}
