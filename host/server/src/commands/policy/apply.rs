//! Activating a set, and waiting until the servers have it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use gate::{Activated, ApplySet, Candidate, LockedOut, RollBack, RollBackError, SetPackage};
use model::Timestamp;
use serde_json::json;
use storage::policies::{ActivationRow, ServerRow};
use tokio::time::Instant;

use crate::answer::{Answer, moment, printable};
use crate::command_line::CommandLine;

use super::{judged, set_folder};

/// How often the servers' reports are checked.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Longer waits are announced.
const TELL_AFTER: Duration = Duration::from_secs(1);
pub(super) async fn apply(
    line: &CommandLine,
    folder: &Path,
    allow_lockout: bool,
    wait: Duration,
    reason: &str,
) -> anyhow::Result<Answer> {
    let candidate = match verify(line, folder, allow_lockout).await? {
        Ok(candidate) => candidate,
        Err(LockedOut(judgement)) => return Ok(judged::refusal(folder, &judgement)),
    };
    let remarks = judged::remarks(candidate.judgement());
    let before = line.storage.active_set().await?;
    let permit = line.permit(ApplySet::new(candidate, reason)).await?;
    let asked_at = permit.at();
    let activated = gate::apply(permit, &line.storage)
        .await
        .context("cannot ask the servers for the set")?;
    let answer = report(line, before, activated, asked_at, wait).await?;
    let remarks = remarks + &answer.remarks;
    Ok(answer.with_remarks(remarks))
}

/// Reads, validates and judges a set with the same engine as the servers.
async fn verify(
    line: &CommandLine,
    folder: &Path,
    allow_lockout: bool,
) -> anyhow::Result<Result<Candidate, LockedOut>> {
    let package = SetPackage::read(&set_folder(folder))?;
    let engine = line.engine()?;
    let judged = tokio::task::spawn_blocking(move || {
        let verified = package.verify(&engine)?;
        Ok::<_, gate::InstallError>(Candidate::judge(verified, allow_lockout))
    });
    judged.await?.with_context(|| {
        format!(
            "{} is refused; nothing was stored and nothing changes",
            folder.display()
        )
    })
}

pub(super) async fn rollback(
    line: &CommandLine,
    to: Option<u64>,
    wait: Duration,
    reason: &str,
) -> anyhow::Result<Answer> {
    let engine = line.engine()?;
    let before = line.storage.active_set().await?;
    let target = RollBack::new(to, reason);
    target.check(&line.storage).await.map_err(with_remedy)?;
    let permit = line.permit(target).await?;
    let asked_at = permit.at();
    let activated = gate::roll_back(permit, &line.storage, &engine)
        .await
        .map_err(with_remedy)?;
    report(line, before, activated, asked_at, wait).await
}

fn with_remedy(error: RollBackError) -> anyhow::Error {
    let remedy = match error {
        RollBackError::NothingBefore { .. } => {
            "`portcullis policy rollback --to <set>` makes any one active that `portcullis policy history` lists"
        }
        RollBackError::NoSuchSet(_) => "`portcullis policy history` lists those that were active",
        error => return error.into(),
    };
    anyhow!("{error}; {remedy}")
}

/// Waits for the servers and reports the result on each.
async fn report(
    line: &CommandLine,
    before: Option<ActivationRow>,
    activated: Activated,
    asked_at: Timestamp,
    wait: Duration,
) -> anyhow::Result<Answer> {
    let Activated { number, sequence } = activated;
    let Waited {
        servers,
        silent,
        overtaken,
    } = wait_for_servers(line, number, sequence, asked_at, wait).await?;
    let set = line
        .storage
        .policy_set(i64::try_from(number)?)
        .await?
        .context("the set vanished")?;

    if let Some(by) = overtaken {
        let text = format!(
            "set {number} ({}) was activated, and then someone else activated set {} ({}); `portcullis policy status` shows what is served",
            set.name, by.set_number, by.set_name
        );
        return Ok(Answer::new(text, json!({ "set": number, "name": set.name, "overtaken-by": by.set_number, "servers": [] })).with_code(2));
    }
    let mut text = format!("set {number} ({}) is the active one", set.name);
    if let Some(before) = before.filter(|before| u64::try_from(before.set_number) != Ok(number)) {
        text.push_str(&format!(
            "; before it was set {} ({})",
            before.set_number, before.set_name
        ));
    }
    text.push('\n');
    let mut code = 0;
    for (server, state) in &servers {
        if matches!(state, State::Failed | State::Waiting) {
            code = 2;
        }
        text.push_str(&format!(
            "  {} (process {}): {}\n",
            printable(&server.host),
            server.pid,
            state.in_words(server)
        ));
    }
    let mut remarks: String = silent
        .iter()
        .map(|server| {
            format!(
                "Not waited for: {} (process {}), silent since {}. If it still runs, it follows by itself.\n",
                printable(&server.host),
                server.pid,
                moment(server.heartbeat_at)
            )
        })
        .collect();
    remarks.push_str(match (servers.iter().all(|(_, state)| *state == State::Gone), code) {
        (true, _) => "No server is running; the next one to start loads it.",
        (false, 2) => "Not every server serves it. `portcullis policy status` shows how it goes on; `portcullis policy rollback` takes it back.",
        _ => "",
    });
    let json = json!({
        "set": number, "name": set.name,
        "servers": servers.iter().map(|(server, state)| json!({
            "host": server.host, "pid": server.pid, "state": state.word(), "serves": server.set_number,
            "error": server.last_error.as_ref().filter(|_| matches!(state, State::Failed)),
        })).collect::<Vec<_>>(),
        "silent": silent.iter().map(|server| json!({ "host": server.host, "pid": server.pid, "heartbeat": server.heartbeat_at.to_string() })).collect::<Vec<_>>(),
    });
    Ok(Answer::new(text, json)
        .with_remarks(remarks)
        .with_code(code))
}

/// The state of the activation on one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Serving,
    Failed,
    /// No report in time.
    Waiting,
    /// It ended without a report.
    Gone,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Serving => "serving",
            State::Failed => "failed",
            State::Waiting => "no answer",
            State::Gone => "gone",
        }
    }

    fn in_words(self, server: &ServerRow) -> String {
        let still = server.set_number.map_or_else(
            || "serves no set".to_owned(),
            |number| format!("still serves set {number}"),
        );
        match self {
            State::Serving => "serves it".to_owned(),
            State::Failed => format!(
                "could not load it, {still}: {}",
                printable(server.last_error.as_deref().unwrap_or("no reason given"))
            ),
            State::Waiting => format!("has not answered, {still}"),
            State::Gone => "is gone: no such process runs on this machine".to_owned(),
        }
    }
}

/// The state that a server's latest report shows for set `number`, requested at `asked_at`.
fn state_of(server: &ServerRow, number: u64, asked_at: Timestamp) -> State {
    let is = |reported: Option<i64>| {
        reported.and_then(|reported| u64::try_from(reported).ok()) == Some(number)
    };
    if is(server.set_number) {
        return State::Serving;
    }
    // An older report may be about an earlier attempt with the same set.
    if is(server.last_error_set) && server.heartbeat_at > asked_at {
        return State::Failed;
    }
    State::Waiting
}

/// The result of waiting.
struct Waited {
    /// The servers with their states.
    servers: Vec<(ServerRow, State)>,
    /// Those that have been silent for too long to wait for.
    silent: Vec<ServerRow>,
    /// The activation of another set that came after this one.
    overtaken: Option<ActivationRow>,
}

async fn wait_for_servers(
    line: &CommandLine,
    number: u64,
    sequence: i64,
    asked_at: Timestamp,
    wait: Duration,
) -> anyhow::Result<Waited> {
    let begin = Instant::now();
    let mut told = false;
    loop {
        let alive_since = gate::silent_since(line.now());
        let servers = line
            .storage
            .servers()
            .await
            .context("cannot ask what the servers serve")?;
        let (heard_of, silent): (Vec<_>, Vec<_>) = servers
            .into_iter()
            .partition(|server| server.heartbeat_at > alive_since);
        let servers: Vec<_> = heard_of
            .into_iter()
            .map(|server| match state_of(&server, number, asked_at) {
                State::Waiting | State::Serving if is_gone(&server) => (server, State::Gone),
                state => (server, state),
            })
            .collect();
        let waiting: Vec<String> = servers
            .iter()
            .filter(|(_, state)| *state == State::Waiting)
            .map(|(server, _)| format!("{} (process {})", printable(&server.host), server.pid))
            .collect();
        if waiting.is_empty() || begin.elapsed() >= wait {
            return Ok(Waited {
                servers,
                silent,
                overtaken: None,
            });
        }
        let active = line.storage.active_set().await?;
        if let Some(later) = active.filter(|active| {
            active.sequence > sequence && u64::try_from(active.set_number) != Ok(number)
        }) {
            return Ok(Waited {
                servers,
                silent,
                overtaken: Some(later),
            });
        }
        if !told && begin.elapsed() >= TELL_AFTER {
            told = true;
            eprintln!(
                "waiting for {}, for at most {} seconds …",
                waiting.join(", "),
                wait.as_secs()
            );
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Whether a server on this machine ended without signing off. Nothing is known about processes on
/// other machines.
fn is_gone(server: &ServerRow) -> bool {
    server.host == crate::serve::host_name()
        && Path::new("/proc/self").exists()
        && !Path::new("/proc").join(server.pid.to_string()).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_of_this_machine_without_a_process_is_gone() {
        let here = crate::serve::host_name();
        let of = |host: &str, pid: u32| ServerRow {
            host: host.to_owned(),
            pid,
            ..server(None, None, 0)
        };
        assert!(!is_gone(&of(&here, std::process::id())));
        // No process has this number: it is above every kernel's limit.
        assert!(is_gone(&of(&here, u32::MAX)));
        assert!(!is_gone(&of("another-machine", u32::MAX)));
    }

    fn server(serves: Option<i64>, failed: Option<i64>, heartbeat_at: i64) -> ServerRow {
        ServerRow {
            server: uuid::Uuid::nil(),
            host: "host".to_owned(),
            pid: 1,
            set_number: serves,
            started_at: Timestamp(0),
            heartbeat_at: Timestamp(heartbeat_at),
            last_error: failed.map(|_| "broken".to_owned()),
            last_error_set: failed,
            watched: None,
        }
    }

    #[test]
    fn a_server_is_believed_about_this_activation_only() {
        let asked_at = Timestamp(100);
        assert_eq!(
            state_of(&server(Some(4), None, 50), 4, asked_at),
            State::Serving
        );
        assert_eq!(
            state_of(&server(Some(3), None, 150), 4, asked_at),
            State::Waiting
        );
        assert_eq!(
            state_of(&server(Some(3), Some(4), 150), 4, asked_at),
            State::Failed
        );
        assert_eq!(
            state_of(&server(Some(3), Some(4), 50), 4, asked_at),
            State::Waiting,
            "tells of an earlier attempt"
        );
        assert_eq!(
            state_of(&server(Some(3), Some(2), 150), 4, asked_at),
            State::Waiting
        );
    }
}
