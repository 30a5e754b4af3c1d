//! Bounds for a module's description of itself.

use std::collections::BTreeSet;

use crate::contract::{Action, Descriptor, Sections, Setting, SettingKind};
use crate::settings;
use crate::text::{is_line, is_name};

/// Longest name of a policy or setting, in characters.
const NAME: usize = 64;
/// Longest sentence: summary, help, label.
const SENTENCE: usize = 600;
/// Most settings for the operator, and for owners.
const OPERATOR_SETTINGS: usize = 32;
const OWNER_SETTINGS: usize = 16;
/// Most words of a choice.
const CHOICES: usize = 32;
/// Longest text and longest list of texts that a setting may hold.
pub(crate) const TEXT: u32 = 2000;
pub(crate) const TEXTS: u32 = 100;

/// Checks a description against the bounds that `wit/policy.wit` documents.
pub(crate) fn check(descriptor: &Descriptor) -> Result<(), String> {
    if !is_name(&descriptor.name, NAME) {
        return Err(
            "`name` must be lower-case words joined by hyphens, at most 64 characters".into(),
        );
    }
    if !is_version(&descriptor.version) {
        return Err(
            "`version` must be a semantic version such as 1.2.0, at most 64 characters".into(),
        );
    }
    if descriptor.summary.is_empty() || !is_line(&descriptor.summary, SENTENCE) {
        return Err(format!(
            "`summary` must be one line of 1 to {SENTENCE} characters"
        ));
    }
    check_actions("actions", &descriptor.actions)?;
    if descriptor.actions.is_empty() {
        return Err("`actions` is empty, so the policy would never be heard".into());
    }
    check_settings(
        "operator-settings",
        &descriptor.operator_settings,
        OPERATOR_SETTINGS,
    )?;
    check_settings("owner-settings", &descriptor.owner_settings, OWNER_SETTINGS)?;
    if !descriptor.owner_settings.is_empty() && !descriptor.sections.contains(Sections::PROJECT) {
        return Err("it offers owner settings and does not ask for the section `project`, so it would never see them".into());
    }
    Ok(())
}

fn check_actions(list: &str, actions: &[Action]) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    match actions.iter().find(|action| !seen.insert(**action)) {
        Some(twice) => Err(format!("`{list}` names `{twice}` twice")),
        None => Ok(()),
    }
}

fn check_settings(list: &str, settings: &[Setting], maximum: usize) -> Result<(), String> {
    if settings.len() > maximum {
        return Err(format!(
            "`{list}` has {} settings, at most {maximum} are allowed",
            settings.len()
        ));
    }
    let mut names = BTreeSet::new();
    for setting in settings {
        if !is_name(&setting.name, NAME) {
            return Err(format!(
                "`{list}`: a setting's name must be lower-case words joined by hyphens, at most {NAME} characters"
            ));
        }
        let name = &setting.name;
        if !names.insert(name) {
            return Err(format!("`{list}` has two settings named `{name}`"));
        }
        if setting.label.is_empty() || !is_line(&setting.label, NAME) {
            return Err(format!(
                "setting `{name}`: `label` must be one line of 1 to {NAME} characters"
            ));
        }
        if !is_line(&setting.help, SENTENCE) {
            return Err(format!(
                "setting `{name}`: `help` must be one line of at most {SENTENCE} characters"
            ));
        }
        check_kind(&setting.kind).map_err(|message| format!("setting `{name}`: {message}"))?;
        settings::check(&setting.kind, &setting.default)
            .map_err(|message| format!("setting `{name}`: the default is wrong: {message}"))?;
    }
    Ok(())
}

fn check_kind(kind: &SettingKind) -> Result<(), String> {
    match kind {
        SettingKind::Boolean | SettingKind::Actions => Ok(()),
        SettingKind::Integer(range) | SettingKind::Seconds(range)
            if range.minimum > range.maximum =>
        {
            Err(format!(
                "the range {} to {} is empty",
                range.minimum, range.maximum
            ))
        }
        SettingKind::Seconds(range) if range.minimum < 0 => {
            Err("a number of seconds cannot be negative".into())
        }
        SettingKind::Integer(_) | SettingKind::Seconds(_) => Ok(()),
        SettingKind::Text(maximum) if !(1..=TEXT).contains(maximum) => Err(format!(
            "a text may have 1 to {TEXT} characters, not {maximum}"
        )),
        SettingKind::Texts(maximum) if !(1..=TEXTS).contains(maximum) => {
            Err(format!("a list may have 1 to {TEXTS} texts, not {maximum}"))
        }
        SettingKind::Text(_) | SettingKind::Texts(_) => Ok(()),
        SettingKind::Choice(words) => {
            if words.is_empty() || words.len() > CHOICES {
                return Err(format!(
                    "a choice needs 1 to {CHOICES} words, it has {}",
                    words.len()
                ));
            }
            let mut seen = BTreeSet::new();
            match words.iter().find(|word| !is_name(word, NAME) || !seen.insert(word.as_str())) {
                Some(_) => Err("the words of a choice must be different and each lower-case words joined by hyphens".into()),
                None => Ok(()),
            }
        }
    }
}

/// Whether the text is a semantic version (semver.org), as far as it matters for showing it.
fn is_version(text: &str) -> bool {
    let (core, rest) = match text.find(['-', '+']) {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, "0"),
    };
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= 64
        && core.split('.').count() == 3
        && core.split('.').all(number)
        && !rest.is_empty()
        && rest
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Range, SettingValue};

    fn descriptor() -> Descriptor {
        Descriptor {
            name: "allow".into(),
            version: "1.0.0".into(),
            summary: "Allows.".into(),
            actions: vec![Action::FileUpload],
            sections: Sections::PROJECT,
            operator_settings: vec![setting(SettingKind::Boolean, SettingValue::Boolean(true))],
            owner_settings: vec![],
        }
    }

    fn setting(kind: SettingKind, default: SettingValue) -> Setting {
        Setting {
            name: "a-setting".into(),
            label: "A setting".into(),
            help: String::new(),
            kind,
            default,
        }
    }

    fn refused(change: impl FnOnce(&mut Descriptor)) -> String {
        let mut descriptor = descriptor();
        change(&mut descriptor);
        check(&descriptor).unwrap_err()
    }

    #[test]
    fn a_plain_description_is_allowed() {
        assert_eq!(check(&descriptor()), Ok(()));
    }

    #[test]
    fn what_the_contract_forbids_is_refused() {
        assert!(refused(|it| it.name = "Bad Name".into()).contains("`name`"));
        assert!(refused(|it| it.version = "one".into()).contains("`version`"));
        assert!(refused(|it| it.summary = "two\nlines".into()).contains("`summary`"));
        assert!(refused(|it| it.actions.push(Action::FileUpload)).contains("file:upload"));
        assert!(refused(|it| it.actions.clear()).contains("never be heard"));
        assert!(
            refused(|it| it.operator_settings = vec![it.operator_settings[0].clone(); 33])
                .contains("33 settings")
        );
        assert!(
            refused(|it| it.operator_settings.push(it.operator_settings[0].clone()))
                .contains("two settings")
        );
        assert!(
            refused(|it| {
                it.owner_settings = it.operator_settings.clone();
                it.sections = Sections::PRINCIPAL;
            })
            .contains("section `project`")
        );
    }

    #[test]
    fn a_default_must_match_its_kind() {
        let wrong = [
            (SettingKind::Boolean, SettingValue::Integer(1)),
            (
                SettingKind::Integer(Range {
                    minimum: 1,
                    maximum: 5,
                }),
                SettingValue::Integer(6),
            ),
            (
                SettingKind::Integer(Range {
                    minimum: 5,
                    maximum: 1,
                }),
                SettingValue::Integer(3),
            ),
            (
                SettingKind::Seconds(Range {
                    minimum: -1,
                    maximum: 1,
                }),
                SettingValue::Integer(0),
            ),
            (SettingKind::Text(3), SettingValue::Text("four".into())),
            (SettingKind::Text(0), SettingValue::Text(String::new())),
            (
                SettingKind::Choice(vec!["a".into()]),
                SettingValue::Choice(1),
            ),
            (
                SettingKind::Choice(vec!["a".into(), "a".into()]),
                SettingValue::Choice(0),
            ),
            (
                SettingKind::Texts(1),
                SettingValue::Texts(vec!["a".into(), "b".into()]),
            ),
            (
                SettingKind::Actions,
                SettingValue::Actions(vec![Action::FileUpload, Action::FileDownload]),
            ),
        ];
        for (kind, default) in wrong {
            let text = format!("{kind:?} {default:?}");
            assert!(
                refused(|it| it.operator_settings = vec![setting(kind, default)])
                    .contains("`a-setting`"),
                "{text}"
            );
        }
    }

    #[test]
    fn versions_are_semantic() {
        for good in ["0.1.0", "1.2.3-rc.1", "1.0.0+build.5"] {
            assert!(is_version(good), "{good}");
        }
        for bad in ["", "1", "1.2", "1.2.x", "1.2.3-", "1.2.3 ", "1.2.3-\u{1b}"] {
            assert!(!is_version(bad), "{bad}");
        }
    }
}
