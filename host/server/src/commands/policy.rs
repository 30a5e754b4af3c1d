//! `portcullis policy`.

mod apply;
mod judged;
mod modules;
mod report;

pub(crate) use report::value_text;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;

use crate::answer::Answer;
use crate::command_line::CommandLine;
use crate::configuration::Configuration;

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Validate a policy set here, store it, and activate it on all servers.
    ///
    /// The set is compiled, its cases are run, and it is judged as by `policy check` before
    /// anything is stored; servers compile it and run its cases again before they swap it in, and
    /// keep the earlier set if that fails. No request is lost, and uploads that are under way are
    /// decided by the new set when they are complete.
    #[command(
        after_help = "Examples:\n  portcullis policy apply policies/strict --dry-run\n  portcullis policy apply policies/strict --reason 'second factor for all from today'\n\nExit codes: 0 serving, 1 refused by validation and nothing stored, 2 a server could not load it\n(or did not answer in time) and serves the earlier set."
    )]
    Apply {
        /// Folder with `set.toml`, its modules and its cases.
        folder: PathBuf,
        /// Validate only; store and activate nothing.
        #[arg(long)]
        dry_run: bool,
        /// Apply it even if a policy fails for someone, or no one could read or log in.
        #[arg(long)]
        allow_lockout: bool,
        /// Seconds to wait until every server serves it.
        #[arg(long, value_name = "seconds", default_value_t = 30)]
        wait: u64,
        /// Why, for the history.
        #[arg(long, value_name = "text", default_value = "")]
        reason: String,
    },
    /// Show the active set, its bindings, and what each running server serves.
    ///
    /// For a server that runs with --watch-policies, also show the folder, when it was last
    /// checked, and why its set is refused, if it is.
    #[command(
        after_help = "Exit codes: 0 every server serves it, 1 no set is active, 2 a server serves another set\nor refuses what is in the folder that it watches."
    )]
    Status,
    /// List activations, newest first.
    History {
        /// How many at most.
        #[arg(long, value_name = "number", default_value_t = 20)]
        limit: u32,
    },
    /// Activate an earlier set again.
    #[command(
        after_help = "Examples:\n  portcullis policy rollback             to the set before this one; again, to the one before that\n  portcullis policy rollback --to 3\n\nExit codes as for `apply`."
    )]
    Rollback {
        /// Number of the set; without it, the set that the active one replaced.
        #[arg(long, value_name = "number")]
        to: Option<u64>,
        /// Seconds to wait until every server serves it.
        #[arg(long, value_name = "seconds", default_value_t = 30)]
        wait: u64,
        /// Why, for the history.
        #[arg(long, value_name = "text", default_value = "")]
        reason: String,
    },
    /// Validate a policy set, run its cases, and try every action with every caller under it.
    ///
    /// Refuses the same sets as `policy apply`: a policy that fails (traps, exceeds its budget) for
    /// a caller of the decision table in any action, and a set under which no one could read, log
    /// in or activate the next set. Needs no database and no server.
    Check {
        /// Folder with `set.toml`.
        folder: PathBuf,
        /// Accept it even if a policy fails for someone, or no one could read or log in.
        #[arg(long)]
        allow_lockout: bool,
    },
    /// List the settings that the active set offers to project owners.
    Forms,
    /// Turn a core wasm module built with the SDK into a policy module (a component).
    #[command(
        after_help = "Example:\n  cargo build --target wasm32-unknown-unknown --release\n  portcullis policy pack target/wasm32-unknown-unknown/release/my_policy.wasm -o my-policy.wasm"
    )]
    Pack {
        /// The core module.
        core: PathBuf,
        /// Where to write the policy module.
        #[arg(short, long, value_name = "file")]
        output: PathBuf,
    },
    /// Load a policy module in the sandbox and show what it is, what it demands, and what it may
    /// use. Needs no database and no server.
    Inspect {
        /// The module.
        module: PathBuf,
    },
}

/// Commands that need no database: they may run in a folder without a server.
pub(crate) fn run_alone(
    command: &PolicyCommand,
    configuration: &Configuration,
) -> Option<anyhow::Result<Answer>> {
    match command {
        PolicyCommand::Check {
            folder,
            allow_lockout,
        }
        | PolicyCommand::Apply {
            folder,
            dry_run: true,
            allow_lockout,
            ..
        } => Some(modules::check(folder, *allow_lockout, configuration)),
        PolicyCommand::Pack { core, output } => Some(modules::pack(core, output, configuration)),
        PolicyCommand::Inspect { module } => Some(modules::inspect(module, configuration)),
        _ => None,
    }
}

pub(crate) async fn run(command: PolicyCommand, line: &CommandLine) -> anyhow::Result<Answer> {
    match command {
        PolicyCommand::Apply {
            folder,
            allow_lockout,
            wait,
            reason,
            ..
        } => {
            apply::apply(
                line,
                &folder,
                allow_lockout,
                Duration::from_secs(wait),
                &reason,
            )
            .await
        }
        PolicyCommand::Rollback { to, wait, reason } => {
            apply::rollback(line, to, Duration::from_secs(wait), &reason).await
        }
        PolicyCommand::Status => report::status(line).await,
        PolicyCommand::History { limit } => report::history(line, limit).await,
        PolicyCommand::Forms => report::forms(line).await,
        PolicyCommand::Check { .. }
        | PolicyCommand::Pack { .. }
        | PolicyCommand::Inspect { .. } => unreachable!("`run_alone` runs these"),
    }
}

/// Where the package installs the shipped sets, as `policies/<name>`.
const SHIPPED: &str = "/usr/share/portcullis";

/// The folder of that name or, if it contains no set, the shipped set of that name.
fn set_folder(folder: &Path) -> PathBuf {
    let shipped = Path::new(SHIPPED).join(folder);
    let holds_set = |folder: &Path| folder.join("set.toml").is_file();
    if folder.is_relative() && !holds_set(folder) && holds_set(&shipped) {
        shipped
    } else {
        folder.to_owned()
    }
}
