//! `portcullis explain`.

mod settings;

use std::fmt::Write as _;

use anyhow::{Context as _, bail};
use clap::Args;
use model::UserId;
use model::audit::EventKind;
use policy_engine::contract::{Outcome, Reason};
use policy_engine::{Decision, PolicyRecord};
use serde_json::{Value, json};
use storage::decisions::DecisionRow;

use self::settings::Settings;
use super::decision_id;
use super::decisions::summary;
use crate::answer::{Answer, columns, printable};
use crate::command_line::CommandLine;

#[derive(Debug, Args)]
#[command(
    after_help = "The id is in the refusal, in the log line of the request, and in the response header Portcullis-Decision."
)]
pub(crate) struct ExplainArguments {
    /// The decision's id, or a unique beginning of it.
    #[arg(value_parser = decision_id)]
    id: String,
}

pub(crate) async fn run(arguments: ExplainArguments, line: &CommandLine) -> anyhow::Result<Answer> {
    let row = find(line, &arguments.id).await?.with_context(|| {
        format!(
            "there is no decision {3} on record. Either the id is mistyped or another registry’s, or the decision was not kept by itself. Permitted reads without a credential are recorded up to a rate (recorded-reads-per-second). Refusals, and what one account is permitted and does not come to a change, are recorded up to a rate for each source, and counted beyond it: `{0} audit --kind {1}` and `{0} audit --kind {2}` show how many, minute by minute and by source. Decisions are kept for {4} days (decision-retention)",
            line.program(),
            EventKind::RefusalsCounted,
            EventKind::DecisionsCounted,
            arguments.id,
            line.configuration.values.decision_retention.as_secs() / 86_400
        )
    })?;
    let record: Value = serde_json::from_str(&row.record).unwrap_or(Value::Null);
    let user = name_of(line, row.user).await?;
    let set_aside = set_aside(line, &record).await?;
    let set_name = match row.set_number {
        Some(number) => line.storage.policy_set(number).await?.map(|set| set.name),
        None => None,
    };
    let mut json = summary(&row, user.clone());
    json["record"] = record.clone();
    let settings = settings::of(line, &row, &record).await?;
    json["settings"] = settings.as_ref().map_or(Value::Null, Settings::to_json);
    Ok(Answer::new(
        layout(
            &row,
            user.as_deref(),
            set_name.as_deref(),
            set_aside.as_deref(),
            &record,
            settings.as_ref(),
        ),
        json,
    ))
}

/// The name of a user, or the id if the name is gone.
async fn name_of(line: &CommandLine, id: Option<UserId>) -> anyhow::Result<Option<String>> {
    let Some(id) = id else { return Ok(None) };
    Ok(Some(line.storage.user(id).await?.map_or_else(
        || id.to_string(),
        |user| user.name.to_string(),
    )))
}

/// The credential that was presented but made no difference, in words.
async fn set_aside(line: &CommandLine, record: &Value) -> anyhow::Result<Option<String>> {
    let Some(presented) = record.get("set-aside").and_then(Value::as_object) else {
        return Ok(None);
    };
    let word = |key: &str| presented.get(key).and_then(Value::as_str).map(printable);
    let user = name_of(line, word("user").and_then(|id| id.parse().ok())).await?;
    let (credential, why) = (
        word("credential").unwrap_or_default(),
        word("why").unwrap_or_default(),
    );
    let whose = user.map(|user| format!(" of {user}")).unwrap_or_default();
    let which = word("token")
        .map(|token| format!(" ({token})"))
        .unwrap_or_default();
    Ok(Some(format!(
        "{credential}{whose}{which}, which made no difference: {why}"
    )))
}

/// How many ids are listed if several begin alike.
const LISTED: u32 = 10;

/// The one decision whose id begins with this.
async fn find(line: &CommandLine, beginning: &str) -> anyhow::Result<Option<DecisionRow>> {
    let found = line
        .storage
        .decisions_beginning(beginning, LISTED + 1)
        .await?;
    match found.as_slice() {
        [] => Ok(None),
        [id] => Ok(line.storage.decision(*id).await?),
        several => {
            let mut ids: Vec<String> = several
                .iter()
                .take(LISTED as usize)
                .map(ToString::to_string)
                .collect();
            if several.len() > ids.len() {
                ids.push("and more".to_owned());
            }
            bail!(
                "several decisions begin with {beginning}; give more of the id: {}",
                ids.join(", ")
            )
        }
    }
}

/// The whole decision, for people.
fn layout(
    row: &DecisionRow,
    user: Option<&str>,
    set_name: Option<&str>,
    set_aside: Option<&str>,
    record: &Value,
    settings: Option<&Settings>,
) -> String {
    let mut head = vec![
        vec!["decision".to_owned(), row.id.to_string()],
        vec!["time".into(), row.at.to_string()],
        vec!["action".into(), row.action.clone()],
        vec!["outcome".into(), row.outcome.clone()],
        vec!["route".into(), row.route.clone()],
    ];
    if let Some(request) = record
        .get("request")
        .and_then(Value::as_str)
        .filter(|request| *request != row.id.to_string())
    {
        head.push(vec!["request".into(), printable(request)]);
    }
    if let Some(system_user) = record.get("system-user").and_then(Value::as_str) {
        head.push(vec![
            "by".into(),
            format!(
                "{} on the command line; no policy was asked",
                printable(system_user)
            ),
        ]);
    }
    if let Some(number) = row.set_number {
        head.push(vec![
            "policy set".into(),
            format!(
                "{number}{}",
                set_name
                    .map(|name| format!(" ({name})"))
                    .unwrap_or_default()
            ),
        ]);
    }
    if let Some(user) = user {
        head.push(vec!["user".into(), user.to_owned()]);
    }
    if let Some(token) = row.token {
        head.push(vec!["token".into(), token.to_string()]);
    }
    if let Some(presented) = set_aside {
        head.push(vec!["set aside".into(), presented.to_owned()]);
    }
    for name in ["version", "file"] {
        if let Some(text) = record.get(name).and_then(Value::as_str) {
            head.push(vec![name.to_owned(), printable(text)]);
        }
    }
    if let Some(policies) = &row.would_refuse {
        head.push(vec!["would refuse".into(), printable(policies)]);
    }
    if !row.remote_address.is_empty() {
        head.push(vec!["from".into(), printable(&row.remote_address)]);
    }
    let mut text = columns(&head);

    if let Some(core) = record
        .get("core")
        .and_then(|core| serde_json::from_value::<Reason>(core.clone()).ok())
    {
        let _ = writeln!(
            text,
            "\nrefused by a rule of the registry itself, before any policy was asked"
        );
        write_reason(&mut text, &core);
    }
    if let Some(decision) = record
        .get("decision")
        .and_then(|decision| serde_json::from_value::<Decision>(decision.clone()).ok())
    {
        write_decision(&mut text, &decision);
    }
    if let Some(settings) = settings {
        settings.write(&mut text);
    }
    if let Some(context) = record.get("context") {
        let _ = writeln!(text, "\ncontext");
        write_tree(&mut text, &labelled(context), 1);
    }
    text
}

fn write_decision(text: &mut String, decision: &Decision) {
    let _ = writeln!(
        text,
        "\npolicies ({} µs in all)",
        decision.nanoseconds / 1000
    );
    let mut rows = vec![
        [
            "policy", "version", "grade", "verdict", "µs", "fuel", "module",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    rows.extend(decision.policies.iter().map(|policy| {
        vec![
            policy.policy.clone(),
            policy.version.clone(),
            policy.grade.as_str().to_owned(),
            verdict(policy),
            format!("{:.1}", policy.nanoseconds as f64 / 1000.0),
            policy.fuel.to_string(),
            policy.digest.chars().take(12).collect(),
        ]
    }));
    for line in columns(&rows).lines() {
        let _ = writeln!(text, "  {line}");
    }
    // Reasons that no policy gave itself, for example that none of them permitted.
    let said_by_policy = |reason: &Reason| {
        decision.policies.iter().any(|policy| {
            policy
                .result
                .as_ref()
                .is_ok_and(|said| said.reasons.contains(reason))
        })
    };
    for reason in decision
        .reasons
        .iter()
        .filter(|reason| !said_by_policy(reason))
    {
        let _ = writeln!(text, "  the registry says");
        write_reason(text, reason);
    }
    for policy in &decision.policies {
        let Ok(said) = &policy.result else { continue };
        for reason in &said.reasons {
            let _ = writeln!(text, "  {} says", policy.policy);
            write_reason(text, reason);
        }
        for obligation in &said.obligations {
            let _ = writeln!(
                text,
                "  {} obliges: {}",
                policy.policy,
                printable(&json!(obligation).to_string())
            );
        }
        for note in &said.notes {
            let _ = writeln!(text, "  {} notes: {}", policy.policy, printable(note));
        }
    }
}

fn verdict(policy: &PolicyRecord) -> String {
    match &policy.result {
        Err(failure) => format!("failed: {}", printable(&failure.to_string())),
        Ok(verdict) => match &verdict.outcome {
            Outcome::Abstain => "abstain".to_owned(),
            Outcome::Permit => "permit".to_owned(),
            Outcome::Stage => "stage".to_owned(),
            Outcome::Deny => "deny".to_owned(),
            Outcome::Require(requirements) => {
                let words: Vec<String> = requirements
                    .iter()
                    .map(|requirement| match json!(requirement) {
                        Value::String(word) => word,
                        other => other.to_string(),
                    })
                    .collect();
                format!("require {}", words.join(", "))
            }
        },
    }
}

fn write_reason(text: &mut String, reason: &Reason) {
    let _ = writeln!(
        text,
        "    {}: {}",
        printable(&reason.code),
        printable(&reason.message)
    );
    if !reason.remedy.is_empty() {
        let _ = writeln!(text, "    {}", printable(&reason.remedy));
    }
}

/// The context, with the version of the metadata format labelled as people know it, so that it is
/// not taken for the release's version.
fn labelled(context: &Value) -> Value {
    let mut context = context.clone();
    if let Some(metadata) = context.get_mut("metadata").and_then(Value::as_object_mut)
        && let Some(version) = metadata.remove("version")
    {
        metadata.insert("metadata-version".to_owned(), version);
    }
    context
}

/// A value as an indented tree, one leaf per line.
fn write_tree(text: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::Object(inner) if !inner.is_empty() => {
                        let _ = writeln!(text, "{indent}{}", printable(name));
                        write_tree(text, value, depth + 1);
                    }
                    leaf => {
                        let _ = writeln!(text, "{indent}{}: {}", printable(name), leaf_text(leaf));
                    }
                }
            }
        }
        leaf => {
            let _ = writeln!(text, "{indent}{}", leaf_text(leaf));
        }
    }
}

fn leaf_text(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text),
        other => printable(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Timestamp;

    fn row() -> DecisionRow {
        DecisionRow {
            id: "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
            at: Timestamp(1_767_614_400_123),
            action: "file:upload".to_owned(),
            outcome: "denied".to_owned(),
            set_number: Some(3),
            user: None,
            token: None,
            project_name: Some("p".to_owned()),
            route: "/legacy/".to_owned(),
            remote_address: "192.0.2.1".to_owned(),
            microseconds: 17,
            would_refuse: Some("require-second-factor".to_owned()),
            record: String::new(),
        }
    }

    #[test]
    fn a_decision_of_policies_is_laid_out_with_every_verdict() {
        let record = json!({
            "request": "01890a5d-ac96-774b-bcce-b302099a8057",
            "context": { "action": "file:upload", "metadata": { "version": "2.5" }, "principal": { "user": { "name": "alice\u{1b}[2J" } } },
            "decision": {
                "outcome": "denied", "reasons": [{ "code": "nobody-permits", "message": "No policy permits this.", "remedy": "" }], "warnings": [], "obligations": [], "set-number": 3, "nanoseconds": 17_300,
                "policies": [
                    { "policy": "restrict-routes", "version": "0.1.0", "digest": "ab".repeat(32), "grade": "enforce", "nanoseconds": 4_200, "fuel": 900,
                      "verdict": { "outcome": "permit", "reasons": [], "obligations": [], "notes": [] } },
                    { "policy": "require-second-factor", "version": "0.1.0", "digest": "cd".repeat(32), "grade": "observe", "nanoseconds": 5_100, "fuel": 1000,
                      "verdict": { "outcome": { "require": ["enrolled-second-factor", { "second-factor-within": 900 }] },
                                   "reasons": [{ "code": "no-second-factor", "message": "You need a second factor.", "remedy": "Enroll one." }], "obligations": [], "notes": ["seen"] } },
                ],
            },
        });
        let text = layout(&row(), Some("alice"), Some("strict"), None, &record, None);
        for part in [
            "denied",
            "3 (strict)",
            "restrict-routes",
            "permit",
            "observe",
            "require enrolled-second-factor, {\"second-factor-within\":900}",
            "no-second-factor: You need a second factor.",
            "Enroll one.",
            "nobody-permits: No policy permits this.",
            "seen",
            "17 µs",
            "would refuse",
            "metadata-version: 2.5",
            "4.2",
            "alice\u{fffd}[2J",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        assert!(!text.contains('\u{1b}'));
        assert!(
            !text.contains("request  "),
            "a request's first decision has its id"
        );
    }

    #[test]
    fn a_refusal_of_the_core_says_that_no_policy_was_asked() {
        let record = json!({ "core": { "code": "invalid-token", "message": "The token is unknown.", "remedy": "Make another one." } });
        let text = layout(
            &row(),
            None,
            None,
            Some("api-token of alice, which made no difference: revoked-token"),
            &record,
            None,
        );
        assert!(
            text.contains("before any policy was asked")
                && text.contains("invalid-token: The token is unknown."),
            "{text}"
        );
    }
}
