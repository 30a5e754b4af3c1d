//! `portcullis config`.

use clap::Args;

use crate::answer::Answer;
use crate::configuration::{Configuration, Key, effective, template};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  portcullis config                            what is in force, and why\n  portcullis config --template > portcullis.toml   a file to start from\n\nSecrets are not shown."
)]
pub(crate) struct ConfigArguments {
    /// Print a configuration file with every key explained and set to its default.
    #[arg(long)]
    pub(crate) template: bool,
}

/// The effective configuration. Not called for the template, which needs no valid configuration.
pub(crate) fn show(configuration: &Configuration) -> Answer {
    let keys = Key::ALL.iter().map(|&key| {
        let value = configuration.shown(key);
        // The shown value is TOML; JSON has all the types that it uses.
        let value = format!("v = {value}").parse::<toml::Table>().ok().and_then(|table| serde_json::to_value(&table["v"]).ok()).unwrap_or(value.into());
        (key.name().to_owned(), serde_json::json!({ "value": value, "origin": configuration.layers.origin(key).to_string() }))
    });
    Answer::new(
        effective(configuration),
        serde_json::Value::Object(keys.collect()),
    )
}

/// A file to start with.
pub(crate) fn show_template() -> Answer {
    Answer::new(template(), serde_json::Value::String(template()))
}
