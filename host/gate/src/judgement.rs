//! Whether a set allows what a registry needs, as far as that can be checked before it serves.
//!
//! All commands that take a set from a folder share one judgement: `portcullis policy check`,
//! `apply --dry-run` and `apply` refuse the same sets with the same words. Servers that follow an
//! activation do not judge, since the operator may have intended it; they refuse a set that cannot
//! be loaded or whose own cases fail.

use std::fmt;

use model::{Action, CredentialKind};
use policy_engine::PolicySet;
use policy_engine::survey::Silence;
use serde_json::{Value, json};

/// People, and the tokens they created. Not the tokens of publishers: if only those can do
/// something, no person can.
const PEOPLE: &[CredentialKind] = &[
    CredentialKind::None,
    CredentialKind::Session,
    CredentialKind::BasicPassword,
    CredentialKind::ApiToken,
];

/// Actions that must be possible with one of these credentials, or nobody can use or repair the
/// registry.
const NEEDS: &[(&str, Action, &[CredentialKind])] = &[
    ("read the index", Action::IndexRead, PEOPLE),
    ("download a file", Action::FileDownload, PEOPLE),
    // The page is requested without a credential; the session is decided about with one.
    (
        "see the page for logging in",
        Action::SessionStart,
        &[CredentialKind::None],
    ),
    ("log in", Action::SessionStart, &[CredentialKind::Session]),
    (
        "activate the next policy set",
        Action::PolicySetActivate,
        &[CredentialKind::Session],
    ),
];

/// Actions worth a note if nobody can do them: an emergency may be the reason.
const WISHES: &[(&str, Action, &[CredentialKind])] = &[
    ("upload a file", Action::FileUpload, PEOPLE),
    ("create an account", Action::AccountCreate, PEOPLE),
];

/// What is known of a set before it serves.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Policies that gave no verdict, with the caller and the action.
    pub silences: Vec<Silence>,
    /// Actions that nobody could do, but somebody must be able to.
    pub lockouts: Vec<Lockout>,
    /// Notes for its author, one sentence each.
    pub notes: Vec<String>,
}

/// An action that nobody could do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lockout {
    pub action: Action,
    /// Words that follow "nobody could".
    pub what: &'static str,
}

impl Judgement {
    /// Judges a set that was assembled with this many files of cases. Blocking.
    pub(crate) fn of(set: &PolicySet, case_files: usize) -> Self {
        let nobody_could =
            |(what, action, credentials): &(&'static str, Action, &[CredentialKind])| {
                let may = |credential: &CredentialKind| {
                    set.may_permit(
                        crate::context::action(*action),
                        crate::context::credential(*credential),
                    )
                };
                (!credentials.iter().any(may)).then_some(Lockout {
                    action: *action,
                    what,
                })
            };
        let mut notes = Vec::new();
        if case_files == 0 {
            notes.push(
                "The set has no cases, so nothing shows when a change to it refuses or permits someone by mistake. Put some into its folder `cases`."
                    .to_owned(),
            );
        }
        notes.extend(WISHES.iter().filter_map(nobody_could).map(|lockout| {
            format!(
                "Nobody could {} ({}) under this set.",
                lockout.what, lockout.action
            )
        }));
        Self {
            silences: set.survey(),
            lockouts: NEEDS.iter().filter_map(nobody_could).collect(),
            notes,
        }
    }

    /// Whether the set is refused unless the operator accepts a lockout.
    pub fn refuses(&self) -> bool {
        !self.silences.is_empty() || !self.lockouts.is_empty()
    }

    /// All of it, for programs.
    pub fn to_json(&self) -> Value {
        json!({
            "failures": self.silences,
            "lockouts": self.lockouts.iter().map(|lockout| json!({ "action": lockout.action.as_str(), "what": lockout.what })).collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }
}

/// The objections to the set, in lines; empty if there are none.
impl fmt::Display for Judgement {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (first, lines) in grouped(&self.silences) {
            writeln!(
                out,
                "policy `{}` (in grade {}) {}:",
                first.policy.policy,
                first.policy.grade.as_str(),
                first.failure
            )?;
            for (callers, actions) in lines {
                writeln!(
                    out,
                    "  {}: {}",
                    callers_in_words(&callers),
                    actions_in_words(&actions)
                )?;
            }
        }
        for Lockout { action, what } in &self.lockouts {
            writeln!(out, "nobody could {what} ({action})")?;
        }
        Ok(())
    }
}

/// The callers who met it, and in which actions.
type Line<'a> = (Vec<&'a str>, Vec<&'a str>);

/// Groups the silences of one policy for one reason, and in each the actions by the callers who met
/// it.
fn grouped(silences: &[Silence]) -> Vec<(&Silence, Vec<Line<'_>>)> {
    let mut groups: Vec<(&Silence, Vec<(&str, Vec<&str>)>)> = Vec::new();
    for silence in silences {
        let known = groups.iter().position(|(first, _)| {
            first.policy == silence.policy && first.failure == silence.failure
        });
        let position = known.unwrap_or(groups.len());
        if known.is_none() {
            groups.push((silence, Vec::new()));
        }
        let actions = &mut groups[position].1;
        match actions
            .iter_mut()
            .find(|(action, _)| *action == silence.action.as_str())
        {
            Some((_, callers)) => callers.push(silence.caller),
            None => actions.push((silence.action.as_str(), vec![silence.caller])),
        }
    }
    groups
        .into_iter()
        .map(|(first, actions)| (first, by_callers(actions)))
        .collect()
}

fn by_callers<'a>(actions: Vec<(&'a str, Vec<&'a str>)>) -> Vec<Line<'a>> {
    let mut lines: Vec<Line<'a>> = Vec::new();
    for (action, callers) in actions {
        match lines.iter_mut().find(|(known, _)| *known == callers) {
            Some((_, actions)) => actions.push(action),
            None => lines.push((callers, vec![action])),
        }
    }
    lines
}

fn callers_in_words(callers: &[&str]) -> String {
    if callers.len() == policy_engine::cases::profile::Caller::ALL.len() {
        "every caller".to_owned()
    } else {
        callers.join(", ")
    }
}

/// Most actions named one by one; `--json` has them all.
const NAMED: usize = 8;

fn actions_in_words(actions: &[&str]) -> String {
    match actions.len() {
        all if all == Action::ALL.len() => "every action".to_owned(),
        0..=NAMED => actions.join(" "),
        more => format!("{} and {} more", actions[..NAMED].join(" "), more - NAMED),
    }
}

#[cfg(test)]
mod tests {
    use policy_engine::contract::Action as AskedAction;
    use policy_engine::{EvaluateFailure, Grade, PolicyIdentity};

    use super::*;

    fn silence(policy: &str, action: AskedAction, caller: &'static str) -> Silence {
        let identity = PolicyIdentity {
            policy: policy.into(),
            version: "1".into(),
            digest: "ab".into(),
            grade: Grade::Observe,
        };
        Silence {
            policy: identity,
            action,
            caller,
            failure: EvaluateFailure::Trap("reached code that ends the module".into()),
        }
    }

    #[test]
    fn who_meets_what_is_said_once_for_all_that_is_alike() {
        let silences = vec![
            silence("a", AskedAction::IndexRead, "anonymous"),
            silence("b", AskedAction::IndexRead, "anonymous"),
            silence("a", AskedAction::IndexRead, "session"),
            silence("a", AskedAction::FileUpload, "anonymous"),
            silence("a", AskedAction::FileUpload, "session"),
            silence("a", AskedAction::TokenList, "session"),
        ];
        let judgement = Judgement {
            silences,
            lockouts: vec![Lockout {
                action: Action::SessionStart,
                what: "log in",
            }],
            notes: Vec::new(),
        };
        assert_eq!(
            judgement.to_string(),
            "policy `a` (in grade observe) trapped: reached code that ends the module:\n  anonymous, session: index:read file:upload\n  session: token:list\n\
             policy `b` (in grade observe) trapped: reached code that ends the module:\n  anonymous: index:read\nnobody could log in (session:start)\n"
        );
        assert_eq!(judgement.to_json()["failures"][3]["action"], "file:upload");
    }
}
