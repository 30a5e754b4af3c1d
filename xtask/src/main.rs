//! The build tool: `cargo xtask <task>`. One module for each task; this file only selects it.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks")]

use std::ffi::OsString;
use std::process::ExitCode;

mod bench;
mod corpus;
mod package;
mod plugins;
mod program;
mod serve;
mod tables;
mod test;

mod browser;
mod clients;
mod debian;
mod documentation;
mod postgres;
mod steps;

const USAGE: &str = "usage: cargo xtask <task>

  serve [arguments…]            build everything and start the registry; arguments go to `portcullis serve`
  test [filter]                 prove everything, with real clients, a real browser and both databases
  bench [decision|server|timing]  measure beside other engines and another index; --json for programs
  corpus [--build]              real packages through a running server; or build small ones with every backend
  package [--test]              make target/package/portcullis.deb; --test: a dev build of it lives its whole life
  build-plugins [program]       compile the policy modules, and pack them with this portcullis (or build one)
  build-guests                  compile the policy modules that misbehave, for the tests
  decision-table                write policies/*/decisions.md
  limit-table                   write the limits into docs/operators.md
  bindings                      write plugins/policy-sdk/src/bindings.rs from wit/policy.wit";

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let task = arguments.next().unwrap_or_default();
    let rest: Vec<OsString> = arguments.collect();
    // Except for `serve`, whose arguments are the server's and are answered there.
    if asks_for_help(&task) || task != "serve" && rest.iter().any(asks_for_help) {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let outcome = match task.to_str().unwrap_or_default() {
        "serve" => serve::run(&rest),
        "test" => test::run(&rest),
        "bench" => bench::run(&rest),
        "corpus" => corpus::run(&rest),
        "package" => package::run(&rest),
        "build-plugins" => rest
            .first()
            .map_or_else(
                || program::build(program::For::People),
                |program| Ok(program.into()),
            )
            .and_then(|program| plugins::build(&program)),
        "build-guests" => program::build_packer().and_then(|packer| plugins::build_guests(&packer)),
        "decision-table" => tables::write_decisions(),
        "limit-table" => tables::write_limits(),
        "bindings" => tables::write_bindings(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn asks_for_help(argument: &OsString) -> bool {
    argument == "--help" || argument == "-h" || argument == "help"
}
