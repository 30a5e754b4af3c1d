//! The configuration for people: the effective values, and a file to start with.

use std::fmt::Write as _;

use super::value::Setting as _;
use super::{Configuration, Key, Layers, Values};

impl Configuration {
    /// One effective value as TOML, without secrets.
    pub(crate) fn shown(&self, key: Key) -> String {
        match key {
            Key::public_url => self.public_url(self.values.listen).show(),
            Key::database => self.database().show(),
            key => self.values.show(key),
        }
    }
}

/// Every effective value with its origin, as a configuration file, without secrets.
pub(crate) fn effective(configuration: &Configuration) -> String {
    let lines: Vec<(String, String)> = Key::ALL
        .iter()
        .map(|&key| {
            (
                format!("{} = {}", key.name(), configuration.shown(key)),
                configuration.layers.origin(key).to_string(),
            )
        })
        .collect();
    let width = lines
        .iter()
        .map(|(line, _)| line.len())
        .max()
        .unwrap_or(0)
        .min(60);
    lines
        .iter()
        .fold(String::new(), |mut text, (line, origin)| {
            let _ = writeln!(text, "{line:width$}  # {origin}");
            text
        })
}

/// A file with every key explained and set to its default, commented out.
pub(crate) fn template() -> String {
    let defaults = Values::read(&Layers::default()).expect("every default is valid");
    let mut text = String::from(
        "# Portcullis. Every key with its default; take away the # of those you change.\n# A value is overridden by its environment variable, and that by its flag.\n",
    );
    for &key in Key::ALL {
        text.push('\n');
        for line in key.explanation().lines() {
            let _ = writeln!(text, "# {}", line.trim());
        }
        let _ = writeln!(text, "# {}, --{}", key.variable(), key.name());
        let _ = writeln!(text, "#{} = {}", key.name(), defaults.show(key));
    }
    text
}
