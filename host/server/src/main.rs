//! The program `portcullis`: configuration, wiring, command line.
//!
//! How to read this crate: [`cli`] lists the commands; [`configuration`] the settings; [`wiring`]
//! builds the parts from both; [`serve`] runs the registry; [`commands`] are the rest, a file per
//! noun, on a [`command_line::CommandLine`]; the few that call the running registry do so as a
//! [`remote::Remote`]. No rule about packages, accounts or policies is here: commands call the same
//! use cases as HTTP.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks")]

mod answer;
mod cli;
mod command_line;
mod commands;
mod configuration;
mod data_folder;
mod device_file;
mod logging;
mod remote;
mod serve;
mod terminal;
mod wiring;

use std::process::ExitCode;

use answer::Answer;
use anyhow::Context as _;
use cli::{Cli, Task};
use command_line::CommandLine;
use configuration::Configuration;

fn main() -> ExitCode {
    // The compiler of policy modules is this same program, in a child process that is bounded and
    // may be killed. It reads no configuration and starts nothing.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|argument| argument == wiring::COMPILE_MODULE)
    {
        return policy_engine::compile_worker_main();
    }
    let cli = Cli::read();
    let as_json = cli.json;
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            if as_json {
                println!(
                    "{}",
                    answer::printable_json(&serde_json::json!({ "error": format!("{error:#}") }))
                );
            }
            // It may quote a server's answer, or text that others chose.
            let lines: Vec<String> = format!("{error:#}")
                .lines()
                .map(answer::printable)
                .collect();
            eprintln!("error: {}", lines.join("\n"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    if let Task::Config(arguments) = &cli.task
        && arguments.template
    {
        return Ok(commands::configuration::show_template().print(cli.json));
    }
    let configuration = Configuration::load(
        cli.flags.file.as_deref(),
        std::env::vars_os(),
        &cli.flags.values,
    )?;
    let task = match cli.task {
        Task::Serve(arguments) => return serve::run(arguments, configuration),
        task => task,
    };
    logging::start_for_command(&configuration);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    let answer = runtime.block_on(command(task, configuration))?;
    Ok(answer.print(cli.json))
}

/// Runs one command. The database is opened only for those that need it.
async fn command(task: Task, configuration: Configuration) -> anyhow::Result<Answer> {
    match &task {
        Task::Config(_) => return Ok(commands::configuration::show(&configuration)),
        Task::Policy(command) => {
            if let Some(answer) = commands::policy::run_alone(command, &configuration) {
                return answer;
            }
        }
        Task::Release(command) => {
            if let Some(answer) = commands::release::run_remote(command, &configuration).await {
                return answer;
            }
        }
        _ => {}
    }
    let line = CommandLine::open(configuration, matches!(task, Task::Migrate)).await?;
    let answer = match task {
        Task::Policy(command) => commands::policy::run(command, &line).await,
        Task::User(command) => commands::user::run(command, &line).await,
        Task::Token(command) => commands::token::run(command, &line).await,
        Task::Project(command) => commands::project::run(command, &line).await,
        Task::Release(command) => commands::release::run(command, &line).await,
        Task::File(command) => commands::removal::run(command, &line).await,
        Task::Mail(command) => commands::mail::run(command, &line).await,
        Task::Explain(arguments) => commands::explain::run(arguments, &line).await,
        Task::Decisions(arguments) => commands::decisions::run(arguments, &line).await,
        Task::Audit(arguments) => commands::audit::run(arguments, &line).await,
        // Opening the database has already migrated it.
        Task::Migrate => Ok(Answer::new(
            format!(
                "the {} database is at this version",
                wiring::database_name(&line.storage)
            ),
            serde_json::json!({ "migrated": true }),
        )),
        Task::Serve(_) | Task::Config(_) => unreachable!("these need no database and ran before"),
    };
    line.storage.close().await;
    answer
}
