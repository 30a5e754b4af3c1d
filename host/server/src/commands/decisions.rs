//! `portcullis decisions`.

use anyhow::Context as _;
use clap::Args;
use clap::builder::PossibleValuesParser;
use model::{Action, Timestamp, UserName};
use serde_json::{Value, json};
use storage::decisions::{DecisionFilter, DecisionRow};

use super::{since, user_name};
use crate::answer::{Answer, columns, moment, printable};
use crate::command_line::CommandLine;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  portcullis decisions --outcome denied\n  portcullis decisions --project my-project --action file:upload --limit 5\n  portcullis decisions --would-refuse     whom policies that only observe or warn would not have let through\n  portcullis explain <id>     shows everything about one of them\n\nPermitted reads, and page views by anonymous callers, are recorded up to a rate (recorded-reads-per-second), and so is what one source is refused, or permitted without a change that comes of it. Changes always are."
)]
pub(crate) struct DecisionsArguments {
    /// Their outcome: permitted, staged, denied, required, failed, limited, break-glass; `refused`
    /// for all that let nothing through.
    #[arg(long, value_name = "word", value_parser = PossibleValuesParser::new(OUTCOMES), hide_possible_values = true)]
    outcome: Option<String>,
    /// What was attempted, for example file:upload.
    #[arg(long, value_name = "noun:verb")]
    action: Option<Action>,
    /// The project it was about.
    #[arg(long, value_name = "project")]
    project: Option<String>,
    /// The user that the credential belongs to.
    #[arg(long, value_name = "user", value_parser = user_name)]
    user: Option<UserName>,
    /// Only those within this time, for example 2h or 7d.
    #[arg(long, value_name = "span", value_parser = since)]
    since: Option<Timestamp>,
    /// Only those that a policy in grade observe or warn would not have let through.
    #[arg(long)]
    would_refuse: bool,
    /// How many at most.
    #[arg(long, value_name = "number", default_value_t = 50)]
    limit: usize,
}

/// Outcomes that let nothing through.
const REFUSED: [&str; 4] = ["denied", "required", "failed", "limited"];
const OUTCOMES: [&str; 8] = [
    "permitted",
    "staged",
    "denied",
    "required",
    "failed",
    "limited",
    "break-glass",
    "refused",
];

pub(crate) async fn run(
    arguments: DecisionsArguments,
    line: &CommandLine,
) -> anyhow::Result<Answer> {
    let user = match &arguments.user {
        Some(name) => Some(line.user(name).await?),
        None => None,
    };
    let only_refused = arguments.outcome.as_deref() == Some("refused");
    let filter = DecisionFilter {
        outcome: arguments.outcome.clone().filter(|_| !only_refused),
        action: arguments.action.map(|action| action.as_str().to_owned()),
        project_name: arguments.project.as_deref().map(model::name::normalize),
        user: user.map(|user| user.id),
        would_refuse: arguments.would_refuse,
    };
    let decisions = collect(
        line,
        &filter,
        only_refused,
        arguments.since,
        arguments.limit,
    )
    .await?;

    if decisions.is_empty() {
        return Ok(Answer::new(nothing_found(&arguments), json!([])));
    }

    let mut names = std::collections::HashMap::new();
    for id in decisions.iter().filter_map(|decision| decision.user) {
        if let std::collections::hash_map::Entry::Vacant(entry) = names.entry(id) {
            let user = line
                .storage
                .user(id)
                .await
                .context("cannot look up a user")?;
            entry.insert(user.map_or_else(|| id.to_string(), |user| user.name.to_string()));
        }
    }
    let mut system_users = std::collections::HashMap::new();
    for decision in decisions
        .iter()
        .filter(|decision| decision.outcome == "break-glass")
    {
        // Lists come without the record, and only the record has the user.
        let record = line
            .storage
            .decision(decision.id)
            .await?
            .map(|whole| whole.record)
            .unwrap_or_default();
        let record: Value = serde_json::from_str(&record).unwrap_or(Value::Null);
        if let Some(system_user) = record["system-user"].as_str() {
            system_users.insert(
                decision.id,
                format!("{} on the command line", printable(system_user)),
            );
        }
    }
    let name = |decision: &DecisionRow| {
        decision
            .user
            .and_then(|id| names.get(&id).cloned())
            .or_else(|| system_users.get(&decision.id).cloned())
    };

    // A column that is empty in most lists is shown only if someone asks for it.
    let tells_would_refuse = arguments.would_refuse
        || decisions
            .iter()
            .any(|decision| decision.would_refuse.is_some());
    let mut heading = [
        "time", "outcome", "action", "user", "project", "set", "µs", "decision",
    ]
    .map(str::to_owned)
    .to_vec();
    heading.extend(tells_would_refuse.then(|| "would refuse".to_owned()));
    let mut rows = vec![heading];
    rows.extend(decisions.iter().map(|decision| {
        let mut row = vec![
            moment(decision.at),
            decision.outcome.clone(),
            decision.action.clone(),
            name(decision).unwrap_or_else(|| "-".to_owned()),
            printable(decision.project_name.as_deref().unwrap_or("-")),
            decision
                .set_number
                .map_or_else(|| "-".to_owned(), |number| number.to_string()),
            decision.microseconds.to_string(),
            decision.id.to_string(),
        ];
        row.extend(
            tells_would_refuse.then(|| printable(decision.would_refuse.as_deref().unwrap_or("-"))),
        );
        row
    }));
    let json: Value = decisions
        .iter()
        .map(|decision| summary(decision, name(decision)))
        .collect();
    Ok(Answer::new(columns(&rows), json))
}

fn nothing_found(arguments: &DecisionsArguments) -> &'static str {
    let is_filtered = arguments.outcome.is_some()
        || arguments.action.is_some()
        || arguments.project.is_some()
        || arguments.user.is_some()
        || arguments.since.is_some();
    match (arguments.would_refuse, is_filtered) {
        (true, false) => {
            "no policy in grade observe or warn would have refused anything; `portcullis policy status` shows which grades are bound"
        }
        (_, true) => "no decision matches; leave out a filter to see more",
        (false, false) => "no decision is recorded yet; requests to the running server leave them",
    }
}

async fn collect(
    line: &CommandLine,
    filter: &DecisionFilter,
    only_refused: bool,
    since: Option<Timestamp>,
    limit: usize,
) -> anyhow::Result<Vec<DecisionRow>> {
    const PAGE: u32 = 200;
    let is_of_time = |decision: &DecisionRow| since.is_none_or(|since| decision.at >= since);
    let mut decisions = Vec::new();
    let mut before = None;
    while decisions.len() < limit {
        let page = line.storage.decisions(filter, before, PAGE).await?;
        let is_last = page.len() < PAGE as usize || !page.last().is_none_or(is_of_time);
        before = page.last().map(|last| (last.at, last.id));
        let is_wanted = |decision: &DecisionRow| {
            is_of_time(decision) && (!only_refused || REFUSED.contains(&decision.outcome.as_str()))
        };
        decisions.extend(page.into_iter().filter(is_wanted));
        if is_last {
            break;
        }
    }
    decisions.truncate(limit);
    Ok(decisions)
}

/// A decision without its record.
pub(crate) fn summary(decision: &DecisionRow, user: Option<String>) -> Value {
    json!({
        "id": decision.id.to_string(), "time": decision.at.to_string(), "action": decision.action, "outcome": decision.outcome, "set": decision.set_number,
        "user": user, "token": decision.token.map(|token| token.to_string()), "project": decision.project_name, "route": decision.route,
        "remote-address": decision.remote_address, "microseconds": decision.microseconds,
        "would-refuse": decision.would_refuse.iter().flat_map(|policies| policies.split(", ")).collect::<Vec<_>>(),
    })
}
