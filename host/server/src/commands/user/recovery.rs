//! `portcullis user recover` and `portcullis user recover-cancel`.

use anyhow::Context as _;
use identity::{CancelRecovery, RecoverAccount};
use model::UserName;
use serde_json::json;

use crate::answer::{Answer, moment};
use crate::command_line::CommandLine;

pub(crate) async fn start(
    line: &CommandLine,
    name: &UserName,
    reason: String,
) -> anyhow::Result<Answer> {
    let user = line.user(name).await?;
    let id = line
        .identity
        .recoveries()
        .start(
            line.permit(RecoverAccount {
                user: user.id,
                reason,
            })
            .await?,
        )
        .await?;
    let recovery = line
        .storage
        .recovery(id)
        .await?
        .context("the recovery that was just begun is gone")?;
    let text = format!(
        "the recovery of {} is begun and announced by mail; at {} a running server removes the second factors, disables the password and mails a link for a new one",
        user.name,
        moment(recovery.effective_at)
    );
    let json = json!({ "user": user.name.as_written(), "recovery": id.to_string(), "effective": recovery.effective_at.to_string() });
    Ok(Answer::new(text, json).with_remarks(format!(
        "The user can stop it with the link in the mail, and you with: {} user recover-cancel {}\n{}",
        line.program(),
        user.name,
        line.remark_on_links()
    )))
}

pub(crate) async fn cancel(line: &CommandLine, name: &UserName) -> anyhow::Result<Answer> {
    let user = line.user(name).await?;
    let recovery = line
        .storage
        .recovery_of(user.id)
        .await?
        .with_context(|| format!("no recovery of {} is under way", user.name))?;
    line.identity
        .recoveries()
        .cancel(
            line.permit(CancelRecovery {
                recovery: recovery.id,
            })
            .await?,
        )
        .await?;
    Ok(Answer::new(
        format!("the recovery of {} is stopped", user.name),
        json!({ "user": user.name.as_written(), "recovery": recovery.id.to_string() }),
    ))
}
