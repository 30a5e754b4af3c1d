//! Logging in with a passkey alone.

use identity::factors::KeyAnswer;
use serde_json::json;

use super::login;
use crate::cookies;
use crate::exchange::{Exchange, json};
use crate::frame::answers;
use crate::problem::Answer;

/// `POST /login/passkey/options`
pub(crate) async fn options(exchange: Exchange) -> Answer {
    let challenge = exchange
        .app
        .identity
        .factors()
        .challenge_for_passkey(exchange.context())
        .await?;
    // The ceremony goes into a cookie that no script can read.
    let mut response = json(&json!({ "ceremony": "", "options": challenge.options }))?;
    cookies::set_passkey(&exchange.app, &mut response, &challenge.ceremony);
    Ok(response)
}

/// `POST /login/passkey`
pub(crate) async fn log_in(exchange: Exchange) -> Answer {
    let form = exchange.form().await?;
    let next = exchange.next(form.text("next"));
    let answer = KeyAnswer {
        ceremony: exchange.browser.passkey().unwrap_or("").to_owned(),
        response: form.text("response").to_owned(),
    };
    match exchange
        .app
        .identity
        .logins()
        .with_passkey(exchange.context(), &answer, exchange.browser.device())
        .await
    {
        Ok(step) => login::go_on(&exchange, step, next).await,
        Err(refusal) => {
            answers::refused(&exchange, &form, refusal, "", |errors| {
                login::show(&exchange, errors, next, "")
            })
            .await
        }
    }
}
