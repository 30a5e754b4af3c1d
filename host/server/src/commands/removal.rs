//! Yanking and deleting on the server's host: `release yank|unyank|delete`, `file delete`,
//! `project delete`.

use anyhow::{bail, ensure};
use clap::{Args, Subcommand};
use model::Version;
use registry::removal::Removed;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::command_line::CommandLine;
use crate::terminal;

#[derive(Debug, Subcommand)]
pub(crate) enum FileCommand {
    /// Delete one file. Its name can never be used again.
    #[command(
        after_help = "Example:\n  portcullis file delete demo-1.0-py3-none-any.whl --reason 'contains a private key'"
    )]
    Delete {
        /// The file's name.
        file: String,
        #[command(flatten)]
        why: Deletion,
    },
}

/// A release and the reason for the action.
#[derive(Debug, Args)]
pub(crate) struct ReleaseAndReason {
    /// The project.
    project: String,
    /// The version.
    #[arg(value_parser = super::version)]
    version: Version,
    #[command(flatten)]
    why: Reason,
}

/// A release to delete.
#[derive(Debug, Args)]
pub(crate) struct ReleaseToDelete {
    /// The project.
    project: String,
    /// The version.
    #[arg(value_parser = super::version)]
    version: Version,
    #[command(flatten)]
    why: Deletion,
}

#[derive(Debug, Args)]
pub(crate) struct Reason {
    /// Why, for the owners and for other operators; for a yank, readers see it, too.
    #[arg(long, value_name = "text")]
    reason: String,
}

#[derive(Debug, Args)]
pub(crate) struct Deletion {
    /// Why, for the owners and for other operators.
    #[arg(long, value_name = "text")]
    pub(crate) reason: String,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

impl Deletion {
    /// Asks, unless the command line already answered. Deleted things are gone.
    pub(crate) fn confirm(&self, what: &str) -> anyhow::Result<()> {
        if self.yes {
            return Ok(());
        }
        ensure!(
            terminal::is_interactive(),
            "nobody can be asked here; to delete {what} all the same, add --yes"
        );
        if terminal::ask_yes(&format!("Delete {what}? This cannot be undone."))? {
            Ok(())
        } else {
            bail!("nothing was deleted")
        }
    }
}

pub(crate) async fn run(command: FileCommand, line: &CommandLine) -> anyhow::Result<Answer> {
    match command {
        FileCommand::Delete { file, why } => {
            let target = line
                .registry
                .load_delete_file(None, &file, &why.reason)
                .await?;
            target.check()?;
            why.confirm(&format!("the file {file}"))?;
            let removed = line
                .registry
                .delete_file(line.permit(target).await?)
                .await?;
            let file = removed.files.first().cloned().unwrap_or(file);
            Ok(Answer::new(
                format!("{file} is deleted; a file of this name can never be uploaded again"),
                as_json(&removed),
            ))
        }
    }
}

pub(crate) async fn yank(line: &CommandLine, of: ReleaseAndReason) -> anyhow::Result<Answer> {
    let ReleaseAndReason {
        project,
        version,
        why,
    } = of;
    let target = line
        .registry
        .load_yank(None, &project, &version, &why.reason)
        .await?;
    target.check()?;
    line.registry
        .yank_release(line.permit(target).await?)
        .await?;
    let text = format!(
        "release {version} of {project} is yanked: installers pass it over unless it is asked for by its exact version"
    );
    Ok(Answer::new(
        text,
        json!({ "project": project, "version": version.to_string(), "yanked": true }),
    ))
}

pub(crate) async fn unyank(line: &CommandLine, of: ReleaseAndReason) -> anyhow::Result<Answer> {
    let ReleaseAndReason {
        project,
        version,
        why,
    } = of;
    let target = line
        .registry
        .load_unyank(None, &project, &version, &why.reason)
        .await?;
    target.check()?;
    line.registry
        .unyank_release(line.permit(target).await?)
        .await?;
    Ok(Answer::new(
        format!("release {version} of {project} is no longer yanked"),
        json!({ "project": project, "version": version.to_string(), "yanked": false }),
    ))
}

pub(crate) async fn delete_release(
    line: &CommandLine,
    of: ReleaseToDelete,
) -> anyhow::Result<Answer> {
    let ReleaseToDelete {
        project,
        version,
        why,
    } = of;
    let target = line
        .registry
        .load_delete_release(None, &project, &version, &why.reason)
        .await?;
    target.check()?;
    why.confirm(&format!("release {version} of {project}"))?;
    let removed = line
        .registry
        .delete_release(line.permit(target).await?)
        .await?;
    let text = format!(
        "release {version} of {project} is deleted with {}; no file of these names can ever be uploaded again",
        files(&removed)
    );
    Ok(Answer::new(text, as_json(&removed)))
}

pub(crate) async fn delete_project(
    line: &CommandLine,
    project: String,
    why: Deletion,
) -> anyhow::Result<Answer> {
    let target = line
        .registry
        .load_delete_project(None, &project, &why.reason)
        .await?;
    target.check()?;
    why.confirm(&format!("the project {project} with all its releases"))?;
    let removed = line
        .registry
        .delete_project(line.permit(target).await?)
        .await?;
    let text = format!(
        "{} is deleted with {}; nobody can take its name, unless you give it to someone",
        removed.project,
        files(&removed)
    );
    let remark = format!(
        "To give the name to someone: {} project role {} <user> owner\n",
        line.program(),
        removed.project
    );
    Ok(Answer::new(text, as_json(&removed)).with_remarks(remark))
}

fn files(removed: &Removed) -> String {
    match removed.files.len() {
        1 => "1 file".to_owned(),
        count => format!("{count} files"),
    }
}

fn as_json(removed: &Removed) -> Value {
    json!({ "project": removed.project, "files": removed.files })
}
