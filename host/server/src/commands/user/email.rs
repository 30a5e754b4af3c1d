//! `portcullis user email`.

use clap::Subcommand;
use identity::{Account, AddEmail, PromoteEmail, RemoveEmail, VerifyEmail};
use model::UserName;
use serde_json::json;

use super::user_name;
use crate::answer::{Answer, columns, moment, moment_or, printable};
use crate::command_line::{CommandLine, quoted};

#[derive(Debug, Subcommand)]
pub(crate) enum EmailCommand {
    /// Add an address; a user's first one becomes the primary one.
    #[command(
        after_help = "Examples:\n  portcullis user email add alice alice@example.org\n  portcullis user email verify alice alice@example.org"
    )]
    Add(AddressArguments),
    /// Mark an address as verified, once you know that it belongs to the user.
    Verify(AddressArguments),
    /// Make a verified address the primary one, which policies check.
    Promote(AddressArguments),
    /// Remove an address that is not the primary one.
    Remove(AddressArguments),
    /// List a user's addresses.
    List {
        /// The user.
        #[arg(value_parser = user_name)]
        user: UserName,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct AddressArguments {
    /// The user.
    #[arg(value_parser = user_name)]
    user: UserName,
    /// The email address.
    address: String,
}

pub(crate) async fn run(command: EmailCommand, line: &CommandLine) -> anyhow::Result<Answer> {
    match command {
        EmailCommand::Add(AddressArguments { user, address }) => {
            let user = line.user(&user).await?;
            line.identity
                .emails()
                .add(
                    line.permit(AddEmail {
                        account: Account::at_the_server(user.id),
                        address: address.clone(),
                    })
                    .await?,
                )
                .await?;
            let remark = format!(
                "It is not verified; once you know that it is the user's: {} user email verify {} {}",
                line.program(),
                user.name,
                quoted(&address)
            );
            Ok(changed(&user.name, &address, "is added to", true).with_remarks(remark))
        }
        EmailCommand::Verify(AddressArguments { user, address }) => {
            let user = line.user(&user).await?;
            let is_new = line
                .identity
                .emails()
                .verify(
                    line.permit(VerifyEmail {
                        account: Account::at_the_server(user.id),
                        address: address.clone(),
                    })
                    .await?,
                )
                .await?;
            Ok(changed(
                &user.name,
                &address,
                if is_new {
                    "is verified for"
                } else {
                    "was verified before for"
                },
                is_new,
            ))
        }
        EmailCommand::Promote(AddressArguments { user, address }) => {
            let user = line.user(&user).await?;
            let is_new = line
                .identity
                .emails()
                .promote(
                    line.permit(PromoteEmail {
                        account: Account::at_the_server(user.id),
                        address: address.clone(),
                    })
                    .await?,
                )
                .await?;
            Ok(changed(
                &user.name,
                &address,
                if is_new {
                    "is the primary address of"
                } else {
                    "was before the primary address of"
                },
                is_new,
            ))
        }
        EmailCommand::Remove(AddressArguments { user, address }) => {
            let user = line.user(&user).await?;
            line.identity
                .emails()
                .remove(
                    line.permit(RemoveEmail {
                        account: Account::at_the_server(user.id),
                        address: address.clone(),
                    })
                    .await?,
                )
                .await?;
            Ok(changed(&user.name, &address, "is removed from", true))
        }
        EmailCommand::List { user } => {
            let user = line.user(&user).await?;
            let emails = line.storage.emails(user.id).await?;
            if emails.is_empty() {
                return Ok(Answer::new(
                    format!(
                        "{0} has no email address; `portcullis user email add {0} <address>` adds one",
                        user.name
                    ),
                    json!([]),
                ));
            }
            let mut rows = vec![
                ["address", "primary", "added", "verified"]
                    .map(str::to_owned)
                    .to_vec(),
            ];
            rows.extend(emails.iter().map(|email| {
                let primary = if email.primary { "primary" } else { "" };
                vec![
                    printable(&email.address),
                    primary.to_owned(),
                    moment(email.added_at),
                    moment_or(email.verified_at, "no"),
                ]
            }));
            let json = emails.iter().map(|email| {
                json!({
                    "address": email.address, "primary": email.primary, "added": email.added_at.to_string(), "verified": email.verified_at.map(|at| at.to_string()),
                })
            });
            Ok(Answer::new(columns(&rows), json.collect()))
        }
    }
}

fn changed(user: &UserName, address: &str, what: &str, changed: bool) -> Answer {
    Answer::new(
        format!("{} {what} {user}", printable(address)),
        json!({ "user": user.as_written(), "address": address, "changed": changed }),
    )
}
