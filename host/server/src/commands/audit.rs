//! `portcullis audit`.

use anyhow::Context as _;
use clap::Args;
use model::audit::{Actor, AuditEvent, EventKind};
use model::{Timestamp, UserName};
use serde_json::{Value, json};
use storage::audit::{AuditFilter, AuditRow};

use super::{since, user_name};
use crate::answer::{Answer, columns, moment, printable};
use crate::command_line::CommandLine;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  portcullis audit --user alice\n  portcullis audit --project my-project --limit 1000 --json\n  portcullis audit --kind token:created\n\nAudit events are written in the same transaction as the change they record, and are never deleted."
)]
pub(crate) struct AuditArguments {
    /// The user it is about, or who did it.
    #[arg(long, value_name = "user", value_parser = user_name)]
    user: Option<UserName>,
    /// The project it is about.
    #[arg(long, value_name = "project")]
    project: Option<String>,
    /// What happened, for example request:refused.
    #[arg(long, value_name = "noun:verb", value_parser = event_kind)]
    kind: Option<EventKind>,
    /// Only those within this time, for example 2h or 7d.
    #[arg(long, value_name = "span", value_parser = since)]
    since: Option<Timestamp>,
    /// How many at most.
    #[arg(long, value_name = "number", default_value_t = 50)]
    limit: usize,
}

fn event_kind(text: &str) -> Result<EventKind, String> {
    EventKind::from_word(text).ok_or_else(|| {
        format!(
            "write one of {}",
            EventKind::ALL
                .iter()
                .map(|kind| kind.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        )
    })
}

pub(crate) async fn run(arguments: AuditArguments, line: &CommandLine) -> anyhow::Result<Answer> {
    let user = match &arguments.user {
        Some(name) => Some(line.user(name).await?.id),
        None => None,
    };
    let project = match &arguments.project {
        Some(name) => Some(
            line.storage
                .project(&model::name::normalize(name))
                .await?
                .with_context(|| format!("there is no project `{name}`"))?
                .id,
        ),
        None => None,
    };
    let filter = AuditFilter {
        user,
        project,
        kind: arguments.kind,
    };
    let events = collect(line, &filter, arguments.since, arguments.limit).await?;

    if events.is_empty() {
        let is_filtered = filter != AuditFilter::default() || arguments.since.is_some();
        let text = if is_filtered {
            "no audit event matches; leave out a filter to see more"
        } else {
            "no audit event is recorded yet; every change leaves one"
        };
        return Ok(Answer::new(text, json!([])));
    }

    let mut rows = vec![
        ["number", "time", "event", "by", "about", "detail"]
            .map(str::to_owned)
            .to_vec(),
    ];
    let mut values = Vec::with_capacity(events.len());
    for AuditRow {
        sequence,
        event,
        stored,
    } in &events
    {
        let by = actor(line, &event.actor).await?;
        let about = about(line, event).await?;
        rows.push(vec![
            sequence.to_string(),
            moment(event.at),
            event.kind().to_string(),
            printable(&by),
            about.clone(),
            printable(&stored.to_string()),
        ]);
        values.push(json!({
            "sequence": sequence, "time": event.at.to_string(), "event": event.kind().as_str(), "by": by, "about": about,
            "decision": event.decision.map(|decision| decision.to_string()), "detail": stored,
            "remote-address": event.actor.place().map(|(remote_address, _)| remote_address),
            "user-agent": event.actor.place().map(|(_, user_agent)| user_agent),
        }));
    }
    Ok(Answer::new(columns(&rows), Value::Array(values)))
}

async fn collect(
    line: &CommandLine,
    filter: &AuditFilter,
    since: Option<Timestamp>,
    limit: usize,
) -> anyhow::Result<Vec<AuditRow>> {
    const PAGE: u32 = 500;
    let mut events: Vec<AuditRow> = Vec::new();
    let mut before = None;
    while events.len() < limit {
        let page = line.storage.events(filter, before, PAGE).await?;
        let is_of_time = |row: &AuditRow| since.is_none_or(|since| row.event.at >= since);
        let is_last = page.len() < PAGE as usize || !page.last().is_none_or(is_of_time);
        before = page.last().map(|last| last.sequence);
        events.extend(page.into_iter().filter(is_of_time));
        if is_last {
            break;
        }
    }
    events.truncate(limit);
    Ok(events)
}

pub(crate) async fn actor(line: &CommandLine, actor: &Actor) -> anyhow::Result<String> {
    Ok(match actor {
        Actor::System => "the server".to_owned(),
        Actor::CommandLine { system_user } => format!("{system_user} on the command line"),
        Actor::Publisher {
            provider,
            subject,
            remote_address,
            ..
        } => format!("the publisher {subject} of {provider} from {remote_address}"),
        Actor::Caller {
            user,
            token,
            remote_address,
            ..
        } => {
            let name = match user {
                Some(id) => line
                    .storage
                    .user(*id)
                    .await?
                    .map_or_else(|| id.to_string(), |user| user.name.to_string()),
                None => "unknown".to_owned(),
            };
            let token = token
                .map(|token| format!(" with token {token}"))
                .unwrap_or_default();
            format!("{name}{token} from {remote_address}")
        }
    })
}

async fn about(line: &CommandLine, event: &AuditEvent) -> anyhow::Result<String> {
    let mut parts = Vec::new();
    if let Some(id) = event.user {
        parts.push(
            line.storage
                .user(id)
                .await?
                .map_or_else(|| id.to_string(), |user| format!("user {}", user.name)),
        );
    }
    if let Some(id) = event.project {
        parts.push(line.storage.project_by_id(id).await?.map_or_else(
            || id.to_string(),
            |project| format!("project {}", project.name),
        ));
    }
    Ok(parts.join(", "))
}
