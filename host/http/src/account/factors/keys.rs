//! Security keys and passkeys.

use askama::Template;
use axum::http::StatusCode;
use identity::factors::{
    EnrollKey, FactorError, FactorName, KeyAnswer, KeyKind, OpenRemoval, ProposeKey, RenameKey,
};
use identity::{AccountView, OpenEnrollment};
use model::KeyId;

use super::super::{challenge, own_session, renewed};
use super::KeyFields;
use crate::exchange::{Exchange, json};
use crate::frame::answers::form_layout;
use crate::frame::fields::fields;
use crate::frame::form::{Errors, Form};
use crate::frame::layout::Layout;
use crate::frame::page::pages;
use crate::problem::{Answer, Problem};

fields! {
    RenameFields {
        NAME = "name": "Name";
    }
}

#[derive(Template)]
#[template(path = "account/rename_key.html")]
struct RenamePage<'a> {
    layout: Layout,
    errors: Errors,
    key: KeyId,
    key_name: &'a str,
}

pages!(RenamePage<'_>);

/// `POST /account/factors/keys/options`
pub(crate) async fn options(exchange: Exchange) -> Answer {
    let session = own_session(&exchange, |account| OpenEnrollment { account }).await?;
    let form = exchange.form().await?;
    let permit = exchange
        .decide(ProposeKey {
            session,
            kind: kind(&form),
        })
        .await?;
    match exchange.app.identity.factors().propose_key(permit).await {
        Ok(proposed) => json(&challenge(&proposed)),
        Err(error) => {
            let (status, text) = super::told(&exchange, error)?;
            Err(status.problem("no-new-key", &text))
        }
    }
}

fn kind(form: &Form) -> KeyKind {
    match form.text(KeyFields::KIND) {
        "passkey" => KeyKind::Passkey,
        _ => KeyKind::SecurityKey,
    }
}

/// `POST /account/factors/keys`
pub(crate) async fn enroll(exchange: Exchange) -> Answer {
    let session = own_session(&exchange, |account| OpenEnrollment { account }).await?;
    let form = exchange.form().await?;
    let (kind, name) = (
        form.text(KeyFields::KIND),
        form.text(KeyFields::NAME).trim(),
    );
    let answer = KeyAnswer {
        ceremony: form.text("ceremony").to_owned(),
        response: form.text("response").to_owned(),
    };
    let unanswered = answer.response.is_empty();
    let permit = exchange
        .decide_page(
            EnrollKey {
                session,
                name: name.to_owned(),
                answer,
            },
            &form,
        )
        .await?;
    let view = AccountView::of(&permit);
    if unanswered {
        // Back from a step-up that came before the key was asked for.
        return super::show_proven(&exchange, view, kind, name).await;
    }
    match exchange.app.identity.factors().enroll_key(permit).await {
        Ok((_, session)) => renewed(&exchange, session, "/account/factors/?notice=key-added"),
        Err(error) => {
            let field = if matches!(
                error,
                FactorError::InvalidKeyName | FactorError::KeyNameTaken
            ) {
                "name"
            } else {
                ""
            };
            super::again(&exchange, view, error, field, kind, name).await
        }
    }
}

/// The key named in the path, as the caller's list has it.
async fn listed(exchange: &Exchange, view: AccountView) -> Result<(KeyId, String), Problem> {
    let wanted: Option<KeyId> = exchange.parameters.get("key").parse().ok();
    let overview = exchange
        .app
        .identity
        .factors()
        .of(view)
        .await
        .map_err(|error| exchange.unavailable(error))?;
    let known = overview.keys.into_iter().find(|key| Some(key.id) == wanted);
    known.map(|key| (key.id, key.name)).ok_or_else(no_such_key)
}

fn no_such_key() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not-found", "You have no such key.")
}

/// `GET /account/factors/keys/{key}/rename`
pub(crate) async fn rename_page(exchange: Exchange) -> Answer {
    let view = exchange.read_account().await?;
    let (key, name) = listed(&exchange, view).await?;
    show_rename(&exchange, Errors::new(), key, &name)
}

fn show_rename(exchange: &Exchange, errors: Errors, key: KeyId, name: &str) -> Answer {
    let layout = form_layout(exchange, "Rename a key", &errors);
    exchange.render(&RenamePage {
        layout,
        errors,
        key,
        key_name: name,
    })
}

/// `POST /account/factors/keys/{key}/rename`
pub(crate) async fn rename(exchange: Exchange) -> Answer {
    let account = exchange.account()?;
    let form = exchange.form().await?;
    let key: Option<KeyId> = exchange.parameters.get("key").parse().ok();
    let name = form.text(RenameFields::NAME).trim();
    let permit = exchange
        .decide_page(
            RenameKey {
                account,
                key,
                name: name.to_owned(),
            },
            &form,
        )
        .await?;
    let Some(key) = key else {
        return Err(no_such_key());
    };
    match exchange.app.identity.factors().rename_key(permit).await {
        Ok(()) => exchange.see_other("/account/factors/?notice=key-renamed"),
        Err(FactorError::UnknownKey) => Err(no_such_key()),
        Err(error) => {
            let (status, text) = super::told(&exchange, error)?;
            status.of(show_rename(
                &exchange,
                Errors::of_field(RenameFields::NAME, text),
                key,
                name,
            ))
        }
    }
}

/// `GET /account/factors/keys/{key}/remove`
pub(crate) async fn removal(exchange: Exchange) -> Answer {
    let view = exchange.read_account().await?;
    let (key, name) = listed(&exchange, view).await?;
    super::removal(&exchange, FactorName::Key(key), &what(&name), &path(key)).await
}

/// `POST /account/factors/keys/{key}/remove`
pub(crate) async fn remove(exchange: Exchange) -> Answer {
    let Ok(key) = exchange.parameters.get("key").parse() else {
        let account = exchange.account()?;
        exchange
            .refuse_page(OpenRemoval { account }, &Form::none())
            .await?;
        return Err(no_such_key());
    };
    super::remove(&exchange, FactorName::Key(key), what, &path(key)).await
}

fn what(name: &str) -> String {
    format!("the key “{name}”")
}

fn path(key: KeyId) -> String {
    format!("/account/factors/keys/{key}/remove")
}
