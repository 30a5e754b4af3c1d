//! `--watch-policies`: the set in a folder, applied anew whenever one of its files changes.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gate::Gate;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use policy_engine::Engine;
use storage::policies::ActivationKind;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::working_set::apply_folder;

/// Editors and compilers write a file in several steps; a set is read after this much silence.
const QUIET: Duration = Duration::from_millis(250);

/// Applies the set in `folder` now and whenever it changes, until `stop`. A set that fails
/// is told of, and the last good one goes on serving.
pub(super) async fn run(folder: PathBuf, gate: Gate, engine: Engine, stop: CancellationToken) {
    let (changed, mut changes) = mpsc::channel(1);
    let _watcher = match watch(&folder, changed) {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::error!(folder = %folder.display(), %error, "cannot watch the policies; changes need `portcullis policy apply`");
            return;
        }
    };
    tracing::info!(folder = %folder.display(), "watching the policies");
    loop {
        // A result of a set that was overtaken is of no interest, but half an activation is
        // worse: an application that has begun is not cut short.
        match apply_folder(&gate, &engine, &folder, ActivationKind::Apply, "a watched file changed").await {
            Ok(number) => tracing::info!(set = number, folder = %folder.display(), "the watched policies are serving"),
            Err(error) => tracing::error!(folder = %folder.display(), "the watched policies are refused, the last good set goes on serving: {error:#}"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            change = changes.recv() => if change.is_none() { return },
        }
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                change = changes.recv() => if change.is_none() { return },
                () = tokio::time::sleep(QUIET) => break,
            }
        }
    }
}

/// Watches the folder of a set and the folder of modules beside it.
fn watch(folder: &Path, changed: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // A full channel already holds the news.
        match event {
            Ok(event) if concerns_a_set(&event) => drop(changed.try_send(())),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "watching the policies has a gap"),
        }
    })?;
    let folder = folder.canonicalize()?;
    watcher.watch(&folder, RecursiveMode::Recursive)?;
    if let Some(modules) = folder.parent().map(|parent| parent.join("modules")).filter(|modules| modules.is_dir()) {
        watcher.watch(&modules, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

/// Whether the set may be another one now: reading it must not count, or it never ends.
fn concerns_a_set(event: &notify::Event) -> bool {
    let of_interest = |path: &PathBuf| matches!(path.extension().and_then(OsStr::to_str), Some("toml" | "wasm"));
    matches!(event.kind, EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_)) && event.paths.iter().any(of_interest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::{AccessKind, CreateKind, ModifyKind};

    fn event(kind: EventKind, path: &str) -> notify::Event {
        notify::Event::new(kind).add_path(path.into())
    }

    #[test]
    fn only_a_change_of_a_set_file_a_module_or_a_case_counts() {
        assert!(concerns_a_set(&event(EventKind::Modify(ModifyKind::Any), "p/set.toml")));
        assert!(concerns_a_set(&event(EventKind::Create(CreateKind::File), "modules/m.wasm")));
        assert!(concerns_a_set(&event(EventKind::Modify(ModifyKind::Any), "p/cases/uploads.toml")));
        assert!(!concerns_a_set(&event(EventKind::Access(AccessKind::Any), "p/set.toml")));
        assert!(!concerns_a_set(&event(EventKind::Modify(ModifyKind::Any), "p/.set.toml.swp")));
    }

    #[tokio::test]
    async fn a_change_in_the_folder_or_in_the_modules_beside_it_is_noticed() {
        let top = tempfile::tempdir().unwrap();
        let (set, modules) = (top.path().join("set"), top.path().join("modules"));
        std::fs::create_dir(&set).unwrap();
        std::fs::create_dir(&modules).unwrap();
        let (changed, mut changes) = mpsc::channel(1);
        let _watcher = watch(&set, changed).unwrap();
        std::fs::write(set.join("set.toml"), "name = 'a'").unwrap();
        tokio::time::timeout(Duration::from_secs(10), changes.recv()).await.unwrap().unwrap();
        // The write above may be told in several events; a module's is another path.
        while tokio::time::timeout(QUIET, changes.recv()).await.is_ok() {}
        std::fs::write(modules.join("m.wasm"), "x").unwrap();
        tokio::time::timeout(Duration::from_secs(10), changes.recv()).await.unwrap().unwrap();
    }
}
