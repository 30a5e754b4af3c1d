//! `portcullis release`.

mod remote;

use clap::{Args, Subcommand};
use model::{UserName, Version};
use reqwest::Url;
use serde_json::{Value, json};
use storage::releases::{StagedBy, StagedRelease};

use super::removal::{self, ReleaseAndReason, ReleaseToDelete};
use super::user_name;
use crate::answer::{Answer, columns, moment, printable};
use crate::command_line::CommandLine;
use crate::configuration::Configuration;
use remote::Verb;

const PERSON_HELP: &str = "\
The running registry is asked what is staged; each file is shown with its SHA-256 and who staged it, and
nothing is done before you said yes. Where nobody can be asked (no terminal, --yes), every file must be
named with --file, and nothing is done if anything else is staged.

Password and one-time code are asked for on the terminal, or read from the environment variables
PORTCULLIS_PASSWORD and PORTCULLIS_TOTP. They are sent to --url, to public-url of the configuration, or to
the address that the server of the data folder noted, and over http:// to this machine only.

The first time, the registry does not know this command line and mails you a link. Open it, and run the same
command again. What it is known by is kept in $XDG_CONFIG_HOME/portcullis (or ~/.config/portcullis), for you
alone; your sessions page lists it and can forget it. The registry's policies decide as they do for everybody,
and a refusal says what to do.";

#[derive(Debug, Subcommand)]
pub(crate) enum ReleaseCommand {
    /// List staged files and who staged them, oldest release first. Reads the database directly.
    List {
        /// Only this project.
        project: Option<String>,
    },
    /// Make all staged files of a release visible at once, after showing them.
    #[command(after_help = PERSON_HELP)]
    Publish(PersonArguments),
    /// Discard the staged files of a release, after showing them. Their names are free again.
    #[command(after_help = PERSON_HELP)]
    Reject(PersonArguments),
    /// Yank a release: installers skip it unless its exact version is requested.
    ///
    /// Runs on the server's host, like the two below; the owners get a mail, and readers see the
    /// reason (PEP 592).
    #[command(
        after_help = "Example:\n  portcullis release yank my-project 1.0 --reason 'breaks on Python 3.14'"
    )]
    Yank(ReleaseAndReason),
    /// Undo a yank.
    Unyank(ReleaseAndReason),
    /// Delete a release with all its files. Their names can never be used again.
    #[command(
        after_help = "Example:\n  portcullis release delete my-project 1.0 --reason 'contains a private key'"
    )]
    Delete(ReleaseToDelete),
}

#[derive(Debug, Args)]
pub(crate) struct PersonArguments {
    /// The project.
    project: String,
    /// The version.
    #[arg(value_parser = super::version)]
    version: Version,
    /// The user who does it; the command asks if it is left out.
    #[arg(long, value_name = "user", value_parser = user_name)]
    user: Option<UserName>,
    /// A file that you checked and its SHA-256, once for each file: if anything else is staged by
    /// now, nothing happens.
    #[arg(long = "file", value_name = "name=sha256", value_parser = expected_file)]
    files: Vec<(String, String)>,
    /// Do not ask; only with the complete list of files.
    #[arg(long, requires = "files")]
    yes: bool,
    /// Address of the registry.
    #[arg(long, value_name = "url")]
    url: Option<Url>,
}

fn expected_file(text: &str) -> Result<(String, String), String> {
    let is_digest = |text: &str| text.len() == 64 && text.bytes().all(|c| c.is_ascii_hexdigit());
    match text.rsplit_once('=') {
        Some((name, sha256)) if !name.is_empty() && is_digest(sha256) => {
            Ok((name.to_owned(), sha256.to_ascii_lowercase()))
        }
        _ => Err(
            "give the file name, =, and the SHA-256 of the file in 64 hexadecimal digits"
                .to_owned(),
        ),
    }
}

/// Commands that talk to the running registry and need no database.
pub(crate) async fn run_remote(
    command: &ReleaseCommand,
    configuration: &Configuration,
) -> Option<anyhow::Result<Answer>> {
    match command {
        ReleaseCommand::List { .. }
        | ReleaseCommand::Yank(_)
        | ReleaseCommand::Unyank(_)
        | ReleaseCommand::Delete(_) => None,
        ReleaseCommand::Publish(arguments) => {
            Some(remote::run(arguments, Verb::Publish, configuration).await)
        }
        ReleaseCommand::Reject(arguments) => {
            Some(remote::run(arguments, Verb::Reject, configuration).await)
        }
    }
}

pub(crate) async fn run(command: ReleaseCommand, line: &CommandLine) -> anyhow::Result<Answer> {
    match command {
        ReleaseCommand::List { project } => list(line, project.as_deref()).await,
        ReleaseCommand::Yank(of) => removal::yank(line, of).await,
        ReleaseCommand::Unyank(of) => removal::unyank(line, of).await,
        ReleaseCommand::Delete(of) => removal::delete_release(line, of).await,
        ReleaseCommand::Publish(_) | ReleaseCommand::Reject(_) => {
            unreachable!("`run_remote` runs these")
        }
    }
}

async fn list(line: &CommandLine, project: Option<&str>) -> anyhow::Result<Answer> {
    let target = line.registry.load_preview(None, project).await?;
    let releases = line
        .registry
        .staged_releases(line.permit(target).await?)
        .await?;
    if releases.is_empty() {
        return Ok(Answer::new(
            "nothing is staged; uploads wait here once a policy stages them",
            json!([]),
        ));
    }
    let mut rows = vec![
        [
            "project",
            "version",
            "file",
            "bytes",
            "since",
            "staged by",
            "sha256",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    for staged in &releases {
        rows.extend(
            staged
                .files
                .iter()
                .zip(&staged.staged_by)
                .map(|(file, by)| {
                    let with = file.uploaded_with.map(|id| id.to_string());
                    vec![
                        staged.project_name.to_string(),
                        staged.release.version.to_string(),
                        file.name.clone(),
                        file.size.to_string(),
                        moment(file.uploaded_at),
                        by_whom(
                            by.user.as_deref(),
                            by.token_description.as_deref(),
                            with.as_deref(),
                        ),
                        file.digests.sha256_hex(),
                    ]
                }),
        );
    }
    Ok(Answer::new(
        columns(&rows),
        releases.iter().map(as_json).collect(),
    ))
}

fn as_json(staged: &StagedRelease) -> Value {
    let file = |(file, by): (&storage::files::FileRow, &StagedBy)| {
        let token = file
            .uploaded_with
            .map(|id| json!({ "id": id.to_string(), "description": by.token_description }));
        json!({
            "name": file.name, "bytes": file.size, "sha256": file.digests.sha256_hex(), "uploaded": file.uploaded_at.to_string(),
            "staged-by": { "user": by.user, "token": token },
        })
    };
    json!({
        "project": staged.project_name.normalized(), "version": staged.release.version.to_string(),
        "files": staged.files.iter().zip(&staged.staged_by).map(file).collect::<Vec<_>>(),
    })
}

/// Who staged a file, and with which credential.
fn by_whom(user: Option<&str>, token_description: Option<&str>, token: Option<&str>) -> String {
    let user = user.map_or_else(|| "an unknown caller".to_owned(), printable);
    match (token_description, token) {
        (Some(description), Some(id)) => format!(
            "{user}, token \"{}\" ({})",
            printable(description),
            printable(id)
        ),
        (None, Some(id)) => format!("{user}, token {}", printable(id)),
        (_, None) => format!("{user}, no token"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_looked_at_is_a_name_and_a_digest() {
        let digest = "Ab".repeat(32);
        assert_eq!(
            expected_file(&format!("a-1.0.whl={digest}")),
            Ok(("a-1.0.whl".to_owned(), digest.to_lowercase()))
        );
        for text in [
            "a-1.0.whl",
            "a-1.0.whl=",
            "a-1.0.whl=abc",
            &format!("={digest}"),
        ] {
            assert!(expected_file(text).is_err(), "{text}");
        }
    }

    #[test]
    fn who_staged_a_file_is_a_user_and_a_credential() {
        assert_eq!(
            by_whom(Some("ana"), Some("ci\u{1b}[2J"), Some("0189")),
            "ana, token \"ci\u{fffd}[2J\" (0189)"
        );
        assert_eq!(by_whom(Some("ana"), None, None), "ana, no token");
        assert_eq!(
            by_whom(None, None, Some("0189")),
            "an unknown caller, token 0189"
        );
    }
}
