//! `portcullis user delete` and `user invite`: the start and end of an account.

use identity::{Account, AccountError, DeleteAccount, InviteUser, lifetimes};
use model::UserName;
use serde_json::json;

use crate::answer::Answer;
use crate::command_line::CommandLine;
use crate::commands::removal::Deletion;

pub(super) async fn delete(
    line: &CommandLine,
    name: &UserName,
    why: Deletion,
) -> anyhow::Result<Answer> {
    let user = line.user(name).await?;
    why.confirm(&format!("the account {}", user.name))?;
    let target = DeleteAccount {
        account: Account::at_the_server(user.id),
        reason: Some(why.reason.trim().to_owned()),
    };
    match line
        .identity
        .accounts()
        .delete(line.permit(target).await?)
        .await
    {
        Ok(()) => {}
        Err(error @ AccountError::SoleOwner(_)) => {
            let program = line.program();
            anyhow::bail!(
                "{error}: `{program} project role PROJECT USER owner`; or delete the project: `{program} project delete PROJECT --reason TEXT`"
            )
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Answer::new(
        format!("the account {} is deleted; its name stays taken", user.name),
        json!({ "user": user.name.as_written(), "deleted": true }),
    ))
}

pub(super) async fn invite(
    line: &CommandLine,
    name: UserName,
    email: String,
    staff: bool,
) -> anyhow::Result<Answer> {
    let id = line
        .identity
        .accounts()
        .invite(
            line.permit(InviteUser::new(name.clone(), email.clone(), staff))
                .await?,
        )
        .await?;
    let text = format!(
        "user {name} is created, and a link to choose a password is on its way to {email}; it works for {}",
        lifetimes::INVITATION_LINK
    );
    let remark = format!(
        "A running server sends it. Mails that wait: {} mail list\n",
        line.program()
    );
    Ok(Answer::new(
        text,
        json!({ "user": name.as_written(), "id": id.to_string(), "email": email }),
    )
    .with_remarks(remark))
}
