//! `portcullis user keys`.

use anyhow::ensure;
use clap::Subcommand;
use identity::Account;
use model::UserName;
use serde_json::json;

use super::user_name;
use crate::answer::{Answer, columns, moment, moment_or, printable};
use crate::command_line::{CommandLine, quoted};

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// List a user's security keys and passkeys.
    List {
        /// The user.
        #[arg(value_parser = user_name)]
        name: UserName,
    },
    /// Remove a security key or passkey, for example because it was lost.
    ///
    /// Without a name, all keys are removed. The user gets a mail.
    #[command(
        after_help = "Examples:\n  portcullis user keys remove alice 'blue key'\n  portcullis user keys remove alice     all of them"
    )]
    Remove {
        /// The user.
        #[arg(value_parser = user_name)]
        name: UserName,
        /// The key, by its name or id as shown by `user keys list`.
        key: Option<String>,
    },
}

pub(crate) async fn run(command: KeysCommand, line: &CommandLine) -> anyhow::Result<Answer> {
    match command {
        KeysCommand::List { name } => list(line, &name).await,
        KeysCommand::Remove { name, key } => remove(line, &name, key.as_deref()).await,
    }
}

async fn list(line: &CommandLine, name: &UserName) -> anyhow::Result<Answer> {
    let user = line.user(name).await?;
    let keys = line.storage.keys_of(user.id).await?;
    if keys.is_empty() {
        return Ok(Answer::new(
            format!("{} has no security key and no passkey", user.name),
            json!([]),
        ));
    }
    let mut rows = vec![
        ["name", "kind", "enrolled", "last used", "id"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(keys.iter().map(|key| {
        vec![
            printable(&key.name),
            key.kind.as_str().to_owned(),
            moment(key.added_at),
            moment_or(key.last_used_at, "never"),
            key.id.to_string(),
        ]
    }));
    let values = keys.iter().map(|key| {
        json!({
            "id": key.id.to_string(), "name": key.name, "kind": key.kind.as_str(), "enrolled": key.added_at.to_string(),
            "last-used": key.last_used_at.map(|at| at.to_string()),
        })
    });
    Ok(Answer::new(columns(&rows), values.collect()))
}

async fn remove(line: &CommandLine, name: &UserName, key: Option<&str>) -> anyhow::Result<Answer> {
    let user = line.user(name).await?;
    let mut keys = line.storage.keys_of(user.id).await?;
    if let Some(wanted) = key {
        keys.retain(|row| row.name == wanted || row.id.to_string() == wanted);
    }
    ensure!(
        !keys.is_empty(),
        "{} has no such key; `{} user keys list {}` shows them all",
        user.name,
        line.program(),
        user.name
    );
    for row in &keys {
        let target = line
            .identity
            .factors()
            .key_to_remove(Account::at_the_server(user.id), row.id)
            .await?;
        line.identity
            .factors()
            .remove(line.permit(target).await?)
            .await?;
    }
    let removed: Vec<String> = keys.iter().map(|row| quoted(&row.name)).collect();
    let json = json!({ "user": user.name.as_written(), "removed": keys.iter().map(|row| row.name.as_str()).collect::<Vec<&str>>() });
    let mut remarks = String::new();
    if line.storage.keys_of(user.id).await?.is_empty() && user.totp_secret.is_none() {
        remarks.push_str("No second factor is left: the password alone logs in now. If it may be known to others, `user recover` is the safe way.\n");
    }
    Ok(Answer::new(
        format!("{} no longer has the key {}", user.name, removed.join(", ")),
        json,
    )
    .with_remarks(remarks))
}
