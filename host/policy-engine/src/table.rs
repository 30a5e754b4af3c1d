//! The decision table of a policy set: what each kind of caller may do, in a form that people can
//! read and whose changes they can review.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::PolicySet;
use crate::cases::Expectation;
use crate::cases::profile::Caller;
use crate::contract::{Action, Area, Setting, SettingKind, SettingValue};

/// Renders the table as Markdown: all actions by all callers without owners' choices, in one
/// section for each area of the registry, then the effect of each choice.
pub fn render(set: &PolicySet) -> String {
    let mut codes = Codes::default();
    let mut out = String::new();
    let spec = set.spec();
    let _ = writeln!(out, "# Decisions of the policy set `{}`\n", spec.name);
    if !spec.summary.is_empty() {
        let _ = writeln!(out, "{}\n", spec.summary);
    }
    out.push_str("Made by `cargo xtask decision-table`; do not edit. Who the callers are: `host/policy-engine/src/cases/profile.rs`.\n");
    out.push_str("What the policies permit, the core may still refuse: roles, token scopes and integrity checks are its own.\n");
    let reads = in_words(Action::ALL.iter().filter(|action| action.is_read()));
    let _ = writeln!(
        out,
        "What `anonymous` may read ({reads}) is read with any credential, as if it had not been sent."
    );
    out.push_str("A number in brackets stands for the reasons listed at the end.\n");

    let mut default = Vec::new();
    for &area in Area::ALL {
        let _ = writeln!(out, "\n## {}\n", area.as_str());
        head(&mut out, "action");
        for &action in Action::ALL {
            if action.about().area() != area {
                continue;
            }
            let cells = row(set, action, &json!({}), &mut codes);
            line(&mut out, &in_words([&action]), &cells);
            default.push((action, cells));
        }
    }

    out.push_str(
        "\n## What owners may switch on\n\nOnly what changes, against the tables above.\n\n",
    );
    head(&mut out, "setting and actions");
    for (policy, setting, value, label) in choices(set) {
        let owner = json!({ policy: { setting: value } });
        // Actions that change in the same way share a row.
        let mut changed: Vec<(Vec<Action>, Vec<String>)> = Vec::new();
        for (action, before) in &default {
            let after = row(set, *action, &owner, &mut codes);
            if after == *before {
                continue;
            }
            match changed.iter_mut().find(|(_, cells)| *cells == after) {
                Some((actions, _)) => actions.push(*action),
                None => changed.push((vec![*action], after)),
            }
        }
        for (actions, cells) in changed {
            let first = format!("{label}: {}", in_words(&actions));
            line(&mut out, &first, &cells);
        }
    }

    out.push_str("\n## Reasons\n\n");
    for (position, code) in codes.known.iter().enumerate() {
        let _ = writeln!(out, "- [{}] {code}", position + 1);
    }
    out
}

/// One cell for each caller.
fn row(set: &PolicySet, action: Action, owner: &Value, codes: &mut Codes) -> Vec<String> {
    let owner = set.resolve_owner_settings(owner);
    let cell = |caller: &Caller| {
        let decision = set.decide(&caller.context(action), &owner);
        let outcome = Expectation::of(&decision);
        if outcome == Expectation::Permit {
            return outcome.as_str().to_owned();
        }
        let reasons: Vec<String> = decision
            .reasons
            .iter()
            .map(|reason| format!("`{}`", reason.code))
            .collect();
        match reasons.is_empty() {
            true => outcome.as_str().to_owned(),
            false => format!(
                "{} [{}]",
                outcome.as_str(),
                codes.number(reasons.join(", "))
            ),
        }
    };
    Caller::ALL.iter().map(cell).collect()
}

/// One choice for each value of each owner setting that is not its default, as far as a few values
/// can represent all.
fn choices(set: &PolicySet) -> Vec<(String, String, Value, String)> {
    let mut choices = Vec::new();
    for form in set.owner_forms() {
        for setting in &form.settings {
            for value in other_values(setting) {
                let label = format!("`{}.{}` = {}", form.policy, setting.name, value);
                choices.push((form.policy.clone(), setting.name.clone(), value, label));
            }
        }
    }
    choices
}

fn other_values(setting: &Setting) -> Vec<Value> {
    match (&setting.kind, &setting.default) {
        (SettingKind::Boolean, SettingValue::Boolean(default)) => vec![json!(!default)],
        (SettingKind::Seconds(range), _) => vec![json!(300.clamp(range.minimum, range.maximum))],
        (SettingKind::Choice(words), SettingValue::Choice(default)) => {
            let others = words
                .iter()
                .enumerate()
                .filter(|(position, _)| *position != *default as usize);
            others.map(|(_, word)| json!(word)).collect()
        }
        // No single value can represent the others.
        _ => Vec::new(),
    }
}

/// Reasons seen so far, numbered in the order in which the table shows them.
#[derive(Default)]
struct Codes {
    known: Vec<String>,
}

impl Codes {
    fn number(&mut self, code: String) -> usize {
        let position = self.known.iter().position(|known| *known == code);
        position.unwrap_or_else(|| {
            self.known.push(code);
            self.known.len() - 1
        }) + 1
    }
}

fn in_words<'a>(actions: impl IntoIterator<Item = &'a Action>) -> String {
    let actions = actions.into_iter().map(|action| format!("`{action}`"));
    actions.collect::<Vec<_>>().join(", ")
}

fn head(out: &mut String, first: &str) {
    let callers: Vec<&str> = Caller::ALL.iter().map(|caller| caller.as_str()).collect();
    let _ = writeln!(out, "| {first} | {} |", callers.join(" | "));
    let _ = writeln!(out, "|{}", " --- |".repeat(callers.len() + 1));
}

fn line(out: &mut String, first: &str, cells: &[String]) {
    let _ = writeln!(out, "| {first} | {} |", cells.join(" | "));
}
