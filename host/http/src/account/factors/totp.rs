//! A one-time password app.

use askama::Template;
use identity::factors::{ConfirmTotp, FactorError, FactorName, ProposeTotp, ProposedTotp};
use identity::{AccountView, OpenEnrollment};

use super::super::{own_session, qr_code, renewed};
use crate::exchange::Exchange;
use crate::frame::answers::form_layout;
use crate::frame::fields::fields;
use crate::frame::form::{Errors, Form};
use crate::frame::layout::Layout;
use crate::frame::page::pages;
use crate::problem::Answer;

fields! {
    AppFields {
        CODE = "code": "Code from the app", secret;
    }
}

#[derive(Template)]
#[template(path = "account/totp.html")]
struct TotpPage<'a> {
    layout: Layout,
    errors: Errors,
    /// The QR code; none if the text is too long for one.
    picture: Option<String>,
    /// In groups of four.
    secret: String,
    url: &'a str,
    ceremony: &'a str,
}

pages!(TotpPage<'_>);

/// `GET /account/factors/totp`
pub(crate) async fn page(exchange: Exchange) -> Answer {
    let session = own_session(&exchange, |account| OpenEnrollment { account }).await?;
    let permit = exchange
        .decide_page(ProposeTotp { session }, &Form::none())
        .await?;
    let view = AccountView::of(&permit);
    match exchange
        .app
        .identity
        .factors()
        .propose_totp_for(permit)
        .await
    {
        Ok(proposed) => show(&exchange, Errors::new(), &proposed),
        Err(error) => super::again(&exchange, view, error, "", "", "").await,
    }
}

fn show(exchange: &Exchange, errors: Errors, proposed: &ProposedTotp) -> Answer {
    let page = TotpPage {
        layout: form_layout(exchange, "Set up a one-time password app", &errors).with_copying(),
        errors,
        picture: qr_code::svg(
            proposed.url.expose(),
            "QR code with the key for your app; the same as the text below it",
        ),
        secret: in_groups(proposed.secret.expose()),
        url: proposed.url.expose(),
        ceremony: proposed.ceremony.expose(),
    };
    exchange.render(&page)
}

/// `abcd efgh ij`: easier to type from one screen into another.
fn in_groups(secret: &str) -> String {
    let characters: Vec<char> = secret.chars().collect();
    characters
        .chunks(4)
        .map(|group| group.iter().collect::<String>())
        .collect::<Vec<_>>()
        .join(" ")
}

/// `POST /account/factors/totp`
pub(crate) async fn enroll(exchange: Exchange) -> Answer {
    let session = own_session(&exchange, |account| OpenEnrollment { account }).await?;
    let form = exchange.form().await?;
    let (ceremony, code) = (
        form.text("ceremony").to_owned(),
        form.text(AppFields::CODE).to_owned(),
    );
    let target = ConfirmTotp {
        session,
        ceremony: ceremony.clone(),
        code,
    };
    let permit = exchange.decide_page(target, &form).await?;
    let view = AccountView::of(&permit);
    match exchange.app.identity.factors().confirm_totp(permit).await {
        Ok(session) => renewed(&exchange, session, "/account/factors/?notice=factor-added"),
        Err(error @ (FactorError::WrongCode | FactorError::Limited { .. })) => {
            let (status, text) = super::told(&exchange, error)?;
            match exchange
                .app
                .identity
                .factors()
                .proposed_totp(session, &ceremony)
                .await
            {
                Ok(proposed) => status.of(show(
                    &exchange,
                    Errors::of_field(AppFields::CODE, text),
                    &proposed,
                )),
                Err(error) => super::again(&exchange, view, error, "", "", "").await,
            }
        }
        Err(error) => super::again(&exchange, view, error, "", "", "").await,
    }
}

/// `GET /account/factors/totp/remove`
pub(crate) async fn removal(exchange: Exchange) -> Answer {
    exchange.read_account().await?;
    super::removal(&exchange, FactorName::Totp, WHAT, REMOVE).await
}

/// `POST /account/factors/totp/remove`
pub(crate) async fn remove(exchange: Exchange) -> Answer {
    exchange.person()?;
    super::remove(&exchange, FactorName::Totp, |_| WHAT.to_owned(), REMOVE).await
}

const WHAT: &str = "the one-time password app";
const REMOVE: &str = "/account/factors/totp/remove";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_shown_in_groups_of_four() {
        assert_eq!(in_groups("JBSWY3DPEH"), "JBSW Y3DP EH");
        assert_eq!(in_groups(""), "");
    }
}
