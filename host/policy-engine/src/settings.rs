//! Settings: from people's input to a policy's arguments.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::contract::{Action, Setting, SettingKind, SettingValue};
use crate::text::is_line;

/// The choices of one project's owners, resolved for one policy set. Made by
/// [`PolicySet::resolve_owner_settings`](crate::PolicySet::resolve_owner_settings); another set
/// resolves them again, so it can never be wrong, only slower.
///
/// The default is a project whose owners made no choices.
#[derive(Clone, Debug, Default)]
pub struct OwnerSettings {
    pub(crate) resolved: Option<Arc<ResolvedSettings>>,
}

#[derive(Debug)]
pub(crate) struct ResolvedSettings {
    /// The set this was resolved for; each assembled set has its own number here.
    pub(crate) identity: u64,
    /// Values in binding order; `None` if all are defaults.
    pub(crate) values: Vec<Option<Vec<SettingValue>>>,
    pub(crate) problems: Vec<String>,
    pub(crate) stored: Value,
}

impl OwnerSettings {
    /// Stored choices that do not fit the set; the setting's default is used instead.
    pub fn problems(&self) -> &[String] {
        self.resolved
            .as_ref()
            .map_or(&[], |resolved| &resolved.problems)
    }
}

/// Checks that the kind allows the value.
pub(crate) fn check(kind: &SettingKind, value: &SettingValue) -> Result<(), String> {
    match (kind, value) {
        (SettingKind::Boolean, SettingValue::Boolean(_)) => Ok(()),
        (
            SettingKind::Integer(range) | SettingKind::Seconds(range),
            SettingValue::Integer(number),
        ) => {
            if (range.minimum..=range.maximum).contains(number) {
                Ok(())
            } else {
                Err(format!(
                    "{number} is outside {} to {}",
                    range.minimum, range.maximum
                ))
            }
        }
        (SettingKind::Text(maximum), SettingValue::Text(text)) => {
            if is_line(text, *maximum as usize) {
                Ok(())
            } else {
                Err(format!("must be one line of at most {maximum} characters"))
            }
        }
        (SettingKind::Choice(words), SettingValue::Choice(position)) => {
            if (*position as usize) < words.len() {
                Ok(())
            } else {
                Err(format!("must be one of {}", words.join(", ")))
            }
        }
        (SettingKind::Texts(maximum), SettingValue::Texts(texts)) => {
            if texts.len() > *maximum as usize {
                Err(format!(
                    "has {} texts, at most {maximum} are allowed",
                    texts.len()
                ))
            } else if texts.iter().all(|text| is_line(text, 200)) {
                Ok(())
            } else {
                Err("each text must be one line of at most 200 characters".into())
            }
        }
        (SettingKind::Actions, SettingValue::Actions(actions)) => {
            if actions.is_sorted_by(|left, right| left < right) {
                Ok(())
            } else {
                Err("each action may be named once, in the order of the contract".into())
            }
        }
        _ => Err(format!("must be {}", expected(kind))),
    }
}

/// Resolves one list of settings from its written form, by name. All problems are reported
/// together, each as (setting, message); a setting with a problem keeps its default.
pub(crate) fn resolve(
    offered: &[Setting],
    written: &Map<String, Value>,
) -> (Vec<SettingValue>, Vec<(String, String)>) {
    let mut problems = Vec::new();
    for name in written.keys() {
        if !offered.iter().any(|setting| setting.name == *name) {
            let known = offered
                .iter()
                .map(|setting| setting.name.as_str())
                .collect::<Vec<_>>();
            let known = if known.is_empty() {
                "it has none".to_owned()
            } else {
                format!("it has {}", known.join(", "))
            };
            problems.push((
                crate::text::line(name, 64),
                format!("the policy has no such setting; {known}"),
            ));
        }
    }
    let values = offered
        .iter()
        .map(|setting| {
            match written
                .get(&setting.name)
                .map(|value| read(&setting.kind, value))
            {
                None => setting.default.clone(),
                Some(Ok(value)) => value,
                Some(Err(message)) => {
                    problems.push((setting.name.clone(), message));
                    setting.default.clone()
                }
            }
        })
        .collect();
    (values, problems)
}

/// Reads a value as people write it: choices and actions by their words, durations as a
/// number of seconds or with a unit (`90s`, `15m`, `24h`, `30d`).
fn read(kind: &SettingKind, value: &Value) -> Result<SettingValue, String> {
    let wrong = || format!("must be {}", expected(kind));
    let read = match kind {
        SettingKind::Boolean => SettingValue::Boolean(value.as_bool().ok_or_else(wrong)?),
        SettingKind::Integer(_) => SettingValue::Integer(value.as_i64().ok_or_else(wrong)?),
        SettingKind::Seconds(_) => SettingValue::Integer(
            value
                .as_i64()
                .or_else(|| seconds(value.as_str()?))
                .ok_or_else(wrong)?,
        ),
        SettingKind::Text(_) => SettingValue::Text(value.as_str().ok_or_else(wrong)?.to_owned()),
        SettingKind::Choice(words) => {
            let word = value.as_str().ok_or_else(wrong)?;
            let position = words
                .iter()
                .position(|known| known == word)
                .ok_or_else(wrong)?;
            SettingValue::Choice(u32::try_from(position).map_err(|_| wrong())?)
        }
        SettingKind::Texts(_) => {
            let texts = value
                .as_array()
                .ok_or_else(wrong)?
                .iter()
                .map(|text| text.as_str().map(str::to_owned));
            SettingValue::Texts(texts.collect::<Option<_>>().ok_or_else(wrong)?)
        }
        SettingKind::Actions => {
            let mut actions = Vec::new();
            for text in value.as_array().ok_or_else(wrong)? {
                let action = text
                    .as_str()
                    .ok_or_else(wrong)?
                    .parse::<Action>()
                    .map_err(|error| error.to_string())?;
                if actions.contains(&action) {
                    return Err(format!("names `{action}` twice"));
                }
                actions.push(action);
            }
            actions.sort_unstable();
            SettingValue::Actions(actions)
        }
    };
    check(kind, &read)?;
    Ok(read)
}

fn seconds(text: &str) -> Option<i64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    number.parse::<i64>().ok()?.checked_mul(unit)
}

fn expected(kind: &SettingKind) -> String {
    match kind {
        SettingKind::Boolean => "true or false".into(),
        SettingKind::Integer(range) => {
            format!("a whole number from {} to {}", range.minimum, range.maximum)
        }
        SettingKind::Seconds(range) => format!(
            "a duration from {} to {} seconds, for example 900 or \"15m\"",
            range.minimum, range.maximum
        ),
        SettingKind::Text(maximum) => format!("a text of at most {maximum} characters"),
        SettingKind::Choice(words) => format!("one of {}", words.join(", ")),
        SettingKind::Texts(maximum) => format!("a list of at most {maximum} texts"),
        SettingKind::Actions => "a list of actions such as \"file:upload\"".into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::contract::Range;

    fn offered() -> Vec<Setting> {
        let setting = |name: &str, kind, default| Setting {
            name: name.into(),
            label: name.into(),
            help: String::new(),
            kind,
            default,
        };
        vec![
            setting("on", SettingKind::Boolean, SettingValue::Boolean(false)),
            setting(
                "age",
                SettingKind::Seconds(Range {
                    minimum: 60,
                    maximum: 3600,
                }),
                SettingValue::Integer(900),
            ),
            setting(
                "mode",
                SettingKind::Choice(vec!["soft".into(), "hard".into()]),
                SettingValue::Choice(0),
            ),
            setting(
                "actions",
                SettingKind::Actions,
                SettingValue::Actions(vec![]),
            ),
        ]
    }

    #[track_caller]
    fn check_resolves(written: Value, values: &[SettingValue], problems: &[&str]) {
        let (found, found_problems) = resolve(&offered(), written.as_object().unwrap());
        assert_eq!(found, values);
        assert_eq!(
            found_problems
                .iter()
                .map(|(name, message)| format!("{name}: {message}"))
                .collect::<Vec<_>>(),
            problems
        );
    }

    #[test]
    fn what_is_written_in_words_becomes_typed_values() {
        check_resolves(
            json!({"on": true, "age": "15m", "mode": "hard", "actions": ["file:upload", "index:read"]}),
            &[
                SettingValue::Boolean(true),
                SettingValue::Integer(900),
                SettingValue::Choice(1),
                SettingValue::Actions(vec![Action::IndexRead, Action::FileUpload]),
            ],
            &[],
        );
    }

    #[test]
    fn what_does_not_fit_is_named_and_falls_back_to_the_default() {
        check_resolves(
            json!({"off": 1, "on": "yes", "age": 10, "mode": "medium", "actions": ["file:fly"]}),
            &[
                SettingValue::Boolean(false),
                SettingValue::Integer(900),
                SettingValue::Choice(0),
                SettingValue::Actions(vec![]),
            ],
            &[
                "off: the policy has no such setting; it has on, age, mode, actions",
                "on: must be true or false",
                "age: 10 is outside 60 to 3600",
                "mode: must be one of soft, hard",
                "actions: `file:fly` is not an action; actions are written noun:verb, for example file:upload",
            ],
        );
    }

    #[test]
    fn durations_take_a_unit() {
        for (text, number) in [
            ("90s", Some(90)),
            ("15m", Some(900)),
            ("1d", Some(86_400)),
            ("m", None),
            ("-1m", None),
            ("15", None),
            ("é", None),
            ("", None),
        ] {
            // A unit alone has no number to multiply.
            assert_eq!(seconds(text), number, "{text}");
        }
    }
}
