//! `entry_points.txt`: the named objects that a wheel offers, and its commands.
//!
//! Source: <https://packaging.python.org/specifications/entry-points>. The format is that of
//! Python's `configparser` with `=` as its only delimiter and case-sensitive names. Entries in
//! `console_scripts` and `gui_scripts` become files on people's machines; all other groups are for
//! programs that know them, so their names and values are not checked.
//!
//! `importlib.metadata`, which pip uses, is not `configparser`: it strips every line, ends lines
//! where Python's `splitlines` does, knows only `#` comments, and takes only lines that begin and
//! end with a bracket for a group. Anything that the two read differently is refused, or a command
//! might escape the checks.

use std::collections::HashSet;

/// The groups that installers turn into commands.
const SCRIPTS: &[&str] = &["console_scripts", "gui_scripts"];
/// `configparser` adds the contents of this section to each of the others.
const DEFAULTS: &str = "DEFAULT";

/// One entry.
#[derive(Debug)]
struct Entry<'a> {
    group: &'a str,
    name: &'a str,
    /// Its lines, without the blanks around each.
    value: Vec<&'a str>,
    line: usize,
}

/// Checks a whole file. The error is the end of a sentence.
pub(super) fn check(text: &str) -> Result<(), String> {
    let mut seen = HashSet::new();
    for entry in read(text)? {
        let Entry {
            group,
            name,
            value,
            line,
        } = entry;
        if !seen.insert((group, name)) {
            return Err(format!(
                "line {line} has '{name}' a second time in the group '{group}'"
            ));
        }
        if !is_of_scripts(group) {
            continue;
        }
        if !is_script_name(name) {
            return Err(format!(
                "line {line} has the command '{name}'; use letters, digits, '_', '.' and '-'"
            ));
        }
        if !matches!(value[..], [reference] if is_object_reference(reference)) {
            return Err(format!(
                "line {line} has the command '{name}' without 'module:object' behind '='"
            ));
        }
    }
    Ok(())
}

/// Whether installers may create commands from this group: some compare its name without blanks or
/// case.
fn is_of_scripts(group: &str) -> bool {
    SCRIPTS
        .iter()
        .any(|scripts| scripts.eq_ignore_ascii_case(group.trim()))
        || group == DEFAULTS
}

/// Ends a line, or is a blank at its end, for Python but not for other readers.
fn is_read_differently(c: char) -> bool {
    c.is_control() && c != '\t' || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Parses like `configparser`.
fn read(text: &str) -> Result<Vec<Entry<'_>>, String> {
    let mut groups: HashSet<&str> = HashSet::new();
    let mut group: Option<&str> = None;
    let mut entries: Vec<Entry<'_>> = Vec::new();
    // Whether a line that is indented further continues the last entry, and that entry's
    // indentation.
    let mut in_entry = false;
    let mut indent = 0;
    for (index, whole) in text.split('\n').enumerate() {
        let line = index + 1;
        if whole
            .strip_suffix('\r')
            .unwrap_or(whole)
            .contains(is_read_differently)
        {
            return Err(format!(
                "line {line} holds a control character, which ends a line for some readers only"
            ));
        }
        let content = whole.trim();
        if content.starts_with(';') && content.contains('=') && group.is_some_and(is_of_scripts) {
            return Err(format!(
                "line {line} is a comment to some readers and a command to others; begin comments with '#'"
            ));
        }
        if content.is_empty() || content.starts_with(['#', ';']) {
            continue;
        }
        let indent_here = whole.chars().take_while(|c| c.is_whitespace()).count();
        let name_of_group = content
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .filter(|name| !name.is_empty() && !name.contains(['[', ']']));
        if content.starts_with('[') && name_of_group.is_none() {
            return Err(format!(
                "line {line} begins a group for some readers only; write '[group]' and nothing else"
            ));
        }
        if in_entry && indent_here > indent {
            if name_of_group.is_some() {
                return Err(format!(
                    "line {line} begins a group for some readers only; do not indent it"
                ));
            }
            if let Some(entry) = entries.last_mut() {
                entry.value.push(content);
            }
            continue;
        }
        indent = indent_here;
        if let Some(name) = name_of_group {
            if name != DEFAULTS && !groups.insert(name) {
                return Err(format!(
                    "line {line} begins the group '{name}' a second time"
                ));
            }
            group = Some(name);
            in_entry = false;
            continue;
        }
        let group = group.ok_or_else(|| format!("line {line} is in no group"))?;
        let (name, value) = content
            .split_once('=')
            .ok_or_else(|| format!("line {line} is neither a group nor 'name = value'"))?;
        let name = name.trim_end();
        if name.is_empty() {
            return Err(format!("line {line} has no name before '='"));
        }
        entries.push(Entry {
            group,
            name,
            value: vec![value.trim()],
            line,
        });
        in_entry = true;
    }
    Ok(entries)
}

/// A file name that stays inside the folder of commands.
fn is_script_name(name: &str) -> bool {
    let is_plain = name
        .chars()
        .all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-'));
    is_plain && !matches!(name, "." | "..")
}

/// `module:object`, both dotted names, and extras between brackets, which installers ignore.
fn is_object_reference(text: &str) -> bool {
    let is_name = |text: &str| {
        text.split('.')
            .all(|part| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_'))
    };
    let reference = match text.split_once('[') {
        Some((reference, extras)) if extras.trim_end().ends_with(']') => reference,
        Some(_) => return false,
        None => text,
    };
    reference
        .split_once(':')
        .is_some_and(|(module, object)| is_name(module.trim()) && is_name(object.trim()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_real_wheels_offer_is_accepted() {
        for text in [
            "",
            "[console_scripts]\nsample = sample:main\nsample3.12=sample.cli : App.run [color,fast]\n",
            "[gui_scripts]\r\nsample = sample:main\r\n",
            // Names and values of other groups are defined by the programs that read them.
            "[mkdocs.plugins]\ntheme/blog = a.blog:Plugin\n[x]\na b:c = anything at all\nempty =\n",
            "[pytest11]\n# a comment\n; another\nplugin = a\n\n  b\n[egg_info.writers]\nfoo.txt = a:b\n",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn many_groups_are_read_as_quickly_as_few() {
        // Comparing each with all before it would take a minute.
        let many: String = (0..130_000).map(|number| format!("[{number}]\n")).collect();
        assert_eq!(check(&many), Ok(()));
        assert!(
            check(&format!("{many}[7]\n"))
                .unwrap_err()
                .contains("a second time")
        );
    }

    #[test]
    fn what_readers_take_for_different_groups_or_lines_is_refused() {
        for text in [
            // A command for readers that strip each line, part of a value for others.
            "[a]\nx = y\n  [console_scripts]\n../../sh = a:b\n",
            // In `console_scripts` for readers that do not see such a group.
            "[console_scripts]\nx = a:b\n[other] and more\n../../sh = a:b\n",
            "[console_scripts]]\n../../sh = a:b\n",
            "[a[0]]\nx = y\n",
            "[]\nx = y\n",
            "[a]\nx = y\r[console_scripts]\r../../sh = a:b\n",
            "[a]\nx = y\u{2028}[console_scripts]\u{2028}../../sh = a:b\n",
            "[a]\nx = y\n \u{1f}[console_scripts]\n \u{1f}../../sh = a:b\n",
            "[a]\nx = y\u{b}[console_scripts]\u{c}../../sh = a:b\n",
            "[console_scripts]\n; ../../sh = a:b\n",
        ] {
            assert!(check(text).is_err(), "{text:?}");
        }
        for group in [" console_scripts ", "Console_Scripts", "gui_scripts"] {
            assert!(
                check(&format!("[{group}]\n../../sh = a:b\n")).is_err(),
                "{group}"
            );
        }
    }

    #[test]
    fn commands_have_plain_names_and_lead_to_an_object() {
        for line in [
            "../../bin/sh = a:b",
            "bin\\sh = a:b",
            "a b = a:b",
            "a:b = a:b",
            ".. = a:b",
            "a = b",
            "a = b:",
            "a = :b",
            "a = b:c()",
            "a = b:c; import os",
            "a = b-c:d",
            "a = b:c [x",
            "a =",
            "a = b:c\n  d",
        ] {
            for group in ["console_scripts", "gui_scripts", "DEFAULT"] {
                assert!(
                    check(&format!("[{group}]\n{line}\n")).is_err(),
                    "[{group}] {line}"
                );
            }
        }
    }

    #[test]
    fn what_is_there_twice_is_refused_in_every_group() {
        assert_eq!(check("[x]\na = 1\n[y]\na = 1\n"), Ok(()));
        assert_eq!(check("[x]\na = 1\nA = 1\n"), Ok(()), "names have a case");
        assert_eq!(
            check("[x]\na = 1\na = 1\n").unwrap_err(),
            "line 3 has 'a' a second time in the group 'x'"
        );
        assert_eq!(
            check("[console_scripts]\na = b:c\na = evil:c\n").unwrap_err(),
            "line 3 has 'a' a second time in the group 'console_scripts'"
        );
        assert_eq!(
            check("[x]\na = 1\n[y]\nb = 1\n[x]\nc = 1\n").unwrap_err(),
            "line 5 begins the group 'x' a second time"
        );
    }

    #[test]
    fn what_configparser_cannot_read_is_refused() {
        assert_eq!(check("a = b:c\n").unwrap_err(), "line 1 is in no group");
        assert_eq!(
            check("[x]\nrm -rf\n").unwrap_err(),
            "line 2 is neither a group nor 'name = value'"
        );
        assert_eq!(
            check("[x]\n= b\n").unwrap_err(),
            "line 2 has no name before '='"
        );
        assert_eq!(
            check("[]\na = b\n").unwrap_err(),
            "line 1 begins a group for some readers only; write '[group]' and nothing else"
        );
        assert!(check("\u{feff}[x]\na = b\n").is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics_the_parser(text in "(\\[|\\]|a|é|=|:| |\n|\t|#|console_scripts){0,40}") {
            let _ = check(&text);
        }
    }
}
