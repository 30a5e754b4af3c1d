//! The command line. Each noun's subcommands are next to the code that runs them (`commands`); this
//! file has what they share.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, Parser, Subcommand};

use crate::commands::{
    audit, configuration, decisions, explain, mail, policy, project, release, removal, token, user,
};
use crate::configuration::Key;
use crate::serve;

const AFTER_HELP: &str = "\
Every configuration key is a flag too, of every command: `portcullis config --template` explains them all.
Commands other than `serve` and `release publish|reject` work on the database directly, need no running server,
ask no policy, and are audited with the name of the system user.

Exit codes: 0 done; 1 refused or failed, nothing was changed unless the message says so;
2 a running server could not load the policy set (the previous one keeps serving); 64 the command line is wrong.";

/// A Python package index where sandboxed policies decide every request.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, after_help = AFTER_HELP, max_term_width = 110, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) flags: ConfigurationFlags,

    /// Answer in JSON on standard output.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) task: Task,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Run the registry.
    Serve(serve::ServeArguments),
    /// Apply, inspect and roll back policy sets.
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Users: create, password, second factor.
    #[command(subcommand)]
    User(user::UserCommand),
    /// API tokens of a user.
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Projects: roles, settings, status.
    #[command(subcommand)]
    Project(project::ProjectCommand),
    /// Releases: publish and reject staged ones, yank, delete.
    #[command(subcommand)]
    Release(release::ReleaseCommand),
    /// Files: delete.
    #[command(subcommand)]
    File(removal::FileCommand),
    /// Mails: list the outbox, test delivery.
    #[command(subcommand)]
    Mail(mail::MailCommand),
    /// Show everything about one decision.
    Explain(explain::ExplainArguments),
    /// List recorded decisions, newest first.
    Decisions(decisions::DecisionsArguments),
    /// List audit events, newest first.
    Audit(audit::AuditArguments),
    /// Print the effective configuration, with the origin of each value.
    Config(configuration::ConfigArguments),
    /// Migrate the database to this version. `serve` does it at start, too.
    Migrate,
}

impl Cli {
    /// Reads the command line. Wrong usage prints an error and exits with 64, because clap's own 2
    /// would mean "a server failed".
    #[expect(clippy::disallowed_methods, reason = "nothing was begun yet")]
    pub(crate) fn read() -> Self {
        Self::try_parse().unwrap_or_else(|error| {
            let _ = error.print();
            std::process::exit(if error.use_stderr() { 64 } else { 0 })
        })
    }
}

/// `--config`, and a flag for each configuration key.
#[derive(Debug, Default)]
pub(crate) struct ConfigurationFlags {
    /// The configuration file, if one was named.
    pub(crate) file: Option<PathBuf>,
    /// Keys given as flags.
    pub(crate) values: Vec<(Key, String)>,
}

/// Flags that the help of every command shows; showing all would drown it.
const SHOWN: [Key; 2] = [Key::data, Key::database];

impl Args for ConfigurationFlags {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("config")
            .long("config")
            .value_name("file")
            .value_parser(clap::value_parser!(PathBuf))
            .env("PORTCULLIS_CONFIG")
            .hide_env_values(true)
            .global(true)
            .help("Configuration file [default: portcullis.toml, if it is there]")
            .help_heading("Configuration");
        Key::ALL.iter().fold(command.arg(file), |command, key| {
            let arg = Arg::new(key.name())
                .long(key.name())
                .action(ArgAction::Set)
                .value_name("value")
                .global(true)
                .hide(!SHOWN.contains(key))
                .help(
                    key.explanation()
                        .lines()
                        .map(str::trim)
                        .collect::<Vec<_>>()
                        .join(" "),
                )
                .help_heading("Configuration");
            // A switch needs no value, and must not swallow the word after it.
            command.arg(if *key == Key::insecure_http {
                arg.num_args(0..=1)
                    .require_equals(true)
                    .default_missing_value("true")
            } else {
                arg
            })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ConfigurationFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let values = Key::ALL
            .iter()
            .filter_map(|key| {
                matches
                    .get_one::<String>(key.name())
                    .map(|value| (*key, value.clone()))
            })
            .collect();
        Ok(Self {
            file: matches.get_one::<PathBuf>("config").cloned(),
            values,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Cli {
        Cli::try_parse_from(line.split_whitespace())
            .unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_of_the_handbook_parses() {
        for line in [
            "portcullis serve --policies policies/default --listen 127.0.0.1:0",
            "portcullis serve --insecure-http --watch-policies policies/default",
            "portcullis policy apply policies/strict --dry-run",
            "portcullis policy apply policies/strict --wait 5 --json",
            "portcullis policy status",
            "portcullis policy history",
            "portcullis policy rollback --to 3",
            "portcullis policy check policies/strict",
            "portcullis policy pack core.wasm -o module.wasm",
            "portcullis policy inspect module.wasm",
            "portcullis user create alice --email alice@example.org --verified --staff --password-stdin",
            "portcullis user set-password alice --password-stdin",
            "portcullis user totp enroll alice",
            "portcullis user totp remove alice",
            "portcullis user list",
            "portcullis user email add alice alice@example.org",
            "portcullis user email verify alice alice@example.org --data elsewhere",
            "portcullis user email promote alice alice@example.org",
            "portcullis user email remove alice alice@example.org",
            "portcullis user email list alice --json",
            "portcullis user staff alice on",
            "portcullis user staff alice off",
            "portcullis user disable alice --reason left",
            "portcullis user enable alice",
            "portcullis user show alice",
            "portcullis user sessions alice",
            "portcullis user end-sessions alice --json",
            "portcullis user recover alice --reason 'lost-the-phone'",
            "portcullis user recover-cancel alice",
            "portcullis mail list --state failed --limit 5 --json",
            "portcullis mail test alice@example.org",
            "portcullis mail retry",
            "portcullis token create alice --description ci --project p --project q --expires 90d",
            "portcullis token create alice --description laptop --account --second-factor-code 123456",
            "portcullis token list alice",
            "portcullis token revoke alice 01890a5d-ac96-774b-bcce-b302099a8057",
            "portcullis project list",
            "portcullis project show p",
            "portcullis project create p --owner alice",
            "portcullis project role p alice owner",
            "portcullis project role p alice none",
            "portcullis project settings p owner-mandate second-factor=true",
            "portcullis project status p archived --reason moved",
            "portcullis release list p",
            "portcullis release publish p 1.0 --user alice --url https://packages.example.org",
            "portcullis release reject p 1.0 --user alice",
            "portcullis explain 01890a5d-ac96-774b-bcce-b302099a8057",
            "portcullis decisions --outcome denied --limit 5",
            "portcullis decisions --would-refuse --json",
            "portcullis audit --project p --json",
            "portcullis config",
            "portcullis config --template",
            "portcullis migrate --database postgres://me@host/db",
        ] {
            parse(line);
        }
    }

    #[test]
    fn a_flag_counts_before_and_after_the_command() {
        for line in [
            "portcullis --data elsewhere user list",
            "portcullis user list --data elsewhere",
        ] {
            assert_eq!(
                parse(line).flags.values,
                [(Key::data, "elsewhere".to_owned())]
            );
        }
        assert_eq!(
            parse("portcullis serve --insecure-http").flags.values,
            [(Key::insecure_http, "true".to_owned())]
        );
    }

    #[test]
    fn a_password_cannot_be_given_on_the_command_line() {
        for line in [
            "portcullis user create alice --password hunter2",
            "portcullis user set-password alice hunter2",
            "portcullis release publish p 1 --password x --user a",
        ] {
            assert!(
                Cli::try_parse_from(line.split_whitespace()).is_err(),
                "{line}"
            );
        }
    }

    #[test]
    fn nobody_is_disabled_without_a_reason_and_staff_is_on_or_off() {
        for line in [
            "portcullis user disable alice",
            "portcullis user staff alice",
            "portcullis user staff alice maybe",
            "portcullis user email add alice",
            "portcullis user recover alice",
        ] {
            assert!(
                Cli::try_parse_from(line.split_whitespace()).is_err(),
                "{line}"
            );
        }
    }

    #[test]
    fn a_token_needs_exactly_one_kind_of_scope() {
        for line in [
            "portcullis token create a --description d",
            "portcullis token create a --description d --account --project p",
        ] {
            assert!(
                Cli::try_parse_from(line.split_whitespace()).is_err(),
                "{line}"
            );
        }
    }
}
