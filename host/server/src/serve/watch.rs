//! `--watch-policies`: applies the set in a folder whenever it changes.
//!
//! The path is watched, whatever it leads to at the moment: a folder that is edited, replaced
//! (`mv`, a checkout), or reached through a symbolic link that changes (`current`, Kubernetes'
//! `..data`). So the path is polled; file system notifications would follow the files that were
//! there at first.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use gate::{Candidate, Gate, SetPackage, VerifiedPackage};
use model::audit::Actor;
use policy_engine::Engine;
use storage::policies::{ActivationKind, WatchedFolder};
use storage::{Conflict, StorageError};
use tokio_util::sync::CancellationToken;

/// How often the folder is checked. A set is read once two checks in a row see the same: editors,
/// compilers and checkouts write in several steps.
const LOOK_EVERY: Duration = Duration::from_millis(400);
/// How often it is read even if it looks unchanged. A refused set is tried again then: the machine
/// may have been too busy to compile a module in time.
const READ_EVERY: Duration = Duration::from_secs(30);
/// Most activations to look back through for the one that was last applied from a watched folder.
const LOOK_BACK: u32 = 1000;
/// How often an activation is tried while others happen at the same moment.
const TRIES: u32 = 8;

const REFUSED: &str = "portcullis_watched_policies_refused";

/// A folder that a server takes its policy sets from.
pub(super) struct Watch {
    folder: PathBuf,
    gate: Gate,
    engine: Engine,
    /// The state of its files at the last check.
    looks: Option<Looks>,
    /// When two checks in a row last saw the same.
    quiet_at: Instant,
    /// When it was last read; none if it looks different since.
    read_at: Option<Instant>,
    /// The set that was last read, accepted or not, and the newest activation when it was first
    /// seen.
    content: Option<(SetPackage, i64)>,
    /// The newest activation when the last change was seen, until it is read.
    changed_at: Option<i64>,
    /// The newest activation when the set before it was first seen.
    other_seen_at: Option<i64>,
    /// Whether that set was accepted.
    is_accepted: bool,
    /// The state to report.
    found: WatchedFolder,
}

impl Watch {
    pub(super) fn new(folder: &Path, gate: &Gate, engine: &Engine) -> Self {
        let found = WatchedFolder {
            folder: folder.display().to_string(),
            looked_at: gate.clock().now(),
            set_number: None,
            error: None,
        };
        metrics::gauge!(REFUSED).set(0.0);
        Self {
            folder: folder.to_owned(),
            gate: gate.clone(),
            engine: engine.clone(),
            looks: None,
            quiet_at: Instant::now(),
            read_at: None,
            content: None,
            changed_at: None,
            other_seen_at: None,
            is_accepted: false,
            found,
        }
    }

    /// Watches the folder until `stop`. Failures are logged and shown by `policy status`, and the
    /// last good set stays active.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        tracing::info!(folder = %self.folder.display(), "watching the policies");
        loop {
            // An application that has begun is not interrupted.
            self.look().await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    async fn look(&mut self) {
        let folder = self.folder.clone();
        let Ok(looks) = tokio::task::spawn_blocking(move || Looks::of(&folder)).await else {
            return;
        };
        let is_quiet = self.looks.as_ref() == Some(&looks);
        self.looks = Some(looks);
        let is_due = match self.read_at {
            Some(read_at) => read_at.elapsed() >= READ_EVERY,
            None => is_quiet,
        };
        if !is_quiet {
            self.read_at = None;
            self.changed_at = self.gate.storage().activation_marker().await.ok();
        }
        if is_quiet {
            self.quiet_at = Instant::now();
        }
        if is_due {
            // It has been reported already.
            drop(self.read().await);
        } else {
            if self.quiet_at.elapsed() >= READ_EVERY {
                self.found.error =
                    Some("its files keep changing; a set is read once they are still".to_owned());
            }
            self.tell().await;
        }
    }

    /// Reads the folder now, and applies a new set; returns its number, or why there is none.
    pub(super) async fn read(&mut self) -> Result<u64, String> {
        self.read_at = Some(Instant::now());
        let before = self.found.clone();
        let read = match self.try_read().await {
            Ok(Some(number)) => Ok(number),
            Ok(None) => {
                return Err("its files change while they are read; they are read again".to_owned());
            }
            Err(error) => Err(error),
        };
        self.found.error = read.as_ref().err().map(|error| format!("{error:#}"));
        match (&read, &before.error) {
            (Ok(number), _) if before.set_number != i64::try_from(*number).ok() => {
                self.found.set_number = i64::try_from(*number).ok();
                self.say_whether_it_serves(*number);
            }
            (Ok(_), Some(_)) => {
                tracing::info!(folder = %self.found.folder, "the watched policies can be read again")
            }
            // Reported once, not every time.
            (Err(_), error) if self.found.error != *error => {
                let error = self.found.error.as_deref().unwrap_or_default();
                tracing::error!(folder = %self.found.folder, "the watched policies are refused, the last good set goes on serving: {error}");
            }
            _ => {}
        }
        metrics::gauge!(REFUSED).set(f64::from(u8::from(self.found.error.is_some())));
        self.tell().await;
        read.map_err(|error| format!("{error:#}"))
    }

    async fn tell(&mut self) {
        self.found.looked_at = self.gate.clock().now();
        self.gate.found_in_watched_folder(self.found.clone()).await;
    }

    fn say_whether_it_serves(&self, number: u64) {
        if self.gate.active_set_number() == Some(number) {
            tracing::info!(set = number, folder = %self.found.folder, "the watched policies are serving");
        } else {
            tracing::warn!(
                set = number,
                serving = self.gate.active_set_number(),
                folder = %self.found.folder,
                "the watched policies were replaced by someone since they were applied, and are applied again when they change"
            );
        }
    }

    /// None if the files changed while they were read.
    async fn try_read(&mut self) -> anyhow::Result<Option<u64>> {
        let folder = self.folder.clone();
        let (package, looks) =
            tokio::task::spawn_blocking(move || (SetPackage::read(&folder), Looks::of(&folder)))
                .await?;
        // Half of one set and half of another may be a valid set, too.
        if self.looks.as_ref().is_some_and(|before| *before != looks) {
            self.read_at = None;
            return Ok(None);
        }
        let package = package?;
        if self
            .content
            .as_ref()
            .is_none_or(|(before, _)| *before != package)
        {
            // An activation since the change was seen takes the change into account.
            let newest = match self.changed_at.take() {
                Some(marker) => marker,
                None => self.gate.storage().activation_marker().await?,
            };
            self.other_seen_at = self
                .content
                .replace((package.clone(), newest))
                .map(|(_, seen_at)| seen_at);
            self.is_accepted = false;
        }
        if let (Some(number), true) = (self.found.set_number, self.is_accepted) {
            return Ok(Some(u64::try_from(number)?));
        }
        let candidate = self.judge(package).await?;
        let number = self.apply(candidate.verified()).await?;
        self.is_accepted = true;
        Ok(Some(number))
    }

    /// Refuses what `portcullis policy apply` refuses, since no one is there to insist. For a set
    /// that already serves, someone did insist.
    async fn judge(&self, package: SetPackage) -> anyhow::Result<Candidate> {
        let serves = self
            .gate
            .active_spec()
            .is_some_and(|spec| spec == package.spec);
        let engine = self.engine.clone();
        let judged = tokio::task::spawn_blocking(move || {
            let verified = package.verify(&engine)?;
            Ok::<_, gate::InstallError>(Candidate::judge(verified, serves))
        });
        judged.await??.map_err(|refused| {
            anyhow!(
                "{refused}if this is what you want, `portcullis policy apply {} --allow-lockout`",
                self.found.folder
            )
        })
    }

    /// Activates the set, unless it was the last one that came from a watched folder: then the
    /// folder did not change, and a later activation of another set (`policy rollback` in an
    /// emergency) was intended.
    async fn apply(&self, verified: &VerifiedPackage) -> anyhow::Result<u64> {
        let storage = self.gate.storage();
        let number = verified
            .store(storage, &Actor::System, self.gate.clock().now())
            .await?;
        for _ in 0..TRIES {
            let activations = storage.activations(None, LOOK_BACK).await?;
            let active = activations.first();
            let from_folder = activations
                .iter()
                .find(|activation| activation.kind == ActivationKind::Watch);
            let is_its = |set_number: i64| u64::try_from(set_number) == Ok(number);
            let is_active = active.is_some_and(|active| is_its(active.set_number));
            // Not part of this change, if the folder held something else since.
            let is_of_this_change =
                |sequence: i64| self.other_seen_at.is_none_or(|seen_at| sequence > seen_at);
            if from_folder.is_some_and(|last| {
                is_its(last.set_number) && (is_active || is_of_this_change(last.sequence))
            }) {
                if let Some(active) = active.filter(|_| is_active) {
                    self.gate.install_for(active.sequence, number).await?;
                }
                return Ok(number);
            }
            // Someone activated another set after this content appeared, so that was intended.
            let seen_at = self.content.as_ref().map_or(0, |(_, seen_at)| *seen_at);
            if active.is_some_and(|active| active.sequence > seen_at && active.kind.is_by_hand()) {
                return Ok(number);
            }
            let expected = active.map_or(0, |active| active.sequence);
            match gate::activate_watched(
                storage,
                number,
                self.gate.clock().now(),
                &self.found.folder,
                expected,
            )
            .await
            {
                Ok(sequence) => {
                    self.gate.install_for(sequence, number).await?;
                    return Ok(number);
                }
                // Another server that watches the folder was first, or someone on a command line.
                Err(StorageError::Conflict(Conflict::Raced)) => {}
                Err(error) => {
                    return Err(error).context("cannot make the watched set the active one");
                }
            }
        }
        bail!(
            "other sets are made active all the time; the folder is read again in {} seconds",
            READ_EVERY.as_secs()
        )
    }
}

/// The state of a set's files without opening them: paths, modification times and types.
#[derive(Debug, PartialEq, Eq)]
struct Looks(Vec<(PathBuf, [i128; 7])>);

impl Looks {
    /// For the set in `folder` and the modules next to it. Missing files are left out.
    fn of(folder: &Path) -> Self {
        let place = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let modules = place.parent().map(|parent| parent.join("modules"));
        let mut files = Vec::new();
        for folder in [Some(place.clone()), Some(place.join("cases")), modules]
            .into_iter()
            .flatten()
        {
            for path in fs::read_dir(&folder)
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path())
            {
                let is_of_a_set = path
                    .extension()
                    .is_some_and(|extension| extension == "toml" || extension == "wasm");
                if let Some(file) = fs::metadata(&path).ok().filter(|_| is_of_a_set) {
                    let times = [
                        file.mtime(),
                        file.mtime_nsec(),
                        file.ctime(),
                        file.ctime_nsec(),
                    ]
                    .map(i128::from);
                    let [modified, modified_ns, changed, changed_ns] = times;
                    files.push((
                        path,
                        [
                            file.dev().into(),
                            file.ino().into(),
                            file.len().into(),
                            modified,
                            modified_ns,
                            changed,
                            changed_ns,
                        ],
                    ));
                }
            }
        }
        files.sort();
        Self(files)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A set in a folder with modules next to it.
    fn write(top: &Path, text: &str) {
        fs::create_dir_all(top.join("set/cases")).unwrap();
        fs::create_dir_all(top.join("modules")).unwrap();
        for file in ["set/set.toml", "set/cases/one.toml", "modules/m.wasm"] {
            fs::write(top.join(file), text).unwrap();
        }
    }

    #[test]
    fn a_set_looks_different_when_a_file_changes_and_the_same_while_it_is_read() {
        let top = tempfile::tempdir().unwrap();
        write(top.path(), "a");
        let set = top.path().join("set");
        let mut looks = Looks::of(&set);
        assert_eq!(looks.0.len(), 3);
        fs::write(set.join(".set.toml.swp"), "an editor's").unwrap();
        fs::read(set.join("set.toml")).unwrap();
        assert_eq!(Looks::of(&set), looks);
        for file in ["set/set.toml", "set/cases/one.toml", "modules/m.wasm"] {
            fs::write(top.path().join(file), "longer").unwrap();
            let now = Looks::of(&set);
            assert_ne!(now, looks, "{file}");
            looks = now;
        }
        fs::remove_file(set.join("cases/one.toml")).unwrap();
        assert_ne!(Looks::of(&set), looks);
    }

    #[test]
    fn a_folder_that_is_replaced_by_an_equal_one_looks_different() {
        let top = tempfile::tempdir().unwrap();
        let (one, two, current) = (
            top.path().join("one"),
            top.path().join("two"),
            top.path().join("current"),
        );
        for folder in [&one, &two] {
            write(folder, "the same");
        }
        symlink(&one, &current).unwrap();
        let set = current.join("set");
        let looks = Looks::of(&set);
        // As `ln -sfn` and Kubernetes do.
        symlink(&two, top.path().join("next")).unwrap();
        fs::rename(top.path().join("next"), &current).unwrap();
        let moved = Looks::of(&set);
        assert_ne!(moved, looks);
        // As `mv` does.
        fs::rename(two.join("set"), two.join("old")).unwrap();
        assert_ne!(Looks::of(&set), moved, "nothing is there");
        fs::rename(one.join("set"), two.join("set")).unwrap();
        assert_ne!(Looks::of(&set), moved);
    }
}
