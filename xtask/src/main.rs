//! The build tool: `cargo xtask <task>`. One module for each task; this file only
//! chooses.

use std::process::ExitCode;

mod plugins;
mod tables;

const USAGE: &str = "usage: cargo xtask <task>

  build-plugins    compile the policy modules and pack them into components
  decision-table   write policies/*/decisions.md anew";

fn main() -> ExitCode {
    let task = std::env::args().nth(1).unwrap_or_default();
    let outcome = match task.as_str() {
        "build-plugins" => plugins::build(),
        "decision-table" => tables::write(),
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
