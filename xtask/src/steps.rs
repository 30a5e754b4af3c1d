//! Steps of a longer task: each is announced, timed, and listed at the end.

use std::time::{Duration, Instant};

/// How a step ended.
enum Ending {
    Done,
    /// Something was missing; why it was skipped.
    Skipped(String),
    Failed(String),
}

/// The steps so far.
#[derive(Default)]
pub(crate) struct Steps {
    taken: Vec<(&'static str, Duration, Ending)>,
}

impl Steps {
    /// Runs a step that must succeed.
    pub(crate) fn take<T>(
        &mut self,
        name: &'static str,
        step: impl FnOnce() -> anyhow::Result<T>,
    ) -> Option<T> {
        println!("\n== {name}");
        let start = Instant::now();
        let (value, ending) = match step() {
            Ok(value) => (Some(value), Ending::Done),
            Err(error) => (None, Ending::Failed(format!("{error:#}"))),
        };
        if let Ending::Failed(why) = &ending {
            eprintln!("xtask: {name}: {why}");
        }
        self.taken.push((name, start.elapsed(), ending));
        value
    }

    /// Runs a step that sets something up. If that is not possible, everything that needs it is
    /// skipped, except on a machine that must have everything (`CI=true`).
    pub(crate) fn set_up<T>(
        &mut self,
        name: &'static str,
        step: impl FnOnce() -> anyhow::Result<T>,
    ) -> Option<T> {
        let value = self.take(name, step);
        if let Some((_, _, ending)) = self.taken.last_mut()
            && let Ending::Failed(why) = ending
            && !must_have_everything()
        {
            *ending = Ending::Skipped(std::mem::take(why));
        }
        value
    }

    /// Whether a step failed.
    pub(crate) fn failed(&self) -> bool {
        self.taken
            .iter()
            .any(|(_, _, ending)| matches!(ending, Ending::Failed(_)))
    }

    /// Prints one line for each step.
    pub(crate) fn print(&self) {
        println!("\n== summary");
        for (name, took, ending) in &self.taken {
            let ending = match ending {
                Ending::Done => "ok".to_owned(),
                Ending::Skipped(why) => format!("skipped: {}", first_line(why)),
                Ending::Failed(why) => format!("FAILED: {}", first_line(why)),
            };
            println!("  {name:<28} {:>7.1} s  {ending}", took.as_secs_f64());
        }
    }
}

/// Whether nothing may be skipped on this machine.
pub(crate) fn must_have_everything() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
