//! `portcullis user sessions` and `portcullis user end-sessions`.

use identity::{Account, EndSessions, ListSessions};
use model::UserName;
use serde_json::{Value, json};

use crate::answer::{Answer, columns, moment, printable};
use crate::command_line::CommandLine;

pub(crate) async fn list(line: &CommandLine, name: &UserName) -> anyhow::Result<Answer> {
    let user = line.user(name).await?;
    let sessions = line
        .identity
        .sessions()
        .list(
            line.permit(ListSessions {
                account: Account::at_the_server(user.id),
            })
            .await?,
        )
        .await?;
    if sessions.is_empty() {
        return Ok(Answer::new(
            format!("{} is logged in nowhere", user.name),
            json!([]),
        ));
    }
    let mut rows = vec![
        ["id", "began", "last used", "from", "with", "second factor"]
            .map(str::to_owned)
            .to_vec(),
    ];
    let mut values = Vec::with_capacity(sessions.len());
    for session in &sessions {
        rows.push(vec![
            session.id.to_string(),
            moment(session.created_at),
            moment(session.last_used_at),
            printable(&session.remote_address),
            printable(&session.device),
            session
                .factor
                .map_or("none", model::Factor::as_str)
                .to_owned(),
        ]);
        values.push(json!({
            "id": session.id.to_string(), "began": session.created_at.to_string(), "last-used": session.last_used_at.to_string(),
            "remote-address": session.remote_address, "device": session.device, "user-agent": session.user_agent,
            "second-factor": session.factor.map(model::Factor::as_str),
        }));
    }
    Ok(Answer::new(columns(&rows), Value::Array(values)))
}

pub(crate) async fn end(line: &CommandLine, name: &UserName) -> anyhow::Result<Answer> {
    let user = line.user(name).await?;
    let ended = line
        .identity
        .sessions()
        .end_all(
            line.permit(EndSessions {
                account: Account::at_the_server(user.id),
                except: None,
            })
            .await?,
        )
        .await?;
    let text = match ended {
        0 => format!("{} was logged in nowhere", user.name),
        1 => format!("{}'s session is ended", user.name),
        ended => format!("{ended} sessions of {} are ended", user.name),
    };
    let remark = format!(
        "The password and the API tokens still count: {0} user disable {1} --reason <text>, or {0} token revoke {1} <id>",
        line.program(),
        user.name
    );
    Ok(Answer::new(
        text,
        json!({ "user": user.name.as_written(), "ended": ended }),
    )
    .with_remarks(remark))
}
