//! API tokens: listed, created, shown once, revoked.

use askama::Template;
use axum::http::StatusCode;
use identity::{
    AccountView, ListTokens, ListedToken, NewTokenScope, OpenTokenForm, RevokeToken, TokenError,
};
use model::caveat::Reach;
use model::name::InvalidProjectName;
use model::{ProjectName, Timestamp, TokenId};

use crate::exchange::Exchange;
use crate::frame::answers::form_layout;
use crate::frame::fields::fields;
use crate::frame::form::{Errors, Form};
use crate::frame::layout::Layout;
use crate::frame::markup::time;
use crate::frame::page::pages;
use crate::problem::{Answer, Problem};

/// Projects suggested while a name is typed; any other can be typed as well.
const OFFERED_PROJECTS: usize = 500;
/// For how many days a token may be valid, and the words for it.
const LIFETIMES: &[(&str, &str)] = &[
    ("7", "in 7 days"),
    ("30", "in 30 days"),
    ("90", "in 90 days"),
    ("365", "in 1 year"),
    ("never", "Never, until you revoke it"),
];
const USUAL_LIFETIME: &str = "90";
const DAY_SECONDS: i64 = 24 * 3600;

/// A token as its owner sees it.
struct Line {
    id: String,
    description: String,
    scope: String,
    /// Markup.
    created: String,
    used: String,
    expires: String,
    has_expired: bool,
    second_factor: bool,
}

fields! {
    TokenFields {
        DESCRIPTION = "description": "Name";
        PROJECT = "project": "Project";
        EXPIRES = "expires": "Expires";
    }
}

#[derive(Template)]
#[template(path = "account/tokens.html")]
struct Tokens {
    layout: Layout,
    tokens: Vec<Line>,
}

#[derive(Template)]
#[template(path = "account/token_form.html")]
struct TokenForm {
    layout: Layout,
    errors: Errors,
    description: String,
    /// Whether it is for all projects of the account. That is another form, because which fields a
    /// browser requires cannot depend on the values of other fields.
    of_account: bool,
    project: String,
    /// Names of the person's own projects.
    offered: Vec<String>,
    lifetime: String,
    lifetimes: &'static [(&'static str, &'static str)],
}

#[derive(Template)]
#[template(path = "account/token_created.html")]
struct Created<'a> {
    layout: Layout,
    description: &'a str,
    /// The token itself.
    token: &'a str,
    scope: String,
    warnings: Vec<String>,
}

#[derive(Template)]
#[template(path = "account/token_revoke.html")]
struct Revoke {
    layout: Layout,
    id: String,
    description: String,
}

pages!(Tokens, TokenForm, Created<'_>, Revoke);

/// `GET /account/tokens/`
pub(crate) async fn list(exchange: Exchange) -> Answer {
    let account = exchange.account()?;
    let permit = exchange
        .decide_page(ListTokens { account }, &Form::none())
        .await?;
    let now = permit.at();
    let tokens = exchange
        .app
        .identity
        .tokens()
        .list(permit)
        .await
        .map_err(|error| exchange.unavailable(error))?;
    let tokens = tokens
        .into_iter()
        .rev()
        .map(|token| line(token, now))
        .collect();
    exchange.render(&Tokens {
        layout: exchange.layout("API tokens"),
        tokens,
    })
}

/// `GET /account/tokens/create`
pub(crate) async fn new(exchange: Exchange) -> Answer {
    let view = may_create(&exchange, &Form::none()).await?;
    let page = form_page(&exchange, view, &Form::none(), Errors::new()).await?;
    exchange.render(&page)
}

/// `POST /account/tokens/create`: the answer shows the token, and nothing shows it again.
pub(crate) async fn create(exchange: Exchange) -> Answer {
    let account = exchange.account()?;
    let form = exchange.form().await?;
    let now = exchange.attempt.at;
    let mut errors = Errors::new();
    let scope = scope(&form, &mut errors);
    let expires_at = match form.text(TokenFields::EXPIRES) {
        "never" => None,
        days if LIFETIMES.iter().any(|(known, _)| *known == days) => days
            .parse()
            .ok()
            .map(|days: i64| now.plus_ms(days * DAY_SECONDS * 1000)),
        _ => {
            errors.add(TokenFields::EXPIRES, "Choose when the token expires.");
            None
        }
    };
    let description = form.text(TokenFields::DESCRIPTION);
    let Some(scope) = scope.filter(|_| errors.is_empty()) else {
        let view = may_create(&exchange, &form).await?;
        return exchange.render_with(
            StatusCode::UNPROCESSABLE_ENTITY,
            &form_page(&exchange, view, &form, errors).await?,
        );
    };
    let target = match exchange
        .app
        .identity
        .tokens()
        .to_create(account, description, scope.clone(), expires_at, None)
        .await
    {
        Ok(target) => target,
        Err(error) => {
            let view = may_create(&exchange, &form).await?;
            return failed(&exchange, view, &form, error).await;
        }
    };
    let permit = exchange.decide_page(target, &form).await?;
    let view = AccountView::of(&permit);
    let warnings = permit
        .warnings()
        .iter()
        .map(|reason| format!("{} {}", reason.message, reason.remedy))
        .collect();
    let created = match exchange.app.identity.tokens().create(permit).await {
        Ok(created) => created,
        Err(error) => return failed(&exchange, view, &form, error).await,
    };
    let layout = exchange.layout("Your new API token").with_copying();
    exchange.render(&Created {
        layout,
        description: description.trim(),
        token: created.text.expose(),
        scope: scope_in_words(&scope),
        warnings,
    })
}

/// Decides whether the person may create tokens at all. A caller who may not, such as an API token,
/// learns nothing about the form and sees nothing of the account.
async fn may_create(exchange: &Exchange, form: &Form) -> Result<AccountView, Problem> {
    let account = exchange.account()?;
    let permit = exchange
        .decide_page(OpenTokenForm { account }, form)
        .await?;
    Ok(AccountView::of(&permit))
}

/// `GET /account/tokens/{token}/revoke`: asks for confirmation.
pub(crate) async fn ask(exchange: Exchange) -> Answer {
    let (account, token) = (exchange.account()?, token(&exchange)?);
    let permit = exchange
        .decide_page(RevokeToken { account, token }, &Form::none())
        .await?;
    let found = match exchange.app.identity.tokens().to_revoke(&permit).await {
        Ok(found) => found,
        Err(TokenError::UnknownToken) => return Err(no_such_token()),
        Err(error) => return Err(exchange.unavailable(error)),
    };
    exchange.render(&Revoke {
        layout: exchange.layout("Revoke a token"),
        id: token.to_string(),
        description: found.description,
    })
}

/// `POST /account/tokens/{token}/revoke`
pub(crate) async fn revoke(exchange: Exchange) -> Answer {
    let (account, token) = (exchange.account()?, token(&exchange)?);
    let form = exchange.form().await?;
    let permit = exchange
        .decide_page(RevokeToken { account, token }, &form)
        .await?;
    match exchange.app.identity.tokens().revoke(permit).await {
        Ok(()) => exchange.see_other("/account/tokens/?notice=token-revoked"),
        Err(TokenError::UnknownToken) => Err(no_such_token()),
        Err(error) => Err(exchange.unavailable(error)),
    }
}

fn token(exchange: &Exchange) -> Result<TokenId, Problem> {
    exchange
        .parameters
        .get("token")
        .parse()
        .map_err(|_| no_such_token())
}

fn no_such_token() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "not-found",
        "You have no such API token. It may have been revoked already.",
    )
}

/// What the form says the token is for.
fn scope(form: &Form, errors: &mut Errors) -> Option<NewTokenScope> {
    match form.text("scope") {
        "account" => Some(NewTokenScope::Account),
        "project" => match ProjectName::parse(form.text(TokenFields::PROJECT).trim()) {
            Ok(name) => Some(NewTokenScope::Projects(vec![name])),
            Err(_) if form.text(TokenFields::PROJECT).trim().is_empty() => {
                errors.add(TokenFields::PROJECT, "Type the name of the project.");
                None
            }
            Err(InvalidProjectName::Length) => {
                errors.add(
                    "project",
                    format!(
                        "A project name has 1 to {} characters.",
                        ProjectName::MAX_LENGTH
                    ),
                );
                None
            }
            Err(InvalidProjectName::Characters) => {
                errors.add(
                    "project",
                    "A project name has letters from a to z, digits, full stops, underscores and hyphens. It starts and ends with a letter or a digit.",
                );
                None
            }
        },
        _ => {
            errors.add(
                "",
                "Choose whether the token is for one project or for all your projects.",
            );
            None
        }
    }
}

fn scope_in_words(scope: &NewTokenScope) -> String {
    match scope {
        NewTokenScope::Account => "all projects of your account".to_owned(),
        NewTokenScope::Projects(names) => names
            .iter()
            .map(ProjectName::as_written)
            .collect::<Vec<_>>()
            .join(", "),
    }
}

async fn form_page(
    exchange: &Exchange,
    view: AccountView,
    form: &Form,
    errors: Errors,
) -> Result<TokenForm, Problem> {
    let projects = exchange
        .app
        .identity
        .tokens()
        .projects_of(view)
        .await
        .map_err(|error| exchange.unavailable(error))?;
    let offered: Vec<String> = projects
        .iter()
        .take(OFFERED_PROJECTS)
        .map(|(project, _)| project.name.as_written().to_owned())
        .collect();
    // Somebody with one project usually means that one.
    let usual = if let [only] = offered.as_slice() {
        only.clone()
    } else {
        String::new()
    };
    let or = |text: &str, usual: &str| {
        if text.is_empty() {
            usual.to_owned()
        } else {
            text.to_owned()
        }
    };
    let scope = if form.text("scope").is_empty() {
        exchange.query("scope")
    } else {
        form.text("scope").to_owned()
    };
    Ok(TokenForm {
        layout: form_layout(exchange, "New API token", &errors),
        project: if errors.is_empty() {
            or(form.text(TokenFields::PROJECT), &usual)
        } else {
            form.text(TokenFields::PROJECT).to_owned()
        },
        errors,
        description: form.text(TokenFields::DESCRIPTION).to_owned(),
        of_account: scope == "account",
        offered,
        lifetime: or(form.text(TokenFields::EXPIRES), USUAL_LIFETIME),
        lifetimes: LIFETIMES,
    })
}

async fn failed(exchange: &Exchange, view: AccountView, form: &Form, error: TokenError) -> Answer {
    let (field, message) = match error {
        TokenError::InvalidDescription => (
            "description",
            "Write a name of 1 to 100 characters, without control or invisible characters.",
        ),
        TokenError::DescriptionTaken => (
            "description",
            "You have a token with this name already. Choose another name.",
        ),
        TokenError::TooMany => (
            "description",
            "You have 100 tokens, which is the limit. Revoke tokens you no longer use, then create this one.",
        ),
        TokenError::InvalidScope => ("project", "The name is too long for a token."),
        error => return Err(exchange.unavailable(error)),
    };
    exchange.render_with(
        StatusCode::UNPROCESSABLE_ENTITY,
        &form_page(exchange, view, form, Errors::of_field(field, message)).await?,
    )
}

/// A token in words: the effect of its caveats.
fn line(token: ListedToken, now: Timestamp) -> Line {
    let (scope, end) = match Reach::read(&token.caveats) {
        Ok(reach) => (
            match (reach.names, reach.projects) {
                (Some(names), _) => names.join(", "),
                (None, Some(_)) => "some projects, by their ids".to_owned(),
                (None, None) => "all projects of your account".to_owned(),
            },
            reach.expires_at,
        ),
        // It works nowhere, see `core_rules`.
        Err(_) => (
            "nothing: it has a restriction that is not understood".to_owned(),
            None,
        ),
    };
    let end = end.map(Timestamp::from_seconds);
    Line {
        id: token.id.to_string(),
        description: token.description,
        scope,
        created: time(token.created_at),
        used: token.last_used_at.map_or_else(|| "never".to_owned(), time),
        expires: end.map_or_else(|| "never".to_owned(), time),
        has_expired: end.is_some_and(|end| end <= now),
        second_factor: token.made_with_second_factor,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(caveats: &[&str]) -> Line {
        let token = ListedToken {
            id: TokenId::new(),
            description: "ci".to_owned(),
            caveats: caveats.iter().map(|caveat| (*caveat).to_owned()).collect(),
            created_at: Timestamp::from_seconds(0),
            last_used_at: None,
            made_with_second_factor: true,
        };
        line(token, Timestamp::from_seconds(1000))
    }

    #[test]
    fn a_token_is_described_by_its_caveats() {
        let account = listed(&[r#"[3, "0195"]"#]);
        assert_eq!(
            (
                account.scope.as_str(),
                account.expires.as_str(),
                account.has_expired
            ),
            ("all projects of your account", "never", false)
        );
        let project = listed(&["[0, 1001, 0]", r#"[1, ["demo"]]"#, r#"[2, ["id"]]"#]);
        assert_eq!(
            (project.scope.as_str(), project.has_expired),
            ("demo", false)
        );
        assert!(
            project.expires.contains("1970-01-01 00:16"),
            "{}",
            project.expires
        );
        assert!(listed(&["[0, 1000, 0]", "[0, 2000, 0]"]).has_expired);
        assert!(listed(&["[99]"]).scope.starts_with("nothing"));
    }
}
