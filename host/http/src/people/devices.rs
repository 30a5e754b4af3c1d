//! Confirming a browser that was never seen, by a mailed link.

use identity::StartSession;

use super::{Confirm, Told, link_void};
use crate::exchange::Exchange;
use crate::form::Form;
use crate::problem::Answer;

const LOG_IN_AGAIN: &str = "Log in again: if the browser is still unknown, we send another link.";

/// `GET /login/device`
pub(crate) async fn page(exchange: Exchange) -> Answer {
    let _ = exchange.decide_page(StartSession, &Form::none()).await?;
    let link = exchange.query("link");
    match exchange.app.identity.device_to_confirm(&link).await.map_err(|error| exchange.unavailable(error))? {
        Some(device) => Confirm {
            heading: "Was this you?",
            paragraphs: &["Somebody logged in to your account with your password and a code, from a browser that was not seen before. They are not in yet."],
            facts: &[("Account", device.user.as_written()), ("Browser", &device.device), ("Address", &device.remote_address)],
            time: Some(("Time", device.at)),
            action: "/login/device",
            link: &link,
            button: "Yes, let this browser in",
            danger: false,
            after: "It was not you? Then press nothing here, and set a new password at once: somebody knows yours.",
        }
        .answer(&exchange),
        None => link_void(&exchange, LOG_IN_AGAIN),
    }
}

/// `POST /login/device`
pub(crate) async fn confirm(exchange: Exchange) -> Answer {
    let form = exchange.form().await?;
    match exchange.app.identity.confirm_device(&exchange.app.gate, &exchange.attempt, form.text("link")).await? {
        // A mail is read on a telephone, say: whether it is this browser, nobody can tell.
        true => Told {
            heading: "The browser is confirmed",
            paragraphs: &["Go back to the browser that you wanted to log in with, and log in there once more."],
            links: &[("/login", "It is this one: log in")],
        }
        .answer(&exchange),
        false => link_void(&exchange, LOG_IN_AGAIN),
    }
}
