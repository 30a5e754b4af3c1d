//! `portcullis token`.

use std::time::Duration;

use clap::Subcommand;
use identity::{ListTokens, NewTokenScope, RevokeToken};
use model::{ProjectName, Timestamp, TokenId, UserName};
use serde_json::json;

use super::user_name;
use crate::answer::{Answer, columns, moment, moment_or, printable};
use crate::command_line::CommandLine;
use crate::configuration::parse_span;

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Create an API token and print it. It is shown this one time only.
    #[command(
        after_help = "Examples:\n  portcullis token create alice --description laptop --account\n  portcullis token create alice --description ci --project my-project --expires 90d\n  TWINE_USERNAME=__token__ TWINE_PASSWORD=$(portcullis token create alice --description once --project p --expires 1h) twine upload dist/*"
    )]
    Create {
        /// Whom the token stands for.
        #[arg(value_parser = user_name)]
        user: UserName,
        /// What it is for, so that it can be told from others.
        #[arg(long, value_name = "text")]
        description: String,
        /// It may be used for all projects of the user, future ones included.
        #[arg(long, required_unless_present = "projects", conflicts_with = "projects")]
        account: bool,
        /// It may be used for this project only; may be given several times.
        #[arg(long = "project", value_name = "project", value_parser = project_name)]
        projects: Vec<ProjectName>,
        /// It expires after this time, for example 90d or 12h.
        #[arg(long, value_name = "time", value_parser = parse_span)]
        expires: Option<Duration>,
        /// A code of the user's one-time password app: the token then counts as made with a second factor.
        #[arg(long, value_name = "code")]
        second_factor_code: Option<String>,
    },
    /// List a user's tokens. Not the tokens themselves: they are not stored.
    List {
        /// The user.
        #[arg(value_parser = user_name)]
        user: UserName,
    },
    /// Revoke a token for good.
    Revoke {
        /// The user.
        #[arg(value_parser = user_name)]
        user: UserName,
        /// The token's id, as `token list` shows it.
        id: TokenId,
    },
}

fn project_name(text: &str) -> Result<ProjectName, String> {
    ProjectName::parse(text).map_err(|error| error.to_string())
}

pub(crate) async fn run(command: TokenCommand, line: &CommandLine) -> anyhow::Result<Answer> {
    match command {
        TokenCommand::Create { user, description, account: _, projects, expires, second_factor_code } => {
            let scope = if projects.is_empty() { NewTokenScope::Account } else { NewTokenScope::Projects(projects.clone()) };
            let expires_at = expires.map(|span| expiry(line.now(), span));
            let user = line.user(&user).await?.name;
            let proof = match &second_factor_code {
                Some(code) => Some(line.identity.prove_second_factor(&user, code).await?),
                None => None,
            };
            let target = line.identity.token_to_create(&user, &description, scope, expires_at, proof).await?;
            let created = line.identity.create_token(line.permit(target).await?).await?;
            let names: Vec<&str> = projects.iter().map(ProjectName::normalized).collect();
            let remarks = format!(
                "Token {} of {user}, for {}, {}. It is shown this one time only.\nUse it as the password of the user __token__: TWINE_USERNAME=__token__ TWINE_PASSWORD=<token>",
                created.id,
                if names.is_empty() { "all projects of the account".to_owned() } else { names.join(", ") },
                expires_at.map_or_else(|| "without expiry".to_owned(), |at| format!("until {}", moment(at))),
            );
            let json = json!({
                "id": created.id.to_string(), "token": created.text.expose(), "user": user.as_written(), "description": description,
                "projects": if names.is_empty() { None } else { Some(names) }, "expires": expires_at.map(|at| at.to_string()),
            });
            Ok(Answer::new(created.text.expose().as_str(), json).with_remarks(remarks))
        }
        TokenCommand::List { user } => {
            let user = line.user(&user).await?;
            let tokens = line.identity.list_tokens(line.permit(ListTokens { user: user.id }).await?).await?;
            let mut rows = vec![["id", "description", "created", "last used", "second factor", "restrictions"].map(str::to_owned).to_vec()];
            rows.extend(tokens.iter().map(|token| {
                vec![
                    token.id.to_string(),
                    printable(&token.description),
                    moment(token.created_at),
                    moment_or(token.last_used_at, "never"),
                    if token.made_with_second_factor { "yes" } else { "no" }.to_owned(),
                    printable(&token.caveats.join(" ")),
                ]
            }));
            let json = tokens.iter().map(|token| {
                json!({
                    "id": token.id.to_string(), "description": token.description, "created": token.created_at.to_string(),
                    "last-used": token.last_used_at.map(|at| at.to_string()), "made-with-second-factor": token.made_with_second_factor, "caveats": token.caveats,
                })
            });
            Ok(Answer::new(columns(&rows), json.collect()))
        }
        TokenCommand::Revoke { user, id } => {
            let user = line.user(&user).await?;
            line.identity.revoke_token(line.permit(RevokeToken { user: user.id, token: id }).await?).await?;
            Ok(Answer::new(format!("token {id} of {} is revoked", user.name), json!({ "id": id.to_string(), "user": user.name.as_written() })))
        }
    }
}

fn expiry(now: Timestamp, span: Duration) -> Timestamp {
    now.plus_ms(i64::try_from(span.as_millis()).unwrap_or(i64::MAX))
}
