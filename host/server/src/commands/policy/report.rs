//! The active set, its history, and the settings that it offers.

use anyhow::Context as _;
use model::audit::{AuditEvent, EventKind};
use policy_engine::contract::{Setting, SettingKind, SettingValue};
use serde_json::{Value, json};
use storage::audit::AuditFilter;
use storage::policies::{ActivationKind, ActivationRow, ServerRow, WatchedFolder};

use crate::answer::{Answer, columns, moment, printable};
use crate::command_line::CommandLine;
use crate::commands::audit;

fn kind_word(kind: ActivationKind) -> &'static str {
    match kind {
        ActivationKind::Apply => "apply",
        ActivationKind::Rollback => "rollback",
        ActivationKind::Start => "first start",
        ActivationKind::Watch => "watched folder",
    }
}

fn activation_json(activation: &ActivationRow, by: &str) -> Value {
    json!({
        "sequence": activation.sequence, "set": activation.set_number, "name": activation.set_name, "time": activation.at.to_string(),
        "kind": kind_word(activation.kind), "by": by, "reason": activation.reason,
    })
}

pub(super) async fn status(line: &CommandLine) -> anyhow::Result<Answer> {
    let alive_since = gate::silent_since(line.now());
    let servers: Vec<_> = line
        .storage
        .servers()
        .await?
        .into_iter()
        .filter(|server| server.heartbeat_at > alive_since)
        .collect();
    let Some(active) = line.storage.active_set().await? else {
        let text = format!(
            "no policy set is active; `portcullis policy apply <folder>` makes one active\n\n{}",
            servers_text(&servers, None)
        );
        return Ok(Answer::new(
            text,
            json!({ "active": null, "servers": servers_json(&servers) }),
        )
        .with_code(1));
    };
    let spec = spec_of(line, active.set_number).await?;
    let by = Actors::of(line, 1)
        .await?
        .of_activation(line, &active)
        .await?;
    let mut text = format!(
        "set {} ({}), active since {} by {} ({})",
        active.set_number,
        active.set_name,
        moment(active.at),
        printable(&by),
        kind_word(active.kind)
    );
    if !active.reason.is_empty() {
        text.push_str(&format!(": {}", printable(&active.reason)));
    }
    text.push_str("\n\n");
    for binding in &spec.bindings {
        let digest: String = binding
            .digest
            .as_deref()
            .unwrap_or("")
            .chars()
            .take(12)
            .collect();
        text.push_str(&format!(
            "{} in grade {}, module {digest}\n",
            binding.policy,
            binding.grade.as_str()
        ));
        if let Some(actions) = &binding.actions {
            text.push_str(&format!(
                "  hears only {}\n",
                actions
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(" ")
            ));
        }
        text.extend(
            binding
                .settings
                .iter()
                .map(|(name, value)| format!("  {name} = {}\n", shortened(&value.to_string()))),
        );
    }
    text.push('\n');
    text.push_str(&servers_text(&servers, Some(active.set_number)));
    let is_well = |server: &ServerRow| {
        server.set_number == Some(active.set_number)
            && server
                .watched
                .as_ref()
                .is_none_or(|watched| watched.error.is_none())
    };
    let code = if servers.iter().all(is_well) { 0 } else { 2 };
    let json = json!({ "active": activation_json(&active, &by), "bindings": spec.bindings, "servers": servers_json(&servers) });
    Ok(Answer::new(text, json).with_code(code))
}

/// The set that each server serves, and the content of the folder that it watches.
fn servers_text(servers: &[ServerRow], active: Option<i64>) -> String {
    let mut text = String::new();
    if servers.is_empty() {
        text.push_str("no server is running\n");
    }
    for server in servers {
        let serves = match server.set_number {
            Some(number) if Some(number) == active => "serves it".to_owned(),
            Some(number) => format!("serves set {number} instead"),
            None => "serves no set: it refuses every request that must be decided".to_owned(),
        };
        text.push_str(&format!(
            "{} (process {}, since {}) {serves}\n",
            printable(&server.host),
            server.pid,
            moment(server.started_at)
        ));
        if let (Some(error), Some(number)) = (&server.last_error, server.last_error_set) {
            text.push_str(&format!(
                "  could not load set {number}: {}\n",
                printable(error)
            ));
        }
        if let Some(watched) = &server.watched {
            text.push_str(&format!(
                "  watches {}, last looked at {}: {}\n",
                printable(&watched.folder),
                moment(watched.looked_at),
                holds(watched, active)
            ));
        }
    }
    text
}

/// The content of a watched folder, in words that follow "watches …:".
fn holds(watched: &WatchedFolder, active: Option<i64>) -> String {
    match (&watched.error, watched.set_number) {
        (Some(error), _) => format!(
            "refused: {}",
            error
                .lines()
                .map(printable)
                .collect::<Vec<_>>()
                .join("\n    ")
        ),
        (None, Some(number)) if Some(number) == active => "holds the active set".to_owned(),
        (None, Some(number)) => format!(
            "holds set {number}, in whose place someone made another one active; it is applied again when the folder changes"
        ),
        (None, None) => "not read yet".to_owned(),
    }
}

fn servers_json(servers: &[ServerRow]) -> Vec<Value> {
    let watched = |watched: &WatchedFolder| json!({ "folder": watched.folder, "looked": watched.looked_at.to_string(), "set": watched.set_number, "error": watched.error });
    let server = |server: &ServerRow| {
        json!({
            "host": server.host, "pid": server.pid, "started": server.started_at.to_string(), "heartbeat": server.heartbeat_at.to_string(),
            "set": server.set_number, "error": server.last_error, "error-set": server.last_error_set, "watched": server.watched.as_ref().map(watched),
        })
    };
    servers.iter().map(server).collect()
}

/// A value shortened to fit a line; `--json` has all of it.
fn shortened(value: &str) -> String {
    const ROOM: usize = 100;
    let value = printable(value);
    if value.chars().count() <= ROOM {
        value
    } else {
        format!(
            "{}… (all of it with --json)",
            value.chars().take(ROOM).collect::<String>()
        )
    }
}

/// The set as its author wrote it; the rest of a stored row concerns only the gate.
async fn spec_of(line: &CommandLine, number: i64) -> anyhow::Result<policy_engine::SetSpec> {
    let row = line
        .storage
        .policy_set(number)
        .await?
        .with_context(|| format!("policy set {number} is no longer in the database"))?;
    gate::stored_spec(&row).with_context(|| format!("policy set {number} cannot be read"))
}

pub(super) async fn history(line: &CommandLine, limit: u32) -> anyhow::Result<Answer> {
    let activations = line.storage.activations(None, limit).await?;
    if activations.is_empty() {
        return Ok(Answer::new(
            "no policy set was ever active; `portcullis policy apply <folder>` makes one active",
            json!([]),
        ));
    }
    let actors = Actors::of(line, limit).await?;
    let mut rows = vec![
        [
            "number",
            "set",
            "name",
            "active since",
            "how",
            "by",
            "reason",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    let mut values = Vec::with_capacity(activations.len());
    for activation in &activations {
        let by = actors.of_activation(line, activation).await?;
        values.push(activation_json(activation, &by));
        rows.push(vec![
            activation.sequence.to_string(),
            activation.set_number.to_string(),
            activation.set_name.clone(),
            moment(activation.at),
            kind_word(activation.kind).to_owned(),
            printable(&by),
            printable(&activation.reason),
        ]);
    }
    Ok(Answer::new(columns(&rows), values.into()))
}

/// Who activated sets: the audit has an event for each activation.
struct Actors(Vec<AuditEvent>);

impl Actors {
    /// Those of the newest `limit` activations.
    async fn of(line: &CommandLine, limit: u32) -> anyhow::Result<Self> {
        let mut events = Vec::new();
        for kind in [
            EventKind::PolicySetActivated,
            EventKind::PolicySetRolledBack,
        ] {
            let filter = AuditFilter {
                kind: Some(kind),
                ..AuditFilter::default()
            };
            events.extend(
                line.storage
                    .events(&filter, None, limit)
                    .await?
                    .into_iter()
                    .map(|row| row.event),
            );
        }
        Ok(Self(events))
    }

    async fn of_activation(
        &self,
        line: &CommandLine,
        activation: &ActivationRow,
    ) -> anyhow::Result<String> {
        let is_its = |event: &&AuditEvent| {
            event.at == activation.at && event.detail.activated_set() == Some(activation.set_number)
        };
        match self.0.iter().find(is_its) {
            Some(event) => audit::actor(line, &event.actor).await,
            None => Ok("someone the audit does not name".to_owned()),
        }
    }
}

pub(super) async fn forms(line: &CommandLine) -> anyhow::Result<Answer> {
    let active =
        line.storage.active_set().await?.context(
            "no policy set is active; `portcullis policy apply <folder>` makes one active",
        )?;
    let engine = line.engine()?;
    let set = gate::load_set(&line.storage, &engine, u64::try_from(active.set_number)?).await?;
    let forms = set.owner_forms();
    let mut text = String::new();
    for form in &forms {
        text.push_str(&format!("{}: {}\n", form.policy, printable(&form.summary)));
        text.push_str(&settings_text(&form.settings));
    }
    if forms.is_empty() {
        text.push_str("the active set offers nothing to project owners\n");
    }
    let json = forms.iter().map(
        |form| json!({ "policy": form.policy, "summary": form.summary, "settings": form.settings }),
    );
    Ok(Answer::new(text, json.collect()))
}

/// Settings with their possible values, defaults and help.
pub(super) fn settings_text(settings: &[Setting]) -> String {
    settings
        .iter()
        .map(|setting| {
            format!(
                "  {} ({}; {} unless set)\n      {}\n",
                setting.name,
                kind_text(&setting.kind),
                value_text(&setting.kind, &setting.default),
                printable(&setting.help)
            )
        })
        .collect()
}

fn kind_text(kind: &SettingKind) -> String {
    match kind {
        SettingKind::Boolean => "true or false".to_owned(),
        SettingKind::Integer(range) => {
            format!("a number from {} to {}", range.minimum, range.maximum)
        }
        SettingKind::Seconds(range) => {
            format!("seconds from {} to {}", range.minimum, range.maximum)
        }
        SettingKind::Text(length) => format!("text of at most {length} characters"),
        SettingKind::Choice(words) => format!("one of {}", printable(&words.join(", "))),
        SettingKind::Texts(count) => format!("a list of at most {count} texts"),
        SettingKind::Actions => "a list of actions".to_owned(),
    }
}

pub(crate) fn value_text(kind: &SettingKind, value: &SettingValue) -> String {
    match (kind, value) {
        (SettingKind::Choice(words), SettingValue::Choice(index)) => {
            words.get(*index as usize).cloned().unwrap_or_default()
        }
        (_, SettingValue::Boolean(value)) => value.to_string(),
        (_, SettingValue::Integer(value)) => value.to_string(),
        (_, SettingValue::Text(text)) => format!("\"{}\"", printable(text)),
        (_, SettingValue::Texts(texts)) => printable(&format!("{texts:?}")),
        (_, SettingValue::Actions(actions)) => format!(
            "[{}]",
            actions
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" ")
        ),
        (_, SettingValue::Choice(index)) => index.to_string(),
    }
}
