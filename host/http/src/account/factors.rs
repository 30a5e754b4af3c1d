//! Second factors: the page with all of them, and how one is removed.

pub(crate) mod keys;
pub(crate) mod recovery_codes;
pub(crate) mod totp;

use askama::Template;
use axum::http::StatusCode;
use gate::demands::{Demand, DemandedBy};
use identity::AccountView;
use identity::factors::{
    FactorError, FactorName, KeyKind, OpenRemoval, RecoveryOverview, RemoveFactor,
};
use model::KeyId;

use crate::exchange::Exchange;
use crate::frame::answers;
use crate::frame::answers::form_layout;
use crate::frame::fields::fields;
use crate::frame::form::Errors;
use crate::frame::layout::Layout;
use crate::frame::markup::time;
use crate::frame::page::pages;
use crate::problem::{Answer, Problem};
use crate::words;

fields! {
    KeyFields {
        KIND = "kind": "What is it?";
        NAME = "name": "Name";
    }
}

#[derive(Template)]
#[template(path = "account/factors.html")]
struct FactorsPage<'a> {
    layout: Layout,
    errors: Errors,
    email_verified: bool,
    recovery: RecoveryOverview,
    /// Since when an app is set up.
    totp: Option<String>,
    keys: Vec<Key>,
    keys_unavailable: Option<&'static str>,
    /// Whether factors can be added.
    is_open: bool,
    /// What was entered into the form for a new key.
    kind: &'a str,
    kinds: &'a [(&'a str, &'a str)],
    key_name: &'a str,
    /// Whether the form comes back from a step-up, and must be sent again.
    proven: bool,
}

/// The kinds a key can be added as.
const KINDS: &[(&str, &str)] = &[
    (
        "security-key",
        "A security key: used together with your password, for example a USB key",
    ),
    (
        "passkey",
        "A passkey: logs you in without a password, for example with the fingerprint reader of your phone",
    ),
];

struct Key {
    id: KeyId,
    name: String,
    kind: &'static str,
    added: String,
    used: String,
}

#[derive(Template)]
#[template(path = "account/remove_factor.html")]
struct RemovePage<'a> {
    layout: Layout,
    what: &'a str,
    action: &'a str,
    is_last: bool,
    demands: Vec<DemandLine>,
    /// Whether a project demands it; its owners can change that.
    of_projects: bool,
}

/// What demands a factor: a project, or none for the registry itself.
struct DemandLine {
    project: Option<String>,
    policy: String,
}

pages!(FactorsPage<'_>, RemovePage<'_>);

/// `GET /account/factors/`
pub(crate) async fn page(exchange: Exchange) -> Answer {
    let view = exchange.read_account().await?;
    show(&exchange, view, Errors::new(), "", "").await
}

async fn show(
    exchange: &Exchange,
    view: AccountView,
    errors: Errors,
    kind: &str,
    name: &str,
) -> Answer {
    let layout = form_layout(exchange, "Second factors", &errors).with_keys();
    show_in(exchange, view, layout, errors, kind, name, false).await
}

/// The page after a step-up, with the key still to add.
async fn show_proven(exchange: &Exchange, view: AccountView, kind: &str, name: &str) -> Answer {
    let layout = exchange.layout("Second factors").with_keys();
    show_in(exchange, view, layout, Errors::new(), kind, name, true).await
}

async fn show_in(
    exchange: &Exchange,
    view: AccountView,
    layout: Layout,
    errors: Errors,
    kind: &str,
    name: &str,
    proven: bool,
) -> Answer {
    let identity = &exchange.app.identity;
    let overview = identity
        .factors()
        .of(view)
        .await
        .map_err(|error| exchange.unavailable(error))?;
    let key = |key: identity::factors::ListedKey| Key {
        id: key.id,
        name: key.name,
        kind: match key.kind {
            KeyKind::SecurityKey => "Security key",
            KeyKind::Passkey => "Passkey",
        },
        added: time(key.added_at),
        used: key.last_used_at.map_or_else(|| "Never".to_owned(), time),
    };
    let page = FactorsPage {
        layout,
        errors,
        email_verified: overview.email_verified,
        is_open: overview.email_verified && overview.recovery.confirmed_at.is_some(),
        recovery: overview.recovery,
        totp: overview.totp.map(time),
        keys: overview.keys.into_iter().map(key).collect(),
        keys_unavailable: identity.factors().webauthn_unavailable(),
        kind: if kind.is_empty() {
            "security-key"
        } else {
            kind
        },
        kinds: KINDS,
        key_name: name,
        proven,
    };
    exchange.render(&page)
}

/// The page with all factors again, with what went wrong.
async fn again(
    exchange: &Exchange,
    view: AccountView,
    error: FactorError,
    field: &'static str,
    kind: &str,
    name: &str,
) -> Answer {
    let (status, text) = told(exchange, error)?;
    status.of(show(exchange, view, Errors::of_field(field, text), kind, name).await)
}

/// The status of an error.
#[derive(Clone, Copy, Debug)]
enum Status {
    Code(StatusCode),
    Limited { retry_after_seconds: u64 },
}

impl Status {
    /// A page with this status.
    fn of(self, page: Answer) -> Answer {
        match self {
            Self::Code(code) => answers::with_status(code, page),
            Self::Limited {
                retry_after_seconds,
            } => answers::limited(retry_after_seconds, page),
        }
    }

    /// An answer that has no page.
    fn problem(self, code: &str, text: &str) -> Problem {
        match self {
            Self::Code(status) => Problem::new(status, code, text),
            Self::Limited {
                retry_after_seconds,
            } => Problem::new(StatusCode::TOO_MANY_REQUESTS, code, text)
                .retry_after(retry_after_seconds.max(1)),
        }
    }
}

/// Status and sentence of an error.
fn told(exchange: &Exchange, error: FactorError) -> Result<(Status, String), Problem> {
    let text = words::sentence(&error.to_string());
    let status = match error {
        FactorError::Storage(error) => return Err(exchange.unavailable(error)),
        FactorError::Limited {
            retry_after_seconds,
        } => {
            return Ok((
                Status::Limited {
                    retry_after_seconds,
                },
                answers::tried_too_often(retry_after_seconds),
            ));
        }
        FactorError::UnknownKey | FactorError::UnknownUser => {
            return Err(Problem::new(StatusCode::NOT_FOUND, "not-found", text));
        }
        FactorError::WrongCode
        | FactorError::InvalidKeyName
        | FactorError::KeyNotAccepted
        | FactorError::UnknownCeremony => Status::Code(StatusCode::UNPROCESSABLE_ENTITY),
        _ => Status::Code(StatusCode::CONFLICT),
    };
    Ok((status, text))
}

/// The page that says what would be lost without a factor, or that it must stay.
async fn removal(exchange: &Exchange, which: FactorName, what: &str, action: &str) -> Answer {
    let target = to_remove(exchange, which).await?;
    show_removal(exchange, target.is_last(), target.demands(), what, action)
}

fn show_removal(
    exchange: &Exchange,
    is_last: bool,
    demands: &[Demand],
    what: &str,
    action: &str,
) -> Answer {
    let layout = exchange.layout(&format!("Remove {what}"));
    let of_projects = demands
        .iter()
        .any(|demand| matches!(demand.by, DemandedBy::Project { .. }));
    let demands = demands.iter().map(demand).collect();
    exchange.render(&RemovePage {
        layout,
        what,
        action,
        is_last,
        demands,
        of_projects,
    })
}

async fn to_remove(exchange: &Exchange, which: FactorName) -> Result<RemoveFactor, Problem> {
    match exchange
        .app
        .identity
        .factors()
        .to_remove(exchange.context(), &exchange.caller, which)
        .await
    {
        Ok(target) => Ok(target),
        Err(error) => {
            let (status, text) = told(exchange, error)?;
            Err(status.problem("no-such-factor", &text))
        }
    }
}

fn demand(demand: &Demand) -> DemandLine {
    match &demand.by {
        DemandedBy::Policy(policy) => DemandLine {
            project: None,
            policy: policy.clone(),
        },
        DemandedBy::Project { name, policy } => DemandLine {
            project: Some(name.clone()),
            policy: policy.clone(),
        },
    }
}

/// Removes a factor, or says why it stays.
async fn remove(
    exchange: &Exchange,
    which: FactorName,
    what: impl FnOnce(&str) -> String,
    action: &str,
) -> Answer {
    let account = exchange.account()?;
    let form = exchange.form().await?;
    let target = match to_remove(exchange, which).await {
        Ok(target) => target,
        // A caller who may not remove factors does not learn which there are.
        Err(problem) => {
            exchange.refuse_page(OpenRemoval { account }, &form).await?;
            return Err(problem);
        }
    };
    let what = what(target.name());
    let permit = exchange.decide_page(target, &form).await?;
    let view = AccountView::of(&permit);
    match exchange.app.identity.factors().remove(permit).await {
        Ok(session) => super::renewed(exchange, session, "/account/factors/?notice=factor-removed"),
        Err(FactorError::Demanded(demands)) => answers::with_status(
            StatusCode::CONFLICT,
            show_removal(exchange, true, &demands, &what, action),
        ),
        Err(error) => again(exchange, view, error, "", "", "").await,
    }
}
