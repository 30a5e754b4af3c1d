//! "This was not me": everything that gives access to the account ends at once.

use askama::Template;
use identity::SecureAccount;

use crate::cookies;
use crate::exchange::Exchange;
use crate::frame::answers::Told;
use crate::frame::layout::Layout;
use crate::frame::page::pages;
use crate::problem::Answer;

#[derive(Template)]
#[template(path = "account/secure.html")]
struct SecurePage {
    layout: Layout,
    /// Where the link for a new password would go, most of the address masked; none without a
    /// verified address.
    address: Option<String>,
}

pages!(SecurePage);

/// `GET /account/secure`
pub(crate) async fn page(exchange: Exchange) -> Answer {
    let view = exchange.read_account().await?;
    let address = exchange
        .app
        .identity
        .accounts()
        .secured_through(view)
        .await
        .map_err(|error| exchange.unavailable(error))?;
    exchange.render(&SecurePage {
        layout: exchange.layout("This was not me"),
        address,
    })
}

/// `POST /account/secure`
pub(crate) async fn secure(exchange: Exchange) -> Answer {
    let account = exchange.account()?;
    let form = exchange.form().await?;
    let permit = exchange
        .decide_page(SecureAccount { account }, &form)
        .await?;
    let address = exchange
        .app
        .identity
        .accounts()
        .secure(permit)
        .await
        .map_err(|error| exchange.unavailable(error))?;
    let unreachable = format!(
        "Your primary email address is not verified, so no link could be sent. To get help, {}.",
        exchange.ask_operators()
    );
    let sent = address.map(|address| {
        format!(
            "We sent a link for a new password to {address}. When you are back, look through your second factors, keys and email addresses, and create new tokens."
        )
    });
    let next = sent.as_ref().unwrap_or(&unreachable);
    let paragraphs = [
        "Every session has ended, every API token is revoked, and your password no longer works.",
        next,
    ];
    // Without a verified address, a link that was asked for would never arrive.
    let links: &[_] = if sent.is_some() {
        &[("/password/forgot", "Send me another link")]
    } else {
        &[]
    };
    let mut response = Told {
        heading: "Your account is secured",
        paragraphs: &paragraphs,
        links,
    }
    .answer_logged_out(&exchange)?;
    cookies::clear_session(&exchange.app, &mut response);
    Ok(response)
}
