//! The output of a command: text for people, and the same as JSON.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::Value;

/// The answer of a command.
#[derive(Debug)]
pub(crate) struct Answer {
    /// For standard output.
    pub(crate) text: String,
    /// For standard error: text that scripts do not need.
    pub(crate) remarks: String,
    /// For standard output with `--json`.
    pub(crate) json: Value,
    /// The exit code of the process.
    pub(crate) code: u8,
}

impl Answer {
    /// The answer of a command that succeeded.
    pub(crate) fn new(text: impl Into<String>, json: Value) -> Self {
        Self {
            text: text.into(),
            remarks: String::new(),
            json,
            code: 0,
        }
    }

    /// Adds text for people only.
    pub(crate) fn with_remarks(mut self, remarks: impl Into<String>) -> Self {
        self.remarks = remarks.into();
        self
    }

    /// Ends the process with this code.
    pub(crate) fn with_code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// Prints it.
    pub(crate) fn print(self, as_json: bool) -> ExitCode {
        use std::io::Write as _;
        let mut out = std::io::stdout().lock();
        // A closed pipe (`portcullis audit | head`) is not an error.
        let _ = if as_json {
            writeln!(out, "{}", printable_json(&self.json))
        } else {
            write!(out, "{}", with_newline(&self.text))
        };
        if !as_json {
            eprint!("{}", with_newline(&self.remarks));
        }
        ExitCode::from(self.code)
    }
}

fn with_newline(text: &str) -> String {
    if text.is_empty() || text.ends_with('\n') {
        text.to_owned()
    } else {
        format!("{text}\n")
    }
}

/// Lays out rows in columns, the first row being the heading.
pub(crate) fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count)
        .map(|column| {
            rows.iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let line: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Escapes untrusted text so that it cannot move a terminal's cursor, change the direction of other
/// text, or hide: such characters are shown, not sent.
pub(crate) fn printable(text: &str) -> String {
    model::text::visible(text)
}

/// The same for JSON, which stays equivalent: characters are escaped.
pub(crate) fn printable_json(value: &Value) -> String {
    let mut text = String::new();
    for character in format!("{value:#}").chars() {
        if character == '\n' || model::text::is_plain(character) {
            text.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    text
}

/// A time as people read it.
pub(crate) fn moment(at: model::Timestamp) -> String {
    let text = at.to_string();
    text.split_once('.')
        .map_or(text.clone(), |(seconds, _)| format!("{seconds}Z"))
}

/// A time that may not be set.
pub(crate) fn moment_or(at: Option<model::Timestamp>, otherwise: &str) -> String {
    at.map_or_else(|| otherwise.to_owned(), moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_without_trailing_blanks() {
        let rows = [
            vec!["a".to_owned(), "long".to_owned()],
            vec!["bbb".to_owned(), "x".to_owned()],
        ];
        assert_eq!(columns(&rows), "a    long\nbbb  x\n");
    }

    #[test]
    fn what_others_wrote_cannot_control_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
        assert_eq!(
            printable("a\u{202e}gpj.exe\u{2066}\u{200b}"),
            "a\u{fffd}gpj.exe\u{fffd}\u{fffd}"
        );
        let value = serde_json::json!({ "a\u{202e}": "b\u{9b}2J\u{7f}\u{e0041} \u{1f600} é\n" });
        let text = printable_json(&value);
        assert_eq!(
            text,
            "{\n  \"a\\u202e\": \"b\\u009b2J\\u007f\\udb40\\udc41 \u{1f600} é\\n\"\n}"
        );
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn moments_have_whole_seconds() {
        assert_eq!(
            moment(model::Timestamp(1_767_614_400_123)),
            "2026-01-05T12:00:00Z"
        );
    }
}
