//! The settings that decided, and who chose them.
//!
//! These are the settings at the time of the decision, not the current ones: a policy set never
//! changes under its number, the record holds the choices of the project's owners, and the audit
//! log, which never changes, has who chose them.

use std::collections::HashMap;
use std::fmt::Write as _;

use model::audit::{AuditEvent, Detail, EventKind};
use policy_engine::contract::{SettingKind, SettingValue};
use policy_engine::{Decision, PolicySet, SettingInForce};
use serde_json::{Value, json};
use storage::audit::AuditFilter;
use storage::decisions::DecisionRow;

use crate::answer::{columns, moment, printable};
use crate::command_line::CommandLine;
use crate::commands::audit::actor;
use crate::commands::policy::value_text;

/// Rows that are read at a time.
const PAGE: u32 = 500;

/// The settings of the policies that were asked.
pub(super) struct Settings {
    /// Who stored the set and who made it active, in a line each.
    of_set: Vec<String>,
    operators: Vec<Shown>,
    owners: Vec<Shown>,
    /// Settings that do not fit, or cannot be shown.
    remarks: Vec<String>,
}

/// A setting with its value.
struct Shown {
    policy: String,
    grade: &'static str,
    setting: String,
    text: String,
    value: Value,
    /// None if it is the policy's default.
    chosen: Option<String>,
}

/// Collects the settings behind a decision of policies; none for other decisions.
pub(super) async fn of(
    line: &CommandLine,
    row: &DecisionRow,
    record: &Value,
) -> anyhow::Result<Option<Settings>> {
    let Some(number) = row.set_number else {
        return Ok(None);
    };
    let Some(decision) = record
        .get("decision")
        .and_then(|decision| serde_json::from_value::<Decision>(decision.clone()).ok())
    else {
        return Ok(None);
    };
    let nothing = json!({});
    let chosen_by_owners = record.get("owner-settings").unwrap_or(&nothing);
    let mut settings = Settings {
        of_set: of_set(line, row, number).await?,
        operators: Vec::new(),
        owners: Vec::new(),
        remarks: Vec::new(),
    };

    let set = match gate::read_set(&line.storage, &line.engine()?, u64::try_from(number)?).await {
        Ok(set) => set,
        Err(error) => {
            settings.remarks.push(format!("set {number} cannot be read by this version, so its settings are not shown: {error}"));
            return Ok(Some(settings));
        }
    };
    let owner = set.resolve_owner_settings(chosen_by_owners);
    settings.remarks.extend(
        owner
            .problems()
            .iter()
            .map(|problem| format!("chosen, and not what the set offers: {problem}")),
    );
    let is_about_a_project = row.project_name.is_some();
    for (identity, in_force) in heard(&set, &decision, &owner) {
        let shown = |setting: &SettingInForce, chosen| Shown {
            policy: identity.policy.clone(),
            grade: identity.grade.as_str(),
            setting: setting.name.clone(),
            text: value_text(&setting.kind, &setting.value),
            value: value_json(&setting.kind, &setting.value),
            chosen,
        };
        settings.operators.extend(
            in_force
                .operator
                .iter()
                .map(|setting| shown(setting, setting.is_chosen.then(|| format!("set {number}")))),
        );
        if in_force.owner.is_empty() || !is_about_a_project {
            continue;
        }
        let choices = choices(line, row, &identity.policy, chosen_by_owners).await?;
        for setting in &in_force.owner {
            let chosen = setting.is_chosen.then(|| {
                choices
                    .get(&setting.name)
                    .cloned()
                    .unwrap_or_else(|| "by whom is not on record".to_owned())
            });
            settings.owners.push(shown(setting, chosen));
        }
    }
    Ok(Some(settings))
}

/// The policies that were asked, in binding order, with their settings.
fn heard<'a>(
    set: &'a PolicySet,
    decision: &'a Decision,
    owner: &policy_engine::OwnerSettings,
) -> impl Iterator<
    Item = (
        &'a policy_engine::PolicyIdentity,
        policy_engine::BoundSettings,
    ),
> + 'a {
    let bound: Vec<_> = set
        .policies()
        .map(|policy| &**policy)
        .zip(set.settings(owner))
        .collect();
    bound.into_iter().filter(|(identity, _)| {
        decision
            .policies
            .iter()
            .any(|record| *record.identity == **identity)
    })
}

/// Who stored the set, and who made it active before it decided.
async fn of_set(line: &CommandLine, row: &DecisionRow, number: i64) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    if let Some(set) = line.storage.policy_set(number).await? {
        let by = author(
            line,
            &[EventKind::PolicySetAdded],
            |event| matches!(event.detail, Detail::PolicySetAdded { set, .. } if set == number),
        )
        .await?;
        lines.push(format!(
            "set {number} ({}) was stored {} by {by}",
            printable(&set.name),
            moment(set.created_at)
        ));
    }
    let mut before = None;
    let activation = loop {
        let page = line.storage.activations(before, PAGE).await?;
        before = page.last().map(|last| last.sequence);
        let is_last = page.len() < PAGE as usize;
        let found = page
            .into_iter()
            .find(|activation| activation.set_number == number && activation.at <= row.at);
        if found.is_some() || is_last {
            break found;
        }
    };
    if let Some(activation) = activation {
        let kinds = [
            EventKind::PolicySetActivated,
            EventKind::PolicySetRolledBack,
        ];
        let by = author(line, &kinds, |event| {
            event.at == activation.at && event.detail.activated_set() == Some(number)
        })
        .await?;
        let reason = if activation.reason.is_empty() {
            String::new()
        } else {
            format!(": {}", printable(&activation.reason))
        };
        lines.push(format!(
            "it was activated {} by {by}{reason}",
            moment(activation.at)
        ));
    }
    Ok(lines)
}

/// The author of such an event, taken from the newest one.
async fn author(
    line: &CommandLine,
    kinds: &[EventKind],
    is_it: impl Fn(&AuditEvent) -> bool,
) -> anyhow::Result<String> {
    for kind in kinds {
        let filter = AuditFilter {
            kind: Some(*kind),
            ..AuditFilter::default()
        };
        let mut before = None;
        loop {
            let page = line.storage.events(&filter, before, PAGE).await?;
            if let Some(found) = page.iter().find(|row| is_it(&row.event)) {
                return Ok(printable(&actor(line, &found.event.actor).await?));
            }
            before = page.last().map(|last| last.sequence);
            if page.len() < PAGE as usize {
                break;
            }
        }
    }
    Ok("someone the audit log does not name".to_owned())
}

/// When, and by whom, each setting of this policy got the value that it had at the time of the
/// decision.
async fn choices(
    line: &CommandLine,
    row: &DecisionRow,
    policy: &str,
    chosen: &Value,
) -> anyhow::Result<HashMap<String, String>> {
    let mut choices = HashMap::new();
    let (Some(name), Some(chosen)) = (&row.project_name, chosen.get(policy)) else {
        return Ok(choices);
    };
    let Some(project) = line.storage.project(name).await? else {
        return Ok(choices);
    };
    let filter = AuditFilter {
        project: Some(project.id),
        kind: Some(EventKind::ProjectConfigured),
        ..AuditFilter::default()
    };
    let made_at = row.at;
    let mut changes: Vec<AuditEvent> = Vec::new();
    let mut before = None;
    loop {
        let page = line.storage.events(&filter, before, PAGE).await?;
        before = page.last().map(|last| last.sequence);
        let is_last = page.len() < PAGE as usize;
        changes.extend(
            page.into_iter()
                .map(|row| row.event)
                .filter(|event| event.at <= made_at && is_about(event, policy)),
        );
        if is_last {
            break;
        }
    }
    for (setting, event) in chosen_by(&changes, chosen) {
        choices.insert(
            setting,
            format!(
                "chosen {} by {}",
                moment(event.at),
                printable(&actor(line, &event.actor).await?)
            ),
        );
    }
    Ok(choices)
}

fn is_about(event: &AuditEvent, of: &str) -> bool {
    matches!(&event.detail, Detail::ProjectConfigured { policy, .. } if policy == of)
}

/// What owners chose with this change.
fn settings_of(event: &AuditEvent) -> Option<&Value> {
    match &event.detail {
        Detail::ProjectConfigured { settings, .. } => Some(settings),
        _ => None,
    }
}

/// For each setting of `chosen`, the change that set its value. `changes` are those of one policy's
/// settings, newest first; a change that repeats a value is ignored.
fn chosen_by<'a>(changes: &'a [AuditEvent], chosen: &Value) -> Vec<(String, &'a AuditEvent)> {
    let Some(start) = changes
        .iter()
        .position(|event| settings_of(event) == Some(chosen))
    else {
        return Vec::new();
    };
    let of_setting = |(name, value): (&String, &Value)| {
        let alike = changes[start..].iter().take_while(|event| {
            settings_of(event).and_then(|settings| settings.get(name)) == Some(value)
        });
        alike.last().map(|event| (name.clone(), event))
    };
    chosen
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(of_setting)
        .collect()
}

impl Settings {
    pub(super) fn to_json(&self) -> Value {
        let list = |shown: &[Shown]| -> Value {
            let one = |shown: &Shown| json!({ "policy": shown.policy, "grade": shown.grade, "setting": shown.setting, "value": shown.value, "chosen": shown.chosen });
            shown.iter().map(one).collect()
        };
        json!({ "set": self.of_set, "operators": list(&self.operators), "owners": list(&self.owners), "remarks": self.remarks })
    }

    pub(super) fn write(&self, text: &mut String) {
        let _ = writeln!(text, "\nsettings of the operators, as they were then");
        for line in &self.of_set {
            let _ = writeln!(text, "  {line}");
        }
        write_rows(text, &self.operators);
        if !self.owners.is_empty() {
            let _ = writeln!(
                text,
                "\nsettings of the project's owners, as they were then"
            );
            write_rows(text, &self.owners);
        }
        for remark in &self.remarks {
            let _ = writeln!(text, "  {}", printable(remark));
        }
    }
}

fn write_rows(text: &mut String, shown: &[Shown]) {
    let row = |shown: &Shown| {
        let policy = if shown.grade == "enforce" {
            shown.policy.clone()
        } else {
            format!("{} ({})", shown.policy, shown.grade)
        };
        vec![
            policy,
            shown.setting.clone(),
            shown.chosen.clone().unwrap_or_else(|| "default".to_owned()),
            shown.text.clone(),
        ]
    };
    for line in columns(&shown.iter().map(row).collect::<Vec<_>>()).lines() {
        let _ = writeln!(text, "  {line}");
    }
}

/// A value as people write it in a set or on the command line.
fn value_json(kind: &SettingKind, value: &SettingValue) -> Value {
    match (kind, value) {
        (SettingKind::Choice(words), SettingValue::Choice(position)) => {
            json!(words.get(*position as usize))
        }
        (_, SettingValue::Choice(position)) => json!(position),
        (_, SettingValue::Boolean(value)) => json!(value),
        (_, SettingValue::Integer(value)) => json!(value),
        (_, SettingValue::Text(text)) => json!(text),
        (_, SettingValue::Texts(texts)) => json!(texts),
        (_, SettingValue::Actions(actions)) => actions
            .iter()
            .map(|action| json!(action.as_str()))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use model::Timestamp;

    use super::*;

    fn change(at: i64, settings: Value) -> AuditEvent {
        let detail = Detail::ProjectConfigured {
            policy: "owner-mandate".to_owned(),
            settings,
            before: None,
        };
        AuditEvent::of_server(Timestamp(at), detail)
    }

    #[test]
    fn who_chose_a_value_is_who_changed_it_and_not_who_repeated_it() {
        let changes = [
            change(5, json!({ "second-factor": false })),
            change(4, json!({ "second-factor": true, "fresh-within": 900 })),
            change(3, json!({ "second-factor": true })),
            change(2, json!({})),
            change(1, json!({ "second-factor": true })),
        ];
        let check = |chosen: Value, expected: &[(&str, i64)]| {
            let mut found: Vec<_> = chosen_by(&changes, &chosen)
                .into_iter()
                .map(|(name, event)| (name, event.at.0))
                .collect();
            found.sort();
            let expected: Vec<_> = expected
                .iter()
                .map(|(name, at)| ((*name).to_owned(), *at))
                .collect();
            assert_eq!(found, expected, "{chosen}");
        };
        check(
            json!({ "second-factor": true, "fresh-within": 900 }),
            &[("fresh-within", 4), ("second-factor", 3)],
        );
        check(json!({ "second-factor": false }), &[("second-factor", 5)]);
        check(json!({}), &[]);
        check(json!({ "second-factor": "never chosen" }), &[]);
    }
}
