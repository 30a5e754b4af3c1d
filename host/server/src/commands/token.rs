//! `portcullis token`.

use std::time::Duration;

use clap::Subcommand;
use identity::{Account, ListTokens, NewTokenScope, RevokeToken};
use model::caveat::Reach;
use model::{ProjectId, ProjectName, Timestamp, TokenId, UserName};
use serde_json::json;

use super::{token_id, user_name};
use crate::answer::{Answer, columns, moment, moment_or, printable};
use crate::command_line::CommandLine;
use crate::configuration::parse_span;

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Create an API token and print it. It is shown only this once.
    #[command(
        after_help = "Examples:\n  portcullis token create alice --description laptop --account\n  portcullis token create alice --description ci --project my-project --expires 90d\n  TWINE_USERNAME=__token__ TWINE_PASSWORD=$(portcullis token create alice --description once --project p --expires 1h) twine upload dist/*"
    )]
    Create {
        /// The user that the token belongs to.
        #[arg(value_parser = user_name)]
        user: UserName,
        /// A description, to distinguish the token from others.
        #[arg(long, value_name = "text")]
        description: String,
        /// Valid for all projects of the user, including future ones.
        #[arg(
            long,
            required_unless_present = "projects",
            conflicts_with = "projects"
        )]
        account: bool,
        /// Valid for this project only; may be given several times.
        #[arg(long = "project", value_name = "project", value_parser = project_name)]
        projects: Vec<ProjectName>,
        /// It expires after this time, for example 90d or 12h.
        #[arg(long, value_name = "time", value_parser = parse_span)]
        expires: Option<Duration>,
        /// A code of the user's one-time password app, to create the token with a second factor.
        #[arg(long, value_name = "code")]
        second_factor_code: Option<String>,
    },
    /// List a user's tokens, but not their secrets, which are not stored.
    List {
        /// The user.
        #[arg(value_parser = user_name)]
        user: UserName,
    },
    /// Revoke a token permanently.
    Revoke {
        /// The user.
        #[arg(value_parser = user_name)]
        user: UserName,
        /// The token's id, as `token list` shows it.
        #[arg(value_parser = token_id)]
        id: TokenId,
    },
}

fn project_name(text: &str) -> Result<ProjectName, String> {
    ProjectName::parse(text).map_err(|error| error.to_string())
}

pub(crate) async fn run(command: TokenCommand, line: &CommandLine) -> anyhow::Result<Answer> {
    match command {
        TokenCommand::Create {
            user,
            description,
            account: _,
            projects,
            expires,
            second_factor_code,
        } => {
            let scope = if projects.is_empty() {
                NewTokenScope::Account
            } else {
                NewTokenScope::Projects(projects.clone())
            };
            let expires_at = expires.map(|span| expiry(line.now(), span));
            let user = line.user(&user).await?;
            let account = Account::at_the_server(user.id);
            let user = user.name;
            let proof = match &second_factor_code {
                Some(code) => Some(
                    line.identity
                        .tokens()
                        .prove_second_factor(&user, code)
                        .await?,
                ),
                None => None,
            };
            let target = line
                .identity
                .tokens()
                .to_create(account, &description, scope, expires_at, proof)
                .await?;
            let created = line
                .identity
                .tokens()
                .create(line.permit(target).await?)
                .await?;
            let names: Vec<&str> = projects.iter().map(ProjectName::normalized).collect();
            let mut missing = String::new();
            for name in &names {
                if line.storage.project(name).await?.is_none() {
                    missing.push_str(&format!("There is no project {name} yet: this token may make it, if that is what you want and no slip.\n"));
                }
            }
            let remarks = format!(
                "{missing}Token {} of {user}, for {}, {}. It is shown this one time only.\nUse it as the password of the user __token__: TWINE_USERNAME=__token__ TWINE_PASSWORD=<token>",
                created.id,
                if names.is_empty() {
                    "all projects of the account".to_owned()
                } else {
                    names.join(", ")
                },
                expires_at.map_or_else(
                    || "without expiry".to_owned(),
                    |at| format!("until {}", moment(at))
                ),
            );
            let json = json!({
                "id": created.id.to_string(), "token": created.text.expose(), "user": user.as_written(), "description": description,
                "projects": if names.is_empty() { None } else { Some(names) }, "expires": expires_at.map(|at| at.to_string()),
            });
            Ok(Answer::new(created.text.expose().as_str(), json).with_remarks(remarks))
        }
        TokenCommand::List { user } => {
            let user = line.user(&user).await?;
            let tokens = line
                .identity
                .tokens()
                .list(
                    line.permit(ListTokens {
                        account: Account::at_the_server(user.id),
                    })
                    .await?,
                )
                .await?;
            if tokens.is_empty() {
                let text = format!(
                    "{0} has no token; `portcullis token create {0} --description laptop --account` makes one",
                    user.name
                );
                return Ok(Answer::new(text, json!([])));
            }
            let mut restrictions = Vec::with_capacity(tokens.len());
            for token in &tokens {
                restrictions.push(in_words(line, &token.caveats).await?);
            }
            let mut rows = vec![
                [
                    "id",
                    "description",
                    "created",
                    "last used",
                    "second factor",
                    "restrictions",
                ]
                .map(str::to_owned)
                .to_vec(),
            ];
            rows.extend(
                tokens
                    .iter()
                    .zip(&restrictions)
                    .map(|(token, restrictions)| {
                        vec![
                            token.id.to_string(),
                            printable(&token.description),
                            moment(token.created_at),
                            moment_or(token.last_used_at, "never"),
                            if token.made_with_second_factor {
                                "yes"
                            } else {
                                "no"
                            }
                            .to_owned(),
                            printable(restrictions),
                        ]
                    }),
            );
            let json = tokens.iter().zip(&restrictions).map(|(token, restrictions)| {
                json!({
                    "id": token.id.to_string(), "description": token.description, "created": token.created_at.to_string(),
                    "last-used": token.last_used_at.map(|at| at.to_string()), "made-with-second-factor": token.made_with_second_factor,
                    "expires": expires_of(&token.caveats).map(|at| at.to_string()), "caveats": token.caveats, "restrictions": restrictions,
                })
            });
            Ok(Answer::new(columns(&rows), json.collect()))
        }
        TokenCommand::Revoke { user, id } => {
            let user = line.user(&user).await?;
            line.identity
                .tokens()
                .revoke(
                    line.permit(RevokeToken {
                        account: Account::at_the_server(user.id),
                        token: id,
                    })
                    .await?,
                )
                .await?;
            Ok(Answer::new(
                format!("token {id} of {} is revoked", user.name),
                json!({ "id": id.to_string(), "user": user.name.as_written() }),
            ))
        }
    }
}

/// What a token may be used for.
async fn in_words(line: &CommandLine, caveats: &[String]) -> anyhow::Result<String> {
    let reach = match Reach::read(caveats) {
        Ok(reach) => reach,
        Err(text) => return Ok(format!("never valid, because of {text}")),
    };
    let mut parts = Vec::new();
    if reach.names.is_none() && reach.ids.is_none() {
        parts.push("all projects of the account".to_owned());
    }
    parts.extend(
        reach
            .expires_at
            .map(|at| format!("until {}", moment(Timestamp(at.saturating_mul(1000))))),
    );
    parts.extend(reach.names.as_deref().map(only_projects));
    if let Some(ids) = reach.ids {
        let mut names = Vec::with_capacity(ids.len());
        for id in ids {
            let project = match id.parse::<ProjectId>() {
                Ok(id) => line.storage.project_by_id(id).await?,
                Err(_) => None,
            };
            names.push(project.map_or_else(
                || format!("{id} (gone)"),
                |project| project.name.to_string(),
            ));
        }
        parts.push(only_projects(&names));
    }
    for publisher in reach.publishers {
        parts.push(format!("only for the trusted publisher {publisher}"));
    }
    Ok(parts.join(", "))
}

/// When a token expires, by its stored caveats: the earliest time applies.
fn expires_of(caveats: &[String]) -> Option<Timestamp> {
    let reach = Reach::read(caveats).ok()?;
    reach
        .expires_at
        .map(|at| Timestamp(at.saturating_mul(1000)))
}

fn only_projects(names: &[String]) -> String {
    if names.is_empty() {
        "no project".to_owned()
    } else {
        format!("only {}", names.join(", "))
    }
}

fn expiry(now: Timestamp, span: Duration) -> Timestamp {
    now.plus_ms(i64::try_from(span.as_millis()).unwrap_or(i64::MAX))
}
