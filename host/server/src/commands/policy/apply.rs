//! Making a set the active one, and waiting until the servers have it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use gate::{SetPackage, VerifiedPackage};
use model::Timestamp;
use serde_json::json;
use storage::policies::{ActivationKind, ServerRow};
use tokio::time::Instant;

use crate::answer::{Answer, printable};
use crate::command_line::CommandLine;

/// How often the servers' reports are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(super) async fn apply(line: &CommandLine, folder: &Path, allow_lockout: bool, wait: Duration, reason: &str) -> anyhow::Result<Answer> {
    let verified = verify(line, folder).await?;
    if verified.permits_nothing() && !allow_lockout {
        bail!(
            "{} would lock everybody out: none of its policies permits anything in grade `enforce`; bind one that does, like restrict-routes, or say --allow-lockout if that is what you want",
            folder.display()
        );
    }
    let number = verified.store(&line.storage, &line.actor(), line.now()).await.context("cannot store the set")?;
    activate(line, number, ActivationKind::Apply, wait, reason).await
}

/// Reads and validates a set with the very engine the servers use.
async fn verify(line: &CommandLine, folder: &Path) -> anyhow::Result<VerifiedPackage> {
    let package = SetPackage::read(folder)?;
    let engine = line.engine()?;
    let verified = tokio::task::spawn_blocking(move || package.verify(&engine)).await?;
    verified.with_context(|| format!("{} is refused; nothing was stored and nothing changes", folder.display()))
}

pub(super) async fn rollback(line: &CommandLine, to: Option<u64>, wait: Duration, reason: &str) -> anyhow::Result<Answer> {
    let active = line.storage.active_set().await?.context("no policy set was ever active, so there is nothing to roll back to")?;
    let number = match to {
        Some(number) => number,
        None => {
            let earlier = line.storage.activations(None, 1000).await?.into_iter().find(|activation| activation.set_number != active.set_number);
            let Some(earlier) = earlier else { bail!("only set {} was ever active; `portcullis policy apply` brings another one", active.set_number) };
            u64::try_from(earlier.set_number)?
        }
    };
    if line.storage.policy_set(i64::try_from(number)?).await?.is_none() {
        bail!("there is no policy set {number}; `portcullis policy history` lists those that were active");
    }
    // An old set need not load in this version: better to know before every server tries.
    let engine = line.engine()?;
    gate::load_set(&line.storage, &engine, number).await.with_context(|| format!("set {number} cannot be loaded; nothing changes"))?;
    activate(line, number, ActivationKind::Rollback, wait, reason).await
}

async fn activate(line: &CommandLine, number: u64, kind: ActivationKind, wait: Duration, reason: &str) -> anyhow::Result<Answer> {
    let before = line.storage.active_set().await?;
    let asked_at = line.now();
    gate::request_activation(&line.storage, number, &line.actor(), asked_at, kind, reason).await.context("cannot ask the servers for the set")?;
    let servers = wait_for_servers(line, number, asked_at, wait).await?;
    let set = line.storage.policy_set(i64::try_from(number)?).await?.context("the set vanished")?;

    let mut text = format!("set {number} ({}) is the active one", set.name);
    if let Some(before) = before.filter(|before| u64::try_from(before.set_number) != Ok(number)) {
        text.push_str(&format!("; before it was set {} ({})", before.set_number, before.set_name));
    }
    text.push('\n');
    let mut code = 0;
    for (server, state) in &servers {
        if !matches!(state, State::Serving) {
            code = 2;
        }
        text.push_str(&format!("  {} (process {}): {}\n", printable(&server.host), server.pid, state.in_words(server)));
    }
    let remarks = match (servers.is_empty(), code) {
        (true, _) => "No server is running; the next one to start loads it.",
        (false, 2) => "Not every server serves it. `portcullis policy status` shows how it goes on; `portcullis policy rollback` takes it back.",
        _ => "",
    };
    let json = json!({
        "set": number, "name": set.name,
        "servers": servers.iter().map(|(server, state)| json!({
            "host": server.host, "pid": server.pid, "state": state.word(), "serves": server.set_number,
            "error": server.last_error.as_ref().filter(|_| matches!(state, State::Failed)),
        })).collect::<Vec<_>>(),
    });
    Ok(Answer::new(text, json).with_remarks(remarks).with_code(code))
}

/// What one server made of the activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Serving,
    Failed,
    /// Not heard of in time.
    Waiting,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Serving => "serving",
            State::Failed => "failed",
            State::Waiting => "no answer",
        }
    }

    fn in_words(self, server: &ServerRow) -> String {
        let still = server.set_number.map_or_else(|| "serves no set".to_owned(), |number| format!("still serves set {number}"));
        match self {
            State::Serving => "serves it".to_owned(),
            State::Failed => format!("could not load it, {still}: {}", printable(server.last_error.as_deref().unwrap_or("no reason given"))),
            State::Waiting => format!("has not answered, {still}"),
        }
    }
}

/// What a server's latest report says about set `number`, asked for at `asked_at`.
fn state_of(server: &ServerRow, number: u64, asked_at: Timestamp) -> State {
    let is = |reported: Option<i64>| reported.and_then(|reported| u64::try_from(reported).ok()) == Some(number);
    if is(server.set_number) {
        return State::Serving;
    }
    // An older report may tell of an earlier attempt with the same set.
    if is(server.last_error_set) && server.heartbeat_at > asked_at {
        return State::Failed;
    }
    State::Waiting
}

async fn wait_for_servers(line: &CommandLine, number: u64, asked_at: Timestamp, wait: Duration) -> anyhow::Result<Vec<(ServerRow, State)>> {
    let deadline = Instant::now() + wait;
    loop {
        let alive_since = gate::silent_since(line.now());
        let servers = line.storage.servers().await.context("cannot ask what the servers serve")?;
        let servers: Vec<_> = servers
            .into_iter()
            .filter(|server| server.heartbeat_at > alive_since)
            .map(|server| {
                let state = state_of(&server, number, asked_at);
                (server, state)
            })
            .collect();
        if servers.iter().all(|(_, state)| *state != State::Waiting) || Instant::now() >= deadline {
            return Ok(servers);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        }
    }

    #[test]
    fn a_server_is_believed_about_this_activation_only() {
        let asked_at = Timestamp(100);
        assert_eq!(state_of(&server(Some(4), None, 50), 4, asked_at), State::Serving);
        assert_eq!(state_of(&server(Some(3), None, 150), 4, asked_at), State::Waiting);
        assert_eq!(state_of(&server(Some(3), Some(4), 150), 4, asked_at), State::Failed);
        assert_eq!(state_of(&server(Some(3), Some(4), 50), 4, asked_at), State::Waiting, "tells of an earlier attempt");
        assert_eq!(state_of(&server(Some(3), Some(2), 150), 4, asked_at), State::Waiting);
    }
}
