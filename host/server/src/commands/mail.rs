//! `portcullis mail`.

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};
use mail::Delivery;
use model::audit::detail::RequestedMail;
use model::audit::{AuditEvent, Detail};
use serde_json::{Value, json};
use storage::outbox::MailState;

use crate::answer::{Answer, columns, moment, moment_or, printable};
use crate::command_line::CommandLine;
use crate::wiring;

#[derive(Debug, Subcommand)]
pub(crate) enum MailCommand {
    /// List mails of the last thirty days, newest first, without their text.
    #[command(
        after_help = "Examples:\n  portcullis mail list --state failed\n  portcullis mail list --limit 500 --json"
    )]
    List {
        /// Only mails in this state.
        #[arg(long, value_name = "state")]
        state: Option<State>,
        /// How many at most.
        #[arg(long, value_name = "number", default_value_t = 50)]
        limit: u32,
    },
    /// Send a test mail at once.
    #[command(after_help = "Example:\n  portcullis mail test alice@example.org")]
    Test {
        /// The recipient.
        address: String,
    },
    /// Let the running server send deferred mails now, for example after an outage.
    Retry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    /// Still to be sent.
    Waiting,
    /// Taken by the SMTP server, or written to a file.
    Sent,
    /// Given up.
    Failed,
    /// To no one: written only so that strangers cannot find out whether an account exists.
    Void,
}

impl State {
    fn in_storage(self) -> MailState {
        match self {
            Self::Waiting => MailState::Waiting,
            Self::Sent => MailState::Sent,
            Self::Failed => MailState::Failed,
            Self::Void => MailState::Void,
        }
    }
}

pub(crate) async fn run(command: MailCommand, line: &CommandLine) -> anyhow::Result<Answer> {
    match command {
        MailCommand::List { state, limit } => list(line, state, limit).await,
        MailCommand::Test { address } => test(line, &address).await,
        MailCommand::Retry => retry(line).await,
    }
}

async fn list(line: &CommandLine, state: Option<State>, limit: u32) -> anyhow::Result<Answer> {
    let mails = line
        .storage
        .outbox(state.map(State::in_storage), limit)
        .await?;
    if mails.is_empty() {
        let text = if state.is_some() {
            "no mail is in this state"
        } else {
            "no mail was written in the last thirty days"
        };
        return Ok(Answer::new(text, json!([])));
    }
    let mut rows = vec![
        [
            "id",
            "written",
            "mail",
            "to",
            "state",
            "tries",
            "since or next",
            "last error",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    let mut values = Vec::with_capacity(mails.len());
    for mail in &mails {
        let next = if mail.state == MailState::Waiting {
            moment(mail.due_at)
        } else {
            moment_or(mail.ended_at, "")
        };
        let error = mail.last_error.as_deref().unwrap_or_default();
        rows.push(vec![
            mail.id.to_string(),
            moment(mail.created_at),
            mail.kind.to_string(),
            printable(&mail.recipient),
            mail.state.as_str().to_owned(),
            mail.attempts.to_string(),
            next,
            printable(error),
        ]);
        values.push(json!({
            "id": mail.id.to_string(), "written": mail.created_at.to_string(), "mail": mail.kind.as_str(), "recipient": mail.recipient,
            "user": mail.user.map(|user| user.to_string()), "state": mail.state.as_str(), "tries": mail.attempts,
            "due": (mail.state == MailState::Waiting).then(|| mail.due_at.to_string()), "ended": mail.ended_at.map(|at| at.to_string()),
            "last-error": mail.last_error,
        }));
    }
    Ok(Answer::new(columns(&rows), Value::Array(values)))
}

async fn test(line: &CommandLine, address: &str) -> anyhow::Result<Answer> {
    let mailer = wiring::mailer(
        &line.configuration,
        &line.public_url,
        &line.folder,
        line.storage.clone(),
        line.clock.clone(),
    )?;
    record(
        line,
        RequestedMail::Test {
            recipient: address.chars().take(320).collect(),
        },
    )
    .await?;
    let way = wiring::mail_transport(&line.configuration, &line.folder);
    let delivery = mailer
        .send_test(address)
        .await
        .with_context(|| format!("the mail did not leave through {way}"))?;
    let answer = match delivery {
        Delivery::Smtp => Answer::new(
            format!("{way} has taken the mail; look whether it arrives"),
            json!({ "recipient": address, "taken-by": way.to_string() }),
        ),
        Delivery::File(file) => Answer::new(
            format!(
                "the mail is in {}: no smtp-url is configured, so mails leave no further than that",
                file.display()
            ),
            json!({ "recipient": address, "file": file.display().to_string() }),
        ),
    };
    Ok(answer.with_remarks(line.remark_on_links()))
}

async fn retry(line: &CommandLine) -> anyhow::Result<Answer> {
    record(
        line,
        RequestedMail::PutOff {
            because: "what was put off is to be sent now".to_owned(),
        },
    )
    .await?;
    let mails = line.storage.hurry_mails(line.now()).await?;
    let text = match mails {
        0 => "no mail was put off".to_owned(),
        mails => format!("{mails} that were put off are due now; the running server sends them"),
    };
    Ok(Answer::new(text, json!({ "mails": mails })))
}

/// Changes no account, but is recorded, and before it is done.
async fn record(line: &CommandLine, what: RequestedMail) -> anyhow::Result<()> {
    let event = AuditEvent::new(line.now(), line.actor(), Detail::MailRequested { what });
    let unit = line.storage.begin().await?;
    unit.commit(&event)
        .await
        .context("cannot record what is about to be done, so it is not done")?;
    Ok(())
}
